//! Envelopes as bytes, for Redis and RabbitMQ.
//!
//! Protocol buffers: a field that an older version does not know is skipped, one that a newer
//! version misses has its default, so versions may run side by side. **Field numbers are for
//! ever**: one that is given up is never used again. What changes the meaning of a parcel raises
//! [`VERSION`], and a reader that does not know it leaves the parcel to one that does.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::envelope::Envelope;
use crate::ids::{OriginId, RoomId, UserId};
use crate::position::Position;

/// The version that is written.
pub const VERSION: u32 = 1;

/// Bytes that are no parcel or envelope of a version that this program knows. Reading them again
/// does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not what [`encode_parcel`] or [`encode`] wrote, or damaged.
    #[error("not a message of Moim: {0}")]
    Malformed(String),
    /// Written by a newer program.
    #[error("version {0} of a newer Moim; this one reads up to {VERSION}")]
    TooNew(u32),
}

/// One envelope.
#[derive(Clone, PartialEq, Message)]
struct WireEnvelope {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    seq: u64,
    #[prost(string, tag = "4")]
    origin: String,
    #[prost(string, tag = "5")]
    sender: String,
    #[prost(string, optional, tag = "6")]
    sender_name: Option<String>,
    #[prost(uint64, tag = "7")]
    sent_at: u64,
    #[prost(string, optional, tag = "8")]
    content_type: Option<String>,
    #[prost(bool, tag = "9")]
    binary: bool,
    #[prost(message, repeated, tag = "10")]
    headers: Vec<WireHeader>,
    #[prost(bytes = "bytes", tag = "11")]
    body: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WireHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Envelopes of any rooms.
#[derive(Clone, PartialEq, Message)]
struct WireParcel {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, repeated, tag = "2")]
    envelopes: Vec<WireEnvelope>,
}

impl WireEnvelope {
    fn of(envelope: &Envelope) -> Self {
        let header = |(name, value): &(String, String)| WireHeader {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            room: envelope.room.as_str().to_owned(),
            epoch: envelope.position.epoch,
            seq: envelope.position.seq,
            origin: envelope.origin.as_str().to_owned(),
            sender: envelope.sender.as_str().to_owned(),
            sender_name: envelope.sender_name.clone(),
            sent_at: envelope.sent_at,
            content_type: envelope.content_type.clone(),
            binary: envelope.binary,
            headers: envelope.headers.iter().map(header).collect(),
            body: envelope.body.clone(),
        }
    }

    fn envelope(self) -> Result<Envelope, WireError> {
        let malformed = |error: crate::ids::IdError| WireError::Malformed(error.to_string());
        Ok(Envelope {
            room: RoomId::parse(&self.room).map_err(malformed)?,
            position: Position::new(self.epoch, self.seq),
            origin: OriginId::read(&self.origin).map_err(malformed)?,
            sender: UserId::parse(&self.sender).map_err(malformed)?,
            sender_name: self.sender_name,
            sent_at: self.sent_at,
            content_type: self.content_type,
            binary: self.binary,
            headers: self.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: self.body,
        })
    }
}

/// One envelope as bytes.
pub fn encode(envelope: &Envelope) -> Vec<u8> {
    WireEnvelope::of(envelope).encode_to_vec()
}

/// What [`encode`] was given.
pub fn decode(bytes: Bytes) -> Result<Envelope, WireError> {
    WireEnvelope::decode(bytes).map_err(malformed)?.envelope()
}

/// Envelopes of any rooms as bytes, with the version in front.
pub fn encode_parcel(envelopes: &[Arc<Envelope>]) -> Vec<u8> {
    let envelopes = envelopes.iter().map(|envelope| WireEnvelope::of(envelope)).collect();
    WireParcel { version: VERSION, envelopes }.encode_to_vec()
}

/// What [`encode_parcel`] was given.
pub fn decode_parcel(bytes: Bytes) -> Result<Vec<Arc<Envelope>>, WireError> {
    let parcel = WireParcel::decode(bytes).map_err(malformed)?;
    match parcel.version {
        0 => Err(WireError::Malformed("it has no version".into())),
        1..=VERSION => {
            parcel.envelopes.into_iter().map(|wire| wire.envelope().map(Arc::new)).collect()
        }
        newer => Err(WireError::TooNew(newer)),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn malformed(error: prost::DecodeError) -> WireError {
    WireError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    fn envelope() -> Envelope {
        Envelope {
            room: RoomId::parse("lobby").unwrap(),
            position: Position::new(1_767_225_600_000, 41),
            origin: OriginId::parse("mina-1").unwrap(),
            sender: UserId::parse("mina").unwrap(),
            sender_name: Some("미나".into()),
            sent_at: 1_767_225_600_007,
            content_type: Some("text/plain".into()),
            binary: false,
            headers: vec![("app".into(), "1".into())],
            body: Bytes::from_static(b"hello"),
        }
    }

    #[test]
    fn what_is_written_is_read_back_whole() {
        let bare = Envelope {
            origin: OriginId::made_by(&NodeId::random()),
            sender_name: None,
            content_type: None,
            binary: true,
            headers: Vec::new(),
            body: Bytes::new(),
            position: Position::ZERO,
            ..envelope()
        };
        for envelope in [envelope(), bare] {
            assert_eq!(decode(encode(&envelope).into()), Ok(envelope.clone()));
            let parcel = vec![Arc::new(envelope)];
            assert_eq!(decode_parcel(encode_parcel(&parcel).into()), Ok(parcel));
        }
    }

    /// As the first version wrote it; it must be readable for ever.
    const FIRST: &str = "\
        0801124a0a056c6f6262791080d0eab6b733182922066d696e612d312a046d696e613206ebafb8eb8298\
        3887d0eab6b733420a746578742f706c61696e52080a036170701201315a0568656c6c6f";

    #[test]
    fn what_the_first_version_wrote_is_read() {
        let bytes = hex(FIRST);
        assert_eq!(decode_parcel(bytes.clone().into()), Ok(vec![Arc::new(envelope())]));
        assert_eq!(bytes, encode_parcel(&[Arc::new(envelope())]), "and written still");
    }

    #[test]
    fn fields_of_a_newer_version_are_skipped() {
        let mut bytes = encode_parcel(&[Arc::new(envelope())]);
        // Field 99, a text.
        bytes.extend([0x9a, 0x06, 0x03, b'n', b'e', b'w']);
        assert_eq!(decode_parcel(bytes.into()), Ok(vec![Arc::new(envelope())]));
    }

    #[test]
    fn a_newer_version_and_nonsense_are_told_apart() {
        let newer = WireParcel { version: VERSION + 1, envelopes: Vec::new() }.encode_to_vec();
        assert_eq!(decode_parcel(newer.into()), Err(WireError::TooNew(VERSION + 1)));
        for bad in [&b"hello"[..], b"", b"\x08\x00"] {
            let read = decode_parcel(Bytes::from_static(bad));
            assert!(matches!(read, Err(WireError::Malformed(_))), "{bad:?}: {read:?}");
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }
}
