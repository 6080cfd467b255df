//! `/openapi.json`, and `/docs`: a page to read it and to try it out, from files that come with the
//! binary.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::{Api, Offer, document, failure};
use crate::http::{Problem, read_at, secured};

/// Swagger UI sets styles of its own and has pictures in its style sheet. Nothing comes from
/// elsewhere, and nothing goes there.
const CONTENT_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

struct Docs {
    document: Bytes,
    viewer: Arc<Config<'static>>,
}

pub(super) fn serve(config: &mut web::ServiceConfig, api: &Api, offer: Offer) {
    let viewer = Config::from("/openapi.json").try_it_out_enabled(true).validator_url("none");
    let docs = Docs { document: document(api, offer).into(), viewer: Arc::new(viewer) };
    config
        .app_data(web::Data::new(docs))
        .service(read_at(web::resource("/openapi.json"), openapi))
        .service(read_at(web::resource(["/docs", "/docs/"]), index))
        .service(read_at(web::resource("/docs/{file}"), file));
}

async fn openapi(docs: web::Data<Docs>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(docs.document.clone())
}

/// The page itself, which is found with and without a slash behind it: so its parts are named from
/// the root.
async fn index(docs: web::Data<Docs>) -> Result<HttpResponse, Problem> {
    let page = load("index.html", &docs)?;
    let page = String::from_utf8_lossy(&page.0).replace("\"./", "\"/docs/");
    let page = page.replace("href=\"index.css\"", "href=\"/docs/index.css\"");
    Ok(answer("text/html; charset=utf-8", page.into()))
}

async fn file(name: web::Path<String>, docs: web::Data<Docs>) -> Result<HttpResponse, Problem> {
    let (bytes, kind) = load(&name, &docs)?;
    Ok(answer(&kind, bytes))
}

fn load(name: &str, docs: &Docs) -> Result<(Bytes, String), Problem> {
    let file = utoipa_swagger_ui::serve(name, docs.viewer.clone());
    let file = file.map_err(|error| failure::ours(error.as_ref()))?;
    let file = file.ok_or_else(secured::nothing_here)?;
    Ok((Bytes::from(file.bytes.into_owned()), file.content_type))
}

fn answer(kind: &str, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(body)
}
