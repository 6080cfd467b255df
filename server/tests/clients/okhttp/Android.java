import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okhttp3.WebSocket;
import okhttp3.WebSocketListener;
import okio.ByteString;

/**
 * OkHttp with the habits of the STOMP client that most Android apps have: no sub-protocol, no host,
 * no receipts, no escapes, a parser that ends for good at what it does not like, close 1000 as the
 * only good-bye.
 *
 * Run as {@code java Android BASE_URL TOKEN ROOM TOPIC}.
 */
public final class Android {
    static final Duration DEADLINE = Duration.ofSeconds(10);
    static final Duration ALL = Duration.ofSeconds(120);

    static final String APP = "an Android app";

    static String base;
    static String under = "the start";
    /** What may explain a failure. */
    static final List<String> NOTES = new CopyOnWriteArrayList<>();

    public static void main(String[] arguments) {
        if (arguments.length != 4) {
            System.err.println("usage: java Android BASE_URL TOKEN ROOM TOPIC");
            System.exit(2);
        }
        base = arguments[0];
        String token = arguments[1];
        String room = arguments[2];
        String topic = arguments[3];
        ScheduledExecutorService overrun = Executors.newSingleThreadScheduledExecutor();
        Runnable late = () -> fail(new Exception("not done after " + ALL));
        overrun.schedule(late, ALL.toSeconds(), TimeUnit.SECONDS);

        String[][] places = {
            {"a room", "/app/rooms/" + room, "/topic/rooms/" + room},
            {"an open topic", topic, topic},
        };
        for (String path : List.of("/ws", "/ws/websocket")) {
            for (String[] place : places) {
                check(APP + " at " + path + " gets 100 messages of " + place[0] + " back in order",
                        () -> inOrder(path, token, place[1], place[2]));
            }
            check(APP + " at " + path + " keeps its link with heart-beats of a second",
                    () -> heartBeats(path, token));
            check(APP + " at " + path + " learns of a wrong passcode by the close",
                    () -> refused(path, Map.of("login", "mina", "passcode", "bad-passcode")));
        }
        for (String[] place : places) {
            check(APP + " hears nothing of " + place[0] + " after UNSUBSCRIBE",
                    () -> unsubscribes(token, place[1], place[2]));
            check(APP + " is not made deaf by what others send to " + place[0],
                    () -> staysHearing(token, place[1], place[2]));
            check(APP + " of the old white space is understood by " + place[0],
                    () -> legacyWhitespace(token, place[1], place[2]));
        }
        check(APP + " logs in with its token as passcode", () -> {
            App app = new App("/ws").connect(Map.of("login", "mina", "passcode", token));
            app.disconnect();
        });
        check(APP + " gets a message as JSON with `envelope: json`", () -> {
            App app = bearer("/ws", token);
            BlockingQueue<Message> messages = app.topic(places[0][2], Map.of("envelope", "json"));
            app.send(places[0][1], "hello");
            Message message = take(messages, "a message");
            same("application/json;charset=UTF-8", message.headers.get("content-type"));
            holds(message.payload.contains("\"room\":\"" + room + "\""), message.payload);
            holds(message.payload.contains("\"body\":\"hello\""), message.payload);
            app.disconnect();
        });
        check(APP + " learns of a frame that makes no sense by the close", () -> {
            App app = bearer("/ws", token);
            app.topic("nowhere", Map.of());
            same(1002, take(app.closing, "a close"));
        });
        check(APP + " leaves with close 1000 and nothing else", () -> {
            App app = bearer("/ws", token);
            app.disconnect();
        });
        check(APP + " logs in with login and passcode of an account", () -> {
            String user = account();
            App app = new App("/ws").connect(Map.of("login", user, "passcode", PASSWORD));
            BlockingQueue<Message> messages = app.topic(topic, Map.of());
            app.send(topic, "hello");
            Message message = take(messages, "a message");
            same("hello", message.payload);
            same(user, message.headers.get("sender"));
            app.disconnect();
            refused("/ws", Map.of("login", user, "passcode", "bad-passcode"));
        });
        System.exit(0);
    }

