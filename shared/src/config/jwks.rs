//! Where public keys of others come from.

use std::fmt;
use std::path::PathBuf;

/// A JWKS: a set of public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jwks {
    /// In a file.
    File(PathBuf),
    /// At an `https://` or `http://` URL.
    Url(String),
}

impl Jwks {
    /// Reads it; the error says more where another scheme was given.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let plain = |c: char| c.is_ascii_graphic() && c != '@';
        match scheme {
            "https" | "http" if !rest.is_empty() && rest.chars().all(plain) => {
                Ok(Self::Url(text.into()))
            }
            "" if !text.trim().is_empty() && !text.contains(char::is_control) => {
                Ok(Self::File(text.into()))
            }
            _ => Err(String::new()),
        }
    }
}

impl fmt::Display for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}
