//! Feeds the decoder arbitrary streams in arbitrary pieces.
//!
//! Holds the codec to what a session relies on: no panic, no more memory than the limits and one
//! push, the same result whatever the split, and frames that survive being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stomp::{DecodeError, Decoder, Frame, Incoming, Limits, Version};

#[allow(dead_code, unused_imports)]
#[path = "../../src/stomp/mod.rs"]
mod stomp;

// Small, so that short inputs reach them.
const LIMITS: Limits = Limits { headers: 6, header_bytes: 192, body_bytes: 128 };

// Escapes and an added content-length may make a frame longer than it came.
const ROOMY: Limits = Limits { headers: 64, header_bytes: 4096, body_bytes: 4096 };

// Input: one octet for the version, one for the sizes of the pieces, then the stream.
fuzz_target!(|data: &[u8]| {
    let [version, seed, stream @ ..] = data else { return };
    let version = [None, Some(Version::V1_0), Some(Version::V1_1), Some(Version::V1_2)]
        [usize::from(version % 4)];

    let whole = decode(version, LIMITS, [stream]);
    assert_eq!(whole, decode(version, LIMITS, stream.chunks(1)), "octet by octet");
    assert_eq!(whole, decode(version, LIMITS, pieces(stream, *seed)), "in pieces");

    for frame in whole.0 {
        if survives(version, &frame) {
            let mut wire = Vec::new();
            frame.encode(version.unwrap_or(Version::V1_0), &mut wire);
            let (again, error) = decode(version, ROOMY, [&wire[..]]);
            assert_eq!(error, None, "{wire:?}");
            let again: Vec<_> = again.iter().map(comparable).collect();
            assert_eq!(again, [comparable(&frame)]);
        }
    }
});

/// All frames, and the error if there is one.
fn decode<'a>(
    version: Option<Version>,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.version(version);
    }
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        let mut beats = 0;
        loop {
            match decoder.next() {
                Ok(Some(Incoming::Frame(frame))) => frames.push(frame),
                Ok(Some(Incoming::Heartbeat)) => beats += 1,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.buffered(), 0);
                    assert_eq!(decoder.next(), Err(error.clone()));
                    return (frames, Some(error));
                }
            }
        }
        assert!(beats <= 1);
        assert!(decoder.buffered() <= limits.header_bytes.max(limits.body_bytes));
    }
    (frames, None)
}

fn pieces(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (stream, u32::from(seed));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, tail) = rest.split_at(rest.len().min(1 + (state >> 27) as usize));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Where nothing is escaped, a CR cannot be written.
fn survives(version: Option<Version>, frame: &Frame) -> bool {
    let escaped = frame.command.is_escaped() && version > Some(Version::V1_0);
    escaped
        || !frame.headers.iter().any(|(name, value)| name.contains('\r') || value.contains('\r'))
}

/// Everything but `content-length`, which the encoder writes anew.
fn comparable(frame: &Frame) -> (stomp::Command, Vec<(&str, &str)>, &[u8]) {
    let headers = frame.headers.iter().filter(|(name, _)| *name != "content-length").collect();
    (frame.command, headers, &frame.body)
}
