//! A user's inbox: what changed for it in any of its rooms, as states and not as events, so that
//! being told twice changes nothing.
//!
//! Changes are found by the time at which the database noted them. A transaction notes a time and may
//! commit up to its deadline later; so whoever knows everything goes on from [`MARGIN`] before it
//! looked, and hears the last changes again.

mod token;

use std::time::Duration;

pub use self::token::Token;
use super::StoreError;
use super::rooms::OwnRoom;
use crate::BoxFuture;
use crate::ids::{RoomId, UserId};
use crate::position::Position;

/// Longer than between the time that a transaction notes and its end: a transaction has 13 s, and its
/// COMMIT no more than a statement.
pub const MARGIN: Duration = Duration::from_secs(30);

/// For how long it is known that somebody has a room no more.
pub const REMOVALS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Characters of a text that are shown of it.
pub const PREVIEW_CHARS: usize = 200;

/// A room's last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Where it stands.
    pub position: Position,
    /// Who said it.
    pub sender: UserId,
    /// The sender's name for people.
    pub sender_name: Option<String>,
    /// When it was sent, in ms since 1970.
    pub sent_at: u64,
    /// Its type, if the sender gave one.
    pub content_type: Option<String>,
    /// The first [`PREVIEW_CHARS`] characters of a text; `None` for what is none, or empty.
    pub preview: Option<String>,
}

/// A room of one's own as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The room, and where both stand.
    pub own: OwnRoom,
    /// Its last message.
    pub last: Option<Last>,
    /// Somebody else made the user a member, which has not come by itself since.
    pub invited: bool,
    /// When the membership began, in ms since 1970.
    pub began_at: u64,
}

/// What one user has of one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub user: UserId,
    /// Which room.
    pub room: RoomId,
    /// When it last changed, in ms since 1970; 0: nobody knows.
    pub at: u64,
    /// How it is; `None`: it is not one of the user's rooms.
    pub standing: Option<Box<Standing>>,
}

impl Entry {
    /// Whether it is news to who stands at `since` that somebody else made the user a member. To who
    /// knows nothing, nothing is.
    pub fn is_invitation(&self, since: Token) -> bool {
        let began = |standing: &Standing| standing.invited && standing.began_at > since.ms();
        !since.is_zero() && self.standing.as_deref().is_some_and(began)
    }
}

/// What changed since some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes, those first that were noted first, each with where to go on after it.
    pub entries: Vec<(Entry, Token)>,
    /// Where to go on.
    pub next: Token,
    /// There are more now.
    pub more: bool,
    /// Everything since then is told. False: nobody knows any more, and these are the first of all
    /// rooms.
    pub recovered: bool,
}

/// Inboxes, as the database knows them.
pub trait Inbox: Send + Sync + 'static {
    /// The rooms of the user, up to `limit`.
    fn inbox_rooms<'a>(
        &'a self,
        user: &'a UserId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<RoomId>, StoreError>>;

    /// Up to about `limit` changes after `since`; from [`Token::ZERO`] all rooms, without those that
    /// the user has no more. `None`: from now on, with what may just be on its way.
    fn inbox_changes<'a>(
        &'a self,
        user: &'a UserId,
        since: Option<Token>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Changes, StoreError>>;

    /// How these are, in their order, without those that this program cannot read.
    fn inbox_entries(
        &self,
        pairs: Vec<(UserId, RoomId)>,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;

    /// Forgets up to `most` removals before `before` (ms since 1970); how many.
    fn inbox_forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}
