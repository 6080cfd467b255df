"""`stomp.py` over its WebSocket transport: STOMP instead of CONNECT, version 1.2 only, an Origin.

Run as `python stomp_py.py BASE_URL TOKEN ROOM TOPIC`.
"""

import json
import os
import queue
import sys
import threading
import traceback
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlsplit

import stomp
from stomp.exception import ConnectFailedException

DEADLINE = 10
ALL = 120

BASE, TOKEN, ROOM, TOPIC = sys.argv[1:]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PLACES = [
    ("a room", f"/app/rooms/{ROOM}", f"/topic/rooms/{ROOM}"),
    ("an open topic", TOPIC, TOPIC),
]

under = "the start"
notes = []


def fail(reason):
    print(f"not ok - {under}", flush=True)
    print("\n".join([*notes, reason]), file=sys.stderr, flush=True)
    os._exit(1)


def check(sentence, body):
    """One claim, and what shows it."""
    global under
    under = sentence
    notes.clear()
    try:
        body()
    except BaseException:
        fail(traceback.format_exc())
    print(f"ok - {sentence}", flush=True)


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.connected = queue.Queue()
        self.messages = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.ended = queue.Queue()
        self.beats = queue.Queue()
        self.late = queue.Queue()

    def on_connected(self, frame):
        self.connected.put(frame)

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        notes.append(f"ERROR {frame.headers.get('message')}")
        self.errors.put(frame)

    def on_disconnected(self):
        notes.append("disconnected")
        self.ended.put(True)

    def on_heartbeat(self):
        self.beats.put(True)

    def on_heartbeat_timeout(self):
        self.late.put(True)


class Session:
    def __init__(self, path="/ws", heartbeats=(0, 0), **options):
        at = urlsplit(BASE)
        self.listener = Listener()
        self.connection = stomp.WSStompConnection(
            [(at.hostname, at.port)],
            ws_path=path,
            heartbeats=heartbeats,
            reconnect_attempts_max=1,
            **options,
        )
        self.connection.set_listener("test", self.listener)

    def connect(self, login=None, passcode=None, headers=None):
        self.connection.connect(login, passcode, wait=True, headers=dict(headers or {}))
        self.frame = self.listener.connected.get(timeout=DEADLINE)
        return self

    def receipt(self, send):
        """What asks for a RECEIPT with the id that it is given."""
        wanted = str(uuid.uuid4())
        send(wanted)
        came = self.listener.receipts.get(timeout=DEADLINE)
        assert came == wanted, f"{came} instead of {wanted}"

    def subscribe(self, destination, **headers):
        self.receipt(
            lambda receipt: self.connection.subscribe(
                destination, "1", receipt=receipt, **headers
            )
        )

    def send(self, destination, body, headers=None, **more):
        self.receipt(
            lambda receipt: self.connection.send(
                destination, body, headers={**(headers or {}), "receipt": receipt}, **more
            )
        )

    def next(self):
        return self.listener.messages.get(timeout=DEADLINE)

    def bodies(self, count):
        return [self.next().body for _ in range(count)]

    def leave(self):
        """DISCONNECT; the client ends the connection when its RECEIPT comes."""
        self.connection.disconnect()
        self.listener.ended.get(timeout=DEADLINE)
        assert self.listener.errors.empty()


