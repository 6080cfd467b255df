// The user's own account: name, password, log-out, end.

import { fetchJson } from './api.js';
import { ask } from './ask.js';
import { installation } from './device.js';
import { el, notify } from './dom.js';
import { sheet, submits } from './sheet.js';
import { dateAndTime } from './times.js';

/** Opens the dialog; `onName(name)` is told of a new display name. */
export function account({ api, session, pushes, name, onName, signal }) {
  const parts = sheet('account', signal);
  const { root } = parts;
  const { user } = session;
  parts.who.textContent = `You are logged in as ${user}.`;
  parts.name.value = name ?? '';
  parts.hiddenUser.value = user;

  submits(parts.nameForm, parts.nameProblem, async () => {
    const me = await api.patch('/me', { name: parts.name.value.trim() });
    onName(me.name);
    notify('Your display name was saved.');
  });
  submits(parts.passwordForm, parts.passwordProblem, async () => {
    const body = { currentPassword: parts.current.value, newPassword: parts.fresh.value };
    await session.exclusively(async (token) => {
      session.begin({ user, ...(await fetchJson('PUT', '/me/password', { body, token })) });
    });
    // The server forgot all devices.
    pushes.register();
    root.close();
    notify('Your password was changed.');
  });
  submits(parts.deleteForm, parts.deleteProblem, async () => {
    const isSure = await ask({
      title: 'Delete your account?',
      text: 'This cannot be undone.',
      yes: 'Delete it',
      danger: true,
    });
    if (!isSure) return;
    await session.exclusively(async (token) => {
      await fetchJson('DELETE', '/me', { body: { password: parts.deletePassword.value }, token });
      session.end('Your account was deleted.');
    });
    const own = [`moim.draft/${user}/`, `moim.outbox/${user}/`];
    for (const key of Object.keys(localStorage))
      if (own.some((prefix) => key.startsWith(prefix))) localStorage.removeItem(key);
  });
  showPushes(parts, pushes);
  parts.logOut.onclick = () => {
    const { refreshToken } = session;
    session.end('');
    // The server ends the log-in too; without connection it lapses by itself.
    fetchJson('POST', '/auth/logout', { body: { refreshToken, installation } }).catch(() => {});
  };
}

/** What a phone would have got, and whether this browser may show it. */
function showPushes({ root, pushes: list, pushesNote, notifications, notificationsNote }, pushes) {
  const show = () => {
    notifications.hidden = pushes.permission !== 'default';
    notificationsNote.textContent = PERMISSIONS[pushes.permission];
    pushesNote.hidden = pushes.latest.length > 0;
    list.hidden = !pushesNote.hidden;
    list.replaceChildren(...pushes.latest.map(pushItem));
  };
  notifications.onclick = () => pushes.ask().then(show);
  pushes.addEventListener('change', show);
  root.addEventListener('close', () => pushes.removeEventListener('change', show));
  show();
}

const PERMISSIONS = {
  default: 'Messages can be shown while this page is in the background.',
  granted: 'Notifications are on for this browser.',
  denied: 'This browser does not let the page show notifications.',
};

function pushItem({ at, isOwn, type, title, text, body, room, installation, unread, badge }) {
  const facts = [type, room, isOwn ? 'this browser' : installation, unread != null && `${unread} unread`];
  return el(
    'li',
    { data: { test: 'push' } },
    el('b', { dir: 'auto' }, title || type),
    text || body ? el('span', { dir: 'auto' }, text || body) : null,
    el('small', {}, [dateAndTime(at), ...facts, badge != null && `badge ${badge}`].filter(Boolean).join(' · ')),
  );
}
