//! The end of tokens before their time: kept in the database, told to every node, which then
//! refuses them and closes their sessions.

use std::sync::Arc;
use std::time::Duration;

use moim_shared::broker::Broker;
use moim_shared::clock::now_ms;
use moim_shared::ids::UserId;
use moim_shared::signal::Signal;
use moim_shared::store::StoreError;
use moim_shared::store::accounts::{Accounts, Revocation, Subject};

use crate::registry::Registry;
use crate::token::Revoked;

/// Access tokens of log-ins here have expired after that, whatever was configured when they were
/// made: a day, and what clocks may differ by.
const LOGIN_MS: u64 = 86_400_000 + 600_000;

/// Tokens that others made may be good for any time; it is not known when they end. More than a
/// year, and not so long that what is remembered grows without end.
const ANY_MS: u64 = 400 * 86_400_000;

/// How often the database is asked for what other nodes revoked, in case that nobody told.
const LOOK: Duration = Duration::from_secs(10);

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

    /// Ends tokens: those of a user that were made up to now, or one. An error means that this node
    /// refuses them and another, or this one after a restart, may not.
    pub async fn end(&self, revocation: Revocation) -> Result<(), StoreError> {
        self.apply(&revocation);
        let kept = self.accounts.revocation_put(&revocation).await;
        self.signal(revocation).await;
        kept
    }

    /// Ends the tokens of a log-in of which the database knows that it has ended.
    pub async fn login_ended(&self, id: &str) {
        self.ended(Revocation::of_login(id, Self::login_until())).await;
    }

    /// Ends tokens of which the database knows that.
    async fn ended(&self, revocation: Revocation) {
        self.apply(&revocation);
        self.signal(revocation).await;
    }

    /// All log-ins of the user, with its devices, and all tokens that were made up to now, whoever
    /// made them.
    pub async fn end_logins(&self, user: &UserId) -> Result<(), StoreError> {
        self.accounts.logins_end(user, &self.of_user(user)).await?;
        self.end(self.of_user(user)).await
    }

    /// Tokens of a user that were made up to now. It gets new ones, from the next ms on: after all
    /// that [`Ends::asked`] has told.
    pub fn of_user(&self, user: &UserId) -> Revocation {
        let now = now_ms();
        let before = self.revoked.good_from(user).max(now) + 1;
        Revocation { subject: Subject::User(user.clone()), before, until: now + ANY_MS }
    }

    /// One token.
    pub fn of_token(jti: String) -> Revocation {
        let until = now_ms() + ANY_MS;
        Revocation { subject: Subject::Token(jti), before: until, until }
    }

    /// When the last access token of a log-in that ends now has expired.
    pub fn login_until() -> u64 {
        now_ms() + LOGIN_MS
    }

    /// Those who are not told find it in the database.
    async fn signal(&self, revocation: Revocation) {
        if let Err(error) = self.broker.signal(Signal::Revoked(revocation)).await {
            tracing::warn!(%error, "other nodes were not told of revoked tokens at once");
        }
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
            if let Err(error) = self.accounts.forget_expired(now_ms()).await {
                tracing::warn!(%error, "what has expired is not forgotten");
            }
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
