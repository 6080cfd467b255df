// `@stomp/stompjs`, as a web app uses it.

import assert from 'node:assert/strict';

import { Session } from './session.mjs';
import {
  account, allBytes, check, done, numbered, places, post, room, token, topic, unique,
} from './support.mjs';

await check('stompjs connects with a token in Authorization, in STOMP 1.2', async () => {
  const session = await Session.connected();
  assert.equal(session.frame.headers.version, '1.2');
  assert.equal(session.client.webSocket.protocol, 'v12.stomp');
  await session.leave();
});

await check('stompjs connects with a token as its passcode', async () => {
  const session = await Session.connected({ connectHeaders: { login: 'mina', passcode: token } });
  await session.leave();
});

for (const place of places) {
  await check(`stompjs gets 100 messages of ${place.name} back in order`, async () => {
    const [ann, ben] = [await Session.connected(), await Session.connected()];
    const inboxes = [await ann.subscribe(place.topic), await ben.subscribe(place.topic)];
    const bodies = numbered(100);
    await Promise.all(bodies.map((body) => ann.publish({ destination: place.send, body })));
    for (const inbox of inboxes) {
      const messages = await inbox.take(100);
      assert.deepEqual(messages.map((message) => message.body), bodies);
      for (const message of messages) {
        assert.equal(message.headers.destination, place.topic);
        assert.equal(message.headers.subscription, inbox.subscription.id);
      }
      const ids = new Set(messages.map((message) => message.headers['message-id']));
      assert.equal(ids.size, 100);
    }
    await Promise.all([ann.leave(), ben.leave()]);
  });

  await check(`stompjs hears nothing of ${place.name} after UNSUBSCRIBE`, async () => {
    const session = await Session.connected();
    const gone = await session.subscribe(place.topic);
    const stays = await session.subscribe(place.topic);
    await session.receipt((more) => gone.subscription.unsubscribe(more));
    await session.publish({ destination: place.send, body: 'anybody?' });
    assert.equal((await stays.next()).body, 'anybody?');
    assert.equal(gone.length + session.unhandled.length, 0);
    await session.leave();
  });

  await check(`stompjs gets 1023 KB of bytes of ${place.name} back intact`, async () => {
    const session = await Session.connected();
    const inbox = await session.subscribe(place.topic);
    const bytes = allBytes(1023 * 1024);
    await session.publish({ destination: place.send, binaryBody: bytes });
    const message = await inbox.next();
    assert.ok(bytes.equals(message.binaryBody));
    await session.leave();
  });

  await check(`stompjs gets its own headers of ${place.name} back, escapes and all`, async () => {
    const session = await Session.connected();
    const inbox = await session.subscribe(place.topic);
    const headers = { 'x-plain': 'value', 'x-escapes': 'a:b\\x\nd\re', 'content-type': 'text/x' };
    await session.publish({ destination: place.send, headers, body: '안녕' });
    const message = await inbox.next();
    assert.equal(message.body, '안녕');
    for (const [name, value] of Object.entries(headers)) {
      assert.equal(message.headers[name], value);
    }
    await session.leave();
  });

  await check(`stompjs commits and aborts transactions of ${place.name}`, async () => {
    const session = await Session.connected();
    const inbox = await session.subscribe(place.topic);
    const send = (body, transaction) => {
      const headers = transaction ? { transaction: transaction.id } : {};
      session.client.publish({ destination: place.send, body, headers });
    };
    const [kept, dropped] = [session.client.begin(), session.client.begin()];
    send('kept 1', kept);
    send('dropped', dropped);
    send('kept 2', kept);
    await session.publish({ destination: place.send, body: 'at once' });
    assert.equal((await inbox.next()).body, 'at once');
    dropped.abort();
    kept.commit();
    assert.deepEqual((await inbox.take(2)).map(({ body }) => body), ['kept 1', 'kept 2']);
    await session.publish({ destination: place.send, body: 'after' });
    assert.equal((await inbox.next()).body, 'after');
    await session.leave();
  });
}

await check('stompjs acknowledges messages in both client modes', async () => {
  const session = await Session.connected();
  for (const ack of ['client', 'client-individual']) {
    const inbox = await session.subscribe(places[0].topic, { ack });
    await session.publish({ destination: places[0].send, body: ack });
    const message = await inbox.next();
    assert.ok(message.headers.ack);
    await session.receipt((more) => message.ack(more));
    await session.receipt((more) => message.nack(more));
    await session.receipt((more) => inbox.subscription.unsubscribe(more));
  }
  await session.leave();
});

