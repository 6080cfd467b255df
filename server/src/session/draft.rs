//! A SEND between its frame and its room.

use bytes::Bytes;
use moim_shared::ids::{OriginId, RoomId};

use crate::room::text_bytes;

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

impl Draft {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        text_bytes(&self.headers, &self.content_type, &self.body)
    }
}
