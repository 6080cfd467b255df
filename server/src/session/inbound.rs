//! WebSocket messages to STOMP frames: joins fragments, checks text, and remembers whether a
//! frame came in binary.

use actix_http::ws;
use bytes::{Bytes, BytesMut};

use crate::refusal::{Code, Refusal};
use crate::stomp::{DecodeError, Decoder, Incoming, Limits, Version};

const LARGE: usize = 32 * 1024;

/// See the module.
pub struct Inbound {
    decoder: Decoder,
    /// Fragments of a message (RFC 6455, section 5.4), and whether it is binary.
    fragments: Option<Box<(bool, BytesMut)>>,
    message_max: usize,
    /// The message that was pushed last was binary.
    pub binary: bool,
}

impl Inbound {
    /// Messages up to `message_max` bytes, frames within `limits`.
    pub fn new(limits: Limits, message_max: usize) -> Self {
        Self { decoder: Decoder::new(limits), fragments: None, message_max, binary: false }
    }

    /// The version was negotiated.
    pub fn version(&mut self, version: Version) {
        self.decoder.version(version);
    }

    /// A whole message.
    pub fn message(&mut self, bytes: Bytes, binary: bool) {
        self.binary = binary;
        // A small frame is copied, so that what is kept of it does not hold the socket's buffer.
        if bytes.len() < LARGE { self.decoder.push(&bytes) } else { self.decoder.push_bytes(bytes) }
    }

    /// A part of a message.
    pub fn fragment(&mut self, item: ws::Item) -> Result<(), Refusal> {
        match item {
            ws::Item::FirstText(bytes) => {
                self.fragments = Some(Box::new((false, BytesMut::from(&bytes[..]))));
                Ok(())
            }
            ws::Item::FirstBinary(bytes) => {
                self.fragments = Some(Box::new((true, BytesMut::from(&bytes[..]))));
                Ok(())
            }
            ws::Item::Continue(bytes) => self.more(&bytes),
            ws::Item::Last(bytes) => {
                self.more(&bytes)?;
                let Some(whole) = self.fragments.take() else { return Ok(()) };
                let (binary, bytes) = *whole;
                if !binary && std::str::from_utf8(&bytes).is_err() {
                    return Err(not_text());
                }
                self.message(bytes.freeze(), binary);
                Ok(())
            }
        }
    }

    fn more(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        // The WebSocket codec refuses a continuation without a start.
        let Some(fragments) = &mut self.fragments else { return Ok(()) };
        if fragments.1.len() + bytes.len() > self.message_max {
            return Err(too_large());
        }
        fragments.1.extend_from_slice(bytes);
        Ok(())
    }

    /// The next frame.
    pub fn next(&mut self) -> Result<Option<Incoming>, DecodeError> {
        self.decoder.next()
    }
}

/// A text message that is none (RFC 6455, section 8.1).
pub fn not_text() -> Refusal {
    Refusal::new(Code::BadRequest, "a text message has to be UTF-8; send binary messages instead")
}

/// A message above the limit.
pub fn too_large() -> Refusal {
    Refusal::new(Code::TooLarge, "the WebSocket message is too large; split the frame")
}
