// The web page in a real browser: what became of a message, who is there, and two windows of one user.
// See `person.mjs`.

import { PASSWORD, Person, api, ask, check, equal, expect, perform, run, until } from './person.mjs';

const RECONNECT_MS = 60_000;

/** Records what a page would notify of, as nobody sees a headless browser's notifications. */
function recordNotifications() {
  window.notified = [];
  window.Notification = class {
    static permission = localStorage.getItem('test.permission') ?? 'default';
    static async requestPermission() {
      localStorage.setItem('test.permission', 'granted');
      return (this.permission = 'granted');
    }
    constructor(title, { body, tag }) {
      Object.assign(this, { title, body, tag, closed: false });
      window.notified.push(this);
    }
    close() {
      this.closed = true;
    }
  };
}

async function main(browser) {
  const desk = new Person('desk', `mina-${run}`, 'Mina');
  const laptop = new Person('laptop', desk.user, desk.name);
  const phone = new Person('phone', `joon-${run}`, 'Joon');
  const minas = [desk, laptop];
  const all = [...minas, phone];
  const [talk, calm] = [`talk-${run}`, `calm-${run}`];

  const token = async (user) => (await api('POST', '/auth/login', { user, password: PASSWORD })).accessToken;
  const tick = (person, text) => person.message(text).getAttribute('data-tick');
  const ticked = (person, text, wanted) =>
    until(`${text} is ${wanted} at the ${person.size}`, async () => (await tick(person, text)) === wanted);
  const mark = (person, text) => person.message(text).locator('.mark-of-state').getAttribute('aria-label');
  const badge = (person, room) =>
    person
      .roomItem(room)
      .locator('[data-test="badge"]')
      .evaluate((node) => (node.hidden ? 0 : Number.parseInt(node.textContent, 10)));
  const badged = (person, room, wanted) =>
    until(`${wanted} unread in ${room} at the ${person.size}`, async () => (await badge(person, room)) === wanted);
  const titled = (person, wanted) =>
    until(`the title of the ${person.size} starts with ${wanted}`, async () =>
      (await person.page.title()).startsWith(wanted),
    );

  await check('one user has two windows, another a phone', async () => {
    await Promise.all(all.map((person) => person.arrive(browser)));
    await Promise.all([desk.register(), phone.register()]);
    await laptop.logIn();
  });

  const [mina, joon] = await Promise.all([token(desk.user), token(phone.user)]);
  let said = 0;
  const say = (room, body) =>
    api('POST', `/rooms/${room}/messages`, { body }, joon, { 'Idempotency-Key': `${run}-${++said}` });

  await check('a room that one is put into appears in both windows, with what is said there', async () => {
    for (const id of [talk, calm]) {
      await api('POST', '/rooms', { id, name: `The ${id}`, visibility: 'private' }, joon);
      await api('PUT', `/rooms/${id}/members/${desk.user}`, {}, joon);
    }
    await say(talk, 'welcome to both');
    for (const person of minas) {
      await person.roomItem(calm).waitFor();
      await until('the preview', async () =>
        (await person.roomItem(talk).textContent()).includes('welcome to both'),
      );
      await badged(person, talk, 1);
      await titled(person, '(1)');
    }
  });

  await check('what is read in one window is read in the other', async () => {
    await say(calm, 'calm one');
    await say(calm, 'calm two');
    for (const person of minas) {
      await badged(person, calm, 2);
      await titled(person, '(3)');
    }
    await desk.open(talk);
    for (const person of minas) {
      await badged(person, talk, 0);
      await titled(person, '(2)');
    }
    await laptop.open(calm);
    for (const person of minas) {
      await badged(person, calm, 0);
      await until('nothing is unread', async () => !(await person.page.title()).startsWith('('));
    }
  });

  await check('also when one of them was away from the network meanwhile', async () => {
    expect(/net::ERR_|WebSocket connection|Failed to load resource/);
    await laptop.open(talk);
    await desk.open(calm);
    await laptop.context.setOffline(true);
    await laptop.linked('offline');
    for (const text of ['missed one', 'missed two', 'missed three']) await say(calm, text);
    await desk.message('missed three').waitFor();
    await say(talk, 'unread at the desk');
    await badged(desk, talk, 1);
    await laptop.context.setOffline(false);
    await laptop.linked('connected', RECONNECT_MS);
    await laptop.message('unread at the desk').waitFor();
    for (const person of minas) for (const room of [talk, calm]) await badged(person, room, 0);
    await until('the preview', async () => (await laptop.roomItem(calm).textContent()).includes('missed three'));
    expect(null);
  });

  await check('a room that one is taken out of vanishes from both', async () => {
    const id = `gone-${run}`;
    await api('POST', '/rooms', { id, visibility: 'private' }, joon);
    await api('PUT', `/rooms/${id}/members/${desk.user}`, {}, joon);
    for (const person of minas) await person.roomItem(id).waitFor();
    await desk.open(id);
    await desk.page.getByText('Write the first one').waitFor();
    await until('the page knows who is here', () => desk.at('here').textContent());
    await api('DELETE', `/rooms/${id}/members/${desk.user}`, undefined, joon);
    for (const person of minas) await person.roomItem(id).waitFor({ state: 'detached' });
    await desk.page.getByText('You are no longer a member').first().waitFor();
  });

  await check('rooms beyond the hundred that are subscribed to are followed through the inbox', async () => {
    const seen = await desk.page.evaluate(async () => {
      const { Rooms } = await import('/page/rooms.js');
      const state = (id, more) => ({
        room: { id, visibility: 'public', direct: false, createdAt: 1 },
        role: 'member',
        head: '5-0',
        read: '5-0',
        unread: 0,
        ...more,
      });
      let [lists, told] = [0, {}];
      const list = { rooms: Array.from({ length: 101 }, (_, n) => state(`r${n}`)) };
      const api = { get: async () => ((lists += 1), list) };
      const link = Object.assign(new EventTarget(), {
        subscribe: (destination, handlers) => ((told[destination] = handlers), () => {}),
      });
      const rooms = new Rooms({ api, link, user: 'me', signal: new AbortController().signal });
      const inbox = told['/user/queue/inbox'];
      inbox.receipt({ position: '1-0', recovered: 'true' });
      await rooms.load();
      const [last] = list.rooms.filter(({ room }) => !told[`/topic/rooms/${room.id}`]).map(({ room }) => room.id);
      const tell = (position, event) => inbox.message({ headers: { position }, body: JSON.stringify(event) });
      const said = { position: '5-3', sender: 'you', timestamp: 7, body: 'news' };
      tell('2-0', state(last, { type: 'room', head: '5-3', unread: 3, last: said }));
      const unread = [rooms.get(last).unread, rooms.unread, rooms.sorted()[0].last.body];
      tell('3-0', { type: 'removal', room: { id: last } });
      const gone = rooms.get(last) === undefined;
      const before = lists;
      inbox.receipt({ position: '3-0', recovered: 'true' });
      const resumed = [inbox.headers().since, lists - before];
      inbox.receipt({ position: '0-0', recovered: 'false' });
      return { unread, gone, resumed, again: lists - before };
    });
    equal(seen, { unread: [3, 3, 'news'], gone: true, resumed: ['3-0', 0], again: 1 }, 'the list');
  });

  await check('a message is on its way, stored, delivered and read, and its ticks say so', async () => {
    expect(/net::ERR_|WebSocket connection|Failed to load resource/);
    await desk.open(talk);
    await laptop.open(calm);
    await phone.hide(true);
    await desk.context.setOffline(true);
    await desk.linked('offline');
    await desk.write('where are you?');
    await ticked(desk, 'where are you?', 'sending');
    equal(await mark(desk, 'where are you?'), 'Sending', 'what is read out');
    await desk.context.setOffline(false);
    await ticked(desk, 'where are you?', 'stored');
    equal(await mark(desk, 'where are you?'), 'Sent', 'what is read out');
    await desk.linked('connected', RECONNECT_MS);
    expect(null);
    await until('it is at the phone', async () => (await phone.roomItem(talk).textContent()).includes('where are you?'));
    // Its window is hidden: it came to a page that nobody sees.
    equal(await tick(desk, 'where are you?'), 'stored', 'the tick');
    await phone.hide(false);
    await desk.write('are you there?');
    await ticked(desk, 'are you there?', 'delivered');
    await ticked(desk, 'where are you?', 'delivered');
    equal(await mark(desk, 'are you there?'), 'Delivered', 'what is read out');
    await desk.accessible('delivered');
    await phone.open(talk);
    for (const text of ['where are you?', 'are you there?']) await ticked(desk, text, 'read');
    equal(await mark(desk, 'are you there?'), 'Read', 'what is read out');
    await desk.accessible('read');
    await laptop.open(talk);
    await ticked(laptop, 'are you there?', 'read');
    await phone.write('I am');
    await ticked(phone, 'I am', 'read');
    await phone.accessible('ticks');
  });

  await check('among several, ticks wait for all and say how many have it', async () => {
    const bora = (await api('POST', '/auth/register', { user: `bora-${run}`, password: PASSWORD })).accessToken;
    await api('PUT', `/rooms/${talk}/members/bora-${run}`, {}, joon);
    await desk.write('hello all');
    const read = 'Delivered to 1 of 2, read by 1';
    await until('one has read it', async () => (await mark(desk, 'hello all')) === read);
    equal(await tick(desk, 'hello all'), 'stored', 'the tick');
    const position = await desk.message('hello all').getAttribute('data-position');
    const cursor = (body) => api('PUT', `/me/rooms/${talk}/cursor`, body, bora);
    await cursor({ delivered: position, installation: 'bora-phone' });
    await ticked(desk, 'hello all', 'delivered');
    await desk.page.reload();
    await ticked(desk, 'hello all', 'delivered');
    equal(await mark(desk, 'hello all'), 'Delivered to 2 of 2, read by 1', 'what is read out');
    await desk.picture('group');
    await cursor({ position });
    await ticked(desk, 'hello all', 'read');
    equal(await mark(desk, 'hello all'), 'Read by all 2', 'what is read out');
    await api('DELETE', `/rooms/${talk}/members/bora-${run}`, undefined, joon);
  });

  await check('among many one is enough, and positions are compared as numbers', async () => {
    const ticks = await desk.page.evaluate(async () => {
      const { Receipts } = await import('/page/receipts.js');
      const of = (others, position) => {
        const events = new EventTarget();
        const receipts = new Receipts({ user: 'me', events });
        receipts.take(
          Array.from({ length: others }, (_, n) => ({ user: `u${n}`, joinedAt: 5, read: '0-0', delivered: '0-0' })),
          { whole: true },
        );
        const tick = () => receipts.of({ position, timestamp: 10 }).tick;
        const ticks = [tick()];
        for (const type of ['delivered', 'read']) {
          events.dispatchEvent(new CustomEvent(type, { detail: { user: 'u0', position: '1767225600000-10' } }));
          ticks.push(tick());
        }
        return ticks;
      };
      return [of(100, '1767225600000-9'), of(101, '1767225600000-9'), of(1, '1767225600000-9'),
        of(1, '1767225600000-11'), of(1, '9007199254740993-0'), of(0, '1767225600000-9')];
    });
    const [few, done, none] = [['stored', 'stored', 'stored'], ['stored', 'delivered', 'read'], ['stored', 'stored', 'stored']];
    equal(ticks, [few, done, done, none, none, ['stored', 'delivered', 'read']], 'ticks of hundred, more, one, later, none');
  });

  const direct = await api('POST', '/rooms/direct', { user: phone.user }, mina);

  await check('one whose window is hidden is away, and one who is gone was seen last', async () => {
    await desk.open(direct.id);
    const line = (wanted) =>
      until(`joon is ${wanted}`, async () => (await desk.at('here').textContent()).startsWith(wanted));
    await line('Online');
    await phone.roomItem(direct.id).waitFor({ state: 'attached' });
    await phone.hide(true);
    await line('Away');
    await desk.at('people').click();
    const note = desk.page.locator(`[data-test="member"][data-user="${phone.user}"] small`);
    await until('the list says so', async () => (await note.textContent()).endsWith('away'));
    await desk.accessible('away');
    await desk.page.keyboard.press('Escape');
    await phone.hide(false);
    await line('Online');
    await phone.hide(true);
    await line('Away');
    // A new connection starts as the window is.
    expect(/net::ERR_|WebSocket connection|Failed to load resource/);
    await phone.context.setOffline(true);
    await phone.linked('offline');
    await line('Last seen today');
    await desk.picture('last-seen');
    await phone.context.setOffline(false);
    await phone.linked('connected', RECONNECT_MS);
    expect(null);
    await line('Away');
    await phone.hide(false);
    await line('Online');
  });

  const device = async (person) =>
    JSON.parse(await person.page.evaluate(() => localStorage.getItem('moim.device'))).installation;
  const devices = async () => (await api('GET', '/me/devices', undefined, mina)).devices;

  await check('each browser is a device of its user', async () => {
    const wanted = await Promise.all(minas.map(device));
    const known = await devices();
    equal(known.map(({ installation }) => installation).sort(), [...wanted].sort(), 'the devices');
    for (const { platform, hasToken, timeZone } of known)
      equal([platform, hasToken, Boolean(timeZone)], ['web', true, true], 'a device');
  });

  const notified = () => desk.page.evaluate(() => window.notified.map((each) => ({ ...each })));
  const away = () => until('mina is away', async () => (await phone.at('here').textContent()).includes('away'));
  const pushed = (text) => desk.at('push').filter({ hasText: text });

  await check('a hidden page notifies of pushes to it once the user allows it, and takes back what is read', async () => {
    await api('PUT', '/me/devices/pocket', { platform: 'android', token: `pocket-${run}` }, mina);
    await desk.page.addInitScript(recordNotifications);
    await desk.page.reload();
    await desk.linked();
    for (const person of minas) await person.open(calm);
    // Where one device has a message, none is pushed to.
    for (const person of minas) await person.hide(true);
    await away();
    await say(talk, 'a push, please');
    await titled(desk, '● (1)');
    equal(await notified(), [], 'what nobody allowed');
    await desk.hide(false);
    await titled(desk, '(1)');
    await until('mina is back', async () => !(await phone.at('here').textContent()).includes('away'));
    await desk.at('account').click();
    await desk.at('notifications').click();
    await desk.page.getByText('Notifications are on').waitFor();
    await desk.at('pushes').click();
    await until('all were pushed to', async () => (await pushed('a push, please').count()) === 3);
    for (const place of ['this browser', 'pocket']) await pushed('a push, please').filter({ hasText: place }).waitFor();
    await desk.accessible('pushes');

    await desk.hide(true);
    await away();
    await say(talk, 'once more');
    await until('all were pushed to', async () => (await pushed('once more').count()) === 3);
    const wanted = { title: `The ${talk}`, body: 'Joon: once more', tag: talk, closed: false };
    equal(await notified(), [wanted], 'what this browser was told');
    await laptop.hide(false);
    await laptop.open(talk);
    await laptop.message('once more').waitFor();
    await until('it is taken back', async () => (await notified())[0].closed);
    await badged(desk, talk, 0);
    await desk.page.keyboard.press('Escape');
    await desk.hide(false);
    await api('DELETE', '/me/devices/pocket', undefined, mina);
  });

  await check('logging out takes the device along', async () => {
    const installation = await device(laptop);
    await laptop.at('account').click();
    await laptop.at('log-out').click();
    await laptop.at('submit').waitFor();
    await until('it is gone', async () => (await devices()).every((each) => each.installation !== installation));
    equal((await devices()).map((each) => each.installation), [await device(desk)], 'what is left');
  });

  await check('after the server was killed badges, rooms and ticks are right again', async () => {
    expect(/net::ERR_|WebSocket connection|Failed to load resource/);
    await desk.open(talk);
    await phone.open(talk);
    await desk.write('before the end');
    await ticked(desk, 'before the end', 'read');
    await ask('kill');
    await Promise.all([desk, phone].map((person) => person.linked('reconnecting')));
    await ask('restart');
    await say(calm, 'while nobody was there');
    await api('POST', '/rooms', { id: `new-${run}`, visibility: 'private' }, joon);
    await api('PUT', `/rooms/new-${run}/members/${desk.user}`, {}, joon);
    await Promise.all([desk, phone].map((person) => person.linked('connected', RECONNECT_MS)));
    expect(null);
    await badged(desk, calm, 1);
    await titled(desk, '(1)');
    await desk.roomItem(`new-${run}`).waitFor();
    await desk.write('after the end');
    for (const text of ['before the end', 'after the end']) await ticked(desk, text, 'read');
  });
}

await perform(main);
