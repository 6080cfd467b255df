// Making elements. Text always becomes text nodes, so nothing that a user wrote is ever markup.

/** `el('a', { href, class: 'x', data: { room: id }, onclick }, 'text', child)` */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

/** Sets properties where there are such, attributes otherwise; `null` takes an attribute away. */
export function set(node, props) {
  for (const [key, value] of Object.entries(props)) {
    if (key === 'data') Object.assign(node.dataset, value);
    else if (key === 'class') node.className = value;
    else if (value === null) node.removeAttribute(key);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
}

/** An icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A fresh copy of a template: its first element as `root`, and each `data-part` by its name. */
export function fromTemplate(id) {
  const root = document.importNode(document.getElementById(id).content, true).firstElementChild;
  const parts = { root };
  for (const node of root.querySelectorAll('[data-part]')) parts[node.dataset.part] = node;
  return parts;
}

/** A round mark with the first letter of a name, in a colour that stays with `id`. */
export function avatar(id, name) {
  let hue = 7;
  for (const character of id) hue = (hue * 31 + character.codePointAt(0)) % 360;
  const node = el('span', { class: 'avatar', 'aria-hidden': 'true' }, [...(name || id)][0]?.toUpperCase() ?? '?');
  node.style.setProperty('--hue', hue);
  return node;
}

/** Says something to screen readers only. */
export function announce(text) {
  document.getElementById('announcer').textContent = text;
}

/** Shows a passing notice. */
export function notify(text) {
  const notice = el('p', { class: 'notice' }, text);
  document.getElementById('notices').append(notice);
  setTimeout(() => notice.remove(), 8000);
}
