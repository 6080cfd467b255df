//! What a value of the configuration can do: be read from text, be shown as TOML, be measured.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{
    AdminToken, BaseUrl, Jwks, LogFormat, Mode, Networks, Origins, Secret, ServiceUrl, Size, Span,
    Templates,
};
use crate::ids::{ClusterName, NodeId};

/// A type that a key may have.
pub(super) trait Value: Sized {
    /// Its text is never shown, not even when it is wrong.
    const SECRET: bool = false;
    /// In TOML it may stand as an array, which arrives here joined by commas.
    const LIST: bool = false;
    /// The word for `None` where the value is optional; without one, leaving the key out says it.
    const OFF: Option<&'static str> = None;

    /// Reads it. The error is empty, or says more than that something else was expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as TOML, or nothing when the key is to be left out.
    fn show(&self) -> Option<String>;

    /// What it must be; `range` is put where it belongs.
    fn expected(range: &str) -> String;
}

/// A value that a range can be given for.
pub(super) trait Measured {
    type Unit: PartialOrd + Display + 'static;

    /// How much it is; nothing when it is off.
    fn measure(&self) -> Option<&Self::Unit>;
}

/// The range a key's value must be in, its type forgotten.
pub(super) struct Allowed<T> {
    pub test: Box<dyn Fn(&T) -> bool>,
    /// `, from 1 to 10`.
    pub text: String,
}

/// From the first to the last, both allowed.
pub(super) fn within<T: Measured>(range: RangeInclusive<T::Unit>) -> Allowed<T> {
    let text = format!(", from {} to {}", range.start(), range.end());
    let test = move |value: &T| value.measure().is_none_or(|amount| range.contains(amount));
    Allowed { test: Box::new(test), text }
}

fn quoted<T: Display + ?Sized>(text: &T) -> Option<String> {
    Some(toml::Value::String(text.to_string()).to_string())
}

fn listed<T: Display>(entries: impl Iterator<Item = T>) -> Option<String> {
    let entries: Vec<_> = entries.filter_map(|entry| quoted(&entry)).collect();
    Some(format!("[{}]", entries.join(", ")))
}

// For each type: how it is read, how it is shown, what is expected.
macro_rules! values {
    ($($type:ty: $read:expr, $show:expr, $expected:expr;)*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                let read: fn(&str) -> Option<Self> = $read;
                read(text).ok_or_else(String::new)
            }

            fn show(&self) -> Option<String> {
                let show: fn(&Self) -> Option<String> = $show;
                show(self)
            }

            fn expected(range: &str) -> String {
                format!("{}{range}", $expected)
            }
        }
    )*};
}

values! {
    u32: number, |n| Some(n.to_string()), "a whole number";
    usize: number, |n| Some(n.to_string()), "a whole number";
    bool: |text| text.parse().ok(), |yes| Some(yes.to_string()), "`true` or `false`";
    SocketAddr: |text| text.parse().ok(), quoted, "an address and port such as `127.0.0.1:8080`";
    PathBuf: |text| plain_text(text).map(Self::from), |path| quoted(&path.display()), "a path";
    String: plain_text, quoted, "text that is not empty; leave the key out if it is not wanted";
    NodeId: |text| Self::parse(text).ok(), quoted, "1 to 64 of A-Z a-z 0-9 . _ ~ -";
    LogFormat: LogFormat::named, |format| quoted(format.name()), "`pretty` or `json`";
    Size: |text| text.parse().ok(), quoted, Size::EXPECTED;
    ClusterName: |text| Self::parse(text).ok(), quoted, "1 to 32 of A-Z a-z 0-9 . _ ~ -";
    BaseUrl: BaseUrl::parse, quoted, "a URL such as `https://fcm.googleapis.com`, without user and query";
    Mode: Mode::named, |mode| quoted(mode.name()), "`standalone` or `cluster`";
}

/// Digits only: Rust's own parser would take a leading `+`.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn plain_text(text: &str) -> Option<String> {
    (!text.trim().is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
}

impl Value for Span {
    const OFF: Option<&'static str> = Some("off");

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().or(Err(String::new()))
    }

    fn show(&self) -> Option<String> {
        quoted(self)
    }

    fn expected(range: &str) -> String {
        format!("{}{range}", Self::EXPECTED)
    }
}

impl Value for Secret {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| format!("{} bytes are too few", text.len()))
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn expected(_: &str) -> String {
        format!("a secret of at least {} bytes", Self::MIN_BYTES)
    }
}

impl Value for AdminToken {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(String::new)
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn expected(_: &str) -> String {
        "printable ASCII without spaces".into()
    }
}

impl Value for ServiceUrl {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(String::new)
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn expected(_: &str) -> String {
        "a URL such as `redis://host:6379`, without white space".into()
    }
}

impl Value for Origins {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> Option<String> {
        listed(self.entries())
    }

    fn expected(_: &str) -> String {
        "a list of origins such as `https://chat.example.org`, or `*`".into()
    }
}

impl Value for Jwks {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> Option<String> {
        quoted(self)
    }

    fn expected(_: &str) -> String {
        "a path, or a URL such as `https://id.example.org/jwks.json`".into()
    }
}

impl Value for Templates {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> Option<String> {
        Some(self.show())
    }

    fn expected(_: &str) -> String {
        "a list of tables, each with `send` or `subscribe`".into()
    }
}

impl Value for Networks {
    const LIST: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> Option<String> {
        listed(self.entries())
    }

    fn expected(_: &str) -> String {
        "a list of addresses and networks such as `10.0.0.0/8`".into()
    }
}

impl<T: Value> Value for Option<T> {
    const SECRET: bool = T::SECRET;
    const LIST: bool = T::LIST;

    fn parse(text: &str) -> Result<Self, String> {
        match T::OFF {
            Some(off) if text == off => Ok(None),
            _ => T::parse(text).map(Some),
        }
    }

    fn show(&self) -> Option<String> {
        match self {
            Some(value) => value.show(),
            None => T::OFF.and_then(quoted),
        }
    }

    fn expected(range: &str) -> String {
        let expected = T::expected(range);
        T::OFF.map_or(expected.clone(), |off| format!("{expected}, or `{off}`"))
    }
}

macro_rules! measured {
    ($($type:ty),*) => {$(
        impl Measured for $type {
            type Unit = Self;

            fn measure(&self) -> Option<&Self> {
                Some(self)
            }
        }
    )*};
}

measured!(u32, usize, Span, Size);

impl<T: Measured> Measured for Option<T> {
    type Unit = T::Unit;

    fn measure(&self) -> Option<&T::Unit> {
        self.as_ref().and_then(T::measure)
    }
}