    static void inOrder(String path, String token, String to, String topic) throws Exception {
        App ann = bearer(path, token);
        App ben = bearer(path, token);
        BlockingQueue<Message> own = ann.topic(topic, Map.of());
        BlockingQueue<Message> other = ben.topic(topic, Map.of());
        // There are no receipts: an app is subscribed when it hears itself.
        ben.send(to, "there");
        same("there", take(other, "the own message").payload);
        List<String> bodies = new ArrayList<>();
        for (int number = 0; number < 100; number++) {
            bodies.add("{\"text\":\"안녕 " + number + "\"}");
            ann.send(to, bodies.get(number));
        }
        String first = take(own, "a message").payload;
        if (first.equals("there")) {
            first = take(own, "a message").payload;
        }
        HashSet<String> ids = new HashSet<>();
        for (String body : bodies) {
            same(body, first == null ? take(own, "a message").payload : first);
            first = null;
            Message message = take(other, "a message");
            same(body, message.payload);
            ids.add(message.headers.get("message-id"));
        }
        same(100, ids.size());
        ann.disconnect();
        ben.disconnect();
    }

    static void unsubscribes(String token, String to, String topic) throws Exception {
        App app = bearer("/ws", token);
        App witness = bearer("/ws", token);
        BlockingQueue<Message> all = witness.topic(topic, Map.of());
        witness.send(to, "there");
        same("there", take(all, "a message").payload);
        BlockingQueue<Message> gone = app.topic(topic, Map.of());
        app.send(to, "first");
        same("first", take(gone, "a message").payload);
        app.unsubscribe(topic);
        app.send(to, "between");
        same("first", take(all, "a message").payload);
        same("between", take(all, "a message").payload);
        BlockingQueue<Message> again = app.topic(topic, Map.of());
        app.send(to, "second");
        same("second", take(again, "a message").payload);
        same(0, gone.size());
        app.disconnect();
        witness.disconnect();
    }

    static void staysHearing(String token, String to, String topic) throws Exception {
        App sender = bearer("/ws", token);
        App app = bearer("/ws", token);
        BlockingQueue<Message> messages = app.topic(topic, Map.of());
        app.send(to, "there");
        same("there", take(messages, "a message").payload);
        String[][] headers = {
            {"x-own", "two words"}, {"x-own", ""}, {"two words", "x"}, {"x-own", "a\\cb\\nc"},
            {"content-type", "text/plain; charset=UTF-8"}, {"content-type", " "},
        };
        for (String[] header : headers) {
            sender.say("SEND", Map.of("destination", to, header[0], header[1]), "text");
            same("text", take(messages, "a message").payload);
        }
        sender.say("SEND", Map.of("destination", to, "content-length", "4"), "a\u0000b\n");
        holds(take(messages, "a message").payload.startsWith("a"), "the body up to its NUL");
        sender.send(to, "more");
        same("more", take(messages, "a message").payload);
        sender.disconnect();
        app.disconnect();
    }

    static void legacyWhitespace(String token, String to, String topic) throws Exception {
        App app = bearer("/ws", token);
        app.legacyWhitespace = true;
        BlockingQueue<Message> messages = app.topic(topic, Map.of());
        app.send(to, "hello");
        same("hello\n\n", take(messages, "a message").payload);
        app.disconnect();
    }

    static void heartBeats(String path, String token) throws Exception {
        App app = new App(path);
        app.heartBeats(1000, 1000);
        app.connect(Map.of("Authorization", "Bearer " + token));
        for (int count = 0; count < 4; count++) {
            take(app.beats, "a heart-beat");
        }
        same(0, app.closing.size());
        app.disconnect();
    }

    static void refused(String path, Map<String, String> headers) throws Exception {
        App app = new App(path);
        app.open(headers);
        same(1002, take(app.closing, "a close"));
        same(0, app.connected.size());
    }

    static App bearer(String path, String token) throws Exception {
        return new App(path).connect(Map.of("Authorization", "Bearer " + token));
    }

