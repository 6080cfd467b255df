// Everything behind the log-in, put together; `signal` takes it apart again.

import { account } from './account.js';
import { Api } from './api.js';
import { Chat } from './chat.js';
import { avatar, el, fromTemplate, icon, notify } from './dom.js';
import { Link } from './link.js';
import { announceLink, linkBadge } from './link-badge.js';
import { newRoom } from './new-room.js';
import { Outbox } from './outbox.js';
import { soon } from './pace.js';
import { Pushes } from './pushes.js';
import { RoomList } from './room-list.js';
import { Rooms, titleOf } from './rooms.js';

/** The element of the app. */
export function app(session, signal) {
  const { user } = session;
  const api = new Api(session);
  const link = new Link(session, signal);
  const outbox = new Outbox({ user, link, signal });
  const rooms = new Rooms({ api, link, user, signal });
  const pushes = new Pushes({ api, link, rooms, signal });
  const parts = fromTemplate('app');
  const chat = new Chat({ api, link, rooms, outbox, user, signal }, parts.chat);
  const list = new RoomList({ parts, rooms, user, onNew: openNewRoom });
  let name;

  function openNewRoom() {
    newRoom({ api, rooms, signal, go: (id) => (location.hash = `#/rooms/${id}`) });
  }

  function route() {
    const before = chat.room;
    const id = /^#\/rooms\/([A-Za-z0-9._~-]{1,64})$/.exec(location.hash)?.[1] ?? null;
    if (id !== before) chat.show(id, { fromList: before === null });
    parts.root.dataset.view = id === null ? 'list' : 'chat';
    showList();
    if (id === null && before) list.focus(before);
  }

  function showList() {
    list.show(chat.room);
    const open = chat.room && rooms.get(chat.room);
    const { unread } = rooms;
    const mark = pushes.marked ? '● ' : '';
    document.title = `${mark}${unread ? `(${unread > 99 ? '99+' : unread}) ` : ''}${open ? `${titleOf(open)} · ` : ''}Moim`;
  }

  function showMe() {
    const called = name || user;
    parts.account.replaceChildren(
      avatar(user, called),
      el('span', { class: 'me-name' }, called),
      el('span', { class: 'quiet' }, ', your account'),
    );
  }

  parts.newRoom.append(icon('plus'));
  parts.newRoom.onclick = openNewRoom;
  parts.account.onclick = () => account({ api, session, pushes, name, signal, onName: (fresh) => ((name = fresh), showMe()) });
  parts.skip.onclick = (event) => {
    // The address belongs to the rooms.
    event.preventDefault();
    parts.chat.focus();
  };
  parts.linkPlace.append(linkBadge(link, signal));
  announceLink(link, signal);
  const showSoon = soon(() => signal.aborted || showList());
  for (const source of [rooms, pushes]) source.addEventListener('change', showSoon, { signal });
  // A refusal of nothing that we asked: losing a room shows in the list, anything else is told.
  link.addEventListener(
    'refused',
    ({ detail }) => ['not_a_member', 'banned'].includes(detail.code) || notify(detail.message),
    { signal },
  );
  addEventListener('hashchange', route, { signal });
  signal.addEventListener('abort', () => (document.title = 'Moim'));
  showMe();
  api.get('/me').then(
    (me) => ((name = me.name), showMe()),
    () => {},
  );
  queueMicrotask(route);
  return parts.root;
}