await check('stompjs gets a message as JSON with `envelope: json`', async () => {
  const session = await Session.connected();
  const inbox = await session.subscribe(places[0].topic, { envelope: 'json' });
  const headers = { 'content-type': 'text/plain', 'origin-id': unique('own') };
  await session.publish({ destination: places[0].send, headers, body: 'a "body", 안녕' });
  const message = await inbox.next();
  assert.equal(message.headers['content-type'], 'application/json;charset=UTF-8');
  const envelope = JSON.parse(message.body);
  assert.equal(envelope.room, room);
  assert.equal(envelope.body, 'a "body", 안녕');
  assert.equal(envelope.contentType, 'text/plain');
  assert.equal(envelope.originId, headers['origin-id']);
  assert.equal(message.headers['message-id'], `${room}/${envelope.position}`);
  assert.equal(typeof envelope.sender, 'string');
  assert.ok(Math.abs(Date.now() - envelope.timestamp) < 60_000);
  const bytes = allBytes(1000);
  await session.publish({ destination: places[0].send, binaryBody: bytes });
  const binary = JSON.parse((await inbox.next()).body);
  assert.equal(binary.body, undefined);
  assert.equal(binary.bodyBase64, bytes.toString('base64'));
  await session.leave();
});

await check('stompjs keeps its link with heart-beats of a second', async () => {
  const session = await Session.connected({ heartbeatIncoming: 1000, heartbeatOutgoing: 1000 });
  assert.equal(session.frame.headers['heart-beat'], '1000,1000');
  await session.beats.take(4);
  assert.equal(session.lost.length + session.closes.length, 0);
  assert.ok(session.client.connected);
  await session.leave();
});

await check('stompjs sees ERROR and a close for a wrong passcode', async () => {
  const session = new Session({ connectHeaders: { login: 'mina', passcode: 'bad-passcode' } });
  session.client.activate();
  const error = await session.errors.next();
  assert.ok(error.headers.message);
  assert.equal((await session.closes.next()).code, 1002);
  assert.equal(session.connects.length, 0);
  await session.leave();
});

await check('stompjs sees ERROR and a close for a frame that makes no sense', async () => {
  const session = await Session.connected();
  session.client.commit('never-begun');
  assert.ok((await session.errors.next()).headers.message);
  assert.equal((await session.closes.next()).code, 1002);
  await session.leave();
});

await check('stompjs leaves with a RECEIPT and close 1000', async () => {
  const session = await Session.connected();
  await session.leave();
  await session.disconnects.next();
  const close = await session.closes.next();
  assert.deepEqual([close.code, close.wasClean], [1000, true]);
  assert.equal(session.errors.length, 0);
});

await check('stompjs connects with login and passcode of an account', async () => {
  const { user, password } = await account('jo');
  const session = await Session.connected({ connectHeaders: { login: user, passcode: password } });
  const inbox = await session.subscribe(topic);
  await session.publish({ destination: topic, body: 'hello' });
  const message = await inbox.next();
  assert.deepEqual([message.body, message.headers.sender], ['hello', user]);
  await session.leave();
});

await check('stompjs sees ERROR and a close for a wrong password of an account', async () => {
  const { user } = await account('jo');
  const connectHeaders = { login: user, passcode: 'bad-passcode' };
  const session = new Session({ connectHeaders });
  session.client.activate();
  assert.ok((await session.errors.next()).headers.message);
  assert.equal((await session.closes.next()).code, 1002);
  await session.leave();
});

await check('stompjs talks in a room that its account made', async () => {
  const { user, accessToken } = await account('jo');
  const id = unique('own');
  const answer = await post('/api/v1/rooms', { id, visibility: 'private' }, accessToken);
  assert.equal(answer.status, 201);
  const connectHeaders = { Authorization: `Bearer ${accessToken}` };
  const session = await Session.connected({ connectHeaders });
  const inbox = await session.subscribe(`/topic/rooms/${id}`);
  await session.publish({ destination: `/app/rooms/${id}`, body: 'mine' });
  const message = await inbox.next();
  assert.deepEqual([message.body, message.headers.sender], ['mine', user]);
  await session.leave();
});

await check('stompjs reaches the own queue of another user', async () => {
  const [ann, ben] = [await account('ann'), await account('ben')];
  const connect = ({ accessToken }) =>
    Session.connected({ connectHeaders: { Authorization: `Bearer ${accessToken}` } });
  const [from, to] = [await connect(ann), await connect(ben)];
  const inbox = await to.subscribe('/user/queue/calls');
  await from.publish({ destination: `/user/${ben.user}/queue/calls`, body: 'ring' });
  const { body, headers } = await inbox.next();
  assert.deepEqual([body, headers.destination], ['ring', '/user/queue/calls']);
  await Promise.all([from.leave(), to.leave()]);
});

done();
