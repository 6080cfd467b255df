//! The client's bytes, one whole WebSocket frame at a time.
//!
//! The codec behind it reads all that it can get before it decodes anything, checks lengths only
//! when everything is there, and repeats an error for ever. So it is given a frame only when the
//! frame is complete, within the limit and well-formed, and the next one only when it asks again:
//! what a session has no time for stays in the socket.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_http::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::io::Io;
use crate::outbox::Outbox;
use crate::refusal::{Code, Refusal};

/// Read at once.
const READ: usize = 16 * 1024;

/// Read before CONNECT was accepted: a token of 16 KiB fits several times, and a thousand strangers
/// cannot fill the memory.
const UNPROVEN: usize = 128 * 1024;

thread_local! {
    /// Connections of one thread read one after the other, so an idle one has no buffer.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// See the module.
pub struct Inflow {
    stream: Rc<Io>,
    /// Read and not given yet: a part of one frame, or what came with it.
    bytes: BytesMut,
    message_max: usize,
    /// May be read before CONNECT was accepted; `None` after it.
    unproven: Option<usize>,
    outbox: Arc<Outbox>,
    /// A frame was given: now the codec has to decode it.
    given: bool,
    /// The client broke the protocol: the rest is read only to be thrown away, so that it can
    /// still read why.
    broken: bool,
}

impl Inflow {
    /// The frames of `stream`, after those in `early`.
    pub fn new(stream: Rc<Io>, early: &[u8], message_max: usize, outbox: Arc<Outbox>) -> Self {
        let unproven = Some(UNPROVEN);
        let bytes = BytesMut::from(early);
        Self { stream, bytes, message_max, unproven, outbox, given: false, broken: false }
    }

    /// Reads what is there, up to a buffer; `None` at the end of the stream.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let read = BUFFER.with_borrow_mut(|buffer| {
            let count = ready!(self.stream.read(context, buffer))?;
            if !self.broken {
                self.bytes.extend_from_slice(&buffer[..count]);
            }
            Poll::Ready(std::io::Result::Ok(count))
        });
        match ready!(read) {
            // A link that broke has ended; why is of no use to anybody.
            Ok(0) | Err(_) => Poll::Ready(None),
            Ok(count) => {
                self.count(count);
                Poll::Ready(Some(()))
            }
        }
    }

    /// Counts what a client says before it said who it is.
    fn count(&mut self, bytes: usize) {
        let Some(left) = self.unproven else { return };
        self.unproven = left.checked_sub(bytes).filter(|_| !self.outbox.is_connected());
        if self.unproven.is_none() && !self.outbox.is_connected() {
            self.refuse(Code::TooLarge, "too much was sent before CONNECT was accepted");
        }
    }

    fn refuse(&mut self, code: Code, detail: &'static str) {
        self.broken = true;
        self.bytes = BytesMut::new();
        self.outbox.fail(None, &Refusal::new(code, detail));
    }

    /// The first frame, once it is complete.
    fn take(&mut self) -> Option<Bytes> {
        match frame_length(&self.bytes, self.message_max) {
            Ok(Some(length)) if length <= self.bytes.len() => {
                let frame = self.bytes.split_to(length).freeze();
                if self.bytes.is_empty() {
                    self.bytes = BytesMut::new();
                }
                Some(frame)
            }
            Ok(_) => None,
            Err((code, detail)) => {
                self.refuse(code, detail);
                None
            }
        }
    }
}

impl Stream for Inflow {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.given) {
            // No waker is needed: what was given decodes to something, and then this is asked again.
            return Poll::Pending;
        }
        loop {
            if let Some(frame) = self.take() {
                self.given = true;
                return Poll::Ready(Some(Ok(frame)));
            }
            if ready!(self.poll_read(context)).is_none() {
                return Poll::Ready(None);
            }
        }
    }
}

/// The length of the frame that `bytes` begin with, head and payload; `None` while its head is not
/// complete (RFC 6455, section 5.2).
fn frame_length(bytes: &[u8], message_max: usize) -> Result<Option<usize>, (Code, &'static str)> {
    let (Some(first), Some(second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    let (opcode, length) = (first & 0x0f, usize::from(second & 0x7f));
    let control = opcode >= 8;
    if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) {
        return Err((Code::BadRequest, "WebSocket: a frame of an unknown kind"));
    }
    if second & 0x80 == 0 {
        return Err((Code::BadRequest, "WebSocket: a client has to mask its frames"));
    }
    if control && (length > 125 || first & 0x80 == 0) {
        return Err((Code::BadRequest, "WebSocket: a control frame is short and in one piece"));
    }
    let (head, length) = match length {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, u64::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
            Some(length) => (10, u64::from_be_bytes(length)),
            None => return Ok(None),
        },
        short => (2, short as u64),
    };
    const MASK: usize = 4;
    match usize::try_from(length) {
        Ok(length) if length <= message_max => Ok(Some(head + MASK + length)),
        _ => Err((Code::TooLarge, "the WebSocket message is too large; split the frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_long_as_its_head_says() {
        let length = |bytes: &[u8]| frame_length(bytes, 100_000);
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&[0x81]), Ok(None));
        assert_eq!(length(&[0x81, 0x80]), Ok(Some(6)));
        assert_eq!(length(&[0x82, 0x80 | 125]), Ok(Some(131)));
        assert_eq!(length(&[0x81, 0x80 | 126, 1]), Ok(None));
        assert_eq!(length(&[0x81, 0x80 | 126, 1, 0]), Ok(Some(8 + 256)));
        assert_eq!(length(&[0x81, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]), Ok(Some(14 + 65_536)));
    }

    #[test]
    fn what_is_wrong_with_a_head_is_found_before_its_payload_comes() {
        let code = |bytes: &[u8]| frame_length(bytes, 1_000).expect_err("refused").0;
        assert_eq!(code(&[0x81, 0x80 | 126, 0x10, 0]), Code::TooLarge);
        assert_eq!(code(&[0x82, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0]), Code::TooLarge);
        assert_eq!(code(&[0x81, 5]), Code::BadRequest, "not masked");
        assert_eq!(code(&[0x83, 0x80]), Code::BadRequest, "an unknown opcode");
        assert_eq!(code(&[0xc1, 0x80]), Code::BadRequest, "an extension that nobody agreed to");
        assert_eq!(code(&[0x89, 0x80 | 126]), Code::BadRequest, "a long ping");
        assert_eq!(code(&[0x09, 0x80]), Code::BadRequest, "a ping in pieces");
    }
}
