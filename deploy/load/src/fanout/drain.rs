//! Receivers that only drain: 64 KiB reads into one buffer for all of them, WebSocket heads counted,
//! nothing allocated per message, so that what is measured is the sender.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::ws;

const READ: usize = 64 << 10;
const HEAD_MAX: usize = 10;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// What all receivers of a test drained together.
#[derive(Debug, Default)]
pub struct Totals {
    messages: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Totals {
    /// Whole messages.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Bytes, with the heads of frames.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Receivers whose connection ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until `goal` messages were drained; false when that takes longer than `limit`.
    pub async fn reach(&self, goal: u64, limit: Duration) -> bool {
        self.goal.store(goal, Ordering::SeqCst);
        let wait = async {
            while self.messages.load(Ordering::SeqCst) < goal {
                self.reached.notified().await;
            }
        };
        timeout(limit, wait).await.is_ok()
    }

    fn add(&self, messages: u64, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if messages > 0 {
            let before = self.messages.fetch_add(messages, Ordering::SeqCst);
            if before + messages >= self.goal.load(Ordering::SeqCst) {
                self.reached.notify_one();
            }
        }
    }
}

/// Drains `stream`, after what was read from it already, until it ends.
pub async fn drain(stream: TcpStream, left_over: Vec<u8>, totals: Arc<Totals>) {
    let mut counter = Counter::default();
    totals.add(counter.feed(&left_over), left_over.len());
    drop(left_over);
    loop {
        if stream.readable().await.is_err() {
            break;
        }
        let read = BUFFER.with_borrow_mut(|buffer| {
            let read = stream.try_read(buffer)?;
            Ok((read, counter.feed(buffer.get(..read).unwrap_or_default())))
        });
        match read {
            Ok((0, _)) => break,
            Ok((bytes, messages)) => totals.add(messages, bytes),
            Err(error) => {
                let error: std::io::Error = error;
                if error.kind() != std::io::ErrorKind::WouldBlock {
                    break;
                }
            }
        }
    }
    totals.closed.fetch_add(1, Ordering::Relaxed);
}

/// Counts data messages in a stream of server frames that comes in any pieces.
#[derive(Debug, Default)]
struct Counter {
    head: [u8; HEAD_MAX],
    head_length: usize,
    payload_left: usize,
    counts: bool,
}

impl Counter {
    /// Takes the next piece; gives back the messages that end in it.
    fn feed(&mut self, mut piece: &[u8]) -> u64 {
        let mut messages = 0;
        while !piece.is_empty() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min(piece.len());
                self.payload_left -= skipped;
                piece = piece.get(skipped..).unwrap_or_default();
                messages += u64::from(self.payload_left == 0 && self.counts);
            } else if self.head_length == 0
                && let Ok(Some(head)) = ws::head(piece)
            {
                // The common case: a whole head in this piece.
                piece = piece.get(head.length..).unwrap_or_default();
                messages += self.begin(head);
            } else {
                let Some((first, rest)) = piece.split_first() else { break };
                piece = rest;
                messages += self.collect(*first);
            }
        }
        messages
    }

    fn collect(&mut self, byte: u8) -> u64 {
        if let Some(place) = self.head.get_mut(self.head_length) {
            *place = byte;
            self.head_length += 1;
        }
        match ws::head(self.head.get(..self.head_length).unwrap_or_default()) {
            Ok(Some(head)) => {
                self.head_length = 0;
                self.begin(head)
            }
            _ => 0,
        }
    }

    fn begin(&mut self, head: ws::Head) -> u64 {
        let data = matches!(head.opcode, ws::TEXT | ws::BINARY | ws::CONTINUATION);
        self.counts = head.fin && data;
        self.payload_left = head.payload;
        u64::from(head.payload == 0 && self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[test]
    fn messages_are_counted_whatever_the_pieces() {
        let mut stream = BytesMut::new();
        for total in [10, 200, 70_000, 3, 2] {
            ws::encode_server_filler(total, &mut stream);
        }
        stream.extend_from_slice(&[0x89, 1, b'p']); // a ping is no message
        for size in [1, 2, 3, 7, 100, 65_536, stream.len()] {
            let mut counter = Counter::default();
            let counted: u64 = stream.chunks(size).map(|piece| counter.feed(piece)).sum();
            assert_eq!(counted, 5, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_goal_that_is_reached_wakes() {
        let totals = Arc::new(Totals::default());
        let other = Arc::clone(&totals);
        let waiter = tokio::spawn(async move { other.reach(3, Duration::from_secs(10)).await });
        tokio::task::yield_now().await;
        totals.add(2, 20);
        totals.add(1, 10);
        assert!(waiter.await.unwrap());
        assert_eq!((totals.messages(), totals.bytes()), (3, 30));
    }
}
