//! The REST API: what its routes share. `table` puts each route into the application and into the
//! OpenAPI document at once; `json` and `parts` take requests apart; `failure` says what a seam's
//! error means to a client.

mod binding;
mod direct;
mod docs;
mod document;
mod doors;
mod failure;
mod json;
mod me;
mod members;
mod messages;
mod own;
mod parts;
mod rates;
mod rooms;
mod saying;
mod schema;
mod table;
mod views;
mod who;

use std::sync::Arc;

use actix_web::web;
use moim_shared::broker::Broker;
use moim_shared::config::Limits;
use moim_shared::store::Store;
use moim_shared::store::rooms::Rooms;
use tokio::sync::Notify;

pub use self::document::document;
pub use self::json::{Input, Json};
pub use self::parts::{Page, Paging, Path, Query, page};
pub use self::rates::Rates;
pub use self::table::Table;
pub use self::who::Who;

use crate::hub::Hub;
use crate::room::History;
use crate::session::SessionContext;

/// What the routes of the API share. Routes take it as `web::Data<Api>`.
pub struct Api {
    /// The messages.
    pub store: Arc<dyn Store>,
    /// The rooms and who is in them.
    pub rooms: Arc<dyn Rooms>,
    /// What was said.
    pub history: History,
    /// The rooms' order, and what nodes tell each other.
    pub broker: Arc<dyn Broker>,
    /// The rooms of this node.
    pub hub: Arc<Hub>,
    /// What sessions share: the check of tokens, metrics.
    pub sessions: Arc<SessionContext>,
    /// Bounds for clients.
    pub limits: Limits,
    /// How fast each user sends here.
    pub rates: Rates,
    /// A room was deleted.
    pub purge: Arc<Notify>,
}

/// Every route that clients use, in the order in which the document shows them.
fn routes(table: &mut Table) {
    me::routes(table);
    own::routes(table);
    rooms::routes(table);
    direct::routes(table);
    members::routes(table);
    messages::routes(table);
}

/// Puts the API and its documentation into the application.
pub fn public(config: &mut web::ServiceConfig, api: web::Data<Api>) {
    let mut table = Table::default();
    routes(&mut table);
    docs::serve(config, &api.limits);
    config.app_data(api);
    table.serve(config);
}
