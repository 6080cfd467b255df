//! The socket's side of an outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::item::{Entry, Item};
use super::{Outbox, Wake, with_scratch};

/// Written in one go at most, about: enough to make a system call worth it, and little enough to
/// give the thread back.
const CHUNK: usize = 64 * 1024;

/// A deque that held more than this is given back when it is empty.
const KEEP: usize = 32;

/// Takes items out and writes them as WebSocket messages. There is one for each outbox; when it is
/// dropped, the socket is about to close.
pub struct Drain {
    outbox: Arc<Outbox>,
    taken: VecDeque<Entry>,
}

impl Drain {
    /// The drain of `outbox`.
    pub const fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, taken: VecDeque::new() }
    }

    /// The next bytes for the socket; `None` when the connection is to end.
    pub fn poll(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        with_scratch(|scratch| {
            loop {
                if self.taken.is_empty() && !self.take() {
                    break;
                }
                self.write(scratch);
                if scratch.len() >= CHUNK {
                    break;
                }
            }
            if scratch.is_empty() {
                return self.rest(context);
            }
            self.outbox.written.store(self.outbox.now(), Ordering::Relaxed);
            Poll::Ready(Some(Bytes::copy_from_slice(scratch)))
        })
    }

    /// Takes what waits. False when nothing does.
    fn take(&mut self) -> bool {
        let mut state = self.outbox.state.lock();
        std::mem::swap(&mut state.queue, &mut self.taken);
        state.taken = self.taken.front().map(|entry| entry.at);
        if !self.taken.is_empty() {
            state.line.busy();
        }
        if state.queue.capacity() > KEEP {
            state.queue = VecDeque::new();
        }
        !self.taken.is_empty()
    }

    fn write(&mut self, scratch: &mut Vec<u8>) {
        let mut freed = 0;
        let mut closed = false;
        while scratch.len() < CHUNK {
            let Some(Entry { item, .. }) = self.taken.pop_front() else { break };
            item.write(scratch);
            match item {
                // Its room was never taken.
                Item::Close(_) => closed = true,
                other => freed += other.weight(),
            }
        }
        let left = self.outbox.bytes.fetch_sub(freed, Ordering::Relaxed) - freed;
        let roomy = left < self.outbox.bounds.bytes / 4;
        let mut wake = Wake(None, Vec::new());
        if closed || self.taken.is_empty() || roomy {
            let mut state = self.outbox.state.lock();
            state.taken = self.taken.front().map(|entry| entry.at);
            if roomy || closed {
                wake.1 = std::mem::take(&mut state.waiters);
            }
            if closed && let Some(closing) = &mut state.closing {
                closing.sent = true;
                closing.over |= closing.heard;
            }
        }
        wake.wake();
    }

    /// Nothing to write: either for now or for ever.
    fn rest(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        if self.taken.capacity() > KEEP {
            self.taken = VecDeque::new();
        }
        let mut state = self.outbox.state.lock();
        if state.closing.is_some_and(|closing| closing.over) {
            return Poll::Ready(None);
        }
        if !state.queue.is_empty() {
            // It came in between.
            context.waker().wake_by_ref();
        }
        match &state.drain {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => state.drain = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.outbox.finish();
        self.outbox.drop_queue();
    }
}
