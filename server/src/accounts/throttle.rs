//! How often passwords may be tried, and accounts made. Pure; the clock is passed in.
//!
//! Each try is counted before the password is looked at and taken back when it was right, so that
//! many at once count as many. Three things are counted:
//!
//! - **The address**: 50 wrong ones in 5 minutes, then one each 6 s. IPv6 by its /64.
//! - **The account, from addresses that it never logged in from**: 10 wrong ones, then one after
//!   15 s, the next after 30 s, and so on up to 15 min; one is forgotten each 15 min.
//! - **The account, from an address that it did log in from**: the same, counted apart, whatever
//!   else that address is counted for: others behind it shut nobody out.
//!
//! New accounts of an address are counted by themselves.
//!
//! So whoever guesses gets about a hundred tries a day at one account however many addresses they
//! have, and the owner is not shut out by it: not where they logged in before, and devices that are
//! logged in renew their tokens without a password. From a new address the owner has to wait while
//! it is going on, and no longer than 15 min after it: what is refused counts for nothing. Pauses
//! bring a guesser nothing: what is forgotten in a while is no more than what is free in it.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use moim_shared::ids::UserId;

/// The tries of an address, and the accounts made there, count for so long.
const WINDOW: Duration = Duration::from_secs(300);

const FIRST_WAIT: Duration = Duration::from_secs(15);
const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// How long an address that an account logged in from stays known.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Entries of each kind that are kept. When there are more, those go first that matter least long.
const MOST: usize = 20_000;

/// How many tries are free.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// For an account.
    pub account: u32,
    /// For an address, in 5 minutes.
    pub address: u32,
    /// Accounts that an address may make in 5 minutes.
    pub made: u32,
}

/// A try that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Try {
    user: UserId,
    address: IpAddr,
    known: bool,
}

/// See the module.
pub struct Throttle {
    allowance: Allowance,
    addresses: Capped<IpAddr, Bucket>,
    makers: Capped<IpAddr, Bucket>,
    accounts: Capped<UserId, Strikes>,
    known: Capped<(UserId, IpAddr), Strikes>,
}

impl Throttle {
    /// Nothing was tried yet.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            addresses: Capped::default(),
            makers: Capped::default(),
            accounts: Capped::default(),
            known: Capped::default(),
        }
    }

    /// Counts a try of an account's password. Refused, it says when to come back.
    pub fn begin(&mut self, user: &UserId, address: IpAddr, now: Instant) -> Result<Try, Duration> {
        let Allowance { account, address: most, .. } = self.allowance;
        let address = network(address);
        let pair = (user.clone(), address);
        let known = self.known.get(&pair).is_some_and(|strikes| strikes.matters_until > now);
        if known {
            self.known.at(pair, now).strike(account, now)?;
        } else {
            self.addresses.get(&address).map_or(Ok(()), |bucket| bucket.free(most, now))?;
            self.accounts.at(user.clone(), now).strike(account, now)?;
        }
        self.addresses.at(address, now).take(most, now);
        Ok(Try { user: user.clone(), address, known })
    }

    /// Counts an account that is made, also when it is not in the end.
    pub fn make(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let (address, most) = (network(address), self.allowance.made);
        self.makers.get(&address).map_or(Ok(()), |bucket| bucket.free(most, now))?;
        self.makers.at(address, now).take(most, now);
        Ok(())
    }

    /// The account was made from there, which is as good as a log-in.
    pub fn made(&mut self, user: UserId, address: IpAddr, now: Instant) {
        self.known.at((user, network(address)), now).keep(now + KNOWN_FOR);
    }

    /// The password was right.
    pub fn right(&mut self, done: &Try, now: Instant) {
        self.made(done.user.clone(), done.address, now);
        self.not_tried(done, now);
    }

    /// It was not looked at in the end, or it was right: as if it had not been.
    pub fn not_tried(&mut self, done: &Try, now: Instant) {
        let most = self.allowance.account;
        let strikes = if done.known {
            self.known.get_mut(&(done.user.clone(), done.address))
        } else {
            self.accounts.get_mut(&done.user)
        };
        if let Some(strikes) = strikes {
            strikes.take_back(most);
        }
        if let Some(bucket) = self.addresses.get_mut(&done.address) {
            bucket.give_back(self.allowance.address, now);
        }
    }
}

