//! What a device gets: the data message of a push, from what is known when it goes out.

use std::collections::BTreeMap;
use std::time::Duration;

use moim_shared::store::pushes::{DuePush, Kind, Said, Unwanted};

use super::decide::unwanted;
use super::words::words;
use crate::push::{Collapse, Notification, Urgency};

/// The version of the data: apps ignore keys that they do not know, and a message of a version that
/// they do not know as a whole.
const VERSION: &str = "1";
/// Of a text, so that everything together stays below
/// [`DATA_MAX`](crate::push::DATA_MAX) whatever the names are.
const TEXT_BYTES: usize = 1_024;
/// Of a name for people.
const NAME_BYTES: usize = 160;
/// How long it waits for a device that is away. Whoever comes back later asks for what changed.
const TTL: Duration = Duration::from_secs(7 * 86_400);

/// Whoever comes back after so long asks for what changed; in ms.
const AGE_MOST: u64 = 24 * 3_600_000;

/// The notification of `due` at `now`, in ms since 1970, or why it is not wanted any more.
pub(super) fn compose(due: &DuePush, now: u64) -> Result<Notification, Unwanted> {
    let token = due.token.clone().ok_or(Unwanted::NoDevice)?;
    let mut data = Data(BTreeMap::new());
    data.set("v", VERSION);
    data.set("type", due.kind.as_str());
    data.set("user", due.user.as_str());
    data.set("installation", due.target.installation.as_str());
    data.set("room", due.room.as_str());
    data.set("position", &due.position.to_string());
    // What is unread of a room is for its members to know.
    data.set("unread", &if due.is_member { due.unread } else { 0 }.to_string());
    data.set("badge", &due.badge.to_string());
    let (urgency, collapse) = match due.kind {
        Kind::Read => (Urgency::Normal, Some(Collapse::Sync)),
        Kind::Message => {
            let said = wanted(due, now)?;
            data.message(due, said);
            (Urgency::High, None)
        }
    };
    Ok(Notification { token, data: data.0, urgency, ttl: TTL, collapse })
}

fn wanted(due: &DuePush, now: u64) -> Result<&Said, Unwanted> {
    if !due.is_member {
        return Err(Unwanted::NotAMember);
    }
    if due.position <= due.read {
        return Err(Unwanted::Read);
    }
    if due.position <= due.delivered {
        return Err(Unwanted::Delivered);
    }
    if let Some(why) = unwanted(&due.target, now) {
        return Err(why);
    }
    let recent = |said: &&Said| now.saturating_sub(said.sent_at) < AGE_MOST;
    due.said.as_ref().filter(recent).ok_or(Unwanted::Gone)
}

struct Data(BTreeMap<String, String>);

impl Data {
    fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.into(), value.into());
    }

    fn message(&mut self, due: &DuePush, said: &Said) {
        let name = cut(said.sender_name.as_deref().unwrap_or(&said.sender), NAME_BYTES);
        let room = cut(due.room_name.as_deref().unwrap_or(due.room.as_str()), NAME_BYTES);
        self.set("id", &format!("{}/{}", due.room, due.position));
        if due.from < due.position {
            self.set("firstPosition", &due.from.to_string());
        }
        self.set("sender", &said.sender);
        self.set("senderName", name);
        self.set("timestamp", &said.sent_at.to_string());
        if !due.direct {
            self.set("roomName", room);
        }
        let body = Some(said).filter(|said| due.preview && !said.binary).and_then(text);
        match (&body, &said.content_type) {
            (Some(body), Some(kind)) if kind.len() <= NAME_BYTES => {
                self.set("body", body);
                self.set("contentType", kind);
            }
            (Some(body), _) => self.set("body", body),
            (None, _) => {}
        }
        let shown = body.as_deref().unwrap_or_else(|| words(due.locale.as_deref()).message);
        let shown = cut(shown, TEXT_BYTES / 2);
        self.set("title", if due.direct { name } else { room });
        let line = if due.direct { shown.to_owned() } else { format!("{name}: {shown}") };
        self.set("text", &line);
    }
}

