//! Which devices of a member are told of a round, when it is due.

use moim_shared::store::pushes::{Candidate, NewPush, News, Target, Unwanted};

/// The pushes for a member: of the last message that somebody else said, one for each device; none
/// when the member has read it, or any of its devices has it. `now` in ms since 1970.
pub(super) fn decide(who: &Candidate, news: &[News], now: u64) -> Vec<NewPush> {
    let Some(last) = news.iter().find(|news| news.sender != who.user) else { return Vec::new() };
    if last.position <= who.read || last.position <= who.delivered {
        return Vec::new();
    }
    let push = |target: &Target| NewPush {
        user: who.user.clone(),
        device: target.installation.clone(),
        position: last.position,
        unwanted: unwanted(target, now),
    };
    who.targets.iter().map(push).collect()
}

/// Why nothing is to be heard there now.
pub(super) fn unwanted(target: &Target, now: u64) -> Option<Unwanted> {
    let quiet = || {
        let hours = target.quiet_hours?;
        hours.quiet_until(target.time_zone.as_ref(), now)
    };
    if target.muted {
        Some(Unwanted::DeviceMuted)
    } else if target.room_muted {
        Some(Unwanted::RoomMuted)
    } else {
        quiet().map(|_end| Unwanted::QuietHours)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use moim_shared::ids::{InstallationId, UserId};
    use moim_shared::position::Position;
    use moim_shared::quiet::{QuietHours, Zone};

    use super::*;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    const fn at(seq: u64) -> Position {
        Position::new(7, seq)
    }

    /// A device that wants everything.
    pub(in crate::notify) fn target(id: &str) -> Target {
        Target {
            installation: InstallationId::parse(id).unwrap(),
            muted: false,
            room_muted: false,
            quiet_hours: None,
            time_zone: None,
        }
    }

    fn who(id: &str, read: u64, delivered: u64) -> Candidate {
        let targets = vec![target("phone"), target("tablet")];
        Candidate { user: user(id), read: at(read), delivered: at(delivered), targets }
    }

    /// Of `joon` 9, of somebody else 8.
    fn news() -> [News; 2] {
        [(9, "joon"), (8, "mina")].map(|(n, by)| News { position: at(n), sender: user(by) })
    }

    fn told(who: &Candidate) -> Vec<(u64, Option<Unwanted>)> {
        let pushes = decide(who, &news(), 0);
        pushes.iter().map(|push| (push.position.seq, push.unwanted)).collect()
    }

    #[test]
    fn each_device_of_a_member_who_got_nothing_is_told_once_of_the_last_message() {
        assert_eq!(told(&who("ann", 0, 0)), [(9, None), (9, None)]);
        assert_eq!(told(&who("ann", 8, 8)), [(9, None), (9, None)]);
    }

    #[test]
    fn nobody_is_told_of_what_it_said_itself() {
        assert_eq!(told(&who("joon", 0, 0)), [(8, None), (8, None)]);
        assert_eq!(told(&who("joon", 0, 8)), []);
        let alone = &news()[..1];
        assert_eq!(decide(&who("joon", 0, 0), alone, 0), []);
    }

    #[test]
    fn nobody_is_told_of_what_it_has_read_or_what_one_of_its_devices_has() {
        assert_eq!(told(&who("ann", 9, 0)), []);
        assert_eq!(told(&who("ann", 0, 9)), []);
        assert_eq!(told(&who("ann", 0, 10)), []);
    }

    #[test]
    fn a_device_that_wants_nothing_is_kept_with_the_reason() {
        let mut ann = who("ann", 0, 0);
        ann.targets[0].muted = true;
        ann.targets[1].room_muted = true;
        let muted = [(9, Some(Unwanted::DeviceMuted)), (9, Some(Unwanted::RoomMuted))];
        assert_eq!(told(&ann), muted);
        let mut night = who("ann", 0, 0);
        night.targets[0].quiet_hours = Some(QuietHours::parse("23:00-07:00").unwrap());
        night.targets[0].time_zone = Some(Zone::parse("Asia/Seoul").unwrap());
        let reason = |now| decide(&night, &news(), now)[0].unwanted;
        // Midnight in Seoul is 15:00 in UTC.
        assert_eq!(reason(15 * 3_600_000), Some(Unwanted::QuietHours));
        assert_eq!(reason(3 * 3_600_000), None);
    }
}
