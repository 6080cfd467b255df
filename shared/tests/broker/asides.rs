//! The contract of `Broker` beside the order: heads, reading back, memberships and signals.

use std::sync::Arc;

use moim_shared::broker::LogTail;
use moim_shared::envelope::Envelope;
use moim_shared::ids::UserId;
use moim_shared::position::Position;
use moim_shared::signal::{Channel, Event, Signal};

use crate::rig::{Factory, Node, eventually, named, nameless, places, room, several};

const PLENTY: usize = 1 << 30;

async fn head(node: &Node, id: &str) -> Position {
    node.broker.head(&room(id)).await.unwrap()
}

async fn back(node: &Node, before: Option<Position>, limit: usize, bytes: usize) -> LogTail {
    node.broker.read_back(&room("r"), before, limit, bytes).await.unwrap()
}

pub async fn a_head_is_known_of_rooms_that_are_open_closed_or_were_never_used(
    factory: &dyn Factory,
) {
    let node = Node::new(factory);
    assert_eq!(head(&node, "never").await, Position::ZERO);
    node.open("r").await;
    assert_eq!(head(&node, "r").await, Position::ZERO);
    let said = node.say("r", several("r", 3)).await;
    assert_eq!(head(&node, "r").await, said[2].position);
    assert_eq!(node.open("r").await.position, said[2].position);
    node.broker.close(&room("r"));
    assert_eq!(head(&node, "r").await, said[2].position);
    drop(node);
    assert_eq!(head(&Node::new(factory), "r").await, said[2].position, "in another process");
}

pub async fn reading_back_is_bounded_and_says_how_far_it_went(factory: &dyn Factory) {
    let node = Node::new(factory);
    let said = node.say("r", (0..10).map(|_| nameless("r", &"x".repeat(1_000))).collect()).await;
    node.hear("r", said[9].position).await;
    let weight = said[0].weight();
    for (limit, bytes, count) in [(3, PLENTY, 3), (10, 4 * weight, 4), (10, 1, 1), (1, 1, 1)] {
        let tail = back(&node, None, limit, bytes).await;
        assert_eq!(tail.envelopes, said[10 - count..], "limit {limit}, {bytes} bytes");
        assert_eq!(tail.after, Some(said[9 - count].position));
    }
    let whole = back(&node, None, 100, PLENTY).await;
    assert_eq!(whole.envelopes, said);
    assert_eq!(whole.after, Some(Position::ZERO), "from the start of the room");
}

pub async fn pages_backwards_meet_without_a_hole_or_a_double(factory: &dyn Factory) {
    let node = Node::new(factory);
    let mut said = node.say("r", several("r", 7)).await;
    said.extend(node.say("r", several("r", 4)).await);
    node.hear("r", said[10].position).await;
    for limit in 1..13 {
        let (mut seen, mut before): (Vec<Arc<Envelope>>, _) = (Vec::new(), None);
        loop {
            let tail = back(&node, before, limit, PLENTY).await;
            let after = tail.after.expect("the log reaches back");
            seen.splice(..0, tail.envelopes);
            if after == Position::ZERO {
                break;
            }
            // Everything after this was shown, so what comes next is before the one behind it.
            before = seen.first().map(|first| first.position);
        }
        assert_eq!(places(&seen), places(&said), "in pages of {limit}");
    }
}

/// For a factory that keeps four durable messages.
pub async fn what_the_log_no_longer_has_is_for_the_database(factory: &dyn Factory) {
    let node = Node::new(factory);
    let said = node.say("r", several("r", 10)).await;
    node.hear("r", said[9].position).await;
    trimmed(&node, said[4].position).await;
    let tail = back(&node, None, 100, PLENTY).await;
    let from = said.iter().position(|envelope| Some(envelope.position) == tail.after);
    let from = from.expect("it says after which") + 1;
    assert_eq!(tail.envelopes, said[from..], "everything after that, and nothing else");
    assert!(from >= 5);
    for before in [said[5].position, said[0].position, Position::ZERO] {
        let tail = back(&node, Some(before), 100, PLENTY).await;
        assert!(tail.envelopes.is_empty(), "before {before}");
        // No claim about what stands in the trimmed part.
        assert!(tail.after.is_none_or(|after| after >= before.min(said[5].position)));
    }
    let unknown = node.broker.read_back(&room("never"), None, 10, PLENTY).await.unwrap();
    assert!(unknown.envelopes.is_empty());
    assert!(unknown.after.is_none_or(|after| after == Position::ZERO));
}

