//! Accounts of this server, their log-ins, and what was revoked before its time.

use super::StoreError;
use super::rooms::Made;
use crate::BoxFuture;
use crate::ids::UserId;

/// An account of this server. Times are ms since 1970.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, which is also `sub` of its tokens.
    pub user: UserId,
    /// The name for people.
    pub name: Option<String>,
    /// The password's hash in the PHC string format.
    pub password_hash: String,
    /// When it was made.
    pub created_at: u64,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// SHA-256 of a refresh token: the token itself is nowhere but with its client.
pub type TokenHash = [u8; 32];

/// A refresh token that is given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefresh {
    /// Its hash.
    pub hash: TokenHash,
    /// When it ends by itself, in ms since 1970.
    pub expires_at: u64,
}

/// A log-in: what one password check gave out, with all that came of it by refreshing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whose.
    pub user: UserId,
    /// Its id, which is also `sid` of its access tokens.
    pub id: String,
}

/// What became of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The new token stands in place of the old one.
    Rotated(Login),
    /// The token was rotated longer ago than a lost answer explains: somebody has a copy. The
    /// whole log-in has ended.
    Reused(Login),
    /// Unknown, ended, or past its time.
    Refused,
    /// The log-in's tokens were changed so often that none more is given out before this, in ms
    /// since 1970.
    TooMany {
        /// See there.
        until: u64,
    },
}

/// Whose access tokens are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// All tokens of a user (`sub`).
    User(UserId),
    /// Those of one log-in (`sid`).
    Login(String),
    /// One token (`jti`).
    Token(String),
}

/// Access tokens that end before their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Which.
    pub subject: Subject,
    /// Made (`iat`) before this, in ms since 1970.
    pub before: u64,
    /// When the last of them has expired by itself, in ms since 1970.
    pub until: u64,
}

impl Revocation {
    /// The end of a log-in, which never gets new tokens.
    pub fn of_login(id: &str, until: u64) -> Self {
        Self { subject: Subject::Login(id.to_owned()), before: until, until }
    }
}

/// Accounts, log-ins and revocations.
pub trait Accounts: Send + Sync + 'static {
    /// Makes an account. A name that an account has or had is [`Made::Taken`].
    fn account_create<'a>(
        &'a self,
        account: &'a Account,
    ) -> BoxFuture<'a, Result<Made<()>, StoreError>>;

    /// Whether the name is somebody's: an account has it or had it, or a token brought somebody of
    /// that name here, who came into a room or read there. Whom others put into rooms need not be
    /// anybody.
    fn is_somebody<'a>(&'a self, user: &'a UserId) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The account, unless it was deleted.
    fn account_get<'a>(
        &'a self,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Option<Account>, StoreError>>;

    /// Another name for people. False: there is no such account.
    fn account_rename<'a>(
        &'a self,
        user: &'a UserId,
        name: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Another password in place of the one with the hash `old`; ends all log-ins, removes all
    /// devices, and remembers the revocation with that. False: the password is another one by now, or there is no such account.
    fn account_set_password<'a>(
        &'a self,
        user: &'a UserId,
        old: &'a str,
        new: &'a str,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Ends the account and its log-ins, removes its devices, and remembers the revocation with that;
    /// its name is never given out again.
    fn account_delete<'a>(
        &'a self,
        user: &'a UserId,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Begins a log-in, with at most `most` of the user beside it: the ones that end first give way,
    /// and are told. `None`: the password that was checked against the hash `checked` is another one
    /// by now, or there is no such account any more.
    ///
    /// Here and below, the end of a log-in is remembered as a revocation until `until`.
    fn login_begin<'a>(
        &'a self,
        login: &'a Login,
        checked: &'a str,
        refresh: &'a NewRefresh,
        most: usize,
        until: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<Login>>, StoreError>>;

    /// Changes a refresh token for another at `now`. For `grace` ms after that the old one still
    /// works, since its answer may have been lost; then whatever else came of it counts as changed,
    /// too. Of one log-in the tokens that were changed in the last hour are known, and a few before
    /// that: an older one is refused like a stranger's.
    fn login_rotate<'a>(
        &'a self,
        old: &'a TokenHash,
        new: &'a NewRefresh,
        now: u64,
        grace: u64,
        until: u64,
    ) -> BoxFuture<'a, Result<Rotation, StoreError>>;

    /// The log-in of a refresh token, if there is one; it may have ended by the time it is told.
    fn login_of<'a>(
        &'a self,
        refresh: &'a TokenHash,
    ) -> BoxFuture<'a, Result<Option<Login>, StoreError>>;

    /// Ends the log-in of a refresh token, if there is one.
    fn login_end<'a>(
        &'a self,
        refresh: &'a TokenHash,
        until: u64,
    ) -> BoxFuture<'a, Result<Option<Login>, StoreError>>;

    /// Ends all log-ins of a user, removes all its devices, and remembers the revocation with that.
    fn logins_end<'a>(
        &'a self,
        user: &'a UserId,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Remembers a revocation; of two for one subject the larger numbers count.
    fn revocation_put<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Those that still matter at `now`.
    fn revocations<'a>(&'a self, now: u64) -> BoxFuture<'a, Result<Vec<Revocation>, StoreError>>;

    /// Forgets revocations that do not matter any more at `now` and refresh tokens past their time;
    /// of very many, a part.
    fn forget_expired<'a>(&'a self, now: u64) -> BoxFuture<'a, Result<(), StoreError>>;
}
