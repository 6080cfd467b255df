//! Refresh tokens: 32 random bytes as text, of which this server keeps a hash alone.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moim_shared::store::accounts::TokenHash;
use sha2::{Digest, Sha256};

/// A refresh token as its client has it. Debug shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// Its length as text.
    pub const LENGTH: usize = 43;

    /// A new one.
    pub fn random() -> Self {
        Self(random_text::<32>())
    }

    /// What a client says is one. `None` when it does not look like it.
    pub fn parse(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == Self::LENGTH && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// For its client.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For the database. It needs no salt: there is nothing to guess.
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// So many random bytes as text that fits everywhere.
pub fn random_text<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_is_found_again_by_its_hash() {
        let (one, other) = (RefreshToken::random(), RefreshToken::random());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        let again = RefreshToken::parse(one.as_str()).unwrap();
        assert_eq!(again.hash(), one.hash());
    }

    #[test]
    fn what_does_not_look_like_one_is_none() {
        let good = RefreshToken::random().as_str().to_owned();
        for bad in ["", "x", &good[1..], &format!("{good}x"), &good.replace(&good[..1], "=")] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad}");
        }
    }
}
