// The user's rooms: what is new in them, what was read, and their live subscriptions.

import { all } from './api.js';
import { atMostEvery } from './pace.js';
import { NONE, compare, later } from './positions.js';

const SUBSCRIBED = 100;
const MOST_UNREAD = 100;
const RELOAD_MS = 30_000;
const PACE_MS = 1000;
const HINT_MS = 10_000;
const CURSOR_MS = 1000;

/** Tells other pages of a user that their list of rooms changed. */
const HINTS = '/queue/rooms';

/**
 * Events: `change`; `message` with `detail` the message; `gap` with `detail` `{ room, position }` when
 * messages up to `position` may have been missed; `removed` with `detail` `{ room, why }`.
 */
export class Rooms extends EventTarget {
  loaded = false;
  problem = null;

  #api;
  #link;
  #user;
  #byId = new Map();
  #loading = null;
  #loadedAt = 0;
  #again = false;
  /** The open room, if it is one beyond the first hundred. */
  #extra = null;
  #tabs = new BroadcastChannel('moim.read');

  constructor({ api, link, user, signal }) {
    super();
    this.#api = api;
    this.#link = link;
    this.#user = user;
    const loadAgain = atMostEvery(PACE_MS, () => this.load());
    // Anybody may send a hint, and each makes this page read all its rooms.
    link.subscribe(`/user${HINTS}`, { message: atMostEvery(HINT_MS, () => this.load()) });
    link.addEventListener('connected', () => this.#connected(), { signal });
    link.addEventListener('refused', loadAgain, { signal });
    addEventListener('focus', () => Date.now() - this.#loadedAt > RELOAD_MS / 3 && this.load(), { signal });
    this.#tabs.onmessage = ({ data }) => data.user === user && this.#readElsewhere(data);
    const timer = setInterval(() => document.hidden || this.load(), RELOAD_MS);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      this.#tabs.close();
    });
    this.load();
  }

  #connected() {
    this.load();
    for (const room of this.#byId.values()) this.#sendCursor(room);
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** Last activity first. */
  sorted() {
    return [...this.#byId.values()].sort((a, b) => b.activeAt - a.activeAt || (a.id < b.id ? -1 : 1));
  }

  get unread() {
    let sum = 0;
    for (const room of this.#byId.values()) sum += room.unread;
    return sum;
  }

  /** Reads the list again; a call while one is under way makes one more follow, and waits for it. */
  load() {
    if (this.#loading) this.#again = true;
    this.#loading ??= this.#loadUntilFresh().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #loadUntilFresh() {
    do {
      this.#again = false;
      try {
        this.#merge(await all(this.#api, '/me/rooms', 'rooms'));
        this.problem = null;
      } catch (problem) {
        this.problem = problem;
      }
    } while (this.#again);
    this.#changed();
  }

  #merge(memberships) {
    this.loaded = true;
    this.#loadedAt = Date.now();
    const ids = new Set(memberships.map(({ room }) => room.id));
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#remove(id, 'You are no longer a member of this room.');
    for (const membership of memberships) this.#mergeOne(membership);
    const rooms = [...this.#byId.values()];
    const free = SUBSCRIBED - rooms.filter(({ unsubscribe }) => unsubscribe).length;
    const waiting = rooms
      .filter(({ unsubscribe }) => !unsubscribe)
      .sort((a, b) => b.unread - a.unread || b.createdAt - a.createdAt);
    for (const room of waiting.slice(0, Math.max(0, free))) this.#subscribe(room);
  }

  #mergeOne({ room: { id, name, visibility, direct, createdAt }, role, mutedUntil, head, read, unread }) {
    const known = this.#byId.get(id);
    const room = known ?? { id, head, read, readSent: read, unread, activeAt: createdAt };
    Object.assign(room, { name, visibility, direct, createdAt, role, mutedUntil });
    // Unless live messages or our own reading went past this answer while it was under way.
    if (compare(head, room.head) >= 0 && compare(read, room.read) >= 0) Object.assign(room, { head, read, unread });
    if (known) return;
    this.#byId.set(id, room);
    if (direct) this.#findPeer(room);
  }

  /** A direct chat is called after the other one. */
  async #findPeer(room) {
    const { members } = await this.#api.get(`/rooms/${room.id}/members`, { limit: 2 }).catch(() => ({ members: [] }));
    room.peer = members.find(({ user }) => user !== this.#user);
    this.#changed();
  }

  /** Makes sure that a room is live, also when it is not among the first hundred. */
  open(id) {
    const room = this.#byId.get(id);
    if (!room || room.unsubscribe) return;
    this.#extra?.unsubscribe?.();
    if (this.#extra) this.#extra.unsubscribe = null;
    this.#extra = room;
    this.#subscribe(room);
  }

  #subscribe(room) {
    room.unsubscribe = this.#link.subscribe(`/topic/rooms/${room.id}`, {
      // The first time, the last message shows what the room is about.
      headers: () => ({ envelope: 'json', ...(room.seen ? { since: room.seen } : { history: 1 }) }),
      receipt: (headers) => this.#subscribed(room, headers),
      message: ({ body }) => this.#receive(room, JSON.parse(body)),
      refused: ({ message }) => this.#remove(room.id, message),
    });
  }

  #subscribed(room, { position = NONE, recovered }) {
    if (room.seen && recovered !== 'false') return;
    room.seen = position;
    this.dispatchEvent(new CustomEvent('gap', { detail: { room: room.id, position } }));
    if (compare(position, room.head) > 0) this.load();
  }

  #receive(room, message) {
    room.seen = message.position;
    this.#note(room, message);
    this.dispatchEvent(new CustomEvent('message', { detail: message }));
    this.#changed();
  }

