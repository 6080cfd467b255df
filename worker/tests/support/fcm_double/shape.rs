//! What FCM takes for a message, held against its documentation and not a field more.

use serde_json::{Map, Value};

use super::{Answer, Taken};

const MESSAGE: &[&str] = &[
    "token",
    "topic",
    "condition",
    "data",
    "notification",
    "android",
    "webpush",
    "apns",
    "fcm_options",
];
const ANDROID: &[&str] = &[
    "collapse_key",
    "priority",
    "ttl",
    "restricted_package_name",
    "data",
    "notification",
    "fcm_options",
    "direct_boot_ok",
    "bandwidth_constrained_ok",
    "restricted_satellite_ok",
];

/// Bytes of keys and values that one device may be sent at once.
const DATA_MAX: usize = 4_096;

/// 28 days.
const TTL_MAX: f64 = 2_419_200.0;

/// The message of a request, for one device, or FCM's answer to one that is not right.
pub fn check(body: &[u8]) -> Result<Taken, Answer> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_syntax| Answer::invalid("", "Invalid JSON payload received."))?;
    let request = object(&body, "")?;
    only(request, &["message", "validate_only"], "")?;
    let message = object(request.get("message").unwrap_or(&Value::Null), "message")?;
    only(message, MESSAGE, "message")?;
    let targets = ["token", "topic", "condition"].map(|name| message.get(name));
    let [Some(Value::String(token)), None, None] = targets else {
        return Err(Answer::invalid("message", "Recipient of the message is not set."));
    };
    let data = match message.get("data") {
        Some(data) => object(data, "message.data")?.clone(),
        None => Map::new(),
    };
    let mut bytes = 0;
    let mut texts = Vec::new();
    for (place, (key, value)) in data.into_iter().enumerate() {
        let Value::String(value) = value else {
            let field = format!("message.data[{place}].value");
            let text = format!("Invalid value at '{field}' (TYPE_STRING), {value}");
            return Err(Answer::invalid(&field, &text));
        };
        if is_reserved(&key) {
            let text = format!("Invalid data payload key: {key}");
            return Err(Answer::invalid("message.data", &text));
        }
        bytes += key.len() + value.len();
        texts.push((key, value));
    }
    if bytes > DATA_MAX {
        return Err(Answer::invalid_somehow());
    }
    let android = message.get("android").cloned().unwrap_or_default();
    if !android.is_null() {
        check_android(object(&android, "message.android")?)?;
    }
    Ok(Taken { token: token.clone(), data: texts.into_iter().collect(), android })
}

fn check_android(android: &Map<String, Value>) -> Result<(), Answer> {
    only(android, ANDROID, "message.android")?;
    let wrong = |name: &str| Answer::invalid(&format!("message.android.{name}"), "Invalid value");
    for (name, value) in android {
        let good = match (name.as_str(), value) {
            ("collapse_key" | "restricted_package_name", value) => value.is_string(),
            ("priority", Value::String(text)) => {
                ["normal", "high", "NORMAL", "HIGH"].contains(&text.as_str())
            }
            ("ttl", Value::String(text)) => is_ttl(text),
            ("priority" | "ttl", _) => false,
            ("data" | "notification" | "fcm_options", value) => value.is_object(),
            (_, value) => value.is_boolean(),
        };
        if !good {
            return Err(wrong(name));
        }
    }
    Ok(())
}

/// A duration of protobuf in JSON: seconds, perhaps with a fraction, and an `s`.
fn is_ttl(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else { return false };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain && number.parse::<f64>().is_ok_and(|seconds| seconds <= TTL_MAX)
}

/// As the reference has it, and the page of errors, which is wider.
fn is_reserved(key: &str) -> bool {
    ["from", "message_type", "collapse_key", "gcm"].contains(&key)
        || ["google", "gcm.notification."].iter().any(|prefix| key.starts_with(prefix))
}

fn object<'a>(value: &'a Value, field: &str) -> Result<&'a Map<String, Value>, Answer> {
    value.as_object().ok_or_else(|| Answer::invalid(field, "Invalid value"))
}

fn only(object: &Map<String, Value>, known: &[&str], field: &str) -> Result<(), Answer> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let text = format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{field}': Cannot find \
                 field."
            );
            Err(Answer::invalid(field, &text))
        }
    }
}
