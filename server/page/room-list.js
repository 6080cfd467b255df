// The list of the user's rooms.

import { avatar, el, icon } from './dom.js';
import { titleOf } from './rooms.js';
import { briefly, dateAndTime } from './times.js';

const PREVIEW = 120;

/** Fills `list`, and `empty` when there is nothing to list. Elements stay while their room does. */
export class RoomList {
  #parts;
  #rooms;
  #user;
  #items = new Map();
  #current = null;

  constructor({ parts, rooms, user, onNew }) {
    this.#parts = parts;
    this.#rooms = rooms;
    this.#user = user;
    this.onNew = onNew;
  }

  /** `current` is the id of the open room. */
  show(current = this.#current) {
    this.#current = current;
    const rooms = this.#rooms.sorted();
    const wanted = rooms.map((room) => this.#item(room));
    for (const [id, { node }] of this.#items) {
      if (wanted.includes(node)) continue;
      node.remove();
      this.#items.delete(id);
    }
    const { list } = this.#parts;
    wanted.forEach(
      (node, index) => list.children[index] === node || list.insertBefore(node, list.children[index] ?? null),
    );
    list.hidden = !rooms.length;
    this.#showEmpty(rooms.length);
  }

  focus(id) {
    (this.#items.get(id) ?? this.#items.values().next().value)?.link.focus();
  }

  #item(room) {
    const title = titleOf(room);
    let item = this.#items.get(room.id);
    if (!item) this.#items.set(room.id, (item = makeItem(room)));
    // The colour of a direct chat is the other one's.
    if (item.title !== title) {
      item.title = title;
      item.name.textContent = title;
      item.link.firstElementChild.replaceWith(avatar(room.peer?.user ?? room.id, title));
    }
    item.lock.toggleAttribute('hidden', room.direct || room.visibility === 'public');
    item.time.textContent = briefly(room.activeAt);
    item.time.dateTime = new Date(room.activeAt).toISOString();
    item.time.title = dateAndTime(room.activeAt);
    item.preview.textContent = this.#preview(room);
    item.badge.hidden = room.unread === 0;
    item.count.textContent = room.unread > 99 ? '99+' : String(room.unread);
    if (room.id === this.#current) item.link.setAttribute('aria-current', 'page');
    else item.link.removeAttribute('aria-current');
    return item.node;
  }

  #preview(room) {
    if (!room.last) return 'No messages yet';
    const { sender, senderName, body } = room.last;
    const text = body === undefined ? 'Sent data' : body.slice(0, PREVIEW);
    if (sender === this.#user) return `You: ${text}`;
    return room.direct ? text : `${senderName || sender}: ${text}`;
  }

  #showEmpty(count) {
    const { listEmpty } = this.#parts;
    listEmpty.hidden = count > 0;
    if (count > 0) return;
    const { loaded, problem } = this.#rooms;
    if (loaded) {
      listEmpty.replaceChildren(
        icon('talk'),
        el('p', { class: 'empty-title' }, 'No rooms yet'),
        el('p', {}, 'Find a public room, make your own, or write to somebody.'),
        el('button', { class: 'main', onclick: this.onNew }, 'Find or start a chat'),
      );
    } else if (problem) {
      listEmpty.replaceChildren(
        el('p', { class: 'empty-title' }, 'The rooms could not be loaded'),
        el('p', {}, problem.message),
        el('button', { onclick: () => this.#rooms.load() }, 'Try again'),
      );
    } else {
      listEmpty.replaceChildren(el('p', { class: 'loading' }, 'Loading your rooms…'));
    }
  }
}

function makeItem(room) {
  const item = {
    name: el('span', { class: 'room-name' }),
    lock: icon('lock'),
    time: el('time', {}),
    preview: el('span', { class: 'preview' }),
    count: el('span', {}),
  };
  item.badge = el(
    'span',
    { class: 'badge', data: { test: 'badge' } },
    item.count,
    el('span', { class: 'quiet' }, ' unread'),
  );
  item.link = el(
    'a',
    { href: `#/rooms/${room.id}`, class: 'room-item', data: { test: 'room', room: room.id } },
    el('span'),
    el('span', { class: 'room-top' }, item.name, item.lock, item.time),
    el('span', { class: 'room-bottom' }, item.preview, item.badge),
  );
  item.node = el('li', {}, item.link);
  return item;
}
