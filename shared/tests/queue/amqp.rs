//! What the queue in RabbitMQ does besides the contract.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use moim_shared::queue::amqp::{Address, AmqpQueue, Options};
use moim_shared::queue::{Dead, Pressure, Queue, QueueError};
use moim_shared::wire;

use super::broker::Rig;
use super::contract::{BOUND, bodies, message, publish, receive, take, within};

/// As a room does: again and again until it is confirmed.
async fn publish_until_confirmed(queue: &Arc<dyn Queue>, body: impl ToString) {
    let parcel = vec![message(body)];
    within(async {
        while let Err(error) = queue.publish(parcel.clone()).await {
            assert!(error.retryable(), "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn is_refused(answer: &Result<(), QueueError>) -> bool {
    matches!(answer, Err(QueueError::Refused(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishes_travel_in_few_messages_and_each_is_answered() {
    const MANY: u32 = 500;
    let rig = Rig::with(|options| options.bound = 1 << 20).await;
    let queue = rig.queue();
    let publishes: Vec<_> = (0..MANY).map(|n| publish(&queue, vec![message(n)])).collect();
    for publishing in publishes {
        assert_eq!(within(publishing).await.unwrap(), Ok(()));
    }
    let sent = rig.amqp().numbers().sent;
    assert!(sent < u64::from(MANY) / 2, "{sent} messages");
    let taken: HashSet<_> = take(&queue, MANY as usize).await.into_iter().collect();
    assert_eq!(taken.len(), MANY as usize);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parcel_beyond_the_size_of_a_message_goes_as_one() {
    let rig = Rig::with(|options| options.message_bytes = 1_000).await;
    let parcel: Vec<_> = (0..5).map(|_| message("x".repeat(100_000))).collect();
    let publishing = publish(&rig.queue(), parcel.clone());
    assert_eq!(within(publishing).await.unwrap(), Ok(()));
    let delivery = receive(&rig.queue()).await;
    assert_eq!(delivery.envelopes(), parcel);
    delivery.ack();
    rig.end().await;
}

/// RabbitMQ confirms what it has no queue for, unless it is told to send it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_queue_refuses_and_is_made_again() {
    let rig = Rig::start().await;
    let queue = rig.queue();
    publish_until_confirmed(&queue, "before").await;
    rig.operator().delete("messages").await;
    let publishes: Vec<_> = (0..20).map(|n| publish(&queue, vec![message(n)])).collect();
    let mut confirmed = HashSet::new();
    let mut refused = 0;
    for (n, publishing) in publishes.into_iter().enumerate() {
        match within(publishing).await.unwrap() {
            Ok(()) => drop(confirmed.insert(n.to_string())),
            answer => refused += usize::from(is_refused(&answer)),
        }
    }
    assert!(refused > 0, "the first at least met no queue");
    publish_until_confirmed(&queue, "after").await;
    confirmed.insert("after".into());
    let mut taken = HashSet::new();
    while !confirmed.is_subset(&taken) {
        taken.extend(take(&queue, 1).await);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_queue_is_deleted_goes_on_with_the_new_one() {
    let rig = Rig::with(|options| options.renew_after = Duration::from_millis(100)).await;
    let queue = rig.queue();
    publish_until_confirmed(&queue, "before").await;
    assert_eq!(take(&queue, 1).await, ["before"]);
    rig.operator().delete("messages").await;
    publish_until_confirmed(&queue, "after").await;
    assert_eq!(take(&queue, 1).await, ["after"]);
    rig.end().await;
}

/// With RabbitMQ's usual overflow a full queue confirms what it drops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_until_it_was_consumed() {
    let rig = Rig::with(|options| {
        options.queue_bytes = 30_000;
        options.bound = 1 << 20;
    })
    .await;
    let queue = rig.queue();
    let mut confirmed = Vec::new();
    let refusal = loop {
        assert!(confirmed.len() < 200, "it never was full");
        let body = format!("{:0>5000}", confirmed.len());
        match within(queue.publish(vec![message(&body)])).await {
            Ok(()) => confirmed.push(body),
            refusal => break refusal,
        }
    };
    assert!(is_refused(&refusal));
    assert_eq!(queue.pressure(), Pressure::Full);
    assert_eq!(take(&queue, confirmed.len()).await, confirmed);
    publish_until_confirmed(&queue, "after").await;
    assert_eq!(queue.pressure(), Pressure::Free);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_nothing_that_was_confirmed() {
    const EACH: u32 = 60;
    let (rig, proxy) = Rig::behind_a_proxy(|options| options.bound = 1 << 20).await;
    let queue = rig.queue();
    let publishers: Vec<_> = (0..5)
        .map(|publisher| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    publish_until_confirmed(&queue, publisher * EACH + n).await;
                }
            })
        })
        .collect();
    let mut taken = HashSet::new();
    for round in 1..=4 {
        while taken.len() < round * 50 {
            taken.extend(take(&queue, 1).await);
        }
        proxy.cut();
    }
    for publisher in publishers {
        within(publisher).await.unwrap();
    }
    while taken.len() < 5 * EACH as usize {
        taken.extend(take(&queue, 1).await);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_confirm_is_refused_when_the_connection_is_lost() {
    let (rig, proxy) =
        Rig::behind_a_proxy(|options| options.confirm_within = Duration::from_secs(60)).await;
    proxy.stop();
    let publishing = publish(&rig.queue(), vec![message("a")]);
    rig.until(|rig| rig.amqp().numbers().unconfirmed == 1).await;
    proxy.cut();
    assert!(is_refused(&within(publishing).await.unwrap()));
    rig.until(|rig| rig.queue().trouble().is_some()).await;
    assert_eq!(rig.queue().pressure(), Pressure::Free, "it takes what it has room for");
    proxy.go_on();
    publish_until_confirmed(&rig.queue(), "b").await;
    assert_eq!(rig.queue().trouble(), None);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_that_does_not_come_is_waited_for_a_while_only() {
    let (rig, proxy) =
        Rig::behind_a_proxy(|options| options.confirm_within = Duration::from_millis(500)).await;
    proxy.stop();
    let publishing = publish(&rig.queue(), vec![message("a")]);
    assert!(is_refused(&within(publishing).await.unwrap()));
    proxy.go_on();
    publish_until_confirmed(&rig.queue(), "b").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_full_at_its_bound_and_free_after_the_confirm() {
    let (rig, proxy) = Rig::behind_a_proxy(|_| ()).await;
    assert_eq!(rig.queue().pressure(), Pressure::Free);
    proxy.stop();
    let first = publish(&rig.queue(), vec![message("x".repeat(BOUND))]);
    rig.until(|rig| rig.queue().pressure() == Pressure::Full).await;
    // Admitted before: taken even beyond the bound.
    let second = publish(&rig.queue(), vec![message("y")]);
    proxy.go_on();
    for publishing in [first, second] {
        assert_eq!(within(publishing).await.unwrap(), Ok(()));
    }
    assert_eq!(rig.queue().pressure(), Pressure::Free);
    assert_eq!(rig.amqp().numbers().bytes, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_cannot_be_read_are_put_aside_with_the_reason_and_the_rest_flows() {
    let rig = Rig::start().await;
    rig.operator().publish("messages", b"hello").await;
    publish_until_confirmed(&rig.queue(), "a").await;
    assert_eq!(take(&rig.queue(), 1).await, ["a"]);
    let (bytes, reason) = rig.operator().get("dead").await;
    assert_eq!(bytes, b"hello");
    assert!(!reason.unwrap().is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parcel_of_a_newer_version_is_left_to_others() {
    const NEWER: &[u8] = &[0x08, 99];
    let rig = Rig::with(|options| options.newer_pause = Duration::from_millis(20)).await;
    rig.operator().publish("messages", NEWER).await;
    for body in ["a", "b"] {
        publish_until_confirmed(&rig.queue(), body).await;
        assert_eq!(take(&rig.queue(), 1).await, [body]);
    }
    rig.queue().close();
    within(rig.amqp().ended()).await;
    assert_eq!(rig.operator().get("messages").await.0, NEWER);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_buried_is_kept_with_its_reason() {
    let rig = Rig::start().await;
    let parcel = vec![message("a"), message("b"), message("c")];
    let publishing = publish(&rig.queue(), parcel.clone());
    assert_eq!(within(publishing).await.unwrap(), Ok(()));
    let dead = |envelope: &Arc<_>, reason: &str| Dead {
        envelope: Arc::clone(envelope),
        reason: reason.to_owned(),
    };
    let delivery = receive(&rig.queue()).await;
    // Given up half-way, it goes back.
    drop(delivery.bury(vec![dead(&parcel[0], "never polled")]));
    let delivery = receive(&rig.queue()).await;
    assert_eq!(delivery.envelopes(), parcel);
    let bury = delivery.bury(vec![dead(&parcel[0], "too old"), dead(&parcel[2], "too new")]);
    assert_eq!(within(bury).await, Ok(()));
    let mut kept = Vec::new();
    while kept.len() < 2 {
        let (bytes, reason) = rig.operator().get("dead").await;
        let reason = reason.unwrap();
        if reason != "never polled" {
            kept.push((wire::decode_parcel(bytes.into()).unwrap(), reason));
        }
    }
    let expected = [
        (vec![parcel[0].clone()], "too old".to_owned()),
        (vec![parcel[2].clone()], "too new".to_owned()),
    ];
    assert_eq!(kept, expected);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_took_before_the_close_is_left_for_others() {
    let rig = Rig::start().await;
    let queue = rig.queue();
    for n in 0..5 {
        publish_until_confirmed(&queue, n).await;
    }
    assert_eq!(take(&queue, 1).await, ["0"]);
    let held = receive(&queue).await;
    let kept = receive(&queue).await;
    queue.close();
    drop(held);
    kept.ack();
    within(rig.amqp().ended()).await;
    let other: Arc<dyn Queue> = Arc::new(AmqpQueue::start(rig.options.clone()));
    let mut left = take(&other, 3).await;
    left.sort();
    assert_eq!(left, ["1", "3", "4"]);
    other.close();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_here_for_too_long_goes_back_to_others() {
    let rig = Rig::with(|options| options.hold = Duration::from_millis(300)).await;
    let (queue, other) = (rig.queue(), AmqpQueue::start(rig.options.clone()));
    for n in 0..3 {
        publish_until_confirmed(&queue, n).await;
    }
    assert_eq!(take(&queue, 1).await, ["0"]);
    rig.until(|rig| rig.amqp().numbers().held == 2).await;
    let other: Arc<dyn Queue> = Arc::new(other);
    assert_eq!(take(&other, 2).await, ["1", "2"]);
    publish_until_confirmed(&queue, 3).await;
    assert_eq!(take(&other, 1).await, ["3"], "the first one rests until it is asked");
    other.close();
    publish_until_confirmed(&queue, 4).await;
    assert_eq!(take(&queue, 1).await, ["4"]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_another_bound_is_used_as_it_is() {
    let rig = Rig::start().await;
    publish_until_confirmed(&rig.queue(), "a").await;
    let options = Options { queue_bytes: 12_345_678, ..rig.options.clone() };
    let other: Arc<dyn Queue> = Arc::new(AmqpQueue::start(options));
    publish_until_confirmed(&other, "b").await;
    assert_eq!(take(&other, 2).await, ["a", "b"]);
    other.close();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_another_kind_is_not_used() {
    let rig = Rig::start().await;
    let name = "other.messages";
    let prefix = format!("{}.other", rig.options.prefix);
    assert_eq!(rig.operator().name(name), format!("{prefix}.messages"));
    let declare = rig.operator().channel().queue_declare(
        rig.operator().name(name).into(),
        QueueDeclareOptions::durable(),
        FieldTable::default(),
    );
    declare.await.unwrap();
    let confirm_within = Duration::from_millis(300);
    let other = AmqpQueue::start(Options { prefix, confirm_within, ..rig.options.clone() });
    assert!(is_refused(&within(other.publish(vec![message("a")])).await));
    assert!(!other.numbers().connected);
    rig.operator().delete(name).await;
    let other: Arc<dyn Queue> = Arc::new(other);
    publish_until_confirmed(&other, "b").await;
    other.close();
    for of in [name, "other.dead"] {
        rig.operator().delete(of).await;
        let exchange = rig.operator().name(of).into();
        rig.operator().channel().exchange_delete(exchange, Default::default()).await.unwrap();
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_how_much_there_is() {
    let rig = Rig::start().await;
    for n in 0..3 {
        publish_until_confirmed(&rig.queue(), n).await;
    }
    rig.operator().publish("dead", b"x").await;
    within(async {
        // The broker's counters follow a little later.
        loop {
            let depth = rig.amqp().depth().await.unwrap();
            if (depth.messages, depth.dead) == (3, 1) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let numbers = rig.amqp().numbers();
    assert_eq!((numbers.waiting, numbers.bytes, numbers.unconfirmed, numbers.sent), (0, 0, 0, 3));
    rig.end().await;
}

#[tokio::test]
async fn without_a_broker_it_says_so_refuses_and_ends() {
    let address: Address = "amqp://mina:geheim@127.0.0.1:1/v".parse().unwrap();
    let mut options = Options::new(address);
    options.confirm_within = Duration::from_millis(50);
    options.close_within = Duration::from_millis(50);
    let queue = AmqpQueue::start(options);
    let refused = within(queue.publish(vec![message("a")])).await;
    assert!(is_refused(&refused));
    assert!(!format!("{refused:?} {queue:?}").contains("geheim"));
    assert_eq!(queue.trouble(), Some("not connected"));
    let started = Instant::now();
    queue.close();
    within(queue.ended()).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(within(queue.publish(vec![message("b")])).await, Err(QueueError::Closed));
    assert!(queue.receive().await.is_none());
}

/// A delivery that is held while its connection is lost comes again; its late end changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_over_a_lost_connection_is_void() {
    let (rig, proxy) = Rig::behind_a_proxy(|_| ()).await;
    let queue = rig.queue();
    publish_until_confirmed(&queue, "a").await;
    let held = receive(&queue).await;
    proxy.cut();
    let again = receive(&queue).await;
    assert_eq!(bodies(&again), ["a"]);
    held.ack();
    drop(again);
    assert_eq!(take(&queue, 1).await, ["a"]);
    rig.end().await;
}
