// A session of `@stomp/stompjs` whose events can be waited for.

import { Client } from '@stomp/stompjs';
import WebSocket from 'ws';

import { Inbox, Receipts, note, token, url, within } from './support.mjs';

Object.assign(globalThis, { WebSocket }); // as in a browser

export const bearer = { Authorization: `Bearer ${token}` };

export class Session extends Receipts {
  connects = new Inbox('CONNECTED');
  disconnects = new Inbox('RECEIPT for DISCONNECT');
  errors = new Inbox('ERROR');
  closes = new Inbox('a close');
  failures = new Inbox('a WebSocket error');
  beats = new Inbox('a heart-beat');
  lost = new Inbox('a lost heart-beat');
  unhandled = new Inbox('a message of no subscription');

  /// Nothing is sent yet.
  constructor(config = {}) {
    super();
    this.client = new Client({
      brokerURL: url,
      connectHeaders: bearer,
      reconnectDelay: 0,
      heartbeatIncoming: 0,
      heartbeatOutgoing: 0,
      onConnect: this.connects.push,
      onDisconnect: this.disconnects.push,
      onStompError: (frame) => {
        note(`ERROR ${frame.headers.message}`);
        this.errors.push(frame);
      },
      onWebSocketClose: (close) => {
        note(`close ${close.code} ${close.reason}`);
        this.closes.push(close);
      },
      onWebSocketError: this.failures.push,
      onUnhandledMessage: this.unhandled.push,
      onHeartbeatReceived: () => this.beats.push(true),
      onHeartbeatLost: () => this.lost.push(true),
      ...config,
    });
  }

  static async connected(config) {
    const session = new Session(config);
    session.client.activate();
    session.frame = await session.connects.next();
    return session;
  }

  awaitReceipt(id, resolve) {
    this.client.watchForReceipt(id, resolve);
  }

  /// Publishes, and waits for the RECEIPT.
  publish(message) {
    return this.receipt((more) =>
      this.client.publish({ ...message, headers: { ...message.headers, ...more } }),
    );
  }

  async leave() {
    await within(this.client.deactivate(), 'the end');
  }
}