    static final String PASSWORD = "correct horse battery staple";

    /** A new built-in account. */
    static String account() throws Exception {
        String user = "jo-" + UUID.randomUUID();
        String body = "{\"user\":\"" + user + "\",\"password\":\"" + PASSWORD + "\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(base + "/api/v1/auth/register"))
                .timeout(DEADLINE)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        holds(answer.statusCode() == 201, "register: " + answer.statusCode() + " " + answer.body());
        return user;
    }

    // What a test needs.

    interface Claim {
        void shown() throws Exception;
    }

    /** One claim, and what shows it. */
    static void check(String sentence, Claim claim) {
        under = sentence;
        NOTES.clear();
        try {
            claim.shown();
        } catch (Throwable problem) {
            fail(problem);
        }
        System.out.println("ok - " + sentence);
    }

    static void fail(Throwable problem) {
        System.out.println("not ok - " + under);
        NOTES.forEach(System.err::println);
        problem.printStackTrace();
        System.exit(1);
    }

    static <T> T take(BlockingQueue<T> from, String what) throws Exception {
        T taken = from.poll(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        holds(taken != null, what + ": nothing after " + DEADLINE);
        return taken;
    }

    static void same(Object expected, Object came) {
        holds(expected.equals(came), "expected " + expected + ", came " + came);
    }

    static void holds(boolean claim, String otherwise) {
        if (!claim) {
            throw new AssertionError(otherwise);
        }
    }

    // The client.

    /** A frame as the apps' client reads and writes it. */
    static final class Message {
        static final Pattern HEADER = Pattern.compile("([^:\\s]+)\\s*:\\s*([^:\\s]+)");

        final String command;
        final Map<String, String> headers;
        final String payload;

        Message(String command, Map<String, String> headers, String payload) {
            this.command = command;
            this.headers = headers;
            this.payload = payload;
        }

        /** Throws at a header that the pattern does not take; the first NUL ends it. */
        static Message from(String data) {
            if (data.trim().isEmpty()) {
                return new Message("UNKNOWN", Map.of(), data);
            }
            Scanner reader = new Scanner(data);
            reader.useDelimiter("\\n");
            String command = reader.next();
            Map<String, String> headers = new LinkedHashMap<>();
            while (reader.hasNext(HEADER)) {
                Matcher matcher = HEADER.matcher(reader.next());
                matcher.find();
                headers.putIfAbsent(matcher.group(1), matcher.group(2));
            }
            reader.skip("\n\n");
            reader.useDelimiter("\u0000");
            String payload = reader.hasNext() ? reader.next() : null;
            return new Message(command, headers, payload);
        }

        String compile(boolean legacyWhitespace) {
            StringBuilder text = new StringBuilder(command).append('\n');
            headers.forEach((name, value) -> text.append(name + ":" + value + "\n"));
            text.append('\n');
            if (payload != null) {
                text.append(payload);
                if (legacyWhitespace) {
                    text.append("\n\n");
                }
            }
            return text.append('\u0000').toString();
        }
    }

    static final class App extends WebSocketListener {
        static final OkHttpClient HTTP = new OkHttpClient();

        final BlockingQueue<Boolean> connected = new LinkedBlockingQueue<>();
        final BlockingQueue<Boolean> beats = new LinkedBlockingQueue<>();
        final BlockingQueue<Integer> closing = new LinkedBlockingQueue<>();
        final BlockingQueue<Integer> closed = new LinkedBlockingQueue<>();
        final Map<String, BlockingQueue<Message>> streams = new ConcurrentHashMap<>();
        final Map<String, String> ids = new ConcurrentHashMap<>();
        final String path;
        boolean legacyWhitespace;
        long clientBeat;
        long serverBeat;
        ScheduledExecutorService beating;
        Map<String, String> login;
        WebSocket socket;
        String deaf;

        App(String path) {
            this.path = path;
        }

        void heartBeats(long client, long server) {
            clientBeat = client;
            serverBeat = server;
        }

        void open(Map<String, String> headers) {
            login = headers;
            socket = HTTP.newWebSocket(new Request.Builder().url(base + path).build(), this);
        }

        /** Nothing is sent before CONNECTED came. */
        App connect(Map<String, String> headers) throws Exception {
            open(headers);
            take(connected, "CONNECTED");
            return this;
        }

        BlockingQueue<Message> topic(String destination, Map<String, String> more) {
            BlockingQueue<Message> stream = new LinkedBlockingQueue<>();
            streams.put(destination, stream);
            ids.put(destination, UUID.randomUUID().toString());
            Map<String, String> headers = new LinkedHashMap<>();
            headers.put("id", ids.get(destination));
            headers.put("destination", destination);
            headers.put("ack", "auto");
            headers.putAll(more);
            say("SUBSCRIBE", headers, null);
            return stream;
        }

        void unsubscribe(String destination) {
            streams.remove(destination);
            say("UNSUBSCRIBE", Map.of("id", ids.remove(destination)), null);
        }

        void send(String destination, String payload) {
            say("SEND", Map.of("destination", destination), payload);
        }

        void disconnect() throws Exception {
            holds(deaf == null, "deaf after " + deaf);
            same(0, closing.size());
            socket.close(1000, "");
            same(1000, take(closed, "the close"));
            stop();
        }

        void say(String command, Map<String, String> headers, String payload) {
            Message message = new Message(command, headers, payload);
            holds(socket.send(message.compile(legacyWhitespace)), "not sent");
        }

        void stop() {
            if (beating != null) {
                beating.shutdownNow();
            }
        }

        @Override
        public void onOpen(WebSocket opened, Response response) {
            if (response.header("Sec-WebSocket-Protocol") != null) {
                fail(new AssertionError("a sub-protocol that nobody offered"));
            }
            socket = opened;
            Map<String, String> headers = new LinkedHashMap<>();
            headers.put("accept-version", "1.1,1.2");
            headers.put("heart-beat", clientBeat + "," + serverBeat);
            headers.putAll(login);
            say("CONNECT", headers, null);
        }

        @Override
        public void onMessage(WebSocket from, ByteString bytes) {
            onMessage(from, bytes.utf8());
        }

        @Override
        public void onMessage(WebSocket from, String text) {
            if (deaf != null) {
                return;
            }
            Message message;
            try {
                message = Message.from(text);
            } catch (RuntimeException problem) {
                // An app hears nothing any more from here on, and does not know.
                deaf = text;
                NOTES.add("deaf after " + text);
                return;
            }
            switch (message.command) {
                case "CONNECTED":
                    startBeating(message.headers.get("heart-beat"));
                    connected.add(true);
                    break;
                case "UNKNOWN":
                    if (message.payload.equals("\n")) {
                        beats.add(true);
                    }
                    break;
                default:
                    // By the destination alone: ERROR and RECEIPT have none and are lost.
                    BlockingQueue<Message> stream =
                            streams.get(message.headers.getOrDefault("destination", ""));
                    if (stream != null) {
                        stream.add(message);
                    }
            }
        }

        /** Beats with CR LF, in every version. */
        void startBeating(String agreed) {
            if (agreed == null || clientBeat == 0) {
                return;
            }
            long interval = Math.max(clientBeat, Long.parseLong(agreed.split(",")[1]));
            beating = Executors.newSingleThreadScheduledExecutor();
            Runnable beat = () -> socket.send("\r\n");
            beating.scheduleAtFixedRate(beat, interval, interval, TimeUnit.MILLISECONDS);
        }

        @Override
        public void onClosing(WebSocket from, int code, String reason) {
            if (code != 1000) {
                closing.add(code);
            }
            from.close(code, reason);
        }

        @Override
        public void onClosed(WebSocket from, int code, String reason) {
            stop();
            closed.add(code);
        }

        @Override
        public void onFailure(WebSocket from, Throwable problem, Response response) {
            stop();
            NOTES.add("failure: " + problem);
            closing.add(-1);
        }
    }
}
