//! Accounts of this server: who may log in, and what ends it again. Knows no HTTP and no STOMP.
//!
//! A password check gives out a *log-in*: short access tokens that name it (`sid`), and refresh
//! tokens of which only a hash is kept, each good for one use.

mod denied;
mod ends;
mod hasher;
mod refresh;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moim_shared::clock::now_ms;
use moim_shared::config::{self, Auth, Secret};
use moim_shared::ids::{InstallationId, UserId};
use moim_shared::store::accounts::{Account, Accounts, Login, NewRefresh, Rotation};
use moim_shared::store::devices::Devices;
use moim_shared::store::rooms::{Made, Rooms};
use moim_worker::telling::Telling;
use parking_lot::Mutex;

pub use self::denied::Denied;
pub use self::ends::Ends;
pub use self::hasher::{Crowded, Hasher, Password};
pub use self::refresh::{RefreshToken, random_text};
use self::throttle::{Allowance, Throttle};
use crate::token::{Grant, MintRequest, mint, said_name};

/// The longest password, in characters: more adds nothing but work.
pub const PASSWORD_MAX: usize = 128;

/// Log-ins that one user may have beside a new one.
const LOGINS_BESIDE: usize = 49;

/// How long a refresh token works after it was used: its answer may have been lost.
const GRACE_MS: u64 = 60_000;

/// What a log-in is given. The access token is a JWT as others make them too.
pub struct Tokens {
    /// Whose.
    pub user: UserId,
    /// For every request.
    pub access: String,
    /// How long that is good.
    pub expires_in: Duration,
    /// For the next access token.
    pub refresh: RefreshToken,
}

/// What this is made of.
pub struct Parts {
    /// The accounts.
    pub accounts: Arc<dyn Accounts>,
    /// Who is in which room.
    pub rooms: Arc<dyn Rooms>,
    /// Where pushes go to.
    pub devices: Arc<dyn Devices>,
    /// Who is told when members change.
    pub telling: Telling,
    /// What ends tokens.
    pub ends: Arc<Ends>,
    /// What signs access tokens, and the rules by which they are judged.
    pub secret: Secret,
    /// See there.
    pub auth: Auth,
    /// `accounts` of the configuration.
    pub settings: config::Accounts,
}

/// See the module.
pub struct Logins {
    parts: Parts,
    hasher: Hasher,
    throttle: Mutex<Throttle>,
}

