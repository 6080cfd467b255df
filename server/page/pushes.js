// This browser as a device that gets pushes: registering it, and showing what comes.

import { Problem } from './api.js';
import { description, installation } from './device.js';
import { compare } from './positions.js';
import { titleOf } from './rooms.js';

/** Where a server without a provider tells its pushes. */
const PUSHES = '/user/queue/pushes';
const SHOWN = 20;
/** Kinds that take a room's notification away. */
const ENDS = ['read', 'sync'];

/** Event: `change` when a push came, or `marked` changed. */
export class Pushes extends EventTarget {
  /** The last ones, newest first, to any device of the user's. */
  latest = [];
  /** Something came for a hidden page that may show no notification. */
  marked = false;

  #api;
  #rooms;
  #registered = false;
  /** By room: `{ notification, position }`. */
  #shown = new Map();

  constructor({ api, link, rooms, signal }) {
    super();
    this.#api = api;
    this.#rooms = rooms;
    link.subscribe(PUSHES, { message: ({ body }) => this.#receive(JSON.parse(body)) });
    link.addEventListener('connected', () => this.#registered || this.register(), { signal });
    rooms.addEventListener('change', () => this.#dropRead(), { signal });
    rooms.addEventListener('removed', ({ detail }) => this.#drop(detail.room.id), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.#mark(false), { signal });
    signal.addEventListener('abort', () => this.#shown.forEach((_, room) => this.#drop(room)));
  }

  /** Makes this browser a device of the user's; tried again with the next connection if it fails. */
  async register() {
    try {
      await this.#api.put(`/me/devices/${installation}`, description());
      this.#registered = true;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#registered = false;
    }
  }

  /** granted, default (one may ask) or denied. */
  get permission() {
    return globalThis.Notification?.permission ?? 'denied';
  }

  /** Asks the user, on whose click this is. */
  async ask() {
    await globalThis.Notification?.requestPermission();
    this.dispatchEvent(new Event('change'));
  }

  #receive(push) {
    const isOwn = push.installation === installation;
    this.latest = [{ ...push, isOwn, at: Date.now() }, ...this.latest].slice(0, SHOWN);
    const room = isOwn && this.#rooms.get(push.room);
    if (room && push.type === 'message' && document.hidden && isUnread(room, push.position)) this.#show(room, push);
    if (room && ENDS.includes(push.type)) this.#drop(room.id);
    this.dispatchEvent(new Event('change'));
  }

  #show(room, { title, text, body, position }) {
    try {
      if (this.permission !== 'granted') throw new TypeError('not permitted');
      const notification = new Notification(title || titleOf(room), {
        body: text ?? body ?? '',
        tag: room.id,
        icon: '/page/icon.svg',
      });
      notification.onclick = () => {
        window.focus();
        location.hash = `#/rooms/${room.id}`;
        notification.close();
      };
      this.#shown.set(room.id, { notification, position });
    } catch {
      // Not permitted, or a browser that shows them for service workers only.
      this.#mark(true);
    }
  }

  #dropRead() {
    for (const [id, { position }] of this.#shown) {
      const room = this.#rooms.get(id);
      if (room && !isUnread(room, position)) this.#drop(id);
    }
    if (this.marked && !this.#rooms.unread) this.#mark(false);
  }

  #drop(id) {
    this.#shown.get(id)?.notification.close();
    this.#shown.delete(id);
  }

  #mark(marked) {
    if (this.marked === marked) return;
    this.marked = marked;
    this.dispatchEvent(new Event('change'));
  }
}

const isUnread = (room, position) => !position || compare(position, room.read) > 0;
