// A message's text as nodes: text nodes, and anchors for what is surely a web address.

import { el } from './dom.js';

const ADDRESS = /https?:\/\/[^\s<>"'`]+/gi;
const TRAILING = /[.,;:!?…。、]+$/;

/** How long a message may be shown whole, and how much of a longer one is shown until one asks. */
const WHOLE = { characters: 1000, lines: 16 };
const START = { characters: 600, lines: 10 };

/** The part of `text` to show folded, or null if it is short enough to show whole. */
export function folded(text) {
  const lines = text.split('\n', WHOLE.lines + 1);
  if (text.length <= WHOLE.characters && lines.length <= WHOLE.lines) return null;
  const start = lines.slice(0, START.lines).join('\n').slice(0, START.characters);
  // Not half a character.
  return start.replace(/[\uD800-\uDBFF]$/, '') + '…';
}

/** `text` as a list of strings and anchors. */
export function withLinks(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = trimmed(found);
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, index));
    nodes.push(el('a', { href: address, target: '_blank', rel: 'noopener noreferrer' }, address));
    end = index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Without the punctuation that ends the sentence, and without a bracket that was opened outside. */
function trimmed(address) {
  let rest = address.replace(TRAILING, '');
  while (rest.endsWith(')') && count(rest, ')') > count(rest, '(')) rest = rest.slice(0, -1).replace(TRAILING, '');
  return rest;
}

const count = (text, character) => text.split(character).length - 1;
