//! The REST API: what its routes share. `table` puts each route into the application and into the
//! OpenAPI document at once; `json` and `parts` take requests apart; `failure` says what a seam's
//! error means to a client.

mod docs;
mod document;
mod failure;
mod json;
mod me;
mod parts;
mod schema;
mod table;
mod who;

use std::sync::Arc;

use actix_web::web;
use moim_shared::broker::Broker;
use moim_shared::config::Limits;
use moim_shared::store::Store;

pub use self::document::document;
pub use self::json::{Input, Json};
pub use self::parts::{Page, Paging, Path, Query, page};
pub use self::table::Table;
pub use self::who::Who;

use crate::hub::Hub;
use crate::session::SessionContext;

/// What the routes of the API share. Routes take it as `web::Data<Api>`.
pub struct Api {
    /// The messages.
    pub store: Arc<dyn Store>,
    /// The rooms' order, and what nodes tell each other.
    pub broker: Arc<dyn Broker>,
    /// The rooms of this node.
    pub hub: Arc<Hub>,
    /// What sessions share: the check of tokens, metrics.
    pub sessions: Arc<SessionContext>,
    /// Bounds for clients.
    pub limits: Limits,
}

/// Every route that clients use, in the order in which the document shows them.
fn routes(table: &mut Table) {
    me::routes(table);
}

/// Puts the API and its documentation into the application.
pub fn public(config: &mut web::ServiceConfig, api: web::Data<Api>) {
    let mut table = Table::default();
    routes(&mut table);
    docs::serve(config, &api.limits);
    config.app_data(api);
    table.serve(config);
}
