// The REST half of the server, under /api/v1.

/** A refusal, or `code: 'unreachable'` when there was no answer. `message` is for the user. */
export class Problem extends Error {
  constructor({ status = 0, code, detail, retryAfterMs }) {
    super(sentence(detail));
    Object.assign(this, { status, code, retryAfterMs });
  }
}

/** One request and its answer, read. */
export async function fetchJson(method, path, { body, token } = {}) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: 'no-store',
    });
  } catch {
    throw new Problem({ code: 'unreachable', detail: 'The server cannot be reached.' });
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Problem({ detail: `The server answered ${response.status}.`, ...answer, status: response.status });
}

/** Requests in the name of the session's user. */
export class Api {
  #session;

  constructor(session) {
    this.#session = session;
  }

  get(path, query = {}) {
    const known = Object.entries(query).filter(([, value]) => value != null);
    return this.#request('GET', known.length ? `${path}?${new URLSearchParams(known)}` : path);
  }

  post(path, body) {
    return this.#request('POST', path, body);
  }

  put(path, body) {
    return this.#request('PUT', path, body);
  }

  patch(path, body) {
    return this.#request('PATCH', path, body);
  }

  delete(path) {
    return this.#request('DELETE', path);
  }

  async #request(method, path, body) {
    const token = await this.#session.token();
    try {
      return await fetchJson(method, path, { body, token });
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      // The token ended early, by a revocation perhaps: refreshing tells whether the log-in did too.
      await this.#session.refresh(token);
      return fetchJson(method, path, { body, token: await this.#session.token() });
    }
  }
}

/** All of a paged list, up to `most`. */
export async function all(api, path, key, most = 1000) {
  const items = [];
  let after;
  do {
    const page = await api.get(path, { after, limit: 100 });
    items.push(...page[key]);
    after = page.next;
  } while (after && items.length < most);
  return items;
}

/** The server's details start small and have no full stop. */
export function sentence(detail = 'Something went wrong') {
  return detail.charAt(0).toUpperCase() + detail.slice(1) + (/[.!?]$/.test(detail) ? '' : '.');
}
