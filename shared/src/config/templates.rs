//! Destinations and bodies of apps that were written for another server.
//!
//! A template is one of two: a `send` says where the room and the body of a SEND are found, a
//! `subscribe` how the messages of a room look there. Neither needs to ask anybody.

use serde::Deserialize;
use serde_json::Value;

use crate::ids::RoomId;

/// All templates of a configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Templates {
    /// For SENDs, the first one that fits counts.
    pub sends: Vec<SendTemplate>,
    /// For SUBSCRIBEs, the same.
    pub subscribes: Vec<SubscribeTemplate>,
}

/// A SEND to `destination` is one to a room.
#[derive(Debug, Clone, PartialEq)]
pub struct SendTemplate {
    /// Where.
    pub destination: Pattern,
    /// Where in the JSON body the room stands, when it is not in the destination.
    pub room: Option<Pointer>,
    /// Where in it the text stands that is sent; left out, the whole body is.
    pub body: Option<Pointer>,
}

/// A SUBSCRIBE to `destination` is one to a room.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscribeTemplate {
    /// Where.
    pub destination: Pattern,
    /// How a message looks; left out, as it was sent.
    pub message: Option<Form>,
}

/// A destination with `{room}` in it, or a plain one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    /// What stands behind the room; `None`: there is no room in it.
    after: Option<String>,
}

/// Where something stands in a JSON document (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

/// JSON whose texts `{room}`, `{sender}`, `{senderName}`, `{body}` and so on stand for parts of a
/// message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Value);

/// What the texts of a [`Form`] may stand for.
const PLACEHOLDERS: [&str; 8] = [
    "{room}",
    "{position}",
    "{sender}",
    "{senderName}",
    "{timestamp}",
    "{originId}",
    "{body}",
    "{json}",
];

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') || text.contains(char::is_whitespace) {
            return Err(format!("`{text}` is no destination: it starts with `/`, without spaces"));
        }
        let own = ["/topic/rooms/", "/app/rooms/", "/user/queue/errors", "/user/queue/inbox"];
        if own.iter().any(|own| text.starts_with(own)) {
            return Err(format!("`{text}` has a meaning of its own already"));
        }
        let (before, after) = match text.split_once("{room}") {
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (text, None),
        };
        if format!("{before}{}", after.as_deref().unwrap_or_default()).contains(['{', '}']) {
            return Err(format!("`{text}` may have one `{{room}}` and no other braces"));
        }
        Ok(Self { before: before.into(), after })
    }

    /// The text that stands for the room when `destination` is one of these; empty when the
    /// pattern has no place for a room.
    pub fn matched<'a>(&self, destination: &'a str) -> Option<&'a str> {
        let rest = destination.strip_prefix(self.before.as_str())?;
        match &self.after {
            None => rest.is_empty().then_some(""),
            Some(after) => rest.strip_suffix(after.as_str()).filter(|room| !room.contains('/')),
        }
    }

    /// As it is written.
    fn show(&self) -> String {
        let room = self.after.as_ref().map_or(String::new(), |after| format!("{{room}}{after}"));
        format!("{}{room}", self.before)
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            Ok(Self(text.into()))
        } else {
            Err(format!("`{text}` is no place in a JSON body, such as `/roomId`"))
        }
    }

    /// What stands there.
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        document.pointer(&self.0)
    }

    /// The place, for messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Form {
    /// The form that `value` is.
    pub const fn new(value: Value) -> Self {
        Self(value)
    }

    /// With its placeholders.
    pub const fn value(&self) -> &Value {
        &self.0
    }

    fn check(value: &Value) -> Result<(), String> {
        match value {
            Value::String(text)
                if text.starts_with('{')
                    && text.ends_with('}')
                    && !PLACEHOLDERS.contains(&text.as_str()) =>
            {
                Err(format!("`{text}` stands for nothing; there are {}", PLACEHOLDERS.join(" ")))
            }
            Value::Array(items) => items.iter().try_for_each(Self::check),
            Value::Object(fields) => fields.values().try_for_each(Self::check),
            _ => Ok(()),
        }
    }
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    send: Option<String>,
    subscribe: Option<String>,
    room: Option<String>,
    body: Option<String>,
    message: Option<Value>,
}