/// The body as a text, if it is one. Its end may be cut within a character.
fn text(said: &Said) -> Option<String> {
    let text = match std::str::from_utf8(&said.body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&said.body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    Some(cut(text, TEXT_BYTES).to_owned())
}

/// The first `most` bytes, at a character's end.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
pub(super) mod tests {
    use moim_shared::ids::{InstallationId, RoomId, UserId};
    use moim_shared::position::Position;
    use moim_shared::push_token::PushToken;
    use moim_shared::store::pushes::Target;

    use super::*;
    use crate::notify::decide::tests::target;
    use crate::push::DATA_MAX;

    const NOW: u64 = 1_000;

    /// `joon` said "hello" in `lobby`, and `mina` is to be told.
    pub(in crate::notify) fn due() -> DuePush {
        DuePush {
            id: 1,
            lease: 2,
            attempts: 1,
            created_at: 0,
            kind: Kind::Message,
            room: RoomId::parse("lobby").unwrap(),
            room_name: Some("The lobby".into()),
            direct: false,
            user: UserId::parse("mina").unwrap(),
            target: target("phone"),
            token: Some(PushToken::parse("t").unwrap()),
            locale: Some("ko".into()),
            preview: true,
            is_member: true,
            position: Position::new(5, 9),
            from: Position::new(5, 7),
            read: Position::ZERO,
            delivered: Position::new(5, 6),
            said: Some(Said {
                sender: "joon".into(),
                sender_name: Some("Joon".into()),
                sent_at: 12,
                content_type: Some("text/plain".into()),
                body: b"hello".to_vec(),
                binary: false,
            }),
            unread: 3,
            badge: 100,
        }
    }

    fn data(due: &DuePush) -> BTreeMap<String, String> {
        compose(due, NOW).unwrap().data
    }

    #[test]
    fn a_message_says_what_an_app_shows_and_shows_once() {
        let notification = compose(&due(), NOW).unwrap();
        assert_eq!((notification.urgency, notification.collapse), (Urgency::High, None));
        let expected = [
            ("badge", "100"),
            ("body", "hello"),
            ("contentType", "text/plain"),
            ("firstPosition", "5-7"),
            ("id", "lobby/5-9"),
            ("installation", "phone"),
            ("position", "5-9"),
            ("room", "lobby"),
            ("roomName", "The lobby"),
            ("sender", "joon"),
            ("senderName", "Joon"),
            ("text", "Joon: hello"),
            ("timestamp", "12"),
            ("title", "The lobby"),
            ("type", "message"),
            ("unread", "3"),
            ("user", "mina"),
            ("v", "1"),
        ];
        let got = notification.data;
        let got: Vec<(&str, &str)> = got.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn what_may_not_be_shown_is_not_in_it() {
        let hidden = data(&DuePush { preview: false, ..due() });
        assert_eq!(hidden["text"], "Joon: 새 메시지");
        assert!(!hidden.contains_key("body") && !hidden.values().any(|it| it.contains("hello")));
        let mut binary = due();
        binary.said.as_mut().unwrap().binary = true;
        assert!(!data(&binary).contains_key("body"));
    }

    #[test]
    fn a_chat_of_two_is_titled_by_the_other_one() {
        let direct = data(&DuePush { direct: true, ..due() });
        assert_eq!((&*direct["title"], &*direct["text"]), ("Joon", "hello"));
        assert!(!direct.contains_key("roomName"));
    }

    #[test]
    fn that_it_was_read_is_silent_and_only_the_latest_counts() {
        let read = DuePush { kind: Kind::Read, read: Position::new(5, 9), said: None, ..due() };
        let notification = compose(&read, NOW).unwrap();
        assert_eq!(notification.urgency, Urgency::Normal);
        assert_eq!(notification.collapse, Some(Collapse::Sync));
        assert_eq!(notification.data["type"], "read");
        assert!(!notification.data.contains_key("text"));
    }

    #[test]
    fn who_is_no_member_any_more_is_not_told_what_is_unread_there() {
        let read = DuePush { kind: Kind::Read, is_member: false, ..due() };
        assert_eq!(data(&read)["unread"], "0");
    }

    #[test]
    fn what_changed_until_it_goes_out_counts() {
        let at = due().position;
        let muted = Target { muted: true, ..due().target };
        assert_eq!(compose(&due(), NOW + AGE_MOST), Err(Unwanted::Gone), "it is of yesterday");
        for (changed, why) in [
            (DuePush { token: None, ..due() }, Unwanted::NoDevice),
            (DuePush { is_member: false, ..due() }, Unwanted::NotAMember),
            (DuePush { read: at, ..due() }, Unwanted::Read),
            (DuePush { delivered: at, ..due() }, Unwanted::Delivered),
            (DuePush { said: None, ..due() }, Unwanted::Gone),
            (DuePush { target: muted, ..due() }, Unwanted::DeviceMuted),
        ] {
            assert_eq!(compose(&changed, NOW), Err(why));
        }
    }

    #[test]
    fn the_longest_of_everything_is_within_what_fcm_takes() {
        let long = |n: usize| "방".repeat(n);
        let mut most = due();
        most.room = RoomId::parse(&"r".repeat(64)).unwrap();
        most.user = UserId::parse(&"u".repeat(128)).unwrap();
        most.target.installation = InstallationId::parse(&"d".repeat(64)).unwrap();
        most.position = Position::new(u64::MAX, u64::MAX);
        most.from = Position::new(u64::MAX - 1, u64::MAX);
        most.room_name = Some(long(500));
        let said = most.said.as_mut().unwrap();
        said.sender = "s".repeat(128);
        said.sender_name = Some(long(500));
        said.content_type = Some("c".repeat(5_000));
        // Cut within a character.
        said.body = long(1_000).into_bytes()[..2_048].to_vec();
        let notification = compose(&most, NOW).unwrap();
        assert_eq!(notification.check(), Ok(()));
        assert!(notification.data_bytes() > DATA_MAX / 2, "{}", notification.data_bytes());
        assert_eq!(notification.data["body"], long(341));
    }
}
