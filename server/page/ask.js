// A small dialog that asks one thing.

import { fromTemplate } from './dom.js';

/** Resolves to true, or to the text if there is a `label`; to null when the user backs out. */
export function ask({ title, text = '', yes, danger = false, label, value = '' }) {
  const parts = fromTemplate('ask');
  const { root, input } = parts;
  parts.title.textContent = title;
  parts.text.textContent = text;
  parts.yes.textContent = yes;
  parts.yes.classList.toggle('danger', danger);
  parts.field.hidden = !label;
  parts.label.textContent = label ?? '';
  input.value = value;
  document.body.append(root);
  root.showModal();
  (label ? input : danger ? parts.no : parts.yes).focus();
  return new Promise((resolve) => {
    const finish = (answer) => {
      resolve(answer);
      root.close();
    };
    const agree = () => finish(label ? input.value.trim() : true);
    parts.yes.onclick = agree;
    parts.no.onclick = () => finish(null);
    input.addEventListener('keydown', (event) => event.key === 'Enter' && !event.isComposing && agree());
    root.onclose = () => {
      resolve(null);
      root.remove();
    };
  });
}
