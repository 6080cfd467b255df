//! A SUBSCRIBE to an inbox: what changes is heard first, then comes its RECEIPT, then what changed
//! before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;
use moim_shared::position::Position;
use moim_shared::store::inbox::{Changes, Token};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::reader::Recipient;
use super::{Inboxes, PAGE};
use crate::outbox::{Outbox, Subscription};
use crate::refusal::Refusal;
use crate::stomp::Command;

/// A subscription that wants to read.
pub struct Wish {
    /// Whose inbox.
    pub user: UserId,
    /// Where messages go.
    pub outbox: Arc<Outbox>,
    /// The subscription.
    pub subscription: Arc<Subscription>,
    /// After what; `None`: what comes.
    pub since: Option<Position>,
    /// The RECEIPT that it asked for.
    pub receipt: Option<Box<str>>,
}

/// One that is heard for, and waits for what changed before.
pub(super) struct Enter {
    to: Recipient,
    since: Option<Token>,
    receipt: Option<Box<str>>,
    /// Whoever sets it answers.
    answered: Arc<AtomicBool>,
    done: oneshot::Sender<Result<(), Refusal>>,
}

/// A place among those for whom is listened.
pub(super) struct Seat {
    inboxes: Arc<Inboxes>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.inboxes.state.lock().rise(&self.user);
        self.inboxes.wanted.notify_one();
    }
}

impl Inboxes {
    /// Lets the subscription read; its RECEIPT is given by then. Within `patience`, or not at all.
    pub async fn enter(self: &Arc<Self>, wish: Wish, patience: Duration) -> Result<(), Refusal> {
        let Wish { user, outbox, subscription, since, receipt } = wish;
        self.state.lock().sit(&user);
        let seat = Seat { inboxes: self.clone(), user: user.clone() };
        let until = Instant::now() + patience;
        let late = |_elapsed| Refusal::unavailable();
        timeout(patience, self.hear(&user)).await.map_err(late)??;
        let (done, answer) = oneshot::channel();
        let answered = Arc::new(AtomicBool::new(false));
        let since = since.map(Token::from);
        let to = Recipient { user, outbox, subscription, _seat: Some(seat) };
        let enter = Enter { to, since, receipt, answered: answered.clone(), done };
        self.state.lock().want(enter);
        self.work.notify_one();
        let mut answer = answer;
        match timeout(until.saturating_duration_since(Instant::now()), &mut answer).await {
            Ok(done) => done.unwrap_or_else(|_gone| Err(Refusal::unavailable())),
            // Unless it is about to be given.
            Err(_late) if answered.swap(true, Ordering::SeqCst) => {
                answer.await.unwrap_or_else(|_gone| Err(Refusal::unavailable()))
            }
            Err(_late) => Err(Refusal::unavailable()),
        }
    }
}

impl Enter {
    /// Asks what changed before.
    pub async fn look(self, inboxes: &Inboxes) -> Option<(Self, Changes)> {
        if self.done.is_closed() || self.to.subscription.is_ended() {
            return None;
        }
        match inboxes.kept.inbox_changes(&self.to.user, self.since, PAGE).await {
            Ok(changes) => Some((self, changes)),
            Err(error) => {
                tracing::warn!(user.id = %self.to.user, %error, "an inbox cannot be read");
                if !self.answered.swap(true, Ordering::SeqCst) {
                    // Whoever asked may have gone.
                    let _ = self.done.send(Err(Refusal::unavailable()));
                }
                None
            }
        }
    }

    /// Says yes, unless it is too late for that: the RECEIPT says from where to go on when nothing
    /// else comes.
    pub fn accept(&self, changes: &Changes) -> bool {
        if self.answered.swap(true, Ordering::SeqCst) {
            return false;
        }
        let position = match self.since {
            None => changes.next,
            Some(since) if changes.recovered => since,
            Some(_) => Token::ZERO,
        };
        let Some(receipt) = &self.receipt else {
            if !changes.recovered {
                self.to.subscription.missed_some();
            }
            return true;
        };
        // A session that closes has nobody to tell.
        let _ = self.to.outbox.frame(Command::Receipt, |frame| {
            frame
                .header("receipt-id", receipt)
                .header("position", &position.to_string())
                .header("recovered", if changes.recovered { "true" } else { "false" })
                .end();
        });
        true
    }

    /// What it asked for: `None` is what comes.
    pub const fn since(&self) -> Option<Token> {
        self.since
    }

    /// Where its messages go, and whom to tell that it reads.
    pub fn into_parts(self) -> (Recipient, oneshot::Sender<Result<(), Refusal>>) {
        (self.to, self.done)
    }
}
