//! The outbox against its own promises, read by a client (`reader`).

mod line;
pub mod reader;

use std::sync::atomic::AtomicUsize;

use self::reader::{Read, Reader};
use super::*;
use crate::refusal::Refusal;
use crate::stomp::FrameWriter;

pub const BOUNDS: Bounds =
    Bounds { bytes: 100_000, age: Duration::from_secs(3_600), connect: Duration::from_secs(3_600) };

fn outbox(bytes: usize) -> (Arc<Outbox>, Reader) {
    let outbox = Arc::new(Outbox::new(7, Bounds { bytes, ..BOUNDS }, None));
    (outbox.clone(), Reader::new(outbox))
}

fn subscription(ack: AckMode, version: Version) -> Arc<Subscription> {
    Arc::new(Subscription::new(3, Some("sub-0"), "/topic/rooms/r", ack, version))
}

fn automatic() -> Arc<Subscription> {
    subscription(AckMode::Auto, Version::V1_2)
}

fn tail(body: &str) -> Arc<Tail> {
    let mut bytes = Vec::new();
    FrameWriter::tail(&mut bytes, Version::V1_2).body(body.as_bytes());
    Arc::new(Tail::new(bytes, false, "5-1".into()))
}

fn deliver(outbox: &Outbox, to: &Arc<Subscription>, body: &str) -> Result<(), Closed> {
    outbox.deliver(to, std::iter::once(&tail(body)))
}

fn bodies(frames: &[reader::Frame]) -> Vec<String> {
    frames.iter().map(|frame| String::from_utf8(frame.body.clone()).unwrap()).collect()
}

const TOO_SLOW: (u16, &str) = (4008, "too slow, resume");