def account():
    """A new built-in account."""
    user, password = f"jo-{uuid.uuid4().hex}", "correct horse battery staple"
    request = urllib.request.Request(
        f"{BASE}/api/v1/auth/register",
        json.dumps({"user": user, "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=DEADLINE) as answer:
            assert answer.status == 201, answer.status
    except urllib.error.HTTPError as error:
        raise AssertionError(f"register: {error.code} {error.read()}") from error
    return user, password


def connects(path):
    session = Session(path).connect(headers=BEARER)
    assert session.frame.headers["version"] == "1.2", session.frame.headers
    session.leave()


def connects_with_passcode():
    Session().connect("mina", TOKEN).leave()


def in_order(to, topic):
    session = Session().connect(headers=BEARER)
    session.subscribe(topic)
    bodies = [f"message {number}" for number in range(100)]
    for body in bodies:
        session.connection.send(to, body, receipt=body)
    receipts = [session.listener.receipts.get(timeout=DEADLINE) for _ in bodies]
    assert sorted(receipts) == sorted(bodies), receipts
    messages = [session.next() for _ in bodies]
    assert [message.body for message in messages] == bodies
    assert {message.headers["destination"] for message in messages} == {topic}
    assert {message.headers["subscription"] for message in messages} == {"1"}
    session.receipt(lambda receipt: session.connection.unsubscribe("1", receipt=receipt))
    session.send(to, "nobody hears this")
    assert session.listener.messages.empty()
    session.leave()


def bytes_intact(to, topic):
    session = Session(auto_decode=False, binary_mode=True).connect(headers=BEARER)
    session.subscribe(topic)
    body = bytes((number * 31 + (number >> 8)) & 0xFF for number in range(1023 * 1024))
    session.send(to, body)
    assert session.next().body == body
    session.send(to, "안녕".encode())
    assert session.next().body == "안녕".encode()
    session.leave()


def headers_with_escapes(to, topic):
    session = Session().connect(headers=BEARER)
    session.subscribe(topic)
    session.send(to, "hello", {"x-escapes": "a:b\\d\ne"}, content_type="text/x")
    headers = session.next().headers
    assert headers["x-escapes"] == "a:b\\d\ne", headers
    assert headers["content-type"] == "text/x", headers
    session.leave()


def transactions(to, topic):
    session = Session().connect(headers=BEARER)
    session.subscribe(topic)
    kept, dropped = session.connection.begin(), session.connection.begin()
    session.connection.send(to, "kept", transaction=kept)
    session.connection.send(to, "dropped", transaction=dropped)
    session.connection.abort(dropped)
    session.send(to, "at once")
    session.receipt(lambda receipt: session.connection.commit(kept, receipt=receipt))
    assert session.bodies(2) == ["at once", "kept"]
    session.send(to, "after")
    assert session.bodies(1) == ["after"]
    session.leave()


def acknowledges():
    _, to, topic = PLACES[0]
    for mode in ["client", "client-individual"]:
        session = Session().connect(headers=BEARER)
        session.subscribe(topic, ack=mode)
        session.send(to, mode)
        own = session.next().headers["ack"]
        session.receipt(lambda receipt: session.connection.ack(own, receipt=receipt))
        session.receipt(lambda receipt: session.connection.nack(own, receipt=receipt))
        session.leave()


def envelope():
    _, to, topic = PLACES[0]
    session = Session().connect(headers=BEARER)
    session.subscribe(topic, headers={"envelope": "json"})
    session.send(to, "hello")
    got = json.loads(session.next().body)
    assert (got["room"], got["body"]) == (ROOM, "hello"), got
    session.leave()


def heart_beats():
    session = Session(heartbeats=(1000, 1000)).connect(headers=BEARER)
    assert session.frame.headers["heart-beat"] == "1000,1000", session.frame.headers
    for _ in range(4):
        session.listener.beats.get(timeout=DEADLINE)
    assert session.listener.late.empty() and session.listener.ended.empty()
    assert session.connection.is_connected()
    session.leave()


def refused(user, passcode):
    session = Session()
    try:
        session.connect(user, passcode)
    except ConnectFailedException:
        pass
    else:
        raise AssertionError("let in")
    assert session.listener.errors.get(timeout=DEADLINE).headers["message"]
    session.listener.ended.get(timeout=DEADLINE)


def bad_frame():
    session = Session().connect(headers=BEARER)
    session.connection.commit("never-begun")
    assert session.listener.errors.get(timeout=DEADLINE).headers["message"]
    session.listener.ended.get(timeout=DEADLINE)


def own_account():
    user, password = account()
    session = Session().connect(user, password)
    session.subscribe(TOPIC)
    session.send(TOPIC, "hello")
    message = session.next()
    assert (message.body, message.headers["sender"]) == ("hello", user), message.headers
    session.leave()
    refused(user, "bad-passcode")


def main():
    overrun = threading.Timer(ALL, lambda: fail(f"not done after {ALL} s"))
    overrun.daemon = True
    overrun.start()
    for path in ["/ws", "/ws/websocket"]:
        check(f"stomp.py connects at {path} with STOMP and a token", lambda: connects(path))
    check("stomp.py connects with a token as its passcode", connects_with_passcode)
    for name, to, topic in PLACES:
        for sentence, body in [
            (f"stomp.py gets 100 messages of {name} back in order", in_order),
            (f"stomp.py gets 1023 KB of bytes of {name} back intact", bytes_intact),
            (f"stomp.py gets headers with escapes of {name} back", headers_with_escapes),
            (f"stomp.py commits and aborts transactions of {name}", transactions),
        ]:
            check(sentence, lambda: body(to, topic))
    check("stomp.py acknowledges messages in both client modes", acknowledges)
    check("stomp.py gets a message as JSON with `envelope: json`", envelope)
    check("stomp.py keeps its link with heart-beats of a second", heart_beats)
    check(
        "stomp.py sees ERROR and the end for a wrong passcode",
        lambda: refused("mina", "bad-passcode"),
    )
    check("stomp.py sees ERROR and the end for a frame that makes no sense", bad_frame)
    check("stomp.py connects with login and passcode of an account", own_account)
    os._exit(0)


main()