  #note(room, message) {
    const isNew = compare(message.position, room.head) > 0;
    if (isNew) {
      room.head = message.position;
      if (message.sender !== this.#user) room.unread = Math.min(room.unread + 1, MOST_UNREAD);
    }
    if (isNew || !room.last) {
      room.last = message;
      room.activeAt = message.timestamp;
    }
    // The list of members may not know the name of somebody who never came.
    const { sender: user, senderName: name } = message;
    if (room.direct && name && user !== this.#user) room.peer = { user, name };
  }

  /** The user has seen everything up to `position`. */
  markRead(id, position) {
    const room = this.#byId.get(id);
    if (!room || compare(position, room.read) <= 0) return;
    room.read = position;
    room.unread = 0;
    this.#sendCursor(room);
    this.#tabs.postMessage({ user: this.#user, id, position });
    this.#changed();
  }

  /** Another tab showed the room. */
  #readElsewhere({ id, position }) {
    const room = this.#byId.get(id);
    if (!room || compare(position, room.read) <= 0) return;
    room.read = position;
    if (compare(position, room.head) >= 0) room.unread = 0;
    this.#changed();
  }

  /** Tells the server; without connection, when there is one again. */
  #sendCursor(room) {
    if (compare(room.read, room.readSent) <= 0) return;
    room.cursorTimer ??= setTimeout(() => {
      room.cursorTimer = null;
      const position = room.read;
      const sent = this.#link.send(`/app/rooms/${room.id}/read`, JSON.stringify({ position }));
      sent.then(
        () => (room.readSent = later(room.readSent, position)),
        () => {},
      );
    }, CURSOR_MS);
  }

  async create(fields) {
    return this.#entered(await this.#api.post('/rooms', fields));
  }

  async direct(user) {
    const room = await this.#api.post('/rooms/direct', { user });
    this.hint(user);
    return this.#entered(room);
  }

  async join(id) {
    await this.#api.post(`/rooms/${id}/join`);
    await this.load();
    // What was said before one came is not news.
    const room = this.#byId.get(id);
    if (room) this.markRead(id, room.head);
    return id;
  }

  async leave(id) {
    await this.#api.post(`/rooms/${id}/leave`);
    this.#remove(id, 'You left the room.');
  }

  /** Lets `user`'s pages look for a room that they are now in. */
  hint(user) {
    this.#link.tell(`/user/${user}${HINTS}`, {});
  }

  async #entered({ id }) {
    await this.load();
    return id;
  }

  #remove(id, why) {
    const room = this.#byId.get(id);
    if (!room) return;
    this.#byId.delete(id);
    clearTimeout(room.cursorTimer);
    room.unsubscribe?.();
    this.dispatchEvent(new CustomEvent('removed', { detail: { room, why } }));
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

/** What a room is called. */
export function titleOf(room) {
  if (room.direct && room.peer) return room.peer.name || room.peer.user;
  return room.name || (room.direct ? 'Direct chat' : room.id);
}
