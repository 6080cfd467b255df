//! The socket's side of an outbox.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::item::{Entry, Item};
use super::{Outbox, Wake, with_scratch};

/// Written in one go at most, about: enough to make a system call worth it, and little enough to
/// give the thread back.
const CHUNK: usize = 64 * 1024;

/// A deque that held more than this is given back when it is empty.
const KEEP: usize = 32;

/// Takes items out and writes them as WebSocket messages. There is one for each outbox.
pub struct Drain {
    outbox: Arc<Outbox>,
    taken: VecDeque<Entry>,
    /// What the socket did not take yet of what was made of items.
    rest: Vec<u8>,
}

impl Drain {
    /// The drain of `outbox`.
    pub const fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, taken: VecDeque::new(), rest: Vec::new() }
    }

    /// Writes what waits, as far as `write` takes it. Ready when the connection is to end.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&[u8], &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.rest.is_empty() {
                match write(&self.rest, context)? {
                    Poll::Ready(count) => drop(self.rest.drain(..count)),
                    Poll::Pending => return Poll::Pending,
                }
                self.touch();
                continue;
            }
            self.rest = Vec::new();
            if self.taken.is_empty() && !self.take() {
                return self.idle(context);
            }
            with_scratch(|scratch| {
                self.encode(scratch);
                if scratch.is_empty() {
                    return Ok(());
                }
                let count = match write(scratch, context)? {
                    Poll::Ready(count) => {
                        self.touch();
                        count
                    }
                    Poll::Pending => 0,
                };
                self.rest.extend_from_slice(scratch.get(count..).unwrap_or_default());
                Ok::<(), io::Error>(())
            })?;
        }
    }

    fn touch(&self) {
        self.outbox.written.store(self.outbox.now(), Ordering::Relaxed);
    }

    /// Takes what waits. False when nothing does.
    fn take(&mut self) -> bool {
        let mut state = self.outbox.state.lock();
        std::mem::swap(&mut state.queue, &mut self.taken);
        if state.queue.capacity() > KEEP {
            state.queue = VecDeque::new();
        }
        state.taken = self.taken.front().map(|entry| entry.at);
        if self.taken.is_empty() {
            return false;
        }
        state.line.busy();
        true
    }

    fn encode(&mut self, scratch: &mut Vec<u8>) {
        let mut freed = 0;
        let mut closed = false;
        let oldest = self.taken.front().map(|entry| entry.at);
        while scratch.len() < CHUNK {
            let Some(Entry { item, .. }) = self.taken.pop_front() else { break };
            item.write(scratch);
            freed += item.counted();
            closed |= matches!(item, Item::Close(_));
        }
        let left = self.outbox.bytes.fetch_sub(freed, Ordering::Relaxed) - freed;
        let roomy = left < self.outbox.bounds.bytes / 4;
        let mut wake = Wake(None, Vec::new());
        let mut state = self.outbox.state.lock();
        // What was taken before is written: a reader that keeps up is not judged by its age.
        state.taken = oldest;
        if closed || roomy {
            wake.1 = std::mem::take(&mut state.waiters);
            if closed && let Some(closing) = &mut state.closing {
                closing.sent = true;
                closing.over |= closing.heard;
            }
        }
        drop(state);
        wake.wake();
    }

    /// Nothing to write: either for now or for ever.
    fn idle(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        if self.taken.capacity() > KEEP {
            self.taken = VecDeque::new();
        }
        let mut state = self.outbox.state.lock();
        if state.closing.is_some_and(|closing| closing.over) {
            return Poll::Ready(Ok(()));
        }
        if !state.queue.is_empty() {
            // It came in between.
            context.waker().wake_by_ref();
        } else {
            state.line.flushed();
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
        // What was taken and not written too.
        let taken: usize = self.taken.iter().map(|entry| entry.item.counted()).sum();
        self.outbox.bytes.fetch_sub(taken, Ordering::Relaxed);
        self.outbox.drop_waiting(&mut self.outbox.state.lock(), |_| false);
    }
}
