//! How a message looks to those who read it: encoded once for each version, shared by all.

use std::sync::Arc;

use moim_shared::envelope::Envelope;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::outbox::Tail;
use crate::stomp::{FrameWriter, Version, is_safe_header};

/// What RFC 3986 calls unreserved stands as it is.
const OUTSIDE_UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The tails of one message, each made when it is first needed.
pub struct Tails<'a> {
    envelope: &'a Envelope,
    made: [Option<Arc<Tail>>; 3],
}

impl<'a> Tails<'a> {
    pub const fn new(envelope: &'a Envelope) -> Self {
        Self { envelope, made: [const { None }; 3] }
    }

    /// Makes the tail for a version, if it is not there yet.
    pub fn make(&mut self, version: Version) {
        let envelope = self.envelope;
        self.made[slot(version)].get_or_insert_with(|| Arc::new(encode(envelope, version)));
    }

    /// The tail for a version, once it was made.
    pub const fn made(&self, version: Version) -> Option<&Arc<Tail>> {
        self.made[slot(version)].as_ref()
    }
}

const fn slot(version: Version) -> usize {
    match version {
        Version::V1_0 => 0,
        Version::V1_1 => 1,
        Version::V1_2 => 2,
    }
}

fn encode(envelope: &Envelope, version: Version) -> Tail {
    let mut bytes = Vec::with_capacity(256 + envelope.body.len());
    let position = envelope.position.to_string();
    let id = format!("{}/{position}", envelope.room);
    let mut frame = FrameWriter::tail(&mut bytes, version)
        .header("message-id", &id)
        .header("position", &position)
        .header("room", envelope.room.as_str())
        .header("sender", envelope.sender.as_str());
    if let Some(name) = &envelope.sender_name {
        let name = utf8_percent_encode(name, OUTSIDE_UNRESERVED).to_string();
        frame = frame.header("sender-name", &name);
    }
    frame = frame.header_u64("timestamp", envelope.sent_at);
    if envelope.origin.is_given() {
        frame = frame.header("origin-id", envelope.origin.as_str());
    }
    if let Some(content_type) = &envelope.content_type
        && is_safe_header(version, "content-type", content_type)
    {
        frame = frame.header("content-type", content_type);
    }
    for (name, value) in &envelope.headers {
        // What one version can say another cannot.
        if is_safe_header(version, name, value) {
            frame = frame.header(name, value);
        }
    }
    frame.body(&envelope.body);
    Tail::new(bytes, envelope.binary, position)
}
