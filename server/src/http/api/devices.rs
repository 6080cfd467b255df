//! `/api/v1/me/devices`: where one's pushes go to, and when they are wanted.

use actix_web::{HttpResponse, web};
use moim_shared::clock::now_ms;
use moim_shared::config::Limits;
use moim_shared::ids::{InstallationId, RoomId};
use moim_shared::push_token::PushToken;
use moim_shared::quiet::{QuietHours, TimeOfDay, Zone};
use moim_shared::store::devices::{self, Device};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Api, Input, Json, Path, Table, Who, schema};
use crate::http::Problem;
use crate::refusal::{Code, Refusal};

pub(super) fn routes(table: &mut Table) {
    table.tag("me");
    table.add(__path_list, list, &[]);
    table.add(__path_put, put, &[]);
    table.add(__path_delete, delete, &[]);
}

/// Rooms that one device may have muted.
pub(super) const MUTED_MOST: usize = 1_000;

/// Characters of a locale.
pub(super) const LOCALE_MOST: usize = 64;

/// A device in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OfMine {
    #[param(required = true, schema_with = schema::installation)]
    installation: InstallationId,
}

/// What a device runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Platform {
    /// An Android app.
    Android,
    /// An app on an iPhone or iPad.
    Ios,
    /// A browser.
    Web,
}

/// When nothing shall be heard each day, over midnight where `to` is the earlier one. From a time to
/// the same is never.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuietHours)]
struct Quiet {
    #[schema(schema_with = schema::time_of_day)]
    from: TimeOfDay,
    #[schema(schema_with = schema::time_of_day)]
    to: TimeOfDay,
}

/// A device as it is to be. What is left out is as if it was never said.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewDevice)]
struct Wanted {
    /// The registration token of FCM. Without one the device gets no pushes.
    #[schema(schema_with = schema::push_token, required = false)]
    token: Option<PushToken>,
    platform: Platform,
    /// The language of pushes (BCP 47).
    #[schema(schema_with = schema::locale_or_null, required = false)]
    locale: Option<String>,
    /// By which the quiet hours count (a name of the IANA database); UTC when it is left out.
    #[schema(schema_with = schema::zone_or_null, required = false)]
    time_zone: Option<Zone>,
    /// Nothing shall be heard on this device.
    #[serde(default)]
    #[schema(required = false, default = false)]
    muted: bool,
    /// What was said may stand in a push.
    #[serde(default = "yes")]
    #[schema(required = false, default = true)]
    preview: bool,
    #[schema(required = false)]
    quiet_hours: Option<Quiet>,
    /// Rooms of which nothing shall be heard on this device.
    #[serde(default)]
    #[schema(schema_with = schema::muted_rooms, required = false)]
    muted_rooms: Vec<RoomId>,
}

const fn yes() -> bool {
    true
}

impl Input for Wanted {
    fn most(_limits: &Limits) -> usize {
        // As many rooms with the longest ids, and the longest token.
        128 * 1024
    }
}

impl Wanted {
    fn device(self, installation: InstallationId) -> Result<Device, Problem> {
        let bad = |detail: String| Problem::from(Refusal::new(Code::BadRequest, detail));
        if self.muted_rooms.len() > MUTED_MOST {
            return Err(bad(format!("mutedRooms are at most {MUTED_MOST}")));
        }
        if self.locale.as_deref().is_some_and(|locale| !is_locale(locale)) {
            let detail = format!(
                "a locale is a BCP 47 tag such as `ko-KR`, of at most {LOCALE_MOST} characters"
            );
            return Err(bad(detail));
        }
        let mut muted_rooms = self.muted_rooms;
        muted_rooms.sort_unstable();
        muted_rooms.dedup();
        Ok(Device {
            installation,
            token: self.token,
            platform: self.platform.into(),
            locale: self.locale,
            time_zone: self.time_zone,
            muted: self.muted,
            preview: self.preview,
            quiet_hours: self.quiet_hours.map(|Quiet { from, to }| QuietHours { from, to }),
            muted_rooms,
            seen_at: now_ms(),
        })
    }
}

/// The form of a tag (RFC 5646, section 2.1): subtags of up to eight letters and digits, and letters
/// alone in the first. Whether they stand for a language is for who writes in it.
fn is_locale(text: &str) -> bool {
    let first = text.split('-').next().unwrap_or_default();
    let is_tag =
        |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    text.len() <= LOCALE_MOST
        && text.split('-').all(is_tag)
        && first.bytes().all(|b| b.is_ascii_alphabetic())
}

