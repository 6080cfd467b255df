//! Tells readers what changed: one task, so that what is told first was asked for first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use moim_shared::backoff::Backoff;
use moim_shared::ids::UserId;
use moim_shared::store::StoreError;
use moim_shared::store::inbox::{Changes, Token};
use tokio::time::{sleep, timeout_at};

use super::enter::Enter;
use super::show::{Shown, To};
use super::state::SOON;
use super::{ENTERS, Inboxes, PAGE, PAIRS, TICK};

/// Looks side by side, before hints are followed again.
const LOOKS: usize = 8;
/// How long a look waits for a reader that has much to read.
const LATER: Duration = Duration::from_millis(500);

impl Inboxes {
    /// Tells what changes, until it is dropped.
    pub async fn keep_telling(self: Arc<Self>) {
        let mut backoff = Backoff::new(TICK, Duration::from_secs(5));
        let mut next_hints = Instant::now();
        loop {
            self.let_in().await;
            let mut told = Ok(());
            if self.has_turn(&mut next_hints) {
                told = self.follow_hints().await;
            }
            let told = match told {
                Ok(()) => self.look().await,
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                if backoff.tries() == 0 {
                    tracing::warn!(%error, "inboxes are not told what changes, trying on");
                }
                // Those who come meanwhile are refused when their time is over.
                sleep(backoff.wait()).await;
                continue;
            }
            if backoff.tries() > 0 {
                tracing::info!("inboxes are told what changes again");
                backoff.reset();
            }
            let until = {
                let state = self.state.lock();
                if state.has_entering() || state.is_in_round() {
                    continue;
                }
                let hints = state.has_hints().then_some(next_hints);
                hints.into_iter().chain(state.next_look()).min()
            };
            match until {
                Some(until) if until <= Instant::now() => tokio::task::yield_now().await,
                // Whether something came or the time is over: it looks.
                Some(until) => _ = timeout_at(until.into(), self.work.notified()).await,
                None => self.work.notified().await,
            }
        }
    }

    /// Whether there are hints to be followed: those that there are at a tick, a page at a time. In
    /// between it is gone on with everything else.
    fn has_turn(&self, next_hints: &mut Instant) -> bool {
        let mut state = self.state.lock();
        if !state.is_in_round() && state.has_hints() && Instant::now() >= *next_hints {
            *next_hints = Instant::now() + TICK;
            state.begin_round();
        }
        state.is_in_round()
    }

    /// Those who want to read do, with the beginning of what changed before.
    async fn let_in(&self) {
        let some = self.state.lock().take_entering(ENTERS);
        let looks = join_all(some.into_iter().map(|enter| enter.look(self))).await;
        for (enter, changes) in looks.into_iter().flatten() {
            self.seat(enter, changes);
        }
    }

    fn seat(&self, enter: Enter, changes: Changes) {
        if !enter.accept(&changes) {
            return;
        }
        let since = enter.since();
        let (to, done) = enter.into_parts();
        let now = Instant::now();
        let look_at = if changes.more { now } else { now + SOON };
        let subscription = to.subscription.clone();
        let user = to.user.clone();
        let number = {
            let mut state = self.state.lock();
            state.add_reader(to, since.unwrap_or(changes.next), look_at)
        };
        // Of one that wants what comes, it is only noted what was there already.
        self.tell_changes(number, changes, since.is_none());
        // It may have left before it was there.
        if subscription.is_ended() {
            self.leave(&user, &subscription);
        }
        // Whoever asked may have gone.
        let _ = done.send(Ok(()));
    }

    /// Asks how it is where something changed, and tells it.
    async fn follow_hints(&self) -> Result<(), StoreError> {
        let hints = self.state.lock().take_hints(PAIRS);
        if hints.is_empty() {
            return Ok(());
        }
        let entries = match self.kept.inbox_entries(hints.clone()).await {
            Ok(entries) => entries,
            Err(error) if error.retryable() => {
                self.state.lock().give_back(hints, Instant::now());
                return Err(error);
            }
            Err(error) => {
                // Tried again it would stand in front of everybody else's for ever.
                let hints = hints.len();
                tracing::error!(%error, hints, "what changed is not told before the next look");
                return Ok(());
            }
        };
        for entry in entries {
            let shown = Shown::new(entry, self.show);
            for (to, new, covered) in self.untold(&shown) {
                // Who closes has nothing more to be told.
                let _ = shown.tell(&to, new, covered);
            }
        }
        self.wanted.notify_one();
        Ok(())
    }

