//! The web page: files of `server/page`, compiled into the binary.

use actix_web::http::header::{self, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpResponse, web};
use rust_embed::RustEmbed;

use super::{Problem, read_at, secured};

#[derive(RustEmbed)]
#[folder = "page"]
struct Files;

/// Its own files, its own server, and no HTML made of text: a script in a message stays text even
/// where the page would fail to keep it so.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Puts the page into the application.
pub fn serve(config: &mut web::ServiceConfig) {
    config
        .service(read_at(web::resource("/"), index))
        .service(read_at(web::resource("/page/{file}"), file));
}

async fn index(seen: web::Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    answer("index.html", &seen)
}

async fn file(
    name: web::Path<String>,
    seen: web::Header<IfNoneMatch>,
) -> Result<HttpResponse, Problem> {
    answer(&name, &seen)
}

fn answer(name: &str, seen: &IfNoneMatch) -> Result<HttpResponse, Problem> {
    let file = Files::get(name).ok_or_else(secured::nothing_here)?;
    let hash = file.metadata.sha256_hash();
    let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = EntityTag::new_strong(hash);
    let known = match seen {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .content_type(kind(file.metadata.mimetype()))
        .insert_header(ETag(tag))
        // Asked for again each time, so that a new server's page is never mixed with an old one's.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_POLICY));
    Ok(if known { response.finish() } else { response.body(file.data.into_owned()) })
}

fn kind(mime: &str) -> String {
    if mime.starts_with("text/") { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}