/// A device of one's own.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Device)]
struct View {
    #[schema(schema_with = schema::installation)]
    installation: InstallationId,
    /// Pushes go to it. The token itself is never shown.
    has_token: bool,
    platform: Platform,
    /// The language of pushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::locale)]
    locale: Option<String>,
    /// By which the quiet hours count; UTC when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = schema::zone)]
    time_zone: Option<Zone>,
    muted: bool,
    preview: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    quiet_hours: Option<Quiet>,
    /// By id.
    #[schema(schema_with = schema::muted_rooms)]
    muted_rooms: Vec<RoomId>,
    /// When it was put or connected last, to a day.
    #[schema(schema_with = schema::time)]
    seen_at: u64,
}

impl From<Device> for View {
    fn from(device: Device) -> Self {
        Self {
            installation: device.installation,
            has_token: device.token.is_some(),
            platform: device.platform.into(),
            locale: device.locale,
            time_zone: device.time_zone,
            muted: device.muted,
            preview: device.preview,
            quiet_hours: device.quiet_hours.map(|QuietHours { from, to }| Quiet { from, to }),
            muted_rooms: device.muted_rooms,
            seen_at: device.seen_at,
        }
    }
}

impl From<Platform> for devices::Platform {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Android => Self::Android,
            Platform::Ios => Self::Ios,
            Platform::Web => Self::Web,
        }
    }
}

impl From<devices::Platform> for Platform {
    fn from(platform: devices::Platform) -> Self {
        match platform {
            devices::Platform::Android => Self::Android,
            devices::Platform::Ios => Self::Ios,
            devices::Platform::Web => Self::Web,
        }
    }
}

/// One's own devices.
#[derive(Serialize, ToSchema)]
struct OwnDevices {
    devices: Vec<View>,
}

/// Your devices
#[utoipa::path(get, path = "/api/v1/me/devices", operation_id = "listDevices",
    responses((status = 200, body = OwnDevices, description = "By installation: 20 at most.")))]
async fn list(who: Who, api: web::Data<Api>) -> Result<Json<OwnDevices>, Problem> {
    let devices = api.devices.devices_of(&who.0.user).await?;
    Ok(Json(OwnDevices { devices: devices.into_iter().map(View::from).collect() }))
}

/// Register a device, or change it
///
/// The app names its installation, says all of it each time, and again now and then: one that was
/// neither put nor connected (CONNECT with `device:`) for 270 days loses its token. A token belongs
/// to the device that was put with it last, whoever's it is. A user has 20 devices; a further one
/// takes the place of the one not seen for longest. When the password changes or all log-ins end,
/// all devices go: put yours again.
#[utoipa::path(put, path = "/api/v1/me/devices/{installation}", operation_id = "putDevice",
    params(OfMine), request_body = Wanted,
    responses((status = 200, body = View, description = "It is so now.")))]
async fn put(
    who: Who,
    Path(path): Path<OfMine>,
    Json(wanted): Json<Wanted>,
    api: web::Data<Api>,
) -> Result<Json<View>, Problem> {
    let device = wanted.device(path.installation)?;
    api.devices.device_put(&who.0.user, &device).await?;
    Ok(Json(device.into()))
}

/// Remove a device
///
/// It gets no more pushes. One that there is not is what is wanted.
#[utoipa::path(delete, path = "/api/v1/me/devices/{installation}", operation_id = "deleteDevice",
    params(OfMine), responses((status = 204, description = "Gone.")))]
async fn delete(
    who: Who,
    Path(path): Path<OfMine>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    api.devices.device_delete(&who.0.user, &path.installation).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_looks_like_a_tag() {
        for good in ["de", "ko-KR", "zh-Hant-TW", "x-klingon", "de-CH-1996", "en-u-hc-h23"] {
            assert!(is_locale(good), "{good}");
        }
        let long = format!("de{}", "-abcdefgh".repeat(7));
        for bad in ["", "-", "de-", "-de", "en_US", "de--DE", "d1", "abcdefghi", "한국", &long] {
            assert!(!is_locale(bad), "{bad}");
        }
    }
}
