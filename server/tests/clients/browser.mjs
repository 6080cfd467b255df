// The web page in a real browser: two people, one on a phone and one at a desk. See `person.mjs`.

import { DEADLINE_MS, PASSWORD, Person, api, ask, check, equal, expect, perform, run, until } from './person.mjs';

const RECONNECT_MS = 60_000;
const HISTORY = 130;

async function main(browser) {
  const desk = new Person('desk', `mina-${run}`, '김민아');
  const phone = new Person('phone', `joon-${run}`, '<img src=x onerror=alert(1)>');
  const both = [desk, phone];
  const room = `talk-${run}`;
  const roomName = '<script>alert(2)</script> 모임';

  await check('the page loads at both widths', () => Promise.all(both.map((person) => person.arrive(browser))));
  await check('the log-in is accessible', () => Promise.all(both.map((person) => person.accessible('log in'))));

  await check('a wrong password is answered in place', async () => {
    expect(/status of 401/);
    await desk.at('user').fill(desk.user);
    await desk.at('password').fill('not my password');
    await desk.at('submit').click();
    await until('the answer', () => desk.page.locator('[data-test="problem"]').textContent());
    expect(null);
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
    expect(/net::ERR_|WebSocket connection|Failed to load resource/);
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
    expect(null);
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

await perform(main);
