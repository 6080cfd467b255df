//! Who may change what in a room. Pure: rows in, a decision out; the store carries it out in the
//! transaction in which it read them.

use crate::ids::UserId;

/// What a member may do beside reading and sending. A larger one may all that a smaller one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing more.
    Member,
    /// Adds, removes, mutes and bans plain members, and names the room.
    Admin,
    /// Everything, roles and the room's end included.
    Owner,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Member, Self::Admin, Self::Owner];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A user's row in a room; a banned one has a row and is no member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The name for people, as a token or an account said it.
    pub name: Option<String>,
    /// What it may do.
    pub role: Role,
    /// When it came, in ms since 1970.
    pub joined_at: u64,
    /// May read and not send until then, in ms since 1970.
    pub muted_until: Option<u64>,
    /// May neither read nor send.
    pub banned: bool,
}

impl Member {
    /// A plain member that comes now.
    pub const fn new(user: UserId, name: Option<String>, joined_at: u64) -> Self {
        Self { user, name, role: Role::Member, joined_at, muted_until: None, banned: false }
    }
}

/// What somebody wants of a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// To come into a public room.
    Join {
        /// The name for people.
        name: Option<String>,
    },
    /// To go.
    Leave,
    /// To have somebody in, or otherwise than now. What is `None` stays as it is.
    Put {
        /// The role.
        role: Option<Role>,
        /// Muted until then; `Some(None)`: not any more.
        muted_until: Option<Option<u64>>,
        /// Shut out, or let in again.
        banned: Option<bool>,
    },
    /// To have somebody out.
    Kick,
}

/// What is known of a room when a change is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Anybody may join.
    pub public: bool,
    /// Who asks, if it has a row.
    pub actor: Option<Member>,
    /// About whom, if it has a row.
    pub target: Option<Member>,
    /// How long it is muted still that went so; of who has a row, none.
    pub kept_mute: Option<u64>,
    /// Owners that the room has.
    pub owners: usize,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is so already.
    Nothing,
    /// This row stands from now on.
    Put(Member),
    /// The row goes. A mute that runs is kept, or coming back would end it.
    Remove {
        /// How long it runs.
        muted_until: Option<u64>,
    },
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There is no such room.
    NoRoom,
    /// Who asks is no member, or the room is private.
    NotAMember,
    /// Who asks is banned.
    Banned,
    /// Who asks may not do this here, or not to this member.
    NotAllowed,
    /// A room keeps an owner while it has members.
    LastOwner,
    /// To leave is not to be kicked, and nobody bans or mutes itself.
    Oneself,
    /// There is no such member.
    NoMember,
}

/// Decides a change that `actor` asks for about `target` at `now` (ms since 1970).
pub fn decide(
    known: &Known,
    actor: &UserId,
    target: &UserId,
    change: Change,
    now: u64,
) -> Result<Decision, Denied> {
    if known.actor.as_ref().is_some_and(|member| member.banned) {
        return Err(Denied::Banned);
    }
    match change {
        Change::Join { name } => join(known, actor, name, now),
        Change::Leave => match &known.actor {
            None => Err(Denied::NotAMember),
            Some(member) if member.role == Role::Owner && known.owners < 2 => {
                Err(Denied::LastOwner)
            }
            Some(member) => Ok(remove(member, now)),
        },
        Change::Put { role, muted_until, banned } => {
            put(known, actor, target, (role, muted_until, banned), now)
        }
        Change::Kick => {
            let by = known.actor.as_ref().ok_or(Denied::NotAMember)?;
            if actor == target {
                return Err(Denied::Oneself);
            }
            if by.role == Role::Member {
                return Err(Denied::NotAllowed);
            }
            let member = known.target.as_ref().ok_or(Denied::NoMember)?;
            may_touch(by, member)?;
            // A kick is no pardon: who is banned stays so.
            Ok(if member.banned { Decision::Nothing } else { remove(member, now) })
        }
    }
}

/// Whether somebody whose row is `actor` may do what `least` may.
pub fn may(actor: Option<&Member>, least: Role) -> Result<(), Denied> {
    match actor {
        None => Err(Denied::NotAMember),
        Some(member) if member.banned => Err(Denied::Banned),
        Some(member) if member.role < least => Err(Denied::NotAllowed),
        Some(_) => Ok(()),
    }
}

fn join(known: &Known, actor: &UserId, name: Option<String>, now: u64) -> Result<Decision, Denied> {
    match &known.actor {
        Some(_) => Ok(Decision::Nothing),
        None if known.public => Ok(Decision::Put(known.comes(actor, name, now))),
        None => Err(Denied::NotAMember),
    }
}

fn remove(member: &Member, now: u64) -> Decision {
    Decision::Remove { muted_until: running(member.muted_until, now) }
}

/// A mute that is not over.
pub fn running(muted_until: Option<u64>, now: u64) -> Option<u64> {
    muted_until.filter(|until| *until > now)
}

impl Known {
    /// Somebody without a row, as it comes in.
    fn comes(&self, user: &UserId, name: Option<String>, now: u64) -> Member {
        let muted_until = running(self.kept_mute, now);
        Member { muted_until, ..Member::new(user.clone(), name, now) }
    }
}

