//! CONNECT: version, heart-beats, credentials. Pure but for the token's check.

use std::net::IpAddr;

use moim_shared::ids::InstallationId;

use crate::outbox::Beats;
use crate::refusal::{Code, Refusal};
use crate::stomp::{Headers, Version};

/// What the WebSocket upgrade already said.
#[derive(Debug, Default)]
pub struct Upgrade {
    /// The sub-protocol that was chosen.
    pub subprotocol: Option<Version>,
    /// `Authorization` of the upgrade, without `Bearer`.
    pub authorization: Option<Box<str>>,
    /// `?access_token=`.
    pub access_token: Option<Box<str>>,
    /// Where the client is, as far as anybody who is trusted says.
    pub address: Option<IpAddr>,
}

/// Why CONNECT was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejected {
    /// No version in common; the ERROR lists ours (STOMP 1.2, "Protocol Negotiation").
    Version,
    /// Anything else.
    Refused(Refusal),
}

/// The version to speak: the chosen sub-protocol's if the client accepts it too, since some
/// clients insist on the two being equal; else the highest that it accepts. A client that names
/// none speaks 1.0.
pub fn version(headers: &Headers, subprotocol: Option<Version>) -> Result<Version, Rejected> {
    let Some(accepted) = headers.get("accept-version") else { return Ok(Version::V1_0) };
    let chosen = subprotocol
        .filter(|version| accepted.split(',').any(|item| item.trim() == version.as_str()));
    chosen.or_else(|| Version::highest(accepted)).ok_or(Rejected::Version)
}

/// The longest interval that is agreed: a day.
const LONGEST_MS: u64 = 86_400_000;

/// What CONNECTED answers to `heart-beat`, and what then holds: what the client asks for, but not
/// below `least` (STOMP 1.2, "Heart-beating").
pub fn beats(headers: &Headers, least: u64, idle_ms: u64) -> Result<Beats, Rejected> {
    let Some(text) = headers.get("heart-beat") else {
        return Ok(Beats { idle_ms, ..Beats::default() });
    };
    let number = |digits: &str| digits.trim().parse::<u64>().ok();
    let (can, wants) = text
        .split_once(',')
        .and_then(|(can, wants)| number(can).zip(number(wants)))
        .ok_or_else(|| bad("heart-beat is two numbers of milliseconds, `can,wants`"))?;
    let agreed = |asked: u64| if asked == 0 { 0 } else { asked.clamp(least, LONGEST_MS) };
    let idle_ms = if can == 0 { idle_ms } else { 0 };
    Ok(Beats { out_ms: agreed(wants), in_ms: agreed(can), idle_ms })
}

/// What a client shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A token.
    Token(&'a str),
    /// The name and the password of an account.
    Account {
        /// `login`.
        login: &'a str,
        /// `passcode`.
        passcode: &'a str,
    },
}

/// The token, first found: CONNECT `Authorization`, the upgrade's, its query, `passcode`. What
/// stands there beside a `login` is a password, unless it looks like a token.
pub fn credentials<'a>(headers: &'a Headers, upgrade: &'a Upgrade) -> Option<Credentials<'a>> {
    let token = headers
        .get("Authorization")
        .or_else(|| headers.get("authorization"))
        .and_then(bearer)
        .or(upgrade.authorization.as_deref())
        .or(upgrade.access_token.as_deref());
    let is_some = |text: &&str| !text.trim().is_empty();
    match (token, headers.get("passcode"), headers.get("login").filter(is_some)) {
        (Some(token), _, _) => Some(token.trim()).filter(is_some).map(Credentials::Token),
        (None, Some(passcode), Some(login)) if !looks_like_token(passcode) => {
            Some(Credentials::Account { login, passcode })
        }
        (None, passcode, _) => passcode.map(str::trim).filter(is_some).map(Credentials::Token),
    }
}

/// A JWT begins with the JSON of its header, in base64url (RFC 7515, section 7.1).
fn looks_like_token(text: &str) -> bool {
    text.trim_start().starts_with("eyJ") && text.matches('.').count() == 2
}

/// The token of an `Authorization` value (RFC 6750, section 2.1; the scheme's case is free). One
/// without a scheme is taken as it is; another scheme's is for somebody else, a proxy perhaps.
pub fn bearer(value: &str) -> Option<&str> {
    let value = value.trim();
    match value.split_once(' ') {
        None => Some(value),
        Some((scheme, token)) => scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()),
    }
}

/// The registered device that the session runs on, when it names one.
pub fn device(headers: &Headers) -> Result<Option<InstallationId>, Rejected> {
    let device = headers.get("device").map(InstallationId::parse).transpose();
    let malformed = |error| Refusal::new(Code::BadRequest, format!("the header `device`: {error}"));
    device.map_err(|error| Rejected::Refused(malformed(error)))
}

/// There is no token at all.
pub fn no_token() -> Rejected {
    bad("a token is needed: give CONNECT the header `Authorization: Bearer <JWT>`")
}

fn bad(detail: &'static str) -> Rejected {
    Rejected::Refused(Refusal::new(Code::BadRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pairs: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        pairs.iter().for_each(|(name, value)| headers.push(*name, *value));
        headers
    }

    #[test]
    fn a_device_is_named_as_it_is_registered() {
        assert_eq!(device(&shown(&[])), Ok(None));
        let named = device(&shown(&[("device", "phone-1")])).unwrap().unwrap();
        assert_eq!(named.as_str(), "phone-1");
        for bad in ["", "my phone", "a/b", "a\nb"] {
            let Err(Rejected::Refused(refusal)) = device(&shown(&[("device", bad)])) else {
                panic!("{bad}")
            };
            assert!(refusal.detail.contains("`device`"), "{refusal:?}");
        }
    }

    #[test]
    fn a_passcode_beside_a_login_is_a_password_unless_it_looks_like_a_token() {
        let upgrade = Upgrade::default();
        let (jwt, word) = ("eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "eyJust a word.");
        let account = Credentials::Account { login: "ann", passcode: word };
        for (headers, expected) in [
            (shown(&[("login", "ann"), ("passcode", jwt)]), Some(Credentials::Token(jwt))),
            (shown(&[("login", "ann"), ("passcode", word)]), Some(account)),
            (shown(&[("login", ""), ("passcode", word)]), Some(Credentials::Token(word))),
            (shown(&[("passcode", word)]), Some(Credentials::Token(word))),
            (shown(&[("login", "ann")]), None),
            (
                shown(&[("login", "ann"), ("passcode", "")]),
                Some(Credentials::Account { login: "ann", passcode: "" }),
            ),
            (
                shown(&[("Authorization", "Bearer t"), ("login", "ann"), ("passcode", word)]),
                Some(Credentials::Token("t")),
            ),
        ] {
            assert_eq!(credentials(&headers, &upgrade), expected, "{headers:?}");
        }
    }
}
