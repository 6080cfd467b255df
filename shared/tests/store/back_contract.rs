//! The contract of `Store::history_back`.

use moim_shared::envelope::Envelope;
use moim_shared::position::Position;

use crate::make::{Database, EPOCH, all, at, named, nameless, room};

const PLENTY: usize = 1 << 30;

/// Messages, a mark and a void over three epochs; what of it is shown, in order.
async fn three_epochs(store: &dyn Database) -> Vec<Position> {
    let mut places = Vec::new();
    for (epoch, seqs) in [(EPOCH, 0..5), (EPOCH + 1, 0..1), (EPOCH + 9, 1..4)] {
        places.extend(seqs.map(|seq| Position::new(epoch, seq)));
    }
    let sent = places.iter().map(|place| Envelope { position: *place, ..nameless(0, "x") });
    store.insert(all(sent)).await.unwrap();
    let mark = |seq| Envelope { position: Position::new(EPOCH + 9, seq), ..named(0, "a", "x") };
    store.insert(all([mark(6), mark(8)])).await.unwrap();
    places.push(Position::new(EPOCH + 9, 6));
    places
}

async fn back(
    store: &dyn Database,
    before: Option<Position>,
    limit: usize,
) -> (Vec<Position>, bool) {
    let page = store.history_back(&room("r"), before, limit, PLENTY).await.unwrap();
    (page.envelopes.iter().map(|envelope| envelope.position).collect(), page.more)
}

pub async fn both_ways_show_the_same_in_pages_of_any_size(store: &dyn Database) {
    let places = three_epochs(store).await;
    for limit in 1..=places.len() + 1 {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let (page, more) = back(store, before, limit).await;
            assert!(page.is_sorted() && page.len() <= limit);
            before = page.first().copied();
            seen.splice(..0, page);
            if !more {
                break;
            }
        }
        assert_eq!(seen, places, "in pages of {limit}");
    }
    let forth = store.history(&room("r"), Position::ZERO, 100, PLENTY).await.unwrap();
    let forth: Vec<_> = forth.envelopes.iter().map(|envelope| envelope.position).collect();
    assert_eq!(forth, places);
}

pub async fn back_is_bounded_by_rows_and_by_bytes(store: &dyn Database) {
    let body = "x".repeat(1_000);
    store.insert(all((0..10).map(|seq| nameless(seq, &body)))).await.unwrap();
    let whole = store.history_back(&room("r"), None, 10, PLENTY).await.unwrap();
    assert_eq!((whole.envelopes.len(), whole.more), (10, false));
    let weight = whole.envelopes[0].weight();
    let page = async |bytes| {
        let page = store.history_back(&room("r"), None, 10, bytes).await.unwrap();
        (page.envelopes[0].position, page.envelopes.len(), page.more)
    };
    assert_eq!(page(4 * weight).await, (at(6), 4, true), "the last ones");
    assert_eq!(page(1).await, (at(9), 1, true), "one at least");
    assert_eq!(back(store, None, 0).await, (vec![at(9)], true));
}

pub async fn back_from_anywhere_shows_what_stands_before(store: &dyn Database) {
    let places = three_epochs(store).await;
    let ends = [
        Position::ZERO,
        at(0),
        at(3),
        at(u64::MAX),
        Position::new(EPOCH + 5, 0),
        Position::new(EPOCH + 9, 7),
        Position::new(u64::MAX, u64::MAX),
    ];
    for before in places.iter().copied().chain(ends) {
        let expected: Vec<_> = places.iter().copied().filter(|place| *place < before).collect();
        assert_eq!(back(store, Some(before), 100).await, (expected, false), "before {before}");
    }
    let nowhere = store.history_back(&room("nowhere"), None, 10, PLENTY).await.unwrap();
    assert!(nowhere.envelopes.is_empty() && !nowhere.more);
}
