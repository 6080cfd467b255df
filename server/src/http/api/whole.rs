//! Handlers that go on to their end when the client goes in between.

use actix_web::{FromRequest, Handler, rt};
use futures_util::future::LocalBoxFuture;

use super::failure;
use crate::http::Problem;

/// A handler whose change is stored in one step and told in another. The library drops a handler
/// at its await when the connection breaks, and what is stored and not told would bind nobody.
pub const fn whole<H>(handler: H) -> Whole<H> {
    Whole(handler)
}

/// See [`whole`].
#[derive(Clone)]
pub struct Whole<H>(H);

impl<H, A> Handler<A> for Whole<H>
where
    H: Handler<A, Future: 'static, Output: 'static>,
    A: FromRequest + 'static,
{
    type Output = Result<H::Output, Problem>;
    type Future = LocalBoxFuture<'static, Self::Output>;

    fn call(&self, arguments: A) -> Self::Future {
        let done = rt::spawn(self.0.call(arguments));
        Box::pin(async move { done.await.map_err(|error| failure::ours(&error)) })
    }
}
