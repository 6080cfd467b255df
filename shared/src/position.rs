//! A place in a room's one order: `epoch-seq`, which is also a Redis stream id.

use std::fmt;
use std::str::FromStr;

/// Where a message stands in its room. Positions of a room grow; inside an epoch every number is
/// a message, a durable event, a duplicate's mark or a void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// One life of the room's log, in ms since 1970 of its start; 0 before the first.
    pub epoch: u64,
    /// Number inside the epoch, from 0.
    pub seq: u64,
}

impl Position {
    /// Before everything, and the head of a room that never had a message: `0-0`.
    pub const ZERO: Self = Self { epoch: 0, seq: 0 };

    /// The position `seq` of `epoch`.
    pub const fn new(epoch: u64, seq: u64) -> Self {
        Self { epoch, seq }
    }

    /// The last one before this, of whatever epoch.
    pub const fn before(self) -> Self {
        match (self.epoch, self.seq) {
            (0, 0) => Self::ZERO,
            (epoch, 0) => Self { epoch: epoch - 1, seq: u64::MAX },
            (epoch, seq) => Self { epoch, seq: seq - 1 },
        }
    }

    /// The one after this in the same epoch.
    pub const fn next(self) -> Self {
        Self { epoch: self.epoch, seq: self.seq + 1 }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// Not `epoch-seq` in plain decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is two decimal numbers, `epoch-seq`")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse::<u64>().ok() } else { None }
        };
        let (epoch, seq) = text.split_once('-').ok_or(BadPosition)?;
        match (number(epoch), number(seq)) {
            (Some(epoch), Some(seq)) => Ok(Self { epoch, seq }),
            _ => Err(BadPosition),
        }
    }
}

// In JSON a text as well: its numbers are too large for JavaScript.
impl serde::Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_what_it_writes() {
        let position = Position::new(1_767_225_600_000, 41);
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("0-0".parse(), Ok(Position::ZERO));
    }

    #[test]
    fn anything_but_two_numbers_is_refused() {
        for bad in [
            "",
            "1",
            "1-",
            "-1",
            "1-2-3",
            "+1-2",
            "1--2",
            " 1-2",
            "1-2 ",
            "a-b",
            "0x1-2",
            "99999999999999999999-0",
        ] {
            assert_eq!(bad.parse::<Position>(), Err(BadPosition), "{bad}");
        }
    }

    #[test]
    fn a_later_epoch_is_after_every_number_of_an_earlier_one() {
        assert!(Position::new(2, 0) > Position::new(1, u64::MAX));
        assert!(Position::ZERO < Position::new(1, 0));
    }
}
