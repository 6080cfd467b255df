//! What one client, one room and one node may use: every bound of the server, with its default.

use super::settings::settings;
use super::{Size, Span};

settings! {
    /// Bounds. They protect the others: what goes past one is refused or closed with a reason.
    Limits in "limits" {
        /// SENDs per second that one session may make, on average.
        send_rate: u32 = 1_000, within 1..=1_000_000;
        /// SENDs that one session may make at once before the rate counts.
        send_burst: u32 = 2_000, within 1..=1_000_000;
        /// Subscriptions that one session may hold.
        subscriptions: usize = 256, within 1..=100_000;
        /// The largest body of a SEND.
        body_max: Size = Size::mib(1), within Size::kib(1)..=Size::mib(16);
        /// The largest WebSocket message, and the largest frame joined from several. Not less
        /// than `body_max`, since headers come on top.
        message_max: Size = Size::kib(1228), within Size::kib(1)..=Size::mib(32);
        /// Headers that one STOMP frame may have.
        headers_max: usize = 64, within 8..=1_000;
        /// Bytes that the headers of one STOMP frame may have together.
        headers_bytes: Size = Size::kib(16), within Size::kib(1)..=Size::mib(1);
        /// Bytes that may wait for one session to read them. Past it the session is closed with
        /// 4008 and resumes from where it was.
        outbox_bytes: Size = Size::mib(4), within Size::kib(64)..=Size::gib(1);
        /// How long the oldest of those may wait.
        outbox_age: Span = Span::secs(30), within Span::millis(100)..=Span::mins(10);
        /// How long a SEND may be held while it cannot be taken (rate, queue, database) before it
        /// is refused.
        send_deadline: Span = Span::secs(10), within Span::millis(100)..=Span::mins(5);
        /// The shortest heart-beat, both ways: a client that asks for less gets this. Otherwise it
        /// gets what it asks for.
        heart_beat_min: Span = Span::millis(100), within Span::millis(10)..=Span::mins(1);
        /// How long a new connection may take to say CONNECT.
        connect_timeout: Span = Span::secs(10), within Span::millis(100)..=Span::mins(5);
        /// How long a session without heart-beats may say nothing before it is closed with 4000.
        /// Off, TCP keep-alive still finds peers that are gone.
        idle_timeout: Option<Span> = None, within Span::millis(100)..=Span::hours(24);
        /// Transactions that one session may have open.
        transactions: usize = 16, within 1..=1_000;
        /// Frames that one transaction may gather.
        transaction_frames: usize = 1_000, within 1..=100_000;
        /// Bytes that one transaction may gather.
        transaction_bytes: Size = Size::mib(4), within Size::kib(1)..=Size::mib(256);
        /// Messages that `history` of a SUBSCRIBE may ask for.
        history_max: usize = 1_000, within 1..=10_000;
        /// Bytes of accepted, not yet durable SENDs that one room may hold.
        room_pending_bytes: Size = Size::mib(8), within Size::kib(64)..=Size::gib(1);
        /// The same for all rooms of a node together.
        node_pending_bytes: Size = Size::mib(256), within Size::kib(64)..=Size::gib(64);
        /// Durable messages that a room keeps in memory for those who resume.
        hot_log_keep: usize = 256, within 1..=100_000;
        /// Bytes of such messages that a room keeps.
        hot_log_bytes: Size = Size::mib(4), within Size::kib(64)..=Size::gib(1);
        /// Messages that a room's log holds while the database is away, in a cluster. Past it the
        /// oldest go all the same: they are on their way, but nobody can resume in front of them
        /// until the database has them.
        hot_log_max: usize = 100_000, within 1_000..=10_000_000;
        /// Names (`origin-id`) that a room remembers, so that a repeated SEND is stored once.
        names_max: usize = 10_000, within 100..=1_000_000;
        /// How long it remembers them.
        names_age: Span = Span::hours(24), within Span::mins(1)..=Span::hours(720);
        /// Bytes that may wait for the database. Past it new SENDs are refused with a retry hint.
        queue_max_bytes: Size = Size::mib(256), within Size::kib(64)..=Size::gib(1024);
        /// How long a room that nobody uses stays in memory.
        room_idle: Span = Span::secs(60), within Span::millis(100)..=Span::hours(24);
        /// Connections of this process. More are answered with 503.
        connections_max: usize = 16_000, within 1..=1_000_000;
        /// How long sent bytes may stay without TCP's acknowledgement before the peer counts as
        /// gone (`TCP_USER_TIMEOUT`).
        tcp_user_timeout: Span = Span::secs(40), within Span::secs(1)..=Span::mins(15);
        /// How long a silent connection stays before TCP asks whether the peer is there.
        tcp_keepalive: Span = Span::secs(60), within Span::secs(1)..=Span::hours(2);
    }
}
