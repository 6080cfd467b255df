// The people of a room, and what an owner or an admin may do with them.

import { all } from './api.js';
import { ask } from './ask.js';
import { avatar, el, icon, notify } from './dom.js';
import { submits } from './sheet.js';
import { titleOf } from './rooms.js';
import { dateAndTime, seenAt } from './times.js';

const HOUR = 3_600_000;
const RANK = { owner: 2, admin: 1, member: 0 };

export class Members {
  #parts;
  #api;
  #room;
  #rooms;
  #user;
  #presence;
  #members = [];
  #items = new Map();

  constructor({ parts, api, room, rooms, user, presence }) {
    this.#parts = parts;
    this.#api = api;
    this.#room = room;
    this.#rooms = rooms;
    this.#user = user;
    this.#presence = presence;
    parts.closePeople.append(icon('close'));
    parts.toggle.append(icon('people'));
    parts.toggle.onclick = () => this.#toggle(parts.people.hidden);
    parts.closePeople.onclick = () => this.#toggle(false);
    parts.people.addEventListener('click', ({ target }) => this.#closeMenus(target));
    parts.people.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && !this.#closeMenus(null)) this.#toggle(false);
    });
    submits(parts.addForm, parts.peopleProblem, () => this.#add(parts.addUser.value.trim()));
  }

  /** Reads the list again, if it is open. */
  async load() {
    if (this.#parts.people.hidden) return;
    try {
      const members = await all(this.#api, `/rooms/${this.#room.id}/members`, 'members');
      // Sorted only now, so that the list stands still while people come and go.
      this.#members = members.sort(
        (a, b) =>
          this.#isHere(b) - this.#isHere(a) || RANK[b.role] - RANK[a.role] || called(a).localeCompare(called(b)),
      );
      this.#parts.peopleProblem.textContent = '';
    } catch ({ message }) {
      this.#parts.peopleProblem.textContent = message;
    }
    this.show();
  }

  show() {
    const { people, peopleTitle, members, addForm, actions } = this.#parts;
    if (people.hidden) return;
    const mine = RANK[this.#room.role];
    peopleTitle.textContent = this.#members.length
      ? `People (${this.#members.filter(({ banned }) => !banned).length})`
      : 'People';
    const nodes = this.#members.map((member) => this.#item(member, mine));
    if (nodes.length !== members.children.length || nodes.some((node, index) => node !== members.children[index]))
      members.replaceChildren(...nodes);
    addForm.hidden = mine < RANK.admin || this.#room.direct;
    const version = [mine, this.#room.visibility].join();
    if (actions.dataset.version !== version) actions.replaceChildren(...this.#actions(mine));
    actions.dataset.version = version;
  }

  #toggle(open) {
    const { people, toggle, peopleTitle } = this.#parts;
    people.hidden = !open;
    toggle.setAttribute('aria-expanded', String(open));
    if (open) {
      peopleTitle.focus();
      this.load();
    } else {
      toggle.focus();
    }
  }

  /** Closes the menus that `target` is not in, and says whether there was one. */
  #closeMenus(target) {
    const open = [...this.#parts.members.querySelectorAll('details[open]')].filter((menu) => !menu.contains(target));
    for (const menu of open) {
      menu.open = false;
      if (menu.contains(document.activeElement)) menu.firstElementChild.focus();
    }
    return open.length > 0;
  }

  #isHere(member) {
    return Number(['online', 'away'].includes(this.#presence.of(member).state));
  }

  /** The element of a member, made anew only when something but their presence changed. */
  #item(member, mine) {
    const { user, name, role, banned, mutedUntil } = member;
    const version = [name, role, banned, mutedUntil, mine].join();
    let item = this.#items.get(user);
    if (item?.version !== version) this.#items.set(user, (item = this.#makeItem(member, mine, version)));
    const { state, lastSeen } = this.#presence.of(member);
    item.face.dataset.state = state ?? '';
    const seen = state === 'offline' ? this.#room.direct && lastSeen && `last seen ${seenAt(lastSeen)}` : state;
    item.note.textContent = seen ? `${user}, ${seen}` : user;
    return item.node;
  }

  #makeItem(member, mine, version) {
    const { user, role, banned, mutedUntil } = member;
    const marks = [role !== 'member' && role, banned && 'banned', mutedUntil > Date.now() && 'muted'].filter(Boolean);
    const face = avatar(user, called(member));
    const note = el('small');
    const deeds = this.#deeds(member, mine);
    const node = el(
      'li',
      { data: { test: 'member', user } },
      face,
      el('span', { class: 'found-name' }, el('b', {}, called(member), user === this.#user && ' (you)'), note),
      ...marks.map((mark) =>
        el('span', { class: `chip ${mark}`, title: mark === 'muted' ? `Until ${dateAndTime(mutedUntil)}` : '' }, mark),
      ),
      deeds.length > 0 &&
        el(
          'details',
          { class: 'deeds' },
          el('summary', { class: 'round', 'aria-label': `What to do with ${called(member)}` }, icon('more')),
          el('div', { class: 'menu' }, ...deeds),
        ),
    );
    return { version, node, face, note };
  }

  /** Owners do all; admins act on plain members. */
  #deeds({ user, name, role, banned, mutedUntil }, mine) {
    const isOwner = mine === RANK.owner;
    if (user === this.#user || this.#room.direct || mine < RANK.admin || !(isOwner || RANK[role] < RANK.admin))
      return [];
    const put = (text, change) => this.#deed(text, () => this.#put(user, change));
    if (banned) return [put('Lift the ban', { banned: false })];
    const isMuted = mutedUntil > Date.now();
    return [
      isMuted && put('Unmute', { mutedUntil: null }),
      !isMuted && this.#deed('Mute for an hour', () => this.#put(user, { mutedUntil: Date.now() + HOUR })),
      !isMuted && this.#deed('Mute for a day', () => this.#put(user, { mutedUntil: Date.now() + 24 * HOUR })),
      isOwner && role !== 'member' && put('Make a plain member', { role: 'member' }),
      isOwner && role !== 'admin' && put('Make an admin', { role: 'admin' }),
      isOwner && role !== 'owner' && put('Make an owner', { role: 'owner' }),
      this.#deed('Remove from the room', async () => {
        const isSure = await ask({
          title: `Remove ${name || user}?`,
          text: 'They can be added or join again.',
          yes: 'Remove',
          danger: true,
        });
        if (isSure) await this.#api.delete(this.#path(user));
      }),
      this.#deed('Ban', async () => {
        const isSure = await ask({
          title: `Ban ${name || user}?`,
          text: 'They cannot read, write or join until the ban is lifted.',
          yes: 'Ban',
          danger: true,
        });
        if (isSure) await this.#put(user, { banned: true });
      }),
    ].filter(Boolean);
  }

