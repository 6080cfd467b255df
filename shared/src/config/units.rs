//! Durations and sizes as people write them: `10s`, `4MiB`. Exact: no floating point in between.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time: a number with `ms`, `s`, `m` or `h`, decimals allowed. Kept in whole ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// A number of bytes: a number alone, or with `KiB`, `MiB` or `GiB`, decimals allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(usize);

/// Text that is not of the unit. Its text says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct UnitError(pub(super) &'static str);

// The largest unit first: Display takes the first that divides the amount.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

impl Span {
    pub(super) const EXPECTED: &'static str = "a duration such as `10s`, `100ms`, `5m` or `24h`";

    /// So many milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// So many seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// So many minutes.
    pub const fn mins(n: u64) -> Self {
        Self::secs(60 * n)
    }

    /// So many hours.
    pub const fn hours(n: u64) -> Self {
        Self::mins(60 * n)
    }

    /// As the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// In whole milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0.as_millis() as u64
    }
}

impl Size {
    pub(super) const EXPECTED: &'static str = "a size such as `4MiB`, `64KiB` or `1000` (bytes)";

    /// So many bytes.
    pub const fn bytes(n: usize) -> Self {
        Self(n)
    }

    /// So many times 1,024 bytes.
    pub const fn kib(n: usize) -> Self {
        Self(n << 10)
    }

    /// So many times 1,024 KiB.
    pub const fn mib(n: usize) -> Self {
        Self(n << 20)
    }

    /// So many times 1,024 MiB.
    pub const fn gib(n: usize) -> Self {
        Self(n << 30)
    }

    /// In bytes.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        // A bare number is refused: `10` could be meant as seconds or as milliseconds.
        let (amount, unit) = split(text, &TIMES).ok_or(UnitError(Self::EXPECTED))?;
        let millis = scale(amount, unit).ok_or(UnitError(Self::EXPECTED))?;
        Ok(Self::millis(millis))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (amount, unit) = split(text, &SIZES).ok_or(UnitError(Self::EXPECTED))?;
        let bytes = scale(amount, unit).and_then(|bytes| usize::try_from(bytes).ok());
        bytes.map(Self).ok_or(UnitError(Self::EXPECTED))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_millis() {
            0 => f.write_str("0s"),
            millis => show(f, millis, &TIMES),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes => show(f, bytes as u64, &SIZES),
        }
    }
}

/// Splits `1.5h` into its number and what one of the unit is worth.
fn split<'a>(text: &'a str, units: &[(&str, u64)]) -> Option<(&'a str, u64)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, name) = text.split_at(end);
    let (_, worth) = units.iter().find(|(unit, _)| *unit == name.trim_start())?;
    Some((amount, *worth))
}

/// `1.5` of a unit worth 1,000 is 1,500; what is smaller than one falls away.
fn scale(amount: &str, unit: u64) -> Option<u64> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, "0"));
    if part.is_empty() || part.len() > 9 {
        return None;
    }
    let tenths = 10u128.pow(part.len() as u32);
    let digits = whole.parse::<u64>().ok()? as u128 * tenths + part.parse::<u64>().ok()? as u128;
    u64::try_from(digits * unit as u128 / tenths).ok()
}

fn show(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    match units.iter().find(|(_, worth)| amount.is_multiple_of(*worth)) {
        Some((name, worth)) => write!(f, "{}{name}", amount / worth),
        None => write!(f, "{amount}"),
    }
}

macro_rules! as_text_in_serde {
    ($($unit:ident),*) => {$(
        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text_in_serde!(Span, Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, millis) in
            [("100ms", 100), ("10s", 10_000), ("1.5s", 1_500), ("5m", 300_000), ("24h", 86_400_000)]
        {
            assert_eq!(text.parse(), Ok(Span::millis(millis)), "{text}");
        }
        assert_eq!("0.0005s".parse(), Ok(Span::millis(0)));
    }

    #[test]
    fn sizes_are_read_exactly() {
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("64KiB", 65_536), ("4 MiB", 4 << 20), ("1.2MiB", 1_258_291)]
        {
            assert_eq!(text.parse(), Ok(Size::bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "10", "s", "-1s", "1e3s", "10 parsecs", "1.s", ".5s", "1.2.3s", "１s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        let huge = "99999999999999999999GiB";
        for text in ["", "KiB", "-1", "4MB", "4mib", "+1", "1_000", huge, "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_the_same() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000] {
            let span = Span::millis(millis);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for bytes in [0, 1, 1023, 1024, 1_257_472, 1_258_291, 4 << 20, 3 << 30] {
            let size = Size::bytes(bytes);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert_eq!(Size::kib(1228).to_string(), "1228KiB");
        assert_eq!(Span::hours(24).to_string(), "24h");
    }
}
