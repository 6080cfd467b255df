//! How ids and other small things look in the document.

use moim_shared::push_token::PushToken;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    Array, ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type,
};

use super::devices;

/// Why a request was refused (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described; `http/problem` writes it")]
pub struct Problem {
    /// Always `about:blank`: `code` says more.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What it is, for programs.
    #[schema(schema_with = code)]
    code: String,
    /// What it is, for the developer of the client.
    detail: String,
    /// When another try may help, in ms.
    #[schema(required = false, nullable = false)]
    #[serde(rename = "retryAfterMs")]
    retry_after_ms: Option<u64>,
}

fn code() -> Object {
    let codes = crate::refusal::Code::ALL.map(crate::refusal::Code::as_str);
    text().enum_values(Some(codes)).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The id of a room.
pub fn room() -> Object {
    text().pattern(Some("^[A-Za-z0-9._~-]{1,64}$")).examples([json!("lobby")]).build()
}

/// The id of a room to be made, or null for one that is made up.
pub fn new_room() -> Object {
    let free = r"^(?!dm~|direct$|\.{1,2}$)[A-Za-z0-9._~-]{1,64}$";
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .pattern(Some(free))
        .examples([json!("lobby")])
        .build()
}

/// The id of a user.
pub fn user() -> Object {
    // Printable ASCII but `/`, `:` and `\`.
    text().pattern(Some(r"^[!-.0-9;-\[\]-~]{1,128}$")).examples([json!("mina")]).build()
}

/// The id of a user that a path can say.
pub fn sayable_user() -> Object {
    text().pattern(Some(r"^(?!\.{1,2}$)[!-.0-9;-\[\]-~]{1,128}$")).examples([json!("mina")]).build()
}

/// The id of a user that has an account.
pub fn new_user() -> Object {
    text()
        .pattern(Some(r"^[!-.0-9;-\[\]-}][!-.0-9;-\[\]-~]{0,127}$"))
        .examples([json!("mina")])
        .build()
}

/// The name of an app on a device.
pub fn installation() -> Object {
    app().build()
}

/// The name of an app on a device, or none.
pub fn installation_or_null() -> Object {
    or_null(app())
}

fn app() -> ObjectBuilder {
    // Printable ASCII but `/`.
    text()
        .pattern(Some(r"^(?!\.{1,2}$)[!-.0-~]{1,128}$"))
        .examples([json!("550e8400-e29b-41d4-a716-446655440000")])
}

/// What a provider of pushes sends by, or none.
pub fn push_token() -> Object {
    or_null(text().pattern(Some("^[!-~]*$")).min_length(Some(1)).max_length(Some(PushToken::MAX)))
}

/// A language.
pub fn locale() -> Object {
    tag().build()
}

/// A language, or none.
pub fn locale_or_null() -> Object {
    or_null(tag())
}

fn tag() -> ObjectBuilder {
    text()
        .pattern(Some("^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"))
        .max_length(Some(devices::LOCALE_MOST))
        .examples([json!("ko-KR")])
}

/// A time zone.
pub fn zone() -> Object {
    text().examples([json!("Asia/Seoul")]).build()
}

/// A time zone, or none.
pub fn zone_or_null() -> Object {
    or_null(text().examples([json!("Asia/Seoul")]))
}

/// What a clock shows.
pub fn time_of_day() -> Object {
    text().pattern(Some("^([01][0-9]|2[0-3]):[0-5][0-9]$")).examples([json!("22:00")]).build()
}

/// Rooms that are muted.
pub fn muted_rooms() -> Array {
    ArrayBuilder::new().items(room()).max_items(Some(devices::MUTED_MOST)).build()
}

fn or_null(builder: ObjectBuilder) -> Object {
    builder.schema_type(SchemaType::from_iter([Type::String, Type::Null])).build()
}

/// A name for people, or null for none.
pub fn shown_name() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .max_length(Some(crate::token::MAX_NAME_CHARS))
        .pattern(Some(concat!(
            r"^[^\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e",
            r"\u2060-\u2064\u2066-\u2069\ufeff]*$"
        )))
        .description(Some("For people; empty or null is none."))
        .build()
}

/// A password that there is.
pub fn password() -> Object {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).build()
}

/// A password that there is to be. The shortest is a matter of configuration.
pub fn new_password() -> Object {
    text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .min_length(Some(1))
        .max_length(Some(crate::accounts::PASSWORD_MAX))
        .build()
}

/// Puts the shortest password into a finished document.
pub fn set_password_min(document: &mut serde_json::Value, least: usize) {
    let schemas = document.pointer_mut("/components/schemas");
    for schema in schemas.and_then(|all| all.as_object_mut()).into_iter().flatten() {
        let properties = schema.1.get_mut("properties").and_then(|all| all.as_object_mut());
        for (_, property) in properties.into_iter().flatten() {
            if property["format"] == "password" && property.get("minLength").is_some() {
                property["minLength"] = least.into();
            }
        }
    }
}

/// A refresh token.
pub fn refresh_token() -> Object {
    text().pattern(Some("^[A-Za-z0-9_-]{43}$")).build()
}

/// A position in a room.
pub fn position() -> Object {
    // Up to 2^63, as far as the database counts.
    let pattern = "^[0-9]{1,18}-[0-9]{1,18}$";
    text().pattern(Some(pattern)).examples([json!("1767225600000-41")]).build()
}

/// A message's id.
pub fn message_id() -> Object {
    let pattern = "^[A-Za-z0-9._~-]{1,64}/[0-9]{1,18}-[0-9]{1,18}$";
    text().pattern(Some(pattern)).examples([json!("lobby/1767225600000-41")]).build()
}

/// A position in a room, or none.
pub fn position_or_null() -> Object {
    let mut position = position();
    position.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
    position
}

/// The name of a message.
pub fn origin() -> Object {
    // Printable ASCII but `:` and `\`.
    text().pattern(Some(r"^[!-9;-\[\]-~]{1,128}$")).build()
}

/// A media type.
pub fn content_type() -> Object {
    text().pattern(Some(r"^[\t -~]{0,255}$")).examples([json!("text/plain")]).build()
}

/// Bytes as text.
pub fn base64() -> Object {
    let fours = "[A-Za-z0-9+/]{4}";
    let rest = "[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";
    text()
        .content_encoding("base64")
        .pattern(Some(format!("^({fours})*({rest})?$")))
        .examples([json!("AP8=")])
        .build()
}

/// A point in time, or none.
pub fn time_or_null() -> Object {
    let mut time = time();
    time.schema_type = SchemaType::from_iter([Type::Integer, Type::Null]);
    time
}

/// A point in time.
pub fn time() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .maximum(Some(super::views::Time::MOST as i64))
        .description(Some("In ms since 1970."))
        .build()
}
