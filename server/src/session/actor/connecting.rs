//! CONNECT: from the frame to CONNECTED. A token whose key is not known yet is held here, and with
//! it all that comes behind.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, WrapFuture};
use actix_web_actors::ws::WebsocketContext;
use moim_shared::clock::now_ms;
use moim_shared::presence;

use super::super::connect::{self, Rejected, Upgrade};
use super::Session;
use crate::outbox::{Beats, CloseReason};
use crate::refusal::Code;
use crate::room::Identity;
use crate::stomp::{Command, Headers, Version};
use crate::token::{Claims, TokenError};

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

    /// What is agreed if the token is good, and the token.
    fn offer<'a>(
        &self,
        headers: &'a Headers,
        upgrade: &'a Upgrade,
    ) -> Result<(Connecting, &'a str), Rejected> {
        let limits = &self.context.limits;
        let connecting = Connecting {
            version: connect::version(headers, upgrade.subprotocol)?,
            beats: connect::beats(headers, limits.heart_beat_min_ms, limits.idle_ms)?,
            device: headers.get("device").map(Into::into),
            receipt: headers.get("receipt").map(Into::into),
        };
        let token = connect::token(headers, upgrade).ok_or_else(connect::no_token)?;
        Ok((connecting, token))
    }

    fn prove(&mut self, connecting: Connecting, token: &str, ctx: &mut WebsocketContext<Self>) {
        let unknown = match self.context.verifier.verify(token, now_ms()) {
            Err(TokenError::UnknownKey | TokenError::KeysAway) => token.to_owned(),
            verdict => return self.judged(connecting, verdict, ctx),
        };
        self.connecting = true;
        let context = self.context.clone();
        let verdict = async move { context.verifier.verify_fresh(&unknown, now_ms()).await };
        ctx.wait(verdict.into_actor(self).map(|verdict, session: &mut Self, ctx| {
            session.connecting = false;
            // It is us who do not listen.
            session.outbox.heard();
            if !session.outbox.is_closing() {
                session.judged(connecting, verdict, ctx);
            }
            session.pump(ctx);
        }));
    }

    fn judged(
        &mut self,
        connecting: Connecting,
        verdict: Result<Claims, TokenError>,
        ctx: &mut WebsocketContext<Self>,
    ) {
        match verdict {
            Ok(claims) => self.welcome(connecting, claims, ctx),
            Err(error) => self.fail(connecting.receipt.as_deref(), &error.into()),
        }
    }

    fn welcome(
        &mut self,
        connecting: Connecting,
        claims: Claims,
        ctx: &mut WebsocketContext<Self>,
    ) {
        let Connecting { version, beats, device, .. } = connecting;
        if let Some(skew) = self.context.close_on_exp {
            let left = Duration::from_millis(claims.expires_at_ms.saturating_sub(now_ms())) + skew;
            ctx.run_later(left, |session, _| session.outbox.close(CloseReason::REVOKED));
        }
        self.protocol.connected(version);
        self.inbound.version(version);
        self.outbox.connected(version, beats);
        self.context.reaper.watch(&self.outbox);
        self.context.metrics.sessions.inc();
        self.arrive(&claims.user, device);
        // A session that closes has nobody to tell.
        let _ = self.outbox.frame(Command::Connected, |frame| {
            frame
                .header("version", version.as_str())
                .header("heart-beat", &format!("{},{}", beats.out_ms, beats.in_ms))
                .header("server", concat!("moim/", env!("CARGO_PKG_VERSION")))
                .header("session", &format!("{}-{}", self.context.node, self.outbox.session()))
                .header("user-name", claims.user.as_str())
                .end();
        });
        let Claims { user, name, grant, .. } = claims;
        self.who = Some(Identity { user, name, grant }.into());
    }

    fn arrive(&self, user: &moim_shared::ids::UserId, device: Option<Box<str>>) {
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
