//! CONNECT: from the frame to CONNECTED. A token whose key is not known yet is held here, and with
//! it all that comes behind.

use std::time::Duration;

use actix::AsyncContext;
use actix_web_actors::ws::WebsocketContext;
use moim_shared::clock::now_ms;
use moim_shared::ids::UserId;
use moim_shared::presence;

use super::super::connect::{self, Rejected, Upgrade};
use super::Session;
use crate::outbox::{Beats, CloseReason};
use crate::refusal::Code;
use crate::room::Identity;
use crate::stomp::{Command, Headers, Version};
use crate::token::{Claims, Grant, Proof, TokenError};

/// What a client asked for that still has to say who it is.
struct Connecting {
    version: Version,
    beats: Beats,
    device: Option<Box<str>>,
    receipt: Option<Box<str>>,
}

impl Session {
    pub(super) fn connect(&mut self, headers: &Headers, ctx: &mut WebsocketContext<Self>) {
        let upgrade = self.upgrade.take().unwrap_or_default();
        let receipt = headers.get("receipt");
        match self.offer(headers, &upgrade) {
            Ok((connecting, token)) => self.prove(connecting, token, ctx),
            Err(Rejected::Refused(refusal)) => self.fail(receipt, &refusal),
            Err(Rejected::Version) => {
                self.context.metrics.refused(Code::BadRequest);
                self.outbox.fail_version(receipt);
            }
        }
    }

    /// What is agreed if the client is let in, and the token that it shows.
    fn offer<'a>(
        &self,
        headers: &'a Headers,
        upgrade: &'a Upgrade,
    ) -> Result<(Connecting, Option<&'a str>), Rejected> {
        let limits = &self.context.limits;
        let connecting = Connecting {
            version: connect::version(headers, upgrade.subprotocol)?,
            beats: connect::beats(headers, limits.heart_beat_min_ms, limits.idle_ms)?,
            device: headers.get("device").map(Into::into),
            receipt: headers.get("receipt").map(Into::into),
        };
        let token = connect::token(headers, upgrade);
        if token.is_none() && !self.context.anonymous {
            return Err(connect::no_token());
        }
        Ok((connecting, token))
    }

    fn prove(
        &mut self,
        connecting: Connecting,
        token: Option<&str>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let Some(token) = token else {
            let stranger = self.stranger();
            return self.welcome(connecting, stranger);
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
            Err(error) => return self.fail(connecting.receipt.as_deref(), &error.into()),
        };
        if let Some(skew) = self.context.close_on_exp {
            let left = Duration::from_millis(claims.expires_at_ms.saturating_sub(now_ms())) + skew;
            ctx.run_later(left, |session, _| session.outbox.close(CloseReason::REVOKED));
        }
        let Claims { user, name, grant, .. } = claims;
        let proof = Proof::default();
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

    fn welcome(&mut self, connecting: Connecting, who: Identity) {
        let Connecting { version, beats, device, .. } = connecting;
        self.protocol.connected(version);
        self.inbound.version(version);
        self.outbox.connected(version, beats);
        self.context.reaper.watch(&self.outbox);
        self.context.metrics.sessions.inc();
        self.context.registry.enter(&who.user, who.proof.clone(), self.outbox.clone());
        self.arrive(&who.user, device);
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
        self.who = Some(who.into());
    }

    fn arrive(&self, user: &UserId, device: Option<Box<str>>) {
        let context = self.context.clone();
        let user = user.clone();
        let entry = presence::Entry {
            node: context.node.clone(),
            session: self.outbox.session(),
            device: device.map(Into::into),
        };
        actix::spawn(async move {
            if let Err(error) = context.presence.arrived(&user, entry).await {
                tracing::warn!(%error, "presence was not told of an arrival");
            }
        });
    }
}
