//! The STOMP codec: bytes to frames and back, versions 1.0, 1.1 and 1.2.
//!
//! Pure. It knows no socket, no clock and no session: which frame may come when, and what a
//! destination means, is decided elsewhere. Where versions differ, the caller says which one
//! was negotiated; until then everything is read as CONNECT is, without escapes.

mod decode;
mod encode;
mod escape;
mod frame;
mod version;

pub use decode::{DecodeError, DecodeErrorKind, Decoder, Incoming, Limits};
pub use encode::FrameWriter;
pub use escape::{escape_into, is_safe_header};
pub use frame::{Command, Frame, Headers};
pub use version::Version;

#[cfg(test)]
mod tests;
