//! Destinations: the border at which text becomes a room, a topic or a user.

use std::sync::Arc;

use moim_shared::config::{Form, Pointer, SubscribeTemplate, Templates, room_of};
use moim_shared::ids::{RoomId, UserId};
use moim_shared::signal::Topic;
use serde_json::Value;

use crate::refusal::{Code, Refusal};
use crate::shape::Shape;

/// The queue that shows a user what would be pushed to its devices, where nothing is pushed.
pub const PUSHES: &str = "pushes";

/// What can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `/topic/rooms/{room}`: its messages.
    Room(RoomId),
    /// `/topic/rooms/{room}/events`: what else happens in it.
    Events(RoomId),
    /// `/topic/{x}` and `/queue/{x}`: an open topic.
    Topic(Topic),
    /// `/user/queue/{x}`: what is sent to this user there.
    Queue(Topic),
    /// `/user/queue/inbox`: what changes in the user's rooms.
    Inbox,
    /// `/user/queue/errors`: refusals that do not end the session.
    Errors,
}

/// What can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/app/rooms/{room}`; `/topic/rooms/{room}` does the same.
    Room(RoomId),
    /// `/app/rooms/{room}/typing`.
    Typing(RoomId),
    /// `/app/rooms/{room}/read`.
    Read(RoomId),
    /// `/app/rooms/{room}/delivered`.
    Delivered(RoomId),
    /// `/app/presence`.
    Presence,
    /// An open topic.
    Topic(Topic),
    /// `/user/{id}/queue/{x}`.
    User(UserId, Topic),
}

/// What a SEND means: where it goes, and its text if that is only a part of the body.
pub type Addressed = (Target, Option<String>);

/// The destinations of a node.
#[derive(Debug, Default)]
pub struct Destinations {
    open_topics: bool,
    templates: Templates,
    /// The forms of the templates for SUBSCRIBE, shared by all that subscribe.
    forms: Vec<Option<Arc<Form>>>,
}

impl Destinations {
    /// With or without open topics, and those of other servers.
    pub fn new(open_topics: bool, templates: Templates) -> Self {
        let form = |template: &SubscribeTemplate| template.message.clone().map(Arc::new);
        let forms = templates.subscribes.iter().map(form).collect();
        Self { open_topics, templates, forms }
    }

    /// The source that a SUBSCRIBE names, and how its messages look.
    pub fn source(&self, destination: &str) -> Result<(Source, Shape), Refusal> {
        let foreign = self.templates.subscribes.iter().zip(&self.forms);
        for (template, form) in foreign.filter(|_| !is_own(destination)) {
            if let Some(room) = template.destination.matched(destination) {
                let shape = form.clone().map_or(Shape::Plain, Shape::Form);
                return Ok((Source::Room(parse_room(room)?), shape));
            }
        }
        self.own_source(destination).map(|source| (source, Shape::Plain))
    }

    fn own_source(&self, destination: &str) -> Result<Source, Refusal> {
        if let Some(rest) = destination.strip_prefix("/topic/rooms/") {
            return match rest.split_once('/') {
                None => parse_room(rest).map(Source::Room),
                Some((room, "events")) => parse_room(room).map(Source::Events),
                Some(_) => Err(unknown()),
            };
        }
        match destination.strip_prefix("/user/queue/") {
            Some("errors") => Ok(Source::Errors),
            Some("inbox") => Ok(Source::Inbox),
            Some(queue) if self.open_topics => parse_topic(queue).map(Source::Queue),
            Some(_) => Err(unknown()),
            None => self.topic(destination).map(Source::Topic),
        }
    }

    /// Where a SEND goes.
    pub fn target(&self, destination: &str, body: &[u8]) -> Result<Addressed, Refusal> {
        for template in self.templates.sends.iter().filter(|_| !is_own(destination)) {
            let Some(room) = template.destination.matched(destination) else { continue };
            if template.room.is_none() && template.body.is_none() {
                return Ok((Target::Room(parse_room(room)?), None));
            }
            let document: Value = serde_json::from_slice(body)
                .map_err(|_invalid| bad(format!("the body of a SEND to {destination} is JSON")))?;
            let room = match &template.room {
                None => parse_room(room)?,
                Some(pointer) => room_of(found(&document, pointer)?)
                    .ok_or_else(|| bad(format!("`{}` names no room", pointer.as_str())))?,
            };
            let text = template.body.as_ref().map(|pointer| text_at(&document, pointer));
            return Ok((Target::Room(room), text.transpose()?));
        }
        self.own_target(destination).map(|target| (target, None))
    }

    fn own_target(&self, destination: &str) -> Result<Target, Refusal> {
        if let Some(rest) = destination.strip_prefix("/app/rooms/") {
            return match rest.split_once('/') {
                None => parse_room(rest).map(Target::Room),
                Some((room, "typing")) => parse_room(room).map(Target::Typing),
                Some((room, "read")) => parse_room(room).map(Target::Read),
                Some((room, "delivered")) => parse_room(room).map(Target::Delivered),
                Some(_) => Err(unknown()),
            };
        }
        if destination == "/app/presence" {
            return Ok(Target::Presence);
        }
        if let Some(room) = destination.strip_prefix("/topic/rooms/") {
            return parse_room(room).map(Target::Room);
        }
        let Some(rest) = destination.strip_prefix("/user/") else {
            return self.topic(destination).map(Target::Topic);
        };
        let Some((user, queue)) = rest.split_once("/queue/") else { return Err(unknown()) };
        // The server alone says something there.
        if !self.open_topics || matches!(queue, "errors" | "inbox" | PUSHES) {
            return Err(unknown());
        }
        let user = UserId::parse(user).map_err(|error| bad(error.to_string()))?;
        Ok(Target::User(user, parse_topic(queue)?))
    }

