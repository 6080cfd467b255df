//! The REST API: what its routes share. `table` puts each route into the application and into the
//! OpenAPI document at once; `json` and `parts` take requests apart; `failure` says what a seam's
//! error means to a client.

mod admin;
mod auth;
mod changes;
mod devices;
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
mod passport;
mod rates;
mod rooms;
mod saying;
mod schema;
mod table;
mod views;
mod who;
mod whole;

use std::sync::Arc;

use actix_web::web;
use moim_shared::broker::Broker;
use moim_shared::config::{AdminToken, Limits};
use moim_shared::store::Store;
use moim_shared::store::devices::Devices;
use moim_shared::store::inbox::Inbox;
use moim_shared::store::pushes::Pushes;
use moim_shared::store::rooms::Rooms;
use moim_worker::telling::Telling;
use tokio::sync::Notify;

pub use self::changes::change_json;
pub use self::document::document;
pub use self::json::{Input, Json};
pub use self::parts::{Page, Path, Query, RoomPaging, UserPaging, limit, page};
pub use self::rates::Rates;
pub use self::table::Table;
pub use self::who::Who;

use super::Serving;
use crate::accounts::{Ends, Logins};
use crate::hub::Hub;
use crate::room::History;
use crate::session::SessionContext;

/// What the routes of the API share. Routes take it as `web::Data<Api>`.
pub struct Api {
    /// Rooms and their members.
    pub rooms: Arc<dyn Rooms>,
    /// Who is told when members change.
    pub telling: Telling,
    /// What changed for users.
    pub inbox: Arc<dyn Inbox>,
    /// Where pushes go to.
    pub devices: Arc<dyn Devices>,
    /// What was told of messages.
    pub pushes: Arc<dyn Pushes>,
    /// Log-ins; none when there are no accounts here.
    pub logins: Option<Arc<Logins>>,
    /// Whether anybody may make an account.
    pub registration: bool,
    /// What ends tokens.
    pub ends: Arc<Ends>,
    /// What operators show; without one there is nothing for them.
    pub admin_token: Option<AdminToken>,
    /// The messages.
    pub store: Arc<dyn Store>,
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

/// Which routes there are at an address.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Those of clients.
    pub clients: bool,
    /// Those of accounts, among them.
    pub accounts: bool,
    /// Those of operators.
    pub operators: bool,
}

/// Every route, in the order in which the document shows them.
fn routes(offer: Offer) -> Table {
    let mut table = Table::default();
    if offer.clients {
        if offer.accounts {
            auth::routes(&mut table);
            me::account_routes(&mut table);
        }
        me::routes(&mut table);
        devices::routes(&mut table);
        own::routes(&mut table);
        changes::routes(&mut table);
        rooms::routes(&mut table);
        direct::routes(&mut table);
        members::routes(&mut table);
        messages::routes(&mut table);
    }
    if offer.operators {
        admin::routes(&mut table);
        passport::routes(&mut table);
    }
    table
}

/// Puts the API into the application, and where clients come its documentation.
pub fn serve(config: &mut web::ServiceConfig, api: web::Data<Api>, serving: Serving) {
    let offer = Offer {
        clients: serving != Serving::Operators,
        accounts: api.logins.is_some(),
        operators: serving != Serving::Clients && api.admin_token.is_some(),
    };
    if offer.clients {
        docs::serve(config, &api, offer);
    }
    config.app_data(api);
    routes(offer).serve(config);
}
