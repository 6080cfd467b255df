//! The routes, as the application serves them and as the document tells them: one list, so that
//! these cannot differ.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, web};
use utoipa::__dev::SchemaReferences;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterIn, Paths};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required, Schema};

use super::document;

/// See the module.
#[derive(Default)]
pub struct Table {
    tag: &'static str,
    /// By path, where a literal part is before a parameter, as it has to be asked first.
    resources: BTreeMap<String, Resource>,
    pub(super) paths: Paths,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Table {
    /// What comes from now on stands under this heading.
    pub fn tag(&mut self, tag: &'static str) {
        self.tag = tag;
    }

    /// Adds a route: what `#[utoipa::path]` says of a handler (`__path_` with its name), the
    /// handler, and the statuses that it refuses with.
    ///
    /// Added to these are those that follow from the rest: 400 and, for a body, 408, 413 and 415 where
    /// there is something to get wrong; 401 where a token is needed; 503.
    pub fn add<P, H, A>(&mut self, _: P, handler: H, refusals: &[u16])
    where
        P: utoipa::Path + SchemaReferences,
        H: Handler<A>,
        A: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        let mut operation = P::operation();
        operation.tags = Some(vec![self.tag.to_owned()]);
        // Where an id says itself what it looks like, the library says nothing of this.
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter
                && parameter.parameter_in == ParameterIn::Path
            {
                parameter.required = Required::True;
            }
        }
        let mut statuses = refusals.to_vec();
        statuses.extend(implied(&operation));
        for status in statuses {
            let refusal = Ref::from_response_name(document::refusal_name(status));
            operation.responses.responses.insert(status.to_string(), refusal.into());
        }
        let path = P::path();
        let mut resource =
            self.resources.remove(&path).unwrap_or_else(|| web::resource(path.as_str()));
        for method in P::methods() {
            resource = resource.route(web::method(http(&method)).to(handler.clone()));
        }
        self.resources.insert(path.clone(), resource);
        for method in P::methods() {
            let mut paths = Paths::new();
            paths.add_path_operation(&path, vec![method], operation.clone());
            self.paths.merge(paths);
        }
        P::schemas(&mut self.schemas);
    }

    /// Puts the routes into the application.
    pub(super) fn serve(self, config: &mut web::ServiceConfig) {
        for resource in self.resources.into_values() {
            config.service(resource);
        }
    }
}

/// The statuses that follow from what an operation takes.
fn implied(operation: &Operation) -> impl Iterator<Item = u16> {
    let body = operation.request_body.is_some();
    let taken = body || operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let open = |all: &Vec<SecurityRequirement>| all.contains(&SecurityRequirement::default());
    let token = !operation.security.as_ref().is_some_and(open);
    let bodies = [(body, 408), (body, 413), (body, 415)];
    let all = [(taken, 400), (token, 401), (true, 503)].into_iter().chain(bodies);
    all.filter_map(|(applies, status)| applies.then_some(status))
}

const fn http(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Trace => Method::TRACE,
        _ => Method::GET,
    }
}
