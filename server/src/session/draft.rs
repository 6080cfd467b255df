//! A SEND between its frame and its room.

use bytes::Bytes;
use moim_shared::ids::{OriginId, RoomId};

/// A SEND, checked as far as its frame goes.
#[derive(Debug)]
pub struct Draft {
    pub room: RoomId,
    pub origin: Option<OriginId>,
    pub content_type: Option<String>,
    pub binary: bool,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub receipt: Option<Box<str>>,
}
