//! What a session is told about its own frames: RECEIPT, refusals, ERROR.

use std::sync::Arc;

use super::item::{Item, Subscription, Tail};
use super::{CloseReason, Closed, Outbox};
use crate::refusal::{Code, Refusal};
use crate::stomp::{Command, FrameWriter};

impl Outbox {
    /// A frame that `write` writes.
    pub fn frame(
        &self,
        command: Command,
        write: impl FnOnce(FrameWriter<'_>),
    ) -> Result<(), Closed> {
        let mut bytes = Vec::with_capacity(96);
        write(FrameWriter::new(&mut bytes, command, self.version()));
        self.push(Item::Frame(bytes.into_boxed_slice()))
    }

    /// The frame that asked for it was carried out.
    pub fn receipt(&self, receipt: &str) -> Result<(), Closed> {
        self.frame(Command::Receipt, |frame| frame.header("receipt-id", receipt).end())
    }

    /// Tells a refusal: to the error queue when the session asked for one, else as ERROR, which
    /// ends the session.
    pub fn refuse(&self, receipt: Option<&str>, refusal: &Refusal) {
        let errors = self.state.lock().errors.clone();
        match errors {
            Some(subscription) => {
                let told = self.refuse_softly(&subscription, receipt, refusal);
                self.count(told, refusal.code);
            }
            None => self.fail(receipt, refusal),
        }
    }

    /// Counts a refusal if the client is told it: a closing session has nothing more to be told.
    fn count(&self, told: Result<(), Closed>, code: Code) {
        if let (Ok(()), Some(refusals)) = (told, &self.refusals) {
            refusals.count(code);
        }
    }

    fn refuse_softly(
        &self,
        errors: &Arc<Subscription>,
        receipt: Option<&str>,
        refusal: &Refusal,
    ) -> Result<(), Closed> {
        let number = {
            let mut state = self.state.lock();
            state.errors_told = state.errors_told.wrapping_add(1);
            state.errors_told
        };
        let body = serde_json::json!({
            "receipt": receipt,
            "code": refusal.code.as_str(),
            "detail": refusal.detail,
            "retryAfterMs": refusal.retry_after_ms,
        });
        let mut bytes = Vec::with_capacity(256);
        let id = format!("errors/{}-{number}", self.session);
        let mut frame = FrameWriter::tail(&mut bytes, self.version())
            .header("message-id", &id)
            .header("content-type", "application/json;charset=UTF-8");
        if let Some(receipt) = receipt {
            frame = frame.header("receipt-id", receipt);
        }
        frame.body(body.to_string().as_bytes());
        let tail = Arc::new(Tail::new(bytes, false, format!("0-{number}")));
        self.deliver(errors, std::iter::once(&tail))
    }

    /// ERROR, then close 1002 (STOMP 1.2, "ERROR": the server must close after it).
    pub fn fail(&self, receipt: Option<&str>, refusal: &Refusal) {
        self.fail_with(receipt, refusal, |frame| frame);
    }

    /// ERROR for a CONNECT with no version in common, which lists ours (STOMP 1.2, "Protocol
    /// Negotiation").
    pub fn fail_version(&self, receipt: Option<&str>) {
        let refusal = Refusal::new(Code::BadRequest, "supported versions are 1.0, 1.1 and 1.2");
        self.fail_with(receipt, &refusal, |frame| frame.header("version", "1.0,1.1,1.2"));
    }

    fn fail_with(
        &self,
        receipt: Option<&str>,
        refusal: &Refusal,
        more: impl for<'a> FnOnce(FrameWriter<'a>) -> FrameWriter<'a>,
    ) {
        let told = self.frame(Command::Error, |frame| {
            let mut frame = more(frame)
                .header("message", &refusal.detail)
                .header("code", refusal.code.as_str())
                .header("content-type", "text/plain;charset=UTF-8");
            if let Some(receipt) = receipt {
                frame = frame.header("receipt-id", receipt);
            }
            if let Some(after) = refusal.retry_after_ms {
                frame = frame.header_u64("retry-after-ms", after);
            }
            frame.body(refusal.detail.as_bytes());
        });
        self.count(told, refusal.code);
        self.close(CloseReason::PROTOCOL);
    }
}
