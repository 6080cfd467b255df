//! Tokens that ended before their time, as this node knows them. In memory, since every request
//! asks; the database keeps them, and other nodes tell what is new.
//!
//! It grows by an entry for each user whose tokens were ever revoked, of about 100 bytes.

use std::collections::HashMap;
use std::hash::Hash;

use moim_shared::ids::UserId;
use moim_shared::store::accounts::{Revocation, Subject};
use parking_lot::RwLock;

use super::Proof;

/// See the module.
#[derive(Default)]
pub struct Revoked {
    all: RwLock<All>,
}

#[derive(Default)]
struct All {
    users: HashMap<UserId, Span>,
    logins: HashMap<Box<str>, Span>,
    tokens: HashMap<Box<str>, Span>,
}

/// `before` and `until` of a [`Revocation`].
#[derive(Clone, Copy, Default)]
struct Span {
    before: u64,
    until: u64,
}

impl Revoked {
    /// From now on it counts. False: that much was known.
    pub fn add(&self, revocation: &Revocation) -> bool {
        let mut all = self.all.write();
        let span = match &revocation.subject {
            Subject::User(user) => all.users.entry(user.clone()).or_default(),
            Subject::Login(login) => all.logins.entry(login.as_str().into()).or_default(),
            Subject::Token(token) => all.tokens.entry(token.as_str().into()).or_default(),
        };
        let new = revocation.before > span.before;
        span.before = span.before.max(revocation.before);
        span.until = span.until.max(revocation.until);
        new
    }

    /// Forgets those whose tokens have all expired by `now`.
    pub fn forget(&self, now: u64) {
        fn live<K: Eq + Hash>(spans: &mut HashMap<K, Span>, now: u64) {
            spans.retain(|_, span| span.until > now);
        }
        let mut all = self.all.write();
        live(&mut all.users, now);
        live(&mut all.logins, now);
        live(&mut all.tokens, now);
    }

    /// Whether this token of `user` has ended. One that does not say when it was made may be of any
    /// time.
    pub fn holds(&self, user: &UserId, proof: &Proof) -> bool {
        let all = self.all.read();
        let ended = |span: &Span| proof.issued_at_ms.is_none_or(|made| made < span.before);
        let login = proof.login.as_deref().and_then(|login| all.logins.get(login));
        let token = proof.token.as_deref().and_then(|token| all.tokens.get(token));
        [all.users.get(user), login, token].into_iter().flatten().any(ended)
    }

    /// The time from which on a token of the user has to be made to be good, in ms since 1970.
    pub fn good_from(&self, user: &UserId) -> u64 {
        self.all.read().users.get(user).map_or(0, |span| span.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn revoked(subject: Subject, before: u64) -> Revocation {
        Revocation { subject, before, until: before + 1_000 }
    }

    fn proof(login: &str, token: &str, made: u64) -> Proof {
        Proof { login: Some(login.into()), token: Some(token.into()), issued_at_ms: Some(made) }
    }

    #[test]
    fn what_was_made_before_has_ended_and_what_is_made_then_is_good() {
        let all = Revoked::default();
        assert!(!all.holds(&user("ann"), &proof("l", "t", 1)));
        assert!(all.add(&revoked(Subject::User(user("ann")), 500)));
        assert!(all.holds(&user("ann"), &proof("l", "t", 499)));
        assert!(!all.holds(&user("ann"), &proof("l", "t", all.good_from(&user("ann")))));
        assert!(all.holds(&user("ann"), &Proof::default()), "it may be of any time");
        assert!(!all.holds(&user("bob"), &proof("l", "t", 1)));
    }

    #[test]
    fn one_log_in_and_one_token_end_alone() {
        let all = Revoked::default();
        all.add(&revoked(Subject::Login("l1".into()), 500));
        all.add(&revoked(Subject::Token("t1".into()), 500));
        let ann = user("ann");
        assert!(all.holds(&ann, &proof("l1", "t0", 1)) && all.holds(&ann, &proof("l0", "t1", 1)));
        assert!(!all.holds(&ann, &proof("l0", "t0", 1)));
        assert!(!all.holds(&ann, &proof("t1", "l1", 1)), "a name of one kind is none of another");
    }

    #[test]
    fn of_two_the_later_counts_and_what_is_known_is_not_new() {
        let all = Revoked::default();
        assert!(all.add(&revoked(Subject::User(user("ann")), 500)));
        assert!(!all.add(&revoked(Subject::User(user("ann")), 500)));
        assert!(!all.add(&revoked(Subject::User(user("ann")), 400)));
        assert_eq!(all.good_from(&user("ann")), 500);
        assert!(all.add(&revoked(Subject::User(user("ann")), 600)));
    }

    #[test]
    fn it_forgets_what_has_expired_by_itself() {
        let all = Revoked::default();
        all.add(&revoked(Subject::User(user("ann")), 500));
        all.forget(1_499);
        assert_eq!(all.good_from(&user("ann")), 500);
        all.forget(1_500);
        assert_eq!(all.good_from(&user("ann")), 0);
    }
}
