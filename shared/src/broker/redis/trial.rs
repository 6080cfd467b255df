//! Tries on names of nobody what a broker asks of Redis: its commands, and to be heard.

use std::time::Duration;

use ::redis::{PushInfo, PushKind, cmd};
use tokio::sync::mpsc;

use super::ear::subscribe;
use super::keys::Keys;
use super::script::{self, of_room, run};
use crate::ids::{NodeId, RoomId};
use crate::redis::{ANSWER, Links, RedisAway};
use crate::signal::Channel;

/// How long what was said may take to be heard.
const HEARD: Duration = Duration::from_secs(3);

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// Commands that were refused, each with the reason.
    pub refused: Vec<String>,
    /// Why nothing could be subscribed to, or nothing was heard.
    pub unheard: Option<String>,
}

/// Tries it. Nothing stays behind.
pub(crate) async fn trial(links: &Links, prefix: &str) -> Result<Tried, RedisAway> {
    let keys = Keys::new(prefix);
    // No room of anybody: its keys are as theirs, for what is allowed goes by the name.
    let room = RoomId::parse(&format!("~doctor.{}", NodeId::random()))
        .map_err(|error| RedisAway(error.to_string()))?;
    let channel = keys.channel(&Channel::Room(room.clone()));
    let cluster = links.target().is_cluster();
    let mut script = of_room(&script::TRIAL, &keys, &room);
    script.key(keys.birth(&room)).key(keys.aside(&room, 0)).key(channel.clone());
    script.arg(if cluster { "SPUBLISH" } else { "PUBLISH" });
    script.arg(if cluster { "SHARDNUMSUB" } else { "NUMSUB" });
    let mut answer = run(links, &room, &script).await?;
    let mut refused = Vec::new();
    while let Ok(one) = answer.text() {
        refused.push(one);
    }
    let unheard = hear(links, &channel).await.err().map(|away| away.0);
    Ok(Tried { refused, unheard })
}

/// Subscribes, speaks, and waits until it hears itself.
async fn hear(links: &Links, channel: &str) -> Result<(), RedisAway> {
    let late = |what: &str| RedisAway(format!("{what} in time"));
    let (tell, mut told) = mpsc::unbounded_channel::<PushInfo>();
    let link = tokio::time::timeout(ANSWER, links.target().listener(tell)).await;
    let link = link.unwrap_or_else(|_late| Err(late("no connection")))?;
    let channels = [channel.to_owned()];
    let subscribed = tokio::time::timeout(ANSWER, subscribe(&link, &channels)).await;
    subscribed.unwrap_or_else(|_late| Err(late("no subscription")))?;
    let verb = if links.target().is_cluster() { "SPUBLISH" } else { "PUBLISH" };
    let _heard: u64 = links.command(channel, cmd(verb).arg(channel).arg("")).await?;
    let heard = async {
        while let Some(push) = told.recv().await {
            if matches!(push.kind, PushKind::Message | PushKind::SMessage) {
                return true;
            }
        }
        false
    };
    match tokio::time::timeout(HEARD, heard).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(RedisAway("the connection that listens was closed".into())),
        Err(_late) => Err(RedisAway("what is published is not heard".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::script::texts;

    fn between<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
        text.split(start).skip(1).filter_map(|rest| rest.split('\'').next()).collect()
    }

    #[test]
    fn every_command_of_every_script_is_tried() {
        let tried = between(include_str!("scripts/trial.lua"), "try('");
        for text in texts() {
            for used in &between(text, "redis.call('") | &between(text, "redis.pcall('") {
                assert!(tried.contains(used), "{used} is not in trial.lua");
            }
        }
        // Those of Rust.
        let sources = [
            include_str!("../redis.rs"),
            include_str!("birth.rs"),
            include_str!("sweep.rs"),
            include_str!("watch.rs"),
            include_str!("../../presence/redis.rs"),
            include_str!("../../presence/redis/signs.rs"),
        ];
        for used in sources.iter().flat_map(|source| source.split("cmd(\"").skip(1)) {
            let used = used.split('"').next().unwrap();
            assert!(tried.contains(used), "{used} is not in trial.lua");
        }
    }
}
