//! `/admin/v1/messages/{id}/passport`: where a message has been, and on which devices.

use std::collections::BTreeMap;

use actix_web::web;
use moim_shared::broker::BrokerError;
use moim_shared::ids::{InstallationId, RoomId, UserId};
use moim_shared::position::Position;
use moim_shared::store::cursors::Delivered;
use moim_shared::store::pushes::{PushRecord, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin::Operator;
use super::{Api, Json, Path, Query, Table, UserPaging, page, schema};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};

pub(super) fn routes(table: &mut Table) {
    table.tag("admin");
    table.add(__path_passport, passport, &[404]);
    table.add(__path_passport_of, passport_of, &[404]);
}

/// A message by its room and position.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct At {
    #[param(required = true, schema_with = schema::room)]
    room: RoomId,
    #[param(required = true, schema_with = schema::position)]
    position: Position,
}

/// A message by its id.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct ById {
    /// `message-id`: `room/position`, with the slash as `%2F`.
    #[param(required = true, schema_with = schema::message_id)]
    id: String,
}

/// Where a message has been.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Passport {
    /// `message-id`.
    id: String,
    #[schema(schema_with = schema::room)]
    room: RoomId,
    #[schema(schema_with = schema::position)]
    position: Position,
    #[schema(schema_with = schema::user)]
    sender: UserId,
    /// The sender's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::origin)]
    origin_id: Option<String>,
    /// When a node took it.
    #[schema(schema_with = schema::time)]
    accepted: u64,
    /// It is where it survives everything: what is stored was confirmed. Left out while it is not
    /// stored: then the node that took it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    confirmed: Option<bool>,
    /// It is in the database.
    stored: bool,
    /// The room's members now, by id, and their devices.
    members: Vec<OfMember>,
    /// For `after`, when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    next: Option<String>,
}

/// What became of it for a member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OfMember {
    #[schema(schema_with = schema::user)]
    user: UserId,
    /// How far the member has read.
    #[schema(schema_with = schema::position)]
    read: Position,
    /// Devices that get pushes, or were given messages of this room.
    devices: Vec<OnDevice>,
}

/// What became of it on a device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnDevice {
    /// Left out: devices that name themselves in no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::installation)]
    installation: Option<InstallationId>,
    state: Fate,
    /// Why it is so: of `suppressed` one of `sender`, `read`, `delivered` (elsewhere),
    /// `device_muted`, `room_muted`, `quiet_hours`, `not_a_member`, `no_device`, `gone`; of `failed`
    /// and `waiting` what the provider said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    why: Option<String>,
    /// Calls of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    attempts: Option<u32>,
    /// When the push was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::time)]
    kept_at: Option<u64>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::time)]
    ended_at: Option<u64>,
    /// It was pushed together with others, of which this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::position)]
    pushed_with: Option<Position>,
    /// The device was told as well that it was read elsewhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    taken_back: bool,
}

/// How far it came there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Fate {
    /// The device has it.
    Delivered,
    /// The provider took the push.
    Pushed,
    /// The push is to be sent, or is being sent.
    Waiting,
    /// The push can never be sent.
    Failed,
    /// There is no push, on purpose.
    Suppressed,
    /// It was not looked at yet whether the device is to be told.
    Pending,
}

/// Where a message has been
///
/// Accepted, in its place, stored, and what became of it on each device of the room's members now.
/// What is known of pushes is kept for 7 days.
#[utoipa::path(get, path = "/admin/v1/messages/{room}/{position}/passport",
    operation_id = "passport", security(("admin" = [])), params(At, UserPaging),
    responses((status = 200, body = Passport, description = "By users, in pages.")))]
async fn passport(
    api: web::Data<Api>,
    _: Operator,
    Path(at): Path<At>,
    Query(paging): Query<UserPaging>,
) -> Result<Json<Passport>, Problem> {
    look(&api, at, &paging).await
}

/// Where a message has been, by its id in one part of the path
#[utoipa::path(get, path = "/admin/v1/messages/{id}/passport", operation_id = "passportOfId",
    security(("admin" = [])), params(ById, UserPaging),
    responses((status = 200, body = Passport, description = "By users, in pages.")))]
async fn passport_of(
    api: web::Data<Api>,
    _: Operator,
    Path(ById { id }): Path<ById>,
    Query(paging): Query<UserPaging>,
) -> Result<Json<Passport>, Problem> {
    let parts = id.split_once('/').and_then(|(room, position)| {
        Some(At { room: RoomId::parse(room).ok()?, position: position.parse().ok()? })
    });
    let malformed = || Refusal::new(Code::BadRequest, "a message's id is `room/position`");
    look(&api, parts.ok_or_else(malformed)?, &paging).await
}

