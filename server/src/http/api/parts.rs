//! The path, the query and pages.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use moim_shared::ids::{RoomId, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::schema;
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

/// Refuses a user whom no path can say, before somebody puts it where paths are.
pub fn sayable(user: &UserId) -> Result<(), Problem> {
    if user.is_unsayable() {
        return Err(bad(&"no path can say the id of this user"));
    }
    Ok(())
}

/// The most that a page may have.
pub const PAGE_MOST: usize = 200;
/// And what it has when nobody says.
pub const PAGE_USUAL: usize = 50;

// A macro, since the document shows what an id looks like and does not look through generics.
macro_rules! paging {
    ($(#[$doc:meta])* $name:ident by $id:ty, $schema:path) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize, IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            /// `next` of the page before.
            #[param(required = false, schema_with = $schema)]
            pub after: Option<$id>,
            /// How many at most.
            #[param(required = false, nullable = false, minimum = 1, maximum = 200, default = 50)]
            limit: Option<usize>,
        }

        impl $name {
            /// How many are asked for.
            pub fn limit(&self) -> Result<usize, Problem> {
                limit(self.limit)
            }
        }
    };
}

paging!(
    /// A page of a list of rooms.
    RoomPaging by RoomId, schema::room
);
paging!(
    /// A page of a list of users.
    UserPaging by UserId, schema::user
);

/// How many a page shall have.
pub fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(PAGE_USUAL);
    if (1..=PAGE_MOST).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is a number from 1 to {PAGE_MOST}");
    Err(Refusal::new(Code::BadRequest, detail).into())
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Where the next one begins, when there is one.
    pub next: Option<String>,
}

/// The page of a list of which one more than `limit` were asked for.
pub fn page<T>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(key);
    Page { items, next }
}
