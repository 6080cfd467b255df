//! What the steps of a test took: one histogram per step for the table, and a line of seconds for
//! the charts. Memory is bounded: a fixed number of histograms and of seconds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::failure::{Failure, Tally};

/// Seconds kept for the charts; later ones are added to the last.
const MAX_SECONDS: usize = 1_800;
const MAX_MICROS: u64 = 120_000_000;

/// What a user does, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// TCP and the upgrade.
    Open,
    /// CONNECT until CONNECTED.
    Connect,
    /// SUBSCRIBE, until its RECEIPT if it asks.
    Subscribe,
    /// SEND, until its RECEIPT if it asks.
    Send,
    /// The wait for the message.
    Read,
    /// UNSUBSCRIBE, until its RECEIPT if it asks.
    Unsubscribe,
    /// DISCONNECT and the WebSocket's close.
    Close,
    /// From SEND to the message at one receiver; not an operation, so not in the total.
    Delivery,
    /// Those deliveries whose receiver is on another node than the sender.
    Across,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Connect,
        Self::Subscribe,
        Self::Send,
        Self::Read,
        Self::Unsubscribe,
        Self::Close,
        Self::Delivery,
        Self::Across,
    ];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Connect => "CONNECT",
            Self::Subscribe => "SUBSCRIBE",
            Self::Send => "SEND",
            Self::Read => "READ",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Close => "CLOSE",
            Self::Delivery => "DELIVERY",
            Self::Across => "ACROSS",
        }
    }

    /// True for what a user does; false for what becomes of a message.
    pub const fn is_operation(self) -> bool {
        !matches!(self, Self::Delivery | Self::Across)
    }
}

/// One step's samples.
#[derive(Debug, Clone)]
pub struct Samples {
    /// Microseconds, failed samples too, as JMeter counts them.
    pub micros: Histogram<u64>,
    /// How many of them failed.
    pub errors: u64,
    /// Start of the first and end of the last.
    pub span: Option<(Instant, Instant)>,
}

impl Samples {
    fn new() -> Self {
        Self { micros: histogram(3), errors: 0, span: None }
    }

    /// Samples per second between the first start and the last end.
    pub fn throughput(&self) -> f64 {
        let seconds = self.span.map_or(0.0, |(from, to)| (to - from).as_secs_f64());
        if seconds > 0.0 { self.micros.len() as f64 / seconds } else { 0.0 }
    }

    /// Failed samples of a hundred.
    pub fn error_percent(&self) -> f64 {
        100.0 * self.errors as f64 / self.micros.len().max(1) as f64
    }

    fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so adding cannot fail.
        let _ = self.micros.add(&other.micros);
        self.errors += other.errors;
        self.span = match (self.span, other.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, None) => one,
            (None, one) => one,
        };
    }
}

