//! The codec against the grammar and against what real clients send.

mod decode;
mod encode;
mod properties;

use super::{DecodeError, DecodeErrorKind, Decoder, Frame, Incoming, Limits, Version};

const LIMITS: Limits = Limits { headers: 8, header_bytes: 256, body_bytes: 1024 };

fn decoder(version: impl Into<Option<Version>>) -> Decoder {
    let mut decoder = Decoder::new(LIMITS);
    if let Some(version) = version.into() {
        decoder.version(version);
    }
    decoder
}

/// Everything that is there, until the decoder waits.
fn drain(decoder: &mut Decoder) -> Result<Vec<Incoming>, DecodeError> {
    std::iter::from_fn(|| decoder.next().transpose()).collect()
}

/// The only frame of a stream.
fn frame(version: impl Into<Option<Version>>, stream: &[u8]) -> Frame {
    let mut frames = frames(version, stream);
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

fn frames(version: impl Into<Option<Version>>, stream: &[u8]) -> Vec<Frame> {
    let mut decoder = decoder(version);
    decoder.push(stream);
    only_frames(drain(&mut decoder).unwrap())
}

fn only_frames(incoming: Vec<Incoming>) -> Vec<Frame> {
    let frame = |incoming| match incoming {
        Incoming::Frame(frame) => Some(frame),
        Incoming::Heartbeat => None,
    };
    incoming.into_iter().filter_map(frame).collect()
}

fn error(version: impl Into<Option<Version>>, stream: &[u8]) -> DecodeError {
    let mut decoder = decoder(version);
    decoder.push(stream);
    drain(&mut decoder).unwrap_err()
}

fn kind(version: impl Into<Option<Version>>, stream: &[u8]) -> DecodeErrorKind {
    error(version, stream).kind
}

/// Headers as pairs, to compare with.
fn pairs(frame: &Frame) -> Vec<(&str, &str)> {
    frame.headers.iter().collect()
}
