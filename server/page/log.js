// A window into a room's messages: ascending, each once, none missing in between, and not too many.

import { NONE, compare, later } from './positions.js';

const PAGE = 50;
const MOST = 300;
/** Beyond this many missed pages, starting over from the newest is quicker. */
const PAGES = 5;

export class Log {
  messages = [];
  hasOlder = false;
  /** Whether the window reaches the newest message, so that live ones belong to it. */
  atHead = true;
  loaded = false;

  #api;
  #path;
  /** Up to here nothing is missing. A message of our own may stand further on already. */
  #end = NONE;
  #newest = NONE;
  #gap = false;
  #work = Promise.resolve();

  constructor(api, room) {
    this.#api = api;
    this.#path = `/rooms/${room}/messages`;
  }

  /** Starts over with the latest messages. */
  load(limit = PAGE) {
    return this.#queue(() => this.#load(limit));
  }

  async #load(limit) {
    this.loaded = false;
    this.atHead = true;
    this.hasOlder = false;
    this.messages = [];
    const { messages, next } = await this.#api.get(this.#path, { limit });
    this.#insert(messages);
    this.hasOlder = next != null;
    this.loaded = true;
    const live = this.#end;
    this.#end = messages.at(-1)?.position ?? NONE;
    if (this.#gap) await this.#fill();
    else this.#end = later(this.#end, live);
  }

  older() {
    return this.#queue(async () => {
      if (!this.hasOlder) return;
      const { messages, next } = await this.#api.get(this.#path, { before: this.messages[0].position, limit: PAGE });
      this.#insert(messages);
      this.hasOlder = next != null && messages.length > 0;
      if (this.messages.length > MOST) this.#dropNewest();
    });
  }

  newer() {
    return this.#queue(async () => {
      while (!this.atHead) {
        const { messages, next } = await this.#api.get(this.#path, { after: this.#end, limit: PAGE });
        this.#insert(messages);
        this.#end = this.messages.at(-1)?.position ?? NONE;
        this.dropOldest();
        // A live message may have come after this answer was made.
        if (next == null && compare(this.#newest, this.#end) <= 0) this.atHead = true;
        if (next != null || !messages.length) break;
      }
    });
  }

  /** Messages up to `position` may have been missed. */
  missed(position) {
    this.#newest = later(this.#newest, position);
    this.#gap = true;
    if (!this.loaded) return Promise.resolve();
    return this.#queue(() => this.#fill());
  }

  /** Tries again what a failed request left undone. */
  mend() {
    return this.#queue(async () => {
      if (!this.loaded) await this.#load(PAGE);
      else if (this.#gap) await this.#fill();
    });
  }

  /** A live message. */
  add(message) {
    this.#newest = later(this.#newest, message.position);
    const isBefore = this.hasOlder && compare(message.position, this.messages[0].position) < 0;
    if (!this.atHead || isBefore) return;
    this.#insert([message]);
    if (!this.#gap) this.#end = later(this.#end, message.position);
  }

  /** A message of our own, known from its RECEIPT, perhaps before others that are still on their way. */
  addOwn(message) {
    if (this.atHead && !this.#find(message.position).found) this.#insert([message]);
  }

  dropOldest() {
    if (this.messages.length <= MOST) return;
    this.messages.splice(0, this.messages.length - MOST);
    this.hasOlder = true;
  }

  /** For a reader of old messages while new ones keep coming. */
  dropNewestIfMany() {
    if (this.messages.length > 2 * MOST) this.#dropNewest();
  }

  #dropNewest() {
    this.messages.splice(MOST);
    this.#end = this.messages.at(-1).position;
    this.atHead = false;
  }

  async #fill() {
    if (!this.atHead) {
      this.#gap = false;
      return;
    }
    for (let page = 0; page < PAGES; page += 1) {
      const { messages, next, recovered } = await this.#api.get(this.#path, { after: this.#end, limit: 200 });
      if (recovered === false) break;
      this.#insert(messages);
      this.#end = messages.at(-1)?.position ?? this.#end;
      if (next == null && compare(this.#newest, this.#end) <= 0) {
        this.#gap = false;
        return;
      }
    }
    const { messages, next } = await this.#api.get(this.#path, { limit: PAGE });
    const end = messages.at(-1)?.position ?? NONE;
    this.messages = messages.concat(this.messages.filter(({ position }) => compare(position, end) > 0));
    this.hasOlder = next != null;
    this.#end = later(end, this.#newest);
    this.#gap = false;
  }

  #insert(messages) {
    for (const message of messages) {
      const { found, index } = this.#find(message.position);
      this.messages.splice(index, found ? 1 : 0, message);
    }
  }

  #find(position) {
    let low = 0;
    let high = this.messages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.messages[middle].position, position) < 0) low = middle + 1;
      else high = middle;
    }
    return { index: low, found: this.messages[low]?.position === position };
  }

  #queue(action) {
    const done = this.#work.then(action);
    this.#work = done.catch(() => {});
    return done;
  }
}