/// Somebody who has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Something that is forgotten when it does not matter any more.
trait Passing {
    fn new(now: Instant) -> Self;
    fn matters_until(&self) -> Instant;
}

/// Wrong tries, each of which makes the next wait longer once there are too many.
struct Strikes {
    count: u32,
    /// One is forgotten each [`LONGEST_WAIT`] from then on.
    counted_from: Instant,
    /// None before this.
    next: Instant,
    matters_until: Instant,
}

impl Passing for Strikes {
    fn new(now: Instant) -> Self {
        Self { count: 0, counted_from: now, next: now, matters_until: now }
    }

    fn matters_until(&self) -> Instant {
        self.matters_until
    }
}

impl Strikes {
    /// Counts one, unless it has to wait.
    fn strike(&mut self, most: u32, now: Instant) -> Result<(), Duration> {
        if self.next > now {
            return Err(self.next - now);
        }
        self.forget(now);
        self.count += 1;
        self.next = now + wait(self.count, most);
        self.keep(self.next.max(self.counted_from + LONGEST_WAIT.saturating_mul(self.count)));
        Ok(())
    }

    fn take_back(&mut self, most: u32) {
        let last = wait(self.count, most);
        self.count = self.count.saturating_sub(1);
        self.next = self.next.checked_sub(last).unwrap_or(self.next);
    }

    /// Those whose time has come.
    fn forget(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_from).as_secs();
        let forgotten = u32::try_from(passed / LONGEST_WAIT.as_secs()).unwrap_or(u32::MAX);
        self.count = self.count.saturating_sub(forgotten);
        if self.count == 0 {
            self.counted_from = now;
        } else {
            self.counted_from += LONGEST_WAIT * forgotten;
        }
    }

    fn keep(&mut self, until: Instant) {
        self.matters_until = self.matters_until.max(until);
    }
}

/// After that many.
fn wait(count: u32, most: u32) -> Duration {
    match count.checked_sub(most) {
        None => Duration::ZERO,
        Some(over) => FIRST_WAIT.saturating_mul(1 << over.min(16)).min(LONGEST_WAIT),
    }
}

/// So many in a window, and then as fast as the window passes.
struct Bucket {
    used: f64,
    at: Instant,
}

impl Passing for Bucket {
    fn new(now: Instant) -> Self {
        Self { used: 0.0, at: now }
    }

    fn matters_until(&self) -> Instant {
        self.at + WINDOW
    }
}

impl Bucket {
    fn used(&self, most: u32, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.used - passed * f64::from(most) / WINDOW.as_secs_f64()).max(0.0)
    }

    fn free(&self, most: u32, now: Instant) -> Result<(), Duration> {
        let over = self.used(most, now) + 1.0 - f64::from(most);
        if over <= 0.0 { Ok(()) } else { Err(WINDOW.mul_f64(over / f64::from(most))) }
    }

    fn take(&mut self, most: u32, now: Instant) {
        *self = Self { used: self.used(most, now) + 1.0, at: now };
    }

    fn give_back(&mut self, most: u32, now: Instant) {
        *self = Self { used: (self.used(most, now) - 1.0).max(0.0), at: now };
    }
}

/// A map that stays small.
struct Capped<K, V>(HashMap<K, V>);

impl<K, V> Default for Capped<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone, V: Passing> Capped<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    fn at(&mut self, key: K, now: Instant) -> &mut V {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        self.0.entry(key).or_insert_with(|| V::new(now))
    }

    /// A tenth at once, so that it is not done for each one who comes.
    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, entry| entry.matters_until() > now);
        let over = (self.0.len() + MOST / 10).saturating_sub(MOST);
        let mut ends: Vec<Instant> = self.0.values().map(Passing::matters_until).collect();
        if over > 0 && over < ends.len() {
            let (_, last, _) = ends.select_nth_unstable(over);
            let last = *last;
            self.0.retain(|_, entry| entry.matters_until() > last);
        }
    }
}

#[cfg(test)]
mod tests;