impl Logins {
    /// Starts the threads that check passwords.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let config::Accounts { tries, tries_address, made_address, .. } = parts.settings;
        let allowance = Allowance { account: tries, address: tries_address, made: made_address };
        let throttle = Throttle::new(allowance);
        Ok(Self { parts, hasher: Hasher::start()?, throttle: Mutex::new(throttle) })
    }

    /// Makes an account and logs it in.
    pub async fn register(
        &self,
        user: UserId,
        password: Password,
        name: Option<&str>,
        address: IpAddr,
    ) -> Result<Tokens, Denied> {
        // `~` begins the names of those who are nobody.
        if user.as_str().starts_with('~') {
            return Err(Denied::Invalid("a user name does not begin with `~`".into()));
        }
        self.check_new(&password)?;
        let name = said_name(name).map_err(Denied::Invalid)?;
        // Also when it works: it is the number of accounts that is bounded.
        self.throttle.lock().make(address, Instant::now()).map_err(Denied::Throttled)?;
        // Names that tokens of others brought here are not free: who takes one would be that person.
        if self.parts.accounts.is_somebody(&user).await? {
            return Err(Denied::Taken);
        }
        let password_hash = self.hash(password).await?;
        let account = Account { user, name, password_hash, created_at: now_ms() };
        match self.parts.accounts.account_create(&account).await? {
            Made::New(()) => {
                self.throttle.lock().made(account.user.clone(), address, Instant::now());
                let asked = self.parts.ends.asked(&account.user);
                self.log_in_as(&account, asked).await
            }
            Made::There(()) | Made::Taken => Err(Denied::Taken),
        }
    }

    /// Checks the password and begins a log-in.
    pub async fn log_in(
        &self,
        user: &UserId,
        password: Password,
        address: IpAddr,
    ) -> Result<Tokens, Denied> {
        let (account, asked) = self.check(user, password, address).await?;
        self.log_in_as(&account, asked).await
    }

    /// The account, when it is its password, and since when what comes of that is good: from before
    /// the look at the account, so that whatever ends it meanwhile ends this too. Whether there is
    /// such an account cannot be told from the answer, nor from how long it takes.
    pub async fn check(
        &self,
        user: &UserId,
        password: Password,
        address: IpAddr,
    ) -> Result<(Account, u64), Denied> {
        let attempt = self.throttle.lock().begin(user, address, Instant::now());
        let attempt = attempt.map_err(Denied::Throttled)?;
        let asked = self.parts.ends.asked(user);
        match self.look(user, password).await {
            Ok(Some(account)) => {
                self.throttle.lock().right(&attempt, Instant::now());
                Ok((account, asked))
            }
            Ok(None) => Err(Denied::Wrong),
            Err(error) => {
                self.throttle.lock().not_tried(&attempt, Instant::now());
                Err(error)
            }
        }
    }

    /// Changes a refresh token for new tokens.
    pub async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Denied> {
        let accounts = &self.parts.accounts;
        // Without a turn of the writer for what anybody may make up.
        let login = accounts.login_of(&token.hash()).await?.ok_or(Denied::Ended)?;
        let (asked, now) = (self.parts.ends.asked(&login.user), now_ms());
        let until = Ends::login_until();
        let (refresh, new) = self.new_refresh(now);
        match accounts.login_rotate(&token.hash(), &new, now, GRACE_MS, until).await? {
            Rotation::Rotated(login) => {
                let account = accounts.account_get(&login.user).await?.ok_or(Denied::Ended)?;
                self.tokens(&account, asked, &login.id, refresh)
            }
            Rotation::Reused(login) => {
                tracing::warn!(user.id = %login.user,
                    "a refresh token of `{}` was used again; its log-in has ended", login.user);
                self.parts.ends.login_ended(&login.id).await;
                Err(Denied::Ended)
            }
            Rotation::Refused => Err(Denied::Ended),
            Rotation::TooMany { until } => {
                let wait = Duration::from_millis(until.saturating_sub(now));
                Err(Denied::Throttled(wait))
            }
        }
    }

    /// Ends a log-in, with its access tokens, and removes the device that it was on. One that has
    /// ended is what is wanted.
    pub async fn log_out(
        &self,
        token: &RefreshToken,
        installation: Option<&InstallationId>,
    ) -> Result<(), Denied> {
        let Parts { accounts, devices, .. } = &self.parts;
        let hash = token.hash();
        let Some(Login { user, .. }) = accounts.login_of(&hash).await? else { return Ok(()) };
        if let Some(installation) = installation {
            // First: when the log-in has ended, nobody can ask for this again.
            devices.device_delete(&user, installation).await?;
        }
        if let Some(login) = accounts.login_end(&hash, Ends::login_until()).await? {
            self.parts.ends.login_ended(&login.id).await;
        }
        Ok(())
    }

    /// Changes the password, ends every log-in and every token, and begins a new one.
    pub async fn change_password(
        &self,
        user: &UserId,
        current: Password,
        new: Password,
        address: IpAddr,
    ) -> Result<Tokens, Denied> {
        self.check_new(&new)?;
        let (old, _) = self.check(user, current, address).await?;
        let password_hash = self.hash(new).await?;
        let Parts { accounts, ends, .. } = &self.parts;
        let (was, is, ended) = (&old.password_hash, &password_hash, ends.of_user(user));
        if !accounts.account_set_password(user, was, is, &ended).await? {
            // Somebody else was faster.
            return Err(Denied::Wrong);
        }
        // Once more: the old password was good until now.
        ends.end(ends.of_user(user)).await?;
        let asked = ends.asked(user);
        self.log_in_as(&Account { password_hash, ..old }, asked).await
    }

    /// Checks the password and ends the account: its tokens, its devices, its memberships, its name
    /// for ever.
    pub async fn delete(
        &self,
        user: &UserId,
        password: Password,
        address: IpAddr,
    ) -> Result<(), Denied> {
        self.check(user, password, address).await?;
        let accounts = &self.parts.accounts;
        // First the tokens, which could bring it back into a room; last what makes it impossible
        // to ask for the rest again if it failed. Who logged in meanwhile goes after that.
        self.vanish(user).await?;
        accounts.account_delete(user, &self.parts.ends.of_user(user)).await?;
        self.vanish(user).await
    }

    async fn vanish(&self, user: &UserId) -> Result<(), Denied> {
        let Parts { rooms, devices, ends, telling, .. } = &self.parts;
        ends.end(ends.of_user(user)).await?;
        devices.devices_delete(user).await?;
        for room in rooms.member_vanish(user).await? {
            telling.of(&room).await;
        }
        Ok(())
    }

    /// Another name for people; none when it is empty. `None`: there is no such account.
    pub async fn rename(
        &self,
        user: &UserId,
        name: Option<&str>,
    ) -> Result<Option<Account>, Denied> {
        let name = said_name(name).map_err(Denied::Invalid)?;
        self.parts.accounts.account_rename(user, name.as_deref()).await?;
        self.account(user).await
    }

    /// The account, if there is one.
    pub async fn account(&self, user: &UserId) -> Result<Option<Account>, Denied> {
        Ok(self.parts.accounts.account_get(user).await?)
    }

    /// Characters that a password has at least.
    pub const fn password_min(&self) -> usize {
        self.parts.settings.password_min
    }

    fn check_new(&self, password: &Password) -> Result<(), Denied> {
        let least = self.parts.settings.password_min;
        if (least..=PASSWORD_MAX).contains(&password.chars()) {
            return Ok(());
        }
        Err(Denied::Invalid(format!("a password has {least} to {PASSWORD_MAX} characters")))
    }

    async fn look(&self, user: &UserId, password: Password) -> Result<Option<Account>, Denied> {
        let account = self.parts.accounts.account_get(user).await?;
        // No account has such a one, and its length is the client's own doing.
        if password.chars() > PASSWORD_MAX {
            return Ok(None);
        }
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let right = self.hasher.verify(password, hash).await.map_err(|Crowded| Denied::Crowded)?;
        Ok(account.filter(|_| right))
    }

    async fn hash(&self, password: Password) -> Result<String, Denied> {
        self.hasher.hash(password).await.map_err(|Crowded| Denied::Crowded)
    }

    async fn log_in_as(&self, account: &Account, asked: u64) -> Result<Tokens, Denied> {
        let Parts { accounts, ends, .. } = &self.parts;
        let (refresh, new) = self.new_refresh(now_ms());
        let login = Login { user: account.user.clone(), id: random_text::<16>() };
        let checked = &account.password_hash;
        let until = Ends::login_until();
        let begun = accounts.login_begin(&login, checked, &new, LOGINS_BESIDE, until).await?;
        for gone in begun.ok_or(Denied::Wrong)? {
            ends.login_ended(&gone.id).await;
        }
        self.tokens(account, asked, &login.id, refresh)
    }

    fn new_refresh(&self, now: u64) -> (RefreshToken, NewRefresh) {
        let token = RefreshToken::random();
        let expires_at = now.saturating_add(self.parts.settings.refresh_ttl.as_millis());
        let new = NewRefresh { hash: token.hash(), expires_at };
        (token, new)
    }

    fn tokens(
        &self,
        account: &Account,
        asked: u64,
        sid: &str,
        refresh: RefreshToken,
    ) -> Result<Tokens, Denied> {
        let Parts { secret, auth, settings, .. } = &self.parts;
        let expires_in = settings.access_ttl.get();
        let request = MintRequest {
            user: &account.user,
            name: account.name.as_deref(),
            rooms: &Grant::None,
            ttl: expires_in,
            sid: Some(sid),
            made_at_ms: Some(asked),
        };
        let access = mint(secret, auth, &request, now_ms())?;
        Ok(Tokens { user: account.user.clone(), access, expires_in, refresh })
    }
}
