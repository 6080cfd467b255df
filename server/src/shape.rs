//! How a message's body looks to a subscriber: as it was sent, as JSON with everything in it, or as
//! an older app knows it. Pure, and from the message alone: no shape asks a store.

use std::sync::Arc;

use moim_shared::config::Form;
use moim_shared::envelope::Envelope;
use serde_json::{Map, Value, json};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shape {
    /// As it was sent; the rest is in headers.
    #[default]
    Plain,
    /// SUBSCRIBE's `envelope: json`, for clients that drop headers.
    Json,
    /// As a template of the configuration says.
    Form(Arc<Form>),
}

impl Shape {
    /// The JSON body, unless it is the sender's own.
    pub fn body(&self, envelope: &Envelope) -> Option<Vec<u8>> {
        let value = match self {
            Self::Plain => return None,
            Self::Json => envelope_json(envelope),
            Self::Form(form) => filled(form.value(), envelope),
        };
        Some(value.to_string().into_bytes())
    }
}

/// A message as JSON: what REST shows of it too. A body that is no text is in `bodyBase64`.
pub fn envelope_json(envelope: &Envelope) -> Value {
    let mut all = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.into(), value);
        }
    };
    put("room", Some(envelope.room.as_str().into()));
    put("position", Some(envelope.position.to_string().into()));
    put("sender", Some(envelope.sender.as_str().into()));
    put("senderName", envelope.sender_name.as_deref().map(Value::from));
    put("timestamp", Some(envelope.sent_at.into()));
    put("contentType", envelope.content_type.as_deref().map(Value::from));
    put("originId", envelope.origin.is_given().then(|| envelope.origin.as_str().into()));
    match text(envelope) {
        Some(text) => put("body", Some(text.into())),
        None => put("bodyBase64", Some(base64(&envelope.body).into())),
    }
    Value::Object(all)
}

fn text(envelope: &Envelope) -> Option<&str> {
    // Also one that came in a binary message: some clients send nothing else.
    std::str::from_utf8(&envelope.body).ok()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The template with what stands for something replaced by it.
fn filled(template: &Value, envelope: &Envelope) -> Value {
    match template {
        Value::String(text) => placeholder(text, envelope),
        Value::Array(items) => items.iter().map(|item| filled(item, envelope)).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| (name.clone(), filled(value, envelope));
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

/// What `{…}` stands for; any other text for itself. A name that nobody gave is the sender's id.
fn placeholder(template: &str, envelope: &Envelope) -> Value {
    match template {
        "{room}" => envelope.room.as_str().into(),
        "{position}" => envelope.position.to_string().into(),
        "{sender}" => envelope.sender.as_str().into(),
        "{senderName}" => {
            envelope.sender_name.as_deref().unwrap_or(envelope.sender.as_str()).into()
        }
        "{timestamp}" => envelope.sent_at.into(),
        "{originId}" if envelope.origin.is_given() => envelope.origin.as_str().into(),
        "{originId}" => Value::Null,
        "{body}" => String::from_utf8_lossy(&envelope.body).into(),
        "{json}" => serde_json::from_slice(&envelope.body)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&envelope.body))),
        text => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use moim_shared::ids::{NodeId, OriginId, RoomId, UserId};
    use moim_shared::position::Position;

    use super::*;

    fn envelope(body: &'static [u8]) -> Envelope {
        Envelope {
            room: RoomId::parse("lobby").unwrap(),
            position: Position::new(7, 1),
            origin: OriginId::parse("o-1").unwrap(),
            sender: UserId::parse("mina").unwrap(),
            sender_name: Some("미나".into()),
            sent_at: 1_700_000_000_000,
            content_type: Some("text/plain".into()),
            binary: false,
            headers: Vec::new(),
            body: Bytes::from_static(body),
        }
    }

    fn shown(shape: &Shape, envelope: &Envelope) -> Value {
        serde_json::from_slice(&shape.body(envelope).unwrap()).unwrap()
    }

    #[test]
    fn json_holds_the_whole_message() {
        let expected = json!({
            "room": "lobby", "position": "7-1", "sender": "mina", "senderName": "미나",
            "timestamp": 1_700_000_000_000_u64, "contentType": "text/plain", "originId": "o-1",
            "body": "hello \"you\"",
        });
        assert_eq!(shown(&Shape::Json, &envelope(b"hello \"you\"")), expected);
    }

    #[test]
    fn what_nobody_gave_is_left_out_and_no_text_is_base64() {
        let bare = Envelope {
            origin: OriginId::made_by(&NodeId::random()),
            sender_name: None,
            content_type: None,
            binary: true,
            ..envelope(&[0, 255])
        };
        let shown = shown(&Shape::Json, &bare);
        assert_eq!(shown["bodyBase64"], "AP8=");
        for absent in ["body", "senderName", "contentType", "originId"] {
            assert!(shown.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn a_form_is_filled_from_the_message_alone() {
        let form = Form::new(json!({
            "type": "TALK", "roomId": "{room}", "sender": "{senderName}", "message": "{body}",
            "at": { "ms": "{timestamp}", "is": ["{position}"] }, "raw": "{json}", "n": 3,
        }));
        let shape = Shape::Form(Arc::new(form));
        let expected = json!({
            "type": "TALK", "roomId": "lobby", "sender": "미나", "message": "{\"a\":1}",
            "at": { "ms": 1_700_000_000_000_u64, "is": ["7-1"] }, "raw": { "a": 1 }, "n": 3,
        });
        assert_eq!(shown(&shape, &envelope(b"{\"a\":1}")), expected);
        let nameless = Envelope { sender_name: None, ..envelope(b"{body}") };
        let shown = shown(&shape, &nameless);
        assert_eq!((&shown["sender"], &shown["message"]), (&json!("mina"), &json!("{body}")));
    }
}
