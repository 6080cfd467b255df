//! The path, the query and pages.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use moim_shared::ids::IdError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::http::Problem;
use crate::refusal::{Code, Refusal};

/// The parameters in the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// The parameters behind the `?`. Say `#[serde(deny_unknown_fields)]` on them.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let path = web::Path::<T>::from_request(request, payload).into_inner();
        ready(path.map(|path| Self(path.into_inner())).map_err(|error| bad(&error)))
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = web::Query::<T>::from_query(request.query_string());
        ready(query.map(|query| Self(query.into_inner())).map_err(|error| bad(&error)))
    }
}

fn bad(error: &dyn std::fmt::Display) -> Problem {
    Refusal::new(Code::BadRequest, error.to_string()).into()
}

/// Where a page of a list begins, and how long it is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// `next` of the page before.
    #[param(required = false, nullable = false, max_length = 128)]
    after: Option<String>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next one begins, when there is one.
    pub next: Option<String>,
}

impl Paging {
    /// The most that a page may have.
    pub const MOST: usize = 200;
    const USUAL: usize = 50;

    /// How many are asked for.
    pub fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(Self::USUAL);
        if (1..=Self::MOST).contains(&limit) {
            return Ok(limit);
        }
        let detail = format!("limit is a number from 1 to {}", Self::MOST);
        Err(Refusal::new(Code::BadRequest, detail).into())
    }

    /// The last one of the page before.
    pub fn after<I>(&self, parse: fn(&str) -> Result<I, IdError>) -> Result<Option<I>, Problem> {
        let after = self.after.as_deref().map(parse).transpose();
        after.map_err(|error| Refusal::new(Code::BadRequest, format!("after: {error}")).into())
    }
}

/// The page of a list of which one more than `limit` were asked for.
pub fn page<T>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(key);
    Page { items, next }
}
