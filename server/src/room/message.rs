//! How a message looks to those who read it: encoded once for each version and shape, shared by all.

use std::sync::Arc;

use moim_shared::envelope::Envelope;

use crate::outbox::{Subscription, Tail};
use crate::said::Said;
use crate::shape::Shape;
use crate::stomp::{FrameWriter, Version};

/// The tails of one message, each made when it is first needed.
pub struct Tails<'a> {
    envelope: &'a Envelope,
    /// As it was sent, by version: what nearly all want.
    plain: [Option<Arc<Tail>>; Version::ALL.len()],
    /// As others want it: few, so a list.
    shaped: Vec<(Version, Shape, Arc<Tail>)>,
}

impl<'a> Tails<'a> {
    pub const fn new(envelope: &'a Envelope) -> Self {
        Self { envelope, plain: [const { None }; 3], shaped: Vec::new() }
    }

    /// Makes the tail for a subscription, if it is not there yet.
    pub fn make(&mut self, subscription: &Subscription) {
        if self.made(subscription).is_some() {
            return;
        }
        let (envelope, version) = (self.envelope, subscription.version);
        match subscription.shape.body(envelope) {
            None => self.plain[version.index()] = Some(Arc::new(plain(envelope, version))),
            Some(body) => {
                let tail = Arc::new(shaped(envelope, version, &body));
                self.shaped.push((version, subscription.shape.clone(), tail));
            }
        }
    }

    /// The tail for a subscription, once it was made.
    pub fn made(&self, subscription: &Subscription) -> Option<&Arc<Tail>> {
        let (version, shape) = (subscription.version, &subscription.shape);
        if *shape == Shape::Plain {
            return self.plain[version.index()].as_ref();
        }
        let found = self.shaped.iter().find(|(of, made, _)| *of == version && made == shape);
        found.map(|(.., tail)| tail)
    }
}

/// What its JSON shapes say that they are.
const JSON: &str = "application/json;charset=UTF-8";

fn plain(envelope: &Envelope, version: Version) -> Tail {
    let content_type = envelope.content_type.as_deref();
    encode(envelope, version, content_type, &envelope.body, envelope.binary)
}

fn shaped(envelope: &Envelope, version: Version, body: &[u8]) -> Tail {
    encode(envelope, version, Some(JSON), body, false)
}

fn encode(
    envelope: &Envelope,
    version: Version,
    content_type: Option<&str>,
    body: &[u8],
    binary: bool,
) -> Tail {
    let mut bytes = Vec::with_capacity(256 + body.len());
    let position = envelope.position.to_string();
    let id = format!("{}/{position}", envelope.room);
    let said = Said {
        sender: &envelope.sender,
        sender_name: envelope.sender_name.as_deref(),
        sent_at: envelope.sent_at,
        origin: Some(&envelope.origin),
        content_type,
        headers: &envelope.headers,
    };
    let frame = FrameWriter::tail(&mut bytes, version)
        .header("message-id", &id)
        .header("position", &position)
        .header("room", envelope.room.as_str());
    said.write(frame, version).body(body);
    Tail::new(bytes, binary, position)
}
