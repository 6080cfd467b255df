// `stompit`, over a WebSocket instead of TCP: each of its writes is a binary message, so a frame
// comes as three: head, body, and NUL with a line end.

import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';

import WebSocket from 'ws';
import stompit from 'stompit';

import {
  Inbox, account, allBytes, check, done, note, numbered, places, room, token, topic, url, within,
} from './support.mjs';

/// What `stompit` asks of a socket.
class Transport extends Duplex {
  bytesRead = 0;
  writes = 0;
  beats = new Inbox('a heart-beat');

  constructor(address, opened) {
    super({ decodeStrings: true });
    this.ws = new WebSocket(address);
    this.gone = new Promise((resolve) => this.ws.on('close', (code) => resolve(code)));
    this.ws.on('open', opened);
    this.ws.on('message', (data) => {
      this.bytesRead += data.length;
      if (data.length === 1 && data[0] === 10) {
        this.beats.push(true);
      }
      this.push(data);
    });
    this.ws.on('error', (error) => this.emit('error', error));
    this.ws.on('close', () => this.push(null));
  }

  _read() {}

  _write(chunk, _, callback) {
    this.writes += 1;
    this.ws.send(chunk, { binary: true }, callback);
  }

  _final(callback) {
    this.ws.close(1000);
    callback();
  }

  /// `stompit` tells the error itself.
  _destroy(_, callback) {
    this.ws.close();
    callback();
  }
}

class Session {
  errors = new Inbox('an error');

  static connected(connectHeaders = { Authorization: `Bearer ${token}` }, heartbeat = '0,0') {
    const session = new Session();
    const connected = new Promise((resolve, reject) => {
      const options = {
        host: '/',
        connect: (_, opened) => (session.transport = new Transport(url, opened)),
        connectHeaders: { 'heart-beat': heartbeat, ...connectHeaders },
        resetDisconnect: false,
      };
      session.client = stompit.connect(options, (error) => {
        return error ? reject(error) : resolve(session);
      });
      session.client.on('error', (error) => {
        note(`error: ${error.message}`);
        session.errors.push(error);
      });
    });
    return Object.assign(within(connected, 'CONNECTED'), { session });
  }

  /// There is no RECEIPT to wait for: what is sent next comes after it.
  subscribe(headers) {
    const inbox = new Inbox(`a message of ${headers.destination}`);
    inbox.subscription = this.client.subscribe(headers, (error, message) => {
      if (error) {
        return inbox.push({ error });
      }
      const chunks = [];
      message.on('data', (chunk) => chunks.push(chunk));
      message.on('end', () => {
        const bytes = Buffer.concat(chunks);
        inbox.push({ message, headers: message.headers, bytes, body: bytes.toString() });
      });
    });
    return inbox;
  }

  /// Sends, and waits for the RECEIPT.
  send(headers, body, from = this.client) {
    const receipt = new Promise((onReceipt) => {
      const frame = from.send({ ...headers }, { onReceipt });
      frame.end(body);
    });
    return within(receipt, 'a RECEIPT');
  }

  async leave() {
    const left = new Promise((resolve, reject) =>
      this.client.disconnect((error) => (error ? reject(error) : resolve())),
    );
    await within(left, 'the end');
    return within(this.transport.gone, 'a close');
  }
}

await check('stompit connects without a sub-protocol, in STOMP 1.2', async () => {
  const session = await Session.connected();
  assert.equal(session.client.headers.version, '1.2');
  assert.equal(session.transport.ws.protocol, '');
  await session.leave();
});

await check('stompit connects with a token as its passcode', async () => {
  const session = await Session.connected({ login: 'mina', passcode: token });
  await session.leave();
});

