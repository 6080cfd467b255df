//! What devices are told of messages, from the moment that a message is stored until a provider has
//! taken it.
//!
//! A stored message makes its room due, a grace later ([`super::Store::insert`] writes both in one
//! transaction). What is due becomes a *round*: a part of the room whose members are looked through
//! in pages. Of each page come *pushes*, one for each device that is to be told, kept before anything
//! is sent. Whoever works on a round or a push has it for a lease; when it dies, another goes on where
//! the last page or the last call was noted.

use std::time::Duration;

use super::StoreError;
use crate::BoxFuture;
use crate::ids::{InstallationId, RoomId, UserId};
use crate::position::Position;
use crate::push_token::PushToken;
use crate::quiet::{QuietHours, Zone};

/// Messages that are counted as unread at most: more are as many as this.
pub const BADGE_MOST: u32 = super::rooms::UNREAD_MOST;

/// Bytes of a body that a push is told of, at most.
pub const PREVIEW_BYTES: usize = 2_048;

/// A part of a room whose members' devices are to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Which one.
    pub id: i64,
    /// Who works on it.
    pub lease: i64,
    /// The room.
    pub room: RoomId,
    /// Its first message.
    pub from: Position,
    /// Its last one.
    pub upto: Position,
    /// Members up to this one are done.
    pub after: Option<UserId>,
}

/// A message of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Where it stands.
    pub position: Position,
    /// Who said it.
    pub sender: UserId,
}

/// A device that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which one.
    pub installation: InstallationId,
    /// Nothing shall be heard there.
    pub muted: bool,
    /// Nothing of this room shall be.
    pub room_muted: bool,
    /// When nothing shall be heard each day.
    pub quiet_hours: Option<QuietHours>,
    /// Where it is.
    pub time_zone: Option<Zone>,
}

/// A member with devices that can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub user: UserId,
    /// How far it has read.
    pub read: Position,
    /// How far any device of it was given messages.
    pub delivered: Position,
    /// Its devices with a token.
    pub targets: Vec<Target>,
}

/// A page of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoundPage {
    /// The round's last message, and its last one of anybody else: what of the round a member is told
    /// of first. None: nothing of it is left.
    pub news: Vec<News>,
    /// Members, by their ids.
    pub candidates: Vec<Candidate>,
    /// The last member that was looked at, when there are more.
    pub next: Option<UserId>,
}

/// Why a device is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// The device is muted.
    DeviceMuted,
    /// The room is muted on it.
    RoomMuted,
    /// It is in its quiet hours.
    QuietHours,
    /// The member has read the message.
    Read,
    /// A device of the member has it.
    Delivered,
    /// It is no member any more.
    NotAMember,
    /// The device has no token any more.
    NoDevice,
    /// The message is gone, or too old to be told of.
    Gone,
}

impl Unwanted {
    /// As it is kept and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeviceMuted => "device_muted",
            Self::RoomMuted => "room_muted",
            Self::QuietHours => "quiet_hours",
            Self::Read => "read",
            Self::Delivered => "delivered",
            Self::NotAMember => "not_a_member",
            Self::NoDevice => "no_device",
            Self::Gone => "gone",
        }
    }
}

/// What a device is told of, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPush {
    /// Whose device.
    pub user: UserId,
    /// Which one.
    pub device: InstallationId,
    /// The message.
    pub position: Position,
    /// It is not to be told.
    pub unwanted: Option<Unwanted>,
}

/// What a push is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// Everything up to there was read elsewhere.
    Read,
}

impl Kind {
    /// As it is kept and sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Read => "read",
        }
    }
}

/// The message of a push, as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who said it.
    pub sender: String,
    /// The sender's name for people.
    pub sender_name: Option<String>,
    /// When, in ms since 1970.
    pub sent_at: u64,
    /// What kind of body it is.
    pub content_type: Option<String>,
    /// The first [`PREVIEW_BYTES`] of the body, about.
    pub body: Vec<u8>,
    /// The body is no text.
    pub binary: bool,
}

