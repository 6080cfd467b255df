// How far the others of the open room were given its messages and have read them: what ticks show.

import { rank } from './positions.js';

/** Among more than these never all have a message: one is enough for a tick. */
const MANY = 100;

/** Event: `change`. */
export class Receipts extends EventTarget {
  #user;
  #others = new Map();
  #answers = new WeakMap();

  constructor({ user, events, signal }) {
    super();
    this.#user = user;
    for (const kind of ['read', 'delivered'])
      events.addEventListener(kind, ({ detail }) => this.#moved(detail.user, { [kind]: detail.position }), { signal });
  }

  /** The members as the server lists them; `whole` says that these are all. */
  take(members, { whole }) {
    const present = members.filter(({ user, banned }) => user !== this.#user && !banned);
    const users = new Set(present.map(({ user }) => user));
    for (const user of this.#others.keys()) if (whole && !users.has(user)) this.#others.delete(user);
    for (const { user, joinedAt, read, delivered } of present) {
      this.#put(user, { read, delivered });
      this.#others.get(user).joinedAt = joinedAt;
    }
    this.#changed();
  }

  /** Of a stored message of one's own: `{ tick, text }`, where `tick` is stored, delivered or read. */
  of(message) {
    let answer = this.#answers.get(message);
    if (!answer) this.#answers.set(message, (answer = this.#count(rank(message.position), message.timestamp)));
    return answer;
  }

  #count(at, timestamp) {
    let [others, delivered, read] = [0, 0, 0];
    for (const other of this.#others.values()) {
      // Who came later has it only as far as they look back.
      if (other.joinedAt > timestamp && other.read < at) continue;
      others += 1;
      if (other.read >= at) read += 1;
      if (other.read >= at || other.delivered >= at) delivered += 1;
    }
    const enough = others > MANY ? 1 : Math.max(1, others);
    const tick = read >= enough ? 'read' : delivered >= enough ? 'delivered' : 'stored';
    return { tick, text: words(tick, { others, delivered, read }) };
  }

  #moved(user, positions) {
    if (user === this.#user) return;
    this.#put(user, positions);
    this.#changed();
  }

  /** Cursors only move forward; an answer of the server may be older than what it told meanwhile. */
  #put(user, { read, delivered }) {
    const other = this.#others.get(user) ?? { joinedAt: 0, read: 0n, delivered: 0n };
    if (read && rank(read) > other.read) other.read = rank(read);
    if (delivered && rank(delivered) > other.delivered) other.delivered = rank(delivered);
    this.#others.set(user, other);
  }

  #changed() {
    this.#answers = new WeakMap();
    this.dispatchEvent(new Event('change'));
  }
}

function words(tick, { others, delivered, read }) {
  if (!delivered) return 'Sent';
  if (others === 1) return tick === 'read' ? 'Read' : 'Delivered';
  if (read === others) return `Read by all ${others}`;
  return `Delivered to ${delivered} of ${others}${read ? `, read by ${read}` : ''}`;
}