fn put(
    known: &Known,
    actor: &UserId,
    target: &UserId,
    (role, muted_until, banned): (Option<Role>, Option<Option<u64>>, Option<bool>),
    now: u64,
) -> Result<Decision, Denied> {
    let by = known.actor.as_ref().ok_or(Denied::NotAMember)?;
    if by.role == Role::Member {
        return Err(Denied::NotAllowed);
    }
    let old = known.target.clone().unwrap_or_else(|| known.comes(target, None, now));
    let oneself = actor == target;
    // A mute of oneself is another's to lift, unless there is nobody above.
    let pardon = by.role != Role::Owner
        && muted_until.is_some_and(|until| until != running(old.muted_until, now));
    if oneself && (banned == Some(true) || matches!(muted_until, Some(Some(_))) || pardon) {
        return Err(Denied::Oneself);
    }
    if !oneself {
        may_touch(by, &old)?;
    }
    if role.is_some_and(|role| role > old.role) && by.role != Role::Owner {
        return Err(Denied::NotAllowed);
    }
    let mut new = old.clone();
    new.role = role.unwrap_or(old.role);
    new.muted_until = muted_until.unwrap_or(old.muted_until);
    new.banned = banned.unwrap_or(old.banned);
    if new.banned {
        new.role = Role::Member;
    }
    if old.role == Role::Owner && new.role != Role::Owner && known.owners < 2 {
        return Err(Denied::LastOwner);
    }
    let same = known.target.as_ref() == Some(&new);
    Ok(if same { Decision::Nothing } else { Decision::Put(new) })
}

