// People at the web page, each with a window of a browser, and what the scripts about them share. Each
// script is run as `node SCRIPT BASE_URL [DIRECTORY_FOR_SCREENSHOTS]`; it prints `ok - …` for each check
// and ends with the reason at the first that fails. When the server is to be killed or started again it
// prints `ASK kill` or `ASK restart` and waits for `DONE`.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

export const [base, pictures] = process.argv.slice(2);
export const DEADLINE_MS = 20_000;
const SIZES = {
  phone: { width: 375, height: 812 },
  desk: { width: 1280, height: 800 },
  laptop: { width: 1280, height: 800 },
};
export const PASSWORD = 'correct horse battery';

/** Part of every name, so that a server may be used twice. */
export const run = Date.now().toString(36);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const faults = [];
/** What the browser itself logs when a request fails, while that is meant to happen. */
let expected = null;

export function expect(pattern) {
  expected = pattern;
}

export async function ask(what) {
  console.log(`ASK ${what}`);
  const { value } = await lines.next();
  if (value !== 'DONE') throw new Error(`asked to ${what}, was answered ${value}`);
}

export async function check(sentence, action) {
  try {
    const result = await action();
    if (faults.length) throw new Error(`the page complained: ${faults.join(' | ')}`);
    console.log(`ok - ${sentence}`);
    return result;
  } catch (error) {
    throw new Error(`${sentence}: ${error.message}`, { cause: error });
  }
}

/** Waits until `probe()` gives something true, and returns it. */
export async function until(what, probe, deadline = DEADLINE_MS) {
  const end = Date.now() + deadline;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${deadline} ms`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

export function equal(actual, wanted, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

/** One person with a browser window of their own. */
export class Person {
  constructor(size, user, name) {
    Object.assign(this, { size, user, name });
  }

  async arrive(browser) {
    const isPhone = this.size === 'phone';
    this.context = await browser.newContext({
      viewport: SIZES[this.size],
      isMobile: isPhone,
      hasTouch: isPhone,
      colorScheme: 'light',
    });
    await this.openPage();
  }

  /** A page of the same browser, in place of the one before, which stays. */
  async openPage() {
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(DEADLINE_MS);
    this.page.on('console', (message) => {
      if (message.type() === 'error' && !expected?.test(message.text())) faults.push(`${this.size}: ${message.text()}`);
    });
    this.page.on('pageerror', (error) => faults.push(`${this.size}: ${error.stack}`));
    this.page.on('dialog', (dialog) => {
      faults.push(`${this.size}: a dialog said ${dialog.message()}`);
      dialog.dismiss();
    });
    await this.page.addInitScript(() =>
      addEventListener('securitypolicyviolation', (event) =>
        console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
      ),
    );
    await this.page.goto(base);
  }

  /** The visible element with this hook. */
  at(hook) {
    return this.page.locator(`[data-test="${hook}"]:visible`);
  }

  message(text) {
    return this.page.locator('[data-test="message"]').filter({ has: this.page.getByText(text, { exact: true }) });
  }

  roomItem(room) {
    return this.page.locator(`[data-test="room"][data-room="${room}"]`);
  }

  async logIn() {
    await this.at('user').fill(this.user);
    await this.at('password').fill(PASSWORD);
    await this.at('submit').click();
    await this.linked();
  }

  async register() {
    await this.at('to-register').click();
    await this.at('user').fill(this.user);
    await this.at('name').fill(this.name);
    await this.at('password').fill(PASSWORD);
    await this.at('submit').click();
    await this.linked();
  }

  /** What is amiss is to be seen; that all is well need not be. */
  linked(state = 'connected', deadline = DEADLINE_MS) {
    const shown = state === 'connected' ? '' : ':visible';
    return until(
      `${this.size} is ${state}`,
      async () => (await this.page.locator(`[data-test="link"][data-state="${state}"]${shown}`).count()) > 0,
      deadline,
    );
  }

  async open(room) {
    if (this.size === 'phone' && (await this.at('back').count())) await this.at('back').click();
    await this.roomItem(room).click();
    await this.at('title').waitFor();
  }

  async write(text) {
    await this.at('text').fill(text);
    await this.at('text').press('Enter');
  }

  /** Nobody sees the window, or somebody does again. */
  async hide(hidden) {
    await this.page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  }

  /** All shown messages in order. */
  timeline() {
    return this.page.locator('[data-test="message"]').evaluateAll((nodes) =>
      nodes.map((node) => ({
        position: node.dataset.position,
        state: node.dataset.state,
        origin: node.dataset.origin,
        text: node.querySelector('.text').textContent,
      })),
    );
  }

  async texts() {
    return (await this.timeline()).map(({ text }) => text);
  }

  async theme(colorScheme) {
    await this.page.emulateMedia({ colorScheme });
  }

  async picture(name) {
    if (!pictures) return;
    for (const colorScheme of ['dark', 'light']) {
      await this.theme(colorScheme);
      await this.page.screenshot({
        path: join(pictures, `${this.size}-${colorScheme}-${name}.png`),
        animations: 'disabled',
      });
    }
  }

  /** Throws if axe finds something serious, in either theme. */
  async accessible(where) {
    const inspector = await this.context.newCDPSession(this.page);
    await inspector.send('Runtime.evaluate', { expression: `window.axe || (() => { ${axe.source} })()` });
    await inspector.detach();
    for (const colorScheme of ['dark', 'light']) {
      await this.theme(colorScheme);
      const { violations } = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      const told = grave.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`,
      );
      if (told.length) throw new Error(`${this.size}, ${where}, ${colorScheme}: ${told.join('\n')}`);
    }
    await this.picture(where.replaceAll(' ', '-'));
  }
}

/** A request to the REST API, and its answer. */
export async function api(method, path, body, token, headers = {}) {
  const response = await fetch(`${base}/api/v1${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
}

/** Runs `main(browser)`. */
export async function perform(main) {
  if (pictures) mkdirSync(pictures, { recursive: true });
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  try {
    await main(browser);
  } catch (error) {
    console.error(`not ok - ${error.message}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}