async fn look(api: &Api, at: At, paging: &UserPaging) -> Result<Json<Passport>, Problem> {
    let limit = paging.limit()?;
    let At { room, position } = at;
    let before = position.before();
    let kept = api.store.history(&room, before, 1, 1).await?.envelopes;
    let kept = kept.into_iter().find(|it| it.position == position);
    let (message, stored) = match kept {
        Some(kept) => (kept, true),
        None => {
            let log = match api.broker.read(&room, before, 1).await {
                Ok(page) => page.envelopes,
                // Without a log the database has all there is.
                Err(BrokerError::EpochRolled) => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            let known = log.into_iter().find(|it| it.position == position);
            let gone = || Refusal::new(Code::UnknownDestination, "there is no such message");
            (known.ok_or_else(gone)?, false)
        }
    };
    let readers = api.rooms.members_list(&room, paging.after.as_ref(), limit + 1).await?;
    let readers = page(readers, limit, |reader| reader.member.user.to_string());
    let users: Vec<UserId> = readers.items.iter().map(|it| it.member.user.clone()).collect();
    let mut devices: BTreeMap<UserId, Devices> = BTreeMap::new();
    for part in users.chunks(DEVICES_OF) {
        for (user, device) in api.devices.devices_of_users(part).await? {
            devices.entry(user).or_default().known.push(device.installation);
        }
    }
    for given in api.sessions.cursors.delivered_of(&room, &users).await? {
        devices.entry(given.user.clone()).or_default().given.push(given);
    }
    if let Some(last) = users.last() {
        let after = paging.after.as_ref();
        for push in api.pushes.pushes_of(&room, position, after, Some(last)).await? {
            devices.entry(push.user.clone()).or_default().pushes.push(push);
        }
    }
    let members = readers.items.into_iter().map(|reader| {
        let of = devices.remove(&reader.member.user).unwrap_or_default();
        let is_sender = reader.member.user == message.sender;
        let devices = fates(position, is_sender, reader.read, of);
        OfMember { user: reader.member.user, read: reader.read, devices }
    });
    Ok(Json(Passport {
        id: format!("{room}/{position}"),
        position,
        sender: message.sender.clone(),
        origin_id: message.origin.is_given().then(|| message.origin.to_string()),
        accepted: message.sent_at,
        confirmed: stored.then_some(true),
        stored,
        members: members.collect(),
        next: readers.next,
        room,
    }))
}

/// Users whose devices are asked for at once: a device that has muted a thousand rooms is 64 KiB.
const DEVICES_OF: usize = 50;

/// What is known of a member's devices.
#[derive(Debug, Default)]
struct Devices {
    /// Those that get pushes.
    known: Vec<InstallationId>,
    given: Vec<Delivered>,
    pushes: Vec<PushRecord>,
}

/// What became of the message at `at` on each device of a member.
fn fates(at: Position, is_sender: bool, read: Position, of: Devices) -> Vec<OnDevice> {
    let delivered = of.given.iter().any(|given| given.position >= at);
    let mut pushes: BTreeMap<InstallationId, PushRecord> = BTreeMap::new();
    for push in of.pushes {
        // The first that told of it; others told of it again with what came after.
        let device = push.device.clone();
        let first = pushes.entry(device).or_insert_with(|| push.clone());
        if push.position < first.position {
            *first = push;
        }
    }
    let mut devices: Vec<Option<InstallationId>> = of.known.into_iter().map(Some).collect();
    devices.extend(of.given.iter().map(|given| given.device.clone()));
    devices.extend(pushes.keys().cloned().map(Some));
    devices.sort_unstable();
    devices.dedup();
    let fate = |installation: Option<InstallationId>| {
        let has = |given: &&Delivered| given.device == installation && given.position >= at;
        let has = of.given.iter().find(has).is_some();
        let push = installation.as_ref().and_then(|it| pushes.get(it));
        let suppressed = |why: &str| (Fate::Suppressed, Some(why.to_owned()));
        let (state, why) = match push {
            _ if has => (Fate::Delivered, None),
            Some(push) => (of_push(push.state), push.reason.clone()),
            None if is_sender => suppressed("sender"),
            None if at <= read => suppressed("read"),
            None if delivered => suppressed("delivered"),
            None if installation.is_none() => suppressed("no_device"),
            None => (Fate::Pending, None),
        };
        OnDevice {
            state,
            why,
            attempts: push.map(|push| push.attempts),
            kept_at: push.map(|push| push.created_at),
            ended_at: push.and_then(|push| push.ended_at),
            pushed_with: push.map(|push| push.position).filter(|with| *with != at),
            taken_back: push.is_some_and(|push| push.cancelled),
            installation,
        }
    };
    devices.into_iter().map(fate).collect()
}

const fn of_push(state: State) -> Fate {
    match state {
        State::Waiting | State::Calling => Fate::Waiting,
        State::Sent => Fate::Pushed,
        State::Failed => Fate::Failed,
        State::Suppressed => Fate::Suppressed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: &str) -> InstallationId {
        InstallationId::parse(id).unwrap()
    }

    const fn at(seq: u64) -> Position {
        Position::new(7, seq)
    }

    fn push(device: &str, seq: u64, state: State, reason: Option<&str>) -> PushRecord {
        PushRecord {
            user: UserId::parse("ann").unwrap(),
            device: app(device),
            position: at(seq),
            state,
            reason: reason.map(str::to_owned),
            attempts: 1,
            created_at: 1,
            ended_at: None,
            cancelled: false,
        }
    }

    fn given(device: Option<&str>, seq: u64) -> Delivered {
        Delivered {
            room: RoomId::parse("r").unwrap(),
            user: UserId::parse("ann").unwrap(),
            device: device.map(app),
            position: at(seq),
        }
    }

    /// Of message 5: by device, how far it came and why.
    fn of(is_sender: bool, read: u64, devices: Devices) -> Vec<(String, Fate, Option<String>)> {
        let name = |it: Option<InstallationId>| it.map_or_else(String::new, |it| it.to_string());
        let fates = fates(at(5), is_sender, at(read), devices);
        fates.into_iter().map(|it| (name(it.installation), it.state, it.why)).collect()
    }

    fn known() -> Devices {
        let known = ["a", "b", "c"].map(app).into();
        Devices { known, ..Devices::default() }
    }

    #[test]
    fn each_device_says_whether_it_has_it_was_told_or_why_not() {
        let devices = Devices {
            given: vec![given(Some("a"), 5), given(Some("b"), 4)],
            pushes: vec![
                push("b", 6, State::Sent, None),
                push("c", 5, State::Suppressed, Some("quiet_hours")),
                push("d", 5, State::Failed, Some("unregistered")),
            ],
            ..known()
        };
        let why = |text: &str| Some(text.to_owned());
        let expected = [
            ("a".into(), Fate::Delivered, None),
            ("b".into(), Fate::Pushed, None),
            ("c".into(), Fate::Suppressed, why("quiet_hours")),
            ("d".into(), Fate::Failed, why("unregistered")),
        ];
        assert_eq!(of(false, 0, devices), expected);
    }

    #[test]
    fn where_there_is_no_push_it_says_why_or_that_none_is_due_yet() {
        let all = |fates: Vec<(String, Fate, Option<String>)>| -> Vec<_> {
            fates.into_iter().map(|(_, fate, why)| (fate, why.unwrap_or_default())).collect()
        };
        let same = |fate, why: &str| vec![(fate, why.to_owned()); 3];
        assert_eq!(all(of(false, 4, known())), same(Fate::Pending, ""));
        assert_eq!(all(of(false, 5, known())), same(Fate::Suppressed, "read"));
        assert_eq!(all(of(true, 0, known())), same(Fate::Suppressed, "sender"));
        let elsewhere = Devices { given: vec![given(None, 9)], ..known() };
        let fates = of(false, 0, elsewhere);
        assert_eq!(fates[0], (String::new(), Fate::Delivered, None));
        assert_eq!(all(fates[1..].to_vec()), same(Fate::Suppressed, "delivered"));
    }

    #[test]
    fn of_two_pushes_the_first_that_told_of_it_counts() {
        let pushes = [9, 5].map(|seq| push("a", seq, State::Sent, None));
        let devices = Devices { pushes: pushes.into(), ..Devices::default() };
        assert_eq!(fates(at(5), false, at(0), devices)[0].pushed_with, None);
        let pushes = vec![push("a", 9, State::Waiting, Some("busy"))];
        let devices = Devices { pushes, ..Devices::default() };
        let fates = fates(at(5), false, at(0), devices);
        assert_eq!((fates[0].state, fates[0].pushed_with), (Fate::Waiting, Some(at(9))));
    }
}
