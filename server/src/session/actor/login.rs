//! CONNECT with the name and the password of an account: the check takes its time, and all that
//! comes behind waits for it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web_actors::ws::WebsocketContext;
use moim_shared::ids::UserId;
use moim_shared::store::accounts::Account;

use super::Session;
use super::connecting::Connecting;
use crate::accounts::{Denied, Logins, Password};
use crate::room::Identity;
use crate::token::{Grant, Proof};

impl Session {
    pub(super) fn log_in(
        &mut self,
        connecting: Connecting,
        logins: Arc<Logins>,
        (login, passcode): (&str, &str),
        ctx: &mut WebsocketContext<Self>,
    ) {
        let user = UserId::parse(login);
        let password = Password::new(passcode.to_owned());
        let address = connecting.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let check = async move {
            match user {
                Ok(user) => logins.check(&user, password, address).await,
                // No account is called that.
                Err(_) => Err(Denied::Wrong),
            }
        };
        self.wait_for(ctx, check, |session, checked, _| match checked {
            _ if session.outbox.is_closing() => {}
            Ok((account, asked)) => session.known(connecting, account, asked),
            Err(denied) => {
                session.report(&denied);
                session.context.metrics.denied(denied.reason(), connecting.address);
                session.fail(connecting.receipt.as_deref(), &denied.into());
            }
        });
    }

    fn known(&mut self, connecting: Connecting, account: Account, asked: u64) {
        let Account { user, name, .. } = account;
        // Of no log-in that could be ended: it ends with the password.
        let proof = Proof { issued_at_ms: Some(asked), ..Proof::default() };
        let grant = Grant::None;
        self.welcome(connecting, Identity { user, name, grant, proof, anonymous: false });
    }

    /// What the client is not told.
    fn report(&self, denied: &Denied) {
        if let Denied::Store(error) = denied {
            let session = self.outbox.session();
            tracing::warn!(session.id = session, %error, "a password could not be checked");
        }
    }
}
