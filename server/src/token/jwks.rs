//! Public keys of others, from a JWKS (RFC 7517). Pure: text in, keys out.

use std::ops::RangeInclusive;

use jsonwebtoken::crypto;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

/// Bits of an RSA key: the least of RFC 7518, section 3.3, and the most that the library takes.
const RSA_BITS: RangeInclusive<usize> = 2_048..=4_096;

/// Keys that check signatures, and nothing else.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    /// What it may be used for: never more than one family, so that no key of one kind is taken
    /// for one of another.
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// What a key set is said to hold.
pub(super) struct Read {
    pub keys: Keys,
    /// Keys that are of no use here, and why.
    pub skipped: Vec<String>,
}

impl Keys {
    /// Reads a key set. Keys that are of no use are left out; what is no key set is an error.
    pub fn read(text: &str) -> Result<Read, String> {
        let set: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let Some(all) = set.get("keys").and_then(Value::as_array) else {
            return Err("no JWKS: it has no list `keys`".into());
        };
        let mut read = Read { keys: Self::default(), skipped: Vec::new() };
        for (index, key) in all.iter().enumerate() {
            match Key::read(key) {
                Ok(key) => read.keys.0.push(key),
                Err(why) => {
                    let name = key.get("kid").and_then(Value::as_str).unwrap_or_default();
                    read.skipped.push(format!("key {index} `{}`: {why}", name.escape_debug()));
                }
            }
        }
        Ok(read)
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys of that name, whatever they are for. A token that names none is checked with the
    /// only one, if there is no other.
    pub fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = Candidate<'a>> {
        let only = id.is_none() && self.0.len() == 1;
        let named = move |key: &&Key| only || (id.is_some() && key.id.as_deref() == id);
        self.0.iter().filter(named).map(Candidate)
    }
}

/// A key that may have signed a token.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a>(&'a Key);

impl<'a> Candidate<'a> {
    /// The key, if it may be used with this algorithm.
    pub fn for_use(self, algorithm: Algorithm) -> Option<&'a DecodingKey> {
        self.0.algorithms.contains(&algorithm).then_some(&self.0.key)
    }
}

impl Key {
    fn read(value: &Value) -> Result<Self, String> {
        let jwk: Jwk =
            serde_json::from_value(value.clone()).map_err(|error| format!("no JWK: {error}"))?;
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|it| *it != PublicKeyUse::Signature) {
            return Err("its `use` is not `sig`".into());
        }
        let verifies = |all: &Vec<KeyOperations>| all.contains(&KeyOperations::Verify);
        if !common.key_operations.as_ref().is_none_or(verifies) {
            return Err("its `key_ops` is not to verify".into());
        }
        let possible = possible(&jwk.algorithm)?;
        let algorithms = match common.key_algorithm {
            None => possible,
            Some(named) => {
                let fits = |algorithm: &&Algorithm| same(**algorithm, named);
                let index = possible.iter().position(|algorithm| fits(&algorithm));
                let index = index.ok_or("its `alg` is none that is taken for such a key")?;
                &possible[index..=index]
            }
        };
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        if let DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind()
            && !RSA_BITS.contains(&bits(n))
        {
            return Err("RSA keys have 2048 to 4096 bits".into());
        }
        // Points that are on no curve are found here, not with the first token.
        crypto::verify("", &[], &key, algorithms[0]).map_err(|error| error.to_string())?;
        Ok(Self { id: common.key_id.clone(), algorithms, key })
    }
}

/// What a key of this kind may be used for.
fn possible(parameters: &AlgorithmParameters) -> Result<&'static [Algorithm], String> {
    use Algorithm::*;
    Ok(match parameters {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => &[ES256],
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P384 => &[ES384],
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => &[EdDSA],
        // A secret that is published is none.
        AlgorithmParameters::OctetKey(_) => return Err("it is no public key".into()),
        _ => return Err("its curve is none of P-256, P-384 and Ed25519".into()),
    })
}

fn same(algorithm: Algorithm, named: KeyAlgorithm) -> bool {
    named.to_string().parse() == Ok(algorithm)
}

/// Bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
