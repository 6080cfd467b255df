//! Access tokens: one for all sends, renewed by one of them, used as long as it is good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use parking_lot::Mutex;

use super::pause::Pause;
use crate::push::PushError;

/// A token is renewed so long before its end, or at three quarters of a short life; and not used
/// any more shortly before, since a request takes time and clocks differ.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
const LAST_USE_BEFORE: Duration = Duration::from_secs(10);

/// How long nothing is asked for after the server of tokens failed and named no time.
const AGAIN: Duration = Duration::from_secs(2);

/// Who gives access tokens.
pub(super) trait Grants: Send + Sync {
    /// Asks for a new one.
    fn grant(&self) -> impl Future<Output = Result<Granted, PushError>> + Send;

    /// The time by which tokens age.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A new access token.
#[derive(Debug, Clone)]
pub(super) struct Granted {
    /// As the header `Authorization` has it; marked as not to be shown.
    pub bearer: HeaderValue,
    /// The project that it is for.
    pub project: Arc<str>,
    /// How long it is good from now on.
    pub lives: Duration,
}

/// An access token in use.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub bearer: HeaderValue,
    pub project: Arc<str>,
    renew_from: Instant,
    last_use: Instant,
}

/// The current access token.
pub(super) struct Access<G> {
    grants: G,
    current: Mutex<Option<Pass>>,
    /// Held by who renews it.
    turn: tokio::sync::Mutex<()>,
    pause: Pause,
    misconfigured: Duration,
}

impl<G: Grants> Access<G> {
    /// None at first. After it was found that `grants` gives none to the likes of us, it is not asked
    /// for so long.
    pub fn new(grants: G, misconfigured: Duration) -> Self {
        Self {
            grants,
            current: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            pause: Pause::default(),
            misconfigured,
        }
    }

    /// The current one, or a new one. However many ask, one of them renews it; the others wait only
    /// if the old one is of no use any more.
    pub async fn pass(&self) -> Result<Pass, PushError> {
        if let Some(pass) = self.usable() {
            if self.grants.now() < pass.renew_from {
                return Ok(pass);
            }
            let Ok(_turn) = self.turn.try_lock() else { return Ok(pass) };
            // Why it failed stands in the log; there is time to try again.
            return Ok(self.renew().await.unwrap_or(pass));
        }
        let _turn = self.turn.lock().await;
        // Who had the turn before may have renewed it.
        match self.usable() {
            Some(pass) => Ok(pass),
            None => self.renew().await,
        }
    }

    /// It was not taken, and is not used any more, if it still is the current one.
    pub fn refused(&self, pass: &Pass) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| current.bearer == pass.bearer) {
            *current = None;
        }
    }

    fn usable(&self) -> Option<Pass> {
        let current = self.current.lock();
        current.as_ref().filter(|pass| self.grants.now() < pass.last_use).cloned()
    }

    async fn renew(&self) -> Result<Pass, PushError> {
        self.pause.check(self.grants.now())?;
        let granted = self.grants.grant().await.inspect_err(|error| {
            tracing::warn!("no new access token: {error}");
            let time = match error {
                PushError::Later { after, .. } => after.unwrap_or(AGAIN),
                _ => self.misconfigured,
            };
            self.pause.hold(self.grants.now(), time, error);
        })?;
        let Granted { bearer, project, lives } = granted;
        let end = self.grants.now() + lives;
        let pass = Pass {
            bearer,
            project,
            renew_from: end - RENEW_BEFORE.min(lives / 4),
            last_use: end - LAST_USE_BEFORE.min(lives / 10),
        };
        *self.current.lock() = Some(pass.clone());
        Ok(pass)
    }
}

#[cfg(test)]
mod tests;
