//! Where somebody stands in an inbox, in the form of a position: `ms-n`.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use super::{MARGIN, REMOVALS_KEPT};
use crate::ids::RoomId;
use crate::position::{BadPosition, Position};

/// Everything before `ms` is known (by the database's clock). `n` is 0, or on the way through a
/// long list of changes up to where that was told: in front, the time of the last one, and in the
/// last 17 bits, which one of those with that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Token {
    ms: u64,
    n: u64,
}

/// Bits that tell changes of one time apart. Before them there are 42 for the time, until 2109; all
/// together they have 18 digits.
const TIE: u32 = 17;

/// A place in the order of changes.
pub type Place = u64;

impl Token {
    /// Nothing is known.
    pub const ZERO: Self = Self { ms: 0, n: 0 };

    /// For who looked at the time `now` and was told everything.
    pub const fn after_all(now: u64) -> Self {
        Self { ms: now.saturating_sub(MARGIN.as_millis() as u64), n: 0 }
    }

    /// For who was told everything up to that place of what there was when `self` was given out.
    pub const fn up_to(self, place: Place) -> Self {
        Self { n: place, ..self }
    }

    /// Whether it stands inside a list of changes.
    pub const fn is_on_its_way(self) -> bool {
        self.n != 0
    }

    /// At the end of the list.
    pub const fn arrived(self) -> Self {
        Self { n: 0, ..self }
    }

    /// Since when changes may be unknown, in ms since 1970.
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Whether nothing is known.
    pub const fn is_zero(self) -> bool {
        self.ms == 0 && self.n == 0
    }

    /// Whether everything since then can be told, at the time `now`.
    pub const fn is_good(self, now: u64) -> bool {
        let oldest = now.saturating_sub(REMOVALS_KEPT.as_millis() as u64);
        self.is_zero() || (self.ms >= oldest && self.ms <= now)
    }

    /// Behind what place changes are to be told.
    pub const fn place(self) -> Place {
        match self.n {
            0 => self.ms << TIE,
            n => n,
        }
    }

    /// The place of a room's change.
    pub fn place_of(changed_at: u64, room: &RoomId) -> Place {
        // Any number that is the same in every process.
        let mut hasher = Fnv::default();
        hasher.write(room.as_str().as_bytes());
        let tie = hasher.finish() % ((1 << TIE) - 1) + 1;
        (changed_at.min((1 << 42) - 1) << TIE) | tie
    }

    /// The time of a place, in ms since 1970.
    pub const fn time_of(place: Place) -> u64 {
        place >> TIE
    }

    /// As it is said: a position.
    pub const fn position(self) -> Position {
        Position::new(self.ms, self.n)
    }
}

impl From<Position> for Token {
    fn from(position: Position) -> Self {
        Self { ms: position.epoch, n: position.seq }
    }
}

impl FromStr for Token {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        text.parse::<Position>().map(Self::from)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position().fmt(f)
    }
}

/// FNV-1a.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_796_000_000_000;

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    #[test]
    fn places_follow_the_time_and_tell_rooms_apart_and_tokens_are_read_back() {
        let (a, b) = (Token::place_of(NOW, &room("a")), Token::place_of(NOW, &room("b")));
        assert_ne!(a, b);
        assert!(a.max(b) < Token::place_of(NOW + 1, &room("a")));
        assert_eq!(Token::time_of(a), NOW);
        for token in [Token::ZERO, Token::after_all(NOW), Token::after_all(NOW).up_to(a)] {
            let said = token.to_string();
            assert_eq!(said.parse(), Ok(token));
            assert!(said.split('-').all(|number| number.len() <= 18), "{said}");
        }
        assert!("x".parse::<Token>().is_err());
    }

    #[test]
    fn a_token_that_is_too_old_or_of_the_future_is_no_good() {
        let kept = REMOVALS_KEPT.as_millis() as u64;
        assert!(Token::ZERO.is_good(NOW) && Token::after_all(NOW).is_good(NOW));
        assert!(Token::from(Position::new(NOW - kept, 0)).is_good(NOW));
        for bad in [NOW - kept - 1, NOW + 1, u64::MAX] {
            assert!(!Token::from(Position::new(bad, 0)).is_good(NOW), "{bad}");
        }
        // On its way through a long list that has old changes, and was begun just now.
        let on = Token::after_all(NOW).up_to(Token::place_of(1_000, &room("a")));
        assert!(on.is_good(NOW));
    }

    #[test]
    fn whoever_knows_everything_goes_on_a_margin_before() {
        let token = Token::after_all(NOW);
        let margin = MARGIN.as_millis() as u64;
        assert!(Token::place_of(NOW - margin, &room("a")) > token.place());
        assert!(Token::place_of(NOW - margin - 1, &room("a")) < token.place());
    }
}
