//! Quiet hours: whether the clock where somebody is says that nothing shall be heard now, and until
//! when. The only file that knows `jiff`.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use serde::de::Error as _;

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A name that no time zone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this time zone is unknown: give a name of the IANA database, such as `Europe/Berlin`")]
pub struct UnknownZone;

impl Zone {
    /// The zone of that name, in any case. The system is asked first, since its rules are updated;
    /// it may lack the older names, which phones still use.
    pub fn parse(name: &str) -> Result<Self, UnknownZone> {
        let found = TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
        let zone = found.ok().filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
        zone.map(Self).ok_or(UnknownZone)
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl serde::Serialize for Zone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Zone {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&name).map_err(D::Error::custom)
    }
}

/// What a clock on the wall shows: `HH:MM`, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

/// Text that is not what it was given for. The text says what is allowed and is fit for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotATime(&'static str);

impl TimeOfDay {
    /// Reads `HH:MM`.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let number = |digits: &str, most: u8| {
            let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|n| plain && *n <= most)
        };
        let parts = text.split_once(':');
        let time = parts.and_then(|(hour, minute)| number(hour, 23).zip(number(minute, 59)));
        time.map(|(hour, minute)| Self { hour, minute })
            .ok_or(NotATime("a time of day is `HH:MM`, from 00:00 to 23:59"))
    }

    fn on(self, day: Date) -> Option<DateTime> {
        let time = Time::new(self.hour.cast_signed(), self.minute.cast_signed(), 0, 0);
        Some(day.to_datetime(time.ok()?))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl serde::Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// From when to when it is quiet each day, over midnight where `to` is the earlier one. Two equal
/// times are no time at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// With this minute it begins.
    pub from: TimeOfDay,
    /// With this one it is over.
    pub to: TimeOfDay,
}

