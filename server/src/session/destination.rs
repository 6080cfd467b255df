//! Destinations: the border at which text becomes a room.

use moim_shared::ids::RoomId;

use crate::refusal::{Code, Refusal};

/// What can be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `/topic/rooms/{room}`: its messages.
    Room(RoomId),
    /// `/user/queue/errors`: refusals that do not end the session.
    Errors,
}

impl Source {
    /// The source that a SUBSCRIBE names.
    pub fn parse(destination: &str) -> Result<Self, Refusal> {
        if destination == "/user/queue/errors" {
            return Ok(Self::Errors);
        }
        match destination.strip_prefix("/topic/rooms/") {
            Some(room) => parse_room(room).map(Self::Room),
            None => Err(unknown()),
        }
    }
}

/// The room that a SEND names: `/app/rooms/{room}`, and `/topic/rooms/{room}` does the same.
pub fn target(destination: &str) -> Result<RoomId, Refusal> {
    let room = destination
        .strip_prefix("/app/rooms/")
        .or_else(|| destination.strip_prefix("/topic/rooms/"));
    room.map_or_else(|| Err(unknown()), parse_room)
}

fn parse_room(text: &str) -> Result<RoomId, Refusal> {
    if text.contains('/') {
        return Err(unknown());
    }
    RoomId::parse(text).map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::UnknownDestination,
        "there is no such destination; SUBSCRIBE to /topic/rooms/{room} or /user/queue/errors, \
         SEND to /app/rooms/{room}",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_named_by_its_topic_and_by_its_app_destination() {
        let room = RoomId::parse("lobby").expect("a room id");
        assert_eq!(target("/app/rooms/lobby"), Ok(room.clone()));
        assert_eq!(target("/topic/rooms/lobby"), Ok(room.clone()));
        assert_eq!(Source::parse("/topic/rooms/lobby"), Ok(Source::Room(room)));
    }

    #[test]
    fn anything_else_is_unknown_or_bad() {
        let code = |refused: Result<RoomId, Refusal>| refused.expect_err("refused").code;
        for unknown in
            ["", "/", "lobby", "/topic/lobby", "/app/rooms/a/b", "/queue/x", "/app/rooms"]
        {
            assert_eq!(code(target(unknown)), Code::UnknownDestination, "{unknown}");
        }
        for bad in ["/app/rooms/", "/app/rooms/a b", "/topic/rooms/%00"] {
            assert_eq!(code(target(bad)), Code::BadRequest, "{bad}");
        }
    }
}
