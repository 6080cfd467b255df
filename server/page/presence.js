// Who is here and who is typing, from the events of the open room.

const FORGET_MS = 6000;
const NAMED = 3;

/** `onMembers()` is called when memberships or the room itself changed, `onHere()` when somebody came or went. */
export class Presence {
  #parts;
  #user;
  #here = new Map();
  #more = 0;
  #known = false;
  #typing = new Map();
  #on;

  constructor({ parts, room, rooms, link, user, signal, onMembers, onHere }) {
    this.#parts = parts;
    this.#user = user;
    this.#on = { onMembers, onHere };
    const end = link.subscribe(`/topic/rooms/${room.id}/events`, {
      message: ({ body }) => this.#receive(JSON.parse(body)),
    });
    link.addEventListener('state', () => link.state === 'connected' || this.#clear(), { signal });
    rooms.addEventListener('message', ({ detail }) => detail.room === room.id && this.#types(detail.sender, null), {
      signal,
    });
    signal.addEventListener('abort', () => {
      end();
      for (const { timer } of this.#typing.values()) clearTimeout(timer);
    });
  }

  has(user) {
    return this.#here.has(user);
  }

  #receive(event) {
    if (event.type === 'typing') this.#types(event.user, event.typing ? event.name || event.user : null);
    if (event.type === 'here') this.#arrived(event);
    if (event.type === 'presence') this.#moved(event);
    if (event.type === 'members' || event.type === 'room') this.#on.onMembers();
  }

  #arrived({ users, count }) {
    this.#known = true;
    this.#here = new Map(users.map(({ user, name }) => [user, name || user]));
    this.#more = Math.max(0, count - users.length);
    this.#showHere();
  }

  #moved({ arrived = [], departed = [] }) {
    for (const { user, name } of arrived) this.#here.set(user, name || user);
    for (const { user } of departed) {
      if (!this.#here.delete(user)) this.#more = Math.max(0, this.#more - 1);
      this.#types(user, null);
    }
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
    const others = [...this.#here].filter(([user]) => user !== this.#user).map(([, name]) => name);
    const count = others.length + this.#more;
    const { here } = this.#parts;
    here.title = others.join(', ');
    if (!this.#known) here.textContent = '';
    else if (!count) here.textContent = 'Only you are here';
    else if (count > NAMED) here.textContent = `${count + 1} people are here`;
    else here.textContent = `${list(others)} ${count > 1 ? 'are' : 'is'} here`;
    this.#on.onHere();
  }
}

const list = (names) => (names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`);