    fn topic(&self, destination: &str) -> Result<Topic, Refusal> {
        let name = destination.strip_prefix("/topic/").or(destination.strip_prefix("/queue/"));
        match name {
            Some(name) if self.open_topics && name != "rooms" => {
                parse_topic(name)?;
                // With its prefix: a topic and a queue of one name are two.
                parse_topic(destination)
            }
            _ => Err(unknown()),
        }
    }
}

/// What no template may take for something else.
fn is_own(destination: &str) -> bool {
    ["/topic/rooms/", "/app/rooms/"].iter().any(|own| destination.starts_with(own))
        || matches!(destination, "/user/queue/errors" | "/user/queue/inbox")
}

fn found<'v>(document: &'v Value, pointer: &Pointer) -> Result<&'v Value, Refusal> {
    pointer
        .find(document)
        .ok_or_else(|| bad(format!("the body has nothing at `{}`", pointer.as_str())))
}

/// A text as it is, anything else as JSON.
fn text_at(document: &Value, pointer: &Pointer) -> Result<String, Refusal> {
    Ok(match found(document, pointer)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn parse_room(text: &str) -> Result<RoomId, Refusal> {
    if text.contains('/') {
        return Err(unknown());
    }
    RoomId::parse(text).map_err(|error| bad(error.to_string()))
}

fn parse_topic(text: &str) -> Result<Topic, Refusal> {
    Topic::parse(text).map_err(|error| bad(error.to_string()))
}

fn bad(detail: String) -> Refusal {
    Refusal::new(Code::BadRequest, detail)
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::UnknownDestination,
        "there is no such destination; SUBSCRIBE to /topic/rooms/{room}, /user/queue/inbox or \
         /user/queue/errors, SEND to /app/rooms/{room}",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> Destinations {
        Destinations::default()
    }

    fn open() -> Destinations {
        Destinations::new(true, Templates::default())
    }

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    fn target(destinations: &Destinations, destination: &str) -> Result<Target, Code> {
        let found = destinations.target(destination, b"");
        found.map(|(target, _)| target).map_err(|refusal| refusal.code)
    }

    fn source(destinations: &Destinations, destination: &str) -> Result<Source, Code> {
        let found = destinations.source(destination);
        found.map(|(source, _)| source).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_room_is_named_by_its_topic_and_by_its_app_destination() {
        let lobby = || room("lobby");
        assert_eq!(target(&closed(), "/app/rooms/lobby"), Ok(Target::Room(lobby())));
        assert_eq!(target(&closed(), "/topic/rooms/lobby"), Ok(Target::Room(lobby())));
        assert_eq!(target(&closed(), "/app/rooms/lobby/typing"), Ok(Target::Typing(lobby())));
        assert_eq!(target(&closed(), "/app/rooms/lobby/read"), Ok(Target::Read(lobby())));
        assert_eq!(source(&closed(), "/topic/rooms/lobby"), Ok(Source::Room(lobby())));
        assert_eq!(source(&closed(), "/topic/rooms/lobby/events"), Ok(Source::Events(lobby())));
    }

    #[test]
    fn anything_else_is_unknown_or_bad() {
        for unknown in [
            "",
            "/",
            "lobby",
            "/topic/lobby",
            "/app/rooms/a/b",
            "/queue/x",
            "/app/rooms",
            "/user/ann/queue/x",
            "/user/queue/errors",
        ] {
            assert_eq!(target(&closed(), unknown), Err(Code::UnknownDestination), "{unknown}");
        }
        for bad in ["/app/rooms/", "/app/rooms/a b", "/topic/rooms/%00"] {
            assert_eq!(target(&closed(), bad), Err(Code::BadRequest), "{bad}");
        }
    }

    #[test]
    fn open_topics_are_plain_names_outside_of_rooms() {
        let topic = |text| Topic::parse(text).unwrap();
        for name in ["/topic/test", "/queue/test", "/topic/chat.general", "/topic/a/b"] {
            assert_eq!(target(&open(), name), Ok(Target::Topic(topic(name))));
            assert_eq!(source(&open(), name), Ok(Source::Topic(topic(name))));
        }
        for refused in ["/topic/a*", "/topic/#", "/topic/", "/queue/a b"] {
            assert_eq!(source(&open(), refused), Err(Code::BadRequest), "{refused}");
        }
        for refused in ["/topic/rooms", "/topic/rooms/a/b", "/topics/a", "/exchange/a"] {
            assert_eq!(source(&open(), refused), Err(Code::UnknownDestination), "{refused}");
        }
    }

    #[test]
    fn a_users_queue_is_its_own_and_the_servers_queues_take_nothing() {
        let news = || Topic::parse("news").unwrap();
        let ann = UserId::parse("ann").unwrap();
        assert_eq!(source(&open(), "/user/queue/news"), Ok(Source::Queue(news())));
        assert_eq!(target(&open(), "/user/ann/queue/news"), Ok(Target::User(ann, news())));
        for refused in [
            "/user/ann/queue/errors",
            "/user/ann/queue/inbox",
            "/user/ann/queue/pushes",
            "/user/queue/news",
        ] {
            assert_eq!(target(&open(), refused), Err(Code::UnknownDestination), "{refused}");
        }
        assert_eq!(source(&open(), "/user/ann/queue/news"), Err(Code::UnknownDestination));
        for destinations in [open(), closed()] {
            assert_eq!(source(&destinations, "/user/queue/inbox"), Ok(Source::Inbox));
            let sent = target(&destinations, "/user/queue/inbox");
            assert_eq!(sent, Err(Code::UnknownDestination));
        }
        assert_eq!(source(&closed(), "/user/queue/news"), Err(Code::UnknownDestination));
    }
}
