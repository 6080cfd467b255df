// What the scripts share: sentences with a verdict, waits with a deadline, accounts.
// Each script is run as `node SCRIPT BASE_URL TOKEN ROOM TOPIC`.

import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';

/// How long anything may take.
export const DEADLINE = 10_000;
const ALL = 120_000;

export const [base, token, room, topic] = process.argv.slice(2);
if (!topic) {
  console.error('usage: node SCRIPT BASE_URL TOKEN ROOM TOPIC');
  process.exit(2);
}

/// The address of the WebSocket.
export const url = base.replace(/^http/, 'ws') + '/ws';

/// The two kinds of places that a message can go to.
export const places = [
  { name: 'a room', send: `/app/rooms/${room}`, topic: `/topic/rooms/${room}` },
  { name: 'an open topic', send: topic, topic },
];

setTimeout(() => fail(`not done after ${ALL} ms`), ALL).unref();
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

let under = 'the start';
let notes = [];

/// What may explain a failure.
export function note(line) {
  notes.push(line);
}

/// Says what went wrong and ends the script.
export function fail(reason) {
  console.log(`not ok - ${under}`);
  console.error([...notes, reason instanceof Error ? reason.stack : reason].join('\n'));
  process.exit(1);
}

/// One claim, and what shows it.
export async function check(sentence, body) {
  under = sentence;
  notes = [];
  try {
    await body();
  } catch (error) {
    fail(error);
  }
  console.log(`ok - ${sentence}`);
}

let answers;

/// Asks who runs this for something about the server, and waits until it is done.
export async function ask(wish) {
  answers ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log(`ASK ${wish}`);
  const { value } = await within(answers.next(), `an answer to ${wish}`, ALL);
  if (value !== 'DONE') {
    throw new Error(`asked for ${wish}, came ${value}`);
  }
}

/// The script is through.
export function done() {
  process.exit(0);
}

/// Waits, with a deadline.
export function within(promise, what, limit = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${limit} ms`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/// What came and nobody took yet.
export class Inbox {
  #came = [];
  #waiting = [];
  #what;

  constructor(what) {
    this.#what = what;
  }

  push = (thing) => {
    const waiting = this.#waiting.shift();
    if (waiting) {
      waiting(thing);
    } else {
      this.#came.push(thing);
    }
  };

  next(limit = DEADLINE) {
    if (this.#came.length > 0) {
      return Promise.resolve(this.#came.shift());
    }
    return within(new Promise((resolve) => this.#waiting.push(resolve)), this.#what, limit);
  }

  async take(count) {
    const taken = [];
    while (taken.length < count) {
      taken.push(await this.next());
    }
    return taken;
  }

  get length() {
    return this.#came.length;
  }
}

/// So many numbered bodies, in order.
export function numbered(count, word = 'message') {
  return Array.from({ length: count }, (_, index) => `${word} ${index}`);
}

/// Every byte value, in a size that is no multiple of anything.
export function allBytes(length) {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff));
}

/// A word that nobody else has.
export function unique(word) {
  return `${word}-${randomBytes(6).toString('hex')}`;
}

/// A new built-in account.
export async function account(word) {
  const credentials = { user: unique(word), password: 'correct horse battery staple' };
  const answer = await post('/api/v1/auth/register', credentials);
  if (answer.status !== 201) {
    throw new Error(`register: ${answer.status} ${await answer.text()}`);
  }
  return { ...credentials, ...(await answer.json()) };
}

/// A request with a JSON body.
export function post(path, body, bearer) {
  const headers = { 'content-type': 'application/json' };
  if (bearer) {
    headers.authorization = `Bearer ${bearer}`;
  }
  const signal = AbortSignal.timeout(DEADLINE);
  return fetch(base + path, { method: 'POST', headers, body: JSON.stringify(body), signal });
}

/// What sessions of both browser clients share: these have a `client` and `awaitReceipt`.
export class Receipts {
  /// The RECEIPT of what `frame` sends with the headers that it is given.
  receipt(frame) {
    const id = unique('receipt');
    const came = new Promise((resolve) => this.awaitReceipt(id, resolve));
    frame({ receipt: id });
    return within(came, `RECEIPT ${id}`);
  }

  /// The messages of a destination, from now on.
  async subscribe(destination, headers = {}) {
    const inbox = new Inbox(`a message of ${destination}`);
    await this.receipt((more) => {
      inbox.subscription = this.client.subscribe(destination, inbox.push, { ...headers, ...more });
    });
    return inbox;
  }
}