  #actions(mine) {
    const { id, direct } = this.#room;
    const change = (fields) => this.#api.patch(`/rooms/${id}`, fields);
    return [
      mine >= RANK.admin &&
        !direct &&
        this.#deed('Rename the room', async () => {
          const name = await ask({
            title: 'Rename the room',
            label: 'Name',
            value: this.#room.name ?? '',
            yes: 'Rename',
          });
          if (name) await change({ name });
        }),
      mine === RANK.owner &&
        !direct &&
        this.#deed(this.#room.visibility === 'public' ? 'Make it private' : 'Make it public', () =>
          change({ visibility: this.#room.visibility === 'public' ? 'private' : 'public' }),
        ),
      this.#deed('Leave the room', async () => {
        const isSure = await ask({ title: `Leave ${titleOf(this.#room)}?`, yes: 'Leave', danger: true });
        if (isSure) await this.#rooms.leave(id);
      }),
      mine === RANK.owner &&
        !direct &&
        this.#deed(
          'Delete the room',
          async () => {
            const isSure = await ask({
              title: `Delete ${titleOf(this.#room)}?`,
              text: 'The room and its messages go for everybody. This cannot be undone.',
              yes: 'Delete',
              danger: true,
            });
            if (isSure) await this.#api.delete(`/rooms/${id}`);
          },
          'danger',
        ),
    ].filter(Boolean);
  }

  /** A button whose refusal is shown in the panel. */
  #deed(text, action, className = '') {
    const button = el('button', { type: 'button', class: className }, text);
    button.onclick = async () => {
      button.closest('details')?.removeAttribute('open');
      try {
        await action();
        await this.#rooms.load();
        this.load();
      } catch ({ message }) {
        this.#parts.peopleProblem.textContent = message;
      }
    };
    return button;
  }

  #put(user, change) {
    return this.#api.put(this.#path(user), change);
  }

  async #add(user) {
    if (!user) return;
    await this.#api.put(this.#path(user), {});
    this.#parts.addUser.value = '';
    notify(`${user} was added.`);
    this.load();
  }

  #path(user) {
    return `/rooms/${this.#room.id}/members/${encodeURIComponent(user)}`;
  }
}

const called = ({ user, name }) => name || user;
