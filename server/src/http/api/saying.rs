//! A message's way from a request into its room, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use moim_shared::clock::now_ms;
use moim_shared::ids::{OriginId, RoomId};
use moim_shared::position::Position;

use super::Api;
use crate::hub::Undelivered;
use crate::refusal::{Code, Refusal};
use crate::room::{Identity, POST_OVERHEAD, Post, Reply, text_bytes};
use crate::stomp::{Version, is_safe_header};

/// How long it waits before it tries again what could not be taken, at first and at most.
const HOLD: Duration = Duration::from_millis(5);
const HOLD_MOST: Duration = Duration::from_millis(100);

/// The room answers by itself at the deadline; this is for one that does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest `contentType`.
const CONTENT_TYPE: usize = 255;

/// What is said.
#[derive(Debug, PartialEq, Eq)]
pub struct Saying {
    body: Bytes,
    content_type: Option<String>,
    binary: bool,
}

impl Saying {
    /// Checks what a request says: one body of up to `most` bytes, and a type that every client can
    /// be told.
    pub fn of(
        text: Option<String>,
        base64: Option<String>,
        content_type: Option<String>,
        most: usize,
    ) -> Result<Self, Refusal> {
        let bad = |detail| Refusal::new(Code::BadRequest, detail);
        let (body, bytes): (Bytes, bool) = match (text, base64) {
            (Some(text), None) => (text.into(), false),
            (None, Some(coded)) => {
                let bytes = STANDARD.decode(coded);
                (bytes.map_err(|_not| bad("bodyBase64 is not Base64 (RFC 4648, 4)"))?.into(), true)
            }
            _ => return Err(bad("say `body` or `bodyBase64`")),
        };
        if body.len() > most {
            let detail = format!("the body has more than {most} bytes");
            return Err(Refusal::new(Code::TooLarge, detail));
        }
        if content_type.as_ref().is_some_and(|kind| kind.len() > CONTENT_TYPE) {
            return Err(bad("contentType is a media type of at most 255 characters"));
        }
        // Android's parser goes deaf on a space.
        let content_type = content_type
            .map(|kind| kind.chars().filter(|c| *c != ' ' && *c != '\t').collect::<String>())
            .filter(|kind| !kind.is_empty());
        let safe = |kind: &String| {
            kind.bytes().all(|byte| byte.is_ascii_graphic())
                && is_safe_header(Version::V1_2, "content-type", kind)
        };
        if !content_type.as_ref().is_none_or(safe) {
            return Err(bad("contentType is a media type of at most 255 characters"));
        }
        let octets = content_type.as_deref().is_some_and(is_octet_stream);
        Ok(Self { body, content_type, binary: bytes || octets })
    }
}

/// Whatever its case and parameters.
fn is_octet_stream(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("application/octet-stream")
}

/// Gives it to the room like a SEND, and waits until it is durable.
pub async fn say(
    api: &Api,
    room: &RoomId,
    who: Arc<Identity>,
    origin: Option<OriginId>,
    saying: Saying,
) -> Result<Position, Refusal> {
    let begin = Instant::now();
    if let Err(wait) = api.rates.take(&who.user, begin) {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        return Err(Refusal::later(Code::RateLimited, "more messages than you may send", wait_ms));
    }
    let deadline = begin + api.limits.send_deadline.get();
    let weight = POST_OVERHEAD + text_bytes(&[], &saying.content_type, &saying.body);
    let mut hold = Hold { wait: HOLD, deadline };
    let permit = loop {
        let handle = api.hub.room(room).ok_or_else(Refusal::unavailable)?;
        match handle.gate.enter(weight) {
            Some(permit) => break permit,
            None => hold.on().await?,
        }
    };
    let (reply, answer) = Reply::to_caller(begin, api.sessions.metrics.clone(), permit);
    let Saying { body, content_type, binary } = saying;
    let mut ask = Post {
        who,
        origin: origin.unwrap_or_else(|| OriginId::made_by(&api.sessions.node)),
        sent_at: now_ms(),
        content_type,
        binary,
        headers: Vec::new(),
        body,
        deadline,
        unsure: false,
        reply,
    }
    .into();
    while let Some(handle) = api.hub.room(room)
        && let Err(Undelivered(back)) = handle.ask(ask)
    {
        ask = *back;
        if let Err(refusal) = hold.on().await {
            ask.refuse(&refusal);
            break;
        }
    }
    match tokio::time::timeout_at((deadline + PATIENCE).into(), answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(Refusal::unconfirmed()),
    }
}

/// Waits between tries, each longer than the one before.
struct Hold {
    wait: Duration,
    deadline: Instant,
}

impl Hold {
    /// Until the next try, unless it is too late for one.
    async fn on(&mut self) -> Result<(), Refusal> {
        if Instant::now() >= self.deadline {
            return Err(Refusal::busy());
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(HOLD_MOST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, kind: Option<&str>) -> Result<Saying, Refusal> {
        Saying::of(Some(text.into()), None, kind.map(Into::into), 10)
    }

    #[test]
    fn one_body_within_the_limit_is_said() {
        assert_eq!(text("0123456789", None).unwrap().body, "0123456789");
        assert_eq!(text("0123456789a", None).unwrap_err().code, Code::TooLarge);
        assert_eq!(text("", None).unwrap().body, "");
        let coded = |coded: &str| Saying::of(None, Some(coded.into()), None, 2);
        let bytes = coded("AP8=").unwrap();
        assert_eq!((&bytes.body[..], bytes.binary), (&[0, 255][..], true));
        assert_eq!(coded("AP8").unwrap_err().code, Code::BadRequest);
        assert_eq!(coded("AAAA").unwrap_err().code, Code::TooLarge);
        for (body, coded) in [(None, None), (Some(String::new()), Some(String::new()))] {
            assert_eq!(Saying::of(body, coded, None, 9).unwrap_err().code, Code::BadRequest);
        }
    }

    #[test]
    fn a_content_type_is_one_that_every_client_can_be_told() {
        let kind = |kind| text("x", Some(kind)).map(|saying| saying.content_type);
        assert_eq!(kind("text/plain; charset=utf-8"), Ok(Some("text/plain;charset=utf-8".into())));
        assert_eq!(kind(" "), Ok(None));
        for bad in ["a\nb", "a\u{0}", "미나", &"x".repeat(256)] {
            assert_eq!(kind(bad).unwrap_err().code, Code::BadRequest, "{bad}");
        }
        assert!(text("x", Some("Application/Octet-Stream;a=b")).unwrap().binary);
    }
}
