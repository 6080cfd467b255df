// One lasting link to the server, made of connections that come and go.

import { Problem } from './api.js';
import { installation } from './device.js';
import { Stomp } from './stomp.js';

const FIRST_MS = 500;
const LONGEST_MS = 15_000;
/** A connection that lived this long was a good one: waiting starts small again. */
const GOOD_MS = 10_000;
/** The server answers a SEND within 10 s, whatever happens. */
const ANSWER_MS = 20_000;

/**
 * Events: `state` whenever `state` or `retryAt` changed, `connected` after all subscriptions were
 * asked for again, `refused` with a Problem that answers no frame of ours.
 */
export class Link extends EventTarget {
  state = 'reconnecting';
  /** When the next attempt is due (ms), or null while one is under way. */
  retryAt = null;

  #session;
  #signal;
  #stomp = null;
  #connected = false;
  #connectedAt = 0;
  #attempts = 0;
  #timer = null;
  #serial = 0;
  #subscriptions = new Map();
  #answers = new Map();

  constructor(session, signal) {
    super();
    this.#session = session;
    this.#signal = signal;
    addEventListener('online', () => this.retry(), { signal });
    addEventListener('offline', () => (this.#stomp ? this.#stomp.drop() : this.#show()), { signal });
    document.addEventListener('visibilitychange', () => this.#seen(), { signal });
    signal.addEventListener('abort', () => this.#stop());
    this.#connect();
  }

  /** Connects now instead of later. */
  retry() {
    if (this.retryAt !== null) this.#connect();
    else this.#show();
  }

  /**
   * Keeps a subscription across connections. `headers()` is asked each time; `receipt(headers)`,
   * `message({ headers, body })` and `refused(problem)` are told. Returns the function that ends it.
   */
  subscribe(destination, { headers = () => ({}), receipt = () => {}, message, refused = () => {} }) {
    const id = `s${++this.#serial}`;
    this.#subscriptions.set(id, { id, destination, headers, receipt, message, refused });
    if (this.#connected) this.#ask(this.#subscriptions.get(id));
    return () => {
      if (this.#subscriptions.delete(id) && this.#connected) this.#stomp.send('UNSUBSCRIBE', { id });
    };
  }

  /** SENDs; the promise is the RECEIPT's headers, or a Problem (`code: 'lost'` without connection). */
  send(destination, body, headers = {}) {
    return this.#request('SEND', { destination, ...headers }, body);
  }

  /** SENDs what nobody will miss. */
  tell(destination, body) {
    this.send(destination, JSON.stringify(body)).catch(() => {});
  }

  #request(command, headers, body) {
    if (!this.#connected) return Promise.reject(lost());
    const receipt = `r${++this.#serial}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#answer(receipt, lost()), ANSWER_MS);
      this.#answers.set(receipt, { resolve, reject, timer });
      this.#stomp.send(command, { ...headers, receipt }, body);
    });
  }

  #answer(receipt, answer) {
    const waiting = this.#answers.get(receipt);
    if (!waiting) return false;
    this.#answers.delete(receipt);
    clearTimeout(waiting.timer);
    if (answer instanceof Problem) waiting.reject(answer);
    else waiting.resolve(answer);
    return true;
  }

  async #ask(subscription) {
    const { id, destination, headers, receipt, refused } = subscription;
    const stomp = this.#stomp;
    try {
      // What waits for a RECEIPT runs before the frame after it is read, so before the replay.
      receipt(await this.#request('SUBSCRIBE', { id, destination, ...headers() }));
    } catch (problem) {
      if (problem.code === 'lost' || !this.#subscriptions.has(id)) return;
      if (problem.retryAfterMs) {
        setTimeout(() => {
          if (this.#stomp === stomp && this.#subscriptions.has(id)) this.#ask(subscription);
        }, problem.retryAfterMs);
      } else {
        this.#subscriptions.delete(id);
        refused(problem);
      }
    }
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.retryAt = null;
    this.#show();
    let token;
    try {
      token = await this.#session.token();
    } catch {
      return this.#later();
    }
    if (this.#signal.aborted) return;
    const url = new URL('/ws', location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const stomp = new Stomp(
      url,
      { Authorization: `Bearer ${token}`, device: installation },
      {
        connected: () => this.#begin(),
        frame: (frame) => this.#receive(frame),
        closed: (closing) => this.#closed(closing, token),
      },
    );
    this.#stomp = stomp;
  }

  #begin() {
    this.#connected = true;
    this.#connectedAt = Date.now();
    this.#stomp.send('SUBSCRIBE', { id: 'errors', destination: '/user/queue/errors' });
    // First, so that what comes in unseen does not count as delivered.
    this.#sayWhetherSeen();
    for (const subscription of this.#subscriptions.values()) this.#ask(subscription);
    this.#show();
    this.dispatchEvent(new Event('connected'));
  }

  #receive({ command, headers, body }) {
    if (command === 'RECEIPT') return this.#answer(headers['receipt-id'], headers);
    if (headers.subscription === 'errors') return this.#refuse(headers, body);
    this.#subscriptions.get(headers.subscription)?.message({ headers, body });
  }

  #refuse(headers, body) {
    const problem = new Problem(JSON.parse(body));
    if (this.#answer(headers['receipt-id'], problem)) return;
    this.dispatchEvent(new CustomEvent('refused', { detail: problem }));
  }

  async #closed({ code, reason, error }, token) {
    const lived = this.#connected ? Date.now() - this.#connectedAt : 0;
    this.#connected = false;
    this.#stomp = null;
    if (lived > GOOD_MS) this.#attempts = 0;
    for (const receipt of [...this.#answers.keys()]) this.#answer(receipt, lost());
    if (this.#signal.aborted) return;

    const unwelcome = code === 4001 || ['expired', 'bad_request', 'banned'].includes(error?.headers.code);
    const told = /retry_after_ms=(\d+)/.exec(reason);
    if (unwelcome) {
      this.#show();
      // Tells whether the whole log-in ended, in which case we are stopped, or this connection only.
      await this.#session.refresh(token).catch(() => {});
      this.#later();
    } else if (code === 1012 && told) {
      this.#later(Number(told[1]));
    } else if (code === 4008 && lived > GOOD_MS / 10) {
      this.#connect();
    } else {
      this.#later();
    }
  }

  /** Full jitter: a crowd that was cut off together does not come back together. */
  #later(wait = Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempts)) {
    if (this.#signal.aborted) return;
    this.#attempts += 1;
    this.retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#show();
  }

  /** The page was shown or hidden. */
  #seen() {
    this.#sayWhetherSeen();
    if (!document.hidden) this.#wake();
  }

  #sayWhetherSeen() {
    if (this.#connected) this.tell('/app/presence', { state: document.hidden ? 'away' : 'active' });
  }

  #wake() {
    this.#stomp?.check();
    this.retry();
  }

  #show() {
    this.state = this.#connected ? 'connected' : navigator.onLine ? 'reconnecting' : 'offline';
    this.dispatchEvent(new Event('state'));
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#connected = false;
    this.#stomp?.close();
  }
}

const lost = () => new Problem({ code: 'lost', detail: 'The connection was lost.' });
