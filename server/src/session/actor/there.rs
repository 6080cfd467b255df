//! Whether the session's user is there: for presence, for the rooms that it reads, and for when it was
//! last seen.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use moim_shared::clock::now_ms;
use moim_shared::ids::{InstallationId, UserId};
use moim_shared::presence::Entry;
use serde::Deserialize;

use super::work::Sending;
use super::{Session, SessionContext};
use crate::outbox::Outbox;
use crate::refusal::{Code, Refusal};
use crate::room::{Answer, Notice};

/// What presence was told of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Told {
    /// What is so, or nothing yet.
    #[default]
    All,
    /// It is being told.
    UnderWay,
    /// It is not to be told anything any more.
    Gone,
}

impl Session {
    /// The session is there.
    pub(super) fn arrive(&self) {
        self.tell_presence();
        let (Some(who), Some(device)) = (&self.who, &self.device) else { return };
        let (context, user, device) = (self.context.clone(), who.user.clone(), device.clone());
        actix::spawn(async move {
            if let Err(error) = context.devices.device_seen(&user, &device, now_ms()).await {
                tracing::debug!(%error, "it was not noted that a device was seen");
            }
        });
    }

    /// Whether its user sees what comes in.
    pub(super) fn be_there(&self, sending: Sending) {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum State {
            Active,
            Away,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct There {
            state: State,
        }
        let Ok(There { state }) = serde_json::from_slice(&sending.draft.body) else {
            let refusal =
                Refusal::new(Code::BadRequest, r#"the body is {"state":"active"|"away"}"#);
            self.refuse_send(&sending, &refusal);
            return;
        };
        self.turn(matches!(state, State::Away));
        Answer::new(self.outbox.clone(), sending.draft.receipt, sending.commit).done();
    }

    fn turn(&self, away: bool) {
        let Some(who) = &self.who else { return };
        let was_there = !self.context.registry.is_away(&who.user);
        if !self.outbox.turn_away(away) {
            return;
        }
        if was_there && !who.anonymous && self.context.registry.is_away(&who.user) {
            self.context.seen.note(&who.user);
        }
        for room in self.protocol.rooms() {
            if let Some(handle) = self.context.hub.find(room) {
                handle.tell(Notice::Left);
            }
        }
        self.tell_presence();
    }

    /// Tells it what is so. Of one that turns without end, what it comes to meanwhile is told next.
    fn tell_presence(&self) {
        let Some(who) = &self.who else { return };
        if self.told.replace(Told::UnderWay) == Told::All {
            let (context, outbox) = (self.context.clone(), self.outbox.clone());
            let (user, device) = (who.user.clone(), self.device.clone());
            actix::spawn(tell(context, user, device, outbox, self.told.clone()));
        }
    }
}

async fn tell(
    context: Arc<SessionContext>,
    user: UserId,
    device: Option<InstallationId>,
    outbox: Arc<Outbox>,
    told: Rc<Cell<Told>>,
) {
    // Not behind the end of it: that was told by then, and it would be there for ever.
    while told.get() == Told::UnderWay {
        let away = outbox.is_away();
        let (node, session) = (context.run.clone(), outbox.session());
        let entry = Entry { node, session, device: device.clone(), away };
        if let Err(error) = context.presence.arrived(&user, entry).await {
            tracing::warn!(session.id = session, %error, "presence was not told of an arrival");
        }
        if told.get() == Told::UnderWay && outbox.is_away() == away {
            told.set(Told::All);
        }
    }
}
