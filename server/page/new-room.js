// Finding a public room, making one, writing to somebody.

import { Problem, all } from './api.js';
import { avatar, el } from './dom.js';
import { sheet, submits } from './sheet.js';

const SHOWN = 100;

/** Opens the dialog; `go(id)` shows the room that comes of it. */
export function newRoom({ api, rooms, go, signal }) {
  const parts = sheet('new-room', signal);
  const { root, problem } = parts;
  const kinds = { find: parts.toFind, create: parts.toCreate, direct: parts.toDirect };
  const first = { find: parts.search, create: parts.roomName, direct: parts.peer };
  let publicRooms = null;

  function choose(kind) {
    for (const [name, button] of Object.entries(kinds)) {
      button.setAttribute('aria-pressed', String(name === kind));
      parts[name].hidden = name !== kind;
    }
    problem.textContent = '';
    // Searching is not all that one can do there, so no keyboard in front of a phone's list.
    if (kind !== 'find' || !matchMedia('(pointer: coarse)').matches) first[kind].focus();
  }

  async function enter(id) {
    go(await id);
    root.close();
  }

  function showFound() {
    const words = parts.search.value.trim().toLowerCase();
    const found = publicRooms.filter(
      ({ id, name = '' }) => id.toLowerCase().includes(words) || name.toLowerCase().includes(words),
    );
    parts.found.replaceChildren(...found.slice(0, SHOWN).map(foundRoom));
    parts.foundNote.textContent = !publicRooms.length
      ? 'There is no public room yet. Make the first one.'
      : !found.length
        ? 'No room is called so.'
        : found.length > SHOWN
          ? `${found.length} rooms; type more to narrow them.`
          : '';
  }

  function foundRoom({ id, name }) {
    const isMine = Boolean(rooms.get(id));
    const button = el(
      'button',
      { type: 'button', data: { test: 'join', room: id }, 'aria-label': `${isMine ? 'Open' : 'Join'} ${name || id}` },
      isMine ? 'Open' : 'Join',
    );
    button.onclick = () => {
      problem.textContent = '';
      enter(isMine ? id : rooms.join(id)).catch(({ message }) => (problem.textContent = message));
    };
    return el(
      'li',
      {},
      avatar(id, name),
      el('span', { class: 'found-name' }, el('b', {}, name || id), el('small', {}, id)),
      button,
    );
  }

  async function loadFound() {
    parts.foundNote.textContent = 'Looking for rooms…';
    try {
      publicRooms = (await all(api, '/rooms', 'rooms')).filter(
        ({ visibility, direct }) => visibility === 'public' && !direct,
      );
      parts.search.oninput = showFound;
      showFound();
    } catch ({ message }) {
      parts.foundNote.textContent = message;
    }
  }

  for (const [kind, button] of Object.entries(kinds)) button.onclick = () => choose(kind);
  submits(parts.create, problem, () => {
    const fields = { name: parts.roomName.value.trim(), visibility: new FormData(parts.create).get('visibility') };
    if (!fields.name) throw new Problem({ detail: 'The room needs a name' });
    const id = parts.roomId.value.trim();
    return enter(rooms.create(id ? { id, ...fields } : fields));
  });
  submits(parts.direct, problem, () => {
    const user = parts.peer.value.trim();
    if (!user) throw new Problem({ detail: 'Enter a user name' });
    return enter(rooms.direct(user));
  });
  choose('find');
  loadFound();
}
