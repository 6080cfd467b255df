// What the suite of `@stomp/stompjs` asks of a server, file by file, on open topics. Left out is
// `ack.spec`, which wants a queue whose messages go to one consumer each.

import assert from 'node:assert/strict';

import { ReconnectionTimeMode, Stomp, StompSocketState } from '@stomp/stompjs';
import WebSocket from 'ws';

import { Session } from './session.mjs';
import { Inbox, account, allBytes, check, done, topic, url, within } from './support.mjs';

const { user, password, accessToken } = await account('guest');
/// Checking a password takes its time on purpose; only where logging in is the claim.
const login = { login: user, passcode: password };
const connectHeaders = { login: user, passcode: accessToken };
const destination = `${topic}.suite`;

const connected = (config) => Session.connected({ connectHeaders, ...config });
const created = (config) => new Session({ connectHeaders, ...config });

/// The message that comes back to its own subscriber.
async function echo(session, message) {
  const inbox = await session.subscribe(destination);
  session.client.publish({ destination, ...message });
  const came = await inbox.next();
  inbox.subscription.unsubscribe();
  return came;
}

async function echoes(session, body = 'hello') {
  assert.equal((await echo(session, { body })).body, body);
}

// append-missing-null

await check('append-missing-null: a client that adds a NUL itself works too', async () => {
  const session = await connected({ appendMissingNULLonIncoming: true });
  await echoes(session);
  await session.leave();
});

// callbacks

await check('callbacks: they come for CONNECTED, DISCONNECT and the close', async () => {
  const session = await connected();
  assert.equal(session.frame.command, 'CONNECTED');
  await session.leave();
  assert.equal((await session.disconnects.next()).command, 'RECEIPT');
  assert.equal((await session.closes.next()).code, 1000);
});

await check('callbacks: what nobody waits for has its own', async () => {
  const [receipts, messages] = [new Inbox('a receipt'), new Inbox('a message')];
  const session = await connected({
    onUnhandledReceipt: receipts.push,
    onUnhandledMessage: messages.push,
  });
  session.client.subscribe(destination, () => {}, { id: 'own', receipt: 'subscribed' });
  assert.equal((await receipts.next()).headers['receipt-id'], 'subscribed');
  delete session.client._stompHandler._subscriptions.own;
  session.client.publish({ destination, body: 'for nobody' });
  assert.equal((await messages.next()).body, 'for nobody');
  await session.leave();
});

// config

await check('config: any header may stand on DISCONNECT', async () => {
  const disconnectHeaders = { 'x-own': 'value', receipt: 'bye' };
  const session = await connected({ disconnectHeaders });
  await session.leave();
  assert.equal((await session.disconnects.next()).headers['receipt-id'], 'bye');
});

await check('config: versions and protocols are chosen together', async () => {
  for (const version of ['1.0', '1.1', '1.2']) {
    const protocol = `v${version.replace('.', '')}.stomp`;
    const stompVersions = {
      protocolVersions: () => [protocol],
      supportedVersions: () => version,
    };
    const session = await connected({ stompVersions });
    assert.equal(session.client.connectedVersion, version);
    assert.equal(session.client.webSocket.protocol, protocol);
    await echoes(session);
    await session.leave();
  }
});

// connection

await check('connection: a wrong passcode is an ERROR', async () => {
  const session = created({ connectHeaders: { login: user, passcode: 'bad-passcode' } });
  session.client.activate();
  assert.equal((await session.errors.next()).command, 'ERROR');
  await session.closes.next();
  await session.leave();
});

await check('connection: right credentials after wrong ones connect', async () => {
  const session = created({
    connectHeaders: { login: user, passcode: 'bad-passcode' },
    reconnectDelay: 50,
  });
  session.client.activate();
  await session.errors.next();
  session.client.connectHeaders = login;
  await session.connects.next();
  await session.leave();
});

await check('connection: ten times on and off in a row', async () => {
  const session = created();
  for (let round = 0; round < 10; round++) {
    session.client.activate();
    await session.connects.next();
    await session.leave();
    await session.closes.next();
  }
});

await check('connection: ten clients at once', async () => {
  const sessions = await Promise.all(Array.from({ length: 10 }, () => connected()));
  await Promise.all(sessions.map((session) => session.leave()));
});

await check('connection: it may be given up before it is there', async () => {
  const session = created();
  session.client.activate();
  await session.leave();
  session.client.activate();
  await session.connects.next();
  await session.leave();
});

await check('connection: the WebSocket may be torn down before CONNECT', async () => {
  let tries = 0;
  const session = created({
    reconnectDelay: 50,
    webSocketFactory: () => {
      const socket = new WebSocket(url, ['v12.stomp']);
      if (tries++ < 3) {
        socket.on('open', () => socket.terminate());
      }
      return socket;
    },
  });
  session.client.activate();
  await session.connects.next();
  await echoes(session);
  await session.leave();
});

