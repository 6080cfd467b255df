//! Whether a session lives, decided from numbers: pure, the clock is one of them.

/// Heart-beats as negotiated (STOMP 1.2, "Heart-beating"), in ms; 0: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beats {
    /// The client hears something from us at least that often.
    pub out_ms: u64,
    /// We hear something from the client at least that often.
    pub in_ms: u64,
    /// With no beats agreed: how long a client may say nothing.
    pub idle_ms: u64,
}

/// What a session is judged by. Times are ms after it opened.
#[derive(Debug, Clone, Copy)]
pub struct Vitals {
    /// Now.
    pub now: u64,
    /// When the client was last heard.
    pub heard: u64,
    /// When something was last written to it.
    pub written: u64,
    /// Since when the oldest item waits.
    pub queued: Option<u64>,
    /// Since when there are messages of which nobody knows whether they came in, and nothing was
    /// done to find out.
    pub unproven: Option<u64>,
    /// CONNECT was accepted.
    pub connected: bool,
    /// The beats.
    pub beats: Beats,
    /// Since when it closes.
    pub closing: Option<u64>,
    /// How old an item may get.
    pub age_ms: u64,
    /// How long CONNECT may take.
    pub connect_ms: u64,
}

/// What is to be done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing; look again then.
    Alive {
        /// In ms from now.
        again_in: u64,
    },
    /// It is owed a heart-beat.
    Beat,
    /// Whether messages came in is to be found out: its WebSocket answers a ping by itself.
    Ping,
    /// It said nothing for too long, or never said CONNECT.
    Idle,
    /// It does not read.
    Slow,
    /// It had its time to close; cut the socket.
    Cut,
}

/// How long a client has to read the close and to answer it.
const LINGER_MS: u64 = 2_000;

/// How long something else may come from a client that shows that it has its messages.
const PROOF_MS: u64 = 1_000;

/// The longest time between two looks.
const LOOK_MS: u64 = 2_000;

impl Vitals {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        if let Some(since) = self.closing {
            return due(self.now, since + LINGER_MS).map_or(Verdict::Cut, alive);
        }
        let mut again = LOOK_MS;
        let mut within = |at: u64| due(self.now, at).map(|left| again = again.min(left)).is_some();
        if self.queued.is_some_and(|queued| !within(queued + self.age_ms)) {
            return Verdict::Slow;
        }
        if !self.connected && !within(self.connect_ms) {
            return Verdict::Idle;
        }
        // Two and a half intervals: jitter is forgiven, a dead client is found before the third.
        if self.beats.in_ms > 0 && !within(self.heard + self.beats.in_ms * 5 / 2) {
            return Verdict::Idle;
        }
        if self.beats.idle_ms > 0 && !within(self.heard + self.beats.idle_ms) {
            return Verdict::Idle;
        }
        // Nine tenths: some clients give up 100 ms after the interval.
        if self.beats.out_ms > 0 && !within(self.written + self.beats.out_ms * 9 / 10) {
            return Verdict::Beat;
        }
        if self.unproven.is_some_and(|since| !within(since + PROOF_MS)) {
            return Verdict::Ping;
        }
        alive(again)
    }
}

const fn alive(again_in: u64) -> Verdict {
    Verdict::Alive { again_in }
}

/// ms until `at`, or `None` when it is reached.
const fn due(now: u64, at: u64) -> Option<u64> {
    if now >= at { None } else { Some(at - now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Vitals = Vitals {
        now: 60_000,
        heard: 59_500,
        written: 59_500,
        queued: None,
        unproven: None,
        connected: true,
        beats: Beats { out_ms: 1_000, in_ms: 1_000, idle_ms: 0 },
        closing: None,
        age_ms: 30_000,
        connect_ms: 10_000,
    };

    #[test]
    fn a_beat_is_sent_before_its_interval_ends() {
        assert_eq!(CALM.verdict(), Verdict::Alive { again_in: 400 });
        assert_eq!(Vitals { written: 59_100, ..CALM }.verdict(), Verdict::Beat);
    }

    #[test]
    fn a_client_that_beats_late_is_forgiven_and_a_silent_one_is_not() {
        assert_ne!(Vitals { heard: 57_600, ..CALM }.verdict(), Verdict::Idle);
        assert_eq!(Vitals { heard: 57_500, ..CALM }.verdict(), Verdict::Idle);
    }

    #[test]
    fn without_agreed_beats_silence_is_no_fault() {
        let beats = Beats::default();
        assert_eq!(
            Vitals { heard: 0, beats, ..CALM }.verdict(),
            Verdict::Alive { again_in: LOOK_MS }
        );
    }

    #[test]
    fn who_opens_and_says_nothing_is_idle() {
        let fresh = Vitals { connected: false, beats: Beats::default(), ..CALM };
        assert_eq!(Vitals { now: 9_999, ..fresh }.verdict(), Verdict::Alive { again_in: 1 });
        assert_eq!(Vitals { now: 10_000, ..fresh }.verdict(), Verdict::Idle);
    }

    #[test]
    fn a_client_that_shows_nothing_of_its_messages_is_asked() {
        assert_eq!(Vitals { unproven: Some(59_000), ..CALM }.verdict(), Verdict::Ping);
        let soon = Vitals { unproven: Some(59_300), ..CALM };
        assert_eq!(soon.verdict(), Verdict::Alive { again_in: 300 });
    }

    #[test]
    fn what_waits_too_long_ends_the_session() {
        assert_eq!(Vitals { queued: Some(30_000), ..CALM }.verdict(), Verdict::Slow);
        assert_ne!(Vitals { queued: Some(30_001), ..CALM }.verdict(), Verdict::Slow);
    }

    #[test]
    fn a_session_that_does_not_close_is_cut() {
        assert_eq!(
            Vitals { closing: Some(59_000), ..CALM }.verdict(),
            Verdict::Alive { again_in: 1_000 }
        );
        assert_eq!(Vitals { closing: Some(58_000), ..CALM }.verdict(), Verdict::Cut);
    }
}