impl Templates {
    /// Reads a TOML array of tables.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        #[derive(Deserialize)]
        struct All {
            templates: Vec<Entry>,
        }
        let all: All = toml::from_str(&format!("templates = {text}"))
            .map_err(|error| error.message().replace('\n', ", "))?;
        let mut templates = Self::default();
        for entry in all.templates {
            templates.add(entry)?;
        }
        Ok(templates)
    }

    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let Entry { send, subscribe, room, body, message } = entry;
        match (send, subscribe) {
            (Some(destination), None) if message.is_none() => {
                let destination = Pattern::parse(&destination)?;
                let room = room.as_deref().map(Pointer::parse).transpose()?;
                if room.is_some() == destination.after.is_some() {
                    let shown = destination.show();
                    return Err(format!("`{shown}`: say the room with `{{room}}` or with `room`"));
                }
                let body = body.as_deref().map(Pointer::parse).transpose()?;
                self.sends.push(SendTemplate { destination, room, body });
                Ok(())
            }
            (None, Some(destination)) if room.is_none() && body.is_none() => {
                let destination = Pattern::parse(&destination)?;
                if destination.after.is_none() {
                    return Err(format!("`{}` needs `{{room}}`", destination.show()));
                }
                let message = message.map(|value| Form::check(&value).map(|()| Form(value)));
                let message = message.transpose()?;
                self.subscribes.push(SubscribeTemplate { destination, message });
                Ok(())
            }
            _ => Err("a template has `send` with `room` and `body`, or `subscribe` with `message`"
                .into()),
        }
    }

    /// As TOML.
    pub(super) fn show(&self) -> String {
        let text = |text: &str| toml::Value::String(text.into()).to_string();
        let pointer = |name: &str, pointer: &Option<Pointer>| {
            pointer.as_ref().map_or(String::new(), |it| format!(", {name} = {}", text(&it.0)))
        };
        let sends = self.sends.iter().map(|send| {
            let (room, body) = (pointer("room", &send.room), pointer("body", &send.body));
            format!("{{ send = {}{room}{body} }}", text(&send.destination.show()))
        });
        let subscribes = self.subscribes.iter().map(|subscribe| {
            let message = subscribe.message.as_ref().and_then(|form| inline(&form.0));
            let message = message.map_or(String::new(), |form| format!(", message = {form}"));
            format!("{{ subscribe = {}{message} }}", text(&subscribe.destination.show()))
        });
        format!("[{}]", sends.chain(subscribes).collect::<Vec<_>>().join(", "))
    }
}

fn inline(value: &Value) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

/// The room that `value` names: a text, or the whole number that some apps have for it.
pub fn room_of(value: &Value) -> Option<RoomId> {
    match value {
        Value::String(text) => RoomId::parse(text).ok(),
        Value::Number(number) if number.is_u64() => RoomId::parse(&number.to_string()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = r#"[
        { send = "/pub/chat/message", room = "/roomId", body = "/message" },
        { send = "/app/chat/{room}/send" },
        { subscribe = "/sub/chat/room/{room}", message = { roomId = "{room}", sender = "{senderName}", message = "{body}" } },
    ]"#;

    #[test]
    fn destinations_are_matched_whole() {
        let templates = Templates::parse(ORIGIN).unwrap();
        let [plain, inside] = &templates.sends[..] else { panic!() };
        assert_eq!(plain.destination.matched("/pub/chat/message"), Some(""));
        assert_eq!(plain.destination.matched("/pub/chat/message/x"), None);
        assert_eq!(inside.destination.matched("/app/chat/lobby/send"), Some("lobby"));
        assert_eq!(inside.destination.matched("/app/chat/a/b/send"), None);
        let [subscribe] = &templates.subscribes[..] else { panic!() };
        assert_eq!(subscribe.destination.matched("/sub/chat/room/7"), Some("7"));
    }

    #[test]
    fn what_is_shown_reads_back_the_same() {
        let templates = Templates::parse(ORIGIN).unwrap();
        assert_eq!(Templates::parse(&templates.show()), Ok(templates));
        assert_eq!(Templates::parse(&Templates::default().show()), Ok(Templates::default()));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("[{ send = '/a' }]", "say the room"),
            ("[{ send = '/a/{room}', room = '/r' }]", "say the room"),
            ("[{ send = '/a/{room}/{user}' }]", "no other braces"),
            ("[{ send = 'a/{room}' }]", "no destination"),
            ("[{ send = '/a', room = 'roomId' }]", "no place in a JSON body"),
            ("[{ subscribe = '/a' }]", "needs `{room}`"),
            ("[{ subscribe = '/topic/rooms/{room}' }]", "a meaning of its own"),
            ("[{ subscribe = '/a/{room}', message = { a = '{nobody}' } }]", "stands for nothing"),
            ("[{ subscribe = '/a/{room}', send = '/a/{room}' }]", "a template has"),
            ("[{ subscribe = '/a/{room}', massage = 1 }]", "unknown field"),
            ("[{]", ""),
        ] {
            let problem = Templates::parse(text).unwrap_err();
            assert!(problem.contains(named), "{text}: {problem}");
        }
    }

    #[test]
    fn a_room_may_be_a_number_in_json() {
        assert_eq!(room_of(&serde_json::json!(7)), RoomId::parse("7").ok());
        assert_eq!(room_of(&serde_json::json!("a b")), None);
        assert_eq!(room_of(&serde_json::json!(-1)), None);
    }
}
