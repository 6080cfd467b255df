// The state of the link, for everybody to see.

import { announce, el } from './dom.js';

/** A badge that follows `link`. */
export function linkBadge(link, signal) {
  const text = el('span', { class: 'link-text' });
  const now = el('button', { type: 'button', class: 'plain', onclick: () => link.retry() }, 'Now');
  const badge = el('div', { class: 'link', data: { test: 'link' } }, el('span', { class: 'dot' }), text, now);

  function show() {
    const wait = link.retryAt === null ? 0 : Math.ceil((link.retryAt - Date.now()) / 1000);
    badge.dataset.state = link.state;
    text.textContent = words(link.state, wait);
    now.hidden = link.state === 'connected' || wait < 2;
  }
  link.addEventListener('state', show, { signal });
  const timer = setInterval(show, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
  show();
  return badge;
}

function words(state, wait) {
  if (state === 'connected') return 'Connected';
  if (state === 'offline') return 'Offline';
  return wait > 0 ? `Reconnecting in ${wait} s` : 'Connecting…';
}

/** Tells screen readers when the state changes, but not each second of a count-down. */
export function announceLink(link, signal) {
  let told = 'connected';
  link.addEventListener(
    'state',
    () => {
      if (link.state === told || (link.retryAt === null && link.state === 'reconnecting')) return;
      told = link.state;
      announce(
        {
          connected: 'Connected again.',
          reconnecting: 'The connection was lost. Reconnecting.',
          offline: 'You are offline.',
        }[told],
      );
    },
    { signal },
  );
}
