//! Who may try, and when again.

use super::*;

const ALLOWANCE: Allowance = Allowance { account: 10, address: 50, made: 20 };

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How many of so many wrong tries are let through.
fn wrong(throttle: &mut Throttle, name: &str, from: IpAddr, tries: usize, now: Instant) -> usize {
    let name = user(name);
    (0..tries).filter(|_| throttle.begin(&name, from, now).is_ok()).count()
}

#[test]
fn an_account_has_ten_free_tries_and_then_waits_longer_each_time() {
    let (mut throttle, mut now) = (Throttle::new(ALLOWANCE), Instant::now());
    assert_eq!(wrong(&mut throttle, "ann", address(1), 1_000, now), 10);
    let mut waits = Vec::new();
    for from in 2..10 {
        let wait = throttle.begin(&user("ann"), address(from), now).unwrap_err();
        waits.push(wait.as_secs());
        now += wait;
        assert_eq!(wrong(&mut throttle, "ann", address(from), 5, now), 1);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 480, 900], "one was forgotten on the way");
    assert_eq!(wrong(&mut throttle, "bob", address(1), 5, now), 5, "others are not concerned");
}

#[test]
fn what_is_refused_does_not_make_it_longer_and_one_is_forgotten_each_quarter_of_an_hour() {
    let (mut throttle, start) = (Throttle::new(ALLOWANCE), Instant::now());
    wrong(&mut throttle, "ann", address(1), 10, start);
    for second in 0..15 {
        assert_eq!(wrong(&mut throttle, "ann", address(2), 100, start + secs(second)), 0);
    }
    assert_eq!(wrong(&mut throttle, "ann", address(3), 1, start + secs(15)), 1);
    let later = start + 4 * LONGEST_WAIT;
    assert_eq!(wrong(&mut throttle, "ann", address(4), 20, later), 3);
    let much_later = later + 20 * LONGEST_WAIT;
    assert_eq!(wrong(&mut throttle, "ann", address(5), 20, much_later), 10);
}

#[test]
fn however_long_one_pauses_between_tries_there_are_few_in_a_day() {
    let start = Instant::now();
    let day = start + secs(86_400);
    let mut most = 0;
    for pause in (0..7_200).step_by(30).map(secs) {
        for at_once in [1, 5, 9, 10, 20] {
            let (mut throttle, mut now, mut tries) = (Throttle::new(ALLOWANCE), start, 0);
            while now < day {
                tries += wrong(&mut throttle, "ann", address(1), at_once, now);
                let next = throttle.accounts.get(&user("ann")).unwrap().next;
                now = (now + pause).max(next).max(now + secs(1));
            }
            most = most.max(tries);
        }
    }
    assert!((90..120).contains(&most), "{most}");
}

#[test]
fn who_logged_in_from_there_before_is_not_shut_out_by_others() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    let ann = user("ann");
    let home = throttle.begin(&ann, address(1), now).unwrap();
    throttle.right(&home, now);
    for attacker in 2..50 {
        wrong(&mut throttle, "ann", address(attacker), 50, now);
    }
    assert!(throttle.begin(&ann, address(99), now).is_err(), "a new address waits");
    let again = throttle.begin(&ann, address(1), now).unwrap();
    throttle.right(&again, now);
    // There, too, there is an end to it.
    assert_eq!(wrong(&mut throttle, "ann", address(1), 1_000, now), 10);
    // Known for a month, whatever was tried meanwhile.
    let much_later = now + KNOWN_FOR - secs(1);
    assert_eq!(wrong(&mut throttle, "ann", address(1), 1, much_later), 1);
}

#[test]
fn the_right_password_costs_nothing() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    wrong(&mut throttle, "ann", address(1), 9, now);
    for _ in 0..1_000 {
        let right = throttle.begin(&user("ann"), address(1), now).unwrap();
        throttle.right(&right, now);
    }
    let untried = throttle.begin(&user("bob"), address(1), now).unwrap();
    throttle.not_tried(&untried, now);
    assert_eq!(wrong(&mut throttle, "bob", address(1), 100, now), 10);
}

#[test]
fn many_at_once_count_as_many() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    let ann = user("ann");
    let under_way: Vec<_> =
        (0..100).filter_map(|_| throttle.begin(&ann, address(1), now).ok()).collect();
    assert_eq!(under_way.len(), 10);
}

#[test]
fn an_address_has_fifty_in_five_minutes_and_then_one_each_six_seconds() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    let tries = |throttle: &mut Throttle, now| {
        (0..1_000)
            .filter(|n| throttle.begin(&user(&format!("u{n}")), address(1), now).is_ok())
            .count()
    };
    assert_eq!(tries(&mut throttle, now), 50);
    let wait = throttle.begin(&user("more"), address(1), now).unwrap_err();
    assert!(wait > secs(5) && wait <= secs(6), "{wait:?}");
    assert!(throttle.begin(&user("more"), address(2), now).is_ok(), "another address");
    assert_eq!(tries(&mut throttle, now + secs(61)), 10);
    assert_eq!(tries(&mut throttle, now + secs(61) + WINDOW), 50);
}

#[test]
fn an_ipv6_address_counts_by_its_network_and_a_mapped_one_as_what_it_is() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    let ipv6 = |n: u64| format!("2001:db8::{n:x}").parse::<IpAddr>().unwrap();
    let passed = (0..100).filter(|n| throttle.make(ipv6(*n), now).is_ok()).count();
    assert_eq!(passed, 20);
    assert!(throttle.make("2001:db8:0:1::1".parse().unwrap(), now).is_ok());
    let mapped = "::ffff:192.0.2.1".parse().unwrap();
    for _ in 0..20 {
        throttle.make(mapped, now).unwrap();
    }
    assert!(throttle.make(address(1), now).is_err());
}

#[test]
fn memory_is_bounded_and_those_who_matter_longest_stay() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    for from in 0..5 {
        wrong(&mut throttle, "ann", address(from), 50, now);
    }
    for n in 0..3 * MOST {
        let from = IpAddr::from(u32::try_from(n + 1_000).unwrap().to_be_bytes());
        let _ = throttle.begin(&user(&format!("u{n}")), from, now);
    }
    assert!(throttle.accounts.0.len() <= MOST && throttle.addresses.0.len() <= MOST);
    assert!(throttle.begin(&user("ann"), address(77), now).is_err());
}

#[test]
fn others_behind_an_address_shut_nobody_out_who_logged_in_from_there() {
    let (mut throttle, now) = (Throttle::new(ALLOWANCE), Instant::now());
    throttle.made(user("ann"), address(1), now);
    for n in 0..100 {
        wrong(&mut throttle, &format!("u{n}"), address(1), 10, now);
    }
    assert!(throttle.begin(&user("bob"), address(1), now).is_err());
    assert!(throttle.begin(&user("ann"), address(1), now).is_ok());
    assert!(throttle.make(address(1), now).is_ok(), "accounts are counted by themselves");
}
