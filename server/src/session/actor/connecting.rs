//! CONNECT: from the frame to CONNECTED. A token whose key is not known yet is held here, and with
//! it all that comes behind.

use std::net::IpAddr;
use std::time::Duration;

use actix::AsyncContext;
use actix_web_actors::ws::WebsocketContext;
use moim_shared::clock::now_ms;
use moim_shared::ids::{InstallationId, UserId};

use super::super::connect::{self, Credentials, Rejected, Upgrade};
use super::Session;
use crate::outbox::{Beats, CloseReason};
use crate::room::Identity;
use crate::stomp::{Command, Headers, Version};
use crate::token::{Claims, Grant, Proof, TokenError};

/// What a client asked for that still has to say who it is.
pub(super) struct Connecting {
    version: Version,
    beats: Beats,
    device: Option<InstallationId>,
    /// Where the client is, as far as that is known.
    pub(super) address: Option<IpAddr>,
    pub(super) receipt: Option<Box<str>>,
}

impl Session {
    pub(super) fn connect(&mut self, headers: &Headers, ctx: &mut WebsocketContext<Self>) {
        let upgrade = self.upgrade.take().unwrap_or_default();
        let receipt = headers.get("receipt");
        match self.offer(headers, &upgrade) {
            Ok((connecting, shown)) => self.prove(connecting, shown, ctx),
            Err(Rejected::Refused(refusal)) => self.fail(receipt, &refusal),
            Err(Rejected::Version) => self.outbox.fail_version(receipt),
        }
    }

    /// What is agreed if the client is let in, and the token that it shows.
    fn offer<'a>(
        &self,
        headers: &'a Headers,
        upgrade: &'a Upgrade,
    ) -> Result<(Connecting, Option<Credentials<'a>>), Rejected> {
        let limits = &self.context.limits;
        let connecting = Connecting {
            version: connect::version(headers, upgrade.subprotocol)?,
            beats: connect::beats(headers, limits.heart_beat_min_ms, limits.idle_ms)?,
            device: connect::device(headers)?,
            address: upgrade.address,
            receipt: headers.get("receipt").map(Into::into),
        };
        let shown = connect::credentials(headers, upgrade);
        if shown.is_none() && !self.context.anonymous {
            self.context.metrics.denied("no_token", upgrade.address);
            return Err(connect::no_token());
        }
        Ok((connecting, shown))
    }

    fn prove(
        &mut self,
        connecting: Connecting,
        shown: Option<Credentials<'_>>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let token = match (shown, self.context.logins.clone()) {
            (None, _) => {
                let stranger = self.stranger();
                return self.welcome(connecting, stranger);
            }
            (Some(Credentials::Account { login, passcode }), Some(logins)) => {
                return self.log_in(connecting, logins, (login, passcode), ctx);
            }
            (Some(Credentials::Token(text) | Credentials::Account { passcode: text, .. }), _) => {
                text
            }
        };
        let unknown = match self.context.verifier.verify(token, now_ms()) {
            Err(TokenError::UnknownKey | TokenError::KeysAway) => token.to_owned(),
            verdict => return self.judged(connecting, verdict, ctx),
        };
        let context = self.context.clone();
        let verdict = async move { context.verifier.verify_fresh(&unknown, now_ms()).await };
        self.wait_for(ctx, verdict, |session, verdict, ctx| {
            session.judged(connecting, verdict, ctx);
        });
    }

    fn judged(
        &mut self,
        connecting: Connecting,
        verdict: Result<Claims, TokenError>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let claims = match verdict {
            _ if self.outbox.is_closing() => return,
            Ok(claims) => claims,
            Err(error) => {
                self.context.metrics.denied("token", connecting.address);
                return self.fail(connecting.receipt.as_deref(), &error.into());
            }
        };
        if let Some(skew) = self.context.close_on_exp {
            let left = Duration::from_millis(claims.expires_at_ms.saturating_sub(now_ms())) + skew;
            ctx.run_later(left, |session, _| session.outbox.close(CloseReason::REVOKED));
        }
        let proof = claims.proof();
        let Claims { user, name, grant, .. } = claims;
        self.welcome(connecting, Identity { user, name, grant, proof, anonymous: false });
    }

    /// Somebody who said nothing of itself, under a name that no account has.
    fn stranger(&self) -> Identity {
        Identity {
            user: UserId::anonymous(&self.context.node, self.outbox.session()),
            name: None,
            grant: Grant::None,
            proof: Proof::default(),
            anonymous: true,
        }
    }

    pub(super) fn welcome(&mut self, connecting: Connecting, who: Identity) {
        let Connecting { version, beats, device, address, .. } = connecting;
        tracing::debug!(session.id = self.outbox.session(), user.id = %who.user,
            client.address = address.map(tracing::field::display), "a session begins");
        self.protocol.connected(version);
        self.inbound.version(version);
        self.outbox.connected(version, beats);
        self.context.reaper.watch(&self.outbox);
        self.context.metrics.sessions.inc();
        self.context.registry.enter(&who.user, who.proof.clone(), self.outbox.clone());
        if device.is_some() {
            self.outbox.ask_for_proof();
        }
        self.device = device;
        // A session that closes has nobody to tell.
        let _ = self.outbox.frame(Command::Connected, |frame| {
            frame
                .header("version", version.as_str())
                .header("heart-beat", &format!("{},{}", beats.out_ms, beats.in_ms))
                .header("server", concat!("moim/", env!("CARGO_PKG_VERSION")))
                .header("session", &format!("{}-{}", self.context.node, self.outbox.session()))
                .header("user-name", who.user.as_str())
                .end();
        });
        // It may have been revoked between the check and the registry, where the end of it would
        // have found the session.
        if self.context.verifier.is_revoked(&who.user, &who.proof) {
            self.outbox.close(CloseReason::REVOKED);
        }
        self.who = Some(who.into());
        self.arrive();
    }
}
