//! A SEND between its frame and where it goes.

use bytes::Bytes;
use moim_shared::ids::OriginId;

use super::destination::Target;
use crate::room::text_bytes;

/// A SEND, checked as far as its frame goes.
#[derive(Debug)]
pub struct Draft {
    pub target: Target,
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