/// One second of the test.
#[derive(Debug, Clone)]
pub struct Second {
    /// Operations that ended in it.
    pub operations: u64,
    /// Operations that failed in it.
    pub errors: u64,
    /// Deliveries in it.
    pub delivery: Histogram<u32>,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Stats {
    /// When the test began.
    pub started: Instant,
    samples: Vec<Samples>,
    /// One entry per second.
    pub seconds: Vec<Second>,
    /// Failures by kind.
    pub failures: Tally,
    /// With sessions that come back: what made them do so, and refusals for a while.
    pub interruptions: Tally,
    forgiving: bool,
}

impl Stats {
    /// Empty, starting now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            samples: Step::ALL.iter().map(|_step| Samples::new()).collect(),
            seconds: Vec::new(),
            failures: Tally::default(),
            interruptions: Tally::default(),
            forgiving: false,
        }
    }

    /// Counts a failure; in a test whose sessions come back, the loss of one is no failure, and
    /// neither is a refusal for a while.
    pub fn fail(&mut self, step: &str, failure: &Failure) {
        let tally =
            if self.forgives(failure) { &mut self.interruptions } else { &mut self.failures };
        tally.add(step, failure);
    }

    fn forgives(&self, failure: &Failure) -> bool {
        self.forgiving && failure.passes()
    }

    /// Adds a sample of `step` that began at `from` and ends at `to`.
    pub fn add(&mut self, step: Step, from: Instant, to: Instant, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.fail(step.name(), failure);
            if self.forgives(failure) {
                return;
            }
        }
        let micros = micros(to - from);
        let second = self.second(to);
        if step == Step::Delivery {
            second.delivery.saturating_record(micros);
        } else if step.is_operation() {
            second.operations += 1;
            second.errors += u64::from(failure.is_some());
        }
        if let Some(samples) = self.samples.get_mut(step as usize) {
            samples.micros.saturating_record(micros);
            samples.errors += u64::from(failure.is_some());
            let first = samples.span.map_or(from, |(first, _)| first.min(from));
            samples.span = Some((first, to));
        }
    }

    fn second(&mut self, at: Instant) -> &mut Second {
        let wanted = ((at - self.started).as_secs() as usize).min(MAX_SECONDS - 1);
        if self.seconds.len() <= wanted {
            let empty = Second { operations: 0, errors: 0, delivery: histogram(2) };
            self.seconds.resize(wanted + 1, empty);
        }
        &mut self.seconds[wanted]
    }

    /// The samples of one step.
    pub fn of(&self, step: Step) -> &Samples {
        &self.samples[step as usize]
    }

    /// All operations together.
    pub fn total(&self) -> Samples {
        let mut total = Samples::new();
        for step in Step::ALL.into_iter().filter(|step| step.is_operation()) {
            total.merge(self.of(step));
        }
        total
    }
}

/// Statistics that many tasks write to.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<Stats>>);

impl Recorder {
    /// Empty, starting now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Stats::new())))
    }

    /// For a test whose sessions come back.
    pub fn forgiving() -> Self {
        Self(Arc::new(Mutex::new(Stats { forgiving: true, ..Stats::new() })))
    }

    /// Looks or writes; hold it shortly.
    pub fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records `step` from `from` until now, and gives the outcome back.
    pub fn outcome<T>(
        &self,
        step: Step,
        from: Instant,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.lock().add(step, from, Instant::now(), outcome.as_ref().err());
        outcome
    }
}

fn micros(taken: Duration) -> u64 {
    u64::try_from(taken.as_micros()).unwrap_or(MAX_MICROS)
}

fn histogram<T: hdrhistogram::Counter>(digits: u8) -> Histogram<T> {
    match Histogram::new_with_bounds(1, MAX_MICROS, digits) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("fixed bounds are valid: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sample_counts_in_its_step_and_in_the_total() {
        let mut stats = Stats::new();
        let at = stats.started;
        let later = at + Duration::from_millis(20);
        stats.add(Step::Send, at, later, None);
        stats.add(Step::Send, at, later, Some(&Failure::Timeout("RECEIPT")));
        stats.add(Step::Delivery, at, later, None);
        assert_eq!(stats.of(Step::Send).micros.len(), 2);
        assert!((stats.of(Step::Send).error_percent() - 50.0).abs() < 1e-9);
        assert_eq!(stats.total().micros.len(), 2);
        assert_eq!(stats.failures.iter().next(), Some(("SEND: timeout: no RECEIPT", 1)));
        assert_eq!(stats.seconds[0].delivery.len(), 1);
    }

    #[test]
    fn a_lost_connection_is_an_interruption_where_sessions_come_back() {
        let recorder = Recorder::forgiving();
        let mut stats = recorder.lock();
        let at = stats.started;
        stats.add(Step::Open, at, at, Some(&Failure::Socket("connection refused".to_owned())));
        stats.add(Step::Send, at, at, Some(&Failure::Refused("busy".to_owned())));
        stats.add(Step::Send, at, at, Some(&Failure::Refused("name_reused".to_owned())));
        assert_eq!((stats.interruptions.total(), stats.failures.total()), (2, 1));
        assert_eq!(stats.of(Step::Open).micros.len(), 0);
    }

    #[test]
    fn the_seconds_are_bounded() {
        let mut stats = Stats::new();
        let at = stats.started + Duration::from_secs(1_000_000);
        stats.add(Step::Open, at, at, None);
        assert_eq!(stats.seconds.len(), MAX_SECONDS);
    }
}
