// The user's own account: name, password, log-out, end.

import { fetchJson } from './api.js';
import { ask } from './ask.js';
import { notify } from './dom.js';
import { sheet, submits } from './sheet.js';

/** Opens the dialog; `onName(name)` is told of a new display name. */
export function account({ api, session, name, onName, signal }) {
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
  parts.logOut.onclick = () => {
    const { refreshToken } = session;
    session.end('');
    // The server ends the log-in too; without connection it lapses by itself.
    fetchJson('POST', '/auth/logout', { body: { refreshToken } }).catch(() => {});
  };
}
