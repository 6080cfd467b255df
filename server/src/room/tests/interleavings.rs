//! Whatever comes in between: every subscriber is shown exactly what stands after the position
//! that it was promised, once and in order.

use proptest::prelude::*;

use super::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// Messages become visible; the last one may be a mark. The room may not hear of it.
    Publish { count: u64, mark: bool, told: bool },
    /// The next messages stand in another epoch.
    Roll,
    /// Somebody subscribes since so many numbers ago.
    Join { ago: usize },
    /// One of the things that were asked for outside is done; pages hold so many numbers.
    Step { which: usize, size: usize },
    /// The relay says that it could not tell everything.
    Missed,
    /// The room panics and is born again.
    Die,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        5 => (1..4u64, any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(count, mark, told)| Event::Publish { count, mark, told }),
        1 => Just(Event::Roll),
        3 => (0..14usize).prop_map(|ago| Event::Join { ago }),
        8 => (any::<usize>(), 1..5usize).prop_map(|(which, size)| Event::Step { which, size }),
        1 => Just(Event::Missed),
        1 => Just(Event::Die),
    ];
    prop::collection::vec(event, 1..80)
}

/// Something that the room asked for. It is read first and told later, as outside.
enum Asked {
    Effect(Effect),
    Opened(Head),
    Filled(Page),
    Replayed(u64, Page),
}

/// A room, its log, and everything around it.
struct World {
    state: State,
    /// Positions in order, and whether a message stands there.
    log: Vec<(Position, bool)>,
    next: Position,
    /// What the room asked for and was not given yet.
    asked: Vec<Asked>,
    clients: Vec<(Client, Position)>,
}

impl World {
    fn new() -> Self {
        let state = State::new(room(), BOUNDS, place(), Vec::new());
        let asked = state.start().into_iter().map(Asked::Effect).collect();
        Self { state, log: Vec::new(), next: at(0), asked, clients: Vec::new() }
    }

    fn head(&self) -> Position {
        self.log.last().map_or(Position::ZERO, |(position, _)| *position)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Publish { count, mark, told } => self.publish(count, mark, told),
            Event::Roll => self.next = Position::new(self.next.epoch + 1, 0),
            Event::Join { ago } => self.join(ago),
            Event::Step { which, size } => self.step(which, size),
            Event::Missed => {
                let effects = self.state.on_missed();
                self.ask(effects);
            }
            Event::Die => {
                let survivors = self.state.survivors();
                self.state = State::new(room(), BOUNDS, place(), survivors);
                self.asked.clear();
                let effects = self.state.start();
                self.ask(effects);
            }
        }
    }

    fn publish(&mut self, count: u64, mark: bool, told: bool) {
        let after = self.head();
        let begin = self.log.len();
        for n in 1..=count {
            self.log.push((self.next, !mark || n < count));
            self.next = self.next.next();
        }
        let envelopes = shown(&self.log[begin..]);
        if told {
            let envelopes = envelopes.into();
            let published = Published { room: room(), after, upto: self.head(), envelopes };
            let effects = self.state.on_published(&published);
            self.ask(effects);
        }
    }

    fn join(&mut self, ago: usize) {
        let before = self.log.len().checked_sub(1 + ago);
        let since = before.map_or(Position::ZERO, |at| self.log[at].0);
        let client = Client::with("mina", Grant::None, 10 << 20);
        let (join, _) = client.join(Start::Since(since), Some("join"));
        let effects = self.state.on_ask(Ask::Join(join));
        self.ask(effects);
        self.clients.push((client, since));
    }

    fn step(&mut self, which: usize, size: usize) {
        if self.asked.is_empty() {
            return;
        }
        let effect = match self.asked.swap_remove(which % self.asked.len()) {
            Asked::Effect(effect) => effect,
            Asked::Opened(head) => {
                let effects = self.state.on_opened(Ok(head));
                return self.ask(effects);
            }
            Asked::Filled(page) => {
                let effects = self.state.on_filled(Ok(page));
                return self.ask(effects);
            }
            Asked::Replayed(key, page) => {
                let effects = self.state.on_replayed(key, Ok(page));
                return self.ask(effects);
            }
        };
        let more = match effect {
            Effect::Open { .. } => return self.asked.push(Asked::Opened(head(self.head()))),
            Effect::Admit { who, .. } => self.state.on_admitted(&who, Ok(Access::Member)),
            Effect::Fill { after } => {
                return self.asked.push(Asked::Filled(self.page(after, size)));
            }
            Effect::Replay { key, after, .. } => {
                return self.asked.push(Asked::Replayed(key, self.page(after, size)));
            }
            Effect::Begin { join } => {
                let Start::Since(since) = join.start else { panic!("{join:?}") };
                self.state.on_begun(join, Ok((true, since)))
            }
            Effect::Signal(_) => Vec::new(),
            Effect::Recheck { users, version, .. } => {
                let all = vec![Access::Member; users.len()];
                self.state.on_rechecked(users, version, Ok(all))
            }
            other @ (Effect::Append { .. } | Effect::Enqueue { .. }) => {
                panic!("{other:?}")
            }
        };
        self.ask(more);
    }

    fn ask(&mut self, effects: Vec<Effect>) {
        self.asked.extend(effects.into_iter().map(Asked::Effect));
    }

    fn page(&self, after: Position, size: usize) -> Page {
        let start = self.log.partition_point(|(position, _)| *position <= after);
        let end = self.log.len().min(start + size);
        let upto = if end > start { self.log[end - 1].0 } else { self.head() };
        Page { envelopes: shown(&self.log[start..end]), upto }
    }

    /// Everything is done that was asked for, and the room hears of what it was not told.
    fn come_to_rest(&mut self) {
        for _ in 0..2 {
            let mut steps = 0;
            while !self.asked.is_empty() {
                self.step(0, 3);
                steps += 1;
                assert!(steps < 10_000, "it never comes to rest");
            }
            self.happens(Event::Missed);
        }
    }
}

fn shown(log: &[(Position, bool)]) -> Vec<Arc<Envelope>> {
    log.iter().filter(|(_, shown)| *shown).map(|(position, _)| message(*position)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_subscriber_is_shown_what_follows_its_start_once_and_in_order(events in events()) {
        let mut world = World::new();
        for event in events {
            world.happens(event);
        }
        world.come_to_rest();
        for (client, since) in &mut world.clients {
            let frames = client.reader.frames();
            let (first, rest) = frames.split_first().expect("an answer");
            if first.command != "RECEIPT" {
                prop_assert!(first.body.starts_with(b"{"), "a refusal: the room died meanwhile");
                prop_assert!(rest.is_empty());
                continue;
            }
            let recovered = first.get("recovered") == Some("true");
            let start = if recovered { *since } else { positions(&frames[..1])[0] };
            let expected: Vec<Position> = world
                .log
                .iter()
                .filter(|(position, shown)| *shown && *position > start)
                .map(|(position, _)| *position)
                .collect();
            prop_assert_eq!(positions(rest), expected);
        }
    }
}
