// `webstomp-client`, as a browser uses it: sub-protocols offered from the lowest up, messages of
// at most 16 KiB, DISCONNECT and the close at once.

import assert from 'node:assert/strict';

import WebSocket from 'ws';
import webstomp from 'webstomp-client';

import {
  Inbox, Receipts, account, check, done, note, numbered, places, room, token, topic, url, within,
} from './support.mjs';

Object.assign(globalThis, { WebSocket });

class Session extends Receipts {
  receipts = new Map();
  beats = new Inbox('a heart-beat');
  errors = new Inbox('ERROR or a close');

  constructor({ heartbeat = false, path = '', protocols } = {}) {
    super();
    this.client = webstomp.client(url + path, { heartbeat, protocols });
    this.client.debug = (line) => line === '<<< PONG' && this.beats.push(true);
    this.client.onreceipt = (frame) => this.receipts.get(frame.headers['receipt-id'])?.(frame);
  }

  /// `headers`, or login and passcode.
  connect(...credentials) {
    const connected = new Promise((resolve, reject) => {
      this.client.connect(...credentials, resolve, (error) => {
        note(error.command ? `ERROR ${error.headers.message}` : `close ${error.code}`);
        this.errors.push(error);
        reject(new Error(`${error.command ?? error.type}: ${error.body ?? error.code}`));
      });
    });
    return within(connected, 'CONNECTED');
  }

  static async connected(options) {
    const session = new Session(options);
    session.frame = await session.connect({ Authorization: `Bearer ${token}` });
    return session;
  }

  awaitReceipt(id, resolve) {
    this.receipts.set(id, resolve);
  }

  send(destination, body, headers = {}) {
    return this.receipt((more) => this.client.send(destination, body, { ...headers, ...more }));
  }

  /// The client closes at once and forgets its handler.
  async leave() {
    const closed = new Promise((resolve) => this.client.ws.addEventListener('close', resolve));
    this.client.disconnect();
    return within(closed, 'a close');
  }
}

for (const path of ['', '/websocket']) {
  await check(`webstomp connects at /ws${path} in the version of the sub-protocol`, async () => {
    const session = await Session.connected({ path });
    assert.equal(session.client.ws.protocol, 'v12.stomp');
    assert.equal(session.frame.headers.version, '1.2');
    await session.leave();
  });
}

for (const version of ['1.0', '1.1', '1.2']) {
  await check(`webstomp chats in STOMP ${version}`, async () => {
    const protocols = [`v${version.replace('.', '')}.stomp`];
    const session = await Session.connected({ protocols });
    assert.equal(session.frame.headers.version, version);
    const inbox = await session.subscribe(places[0].topic, { ack: 'client' });
    await session.send(places[0].send, version);
    const message = await inbox.next();
    assert.equal(message.body, version);
    message.ack();
    await session.send(places[0].send, 'after the ACK');
    assert.equal((await inbox.next()).body, 'after the ACK');
    await session.leave();
  });
}

for (const place of places) {
  await check(`webstomp gets 100 messages of ${place.name} back in order`, async () => {
    const session = await Session.connected();
    const inbox = await session.subscribe(place.topic);
    const bodies = numbered(100);
    await Promise.all(bodies.map((body) => session.send(place.send, body)));
    const messages = await inbox.take(100);
    assert.deepEqual(messages.map((message) => message.body), bodies);
    assert.ok(messages.every(({ headers }) => headers.destination === place.topic));
    await session.receipt((more) => inbox.subscription.unsubscribe(more));
    session.client.onreceive = inbox.push;
    await session.send(place.send, 'nobody hears this');
    assert.equal(inbox.length, 0);
    await session.leave();
  });

  for (const size of [16 * 1024, 200_000]) {
    await check(`webstomp sends ${size} letters to ${place.name} in parts`, async () => {
      const session = await Session.connected();
      const inbox = await session.subscribe(place.topic);
      // It splits at UTF-16 units, and so breaks what is outside of the first plane.
      const body = 'aé안 '.repeat(size / 4);
      await session.send(place.send, body);
      assert.equal((await inbox.next()).body, body);
      await session.leave();
    });
  }

  await check(`webstomp commits and aborts transactions of ${place.name}`, async () => {
    const session = await Session.connected();
    const inbox = await session.subscribe(place.topic);
    const [kept, dropped] = [session.client.begin(), session.client.begin()];
    session.client.send(place.send, 'kept', { transaction: kept.id });
    session.client.send(place.send, 'dropped', { transaction: dropped.id });
    dropped.abort();
    await session.send(place.send, 'at once');
    kept.commit();
    assert.deepEqual((await inbox.take(2)).map(({ body }) => body), ['at once', 'kept']);
    await session.send(place.send, 'after');
    assert.equal((await inbox.next()).body, 'after');
    await session.leave();
  });
}

await check('webstomp sends binary messages of text', async () => {
  const session = await Session.connected();
  session.client.isBinary = true;
  const inbox = await session.subscribe(places[0].topic);
  await session.send(places[0].send, 'x'.repeat(40_000));
  assert.equal((await inbox.next()).body, 'x'.repeat(40_000));
  await session.leave();
});

await check('webstomp gets a message as JSON with `envelope: json`', async () => {
  const session = await Session.connected();
  const inbox = await session.subscribe(places[0].topic, { envelope: 'json' });
  await session.send(places[0].send, 'hello');
  const envelope = JSON.parse((await inbox.next()).body);
  assert.deepEqual([envelope.room, envelope.body], [room, 'hello']);
  await session.leave();
});

await check('webstomp keeps its link with heart-beats of a second', async () => {
  const session = await Session.connected({ heartbeat: { outgoing: 1000, incoming: 1000 } });
  assert.equal(session.frame.headers['heart-beat'], '1000,1000');
  await session.beats.take(4);
  assert.ok(session.client.connected);
  assert.equal(session.errors.length, 0);
  await session.leave();
});

await check('webstomp sees ERROR and a close for a wrong passcode', async () => {
  const session = new Session();
  await assert.rejects(session.connect('mina', 'bad-passcode'));
  const [error, close] = await session.errors.take(2);
  assert.equal(error.command, 'ERROR');
  assert.ok(error.headers.message);
  assert.equal(close.code, 1002);
});

await check('webstomp sees ERROR and a close for a frame that makes no sense', async () => {
  const session = await Session.connected();
  session.client.commit('never-begun');
  const [error, close] = await session.errors.take(2);
  assert.deepEqual([error.command, close.code], ['ERROR', 1002]);
});

await check('webstomp leaves with DISCONNECT and a close at once', async () => {
  const session = await Session.connected();
  const close = await session.leave();
  assert.ok(close.wasClean);
  assert.equal(session.errors.length, 0);
});

await check('webstomp connects with login and passcode of an account', async () => {
  const { user, password } = await account('jo');
  const session = new Session();
  await session.connect(user, password);
  const inbox = await session.subscribe(topic);
  await session.send(topic, 'hello');
  const message = await inbox.next();
  assert.deepEqual([message.body, message.headers.sender], ['hello', user]);
  await session.leave();
});

done();