fn is_too_slow(read: &[Read]) -> bool {
    matches!(read, [Read::Close(code, text)] if (*code, &**text) == TOO_SLOW)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn each_frame_is_one_message_in_the_order_of_pushing() {
    let (outbox, mut reader) = outbox(100_000);
    let to = automatic();
    deliver(&outbox, &to, "1").unwrap();
    outbox.receipt("r-1").unwrap();
    outbox.pong(b"ping").unwrap();
    deliver(&outbox, &to, "2").unwrap();
    let read = reader.all();
    let [Read::Frame(one), Read::Frame(receipt), Read::Pong(pong), Read::Frame(two)] = &read[..]
    else {
        panic!("{read:?}");
    };
    assert_eq!(bodies(&[one.clone(), two.clone()]), ["1", "2"]);
    assert_eq!((&*receipt.command, receipt.get("receipt-id")), ("RECEIPT", Some("r-1")));
    assert_eq!(pong, b"ping");
    assert_eq!(one.get("subscription"), Some("sub-0"));
    assert_eq!(one.get("destination"), Some("/topic/rooms/r"));
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_message_of_every_size_is_framed_in_the_shortest_form() {
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
        let payload = vec![b'x'; size];
        let (outbox, mut reader) = outbox(1 << 20);
        outbox.pong(&payload).unwrap();
        outbox.beat();
        outbox.pong(&payload).unwrap();
        let read = reader.all();
        let [Read::Pong(first), Read::Pong(second)] = &read[..] else { panic!("{size}") };
        assert!(*first == payload && *second == payload, "{size}");
    }
    for size in [0, 100, 65_000, 65_535, 65_536, 300_000] {
        let (outbox, mut reader) = outbox(1 << 20);
        deliver(&outbox, &automatic(), &"x".repeat(size)).unwrap();
        assert_eq!(reader.frame().body.len(), size);
    }
}

#[test]
fn a_binary_message_goes_out_as_one() {
    let (outbox, mut reader) = outbox(100_000);
    let mut bytes = Vec::new();
    FrameWriter::tail(&mut bytes, Version::V1_2).body(&[0xff, 0, 1]);
    let tail = Arc::new(Tail::new(bytes, true, "5-1".into()));
    outbox.deliver(&automatic(), std::iter::once(&tail)).unwrap();
    let frame = reader.frame();
    assert!(frame.binary);
    assert_eq!(frame.body, [0xff, 0, 1]);
}

#[test]
fn an_overflow_frees_the_memory_and_closes_as_too_slow() {
    let (outbox, mut reader) = outbox(1_000);
    let to = automatic();
    let big = "x".repeat(200);
    let taken = (0..10).take_while(|_| deliver(&outbox, &to, &big).is_ok()).count();
    assert!((1..5).contains(&taken), "{taken}");
    assert!(outbox.is_closing());
    assert_eq!(outbox.bytes(), 0);
    assert_eq!(Arc::strong_count(&to), 1, "nothing of it is kept");
    assert!(is_too_slow(&reader.all()));
    assert_eq!(deliver(&outbox, &to, "late"), Err(Closed));
    assert_eq!(outbox.receipt("late"), Err(Closed));
    assert!(reader.all().is_empty());
}

#[test]
fn what_the_reader_takes_makes_room_again() {
    let (outbox, mut reader) = outbox(1_000);
    let to = automatic();
    for _ in 0..50 {
        deliver(&outbox, &to, &"x".repeat(200)).unwrap();
        assert_eq!(reader.frames().len(), 1);
    }
    assert!(!outbox.is_closing());
}

#[test]
fn a_close_comes_behind_what_waits_and_the_first_reason_stands() {
    let (outbox, mut reader) = outbox(1_000);
    outbox.receipt("1").unwrap();
    outbox.close(CloseReason::REVOKED);
    outbox.close(CloseReason::BYE);
    outbox.overflow();
    assert_eq!(outbox.receipt("2"), Err(Closed));
    let read = reader.all();
    let [Read::Frame(receipt), Read::Close(code, _)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((receipt.get("receipt-id"), *code), (Some("1"), 4001));
    assert!(!reader.ended, "the client may still answer");
    outbox.peer_closed(true);
    assert!(reader.all().is_empty());
    assert!(reader.ended);
}

#[test]
fn a_client_that_vanished_is_written_nothing_more() {
    let (outbox, mut reader) = outbox(1_000);
    outbox.finish();
    reader.all();
    assert!(reader.ended);
}

#[test]
fn a_drain_that_is_dropped_ends_the_outbox_and_frees_it() {
    let (outbox, reader) = outbox(1_000);
    let to = automatic();
    deliver(&outbox, &to, "1").unwrap();
    drop(reader);
    assert!(outbox.is_closing());
    assert_eq!((outbox.bytes(), Arc::strong_count(&to)), (0, 1));
}

#[test]
fn a_beat_is_sent_only_when_nothing_else_waits() {
    let (outbox, mut reader) = outbox(1_000);
    outbox.beat();
    outbox.beat();
    assert_eq!(reader.all(), [Read::Beat]);
    outbox.receipt("1").unwrap();
    outbox.beat();
    assert_eq!(reader.frame().command, "RECEIPT");
}

#[test]
fn who_waits_for_room_is_woken_when_there_is() {
    let (outbox, mut reader) = outbox(1_000);
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    let context = Context::from_waker(&waker);
    assert!(outbox.poll_turn(&context).is_ready());
    deliver(&outbox, &automatic(), &"x".repeat(300)).unwrap();
    assert!(outbox.poll_turn(&context).is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    reader.all();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(outbox.poll_turn(&context).is_ready());
}

#[test]
fn one_has_its_turn_at_a_time_and_the_others_wait_once_each() {
    let (outbox, _reader) = outbox(1_000);
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    let context = Context::from_waker(&waker);
    let Poll::Ready(turn) = outbox.poll_turn(&context) else { panic!("it is nobody's turn") };
    for _ in 0..3 {
        assert!(outbox.poll_turn(&context).is_pending());
    }
    drop(turn);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(outbox.poll_turn(&context).is_ready());
}

#[test]
fn what_is_larger_than_the_bound_passes_alone() {
    let (outbox, mut reader) = outbox(1_000);
    deliver(&outbox, &automatic(), &"x".repeat(5_000)).unwrap();
    assert!(deliver(&outbox, &automatic(), "y").is_err());
    reader.all();
    assert_eq!(outbox.take_end(), Some(CloseReason::TOO_SLOW));
}

#[test]
fn who_waits_for_room_is_woken_by_the_close() {
    for end in [Outbox::overflow, Outbox::finish, |outbox: &Outbox| outbox.close(CloseReason::IDLE)]
    {
        let (outbox, _reader) = outbox(1_000);
        let woken = Arc::new(Woken::default());
        let waker = woken.clone().into();
        deliver(&outbox, &automatic(), &"x".repeat(300)).unwrap();
        assert!(outbox.poll_turn(&Context::from_waker(&waker)).is_pending());
        end(&outbox);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(outbox.poll_turn(&Context::from_waker(&waker)).is_ready());
    }
}

#[test]
fn an_ended_subscription_is_written_nothing_that_waits() {
    let (outbox, mut reader) = outbox(10_000);
    let (ended, other) = (automatic(), automatic());
    deliver(&outbox, &ended, "1").unwrap();
    deliver(&outbox, &other, "2").unwrap();
    ended.end();
    assert_eq!(bodies(&reader.frames()), ["2"]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn the_ack_header_is_for_client_modes_of_1_2() {
    for version in Version::ALL {
        for ack in [AckMode::Auto, AckMode::Client, AckMode::ClientIndividual] {
            let (outbox, mut reader) = outbox(10_000);
            deliver(&outbox, &subscription(ack, version), "1").unwrap();
            let wanted = version == Version::V1_2 && ack != AckMode::Auto;
            assert_eq!(reader.frame().get("ack"), wanted.then_some("3/5-1"), "{version} {ack:?}");
        }
    }
}

#[test]
fn what_was_missed_is_said_once_and_on_a_message() {
    let (outbox, mut reader) = outbox(10_000);
    let to = automatic();
    to.missed_some();
    let nothing_to_resume = Arc::new(Tail::new(b"\n\0".to_vec(), false, String::new()));
    outbox.deliver(&to, std::iter::once(&nothing_to_resume)).unwrap();
    deliver(&outbox, &to, "1").unwrap();
    deliver(&outbox, &to, "2").unwrap();
    let frames = reader.frames();
    let said: Vec<_> = frames.iter().map(|frame| frame.get("recovered")).collect();
    assert_eq!(said, [None, Some("false"), None]);
}

#[test]
fn a_refusal_is_an_error_and_the_end_unless_somebody_listens_for_it() {
    let (silent, mut reader) = outbox(10_000);
    silent.refuse(Some("s-1"), &Refusal::busy());
    let read = reader.all();
    let [Read::Frame(error), Read::Close(1002, _)] = &read[..] else { panic!("{read:?}") };
    assert_eq!(&*error.command, "ERROR");
    assert_eq!((error.get("receipt-id"), error.get("code")), (Some("s-1"), Some("busy")));

    let (listening, mut reader) = outbox(10_000);
    listening.tell_errors(Some(automatic()));
    listening.refuse(Some("s-1"), &Refusal::busy());
    listening.refuse(None, &Refusal::banned());
    let frames = reader.frames();
    let body: serde_json::Value = serde_json::from_slice(&frames[0].body).unwrap();
    assert_eq!((&body["receipt"], &body["code"]), (&"s-1".into(), &"busy".into()));
    assert_eq!(frames[0].get("receipt-id"), Some("s-1"));
    assert_ne!(frames[0].get("message-id"), frames[1].get("message-id"));
    assert!(!listening.is_closing());
}

#[test]
fn many_threads_lose_nothing_and_each_keeps_its_order() {
    const PUSHERS: usize = 4;
    const EACH: usize = 2_000;
    let (outbox, mut reader) = outbox(usize::MAX / 2);
    let to = automatic();
    let mut frames = Vec::new();
    std::thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            let (outbox, to) = (&outbox, &to);
            scope.spawn(move || {
                for n in 0..EACH {
                    deliver(outbox, to, &format!("{pusher} {n}")).unwrap();
                }
            });
        }
        while frames.len() < PUSHERS * EACH {
            frames.extend(reader.frames());
        }
    });
    assert!(reader.all().is_empty());
    let seen = by_pusher(&frames, PUSHERS);
    for own in seen {
        assert!(own.into_iter().eq(0..EACH), "all of it, in order");
    }
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn an_overflow_cuts_the_end_off_and_never_the_middle_out() {
    const PUSHERS: usize = 4;
    for _ in 0..200 {
        let (outbox, mut reader) = outbox(3_000);
        let to = automatic();
        let mut read = Vec::new();
        std::thread::scope(|scope| {
            for pusher in 0..PUSHERS {
                let (outbox, to) = (&outbox, &to);
                scope.spawn(move || {
                    (0..)
                        .take_while(|n| deliver(outbox, to, &format!("{pusher} {n}")).is_ok())
                        .last()
                });
            }
            while !outbox.is_closing() {
                read.extend(reader.all());
                for _ in 0..20 {
                    std::thread::yield_now();
                }
            }
        });
        read.extend(reader.all());
        assert!(is_too_slow(&read[read.len() - 1..]));
        let frames: Vec<_> = read
            .into_iter()
            .filter_map(|read| match read {
                Read::Frame(frame) => Some(frame),
                _ => None,
            })
            .collect();
        for own in by_pusher(&frames, PUSHERS) {
            let count = own.len();
            assert!(own.into_iter().eq(0..count), "a gap would be resumed behind");
        }
    }
}

/// The numbers of each pusher, as they were read.
fn by_pusher(frames: &[reader::Frame], pushers: usize) -> Vec<Vec<usize>> {
    let mut seen = vec![Vec::new(); pushers];
    for body in bodies(frames) {
        let (pusher, n) = body.split_once(' ').unwrap();
        seen[pusher.parse::<usize>().unwrap()].push(n.parse().unwrap());
    }
    seen
}

#[test]
fn a_socket_that_takes_little_gets_every_byte_in_order() {
    let fill = |outbox: &Outbox| {
        for n in 0..20 {
            deliver(outbox, &automatic(), &format!("{n}").repeat(n * 37)).unwrap();
        }
    };
    let (whole, mut reader) = outbox(100_000);
    fill(&whole);
    let expected = reader.bytes();
    let (outbox, mut reader) = outbox(100_000);
    fill(&outbox);
    let mut read = Vec::new();
    let mut most = 1;
    while read.len() < expected.len() {
        let more = reader.some_bytes(most);
        assert!(!more.is_empty());
        read.extend(more);
        most += 1;
    }
    assert!(read == expected);
}