async fn trimmed(node: &Node, after: Position) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while node.read("r", after, PLENTY).await.upto.is_some() {
        assert!(std::time::Instant::now() < deadline, "it is never trimmed");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// For a factory whose rooms remember one name.
pub async fn reading_back_shows_no_marks_and_nothing_that_is_not_visible(factory: &dyn Factory) {
    let node = Node::new(factory);
    node.say("r", vec![named("r", "a", "x"), named("r", "b", "x")]).await;
    let mark = node.say("r", vec![named("r", "a", "x"), nameless("r", "y")]).await;
    node.hear("r", mark[1].position).await;
    let tail = back(&node, None, 1, PLENTY).await;
    assert_eq!(tail.envelopes, mark[1..]);
    let tail = back(&node, Some(mark[1].position), 10, PLENTY).await;
    assert!(tail.envelopes.iter().all(|envelope| envelope.position != mark[0].position));
    node.add("r", several("r", 1)).await;
    let tail = back(&node, None, 10, PLENTY).await;
    let seen = head(&node, "r").await;
    assert!(tail.envelopes.iter().all(|envelope| envelope.position <= seen));
}

pub async fn a_change_of_members_is_told_to_who_has_the_room_open(factory: &dyn Factory) {
    let node = Node::new(factory);
    node.broker.members_changed(&room("closed"), &[]).await.unwrap();
    let before = node.open("r").await.members;
    let first = node.broker.members_changed(&room("r"), &[]).await.unwrap();
    let second = node.broker.members_changed(&room("r"), &[]).await.unwrap();
    assert!(before < first && first < second);
    eventually(|| node.told_members("r").last() == Some(&second)).await;
    assert!(node.told_members("r").is_sorted());
    node.broker.close(&room("r"));
    let told = node.told_members("r").len();
    node.broker.members_changed(&room("r"), &[]).await.unwrap();
    // A room that is told of shows that nothing else is on its way.
    node.open("s").await;
    node.broker.members_changed(&room("s"), &[]).await.unwrap();
    eventually(|| !node.told_members("s").is_empty()).await;
    assert_eq!(node.told_members("r").len(), told);
    assert!(node.told_members("closed").is_empty());
}

pub async fn signals_are_told_in_the_order_of_their_caller(factory: &dyn Factory) {
    let node = Node::new(factory);
    node.open("r").await;
    node.broker.listen(&Channel::Nodes).await.unwrap();
    let read = |seq| {
        let user = UserId::parse("mina").unwrap();
        Signal::Event(room("r"), Event::Read { user, position: Position::new(7, seq) })
    };
    let said: Vec<Signal> = (0..20).map(read).collect();
    for signal in said.clone() {
        node.broker.signal(signal).await.unwrap();
    }
    eventually(|| node.told_signals().len() >= said.len()).await;
    assert_eq!(node.told_signals(), said);
}

pub async fn what_is_durable_is_told_to_inboxes_that_listen(factory: &dyn Factory) {
    let node = Node::new(factory);
    let inbox = Channel::Inbox(room("r"));
    node.broker.listen(&inbox).await.unwrap();
    let said = node.say("r", several("r", 2)).await;
    let told = || node.told_signals().into_iter().filter(|told| told.channel() == inbox).count();
    eventually(|| told() == 1).await;
    // Whatever became of the log, it is in the database.
    factory.lose(&room("r")).await;
    node.broker.close(&room("r"));
    node.make_durable(&said).await;
    eventually(|| told() == 2).await;
    let own = Signal::Own(UserId::parse("mina").unwrap(), room("r"));
    node.broker.listen(&own.channel()).await.unwrap();
    node.broker.signal(own.clone()).await.unwrap();
    eventually(|| node.told_signals().contains(&own)).await;
}
