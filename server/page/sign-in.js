// The page before one is logged in.

import { fetchJson } from './api.js';
import { fromTemplate } from './dom.js';

/** The element of the page; `notice` says why one is here. */
export function signIn(session, { notice, user }) {
  const parts = fromTemplate('sign-in');
  const { toLogIn, toRegister, password, problem, submit } = parts;
  let registering = false;

  function choose(register) {
    registering = register;
    toLogIn.setAttribute('aria-pressed', String(!register));
    toRegister.setAttribute('aria-pressed', String(register));
    parts.nameField.hidden = parts.userHint.hidden = parts.passwordHint.hidden = !register;
    password.autocomplete = register ? 'new-password' : 'current-password';
    submit.textContent = register ? 'Create account' : 'Log in';
    complain('');
  }

  function complain(text, input) {
    problem.textContent = text;
    for (const each of [parts.user, password]) each.setAttribute('aria-invalid', String(each === input));
    input?.focus();
  }

  async function enter() {
    const fields = { user: parts.user.value.trim(), password: password.value };
    if (!fields.user) return complain('Enter your user name.', parts.user);
    if (!fields.password) return complain('Enter your password.', password);
    if (registering && fields.password.length < 8)
      return complain('The password needs at least 8 characters.', password);
    const name = parts.name.value.trim();
    if (registering && name) fields.name = name;
    submit.disabled = true;
    complain('');
    try {
      const path = registering ? '/auth/register' : '/auth/login';
      session.begin({ user: fields.user, ...(await fetchJson('POST', path, { body: fields })) });
    } catch (refusal) {
      complain(refusal.message, refusal.code === 'name_reused' ? parts.user : refusal.status === 401 ? password : null);
    } finally {
      submit.disabled = false;
    }
  }

  toLogIn.onclick = () => choose(false);
  toRegister.onclick = () => choose(true);
  parts.shown.onchange = () => (password.type = parts.shown.checked ? 'text' : 'password');
  parts.root.firstElementChild.onsubmit = (event) => {
    event.preventDefault();
    enter();
  };
  choose(false);
  if (notice) parts.lead.textContent = notice;
  parts.user.value = user ?? '';
  queueMicrotask(() => (user ? password : parts.user).focus());
  return parts.root;
}
