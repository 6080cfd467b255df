//! What a seam's error means to a client: to come back later, or nothing that it could do anything
//! about. Why goes to the log.

use actix_web::http::StatusCode;
use moim_shared::broker::BrokerError;
use moim_shared::store::StoreError;

use crate::accounts::Denied;
use crate::http::Problem;
use crate::refusal::{Code, Refusal};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.retryable() { away(&error) } else { ours(&error) }
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        // What has to be done before another try is done by the next try.
        away(&error)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Store(error) => error.into(),
            Denied::Token(error) => ours(&error),
            Denied::Wrong | Denied::Ended => Self::new(StatusCode::UNAUTHORIZED, denied.into()),
            _ => Refusal::from(denied).into(),
        }
    }
}

/// 403, whoever asks.
pub fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, Refusal::new(Code::BadRequest, detail))
}

fn away(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(%error, "a request is refused since a store is away");
    Refusal::unavailable().into()
}

/// 500: a fault of this program.
pub fn ours(error: &dyn std::error::Error) -> Problem {
    tracing::error!(%error, "a request failed by our own fault");
    let refusal = Refusal::new(Code::Unavailable, "the server failed; its operator can see why");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, refusal)
}
