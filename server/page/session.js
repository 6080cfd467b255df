// The log-in of this browser. Its tokens are in localStorage, shared by all tabs; a refresh token
// may be used once, so only one tab at a time refreshes and the others take what it got.

import { Problem, fetchJson } from './api.js';

const KEY = 'moim.session';
const MARGIN_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Events: `begin`, and `end` with `detail` saying why ('' when the user asked for it). */
export class Session extends EventTarget {
  #tokens = stored();
  #refreshing = null;
  #timer = null;

  constructor() {
    super();
    this.#schedule();
    addEventListener('storage', (event) => {
      if (event.key === KEY || event.key === null) this.#reread();
    });
  }

  get user() {
    return this.#tokens?.user ?? null;
  }

  get refreshToken() {
    return this.#tokens?.refreshToken;
  }

  /** An access token that is still good for a while. */
  async token() {
    if (this.#tokens && this.#tokens.expiresAt - margin(this.#tokens) < Date.now()) {
      await this.refresh(this.#tokens.accessToken);
    }
    if (!this.#tokens) throw ended();
    return this.#tokens.accessToken;
  }

  /** Replaces the access token `stale`, unless that has been done already. */
  refresh(stale) {
    this.#refreshing ??= alone(() => this.#refresh(stale)).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** Runs `action(token)`, which makes the server end the tokens that we have; nobody refreshes them meanwhile. */
  async exclusively(action) {
    const token = await this.token();
    this.#refreshing = alone(() => action(token)).finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #refresh(stale) {
    if (this.#adoptOther(stale)) return;
    if (!this.#tokens) throw ended();
    try {
      this.#store(await fetchJson('POST', '/auth/refresh', { body: { refreshToken: this.#tokens.refreshToken } }));
    } catch (problem) {
      // Without locks (plain http) another tab may have been faster.
      const isFinal = problem.status >= 400 && problem.status < 500 && problem.status !== 429;
      if (!isFinal || this.#adoptOther(stale)) throw problem;
      this.end('Your log-in has ended. Log in again; what you typed is kept.');
      throw ended();
    }
  }

  /** Takes the tokens that another tab stored, if they are newer than `stale`. */
  #adoptOther(stale) {
    const tokens = stored();
    if (!tokens || tokens.accessToken === stale || tokens.user !== this.user) return false;
    this.#tokens = tokens;
    this.#schedule();
    return true;
  }

  /** The answer of register, log in or a new password. */
  begin(answer) {
    const isNew = this.user !== answer.user;
    this.#store(answer);
    if (isNew) this.dispatchEvent(new Event('begin'));
  }

  end(reason) {
    localStorage.removeItem(KEY);
    this.#forget(reason);
  }

  #store({ user = this.user, accessToken, refreshToken, expiresIn }) {
    this.#tokens = {
      user,
      accessToken,
      refreshToken,
      lifetime: expiresIn * 1000,
      expiresAt: Date.now() + expiresIn * 1000,
    };
    localStorage.setItem(KEY, JSON.stringify(this.#tokens));
    this.#schedule();
  }

  #forget(reason) {
    if (!this.#tokens) return;
    this.#tokens = null;
    clearTimeout(this.#timer);
    this.dispatchEvent(new CustomEvent('end', { detail: reason }));
  }

  /** Another tab logged in, refreshed or logged out. */
  #reread() {
    const tokens = stored();
    if (tokens?.user !== this.user) this.#forget('');
    const isNew = tokens && !this.#tokens;
    this.#tokens = tokens;
    this.#schedule();
    if (isNew) this.dispatchEvent(new Event('begin'));
  }

  /** A page that only listens also refreshes, so that its log-in does not lapse. */
  #schedule() {
    clearTimeout(this.#timer);
    if (!this.#tokens) return;
    const wait = Math.max(this.#tokens.expiresAt - margin(this.#tokens) - Date.now(), 5000);
    this.#timer = setTimeout(() => this.token().catch(() => this.#schedule()), Math.min(wait, LONGEST_TIMER_MS));
  }
}

/** Short-lived tokens get a margin that leaves most of their life. */
const margin = (tokens) => Math.min(MARGIN_MS, tokens.lifetime / 5);

const ended = () => new Problem({ status: 401, code: 'expired', detail: 'You are logged out.' });

const alone = (action) => (navigator.locks ? navigator.locks.request('moim.refresh', action) : action());

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}
