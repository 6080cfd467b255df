//! The OpenAPI document: what the routes say of themselves, and what holds for all of them.

use moim_shared::config::Limits;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Header, InfoBuilder, OpenApiBuilder, Ref, Response,
    ResponseBuilder, Server,
};
use utoipa::{PartialSchema, ToSchema};

use super::{Api, Offer, routes, schema};
use crate::http::problem::CONTENT_TYPE;

/// The security schemes' names.
const BEARER: &str = "bearer";
const ADMIN: &str = "admin";

/// Headings, in the order in which they are shown.
const TAGS: [(&str, &str); 5] = [
    ("accounts", "Accounts of this server, and their tokens."),
    ("me", "Whoever asks: the account, its devices, its rooms, how far it has read."),
    ("rooms", "Rooms and who is in them."),
    ("messages", "What was said in a room, and saying more."),
    ("admin", "For operators, with the token that `MOIM_ADMIN_TOKEN` names."),
];

/// The document as JSON, with the numbers of this server's configuration.
pub fn document(api: &Api, offer: Offer) -> String {
    let table = routes(offer);
    let info = InfoBuilder::new()
        .title("Moim")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description(&api.limits)))
        .build();
    let tags = TAGS.map(|(name, about)| {
        utoipa::openapi::tag::TagBuilder::new().name(name).description(Some(about)).build()
    });
    let used = |name: &str| {
        let items = table.paths.paths.values();
        let mut operations = items.flat_map(|item| {
            [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().flatten()
        });
        operations.any(|operation| operation.tags.iter().flatten().any(|tag| tag == name))
    };
    let tags: Vec<_> = tags.into_iter().filter(|tag| used(&tag.name)).collect();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .security(Some([SecurityRequirement::new(BEARER, [""; 0])]))
        .components(Some(components(table.schemas, offer.operators)))
        .paths(table.paths)
        .build();
    // It is made of texts and numbers: there is nothing in it that JSON cannot say.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    let password_min = api.logins.as_ref().map_or(1, |logins| logins.password_min());
    schema::set_password_min(&mut document, password_min);
    document.to_string()
}

fn components(
    schemas: Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>,
    operators: bool,
) -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("An access token: from a log-in here, or of your own making."));
    let mut components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(bearer.build()))
        .schema(schema::Problem::name(), schema::Problem::schema())
        .schemas_from_iter(schemas);
    if operators {
        let admin = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("What `MOIM_ADMIN_TOKEN` says, or the log at the start."));
        components = components.security_scheme(ADMIN, SecurityScheme::Http(admin.build()));
    }
    for (status, name, about) in REFUSALS {
        components = components.response(name, refusal(status, about));
    }
    components.build()
}

/// How requests are refused: by status, the name in the document, what it means.
const REFUSALS: [(u16, &str, &str); 10] = [
    (400, "BadRequest", "`bad_request`: not what this route takes; `detail` says what is wrong."),
    (401, "Unauthorized", "`bad_request`, `expired`: the credentials are missing, wrong or ended."),
    (403, "Forbidden", "`not_a_member`, `muted`, `banned`, `bad_request`: not for you."),
    (404, "NotFound", "`unknown_destination`: there is no such thing."),
    (408, "TooSlow", "`bad_request`: the body did not come in time."),
    (409, "Conflict", "`name_reused`, `bad_request`: the name is taken, or a rule forbids it now."),
    (413, "TooLarge", "`too_large`: larger than a limit."),
    (415, "WrongType", "`bad_request`: the body has to be `application/json`."),
    (429, "RateLimited", "`rate_limited`: too often; try again when `Retry-After` says."),
    (503, "Unavailable", "`busy`, `unavailable`: not now; try again when `Retry-After` says."),
];

/// The name of the refusal with this status. Every status that a route names has one.
pub(super) fn refusal_name(status: u16) -> &'static str {
    let known = REFUSALS.iter().find(|(own, ..)| *own == status);
    known.map_or("BadRequest", |(_, name, _)| name)
}

fn refusal(status: u16, about: &str) -> Response {
    let problem = Content::new(Some(Ref::from_schema_name(schema::Problem::name())));
    let mut response = ResponseBuilder::new().description(about).content(CONTENT_TYPE, problem);
    if status == 401 {
        response = response.header("WWW-Authenticate", header("The scheme: `Bearer`."));
    }
    if matches!(status, 429 | 503) {
        response = response.header("Retry-After", header("Seconds until another try may help."));
    }
    response.build()
}

fn header(about: &str) -> Header {
    let mut header = Header::new(String::schema());
    header.description = Some(about.to_owned());
    header
}

/// The limits are stated here, since clients have to know them.
fn description(limits: &Limits) -> String {
    format!(
        "Chat over STOMP (WebSocket at `/ws`) and over this API.\n\n\
         Refusals are problem documents (RFC 9457) whose `code` is one of a closed table. \
         Positions are texts `epoch-seq`, times are ms since 1970, unknown fields are refused.\n\n\
         One STOMP session may make {} SENDs a second on average with bursts of {}, hold {} \
         subscriptions, send bodies of {} in WebSocket messages of {}, ask for {} messages of \
         history at a SUBSCRIBE, gather {} frames and {} in a transaction, and let {} wait for up \
         to {} before it is closed as too slow. Heart-beats are not below {}.",
        limits.send_rate,
        limits.send_burst,
        limits.subscriptions,
        limits.body_max,
        limits.message_max,
        limits.history_max,
        limits.transaction_frames,
        limits.transaction_bytes,
        limits.outbox_bytes,
        limits.outbox_age,
        limits.heart_beat_min,
    )
}
