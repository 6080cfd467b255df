//! The end of tokens before their time: kept in the database, told to every node, which then
//! refuses them and closes their sessions.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::broker::Broker;
use moim_shared::clock::now_ms;
use moim_shared::ids::{RoomId, UserId};
use moim_shared::signal::Signal;
use moim_shared::store::StoreError;
use moim_shared::store::accounts::{Accounts, Revocation, Subject};

use crate::registry::Registry;
use crate::token::Revoked;

/// Access tokens of log-ins here have expired after that, whatever was configured when they were
/// made: a day, and what clocks may differ by.
const LOGIN_MS: u64 = 86_400_000 + 600_000;

/// Tokens that others made may be good for any time; it is not known when they end. Ten years.
const ANY_MS: u64 = 10 * 366 * 86_400_000;

/// How often the database is asked for what other nodes revoked, in case that nobody told.
const LOOK: Duration = Duration::from_secs(30);

/// See the module.
pub struct Ends {
    accounts: Arc<dyn Accounts>,
    broker: Arc<dyn Broker>,
    revoked: Arc<Revoked>,
    registry: Arc<Registry>,
}

impl Ends {
    /// Knows nothing before [`Ends::load`].
    pub fn new(
        accounts: Arc<dyn Accounts>,
        broker: Arc<dyn Broker>,
        revoked: Arc<Revoked>,
        registry: Arc<Registry>,
    ) -> Self {
        Self { accounts, broker, revoked, registry }
    }

    /// Ends tokens: those of a user that were made up to now, or all of a log-in, or one. An error
    /// means that this node refuses them and another, or this one after a restart, may not.
    pub async fn end(&self, subject: Subject) -> Result<(), StoreError> {
        let now = now_ms();
        let until = match &subject {
            Subject::User(_) | Subject::Token(_) => now + ANY_MS,
            Subject::Login(_) => now + LOGIN_MS,
        };
        let before = match &subject {
            // A user gets new ones, from the next ms on: after all that [`Ends::asked`] has told.
            Subject::User(user) => self.revoked.good_from(user).max(now) + 1,
            // A log-in and a token never do.
            Subject::Login(_) | Subject::Token(_) => until,
        };
        let revocation = Revocation { subject, before, until };
        self.apply(&revocation);
        let kept = self.accounts.revocation_put(&revocation).await;
        // Those who were not told find it in the database.
        if let Err(error) = self.broker.signal(Signal::Revoked(revocation)).await {
            tracing::warn!(%error, "other nodes were not told of revoked tokens at once");
        }
        kept
    }

    /// Refuses them on this node from now on, and closes their sessions.
    pub fn apply(&self, revocation: &Revocation) {
        if self.revoked.add(revocation) {
            let sessions = self.registry.revoke(revocation);
            tracing::info!(sessions, "tokens were revoked");
        }
    }

    /// When a proof of the user says that it was made, in ms since 1970. To be asked *before* the
    /// look at what it is given for, and not changed after that: so it is good now, and every end
    /// that comes later is the end of it. In whole seconds where that is good.
    pub fn asked(&self, user: &UserId) -> u64 {
        made_at(now_ms(), self.revoked.good_from(user))
    }

    /// Takes over what the database knows.
    pub async fn load(&self) -> Result<(), StoreError> {
        let now = now_ms();
        for revocation in self.accounts.revocations(now).await? {
            self.apply(&revocation);
        }
        self.revoked.forget(now);
        Ok(())
    }

    /// Looks again and again.
    pub async fn keep_up(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.load().await {
                tracing::warn!(%error, "revocations cannot be read; those that are known count");
            }
        }
    }

    /// Memberships of the room changed in the database.
    pub async fn members_changed(&self, room: &RoomId, user: &UserId) {
        let users = std::slice::from_ref(user);
        if let Err(error) = self.broker.members_changed(room, users).await {
            // Rooms look at memberships again by themselves.
            tracing::warn!(room.id = %room, %error, "a room was not told of a change of members");
        }
    }
}

fn made_at(now: u64, good_from: u64) -> u64 {
    let second = now / 1_000 * 1_000;
    if second >= good_from { second } else { now.max(good_from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_good_and_as_old_as_can_be() {
        for (now, good_from, made) in [
            (5_700, 0, 5_000),
            (5_700, 5_000, 5_000),
            (5_700, 5_001, 5_700),
            (5_700, 5_700, 5_700),
            (5_700, 5_702, 5_702),
        ] {
            assert_eq!(made_at(now, good_from), made, "{now} {good_from}");
            // The next end is after it, also in the same ms.
            assert!(made < good_from.max(now) + 1);
        }
    }
}
