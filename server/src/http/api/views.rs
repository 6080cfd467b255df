//! Rooms and members as JSON.

use moim_shared::ids::{RoomId, UserId};
use moim_shared::membership::{Member, Role};
use moim_shared::position::Position;
use moim_shared::presence::Status;
use moim_shared::store::rooms::{self, RoomInfo};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::schema;

/// Who may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody, and everybody sees that it is there.
    Public,
    /// Whom a member with a role adds, or a token's grant lets in.
    Private,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleName {
    /// Everything.
    Owner,
    /// Adds, removes, mutes and bans plain members, and names the room.
    Admin,
    /// Reads and sends.
    Member,
}

/// A time that somebody says, in ms since 1970. JSON has one kind of numbers: `1.0` is a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub u64);

impl Time {
    /// The largest whole number up to which every client's JSON has all of them.
    pub const MOST: u64 = (1 << 53) - 1;
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(from)?;
        // Casting a float keeps within u64.
        let whole = |ms: f64| (ms >= 0.0 && ms.fract() == 0.0).then_some(ms as u64);
        let ms = number.as_u64().or_else(|| number.as_f64().and_then(whole));
        let ms = ms.filter(|ms| *ms <= Self::MOST);
        ms.map(Self).ok_or_else(|| D::Error::custom("a time is a whole number of ms since 1970"))
    }
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Room)]
pub struct RoomView {
    #[schema(schema_with = schema::room)]
    id: RoomId,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    name: Option<String>,
    visibility: Visibility,
    /// It is the one room of two people.
    direct: bool,
    #[schema(schema_with = schema::time)]
    created_at: u64,
}

/// A member of a room, or somebody who is banned from it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Member)]
pub struct MemberView {
    #[schema(schema_with = schema::user)]
    user: UserId,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    name: Option<String>,
    role: RoleName,
    #[schema(schema_with = schema::time)]
    joined_at: u64,
    /// May read and not send until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::time)]
    muted_until: Option<u64>,
    /// May neither read nor send.
    banned: bool,
    /// How far it has read; `0-0`: nothing.
    #[schema(schema_with = schema::position)]
    read: Position,
    /// How far it was given messages, on the device that has most of them; `0-0`: nothing.
    #[schema(schema_with = schema::position)]
    delivered: Position,
    /// It is connected now, as far as is known.
    here: bool,
    /// Left out while nobody knows who is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    presence: Option<PresenceName>,
    /// When it was last there, if it is offline and that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::time)]
    last_seen: Option<u64>,
}

/// How somebody is there, with whatever it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Presence)]
pub enum PresenceName {
    /// A session of it is active.
    Online,
    /// It has sessions, and said with all of them that it is away.
    Away,
    /// It has no session.
    Offline,
}

impl MemberView {
    /// The view of a row; without `status` nobody knows whether it is connected.
    pub fn new(
        reader: rooms::Reader,
        delivered: Position,
        status: Option<Status>,
        last_seen: Option<u64>,
    ) -> Self {
        let Member { user, name, role, joined_at, muted_until, banned } = reader.member;
        let (role, read) = (role.into(), reader.read);
        let here = status.is_some_and(|status| status != Status::Offline);
        let presence = status.map(Into::into);
        Self {
            user,
            name,
            role,
            joined_at,
            muted_until,
            banned,
            read,
            delivered,
            here,
            presence,
            last_seen,
        }
    }
}

impl From<Status> for PresenceName {
    fn from(status: Status) -> Self {
        match status {
            Status::Online => Self::Online,
            Status::Away => Self::Away,
            Status::Offline => Self::Offline,
        }
    }
}

impl RoomView {
    /// Which room.
    pub const fn id(&self) -> &RoomId {
        &self.id
    }
}

impl From<RoomInfo> for RoomView {
    fn from(room: RoomInfo) -> Self {
        let RoomInfo { id, name, visibility, direct, created_at } = room;
        Self { id, name, visibility: visibility.into(), direct, created_at }
    }
}

impl From<rooms::Visibility> for Visibility {
    fn from(visibility: rooms::Visibility) -> Self {
        match visibility {
            rooms::Visibility::Public => Self::Public,
            rooms::Visibility::Private => Self::Private,
        }
    }
}

impl From<Visibility> for rooms::Visibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Private,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Admin => Self::Admin,
            Role::Member => Self::Member,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Owner => Self::Owner,
            RoleName::Admin => Self::Admin,
            RoleName::Member => Self::Member,
        }
    }
}
