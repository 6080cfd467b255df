// The messages of the open room: what is in view, what is loaded, and what counts as read.

import { el, icon } from './dom.js';
import { Log } from './log.js';
import { messageElement } from './message.js';
import { soon } from './pace.js';
import { compare } from './positions.js';
import { dayName, sameDay, sameMinute } from './times.js';

/** Older messages are asked for when less than this is left above (px). */
const AHEAD = 800;
/** This near to the end counts as being there (px). */
const NEAR = 48;
const GROUP_MS = 5 * 60_000;
const QUIET_MS = 600;
const AGAIN_MS = 5000;

export class Timeline {
  #parts;
  #room;
  #rooms;
  #outbox;
  #receipts;
  #user;
  #log;
  #elements = new Map();
  #days = new Map();
  #divider = el(
    'div',
    { class: 'divider unread', role: 'separator', data: { test: 'divider' } },
    el('span', {}, 'New'),
  );
  /** Messages after this position are under the divider. */
  #readBefore = null;
  #stuck = true;
  #toDivider = false;
  #schedule = soon(() => this.#signal.aborted || this.#render());
  #loadingMore = false;
  #loads = 0;
  #problem = null;
  #signal;

  constructor({ parts, room, rooms, outbox, receipts, api, link, user, signal }) {
    this.#parts = parts;
    this.#room = room;
    this.#rooms = rooms;
    this.#outbox = outbox;
    this.#receipts = receipts;
    this.#user = user;
    this.#signal = signal;
    this.#log = new Log(api, room.id);
    const { timeline, toLatest } = parts;
    toLatest.onclick = () => this.toLatest();
    timeline.addEventListener('scroll', () => this.#scrolled(), { signal, passive: true });
    rooms.addEventListener('message', ({ detail }) => detail.room === room.id && this.#receive(detail), { signal });
    rooms.addEventListener(
      'gap',
      ({ detail }) => detail.room === room.id && this.#try(() => this.#log.missed(detail.position)),
      { signal },
    );
    outbox.addEventListener('stored', ({ detail }) => detail.room === room.id && this.#log.addOwn(detail), { signal });
    outbox.addEventListener('change', ({ detail }) => detail === room.id && this.#schedule(), { signal });
    receipts.addEventListener('change', () => this.#schedule(), { signal });
    link.addEventListener('connected', () => this.#mend(), { signal });
    addEventListener('focus', () => this.#read(), { signal });
    addEventListener('blur', () => this.#lookAway(), { signal });
    document.addEventListener('visibilitychange', () => this.#read(), { signal });
    const observer = new ResizeObserver(() => this.#stuck && this.#toEnd());
    observer.observe(timeline);
    signal.addEventListener('abort', () => observer.disconnect());
    this.#open();
  }

  /** Goes to the newest message. */
  async toLatest() {
    this.#stuck = true;
    if (!this.#log.atHead) await this.#try(() => this.#log.load());
    this.#toEnd();
    this.#schedule();
  }

  /** The user sent something: they are at the end now, and nothing above is new. */
  sent() {
    this.#readBefore = null;
    this.toLatest();
  }

  #open() {
    const { unread, read } = this.#room;
    if (unread > 0) {
      this.#readBefore = read;
      this.#toDivider = true;
      this.#stuck = false;
    }
    this.#try(() => this.#log.load(Math.min(200, Math.max(50, unread + 20))));
  }

  /** Runs a load and shows what comes of it; nothing that it inserts is announced. */
  async #try(load) {
    const { timeline } = this.#parts;
    timeline.setAttribute('aria-live', 'off');
    this.#loads += 1;
    this.#problem = null;
    this.#schedule();
    try {
      await load();
    } catch (problem) {
      this.#problem = problem;
      const isPassing = !problem.status || problem.status === 429 || problem.status >= 500;
      if (isPassing) setTimeout(() => this.#problem === problem && this.#mend(), AGAIN_MS);
    }
    this.#loads -= 1;
    if (this.#signal.aborted) return;
    this.#render();
    setTimeout(() => this.#loads || timeline.setAttribute('aria-live', 'polite'), QUIET_MS);
  }

  #mend() {
    if (!this.#signal.aborted) this.#try(() => this.#log.mend());
  }

  #receive(message) {
    const isRead = this.#isReading() || message.sender === this.#user;
    if (!isRead && this.#readBefore === null) this.#readBefore = this.#room.read;
    this.#log.add(message);
    if (this.#isReading()) this.#rooms.markRead(this.#room.id, message.position);
    this.#schedule();
  }

  /** The user looks away: what comes from now on is new. */
  #lookAway() {
    if (this.#room.unread === 0) this.#readBefore = null;
  }

  #isReading() {
    return this.#stuck && this.#log.loaded && this.#log.atHead && !document.hidden && document.hasFocus();
  }

  #read() {
    const newest = this.#log.messages.at(-1);
    if (newest && this.#isReading()) this.#rooms.markRead(this.#room.id, newest.position);
  }

  #scrolled() {
    const { timeline } = this.#parts;
    const below = timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight;
    this.#stuck = below < NEAR && this.#log.atHead;
    if (timeline.scrollTop < AHEAD && this.#log.hasOlder) this.#more(() => this.#log.older());
    else if (below < AHEAD && !this.#log.atHead) this.#more(() => this.#log.newer());
    this.#read();
    this.#showToLatest();
  }

  async #more(load) {
    if (this.#loadingMore || this.#problem || !this.#log.loaded) return;
    this.#loadingMore = true;
    await this.#try(load);
    this.#loadingMore = false;
    if (!this.#signal.aborted) this.#scrolled();
  }

  #render() {
    if (this.#stuck) this.#log.dropOldest();
    else this.#log.dropNewestIfMany();
    const anchor = this.#stuck ? null : this.#anchor();
    this.#replace(this.#nodes());
    this.#showEdge();
    if (this.#stuck) this.#toEnd();
    else if (this.#toDivider && this.#log.loaded) this.#goToDivider();
    else if (anchor) this.#parts.timeline.scrollTop += anchor.node.getBoundingClientRect().top - anchor.top;
    this.#read();
    this.#showToLatest();
  }

  /** The first message in view, and where it stands. */
  #anchor() {
    const top = this.#parts.timeline.getBoundingClientRect().top;
    for (const { node } of this.#elements.values()) {
      const box = node.getBoundingClientRect();
      if (node.isConnected && box.bottom > top) return { node, top: box.top };
    }
    return null;
  }

  #goToDivider() {
    this.#toDivider = false;
    if (this.#divider.isConnected) this.#divider.scrollIntoView({ block: 'start' });
    else this.#toEnd();
    this.#scrolled();
  }

  #toEnd() {
    this.#parts.timeline.scrollTop = this.#parts.timeline.scrollHeight;
  }

  /** All that is to be shown, in order. */
  #nodes() {
    const nodes = [];
    const elements = new Map();
    const days = new Map();
    const items = this.#items();
    const firstNew = items.find((item) => this.#isNew(item));
    items.forEach((item, index) => {
      const before = items[index - 1];
      const isNewDay = !before || !sameDay(before.message.timestamp, item.message.timestamp);
      if (isNewDay) {
        const day = this.#day(item.message.timestamp);
        days.set(day.dataset.day, day);
        nodes.push(day);
      }
      if (item === firstNew) nodes.push(this.#divider);
      const element = this.#element(item);
      const after = items[index + 1];
      element.update({
        ...item,
        position: item.message.position,
        continued: !isNewDay && item !== firstNew && follows(before, item),
        open:
          after &&
          follows(item, after) &&
          sameMinute(item.message.timestamp, after.message.timestamp) &&
          item.state === 'stored' &&
          item.receipt?.tick === after.receipt?.tick,
      });
      elements.set(item.key, element);
      nodes.push(element.node);
    });
    this.#elements = elements;
    this.#days = days;
    return nodes;
  }

  /** Messages and then what waits to be sent, each with its state. */
  #items() {
    const { messages, atHead } = this.#log;
    const own = new Set();
    const items = messages.map((message) => {
      const isOwn = message.sender === this.#user && message.originId;
      // The element of a message that was sent from here stays the same when it is stored.
      const key = isOwn && !own.has(message.originId) ? `own ${message.originId}` : message.position;
      if (isOwn) own.add(message.originId);
      if (isOwn && this.#outbox.has(message.originId)) return { key, message, state: 'sending' };
      const receipt = message.sender === this.#user ? this.#receipts.of(message) : undefined;
      return { key, message, state: 'stored', receipt };
    });
    if (!atHead) return items;
    for (const { originId, body, at, failed } of this.#outbox.of(this.#room.id)) {
      if (own.has(originId)) continue;
      const message = { originId, body, sender: this.#user, timestamp: at };
      items.push({ key: `own ${originId}`, message, failed, state: failed ? 'failed' : 'sending' });
    }
    return items;
  }

  #isNew({ message }) {
    return (
      this.#readBefore !== null &&
      message.position &&
      message.sender !== this.#user &&
      compare(message.position, this.#readBefore) > 0
    );
  }

  #element({ key, message }) {
    const actions = { retry: (id) => this.#outbox.retry(id), discard: (id) => this.#outbox.discard(id) };
    return this.#elements.get(key) ?? messageElement(message, { isOwn: message.sender === this.#user, actions });
  }

  #day(timestamp) {
    const day = new Date(timestamp).toDateString();
    const node =
      this.#days.get(day) ?? el('div', { class: 'divider', role: 'separator', data: { day } }, el('span', {}));
    node.firstElementChild.textContent = dayName(timestamp);
    return node;
  }

  /** Moves no node that stays, so that focus, selection and the screen reader's place stay too. */
  #replace(nodes) {
    const { messages } = this.#parts;
    const wanted = new Set(nodes);
    for (const node of [...messages.children]) if (!wanted.has(node)) node.remove();
    let at = messages.firstElementChild;
    for (const node of nodes) {
      if (node === at) at = at.nextElementSibling;
      else messages.insertBefore(node, at);
    }
  }

  #showEdge() {
    const { edge, empty, messages } = this.#parts;
    const { loaded, hasOlder } = this.#log;
    const isBlank = !messages.childElementCount;
    edge.replaceChildren();
    empty.hidden = !isBlank;
    if (this.#problem) {
      const again = el(
        'button',
        {
          type: 'button',
          onclick: () =>
            this.#try(() => (this.#log.loaded && this.#log.hasOlder ? this.#log.older() : this.#log.mend())),
        },
        'Try again',
      );
      (isBlank ? empty : edge).replaceChildren(
        el('span', {}, `The messages could not be loaded. ${this.#problem.message}`),
        again,
      );
    } else if (isBlank) {
      empty.replaceChildren(
        ...(loaded
          ? [icon('talk'), el('p', { class: 'empty-title' }, 'No messages yet'), el('p', {}, 'Write the first one.')]
          : [el('p', { class: 'loading' }, 'Loading messages…')]),
      );
    } else if (hasOlder || !loaded) {
      edge.textContent = 'Loading older messages…';
    } else {
      edge.textContent = 'This is where the room begins.';
    }
  }

  #showToLatest() {
    const { toLatest } = this.#parts;
    const { unread } = this.#room;
    toLatest.hidden = this.#stuck || !this.#log.loaded || !this.#log.messages.length;
    toLatest.replaceChildren(icon('down'), unread > 0 ? ` ${unread > 99 ? '99+' : unread} new` : ' Latest');
  }
}

/** Whether `item` belongs to the same breath as `before`. */
function follows(before, item) {
  return (
    before.message.sender === item.message.sender &&
    item.message.timestamp - before.message.timestamp < GROUP_MS &&
    sameDay(before.message.timestamp, item.message.timestamp)
  );
}
