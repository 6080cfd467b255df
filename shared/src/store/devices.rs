//! The devices of users: where pushes go to, and when they are wanted.

use super::StoreError;
use crate::BoxFuture;
use crate::ids::{InstallationId, RoomId, UserId};
use crate::push_token::PushToken;
use crate::quiet::{QuietHours, Zone};

/// Devices that a user has at most.
pub const DEVICES_MOST: usize = 20;

/// How often it is noted that a device was seen, in ms: a day. Their age is counted in months.
pub const SEEN_EVERY: u64 = 86_400_000;

/// What a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// An Android app.
    Android,
    /// An app on an iPhone or iPad.
    Ios,
    /// A browser.
    Web,
}

impl Platform {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Web => "web",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Android, Self::Ios, Self::Web].into_iter().find(|it| it.as_str() == name)
    }
}

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The app on it.
    pub installation: InstallationId,
    /// Where pushes are sent to. Without one it gets none.
    pub token: Option<PushToken>,
    /// What it runs.
    pub platform: Platform,
    /// Its language (BCP 47), if it said so.
    pub locale: Option<String>,
    /// Where it is, for its quiet hours.
    pub time_zone: Option<Zone>,
    /// Nothing shall be heard there.
    pub muted: bool,
    /// What was said may stand in a push.
    pub preview: bool,
    /// When nothing shall be heard each day.
    pub quiet_hours: Option<QuietHours>,
    /// Rooms of which nothing shall be heard.
    pub muted_rooms: Vec<RoomId>,
    /// When it was heard of last, in ms since 1970, to about a day.
    pub seen_at: u64,
}

/// The devices of users, who may have an account here or not.
pub trait Devices: Send + Sync + 'static {
    /// The device is so from now on, whatever it was before. Whichever other device had its token
    /// has none any more. Of more than [`DEVICES_MOST`] devices of the user, the others that were
    /// not seen for longest go.
    fn device_put<'a>(
        &'a self,
        user: &'a UserId,
        device: &'a Device,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The device is gone. One that there is not is what is wanted.
    fn device_delete<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// All devices of the user are gone. Also with the end of all log-ins of a user
    /// ([`super::accounts::Accounts`]).
    fn devices_delete<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The user's devices, by installation.
    fn devices_of<'a>(&'a self, user: &'a UserId)
    -> BoxFuture<'a, Result<Vec<Device>, StoreError>>;

    /// All devices with a token of these users, in no order, in one question: of some hundred users
    /// at once, as a device that has muted a thousand rooms is 64 KiB.
    fn devices_of_users<'a>(
        &'a self,
        users: &'a [UserId],
    ) -> BoxFuture<'a, Result<Vec<(UserId, Device)>, StoreError>>;

    /// The provider knows the token no more: the device has none, unless it has another by now.
    /// True if it had this one.
    fn device_token_gone<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
        token: &'a PushToken,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The device was seen at `now`, in ms since 1970. Written once in [`SEEN_EVERY`]; one that
    /// there is not stays so.
    fn device_seen<'a>(
        &'a self,
        user: &'a UserId,
        installation: &'a InstallationId,
        now: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes the tokens of up to `most` devices that were last seen before `before`, in ms since
    /// 1970, and says of how many.
    fn device_tokens_forget(
        &self,
        before: u64,
        most: usize,
    ) -> BoxFuture<'_, Result<usize, StoreError>>;
}
