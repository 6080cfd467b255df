// The right side: the open room, or why none is open.

import { all } from './api.js';
import { Composer } from './composer.js';
import { avatar, el, fromTemplate, icon } from './dom.js';
import { linkBadge } from './link-badge.js';
import { Members } from './members.js';
import { atMostEvery } from './pace.js';
import { Presence } from './presence.js';
import { Receipts } from './receipts.js';
import { RoomEvents } from './room-events.js';
import { titleOf } from './rooms.js';
import { Timeline } from './timeline.js';

const PACE_MS = 1000;
/** Members whose cursors and presence are looked up. */
const LOOKED_UP = 200;
const LOOK_MS = 30_000;
/** For each who is here, the moments at which they read the members again are spread so much more. */
const SPREAD_MS = 3;
const SPREAD_MOST_MS = 30_000;

export class Chat {
  #app;
  #place;
  #end = null;
  /** Whether the list was there to look the room up. */
  #looked = false;
  #fromList = false;
  /** The id of the room that is shown, null for none. */
  room;

  /** `app` holds api, link, rooms, outbox, user and the signal that ends it all. */
  constructor(app, place) {
    this.#app = app;
    this.#place = place;
    app.rooms.addEventListener('removed', ({ detail }) => detail.room.id === this.room && this.#gone(detail), {
      signal: app.signal,
    });
    app.rooms.addEventListener('change', () => this.#arrived(), { signal: app.signal });
    app.signal.addEventListener('abort', () => this.#end?.abort());
  }

  /** Shows room `id`, or a blank page for null; `fromList` says that one came from the list of rooms. */
  show(id, { fromList = this.#fromList } = {}) {
    this.#end?.abort();
    this.#end = null;
    this.room = id;
    this.#fromList = fromList;
    const { rooms } = this.#app;
    this.#looked = rooms.loaded;
    if (id === null)
      return this.#say(icon('talk'), title('Choose a room'), el('p', {}, 'Your conversations open here.'));
    const room = rooms.get(id);
    if (room) return this.#open(room);
    if (rooms.loaded) this.#offer(id);
    else this.#say(el('p', { class: 'loading' }, 'Opening the room…'));
  }

  /** The list came, or the room that was asked for came into it. */
  #arrived() {
    const { rooms } = this.#app;
    if (!this.room || this.#end || !rooms.loaded) return;
    if (!this.#looked || rooms.get(this.room)) this.show(this.room);
  }

  #open(room) {
    const { api, link, rooms, outbox, user, signal } = this.#app;
    this.#end = new AbortController();
    const app = { api, link, rooms, outbox, user, room, signal: this.#end.signal, parts: fromTemplate('room') };
    const { parts } = app;
    rooms.open(room.id);
    parts.back.append(icon('back'));
    parts.back.onclick = (event) => this.#back(event);
    parts.linkPlace.append(linkBadge(link, app.signal));
    this.#place.replaceChildren(parts.root);

    app.events = new RoomEvents(app);
    app.receipts = new Receipts(app);
    app.presence = new Presence(app);
    const members = new Members(app);
    const timeline = new Timeline(app);
    const lookUp = async () => {
      const path = `/rooms/${room.id}/members`;
      const some = await all(api, path, 'members', LOOKED_UP).catch(() => null);
      if (!some || app.signal.aborted) return;
      app.receipts.take(some, { whole: some.length < LOOKED_UP });
      app.presence.take(some);
    };
    const readAgain = () => {
      // Perhaps this was how we ceased to be one.
      if (app.signal.aborted) return;
      lookUp();
      members.load();
    };
    // All who are here are told at once. What it means for us, the inbox tells.
    const spread = () => Math.min(SPREAD_MOST_MS, SPREAD_MS * app.presence.count);
    const memberships = atMostEvery(PACE_MS, readAgain, spread);
    app.events.addEventListener('ready', lookUp);
    // The other one of a direct chat may be online without reading it, of which no event tells.
    const timer = room.direct && setInterval(() => document.hidden || lookUp(), LOOK_MS);
    app.signal.addEventListener('abort', () => clearInterval(timer));
    app.events.addEventListener('members', memberships);
    app.presence.addEventListener('change', () => members.show());
    const composer = new Composer({
      ...app,
      room: room.id,
      onSend: (text) => {
        outbox.post(room.id, text);
        timeline.sent();
      },
      onTyping: (typing) => link.state === 'connected' && link.tell(`/app/rooms/${room.id}/typing`, { typing }),
    });
    const showRoom = () => {
      parts.title.textContent = titleOf(room);
      composer.mute(room.mutedUntil ?? 0);
      // What we may do there is what our role says.
      members.show();
    };
    rooms.addEventListener('change', showRoom, { signal: app.signal });
    showRoom();
    // On a phone the keyboard would cover half of what one came to read.
    if (matchMedia('(pointer: coarse)').matches) parts.title.focus();
    else composer.focus();
  }

  /** A room that is not the user's: perhaps they may join. */
  async #offer(id) {
    const { api, rooms } = this.#app;
    this.#say(el('p', { class: 'loading' }, 'Looking for the room…'));
    const isStill = () => this.room === id && !this.#end;
    try {
      const room = await api.get(`/rooms/${id}`);
      if (!isStill()) return;
      const problem = el('p', { class: 'problem', role: 'alert' });
      const join = el('button', { class: 'main', data: { test: 'join' } }, 'Join the room');
      join.onclick = () => rooms.join(id).catch(({ message }) => (problem.textContent = message));
      this.#say(
        avatar(id, room.name),
        title(titleOf(room)),
        el('p', {}, 'A public room. You are not a member yet.'),
        join,
        problem,
      );
    } catch ({ message }) {
      if (isStill()) this.#say(title('This room cannot be opened'), el('p', {}, message));
    }
  }

  #gone({ room, why }) {
    this.#end?.abort();
    this.#end = null;
    this.#say(title(titleOf(room)), el('p', { role: 'alert' }, why));
  }

  /** Goes back where one came from, so that a phone's own back button does not return here. */
  #back(event) {
    if (!this.#fromList) return;
    event.preventDefault();
    history.back();
  }

  #say(...content) {
    const back = el('a', { class: 'round back', href: '#/', 'aria-label': 'Back to the rooms' }, icon('back'));
    back.onclick = (event) => this.#back(event);
    this.#place.replaceChildren(
      el('header', { class: 'bar blank' }, this.room && back),
      el('div', { class: 'empty' }, ...content),
    );
  }
}

const title = (text) => el('h1', { class: 'empty-title' }, text);
