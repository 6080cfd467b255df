//! Writing: the wire form, and what may be forwarded.

use bytes::Bytes;

use super::super::{Command, FrameWriter, Headers, escape_into, is_safe_header};
use super::*;

use Version::{V1_0, V1_1, V1_2};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn escaped(version: Version, value: &str) -> String {
    written(|out| escape_into(version, value, out))
}

#[test]
fn a_frame_is_written_with_lf_line_ends_and_no_white_space_of_its_own() {
    let wire = written(|out| {
        FrameWriter::new(out, Command::Message, V1_2)
            .header("destination", "/topic/rooms/a")
            .header_u64("timestamp", 1_700_000_000_123)
            .body(b"hello");
    });
    assert_eq!(
        wire,
        "MESSAGE\ndestination:/topic/rooms/a\ntimestamp:1700000000123\ncontent-length:5\n\nhello\0"
    );
}

#[test]
fn a_frame_without_a_body_has_no_content_length() {
    let wire = written(|out| {
        FrameWriter::new(out, Command::Receipt, V1_1).header("receipt-id", "7").end();
    });
    assert_eq!(wire, "RECEIPT\nreceipt-id:7\n\n\0");
}

#[test]
fn numbers_are_written_from_0_to_the_largest() {
    for value in [0, 9, 10, u64::MAX] {
        let wire = written(|out| FrameWriter::tail(out, V1_2).header_u64("n", value).end());
        assert_eq!(wire, format!("n:{value}\n\n\0"));
    }
}

#[test]
fn a_shared_tail_makes_the_same_frame_as_writing_it_whole() {
    let tail = written(|out| FrameWriter::tail(out, V1_2).header("x", "a:b").body(b"hello"));
    let fanned = written(|out| {
        FrameWriter::new(out, Command::Message, V1_2)
            .header("subscription", "s\\1")
            .end_with(tail.as_bytes());
    });
    let whole = written(|out| {
        FrameWriter::new(out, Command::Message, V1_2)
            .header("subscription", "s\\1")
            .header("x", "a:b")
            .body(b"hello");
    });
    assert_eq!(fanned, whole);
}

#[test]
fn a_writer_appends_and_leaves_what_is_there() {
    let wire = written(|out| {
        out.extend_from_slice(b"a:b");
        FrameWriter::new(out, Command::Receipt, V1_0).header("a:b", "c").end();
    });
    assert_eq!(wire, "a:bRECEIPT\na?b:c\n\n\0");
}

#[test]
fn names_and_values_are_escaped_as_the_version_says() {
    assert_eq!(escaped(V1_2, "a:b\\c\nd\re"), "a\\cb\\\\c\\nd\\re");
    assert_eq!(escaped(V1_1, "a:b\\c\nd\re"), "a\\cb\\\\c\\nd\re");
    assert_eq!(escaped(V1_0, "a:b\\c"), "a:b\\c");
    let wire = written(|out| FrameWriter::tail(out, V1_1).header("a:\n", "").end());
    assert_eq!(wire, "a\\c\\n:\n\n\0");
}

#[test]
fn connected_is_never_escaped() {
    for version in Version::ALL {
        let wire = written(|out| {
            FrameWriter::new(out, Command::Connected, version).header("session", "a:\\").end();
        });
        assert_eq!(wire, "CONNECTED\nsession:a:\\\n\n\0");
    }
}

#[test]
fn no_value_can_end_its_line_or_its_frame() {
    assert_eq!(escaped(V1_0, "a\nb\rc\0d"), "a?b?c?d");
    assert_eq!(escaped(V1_1, "a\0d"), "a?d");
    let wire = written(|out| {
        let value = "1\nuser-name:root\0";
        FrameWriter::new(out, Command::Connected, V1_2).header("session", value).end();
    });
    assert_eq!(wire, "CONNECTED\nsession:1?user-name:root?\n\n\0");
}

#[test]
fn a_frame_is_written_with_the_content_length_that_is_true() {
    let frame = Frame {
        command: Command::Send,
        headers: Headers::from_iter([("content-length", "99"), ("destination", "/a")]),
        body: Bytes::from_static(b"a\0b"),
    };
    let wire = written(|out| frame.encode(V1_2, out));
    assert_eq!(wire, "SEND\ndestination:/a\ncontent-length:3\n\na\0b\0");
    let empty = Frame { body: Bytes::new(), ..frame };
    assert_eq!(written(|out| empty.encode(V1_2, out)), "SEND\ndestination:/a\n\n\0");
}

// What may be forwarded

#[test]
fn plain_headers_are_safe_in_every_version() {
    for version in Version::ALL {
        assert!(is_safe_header(version, "origin-id", "a/b;c=d,%20방"), "{version}");
    }
}

#[test]
fn empty_names_and_values_are_not_safe() {
    for version in Version::ALL {
        assert!(!is_safe_header(version, "a", ""));
        assert!(!is_safe_header(version, "", "a"));
    }
}

#[test]
fn white_space_that_no_version_escapes_is_not_safe() {
    let spaces =
        " \t\u{B}\u{C}\u{85}\u{A0}\u{1680}\u{180E}\u{2003}\u{2028}\u{202F}\u{3000}\u{FEFF}";
    for space in spaces.chars().chain("\0\u{1C}\u{1F}\u{7F}".chars()) {
        let value = format!("a{space}b");
        for version in Version::ALL {
            assert!(!is_safe_header(version, "a", &value), "{space:?}");
            assert!(!is_safe_header(version, &value, "a"), "{space:?}");
        }
    }
}

#[test]
fn what_is_escaped_is_safe_only_where_it_is_escaped() {
    for value in [":", "\n", "\\", "a:b"] {
        assert!(!is_safe_header(V1_0, "a", value), "{value:?}");
        assert!(is_safe_header(V1_1, "a", value), "{value:?}");
        assert!(is_safe_header(V1_2, value, value), "{value:?}");
    }
    assert!(!is_safe_header(V1_0, "a", "\r"));
    assert!(!is_safe_header(V1_1, "a", "\r"));
    assert!(is_safe_header(V1_2, "a", "\r"));
}
