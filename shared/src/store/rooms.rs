//! Rooms, their members and how far these have read.

use super::StoreError;
use crate::BoxFuture;
use crate::ids::{RoomId, UserId};
use crate::membership::{Change, Denied, Member};
use crate::position::Position;

/// Who may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Anybody, and everybody sees that it is there.
    Public,
    /// Whom a member with a role adds, or a token's grant lets in.
    Private,
}

impl Visibility {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Public, Self::Private].into_iter().find(|it| it.as_str() == name)
    }
}

/// A room as people see it in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its id.
    pub id: RoomId,
    /// Its name for people.
    pub name: Option<String>,
    /// Who may join.
    pub visibility: Visibility,
    /// It is the one room of two people.
    pub direct: bool,
    /// When it was made, in ms since 1970.
    pub created_at: u64,
}

/// A room to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its id.
    pub id: RoomId,
    /// Its name for people.
    pub name: Option<String>,
    /// Who may join.
    pub visibility: Visibility,
}

/// What is to be otherwise in a room. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomChange {
    /// Another name; `Some(None)`: none.
    pub name: Option<Option<String>>,
    /// Who may join from now on.
    pub visibility: Option<Visibility>,
}

/// What became of something that may have been there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made<T> {
    /// It is new.
    New(T),
    /// It was there.
    There(T),
    /// The name is another's, or was once.
    Taken,
}

/// A room of a user, with where both stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRoom {
    /// The room.
    pub room: RoomInfo,
    /// The user's row in it.
    pub member: Member,
    /// The last position of the room in the database.
    pub head: Position,
    /// How far the user has read.
    pub read: Position,
    /// Messages after that, counted up to [`UNREAD_MOST`].
    pub unread: u32,
}

/// Counting unread messages ends here: people read it as "99+".
pub const UNREAD_MOST: u32 = 100;

/// A member, and how far it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// The member.
    pub member: Member,
    /// How far.
    pub read: Position,
}

/// A change of memberships that not every node is known to have been told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberChange {
    /// Larger than that of any change before it.
    pub id: i64,
    /// Where.
    pub room: RoomId,
    /// Whose; `None`: everybody's.
    pub user: Option<UserId>,
}

/// Rooms and memberships. Each change of a membership is also kept as a [`MemberChange`], in the same
/// transaction, until [`Rooms::members_told`]: whoever made it may die before the nodes know. But
/// not who comes by a token's grant, which takes nothing from anybody.
///
/// A deleted room is there for no function but [`Rooms::room_create`], which
/// says that its id is taken.
pub trait Rooms: Send + Sync + 'static {
    /// Makes a room whose first member is `owner`, with that role. One that is there, or was, is [`Made::Taken`].
    fn room_create<'a>(
        &'a self,
        room: &'a NewRoom,
        owner: &'a Member,
    ) -> BoxFuture<'a, Result<Made<RoomInfo>, StoreError>>;

    /// The one private room of two, under this id: made when it is missing, both members put in
    /// when they are missing and not banned, called as their accounts are if they have no name.
    /// Never [`Made::Taken`] for a direct room.
    fn room_direct<'a>(
        &'a self,
        room: &'a RoomId,
        two: &'a [Member; 2],
    ) -> BoxFuture<'a, Result<Made<RoomInfo>, StoreError>>;

    /// The room, if there is one.
    fn room_get<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RoomInfo>, StoreError>>;

    /// Changes it, when `actor` is one of its admins or owners. For visibility: an owner.
    fn room_update<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
        change: &'a RoomChange,
    ) -> BoxFuture<'a, Result<Result<RoomInfo, Denied>, StoreError>>;

    /// Ends it, when `actor` is an owner of it: members and cursors go, the id stays taken.
    fn room_delete<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
    ) -> BoxFuture<'a, Result<Result<(), Denied>, StoreError>>;

    /// Removes up to `rows` messages and marks of a deleted room, fewer when they are large; how many
    /// it removed. To be called until that is 0, so that nobody waits for a large room's end.
    fn room_purge<'a>(
        &'a self,
        room: &'a RoomId,
        rows: usize,
    ) -> BoxFuture<'a, Result<usize, StoreError>>;

    /// Up to `limit` deleted rooms that are not purged, since a process ended in between.
    fn rooms_unpurged(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RoomId>, StoreError>>;

    /// Public rooms and those that `user` is a member of, by id, after `after`.
    fn rooms_visible<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<RoomInfo>, StoreError>>;

    /// The rooms that `user` is a member of, by id, after `after`.
    fn rooms_of<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<OwnRoom>, StoreError>>;

    /// The user's row in the room, also one that is banned.
    fn member_get<'a>(
        &'a self,
        room: &'a RoomId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Option<Reader>, StoreError>>;

    /// The room's rows by user, after `after`; banned ones too.
    fn members_list<'a>(
        &'a self,
        room: &'a RoomId,
        after: Option<&'a UserId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Reader>, StoreError>>;

    /// Asks [`crate::membership::decide`] and carries it out in one transaction. `Ok(None)`: the
    /// target has no row now. Whoever is put in is called as its account is; whoever goes takes its
    /// cursor along and leaves a mute that runs, for when it comes back, also by a grant.
    fn member_change<'a>(
        &'a self,
        room: &'a RoomId,
        actor: &'a UserId,
        target: &'a UserId,
        change: Change,
    ) -> BoxFuture<'a, Result<Result<Option<Member>, Denied>, StoreError>>;

    /// Takes `user` out of all its rooms, for the end of its account; where it was the last owner,
    /// the member with the highest role that came first is one now. Bans and mutes stay. Which rooms changed;
    /// after an error some may have, and the same call again does the rest.
    fn member_vanish<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<RoomId>, StoreError>>;

    /// Changes that were not told, the oldest first: of this room or of all, up to `limit`.
    fn members_untold<'a>(
        &'a self,
        room: Option<&'a RoomId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<MemberChange>, StoreError>>;

    /// These changes were told.
    fn members_told(&self, changes: Vec<i64>) -> BoxFuture<'_, Result<(), StoreError>>;
}