/// Admins act on plain members, owners on everybody.
fn may_touch(by: &Member, member: &Member) -> Result<(), Denied> {
    if by.role == Role::Owner || by.role > member.role { Ok(()) } else { Err(Denied::NotAllowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn member(id: &str, role: Role) -> Member {
        Member { role, ..Member::new(user(id), None, 1) }
    }

    fn known(actor: Option<Member>, target: Option<Member>) -> Known {
        Known { public: false, actor, target, kept_mute: None, owners: 1 }
    }

    const MUTE: Change = Change::Put { role: None, muted_until: Some(Some(9)), banned: None };
    const BAN: Change = Change::Put { role: None, muted_until: None, banned: Some(true) };
    const ADD: Change = Change::Put { role: None, muted_until: None, banned: None };

    fn ask(known: &Known, target: &str, change: Change) -> Result<Decision, Denied> {
        decide(known, &user("ann"), &user(target), change, 5)
    }

    #[test]
    fn anybody_joins_a_public_room_and_nobody_a_private_one() {
        let join = || Change::Join { name: Some("Ann".into()) };
        let mut room = known(None, None);
        assert_eq!(ask(&room, "ann", join()), Err(Denied::NotAMember));
        room.public = true;
        let new = Member::new(user("ann"), Some("Ann".into()), 5);
        assert_eq!(ask(&room, "ann", join()), Ok(Decision::Put(new.clone())));
        room.actor = Some(new.clone());
        assert_eq!(ask(&room, "ann", join()), Ok(Decision::Nothing));
        room.actor = Some(Member { banned: true, ..new });
        assert_eq!(ask(&room, "ann", join()), Err(Denied::Banned));
    }

    #[test]
    fn a_mute_that_runs_outlives_going_and_coming() {
        let muted = |until| Member { muted_until: Some(until), ..member("bob", Role::Member) };
        for (until, kept) in [(9, Some(9)), (5, None)] {
            let gone = Ok(Decision::Remove { muted_until: kept });
            let mut room = known(Some(member("ann", Role::Admin)), Some(muted(until)));
            assert_eq!(ask(&room, "bob", Change::Kick), gone);
            room.actor = Some(muted(until));
            assert_eq!(ask(&room, "bob", Change::Leave), gone);
        }
        for (until, kept) in [(9, Some(9)), (5, None)] {
            let mut room = Known { kept_mute: Some(until), public: true, ..known(None, None) };
            let back = |done| matches!(done, Ok(Decision::Put(row)) if row.muted_until == kept);
            assert!(back(ask(&room, "ann", Change::Join { name: None })));
            room.actor = Some(member("ann", Role::Admin));
            assert!(back(ask(&room, "bob", ADD)));
            let pardon = Change::Put { role: None, muted_until: Some(None), banned: None };
            let Ok(Decision::Put(bob)) = ask(&room, "bob", pardon) else { panic!() };
            assert_eq!(bob.muted_until, None);
        }
    }

    #[test]
    fn the_last_owner_can_neither_leave_nor_step_down() {
        let owner = member("ann", Role::Owner);
        let mut room = known(Some(owner.clone()), Some(owner));
        let step_down = Change::Put { role: Some(Role::Admin), muted_until: None, banned: None };
        assert_eq!(ask(&room, "ann", Change::Leave), Err(Denied::LastOwner));
        assert_eq!(ask(&room, "ann", step_down.clone()), Err(Denied::LastOwner));
        room.owners = 2;
        assert_eq!(ask(&room, "ann", Change::Leave), Ok(Decision::Remove { muted_until: None }));
        assert!(matches!(ask(&room, "ann", step_down), Ok(Decision::Put(_))));
    }

    #[test]
    fn admins_act_on_plain_members_only() {
        for (actor, target, allowed) in [
            (Role::Member, Role::Member, false),
            (Role::Admin, Role::Member, true),
            (Role::Admin, Role::Admin, false),
            (Role::Admin, Role::Owner, false),
            (Role::Owner, Role::Admin, true),
            (Role::Owner, Role::Owner, true),
        ] {
            let mut room = known(Some(member("ann", actor)), Some(member("bob", target)));
            room.owners = 2;
            for change in [MUTE, BAN, Change::Kick] {
                let done = ask(&room, "bob", change.clone());
                assert_eq!(done.is_ok(), allowed, "{actor:?} {change:?} {target:?}: {done:?}");
            }
        }
    }

    #[test]
    fn only_an_owner_raises_a_role() {
        let raise = Change::Put { role: Some(Role::Admin), muted_until: None, banned: None };
        let by = |role| known(Some(member("ann", role)), Some(member("bob", Role::Member)));
        assert_eq!(ask(&by(Role::Admin), "bob", raise.clone()), Err(Denied::NotAllowed));
        assert!(ask(&by(Role::Owner), "bob", raise.clone()).is_ok());
        let admin = known(Some(member("ann", Role::Admin)), Some(member("ann", Role::Admin)));
        let oneself = Change::Put { role: Some(Role::Owner), muted_until: None, banned: None };
        assert_eq!(ask(&admin, "ann", oneself), Err(Denied::NotAllowed));
    }

    #[test]
    fn nobody_kicks_bans_or_mutes_itself() {
        let owner = member("ann", Role::Owner);
        let room = Known { owners: 2, ..known(Some(owner.clone()), Some(owner)) };
        for change in [Change::Kick, BAN, MUTE] {
            assert_eq!(ask(&room, "ann", change), Err(Denied::Oneself));
        }
    }

    #[test]
    fn an_admin_does_not_lift_its_own_mute_and_an_owner_does() {
        let pardon = || Change::Put { role: None, muted_until: Some(None), banned: None };
        let muted = |role, until| {
            let ann = Member { muted_until: Some(until), ..member("ann", role) };
            known(Some(ann.clone()), Some(ann))
        };
        assert_eq!(ask(&muted(Role::Admin, 9), "ann", pardon()), Err(Denied::Oneself));
        assert!(ask(&muted(Role::Admin, 5), "ann", pardon()).is_ok(), "it is over");
        assert!(ask(&muted(Role::Owner, 9), "ann", pardon()).is_ok());
        // What the page sends along says nothing new.
        let step_down =
            Change::Put { role: Some(Role::Member), muted_until: Some(None), banned: None };
        let admin = member("ann", Role::Admin);
        assert!(ask(&known(Some(admin.clone()), Some(admin)), "ann", step_down).is_ok());
    }

    #[test]
    fn a_ban_takes_the_role_away_and_outlives_a_kick() {
        let room = known(Some(member("ann", Role::Owner)), Some(member("bob", Role::Admin)));
        let Ok(Decision::Put(banned)) = ask(&room, "bob", BAN) else { panic!() };
        assert_eq!((banned.banned, banned.role), (true, Role::Member));
        let room = Known { target: Some(banned), ..room };
        assert_eq!(ask(&room, "bob", Change::Kick), Ok(Decision::Nothing));
        let pardon = Change::Put { role: None, muted_until: None, banned: Some(false) };
        assert!(matches!(ask(&room, "bob", pardon), Ok(Decision::Put(_))));
    }

    #[test]
    fn somebody_may_be_banned_before_it_ever_came() {
        let room = known(Some(member("ann", Role::Admin)), None);
        assert!(matches!(ask(&room, "bob", BAN), Ok(Decision::Put(bob)) if bob.banned));
        assert!(matches!(ask(&room, "bob", ADD), Ok(Decision::Put(bob)) if !bob.banned));
        assert_eq!(ask(&room, "bob", Change::Kick), Err(Denied::NoMember));
    }

    #[test]
    fn a_larger_role_may_what_a_smaller_one_may_unless_it_is_banned() {
        let admin = member("ann", Role::Admin);
        assert_eq!(may(Some(&admin), Role::Member), Ok(()));
        assert_eq!(may(Some(&admin), Role::Admin), Ok(()));
        assert_eq!(may(Some(&admin), Role::Owner), Err(Denied::NotAllowed));
        assert_eq!(may(None, Role::Member), Err(Denied::NotAMember));
        let banned = Member { banned: true, ..admin };
        assert_eq!(may(Some(&banned), Role::Member), Err(Denied::Banned));
    }

    #[test]
    fn strangers_and_plain_members_change_nobody() {
        assert_eq!(ask(&known(None, None), "bob", ADD), Err(Denied::NotAMember));
        let plain = known(Some(member("ann", Role::Member)), None);
        assert_eq!(ask(&plain, "bob", ADD), Err(Denied::NotAllowed));
    }
}
