//! What holds for any frame and any stream.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Command, FrameWriter, Headers, is_safe_header};
use super::*;

fn versions() -> impl Strategy<Value = Version> {
    select(&Version::ALL[..])
}

/// Text in which what matters to the grammar is frequent.
fn text(octets: &'static str) -> impl Strategy<Value = String> {
    vec(prop_oneof![select(octets.chars().collect::<Vec<_>>()), any::<char>()], 0..12)
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect())
}

/// A header that the version can express, for a command that it escapes.
fn headers(version: Version) -> impl Strategy<Value = Vec<(String, String)>> {
    let header = (text("ab:\\\n\r "), text("ab:\\\n\r "));
    vec(header.prop_map(move |(name, value)| expressible(version, &name, &value)), 0..6)
}

fn expressible(version: Version, name: &str, value: &str) -> (String, String) {
    let name = format!("x{name}"); // neither empty nor content-length
    if version > Version::V1_0 {
        return (name, value.to_owned());
    }
    let one_line = |text: &str| text.replace(['\r', '\n'], "").trim().to_owned();
    (one_line(&name.replace(':', "")), one_line(value))
}

fn frames_of(version: Version) -> impl Strategy<Value = Frame> {
    let with_body = select(vec![Command::Send, Command::Message, Command::Error]);
    let without = select(vec![Command::Subscribe, Command::Ack, Command::Begin, Command::Receipt]);
    let body = prop_oneof![vec(any::<u8>(), 0..40), vec(select(vec![0, b'\n', b'a']), 0..40)];
    let body = prop_oneof![(with_body, body), without.prop_map(|command| (command, Vec::new())),];
    (body, headers(version)).prop_map(|((command, body), headers)| Frame {
        command,
        headers: Headers::from_iter(headers),
        body: Bytes::from(body),
    })
}

fn stream_of(version: Version) -> impl Strategy<Value = (Version, Vec<Frame>)> {
    (Just(version), vec(frames_of(version), 1..5))
}

fn pieces(sizes: Vec<usize>) -> impl FnMut(&mut &[u8]) -> Option<Vec<u8>> {
    let mut sizes = sizes.into_iter().cycle();
    move |rest| {
        let (piece, tail) = rest.split_at(rest.len().min(sizes.next().unwrap_or(1)));
        *rest = tail;
        (!piece.is_empty()).then(|| piece.to_vec())
    }
}

/// Everything that comes out of a stream in pieces; heart-beats depend on the split.
fn in_pieces(
    version: Option<Version>,
    stream: &[u8],
    sizes: Vec<usize>,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = decoder(version);
    let (mut rest, mut next, mut frames) = (stream, pieces(sizes), Vec::new());
    while let Some(piece) = next(&mut rest) {
        decoder.push(&piece);
        loop {
            match decoder.next() {
                Ok(Some(Incoming::Frame(frame))) => frames.push(frame),
                Ok(Some(Incoming::Heartbeat)) => {}
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(decoder.buffered() <= LIMITS.header_bytes.max(LIMITS.body_bytes));
        // Growing doubles; nothing else may be held.
        assert!(decoder.allocated() <= 2 * decoder.buffered() + piece.len() + 8);
    }
    (frames, None)
}

fn without_length(frame: Frame) -> Frame {
    let headers = frame.headers.iter().filter(|(name, _)| *name != "content-length");
    Frame { headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(), ..frame }
}

/// Octets that often make sense to the decoder.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"SEND\n",
        b"CONNECT\r\n",
        b"ACK\n",
        b"a:b\n",
        b"receipt:1\n",
        b"content-length:",
        b"3\n",
        b"2000\n",
        b"\n",
        b"\r\n",
        b"\n\0",
        b"\0",
        b":",
        b"\\c",
        b"\\",
        b"xyz",
        b"\xFF",
        b" ",
    ];
    let word = prop_oneof![
        4 => select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..8),
        1 => (any::<u8>(), 0..600_usize).prop_map(|(octet, count)| vec![octet; count]),
    ];
    vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn decoding_undoes_encoding(
        (version, frames) in versions().prop_flat_map(stream_of),
        sizes in vec(1..60_usize, 1..6),
    ) {
        let mut wire = Vec::new();
        for frame in &frames {
            frame.encode(version, &mut wire);
        }
        let (decoded, error) = in_pieces(Some(version), &wire, sizes);
        prop_assert_eq!(error, None);
        let decoded: Vec<_> = decoded.into_iter().map(without_length).collect();
        prop_assert_eq!(format!("{decoded:?}"), format!("{frames:?}"));
        prop_assert!(decoded == frames, "{}", wire.escape_ascii());
    }

    #[test]
    fn any_split_of_any_stream_gives_the_same(
        version in proptest::option::of(versions()),
        stream in streams(),
        sizes in vec(1..60_usize, 1..6),
    ) {
        let whole = in_pieces(version, &stream, vec![stream.len().max(1)]);
        prop_assert_eq!(&whole, &in_pieces(version, &stream, sizes));
        prop_assert_eq!(&whole, &in_pieces(version, &stream, vec![1]));
    }

    #[test]
    fn noise_never_panics_and_is_never_hoarded(
        version in proptest::option::of(versions()),
        stream in vec(any::<u8>(), 0..3000),
        sizes in vec(1..600_usize, 1..6),
    ) {
        in_pieces(version, &stream, sizes);
    }

    #[test]
    fn a_safe_header_survives_the_wire_and_the_strictest_parser(
        version in versions(),
        name in text("ab:\\\n\r \t"),
        value in text("ab:\\\n\r \t"),
    ) {
        if is_safe_header(version, &name, &value) {
            let mut wire = Vec::new();
            FrameWriter::new(&mut wire, Command::Message, version).header(&name, &value).end();
            let read = frame(version, &wire);
            prop_assert_eq!(pairs(&read), [(&*name, &*value)]);
            let line = String::from_utf8(wire).unwrap();
            let line = line.lines().nth(1).unwrap();
            let (name, value) = line.split_once(':').unwrap();
            for part in [name, value] {
                let deaf = |c: char| c.is_whitespace() || c == ':';
                prop_assert!(!part.is_empty() && !part.contains(deaf), "{}", line);
            }
        }
    }
}
