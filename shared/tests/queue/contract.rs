//! The contract of `Queue`: each function is one of its sentences, for any adapter that is empty
//! and whose bound is [`BOUND`]. Those at the end are for an adapter that makes nothing safe by
//! itself, and so confirms what was acknowledged.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::queue::{Dead, Delivery, Pressure, Queue, QueueError};

/// Bytes from which on the queue is full.
pub const BOUND: usize = 10_000;

pub fn message(body: impl ToString) -> Arc<Envelope> {
    Arc::new(Envelope {
        room: RoomId::parse("r").unwrap(),
        position: Position::ZERO,
        origin: OriginId::made_by(&NodeId::random()),
        sender: UserId::parse("mina").unwrap(),
        sender_name: None,
        sent_at: 1_767_225_600_000,
        content_type: None,
        binary: false,
        headers: Vec::new(),
        body: body.to_string().into_bytes().into(),
    })
}

pub fn bodies(delivery: &Delivery) -> Vec<String> {
    let text = |envelope: &Arc<Envelope>| String::from_utf8(envelope.body.to_vec()).unwrap();
    delivery.envelopes().iter().map(text).collect()
}

/// Publishes without waiting for the confirm.
pub fn publish(
    queue: &Arc<dyn Queue>,
    envelopes: Vec<Arc<Envelope>>,
) -> tokio::task::JoinHandle<Result<(), QueueError>> {
    let queue = queue.clone();
    tokio::spawn(async move { queue.publish(envelopes).await })
}

/// Publishes one message after the other and lets go of their confirms.
async fn publish_in_order(queue: &Arc<dyn Queue>, bodies: impl IntoIterator<Item = u32>) {
    for body in bodies {
        let mut confirm = pin!(queue.publish(vec![message(body)]));
        let polled = confirm.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(()))));
    }
}

pub async fn receive(queue: &Arc<dyn Queue>) -> Delivery {
    next(queue).await.expect("a delivery, not the end")
}

/// Takes and acknowledges deliveries until they were `count` messages: their bodies.
pub async fn take(queue: &Arc<dyn Queue>, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let delivery = receive(queue).await;
        taken.extend(bodies(&delivery));
        delivery.ack();
    }
    taken
}

fn texts(bodies: impl IntoIterator<Item = u32>) -> Vec<String> {
    bodies.into_iter().map(|body| body.to_string()).collect()
}

async fn next(queue: &Arc<dyn Queue>) -> Option<Delivery> {
    within(queue.receive()).await
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it never came")
}

pub async fn what_is_published_is_delivered_whole(queue: Arc<dyn Queue>) {
    let parcel = vec![message("a"), message("b")];
    let publishing = publish(&queue, parcel.clone());
    let delivery = receive(&queue).await;
    assert_eq!(delivery.envelopes(), parcel);
    delivery.ack();
    assert_eq!(within(publishing).await.unwrap(), Ok(()));
}

pub async fn one_consumer_sees_the_order_of_publishing(queue: Arc<dyn Queue>) {
    publish_in_order(&queue, 0..50).await;
    assert_eq!(take(&queue, 50).await, texts(0..50));
}

pub async fn what_is_dropped_unsettled_comes_again_first_and_in_order(queue: Arc<dyn Queue>) {
    publish_in_order(&queue, 0..5).await;
    let (mut held, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < 2 {
        let delivery = receive(&queue).await;
        seen.extend(bodies(&delivery));
        held.push(delivery);
    }
    drop(held); // a consumer that held a batch has died
    assert_eq!(take(&queue, 5).await, texts(0..5));
    assert!(queue.try_receive().is_none());
}

pub async fn what_is_acknowledged_never_comes_again(queue: Arc<dyn Queue>) {
    publish_in_order(&queue, [0]).await;
    receive(&queue).await.ack();
    publish_in_order(&queue, [1]).await;
    drop(receive(&queue).await);
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn what_is_buried_never_comes_again_and_the_rest_is_done(queue: Arc<dyn Queue>) {
    let parcel = vec![message("a"), message("b")];
    let publishing = publish(&queue, parcel.clone());
    let delivery = receive(&queue).await;
    let dead = Dead { envelope: parcel[0].clone(), reason: "asked to".into() };
    assert_eq!(within(delivery.bury(vec![dead])).await, Ok(()));
    // A queue that confirmed it before has done so; one that did not, never does.
    let answered = within(publishing).await.unwrap();
    assert!(answered.is_ok() || answered == Err(QueueError::Buried("asked to".into())));
    publish_in_order(&queue, [1]).await;
    assert_eq!(take(&queue, 1).await, ["1"]);
}

pub async fn dropping_a_publish_does_not_take_it_back(queue: Arc<dyn Queue>) {
    drop(queue.publish(vec![message("never polled")]));
    publish_in_order(&queue, [1]).await;
    // An adapter may start when it is first polled; what was polled is on its way.
    let mut seen = HashSet::new();
    while !seen.contains("1") {
        seen.extend(take(&queue, 1).await);
    }
}

pub async fn a_closed_queue_takes_nothing_and_ends_for_every_consumer(queue: Arc<dyn Queue>) {
    assert!(!queue.is_closed());
    queue.close();
    assert!(queue.is_closed());
    let refused = within(queue.publish(vec![message("late")])).await;
    assert!(refused.is_err_and(|error| !error.retryable()));
    for _ in 0..3 {
        assert!(next(&queue).await.is_none());
    }
    assert!(queue.try_receive().is_none());
}

pub async fn a_close_wakes_every_consumer_that_waits(queue: Arc<dyn Queue>) {
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive().await.is_none() })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.close();
    for consumer in waiting {
        assert!(within(consumer).await.unwrap());
    }
}

