//! Who asks, by the access token of the request.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use moim_shared::clock::now_ms;

use super::Api;
use crate::http::Problem;
use crate::room::Identity;
use crate::session::bearer;
use crate::token::Claims;

/// The one who asks. A handler that takes it answers 401 to everybody else.
#[derive(Debug, Clone)]
pub struct Who(pub Arc<Identity>);

impl FromRequest for Who {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>().cloned();
        let token = token(request).map(str::to_owned);
        Box::pin(async move {
            let missing = || Problem::unauthorized("give the header `Authorization: Bearer <JWT>`");
            let (api, token) = api.zip(token).ok_or_else(missing)?;
            let claims = api.sessions.verifier.verify_fresh(&token, now_ms()).await?;
            let proof = claims.proof();
            let Claims { user, name, grant, .. } = claims;
            Ok(Self(Arc::new(Identity { user, name, grant, proof, anonymous: false })))
        })
    }
}

/// What stands behind `Bearer`.
pub(super) fn token(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    bearer(value).filter(|token| !token.is_empty())
}
