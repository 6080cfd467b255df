//! Which token a session came with, as far as its end has to find it. Pure.

use moim_shared::ids::UserId;
use moim_shared::store::accounts::{Revocation, Subject};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// `sid`: the log-in that it is of.
    pub login: Option<Box<str>>,
    /// `jti`: the token itself.
    pub token: Option<Box<str>>,
    /// `iat`, in ms since 1970.
    pub issued_at_ms: Option<u64>,
}

impl Proof {
    /// Whether the revocation ends this token of `user`. One that does not say when it was made
    /// may be of any time.
    pub fn is_revoked_by(&self, user: &UserId, revocation: &Revocation) -> bool {
        let meant = match &revocation.subject {
            Subject::User(subject) => subject == user,
            Subject::Login(login) => self.login.as_deref() == Some(login),
            Subject::Token(token) => self.token.as_deref() == Some(token),
        };
        meant && self.issued_at_ms.is_none_or(|made| made < revocation.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(subject: Subject, before: u64) -> Revocation {
        Revocation { subject, before, until: u64::MAX }
    }

    #[test]
    fn a_revocation_ends_what_was_made_before_it_and_nothing_else() {
        let ann = UserId::parse("ann").unwrap();
        let bob = UserId::parse("bob").unwrap();
        let login = Some("l1".into());
        let proof = Proof { login, token: Some("t1".into()), issued_at_ms: Some(1_000) };
        for (subject, meant) in [
            (Subject::User(ann.clone()), true),
            (Subject::User(bob), false),
            (Subject::Login("l1".into()), true),
            (Subject::Login("l2".into()), false),
            (Subject::Token("t1".into()), true),
            (Subject::Token("t2".into()), false),
        ] {
            assert_eq!(proof.is_revoked_by(&ann, &revoked(subject.clone(), 1_001)), meant);
            assert!(!proof.is_revoked_by(&ann, &revoked(subject, 1_000)), "made after it");
        }
    }

    #[test]
    fn a_token_that_does_not_say_when_it_was_made_ends_with_its_user() {
        let ann = UserId::parse("ann").unwrap();
        let revocation = revoked(Subject::User(ann.clone()), 1);
        assert!(Proof::default().is_revoked_by(&ann, &revocation));
    }
}
