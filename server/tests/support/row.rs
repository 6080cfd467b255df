//! A message of a room, wherever it is looked at.

use moim_shared::position::Position;

use super::Frame;

/// A message, as it stands in the table and as a subscriber got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub position: Position,
    pub sender: String,
    pub origin: Option<String>,
    pub body: String,
}

impl Row {
    /// What a MESSAGE says.
    #[track_caller]
    pub fn of(message: &Frame) -> Self {
        let position = message.at("position");
        assert!(message.at("message-id").ends_with(&format!("/{position}")), "{message:?}");
        Self {
            position: position.parse().unwrap(),
            sender: message.at("sender").into(),
            origin: message.get("origin-id").map(Into::into),
            body: message.text().into(),
        }
    }
}
