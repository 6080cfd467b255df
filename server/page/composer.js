// Where one writes. What is typed is kept per room until it is sent.

import { icon } from './dom.js';
import { dateAndTime } from './times.js';

const TYPING_MS = 3000;
const LARGEST = 1024 * 1024;
const HIGHEST = 180;

export class Composer {
  #parts;
  #storageKey;
  #onSend;
  #onTyping;
  #mutedTimer;
  #typingAt = 0;
  #saving = null;

  /** `onSend(text)`, and `onTyping(boolean)` at most once in three seconds while one types. */
  constructor({ parts, user, room, onSend, onTyping, signal }) {
    this.#parts = parts;
    this.#storageKey = `moim.draft/${user}/${room}`;
    this.#onSend = onSend;
    this.#onTyping = onTyping;
    const { composer, text, send } = parts;
    send.append(icon('send'));
    // A tap on the button would close a phone's keyboard.
    send.addEventListener('pointerdown', (event) => event.preventDefault());
    text.value = localStorage.getItem(this.#storageKey) ?? '';
    text.addEventListener('input', () => this.#typed());
    text.addEventListener('keydown', (event) => this.#pressed(event));
    composer.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    signal.addEventListener('abort', () => {
      clearTimeout(this.#mutedTimer);
      this.#save();
      this.#stopTyping();
    });
    addEventListener('pagehide', () => this.#save(), { signal });
    addEventListener('resize', () => this.#grow(), { signal });
    requestAnimationFrame(() => this.#grow());
    this.#show();
  }

  focus() {
    if (!this.#parts.text.disabled) this.#parts.text.focus();
  }

  /** `until` is when the user may write again, if they may not. */
  mute(until) {
    const isMuted = until > Date.now();
    const { text, composerProblem } = this.#parts;
    if (isMuted) composerProblem.textContent = `You are muted until ${dateAndTime(until)}.`;
    else if (text.disabled) composerProblem.textContent = '';
    text.disabled = isMuted;
    clearTimeout(this.#mutedTimer);
    // A timer holds 2^31 ms at most; a longer mute is looked at again then.
    if (isMuted) this.#mutedTimer = setTimeout(() => this.mute(until), Math.min(until - Date.now() + 50, 2 ** 31 - 1));
    this.#show();
  }

  #pressed(event) {
    // While a syllable is being composed Enter ends it; Safari says so with 229 only.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#send();
  }

  #typed() {
    this.#parts.composerProblem.textContent = '';
    this.#grow();
    this.#show();
    this.#saving ??= setTimeout(() => this.#save(), 300);
    if (!this.#parts.text.value.trim()) return this.#stopTyping();
    if (Date.now() - this.#typingAt < TYPING_MS) return;
    this.#typingAt = Date.now();
    this.#onTyping(true);
  }

  #stopTyping() {
    if (!this.#typingAt) return;
    this.#typingAt = 0;
    this.#onTyping(false);
  }

  #send() {
    const { text, composerProblem } = this.#parts;
    const body = text.value.trim();
    if (!body || text.disabled) return;
    if (new TextEncoder().encode(body).length > LARGEST) {
      composerProblem.textContent = 'This message is too long. A message may have 1 MiB.';
      return;
    }
    text.value = '';
    this.#onSend(body);
    this.#stopTyping();
    this.#save();
    this.#grow();
    this.#show();
  }

  #save() {
    clearTimeout(this.#saving);
    this.#saving = null;
    const { value } = this.#parts.text;
    try {
      if (value) localStorage.setItem(this.#storageKey, value);
      else localStorage.removeItem(this.#storageKey);
    } catch {
      // The storage is full: the draft lives as long as the page.
    }
  }

  #grow() {
    const { text } = this.#parts;
    text.style.height = 'auto';
    text.style.height = `${Math.min(text.scrollHeight, HIGHEST)}px`;
  }

  #show() {
    const { send, text } = this.#parts;
    send.disabled = text.disabled || !text.value.trim();
  }
}
