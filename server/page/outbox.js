// What was written and is not acknowledged yet. Each message is an entry of localStorage until its
// RECEIPT came, and goes out again under the same `origin-id` after a reconnect or a reload: the
// server knows the name, so nothing is lost and nothing doubled.

import { newId } from './ids.js';

const HOUR = 3_600_000;
/** The server remembers names for 24 h; after that, sending again is for the user to decide. */
const SURE_MS = 23 * HOUR;
const KEPT_MS = 14 * 24 * HOUR;
const TRIES = 5;

/** Events: `change` with `detail` a room id, `stored` with `detail` the message. */
export class Outbox extends EventTarget {
  #prefix;
  #user;
  #link;
  #entries = new Map();
  #sending = new Set();

  constructor({ user, link, signal }) {
    super();
    this.#prefix = `moim.outbox/${user}/`;
    this.#user = user;
    this.#link = link;
    for (const key of Object.keys(localStorage)) this.#load(key);
    link.addEventListener('connected', () => this.#sendAll(), { signal });
    addEventListener(
      'storage',
      ({ key, newValue }) =>
        key?.startsWith(this.#prefix) && newValue === null && this.#forget(key.slice(this.#prefix.length)),
      { signal },
    );
  }

  /** The entries of a room in the order in which they were written. */
  of(room) {
    return [...this.#entries.values()].filter((entry) => entry.room === room).sort((a, b) => a.at - b.at);
  }

  has(originId) {
    return this.#entries.has(originId);
  }

  post(room, body) {
    const latest = Math.max(0, ...this.of(room).map((entry) => entry.at));
    this.#put({ room, body, originId: newId(), at: Math.max(Date.now(), latest + 1) });
    this.#send(room);
  }

  /** Tries a failed one again; under a new name if the old one stands for something else or may be forgotten. */
  retry(originId) {
    const { failed, ...entry } = this.#entries.get(originId);
    if (failed.code === 'name_reused' || failed.code === 'old') {
      this.discard(originId);
      Object.assign(entry, { originId: newId(), at: Date.now() });
    }
    this.#put(entry);
    this.#send(entry.room);
  }

  discard(originId) {
    localStorage.removeItem(this.#prefix + originId);
    this.#forget(originId);
  }

  #load(key) {
    if (!key.startsWith(this.#prefix)) return;
    const entry = JSON.parse(localStorage.getItem(key));
    const age = Date.now() - entry.at;
    if (age > KEPT_MS) return localStorage.removeItem(key);
    if (age > SURE_MS) entry.failed ??= { code: 'old', detail: 'Not confirmed for a day; it may have been sent.' };
    this.#entries.set(entry.originId, entry);
  }

  #put(entry) {
    this.#entries.set(entry.originId, entry);
    try {
      localStorage.setItem(this.#prefix + entry.originId, JSON.stringify(entry));
    } catch {
      // The storage is full: the message lives as long as the page.
    }
    this.#changed(entry.room);
  }

  #forget(originId) {
    const entry = this.#entries.get(originId);
    this.#entries.delete(originId);
    if (entry) this.#changed(entry.room);
  }

  #sendAll() {
    for (const room of new Set([...this.#entries.values()].map((entry) => entry.room))) this.#send(room);
  }

  /** One after the other, so that a message that has to wait is not overtaken by the next. */
  async #send(room) {
    if (this.#sending.has(room)) return;
    this.#sending.add(room);
    let tries = 0;
    for (;;) {
      const entry = this.of(room).find(({ failed }) => !failed);
      if (!entry) break;
      try {
        const { position } = await this.#link.send(`/app/rooms/${room}`, entry.body, { 'origin-id': entry.originId });
        this.#stored(entry, position);
        tries = 0;
      } catch (problem) {
        if (problem.code === 'lost') break;
        tries += 1;
        if (problem.retryAfterMs && tries < TRIES)
          await new Promise((resolve) => setTimeout(resolve, problem.retryAfterMs));
        else if (this.has(entry.originId))
          this.#put({ ...entry, failed: { code: problem.code, detail: problem.message } });
      }
    }
    this.#sending.delete(room);
  }

  #stored({ room, originId, body }, position) {
    const message = { room, position, originId, body, sender: this.#user, timestamp: Date.now() };
    this.dispatchEvent(new CustomEvent('stored', { detail: message }));
    this.discard(originId);
  }

  #changed(room) {
    this.dispatchEvent(new CustomEvent('change', { detail: room }));
  }
}
