//! Whether a subscriber can be given everything after the position that it names. Pure.

use moim_shared::position::Position;
use moim_shared::store::Epoch;

/// True when every number after `since` up to `head` is accounted for: the position was given out,
/// every epoch left behind on the way is sealed, and nothing can come below the one of the head any
/// more, as it is begun. `epochs` are the room's, in order.
pub fn is_covered(since: Position, head: Position, epochs: &[Epoch]) -> bool {
    if since > head {
        return false;
    }
    if since.epoch == head.epoch {
        return true;
    }
    let begun = epochs.iter().any(|epoch| epoch.epoch == head.epoch && epoch.begun);
    let known = since == Position::ZERO
        || epochs.iter().any(|epoch| {
            epoch.epoch == since.epoch && epoch.sealed.is_some_and(|last| since.seq <= last)
        });
    let mut between =
        epochs.iter().filter(|epoch| (since.epoch + 1..head.epoch).contains(&epoch.epoch));
    begun && known && between.all(|epoch| epoch.sealed.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(epoch: u64, seq: u64) -> Position {
        Position::new(epoch, seq)
    }

    const fn epoch(epoch: u64, sealed: Option<u64>) -> Epoch {
        Epoch { epoch, sealed, begun: true }
    }

    const fn not_begun(epoch: u64) -> Epoch {
        Epoch { epoch, sealed: None, begun: false }
    }

    #[test]
    fn inside_the_current_epoch_everything_up_to_the_head_is_there() {
        assert!(is_covered(at(5, 3), at(5, 9), &[]));
        assert!(is_covered(at(5, 9), at(5, 9), &[]));
        assert!(!is_covered(at(5, 10), at(5, 9), &[]), "the future");
        assert!(!is_covered(at(6, 0), at(5, 9), &[]), "a future epoch");
    }

    #[test]
    fn a_sealed_epoch_may_be_left_behind_and_an_open_one_may_not() {
        let sealed = [epoch(3, Some(7)), epoch(5, None)];
        assert!(is_covered(at(3, 2), at(5, 9), &sealed));
        assert!(is_covered(at(3, 7), at(5, 9), &sealed));
        assert!(!is_covered(at(3, 8), at(5, 9), &sealed), "past the seal");
        assert!(!is_covered(at(3, 2), at(5, 9), &[epoch(3, None), epoch(5, None)]));
        let between = [epoch(3, Some(7)), epoch(4, None), epoch(5, None)];
        assert!(!is_covered(at(3, 2), at(5, 9), &between), "an open one in between");
    }

    #[test]
    fn below_an_epoch_that_is_not_begun_rows_may_still_come() {
        for since in [at(3, 2), Position::ZERO] {
            assert!(!is_covered(since, at(5, 9), &[epoch(3, Some(7)), not_begun(5)]));
            assert!(!is_covered(since, at(5, 9), &[epoch(3, Some(7))]), "nor is it known");
        }
        assert!(is_covered(at(5, 3), at(5, 9), &[not_begun(5)]), "inside of it nothing is below");
    }

    #[test]
    fn an_epoch_that_nobody_knows_is_not_covered() {
        assert!(!is_covered(at(2, 0), at(5, 9), &[epoch(3, Some(7)), epoch(5, None)]));
    }

    #[test]
    fn from_the_start_every_older_epoch_must_be_sealed() {
        assert!(is_covered(Position::ZERO, Position::ZERO, &[]));
        assert!(is_covered(Position::ZERO, at(5, 9), &[epoch(3, Some(7)), epoch(5, None)]));
        assert!(!is_covered(Position::ZERO, at(5, 9), &[epoch(3, None), epoch(5, None)]));
    }
}