/// A push that is to be sent now, with what is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePush {
    /// Which one.
    pub id: i64,
    /// Who sends it.
    pub lease: i64,
    /// How often that was tried, this time too.
    pub attempts: u32,
    /// When it was kept, in ms since 1970.
    pub created_at: u64,
    /// What it is.
    pub kind: Kind,
    /// The room.
    pub room: RoomId,
    /// Its name for people.
    pub room_name: Option<String>,
    /// It is the one room of two people.
    pub direct: bool,
    /// Whose device.
    pub user: UserId,
    /// Which one, and what it wants to hear.
    pub target: Target,
    /// Its token, while it has one.
    pub token: Option<PushToken>,
    /// Its language.
    pub locale: Option<String>,
    /// What was said may be shown.
    pub preview: bool,
    /// The user is still a member.
    pub is_member: bool,
    /// The message, or how far was read.
    pub position: Position,
    /// The first message that it stands for.
    pub from: Position,
    /// How far the member has read by now.
    pub read: Position,
    /// How far any of its devices was given messages by now.
    pub delivered: Position,
    /// The message, unless it is gone.
    pub said: Option<Said>,
    /// Unread messages of the room, up to [`BADGE_MOST`].
    pub unread: u32,
    /// Unread messages of all rooms, up to [`BADGE_MOST`].
    pub badge: u32,
}

/// What became of a push that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which one.
    pub id: i64,
    /// Who sent it.
    pub lease: i64,
    /// What.
    pub end: End,
}

/// See [`Ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The provider has taken it.
    Sent,
    /// It is tried again so much later.
    Again {
        /// When.
        after: Duration,
        /// Why.
        why: String,
    },
    /// It can never be sent.
    Failed(String),
    /// It is not wanted any more.
    Unwanted(Unwanted),
}

/// How far a push came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is to be sent.
    Waiting,
    /// Somebody sends it.
    Calling,
    /// The provider took it.
    Sent,
    /// It can never be sent.
    Failed,
    /// It is not wanted.
    Suppressed,
}

impl State {
    /// As it is kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Calling => "calling",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Calling, Self::Sent, Self::Failed, Self::Suppressed]
            .into_iter()
            .find(|it| it.as_str() == name)
    }
}

/// What is known of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRecord {
    /// Whose device.
    pub user: UserId,
    /// Which one.
    pub device: InstallationId,
    /// The message that it told of, and with it of those before.
    pub position: Position,
    /// How far it came.
    pub state: State,
    /// Why it is so.
    pub reason: Option<String>,
    /// Calls of the provider.
    pub attempts: u32,
    /// When it was kept, in ms since 1970.
    pub created_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// The device was told, or is to be told, that it was read elsewhere.
    pub cancelled: bool,
}

/// See the module. Times and leases go by the database's clock.
pub trait Pushes: Send + Sync + 'static {
    /// Has devices told of messages that are stored through this store from now on, the `grace` after
    /// they were stored. Until this is called, nothing becomes due.
    fn tell_devices(&self, grace: Duration);

    /// Takes up to `most` rounds for the `lease`: of rooms that are due, and of those who let theirs
    /// run out. Rooms without a device that can be told are done by this.
    fn rounds_claim(
        &self,
        lease: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<Round>, StoreError>>;

    /// The round's next page, of up to `most` members with devices.
    fn round_page<'a>(
        &'a self,
        round: &'a Round,
        most: usize,
    ) -> BoxFuture<'a, Result<RoundPage, StoreError>>;

    /// Keeps the pushes of a page; the round goes on after `next` for another `lease`, or is done. One
    /// that waits for the same device and tells of earlier messages of the room is part of the new
    /// one from now on. False: somebody else has the round by now, and nothing was kept.
    fn round_keep<'a>(
        &'a self,
        round: &'a Round,
        pushes: Vec<NewPush>,
        next: Option<UserId>,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Takes up to `most` pushes that are due for the `lease`, the oldest first: what is known of them
    /// now. Others take them after that, so whoever sends one notes what became of it before.
    fn pushes_claim(
        &self,
        lease: Duration,
        most: usize,
    ) -> BoxFuture<'_, Result<Vec<DuePush>, StoreError>>;

    /// Notes what became of pushes; nothing of those that somebody else has by now.
    fn pushes_done(&self, ended: Vec<Ended>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Has devices told of what was read while it was sent to them: of what was sent within `span`, a
    /// part each time. Says how many it looked at; 0 at the end. Everything else is told when the cursor moves
    /// ([`super::cursors::Cursors::read_move`]).
    fn pushes_catch_up(&self, span: Duration) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// What the users after `after` and up to `upto` were told of the message, by user and device.
    fn pushes_of<'a>(
        &'a self,
        room: &'a RoomId,
        position: Position,
        after: Option<&'a UserId>,
        upto: Option<&'a UserId>,
    ) -> BoxFuture<'a, Result<Vec<PushRecord>, StoreError>>;

    /// Forgets up to `most` pushes that were kept before `before`, in ms since 1970, and says how
    /// many.
    fn pushes_forget(&self, before: u64, most: usize) -> BoxFuture<'_, Result<usize, StoreError>>;
}