pub async fn a_consumer_that_stops_waiting_takes_nothing_with_it(queue: Arc<dyn Queue>) {
    for body in 0..20 {
        let mut given_up = Box::pin(queue.receive());
        let mut context = Context::from_waker(Waker::noop());
        assert!(given_up.as_mut().poll(&mut context).is_pending());
        publish_in_order(&queue, [body]).await;
        drop(given_up);
        assert_eq!(take(&queue, 1).await, [body.to_string()]);
    }
}

pub async fn many_publishers_and_consumers_lose_and_double_nothing(queue: Arc<dyn Queue>) {
    const PUBLISHERS: u32 = 6;
    const EACH: u32 = 60;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let parcel = vec![message(publisher * EACH + n)];
                    assert_eq!(queue.publish(parcel).await, Ok(()));
                    // Six small messages at most are under way: far from the bound.
                    assert_eq!(queue.pressure(), Pressure::Free);
                }
            })
        })
        .collect();
    let finished = Arc::new(AtomicUsize::new(0));
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let (queue, finished) = (queue.clone(), finished.clone());
            tokio::spawn(async move {
                let (mut done, mut number) = (Vec::new(), 0);
                while let Some(delivery) = queue.receive().await {
                    number += 1;
                    if number % 3 == 0 {
                        drop(delivery);
                        tokio::task::yield_now().await;
                        continue;
                    }
                    done.extend(bodies(&delivery));
                    let more = delivery.envelopes().len();
                    delivery.ack();
                    let before = finished.fetch_add(more, Ordering::Relaxed);
                    if before + more == (PUBLISHERS * EACH) as usize {
                        queue.close();
                    }
                }
                done
            })
        })
        .collect();
    for publisher in publishers {
        within(publisher).await.unwrap();
    }
    let mut done = Vec::new();
    for consumer in consumers {
        done.extend(within(consumer).await.unwrap());
    }
    assert_eq!(done.len() as u32, PUBLISHERS * EACH, "each was acknowledged once");
    let different: HashSet<_> = done.iter().collect();
    assert_eq!(different.len(), done.len());
}

// Where only a consumer's ack makes anything safe.

pub async fn a_publish_is_confirmed_after_the_ack_and_not_before(queue: Arc<dyn Queue>) {
    let mut publishing = pin!(queue.publish(vec![message("a")]));
    let mut context = Context::from_waker(Waker::noop());
    assert!(publishing.as_mut().poll(&mut context).is_pending());
    let delivery = receive(&queue).await;
    assert!(publishing.as_mut().poll(&mut context).is_pending(), "delivered is not done");
    drop(delivery);
    let delivery = receive(&queue).await;
    assert!(publishing.as_mut().poll(&mut context).is_pending(), "given back is not done");
    delivery.ack();
    assert_eq!(within(publishing).await, Ok(()));
}

pub async fn it_is_full_at_its_bound_and_free_after_the_ack(queue: Arc<dyn Queue>) {
    assert_eq!(queue.pressure(), Pressure::Free);
    let first = publish(&queue, vec![message("x".repeat(BOUND))]);
    let delivery = receive(&queue).await;
    assert_eq!(queue.pressure(), Pressure::Full, "what is under way counts");
    drop(delivery);
    assert_eq!(queue.pressure(), Pressure::Full, "what came back counts once");
    // Admitted before: taken even beyond the bound.
    let second = publish(&queue, vec![message("y")]);
    for _ in 0..2 {
        receive(&queue).await.ack();
    }
    assert_eq!(within(first).await.unwrap(), Ok(()));
    assert_eq!(within(second).await.unwrap(), Ok(()));
    assert_eq!(queue.pressure(), Pressure::Free);
}

pub async fn a_closed_queue_drains_and_then_ends_for_every_consumer(queue: Arc<dyn Queue>) {
    publish_in_order(&queue, 0..3).await;
    queue.close();
    let refused = within(queue.publish(vec![message("late")])).await;
    assert!(refused.is_err_and(|error| !error.retryable()));
    drop(receive(&queue).await);
    for expected in 0..3 {
        let delivery = receive(&queue).await;
        assert_eq!(bodies(&delivery), [expected.to_string()]);
        delivery.ack();
    }
    for _ in 0..3 {
        assert!(next(&queue).await.is_none());
    }
    assert!(queue.try_receive().is_none());
}
