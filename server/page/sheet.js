// What the larger dialogs share.

import { fromTemplate, icon } from './dom.js';

/** Opens the dialog of a template; `signal` closes it, and it goes away when closed. */
export function sheet(template, signal) {
  const parts = fromTemplate(template);
  const { root } = parts;
  const close = () => root.close();
  parts.close.append(icon('close'));
  parts.close.onclick = close;
  root.onclose = () => {
    signal.removeEventListener('abort', close);
    root.remove();
  };
  // A click beside the sheet closes it.
  root.addEventListener('pointerdown', (event) => event.target === root && isOutside(root, event) && close());
  signal.addEventListener('abort', close);
  document.body.append(root);
  root.showModal();
  return parts;
}

/** Lets a form run `action`, once at a time, and shows its refusal in `problem`. */
export function submits(form, problem, action) {
  let running = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (running) return;
    running = true;
    problem.textContent = '';
    try {
      await action();
    } catch (refusal) {
      problem.textContent = refusal.message;
    }
    running = false;
  };
}

function isOutside(node, { clientX, clientY }) {
  const box = node.getBoundingClientRect();
  return clientX < box.left || clientX > box.right || clientY < box.top || clientY > box.bottom;
}