for (const place of places) {
  await check(`stompit gets 100 messages of ${place.name} back in order`, async () => {
    const session = await Session.connected();
    const inbox = session.subscribe({ destination: place.topic });
    const bodies = numbered(100);
    const before = session.transport.writes;
    await Promise.all(bodies.map((body) => session.send({ destination: place.send }, body)));
    // SUBSCRIBE has no body and may still be among them.
    assert.ok(session.transport.writes - before >= 300, 'three messages a frame');
    const messages = await inbox.take(100);
    assert.deepEqual(messages.map((message) => message.body), bodies);
    assert.ok(messages.every(({ headers }) => headers.destination === place.topic));
    inbox.subscription.unsubscribe();
    await session.leave();
  });

  await check(`stompit gets bytes of ${place.name} back from a frame in many parts`, async () => {
    const session = await Session.connected();
    const inbox = session.subscribe({ destination: place.topic });
    const bytes = allBytes(100_000);
    // Without a length a frame ends at its first NUL, so it has to be said.
    const headers = { destination: place.send, 'content-length': bytes.length };
    const frame = session.client.send(headers);
    for (let at = 0; at < bytes.length; at += 10_000) {
      frame.write(bytes.subarray(at, at + 10_000));
    }
    frame.end();
    assert.ok(bytes.equals((await inbox.next()).bytes));
    await session.leave();
  });

  await check(`stompit commits and aborts transactions of ${place.name}`, async () => {
    const session = await Session.connected();
    const inbox = session.subscribe({ destination: place.topic });
    const [kept, dropped] = [session.client.begin(), session.client.begin()];
    kept.send({ destination: place.send }).end('kept');
    dropped.send({ destination: place.send }).end('dropped');
    dropped.abort();
    await session.send({ destination: place.send }, 'at once');
    await within(new Promise((onReceipt) => kept.commit({ onReceipt })), 'a RECEIPT for COMMIT');
    assert.deepEqual((await inbox.take(2)).map(({ body }) => body), ['at once', 'kept']);
    await session.leave();
  });

  await check(`stompit gets headers with escapes of ${place.name} back`, async () => {
    const session = await Session.connected();
    const inbox = session.subscribe({ destination: place.topic });
    await session.send({ destination: place.send, 'x-escapes': 'a:b\\c\nd\re' }, 'hello');
    assert.equal((await inbox.next()).headers['x-escapes'], 'a:b\\c\nd\re');
    await session.leave();
  });
}

await check('stompit acknowledges messages in both client modes', async () => {
  const session = await Session.connected();
  for (const ack of ['client', 'client-individual']) {
    const inbox = session.subscribe({ destination: places[0].topic, ack });
    await session.send({ destination: places[0].send }, ack);
    const { message } = await inbox.next();
    for (const answer of ['ack', 'nack']) {
      const receipt = new Promise((onReceipt) => {
        session.client[answer](message, {}, { onReceipt });
      });
      await within(receipt, `a RECEIPT for ${answer}`);
    }
    inbox.subscription.unsubscribe();
  }
  await session.leave();
});

await check('stompit gets a message as JSON with `envelope: json`', async () => {
  const session = await Session.connected();
  const inbox = session.subscribe({ destination: places[0].topic, envelope: 'json' });
  await session.send({ destination: places[0].send }, 'hello');
  const { body, bodyBase64, ...envelope } = JSON.parse((await inbox.next()).body);
  // What comes in binary messages may be told as bytes.
  const text = body ?? Buffer.from(bodyBase64, 'base64').toString();
  assert.deepEqual([envelope.room, text], [room, 'hello']);
  await session.leave();
});

await check('stompit keeps its link with heart-beats of a second', async () => {
  // It allows 100 ms more.
  const session = await Session.connected(undefined, '1000,1000');
  assert.equal(session.client.headers['heart-beat'], '1000,1000');
  await session.transport.beats.take(4);
  assert.equal(session.errors.length, 0);
  await session.leave();
});

await check('stompit sees ERROR and a close for a wrong passcode', async () => {
  const connecting = Session.connected({ login: 'mina', passcode: 'bad-passcode' });
  const { session } = connecting;
  await assert.rejects(connecting, (error) => error.isApplicationError());
  await within(session.transport.gone, 'a close');
});

await check('stompit sees ERROR and a close for a frame that makes no sense', async () => {
  const session = await Session.connected();
  session.client.sendFrame('COMMIT', { transaction: 'never-begun' }).end();
  assert.ok((await session.errors.next()).isApplicationError());
  await within(session.transport.gone, 'a close');
});

await check('stompit leaves with a RECEIPT and close 1000', async () => {
  const session = await Session.connected();
  assert.equal(await session.leave(), 1000);
  assert.equal(session.errors.length, 0);
});

await check('stompit connects with login and passcode of an account', async () => {
  const { user, password } = await account('jo');
  const session = await Session.connected({ login: user, passcode: password });
  const inbox = session.subscribe({ destination: topic });
  await session.send({ destination: topic }, 'hello');
  const { body, headers } = await inbox.next();
  assert.deepEqual([body, headers.sender], ['hello', user]);
  await session.leave();
});

done();
