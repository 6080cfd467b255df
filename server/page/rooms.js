// The user's rooms: what is new in them, what was read, and their live subscriptions.

import { all } from './api.js';
import { atMostEvery } from './pace.js';
import { NONE, compare, later } from './positions.js';

const SUBSCRIBED = 100;
const MOST_UNREAD = 100;
const PACE_MS = 1000;
const CURSOR_MS = 500;
const GONE = 'You are no longer a member of this room.';

/** What changed for the user in any room: this page's rooms, and other windows' reading. */
const INBOX = '/user/queue/inbox';

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
  /** Up to here the inbox was read. */
  #inbox = null;
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
    link.subscribe(INBOX, {
      headers: () => (this.#inbox ? { since: this.#inbox } : {}),
      receipt: (headers) => this.#followed(headers),
      message: ({ headers, body }) => {
        this.#inbox = headers.position ?? this.#inbox;
        this.#told(JSON.parse(body));
      },
    });
    link.addEventListener('connected', () => this.#connected(), { signal });
    link.addEventListener('refused', loadAgain, { signal });
    this.#tabs.onmessage = ({ data }) => data.user === user && this.#readElsewhere(data);
    signal.addEventListener('abort', () => this.#tabs.close());
    this.load();
  }

  #connected() {
    if (this.problem) this.load();
    for (const room of this.#byId.values()) this.#sendCursor(room);
  }

  /** The inbox tells from now on; unless it goes on where we were, all is read again. */
  #followed({ position, recovered }) {
    if (this.#inbox && recovered === 'true') return;
    this.#inbox = position ?? null;
    this.load();
  }

  /** One room is otherwise than before. */
  #told(event) {
    const id = event.room.id ?? event.room;
    // A list that is on its way may be older than this.
    if (event.type !== 'room' && this.#loading) this.#again = true;
    if (event.type === 'removal') return this.#remove(id, GONE);
    if (event.type !== 'room' && event.type !== 'invitation') return;
    this.#mergeOne(event);
    this.#subscribeSome();
    this.#changed();
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
    const ids = new Set(memberships.map(({ room }) => room.id));
    for (const id of this.#byId.keys()) if (!ids.has(id)) this.#remove(id, GONE);
    for (const membership of memberships) this.#mergeOne(membership);
    this.#subscribeSome();
  }

  /** The messages of a hundred rooms come by themselves. */
  #subscribeSome() {
    const rooms = [...this.#byId.values()];
    const free = SUBSCRIBED - rooms.filter(({ unsubscribe }) => unsubscribe).length;
    const waiting = rooms
      .filter(({ unsubscribe }) => !unsubscribe)
      .sort((a, b) => b.unread - a.unread || b.createdAt - a.createdAt);
    for (const room of waiting.slice(0, Math.max(0, free))) this.#subscribe(room);
  }

  #mergeOne({ room: { id, name, visibility, direct, createdAt }, role, mutedUntil, head, read, unread, last, at }) {
    const known = this.#byId.get(id);
    const room = known ?? { id, head, read, readSent: read, unread, activeAt: at ?? createdAt };
    Object.assign(room, { name, visibility, direct, createdAt, role, mutedUntil });
    this.#mergeUnread(room, { head, read, unread, last });
    if (last) this.#showLast(room, last);
    if (known) return;
    this.#byId.set(id, room);
    if (direct) this.#findPeer(room);
  }

  /** Live messages and our own reading may have gone past what the server says here. */
  #mergeUnread(room, { head, read, unread, last }) {
    const [ahead, reading] = [compare(head, room.head), compare(read, room.read)];
    if (reading < 0) return;
    room.read = read;
    room.readSent = later(room.readSent, read);
    if (ahead < 0) {
      if (compare(read, room.head) >= 0) room.unread = 0;
      return;
    }
    // A message of our own counts until it is read, which is what happens to it next.
    const isOwn = last?.sender === this.#user && last.position === head && unread <= room.unread + 1;
    if (reading > 0 || !isOwn) room.unread = unread;
    room.head = head;
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
    this.#showLast(room, message);
    // The list of members may not know the name of somebody who never came.
    const { sender: user, senderName: name } = message;
    if (room.direct && name && user !== this.#user) room.peer = { user, name };
  }

  /** What the list shows of a room. */
  #showLast(room, message) {
    if (room.last && compare(message.position, room.last.position) <= 0) return;
    room.last = message;
    room.activeAt = message.timestamp;
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

  /** Another tab of this browser showed the room. */
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
    room.sendCursor ??= atMostEvery(CURSOR_MS, () => {
      const position = room.read;
      if (this.#byId.get(room.id) !== room || compare(position, room.readSent) <= 0) return;
      const sent = this.#link.send(`/app/rooms/${room.id}/read`, JSON.stringify({ position }));
      sent.then(
        () => (room.readSent = later(room.readSent, position)),
        () => {},
      );
    });
    room.sendCursor();
  }

  async create(fields) {
    return this.#entered(await this.#api.post('/rooms', fields));
  }

  async direct(user) {
    return this.#entered(await this.#api.post('/rooms/direct', { user }));
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

  async #entered({ id }) {
    await this.load();
    return id;
  }

  #remove(id, why) {
    const room = this.#byId.get(id);
    if (!room) return;
    this.#byId.delete(id);
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
