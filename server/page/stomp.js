// STOMP 1.2 over one WebSocket, from CONNECT to close.

const BEAT_MS = 10_000;
const CONNECT_MS = 10_000;
const UNESCAPED = { '\\n': '\n', '\\r': '\r', '\\c': ':', '\\\\': '\\' };
const ESCAPED = { '\n': '\\n', '\r': '\\r', ':': '\\c', '\\': '\\\\' };

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

/** A frame for the wire. CONNECT is the one whose headers are not escaped. */
export function encode(command, headers, body = '') {
  const escape = command === 'CONNECT' ? (value) => value : (value) => value.replace(/[\n\r:\\]/g, (c) => ESCAPED[c]);
  const lines = Object.entries(headers).map(([name, value]) => `${escape(name)}:${escape(String(value))}\n`);
  if (body) lines.push(`content-length:${utf8.encode(body).length}\n`);
  return `${command}\n${lines.join('')}\n${body}\0`;
}

/** The frame in one WebSocket message, or null for a heart-beat. The server never splits or joins frames. */
export function decode(data) {
  const isText = typeof data === 'string';
  const text = isText ? data : fromUtf8.decode(data);
  if (/^[\r\n]*$/.test(text)) return null;
  const end = text.indexOf('\n\n');
  const [command, ...lines] = text.slice(0, end).split('\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)].map((part) =>
      command === 'CONNECTED' ? part : part.replace(/\\[nrc\\]/g, (found) => UNESCAPED[found]),
    );
    headers[name] ??= value;
  }
  return { command, headers, body: text.slice(end + 2, text.lastIndexOf('\0')) };
}

/**
 * A connection. `on.connected(headers)`, `on.frame(frame)`, and once `on.closed({ code, reason, error })`
 * where `error` is the ERROR frame if there was one.
 */
export class Stomp {
  #socket;
  #on;
  #heard = Date.now();
  #spoke = Date.now();
  #silenceMs = CONNECT_MS;
  #watch;
  #error = null;

  constructor(url, headers, on) {
    this.#on = on;
    this.#socket = new WebSocket(url, ['v12.stomp']);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = () =>
      this.send('CONNECT', {
        'accept-version': '1.2',
        host: location.hostname,
        'heart-beat': `${BEAT_MS},${BEAT_MS}`,
        ...headers,
      });
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }) => this.#finish(code, reason);
    this.#watch = setInterval(() => this.check(), 1000);
  }

  send(command, headers, body) {
    this.#write(encode(command, headers, body));
  }

  /** Gives up the connection: the network is gone. */
  drop() {
    this.#finish(0, 'offline');
  }

  /** Gives up a connection on which nothing came for two and a half intervals. */
  check() {
    if (Date.now() - this.#heard > this.#silenceMs) this.#finish(0, 'silent');
    else this.#beat();
  }

  close() {
    this.#on = { closed() {} };
    this.#finish(1000, '');
  }

  #receive(data) {
    this.#heard = Date.now();
    const frame = decode(data);
    if (frame?.command === 'CONNECTED') {
      const sends = Number(frame.headers['heart-beat']?.split(',')[0] ?? 0);
      this.#silenceMs = sends ? 2.5 * Math.max(sends, BEAT_MS) : Infinity;
      this.#on.connected(frame.headers);
    } else if (frame?.command === 'ERROR') {
      this.#error = frame;
    } else if (frame) {
      this.#on.frame(frame);
    }
    // A hidden tab's timers run once a minute, too late for a beat; the server's beats come in time.
    this.#beat();
  }

  #beat() {
    if (Date.now() - this.#spoke > 0.8 * BEAT_MS) this.#write('\n');
  }

  #write(data) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#spoke = Date.now();
    this.#socket.send(data);
  }

  /** Does not wait for the closing hand-shake, which a dead network never finishes. */
  #finish(code, reason) {
    clearInterval(this.#watch);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#on.closed({ code, reason, error: this.#error });
  }
}
