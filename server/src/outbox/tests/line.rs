//! Messages that go to the socket at once, past the drain.

use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::*;

/// An outbox whose socket is clear, its reader, and the other end.
fn on_a_socket() -> (Arc<Outbox>, Reader, UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let outbox = Arc::new(Outbox::new(7, BOUNDS, Some(ours.as_raw_fd())));
    let mut reader = Reader::new(outbox.clone());
    assert!(reader.all().is_empty(), "now the drain knows that it has nothing to write");
    (outbox, reader, ours, theirs)
}

fn arrived(theirs: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match theirs.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    bytes
}

fn count(bytes: &[u8], what: &str) -> usize {
    bytes.windows(what.len()).filter(|window| *window == what.as_bytes()).count()
}

#[test]
fn a_clear_socket_is_written_at_once_and_a_busy_one_in_order() {
    let (outbox, mut reader, _ours, mut theirs) = on_a_socket();
    let to = automatic();
    deliver(&outbox, &to, "one").unwrap();
    assert_eq!(count(&arrived(&mut theirs), "one"), 1);
    assert!(reader.all().is_empty());
    outbox.receipt("1").unwrap();
    deliver(&outbox, &to, "two").unwrap();
    assert!(arrived(&mut theirs).is_empty(), "behind the RECEIPT");
    assert_eq!(reader.frames().len(), 2);
    deliver(&outbox, &to, "three").unwrap();
    assert_eq!(count(&arrived(&mut theirs), "three"), 1);
}

#[test]
fn nothing_passes_what_the_drain_has_begun() {
    let (outbox, mut reader, _ours, mut theirs) = on_a_socket();
    outbox.receipt("1").unwrap();
    let begun = reader.some_bytes(5);
    deliver(&outbox, &automatic(), "two").unwrap();
    assert!(arrived(&mut theirs).is_empty());
    let whole = [begun, reader.bytes()].concat();
    assert!(whole.starts_with(b"\x81"));
    assert_eq!((count(&whole, "RECEIPT"), count(&whole, "two")), (1, 1));
}

#[test]
fn what_was_missed_is_said_even_when_the_socket_is_full() {
    let (outbox, mut reader, _ours, mut theirs) = on_a_socket();
    let to = automatic();
    fill(&outbox, &to);
    reader.bytes();
    let late = automatic();
    late.missed_some();
    deliver(&outbox, &late, "late").unwrap();
    let said = [reader.bytes(), arrived(&mut theirs)].concat();
    assert_eq!(count(&said, "recovered:false"), 1);
}

#[test]
fn half_a_message_is_finished_even_when_the_outbox_overflows() {
    let (outbox, mut reader, _ours, mut theirs) = on_a_socket();
    let to = automatic();
    fill(&outbox, &to);
    outbox.overflow();
    assert!(outbox.bytes() > 0, "the rest of what the socket has begun");
    let mut all = arrived(&mut theirs);
    all.extend(reader.bytes());
    let ends = all.windows(2).rposition(|two| two == 4008u16.to_be_bytes()).unwrap();
    assert_eq!(all[ends - 3], b'\0', "the close stands behind a whole message");
}

/// Delivers until the socket has taken no more than a part.
fn fill(outbox: &Outbox, to: &Arc<Subscription>) {
    let big = "x".repeat(50_000);
    while outbox.bytes() == 0 {
        deliver(outbox, to, &big).unwrap();
    }
}
