// One message as an element. It is made once and changed when its state or its neighbours do.

import { avatar, el, icon, set } from './dom.js';
import { folded, withLinks } from './text.js';
import { dateAndTime, timeOf } from './times.js';

/** `{ node, update(state) }` for `message`; `actions` are `retry(originId)` and `discard(originId)`. */
export function messageElement(message, { isOwn, actions }) {
  const name = isOwn ? 'You' : message.senderName || message.sender;
  const time = el(
    'time',
    { dateTime: new Date(message.timestamp).toISOString(), title: dateAndTime(message.timestamp) },
    timeOf(message.timestamp),
  );
  const mark = el('span', { class: 'mark-of-state' });
  const failure = el('div', { class: 'failure', hidden: true });
  const node = el(
    'article',
    { data: { test: 'message' } },
    isOwn ? null : avatar(message.sender, name),
    el(
      'div',
      { class: 'said' },
      el('h2', { class: 'sender', title: message.sender }, name),
      el('div', { class: 'line' }, body(message), el('span', { class: 'meta' }, mark, time)),
      failure,
    ),
  );
  if (message.originId) node.dataset.origin = message.originId;

  let shown = '';
  /**
   * `state` is sending, stored or failed, `receipt` says of one's own what became of it then;
   * `continued` follows one of the same sender, `open` is followed by one.
   */
  function update({ position, state, receipt, failed, continued, open }) {
    const now = [position, state, receipt?.tick, receipt?.text, failed?.detail, continued, open].join();
    if (now === shown) return;
    shown = now;
    node.className = ['message', isOwn && 'own', continued && 'continued', open && 'open'].filter(Boolean).join(' ');
    node.dataset.state = state;
    if (position) node.dataset.position = position;
    if (!isOwn) return;
    const tick = receipt?.tick ?? state;
    const text = receipt?.text ?? MARKS[state];
    node.dataset.tick = tick;
    set(mark, { title: text, role: 'img', 'aria-label': text });
    mark.replaceChildren(icon(ICONS[tick]));
    failure.hidden = state !== 'failed';
    failure.replaceChildren(...(failed ? failureParts(message, failed, actions) : []));
  }
  return { node, update };
}

const ICONS = { sending: 'clock', stored: 'check', delivered: 'checks', read: 'checks', failed: 'alert' };
const MARKS = { sending: 'Sending', stored: 'Sent', failed: 'Not sent' };

function failureParts({ originId }, { detail }, { retry, discard }) {
  return [
    el('span', {}, `Not sent. ${detail}`),
    el('button', { type: 'button', class: 'plain', onclick: () => retry(originId) }, 'Try again'),
    el('button', { type: 'button', class: 'plain', onclick: () => discard(originId) }, 'Discard'),
  ];
}

function body({ body: text, bodyBase64, contentType }) {
  if (text === undefined) {
    const bytes = Math.floor((bodyBase64.length * 3) / 4);
    return el(
      'p',
      { class: 'text data' },
      `Data, ${bytes.toLocaleString()} bytes${contentType ? `, ${contentType}` : ''}`,
    );
  }
  const part = folded(text);
  const paragraph = el('p', { class: 'text', dir: 'auto' }, ...withLinks(part ?? text));
  if (part === null) return paragraph;
  const more = el('button', { type: 'button', class: 'plain', 'aria-expanded': 'false' }, 'Show all');
  more.onclick = () => {
    const opens = more.getAttribute('aria-expanded') === 'false';
    paragraph.replaceChildren(...withLinks(opens ? text : part));
    more.setAttribute('aria-expanded', String(opens));
    more.textContent = opens ? 'Show less' : 'Show all';
    // What is in view changed as if one had scrolled.
    more.closest('.timeline').dispatchEvent(new Event('scroll'));
  };
  return el('div', { class: 'text long' }, paragraph, more);
}
