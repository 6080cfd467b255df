//! The connections that feed a fan-out: one message alone, or as many as the server takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use crate::client::{ANSWER, Session};
use crate::failure::Failure;
use crate::target::Target;

/// How often a sender that waits looks whether the test is over.
const LOOK: Duration = Duration::from_millis(100);

/// A connected sender; it is subscribed to nothing.
pub struct Sender {
    session: Session,
    app: String,
    body: Vec<u8>,
}

impl Sender {
    /// Opens and connects.
    pub async fn new(
        target: &Target,
        index: usize,
        token: &str,
        room: &str,
        body: usize,
    ) -> Result<Self, Failure> {
        let mut session = Session::open(target, index).await?;
        session.connect(token, "0,0").await?;
        Ok(Self { session, app: format!("/app/rooms/{room}"), body: vec![b'm'; body] })
    }

    /// One message, without receipt.
    pub fn send(&mut self) -> Result<(), Failure> {
        self.session.send("SEND", &[("destination", &self.app)], &self.body)
    }

    /// What the server said about sends that did not arrive.
    pub async fn complaint(&mut self) -> Failure {
        let listened = self.session.until(LOOK, "delivery", |_frame| None::<()>).await;
        listened.err().unwrap_or(Failure::Timeout("delivery"))
    }

    /// Keeps `window` sends waiting for their RECEIPT until `over`; gives back how many got it.
    pub async fn flood(mut self, window: usize, over: Arc<AtomicBool>) -> Result<u64, Failure> {
        let (mut waiting, mut received) = (0_usize, 0_u64);
        loop {
            let ending = over.load(Ordering::Relaxed);
            if ending && waiting == 0 {
                self.session.close(|_frame| ()).await?;
                return Ok(received);
            }
            while !ending && waiting < window {
                let headers = [("destination", self.app.as_str()), ("receipt", "0")];
                self.session.queue("SEND", &headers, &self.body)?;
                waiting += 1;
            }
            self.session.flush()?;
            let limit = if ending { ANSWER } else { LOOK };
            let mut frame = match timeout(limit, self.session.next()).await {
                Ok(frame) => Some(frame?),
                Err(_quiet) if ending => return Err(Failure::Timeout("RECEIPT")),
                Err(_quiet) => None,
            };
            while let Some(here) = frame {
                if here.command() == b"RECEIPT" {
                    waiting = waiting.saturating_sub(1);
                    received += 1;
                }
                frame = self.session.buffered()?;
            }
        }
    }
}
