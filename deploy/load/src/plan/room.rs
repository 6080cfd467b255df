//! A room of a test: its name, its ledger, and the names of the sends in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::ledger::{Account, RoomLedger};
use crate::rows::{self, RowsCheck};
use crate::stats::{Recorder, Step};
use crate::stomp::Frame;

/// Shared by the members of one room.
#[derive(Debug)]
pub struct Room {
    /// The room's id.
    pub name: String,
    /// How many are in it.
    pub members: usize,
    ledger: Mutex<RoomLedger>,
}

impl Room {
    /// Room `number` of a run.
    pub fn new(run: &str, number: usize, members: usize, senders: usize) -> Self {
        let ledger = Mutex::new(RoomLedger::new(members, senders));
        Self { name: format!("{run}-{number}"), members, ledger }
    }

    /// What members subscribe to.
    pub fn topic(&self) -> String {
        format!("/topic/rooms/{}", self.name)
    }

    /// What senders send to.
    pub fn app(&self) -> String {
        format!("/app/rooms/{}", self.name)
    }

    /// The `origin-id` of a send.
    pub fn origin_id(&self, number: usize) -> String {
        format!("{}.{number}", self.name)
    }

    /// The ledger; hold it shortly.
    pub fn ledger(&self) -> MutexGuard<'_, RoomLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a MESSAGE at `member` into the ledger and the statistics; gives back its number.
    pub fn note(&self, member: usize, frame: &Frame, stats: &Recorder) -> Option<usize> {
        let number = frame.header("origin-id").and_then(|name| {
            name.strip_prefix(self.name.as_str())?.strip_prefix('.')?.parse::<usize>().ok()
        });
        let Some(number) = number else {
            self.ledger().foreign();
            return None;
        };
        let due = self.ledger().received(member, number, frame.position())?;
        stats.lock().add(Step::Delivery, due, Instant::now(), None);
        Some(number)
    }
}

/// The accounts of all rooms in one.
pub fn account<'a>(rooms: impl IntoIterator<Item = &'a Room>, receipts: bool) -> Account {
    let mut total = Account::default();
    for room in rooms {
        total.add(&room.ledger().account(receipts));
    }
    total
}

/// The rows of all rooms; with `receipts` only what was acknowledged must have one.
pub fn check_rows<'a>(
    database: &std::path::Path,
    run: &str,
    rooms: impl IntoIterator<Item = &'a Room>,
    receipts: bool,
) -> Result<RowsCheck, String> {
    let mut names = Vec::new();
    for room in rooms {
        let ledger = room.ledger();
        let sends = ledger.sends();
        names.extend(sends.map(|(number, acked)| (room.origin_id(number), acked || !receipts)));
    }
    rows::check(database, &format!("{run}-"), names.into_iter())
}