await check('connection: credentials may come late', async () => {
  const session = new Session({
    connectHeaders: {},
    beforeConnect: async (client) => {
      client.connectHeaders = await Promise.resolve(login);
    },
  });
  session.client.activate();
  await session.connects.next();
  await session.leave();
});

await check('connection: it may be left without DISCONNECT', async () => {
  for (const discardWebsocketOnCommFailure of [false, true]) {
    const session = await connected({ discardWebsocketOnCommFailure });
    session.client.forceDisconnect();
    await session.closes.next();
    await session.leave();
  }
  const session = await connected();
  await within(session.client.deactivate({ force: true }), 'the end');
});

// compatibility

await check('compatibility: Stomp.over offers no sub-protocol', async () => {
  const client = Stomp.over(() => new WebSocket(url));
  client.debug = () => {};
  client.reconnect_delay = 0;
  const inbox = new Inbox('a message');
  const frame = await within(
    new Promise((resolve, reject) => client.connect(user, password, resolve, reject)),
    'CONNECTED',
  );
  assert.equal(frame.headers.version, '1.2');
  assert.equal(client.ws.protocol, '');
  client.subscribe(destination, inbox.push);
  client.send(destination, {}, 'with a length');
  client.send(destination, { 'content-length': false }, 'without a length');
  assert.equal((await inbox.next()).body, 'with a length');
  assert.equal((await inbox.next()).body, 'without a length');
  await within(new Promise((resolve) => client.disconnect(resolve, { 'x-own': '1' })), 'the end');
});

await check('compatibility: Stomp.client with headers and heart-beats', async () => {
  Stomp.WebSocketClass = WebSocket;
  const client = Stomp.client(url);
  client.debug = () => {};
  client.heartbeat.incoming = client.heartbeat.outgoing = 500;
  await within(
    new Promise((resolve, reject) => client.connect({ ...login }, resolve, reject)),
    'CONNECTED',
  );
  await within(new Promise((resolve) => client.disconnect(resolve)), 'the end');
  const errors = new Inbox('an error');
  const wrong = Stomp.client(url);
  wrong.debug = () => {};
  wrong.reconnect_delay = 0;
  wrong.connect(user, 'bad-passcode', () => errors.push('connected'), errors.push);
  assert.equal((await errors.next()).command, 'ERROR');
});

// force-binary-ws-frames

await check('force-binary-ws-frames: frames of text in binary messages', async () => {
  const session = await connected({ forceBinaryWSFrames: true });
  await echoes(session, '안녕');
  await session.leave();
});

// heart-beat

await check('heart-beat: a second each way is agreed on', async () => {
  const session = await connected({ heartbeatIncoming: 1000, heartbeatOutgoing: 1000 });
  assert.equal(session.frame.headers['heart-beat'], '1000,1000');
  await session.beats.take(2);
  await session.leave();
});

await check('heart-beat: none is sent where none is asked for', async () => {
  const session = await connected({ heartbeatIncoming: 0, heartbeatOutgoing: 1000 });
  assert.match(session.frame.headers['heart-beat'], /^0,/);
  await session.leave();
});

await check('heart-beat: a client that does not hear the server closes', async () => {
  const session = await connected({ heartbeatIncoming: 500, heartbeatOutgoing: 500 });
  session.client.webSocket.onmessage = () => {};
  await session.lost.next();
  await session.closes.next();
  await session.leave();
});

await check('heart-beat: a client that stops beating is closed within 5 s', async () => {
  const session = await connected({ heartbeatIncoming: 1000, heartbeatOutgoing: 1000 });
  session.client._stompHandler._pinger.stop();
  const close = await session.closes.next(5000);
  assert.equal(session.lost.length, 0, 'the server closed');
  assert.notEqual(close.code, 1000);
  await session.leave();
});

// message

for (const [what, body] of [
  ['text', 'hello'],
  ['nothing', ''],
  ['UTF-8', 'Älä sinä yhtään and السابق 😀'],
  ['JSON', JSON.stringify({ text: 'one\ntwo', value: [1, 2] })],
  ['a NUL', 'before\0after'],
  ['lines', '\n\r\n\n'],
  ['1 KB of text', 'x'.repeat(1024)],
  ['1023 KB of text', '안 '.repeat((1023 * 1024) / 4)],
]) {
  await check(`message: ${what} comes back`, async () => {
    const session = await connected();
    await echoes(session, body);
    await session.leave();
  });
}

for (const size of [0, 1024, 1023 * 1024]) {
  await check(`message: ${size} bytes of every value come back`, async () => {
    const session = await connected();
    const bytes = allBytes(size);
    const message = await echo(session, { binaryBody: bytes });
    assert.ok(bytes.equals(message.binaryBody));
    await session.leave();
  });
}

