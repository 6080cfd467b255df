//! Puts together what many ask for while one call is under way: a call for each of them would be
//! one wait for the disk for each.

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// See the module. `Q` is what one asks for, `A` its answer.
pub struct Gather<Q, A> {
    /// At once, at most.
    most: usize,
    waiting: Mutex<Vec<(Q, oneshot::Sender<A>)>>,
    calling: tokio::sync::Mutex<()>,
}

impl<Q, A> Gather<Q, A> {
    /// One call asks for `most` at most.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::default(), calling: tokio::sync::Mutex::default() }
    }

    /// The answer to `question`, by a `call` that asks for all that wait, in their order, and answers
    /// all of them. `None`: whoever made the call is gone; whether it was carried out is not known.
    pub async fn ask<F>(&self, question: Q, call: impl Fn(Vec<Q>) -> F) -> Option<A>
    where
        F: Future<Output = Vec<A>>,
    {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push((question, answer));
        loop {
            let _turn = self.calling.lock().await;
            match answered.try_recv() {
                Ok(answer) => return Some(answer),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let (questions, waiting): (Vec<Q>, Vec<_>) = {
                let mut all = self.waiting.lock();
                let most = all.len().min(self.most);
                all.drain(..most).unzip()
            };
            for (waiting, answer) in waiting.into_iter().zip(call(questions).await) {
                // Whoever asked may have gone.
                let _ = waiting.send(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_comes_while_a_call_is_under_way_goes_with_the_next_one() {
        let (gather, calls) = (Arc::new(Gather::new(100)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Semaphore::new(0));
        let ask = |n: usize| {
            let (gather, calls, gate) = (gather.clone(), calls.clone(), gate.clone());
            tokio::spawn(async move {
                let call = |all: Vec<usize>| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    let gate = gate.clone();
                    async move {
                        gate.acquire().await.unwrap().forget();
                        all.into_iter().map(|n| n * 2).collect()
                    }
                };
                gather.ask(n, call).await
            })
        };
        let first = ask(1);
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (2..30).map(ask).collect();
        while gather.waiting.lock().len() < 28 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Some(2));
        for (other, n) in others.into_iter().zip(2..) {
            assert_eq!(other.await.unwrap(), Some(n * 2));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_leaves_nobody_waiting() {
        let gather = Arc::new(Gather::<usize, usize>::new(1));
        let asked = gather.clone();
        let stuck = tokio::spawn(async move { asked.ask(1, |_| std::future::pending()).await });
        while gather.calling.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        let asked = gather.clone();
        let next = tokio::spawn(async move { asked.ask(2, std::future::ready).await });
        stuck.abort();
        assert_eq!(next.await.unwrap(), Some(2));
    }
}
