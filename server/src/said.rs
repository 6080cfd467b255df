//! What every MESSAGE says of who sent it and how, stored or not.

use moim_shared::ids::{OriginId, UserId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::stomp::{FrameWriter, Version, is_safe_header};

/// What RFC 3986 calls unreserved stands as it is.
const OUTSIDE_UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// See the module.
pub struct Said<'a> {
    /// `sender`.
    pub sender: &'a UserId,
    /// `sender-name`, percent-encoded on the wire.
    pub sender_name: Option<&'a str>,
    /// `timestamp`.
    pub sent_at: u64,
    /// `origin-id`, if the client chose it.
    pub origin: Option<&'a OriginId>,
    /// `content-type`.
    pub content_type: Option<&'a str>,
    /// The sender's own.
    pub headers: &'a [(String, String)],
}

impl Said<'_> {
    /// Adds the headers, without those that the version cannot say.
    pub fn write<'f>(&self, mut frame: FrameWriter<'f>, version: Version) -> FrameWriter<'f> {
        frame = frame.header("sender", self.sender.as_str());
        if let Some(name) = self.sender_name {
            let name = utf8_percent_encode(name, OUTSIDE_UNRESERVED).to_string();
            frame = frame.header("sender-name", &name);
        }
        frame = frame.header_u64("timestamp", self.sent_at);
        if let Some(origin) = self.origin.filter(|origin| origin.is_given()) {
            frame = frame.header("origin-id", origin.as_str());
        }
        if let Some(content_type) = self.content_type
            && is_safe_header(version, "content-type", content_type)
        {
            frame = frame.header("content-type", content_type);
        }
        for (name, value) in self.headers {
            if is_safe_header(version, name, value) {
                frame = frame.header(name, value);
            }
        }
        frame
    }
}
