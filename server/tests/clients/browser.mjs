// The web page in a real browser: two people, one on a phone and one at a desk.
//
//   node browser.mjs BASE_URL [DIRECTORY_FOR_SCREENSHOTS]
//
// Prints `ok - …` for each check and ends with the reason at the first that fails. When the server
// is to be killed or started again it prints `ASK kill` or `ASK restart` and waits for `DONE`.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const [base, pictures] = process.argv.slice(2);
const DEADLINE_MS = 20_000;
const RECONNECT_MS = 60_000;
const HISTORY = 130;
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1440, height: 900 } };
const PASSWORD = 'correct horse battery';

const run = Date.now().toString(36);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const faults = [];
/** What the browser itself logs when a request fails, while that is meant to happen. */
let expected = null;

async function ask(what) {
  console.log(`ASK ${what}`);
  const { value } = await lines.next();
  if (value !== 'DONE') throw new Error(`asked to ${what}, was answered ${value}`);
}

async function check(sentence, action) {
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
async function until(what, probe, deadline = DEADLINE_MS) {
  const end = Date.now() + deadline;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${deadline} ms`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

function equal(actual, wanted, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

/** One person with a browser window of their own. */
class Person {
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

  async register() {
    await this.at('to-register').click();
    await this.at('user').fill(this.user);
    await this.at('name').fill(this.name);
    await this.at('password').fill(PASSWORD);
    await this.at('submit').click();
    await this.linked();
  }

  linked(state = 'connected', deadline = DEADLINE_MS) {
    return until(
      `${this.size} is ${state}`,
      async () => (await this.page.locator(`[data-test="link"][data-state="${state}"]:visible`).count()) > 0,
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

/** A third user, who writes through REST. */
async function api(method, path, body, token, headers = {}) {
  const response = await fetch(`${base}/api/v1${path}`, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
}

async function main(browser) {
  const desk = new Person('desk', `mina-${run}`, '김민아');
  const phone = new Person('phone', `joon-${run}`, '<img src=x onerror=alert(1)>');
  const both = [desk, phone];
  const room = `talk-${run}`;
  const roomName = '<script>alert(2)</script> 모임';
  if (pictures) mkdirSync(pictures, { recursive: true });

  await check('the page loads at both widths', () => Promise.all(both.map((person) => person.arrive(browser))));
  await check('the log-in is accessible', () => Promise.all(both.map((person) => person.accessible('log in'))));

  await check('a wrong password is answered in place', async () => {
    expected = /status of 401/;
    await desk.at('user').fill(desk.user);
    await desk.at('password').fill('not my password');
    await desk.at('submit').click();
    await until('the answer', () => desk.page.locator('[data-test="problem"]').textContent());
    expected = null;
  });

  await check('both register and are connected', () => Promise.all(both.map((person) => person.register())));
  await check('a page without rooms is accessible', () =>
    Promise.all(both.map((person) => person.accessible('no rooms'))),
  );

  await check('one creates a public room', async () => {
    await desk.at('new-room').click();
    await desk.at('to-create').click();
    await desk.accessible('new room');
    await desk.at('room-name').fill(roomName);
    await desk.page.getByText('Choose the room’s id').click();
    await desk.at('room-id').fill(room);
    await desk.at('create').click();
    await until('the room is open', async () => (await desk.at('title').textContent()) === roomName);
  });

  await check('the other finds and joins it', async () => {
    await phone.at('new-room').click();
    await phone.at('search').fill(room);
    await phone.page.locator(`[data-test="join"][data-room="${room}"]`).click();
    await until('the room is open', async () => (await phone.at('title').textContent()) === roomName);
  });

  await check('each sees that the other is here', async () => {
    await until('desk sees phone', async () => (await desk.at('here').textContent()).includes(phone.name));
    await until('phone sees desk', async () => (await phone.at('here').textContent()).includes(desk.name));
  });

  await check('each sees the other typing, and the end of it', async () => {
    for (const [one, other] of [
      [desk, phone],
      [phone, desk],
    ]) {
      await one.at('text').pressSequentially('ab');
      await until('typing shows', async () =>
        (await other.page.locator('[data-test="typing"]').textContent()).includes(one.name),
      );
      await one.at('text').fill('');
      await until('typing ends', async () => !(await other.page.locator('[data-test="typing"]').textContent()));
    }
  });

  await check('they chat both ways and see the same order', async () => {
    const wanted = [];
    for (let turn = 0; turn < 10; turn += 1) {
      for (const person of both) {
        const text = `turn ${turn} of ${person.size}`;
        wanted.push(text);
        await person.write(text);
      }
    }
    for (const person of both)
      await until(
        `${person.size} has all`,
        async () => (await person.page.locator('[data-test="message"][data-state="stored"]').count()) === wanted.length,
      );
    const [one, other] = await Promise.all(both.map((person) => person.timeline()));
    equal(
      one.map(({ position }) => position),
      other.map(({ position }) => position),
      'the positions',
    );
    equal(
      one.map(({ text }) => text),
      other.map(({ text }) => text),
      'the order',
    );
    equal(one.map(({ text }) => text).sort(), [...wanted].sort(), 'the messages');
  });

  await check('Shift+Enter makes a line, Enter sends', async () => {
    await desk.at('text').fill('first');
    await desk.at('text').press('Shift+Enter');
    await desk.at('text').pressSequentially('second');
    await desk.at('text').press('Enter');
    await until('it arrives', async () => (await phone.texts()).includes('first\nsecond'));
  });

  await check('a script in a message, a name and a room name stays text', async () => {
    const text = '<img src=x onerror="alert(3)"><script>alert(4)</script> https://example.org/?a=1&b=<b>';
    await phone.write(text);
    for (const person of both) {
      await until('the message', async () => (await person.texts()).includes(text));
      equal(await person.page.locator('script').count(), 1, 'scripts in the page');
      equal(await person.page.locator('img[src="x"], .text b').count(), 0, 'elements made of text');
      equal(
        await person.page.locator('.text a').evaluateAll((links) => links.map((link) => [link.href, link.rel])),
        [['https://example.org/?a=1&b=', 'noopener noreferrer']],
        'links',
      );
    }
    equal(await desk.message(text).locator('.sender').textContent(), phone.name, 'the sender');
  });

  await check('the room is accessible, with its people and without', async () => {
    for (const person of both) {
      await person.accessible('room');
      await person.at('people').click();
      await person.at('member').nth(1).waitFor();
      await person.accessible('people');
      await person.page.keyboard.press('Escape');
      await until('the panel closes', async () => !(await person.at('people-panel').count()));
    }
  });

  await check('what is new shows as a badge, and is read when it is seen', async () => {
    await phone.at('back').click();
    await desk.write('one for the badge');
    await desk.write('two for the badge');
    const badge = phone.roomItem(room).locator('[data-test="badge"]');
    await until('the badge', async () => (await badge.textContent()).startsWith('2'));
    await until('the title', async () => (await phone.page.title()).startsWith('(2)'));
    await phone.accessible('list');
    await phone.open(room);
    await phone.message('two for the badge').waitFor();
    await until('it is read', async () => !(await phone.page.title()).startsWith('('));
  });

  await check('a direct chat appears with the other one', async () => {
    await desk.at('new-room').click();
    await desk.at('to-direct').click();
    await desk.at('peer').fill(phone.user);
    await desk.at('start').click();
    await until('it is open', async () => [phone.name, phone.user].includes(await desk.at('title').textContent()));
    await desk.write('just the two of us');
    await phone.at('back').click();
    const item = phone.page.locator('[data-test="room"]').filter({ hasText: 'just the two of us' });
    await item.waitFor({ timeout: 2 * DEADLINE_MS });
    await item.click();
    await phone.message('just the two of us').waitFor();
    for (const person of both) await person.open(room);
  });

  const { accessToken } = await api('POST', '/auth/register', { user: `bora-${run}`, password: PASSWORD });
  const say = (body) =>
    api('POST', `/rooms/${room}/messages`, { body }, accessToken, {
      'Idempotency-Key': `${run}-${body}`.replaceAll(' ', '-'),
    });
  await api('POST', `/rooms/${room}/join`, undefined, accessToken);

  await check(`a history of ${HISTORY} messages loads upward without jump or double`, async () => {
    for (let index = 0; index < HISTORY; index += 1) await say(`old ${index}`);
    await until('the last one', async () => (await phone.texts()).includes(`old ${HISTORY - 1}`));
    await phone.page.reload();
    await phone.message(`old ${HISTORY - 1}`).waitFor();
    while (!(await phone.texts()).includes('turn 0 of desk')) await scrollUp(phone);
    const shown = await phone.timeline();
    equal(new Set(shown.map(({ position }) => position)).size, shown.length, 'messages shown once');
    equal(
      shown.map(({ text }) => text).filter((text) => text.startsWith('old ')),
      Array.from({ length: HISTORY }, (_, index) => `old ${index}`),
      'the history',
    );
    equal(
      shown.map(({ text }) => text),
      await allTexts(),
      'the whole room',
    );
    await phone.at('timeline').press('End');
    await until('back at the end', async () =>
      phone.at('timeline').evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight < 4),
    );
  });

  /** Scrolls near the top, and sees that what is in view stays where it is when older ones come. */
  async function scrollUp(person) {
    const before = await person.at('timeline').evaluate((node) => {
      node.scrollTop = Math.min(node.scrollTop, 300);
      const messages = [...node.querySelectorAll('[data-test="message"]')];
      const first = messages.find(
        (message) => message.getBoundingClientRect().bottom > node.getBoundingClientRect().top,
      );
      return { count: messages.length, position: first.dataset.position, top: first.getBoundingClientRect().top };
    });
    await until(
      'older messages',
      async () => (await person.page.locator('[data-test="message"]').count()) > before.count,
    );
    const top = await person.page
      .locator(`[data-position="${before.position}"]`)
      .evaluate((node) => node.getBoundingClientRect().top);
    if (Math.abs(top - before.top) > 2) throw new Error(`the view jumped by ${top - before.top} px`);
  }

  async function allTexts() {
    const texts = [];
    for (let after = '0-0'; after;) {
      const page = await api('GET', `/rooms/${room}/messages?after=${after}&limit=200`, undefined, accessToken);
      texts.push(...page.messages.map(({ body }) => body));
      after = page.next;
    }
    return texts;
  }

  await check('when the server dies both pages say so', async () => {
    expected = /net::ERR_|WebSocket connection|Failed to load resource/;
    await ask('kill');
    await Promise.all(both.map((person) => person.linked('reconnecting')));
    await Promise.all(both.map((person) => person.picture('reconnecting')));
  });

  await check('what is sent meanwhile waits, also across a change of rooms', async () => {
    await phone.write('sent in the dark by phone');
    await desk.write('sent in the dark by desk');
    for (const person of both)
      equal(
        await person.message(`sent in the dark by ${person.size}`).getAttribute('data-state'),
        'sending',
        'its state',
      );
    await phone.open(room);
    await phone.message('sent in the dark by phone').waitFor();
    equal(await phone.texts(), ['sent in the dark by phone'], 'what waits');
  });

  await check('when it is back both catch up, nothing missing and nothing doubled', async () => {
    await ask('restart');
    for (let index = 0; index < 10; index += 1) await say(`after the restart ${index}`);
    await Promise.all(both.map((person) => person.linked('connected', RECONNECT_MS)));
    expected = null;
    for (const person of both) {
      await until(
        `${person.size} has sent`,
        async () => !(await person.page.locator('[data-state="sending"]').count()),
      );
      for (const text of ['sent in the dark by phone', 'sent in the dark by desk', 'after the restart 9'])
        await person.message(text).waitFor();
    }
    const whole = await allTexts();
    for (const text of ['sent in the dark by phone', 'sent in the dark by desk'])
      equal(whole.filter((other) => other === text).length, 1, `${text}, stored`);
    for (const person of both) {
      const texts = await person.texts();
      equal(texts, whole.slice(-texts.length), `the end of the room at the ${person.size}`);
      const positions = (await person.timeline()).map(({ position }) => position);
      equal(new Set(positions).size, positions.length, 'positions shown once');
    }
  });

  await check('a reload keeps the log-in, the room and what was being typed', async () => {
    await phone.at('text').fill('not sent yet');
    await phone.page.reload();
    await phone.linked();
    await until('the room is open', async () => (await phone.at('title').textContent()) === roomName);
    equal(await phone.at('text').inputValue(), 'not sent yet', 'the draft');
    await phone.message('after the restart 9').waitFor();
  });

  await check('a muted member is told so', async () => {
    await desk.at('people').click();
    const member = desk.page.locator(`[data-test="member"][data-user="${phone.user}"]`);
    await member.locator('summary').click();
    await member.getByText('Mute for an hour').click();
    await until('phone may not write', () => phone.at('text').isDisabled());
    await desk.page.keyboard.press('Escape');
  });

  await check('log out and log in again', async () => {
    await desk.at('account').click();
    await desk.accessible('account');
    await desk.at('log-out').click();
    await desk.at('password').fill(PASSWORD);
    await desk.at('submit').click();
    await desk.linked();
    await until('the room is open', async () => (await desk.at('title').textContent()) === roomName);
  });

  await check('no console error and no violation of the content security policy occurred', async () => {});
}

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
