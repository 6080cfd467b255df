// `@stomp/stompjs` while its server is killed and started again, as an app does it that names its
// messages and remembers its position: nothing is lost, nothing comes twice.

import assert from 'node:assert/strict';

import { Session } from './session.mjs';
import { Inbox, ask, check, done, numbered, places, unique, within } from './support.mjs';

const [place] = places;
const RECONNECT = { reconnectDelay: 100 };

/// A reader that takes up where it was, whenever it is connected again.
class Reader extends Session {
  inbox = new Inbox('a message');
  subscribed = new Inbox('a RECEIPT for SUBSCRIBE');
  position = '0-0';

  constructor() {
    super(RECONNECT);
    this.client.onConnect = async () => {
      const take = (message) => {
        this.position = message.headers.position;
        this.inbox.push(message);
      };
      const receipt = await this.receipt((more) =>
        this.client.subscribe(place.topic, take, { since: this.position, ...more }),
      );
      this.subscribed.push(receipt);
    };
    this.client.activate();
  }
}

/// A sender that sends again what got no RECEIPT, by the same name.
class Sender extends Session {
  open = new Map();
  half = new Inbox('half of the RECEIPTs');

  constructor() {
    super(RECONNECT);
    this.client.onConnect = () => {
      for (const send of this.open.values()) {
        send();
      }
      this.connects.push(true);
    };
    this.client.activate();
  }

  /// Resolves when it is durable, however often that takes.
  send(body) {
    const name = unique('own');
    return new Promise((resolve) => {
      const send = () => {
        this.client.watchForReceipt(name, () => {
          this.open.delete(name);
          resolve();
        });
        const headers = { receipt: name, 'origin-id': name };
        this.client.publish({ destination: place.send, body, headers });
      };
      this.open.set(name, send);
      if (this.client.connected) {
        send();
      }
    });
  }

  /// Sends all, with so many under way at a time.
  async sendAll(bodies, window) {
    const waiting = [...bodies];
    const work = async () => {
      while (waiting.length > 0) {
        await this.send(waiting.shift());
        if (waiting.length === bodies.length / 2) {
          this.half.push(true);
        }
      }
    };
    await Promise.all(Array.from({ length: window }, work));
  }
}

await check('stompjs loses nothing and doubles nothing while its server is killed', async () => {
  const [reader, sender] = [new Reader(), new Sender()];
  await Promise.all([reader.subscribed.next(), sender.connects.next()]);
  let wanted = [];
  for (let round = 0; round < 3; round++) {
    const bodies = numbered(500, `round ${round},`);
    wanted = wanted.concat(bodies);
    const sent = sender.sendAll(bodies, 20);
    await sender.half.next();
    await ask('kill');
    console.log(`${sender.open.size} are under way`);
    await ask('restart');
    const resumed = await reader.subscribed.next();
    assert.equal(resumed.headers.recovered, 'true');
    await sender.connects.next();
    await within(sent, 'the other RECEIPTs');
  }
  const last = 'after all of it';
  await sender.send(last);
  const messages = [];
  do {
    messages.push(await reader.inbox.next());
  } while (messages.at(-1).body !== last);
  const came = messages.slice(0, -1).map(({ body }) => body);
  assert.deepEqual([...came].sort(), [...wanted].sort());
  const positions = messages.map(({ headers }) => headers.position.split('-').map(Number));
  for (const [at, [epoch, seq]] of positions.slice(1).entries()) {
    const [lastEpoch, lastSeq] = positions[at];
    assert.ok(epoch > lastEpoch || (epoch === lastEpoch && seq > lastSeq), `${epoch}-${seq}`);
  }
  await Promise.all([reader.leave(), sender.leave()]);
});

done();