    /// Who is to be told of an entry that hints led to; whether the membership is new, and how far
    /// its looks came.
    fn untold(&self, shown: &Shown) -> Vec<(To, bool, Token)> {
        let Shown { entry, hash, .. } = shown;
        let mut state = self.state.lock();
        let new = match &entry.standing {
            Some(_) => state.has_room(&entry.user, &entry.room),
            // What was none of the user's rooms is none to be told of.
            None if state.lost_room(&entry.user, &entry.room) || entry.at > 0 => false,
            None => return Vec::new(),
        };
        let mut untold = Vec::new();
        for number in state.readers_of(&entry.user) {
            let Some(reader) = state.reader(number) else { continue };
            let before = reader.told.insert(entry.room.clone(), (entry.at, *hash));
            if before.is_none_or(|(_, told)| told != *hash) {
                let new = new && entry.is_invitation(reader.covered);
                untold.push((reader.to.to(), new, reader.covered));
            }
        }
        untold
    }

    /// Looks at some of those who are to be looked at, side by side, since each is another one.
    async fn look(&self) -> Result<(), StoreError> {
        let looks = self.take_due().into_iter().map(|(number, user, covered)| async move {
            let changes = self.kept.inbox_changes(&user, Some(covered), PAGE).await;
            (number, user, changes)
        });
        let mut looked = Ok(());
        for (number, user, changes) in join_all(looks).await {
            match changes {
                Ok(changes) if changes.recovered => self.tell_changes(number, changes, false),
                Ok(_) => self.let_resume(number),
                Err(error) if error.retryable() => looked = Err(error),
                Err(error) => {
                    tracing::error!(user.id = %user, %error, "an inbox cannot be looked at");
                    self.state.lock().look_later(number, Instant::now());
                }
            }
        }
        looked
    }

    /// Different readers that are to be looked at, and how far their looks came.
    fn take_due(&self) -> Vec<(u64, UserId, Token)> {
        let now = Instant::now();
        let mut due = Vec::with_capacity(LOOKS);
        let mut state = self.state.lock();
        while due.len() < LOOKS
            && let Some(number) = state.due(now, now + LATER)
        {
            if let Some(reader) = state.reader(number)
                && reader.to.outbox.bytes() < self.waiting_most
            {
                due.push((number, reader.to.user.clone(), reader.covered));
            }
        }
        due
    }

    /// Nobody knows any more what the reader was not told, as when the database's clock jumped, and
    /// rooms that it has no more are in no list: it comes back, and hears that it missed some.
    fn let_resume(&self, number: u64) {
        let to = self.state.lock().reader(number).map(|it| (it.to.user.clone(), it.to.to()));
        if let Some((user, (outbox, subscription))) = to {
            tracing::warn!(user.id = %user, "an inbox cannot be gone on with; its client resumes");
            outbox.overflow();
            self.leave(&user, &subscription);
        }
    }

    /// Tells a reader what a look found that it was not told; with `quietly` only notes it.
    fn tell_changes(&self, number: u64, changes: Changes, quietly: bool) {
        let Changes { entries, next, more, recovered } = changes;
        let last = entries.len().saturating_sub(1);
        let shown = entries.into_iter().enumerate().map(|(at, (entry, token))| {
            let token = if at == last { next } else { token };
            (Shown::new(entry, self.show), token)
        });
        // Encoded without the lock.
        let shown: Vec<(Shown, Token)> = shown.collect();
        for (shown, to, new, token) in self.noted(number, shown, recovered) {
            if !quietly {
                // Who closes has nothing more to be told.
                let _ = shown.tell(&to, new, token);
            }
        }
        self.state.lock().looked(number, next, more, Instant::now());
        self.wanted.notify_one();
    }

    /// What of this the reader was not told; whether the membership is new, and from where to go on.
    fn noted(
        &self,
        number: u64,
        shown: Vec<(Shown, Token)>,
        recovered: bool,
    ) -> Vec<(Shown, To, bool, Token)> {
        let mut state = self.state.lock();
        let mut untold = Vec::with_capacity(shown.len());
        for (shown, token) in shown {
            let Shown { entry, hash, .. } = &shown;
            match &entry.standing {
                Some(_) => _ = state.has_room(&entry.user, &entry.room),
                None => _ = state.lost_room(&entry.user, &entry.room),
            }
            let Some(reader) = state.reader(number) else { return untold };
            let before = reader.told.insert(entry.room.clone(), (entry.at, *hash));
            if before.is_none_or(|(_, told)| told != *hash) {
                let new = recovered && entry.is_invitation(reader.covered);
                let to = reader.to.to();
                untold.push((shown, to, new, token));
            }
        }
        untold
    }
}
