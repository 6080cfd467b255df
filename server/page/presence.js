// Who is here, away and typing, from the events of the open room and its list of members.

import { el } from './dom.js';
import { seenAt } from './times.js';

const FORGET_MS = 6000;
const NAMED = 3;

/** Event: `change` when somebody came, went or looked away. */
export class Presence extends EventTarget {
  #parts;
  #room;
  #user;
  /** Of those who are here: `{ name, away }`. */
  #here = new Map();
  /** When those who went were seen last, null where nobody says. */
  #gone = new Map();
  #members = new Map();
  #more = 0;
  #known = false;
  #typing = new Map();

  constructor({ parts, room, rooms, link, user, events, signal }) {
    super();
    this.#parts = parts;
    this.#room = room;
    this.#user = user;
    const on = (type, action) => events.addEventListener(type, ({ detail }) => action(detail), { signal });
    on('typing', ({ user, name, typing }) => this.#types(user, typing ? name || user : null));
    on('here', (event) => this.#arrived(event));
    on('presence', (event) => this.#moved(event));
    // Either may be told by itself.
    on('away', ({ users }) => this.#moved({ away: users }));
    on('back', ({ users }) => this.#moved({ back: users }));
    link.addEventListener('state', () => link.state === 'connected' || this.#clear(), { signal });
    rooms.addEventListener('message', ({ detail }) => detail.room === room.id && this.#types(detail.sender, null), {
      signal,
    });
    // The other one of a direct chat may become known later.
    rooms.addEventListener('change', () => room.direct && this.#showHere(), { signal });
    signal.addEventListener('abort', () => {
      for (const { timer } of this.#typing.values()) clearTimeout(timer);
    });
  }

  /** Members as the server lists them, which is the truth of this moment. */
  take(members) {
    for (const member of members) {
      const { presence, lastSeen } = this.#members.get(member.user) ?? {};
      if (member.presence) this.#gone.delete(member.user);
      // While the server does not know how they are there, it is as it was known before.
      this.#members.set(member.user, member.presence ? member : { ...member, presence, lastSeen });
    }
    this.#showHere();
  }

  /** `{ state, lastSeen }`: online, away, offline or null for nobody knows, and since when if that is known. */
  of(member) {
    const { user } = member;
    const present = this.#here.get(user);
    if (present) return { state: present.away ? 'away' : 'online' };
    if (this.#gone.has(user)) return { state: 'offline', lastSeen: this.#gone.get(user) };
    const { presence, lastSeen } = member.presence ? member : (this.#members.get(user) ?? {});
    return { state: presence ?? null, lastSeen };
  }

  /** How many are here, as far as it is known. */
  get count() {
    return this.#here.size + this.#more;
  }

  #arrived({ users, count }) {
    this.#known = true;
    this.#here = new Map(users.map((person) => [person.user, present(person)]));
    this.#more = Math.max(0, count - users.length);
    this.#showHere();
  }

  #moved({ arrived = [], departed = [], away = [], back = [] }) {
    for (const person of arrived) this.#here.set(person.user, present(person));
    for (const { user, lastSeen } of departed) {
      if (!this.#here.delete(user)) this.#more = Math.max(0, this.#more - 1);
      this.#gone.set(user, lastSeen);
      this.#types(user, null);
    }
    const look = (people, isAway) => {
      for (const person of people) {
        const known = this.#here.get(person.user ?? person);
        if (known) known.away = isAway;
      }
    };
    look(away, true);
    look(back, false);
    this.#showHere();
  }

  #clear() {
    if (!this.#known) return;
    this.#known = false;
    for (const user of [...this.#typing.keys()]) this.#types(user, null);
    this.#showHere();
  }

  /** Without a `name` they stopped. */
  #types(user, name) {
    if (user === this.#user) return;
    clearTimeout(this.#typing.get(user)?.timer);
    if (name) this.#typing.set(user, { name, timer: setTimeout(() => this.#types(user, null), FORGET_MS) });
    else if (!this.#typing.delete(user)) return;
    this.#showTyping();
  }

  #showTyping() {
    const names = [...this.#typing.values()].map(({ name }) => name);
    const { typing } = this.#parts;
    if (!names.length) typing.textContent = '';
    else if (names.length > NAMED) typing.textContent = `${names.length} people are typing…`;
    else typing.textContent = `${list(names)} ${names.length > 1 ? 'are' : 'is'} typing…`;
  }

  #showHere() {
    const { here } = this.#parts;
    const { peer, direct } = this.#room;
    const { state, text, title } = !this.#known
      ? { text: '' }
      : direct && peer
        ? this.#peer(this.of(this.#members.get(peer.user) ?? peer))
        : this.#everybody();
    here.title = title ?? '';
    here.replaceChildren(...(state ? [el('span', { class: `state ${state}`, 'aria-hidden': 'true' })] : []), text);
    here.dataset.state = state ?? '';
    this.dispatchEvent(new Event('change'));
  }

  #peer({ state, lastSeen }) {
    if (state === 'online') return { state, text: 'Online' };
    if (state === 'away') return { state, text: 'Away' };
    if (!state) return { text: '' };
    return { text: lastSeen ? `Last seen ${seenAt(lastSeen)}` : 'Offline' };
  }

  #everybody() {
    const others = [...this.#here].filter(([user]) => user !== this.#user).map(([, person]) => person);
    const named = (isAway) => others.filter(({ away }) => away === isAway).map(({ name }) => name);
    const [active, away] = [named(false), named(true)];
    const count = others.length + this.#more;
    const title = others.map(({ name, away }) => (away ? `${name} (away)` : name)).join(', ');
    if (!count) return { text: 'Only you are here' };
    const state = active.length + this.#more ? 'online' : 'away';
    if (count > NAMED) {
      return { state, title, text: `${count + 1} people are here${away.length ? `, ${away.length} of them away` : ''}` };
    }
    const parts = [
      active.length && `${list(active)} ${active.length > 1 ? 'are' : 'is'} here`,
      away.length && `${list(away)} ${away.length > 1 ? 'are' : 'is'} away`,
    ];
    return { state, title, text: parts.filter(Boolean).join(', ') };
  }
}

const present = ({ user, name, away }) => ({ name: name || user, away: Boolean(away) });

const list = (names) => (names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`);