await check('message: a body without a length comes back', async () => {
  const session = await connected();
  const message = await echo(session, { body: 'short', skipContentLengthHeader: true });
  assert.equal(message.body, 'short');
  await session.leave();
});

// receipts

await check('receipts: SUBSCRIBE, SEND and UNSUBSCRIBE have theirs', async () => {
  const session = await connected();
  const inbox = await session.subscribe(destination);
  await session.publish({ destination, body: 'hello' });
  await inbox.next();
  await session.receipt((more) => inbox.subscription.unsubscribe(more));
  await session.leave();
});

// reconnect

await check('reconnect: each lost link is there again soon', async () => {
  const session = await connected({ reconnectDelay: 200 });
  for (let round = 0; round < 10; round++) {
    const lost = Date.now();
    session.client.forceDisconnect();
    await session.connects.next();
    const delay = Date.now() - lost;
    assert.ok(delay >= 190 && delay < 1200, `${delay} ms`);
    await echoes(session, `round ${round}`);
  }
  await session.leave();
});

await check('reconnect: a delay that doubles', async () => {
  const session = await connected({
    reconnectDelay: 50,
    reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
    maxReconnectDelay: 400,
  });
  for (let round = 0; round < 3; round++) {
    session.client.forceDisconnect();
    await session.connects.next();
  }
  await session.leave();
  assert.ok(!session.client.active);
});

// split-frames

await check('split-frames: large frames in parts of 8 KiB', async () => {
  const session = await connected({ splitLargeFrames: true });
  await echoes(session, '안녕 '.repeat(20_000));
  await session.leave();
});

await check('split-frames: 20 KB of bytes in one part', async () => {
  const session = await connected({ splitLargeFrames: true });
  const bytes = allBytes(20 * 1024);
  assert.ok(bytes.equals((await echo(session, { binaryBody: bytes })).binaryBody));
  await session.leave();
});

await check('split-frames: a part of a frame, and then the close', async () => {
  const session = await connected();
  session.client.webSocket.send(`SEND\ndestination:${destination}\n\nnot all of i`);
  session.client.forceDisconnect();
  await session.closes.next();
  await session.leave();
});

// subscription

await check('subscription: two to one destination on one session', async () => {
  const session = await connected();
  const inboxes = [await session.subscribe(destination), await session.subscribe(destination)];
  session.client.publish({ destination, body: 'twice' });
  for (const inbox of inboxes) {
    assert.equal((await inbox.next()).body, 'twice');
  }
  await session.receipt((more) => inboxes[0].subscription.unsubscribe(more));
  session.client.publish({ destination, body: 'once' });
  assert.equal((await inboxes[1].next()).body, 'once');
  assert.equal(inboxes[0].length + session.unhandled.length, 0);
  await session.leave();
});

await check('subscription: an id of its own, and UNSUBSCRIBE by it', async () => {
  const session = await connected();
  const inbox = await session.subscribe(destination, { id: 'my own id' });
  await session.publish({ destination, body: 'hello' });
  assert.equal((await inbox.next()).headers.subscription, 'my own id');
  await session.receipt((more) => session.client.unsubscribe('my own id', more));
  await session.publish({ destination, body: 'nobody hears this' });
  assert.equal(inbox.length + session.unhandled.length, 0);
  await session.leave();
});

await check('subscription: headers of a message come back with their escapes', async () => {
  const session = await connected();
  for (const value of [':', '\n', '\r', '\\', 'a:b\nc\rd\\', '안녕']) {
    const message = await echo(session, { body: 'x', headers: { 'x-own': value } });
    assert.equal(message.headers['x-own'], value);
  }
  await session.leave();
});

// transaction

await check('transaction: SENDs wait for COMMIT and end with ABORT', async () => {
  const session = await connected();
  const inbox = await session.subscribe(destination);
  const send = (body, { id }) =>
    session.client.publish({ destination, body, headers: { transaction: id } });
  const dropped = session.client.begin('of-mine');
  send('dropped', dropped);
  dropped.abort();
  const kept = session.client.begin();
  send('kept 1', kept);
  send('kept 2', kept);
  session.client.publish({ destination, body: 'outside' });
  assert.equal((await inbox.next()).body, 'outside');
  kept.commit();
  assert.deepEqual((await inbox.take(2)).map(({ body }) => body), ['kept 1', 'kept 2']);
  assert.equal(inbox.length, 0);
  await session.leave();
});

// web-socket-state

await check('web-socket-state: open, and closed after the end', async () => {
  const session = await connected();
  const socket = session.client.webSocket;
  assert.equal(socket.readyState, StompSocketState.OPEN);
  await session.leave();
  await session.closes.next();
  assert.equal(socket.readyState, StompSocketState.CLOSED);
});

done();