impl QuietHours {
    /// Reads `HH:MM-HH:MM`, as it is displayed.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let two = text.split_once('-').ok_or(NotATime("quiet hours are `HH:MM-HH:MM`"))?;
        Ok(Self { from: TimeOfDay::parse(two.0)?, to: TimeOfDay::parse(two.1)? })
    }

    /// Until when it is quiet, if it is at `now`; both in ms since 1970. Without a zone: by UTC.
    ///
    /// A time that the clocks jump over stands for that jump; one that they show twice begins the
    /// quiet hours the first time and ends them the last time.
    pub fn quiet_until(self, zone: Option<&Zone>, now: u64) -> Option<u64> {
        let zone = zone.map_or(const { &TimeZone::UTC }, |zone| &zone.0);
        let mut until = Timestamp::from_millisecond(i64::try_from(now).ok()?).ok()?;
        let today = zone.to_datetime(until).date();
        let mut quiet = false;
        // Those of one day may go on as the next day's.
        for day in [today.yesterday().ok()?, today, today.tomorrow().ok()?] {
            let (begin, end) = self.of(day, zone)?;
            if begin <= until && until < end {
                (quiet, until) = (true, end);
            }
        }
        let ms = u64::try_from(until.as_millisecond()).ok()?;
        quiet.then_some(ms)
    }

    /// Those that begin on that day.
    fn of(self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let last = if self.to < self.from { day.tomorrow().ok()? } else { day };
        let begin = when(zone, self.from.on(day)?, |first, _| first)?;
        let end = when(zone, self.to.on(last)?, |_, last| last)?;
        Some((begin, end))
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// When the clocks of the zone show that, of the first and the last time the one that is chosen; or
/// when they jump over it.
fn when(
    zone: &TimeZone,
    shown: DateTime,
    choose: fn(Timestamp, Timestamp) -> Timestamp,
) -> Option<Timestamp> {
    let there = zone.to_ambiguous_timestamp(shown);
    let first = there.earlier().ok()?;
    match there.offset() {
        AmbiguousOffset::Gap { .. } => Some(zone.following(first).next()?.timestamp()),
        AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. } => {
            Some(choose(first, there.later().ok()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
    }

    /// At each time it is quiet until the other, if there is one.
    #[track_caller]
    fn check(zone: &str, hours: &str, at: &[(&str, Option<&str>)]) {
        let (zone, hours) = (Zone::parse(zone).unwrap(), QuietHours::parse(hours).unwrap());
        for (now, until) in at {
            let said = hours.quiet_until(Some(&zone), ms(now));
            let said = said.map(|ms| Timestamp::from_millisecond(ms.try_into().unwrap()).unwrap());
            let expected = until.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(said, expected, "{hours} in {zone:?} at {now}");
        }
    }

    #[test]
    fn a_night_goes_over_midnight() {
        let (morning, next) = ("2026-11-25T07:00:00+09:00", "2026-11-26T07:00:00+09:00");
        check(
            "Asia/Seoul",
            "22:00-07:00",
            &[
                ("2026-11-24T21:59:59.999+09:00", None),
                ("2026-11-24T22:00:00+09:00", Some(morning)),
                ("2026-11-25T00:00:00+09:00", Some(morning)),
                ("2026-11-25T06:59:59.999+09:00", Some(morning)),
                (morning, None),
                ("2026-11-25T12:00:00+09:00", None),
                ("2026-11-25T23:30:00+09:00", Some(next)),
            ],
        );
    }

    #[test]
    fn a_nap_is_within_a_day() {
        let end = "2026-11-24T15:30:00+09:00";
        check(
            "Asia/Seoul",
            "13:15-15:30",
            &[
                ("2026-11-24T13:14:59+09:00", None),
                ("2026-11-24T13:15:00+09:00", Some(end)),
                ("2026-11-24T15:29:59+09:00", Some(end)),
                (end, None),
                ("2026-11-24T02:00:00+09:00", None),
            ],
        );
    }

    #[test]
    fn from_one_time_to_the_same_is_never() {
        for now in ["2026-11-24T22:00:00Z", "2026-11-24T21:59:00Z", "2026-11-24T08:00:00Z"] {
            check("UTC", "22:00-22:00", &[(now, None)]);
        }
    }

    #[test]
    fn without_a_zone_it_is_utc() {
        let hours = QuietHours::parse("22:00-07:00").unwrap();
        let until = hours.quiet_until(None, ms("2026-11-24T23:00:00Z"));
        assert_eq!(until, Some(ms("2026-11-25T07:00:00Z")));
    }

    #[test]
    fn the_night_that_loses_an_hour_ends_by_the_new_clock() {
        let end = "2026-03-29T07:00:00+02:00";
        check(
            "Europe/Berlin",
            "22:00-07:00",
            &[
                ("2026-03-28T21:59:00+01:00", None),
                ("2026-03-28T22:00:00+01:00", Some(end)),
                ("2026-03-29T01:59:00+01:00", Some(end)),
                ("2026-03-29T03:00:00+02:00", Some(end)),
                (end, None),
            ],
        );
    }

    #[test]
    fn a_time_that_the_clocks_jump_over_is_their_jump() {
        let jump = "2026-03-29T03:00:00+02:00";
        check(
            "Europe/Berlin",
            "22:00-02:30",
            &[
                ("2026-03-28T23:00:00+01:00", Some(jump)),
                ("2026-03-29T01:59:59+01:00", Some(jump)),
                (jump, None),
                ("2026-03-29T03:29:00+02:00", None),
            ],
        );
        let end = "2026-03-29T07:00:00+02:00";
        check(
            "Europe/Berlin",
            "02:30-07:00",
            &[("2026-03-29T01:59:59+01:00", None), (jump, Some(end)), (end, None)],
        );
        // All of it is in the hour that does not exist.
        let around = ["2026-03-29T01:59:59+01:00", jump, "2026-03-29T03:30:00+02:00"];
        check("Europe/Berlin", "02:00-03:00", &around.map(|now| (now, None)));
        check("Europe/Berlin", "02:15-02:45", &around.map(|now| (now, None)));
    }

    #[test]
    fn the_night_that_has_an_hour_twice_is_quiet_through_both() {
        let end = "2026-10-25T07:00:00+01:00";
        check(
            "Europe/Berlin",
            "22:00-07:00",
            &[
                ("2026-10-24T22:00:00+02:00", Some(end)),
                ("2026-10-25T02:30:00+02:00", Some(end)),
                ("2026-10-25T02:30:00+01:00", Some(end)),
                (end, None),
            ],
        );
        let last = "2026-10-25T02:30:00+01:00";
        check(
            "Europe/Berlin",
            "22:00-02:30",
            &[
                ("2026-10-25T02:29:00+02:00", Some(last)),
                ("2026-10-25T02:45:00+02:00", Some(last)),
                ("2026-10-25T02:00:00+01:00", Some(last)),
                (last, None),
            ],
        );
        check(
            "Europe/Berlin",
            "02:30-07:00",
            &[
                ("2026-10-25T02:29:00+02:00", None),
                ("2026-10-25T02:30:00+02:00", Some(end)),
                ("2026-10-25T02:10:00+01:00", Some(end)),
            ],
        );
    }

    #[test]
    fn nearly_a_whole_day_goes_on_where_the_clocks_go_back() {
        // From 02:30 the first time to 02:20 the last time, and on.
        let on = "2026-10-26T02:20:00+01:00";
        check("Europe/Berlin", "02:30-02:20", &[("2026-10-24T12:00:00+02:00", Some(on))]);
    }

    #[test]
    fn a_day_that_a_zone_left_out_has_no_evening() {
        // On Samoa 30 December 2011 did not take place.
        let end = "2011-12-31T07:00:00+14:00";
        check(
            "Pacific/Apia",
            "22:00-07:00",
            &[
                ("2011-12-29T23:00:00-10:00", Some(end)),
                ("2011-12-31T03:00:00+14:00", Some(end)),
                (end, None),
            ],
        );
    }

    #[test]
    fn a_time_that_no_calendar_has_is_not_quiet() {
        let hours = QuietHours::parse("00:00-23:59").unwrap();
        assert_eq!(hours.quiet_until(None, u64::MAX), None);
        assert_eq!(hours.quiet_until(None, i64::MAX as u64), None);
        assert_eq!(hours.quiet_until(None, 0), Some(86_340_000));
    }

    #[test]
    fn zones_have_their_own_names_also_the_old_ones() {
        for (said, name) in [
            ("Asia/Seoul", "Asia/Seoul"),
            ("europe/berlin", "Europe/Berlin"),
            ("UTC", "UTC"),
            ("Asia/Calcutta", "Asia/Calcutta"),
            ("US/Pacific", "US/Pacific"),
        ] {
            assert_eq!(Zone::parse(said).unwrap().as_str(), name);
        }
        for unknown in [
            "",
            "Mars/Olympus",
            "Etc/Unknown",
            "UTC+9",
            "+09:00",
            "../../etc/passwd",
            "/etc/localtime",
            "Europe",
            "Europe/",
            "a\0b",
            &"x".repeat(10_000),
        ] {
            assert_eq!(Zone::parse(unknown), Err(UnknownZone), "{unknown}");
        }
    }

    #[test]
    fn a_time_of_day_has_four_digits() {
        for good in ["00:00", "07:05", "23:59"] {
            assert_eq!(TimeOfDay::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "24:00", "7:00", "07:60", "0700", "07:00:00", "+7:00", "07:0", " 7:00"] {
            assert!(TimeOfDay::parse(bad).is_err(), "{bad}");
        }
        assert!(QuietHours::parse("22:00").is_err());
    }
}
