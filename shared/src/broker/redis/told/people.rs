//! Who is there, as nodes tell each other.

use prost::Message;

use super::{Unreadable, unreadable, user};
use crate::ids::{NodeId, UserId};
use crate::signal::{Here, Moves, Person};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WirePerson {
    #[prost(string, tag = "1")]
    pub(super) user: String,
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(bool, tag = "3")]
    pub(super) away: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireNode {
    #[prost(string, tag = "1")]
    pub(super) node: String,
}

/// An older program says nothing in it, and reads nothing of it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireHere {
    #[prost(string, tag = "1")]
    pub(super) node: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) people: Vec<WirePerson>,
    #[prost(uint64, tag = "3")]
    pub(super) count: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WirePresence {
    #[prost(message, repeated, tag = "1")]
    pub(super) arrived: Vec<WirePerson>,
    #[prost(string, repeated, tag = "2")]
    pub(super) departed: Vec<String>,
    /// What follows, an older program neither says nor reads.
    #[prost(string, tag = "3")]
    pub(super) node: String,
    /// When those who departed were last seen, in their order; 0: nobody knows.
    #[prost(uint64, repeated, tag = "4")]
    pub(super) last_seen: Vec<u64>,
    #[prost(string, repeated, tag = "5")]
    pub(super) away: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub(super) back: Vec<String>,
    #[prost(uint64, tag = "7")]
    pub(super) count: u64,
}

impl WirePerson {
    pub(super) fn of(Person { user, name, away }: &Person) -> Self {
        Self { user: user.to_string(), name: name.clone(), away: *away }
    }

    pub(super) fn called(user: &UserId, name: Option<&str>) -> Self {
        Self { user: user.to_string(), name: name.map(str::to_owned), away: false }
    }

    pub(super) fn person(self) -> Result<Person, Unreadable> {
        Ok(Person { user: user(&self.user)?, name: self.name, away: self.away })
    }
}

impl WireHere {
    pub(super) fn of(here: Option<&Here>) -> Self {
        here.map_or_else(Self::default, |Here { node, people, count }| Self {
            node: node.to_string(),
            people: people.iter().map(WirePerson::of).collect(),
            count: *count as u64,
        })
    }

    pub(super) fn here(self) -> Result<Option<Here>, Unreadable> {
        let Some(node) = node(&self.node)? else { return Ok(None) };
        let people = self.people.into_iter().map(WirePerson::person).collect::<Result<_, _>>()?;
        Ok(Some(Here { node, people, count: self.count as usize }))
    }
}

impl WirePresence {
    pub(super) fn of(Moves { node, arrived, departed, away, back, count }: &Moves) -> Self {
        let texts = |users: &[UserId]| users.iter().map(ToString::to_string).collect();
        Self {
            arrived: arrived.iter().map(WirePerson::of).collect(),
            departed: departed.iter().map(|(user, _)| user.to_string()).collect(),
            node: node.as_ref().map(ToString::to_string).unwrap_or_default(),
            last_seen: departed.iter().map(|(_, seen)| seen.unwrap_or_default()).collect(),
            away: texts(away),
            back: texts(back),
            count: *count as u64,
        }
    }

    pub(super) fn moves(self) -> Result<Moves, Unreadable> {
        let users = |texts: &[String]| texts.iter().map(|it| user(it)).collect::<Result<_, _>>();
        let seen = self.last_seen.into_iter().chain(std::iter::repeat(0));
        let departed = self.departed.iter().zip(seen);
        let departed = departed.map(|(it, seen)| Ok((user(it)?, (seen > 0).then_some(seen))));
        Ok(Moves {
            node: node(&self.node)?,
            arrived: self.arrived.into_iter().map(WirePerson::person).collect::<Result<_, _>>()?,
            departed: departed.collect::<Result<_, Unreadable>>()?,
            away: users(&self.away)?,
            back: users(&self.back)?,
            count: self.count as usize,
        })
    }
}

/// The node of that name; an older program says none.
pub(super) fn node(text: &str) -> Result<Option<NodeId>, Unreadable> {
    if text.is_empty() { Ok(None) } else { NodeId::parse(text).map(Some).map_err(unreadable) }
}

#[cfg(test)]
mod tests {
    use super::super::Nothing;
    use super::*;

    /// As the first version said it.
    #[derive(Clone, PartialEq, Message)]
    struct Before {
        #[prost(message, repeated, tag = "1")]
        arrived: Vec<WirePerson>,
        #[prost(string, repeated, tag = "2")]
        departed: Vec<String>,
    }

    #[test]
    fn an_older_program_is_understood_and_understands_what_it_knows() {
        let mina = UserId::parse("mina").unwrap();
        let before = Before {
            arrived: vec![WirePerson::called(&mina, Some("Mina"))],
            departed: vec!["joon".into()],
        };
        let moves = WirePresence::decode(&*before.encode_to_vec()).unwrap().moves().unwrap();
        assert_eq!((moves.node.clone(), moves.departed[0].1), (None, None));
        let moves = Moves { node: NodeId::parse("one").ok(), count: 7, away: vec![mina], ..moves };
        assert_eq!(Before::decode(&*WirePresence::of(&moves).encode_to_vec()).unwrap(), before);
        assert_eq!(WireHere::decode(&*Nothing {}.encode_to_vec()).unwrap().here().unwrap(), None);
        let here = Here { node: moves.node.unwrap(), people: moves.arrived, count: 7 };
        assert!(Nothing::decode(&*WireHere::of(Some(&here)).encode_to_vec()).is_ok());
    }
}
