//! When the whole way of a message is shown.

use moim_shared::trace::Traces;
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// The positions of the `send` steps that the log tells of.
#[derive(Clone, Default)]
struct Sends(Arc<Mutex<Vec<Position>>>);

#[derive(Default)]
struct Line {
    step: Option<String>,
    at: Option<Position>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            self.step = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "position" {
            self.at = format!("{value:?}").parse().ok();
        }
    }
}

impl Subscriber for Sends {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.step.is_some_and(|step| step == "send") {
            self.0.lock().extend(line.at);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn it_is_once_and_with_the_receipt_of_the_send_that_gave_the_message_its_place() {
    let sends = Sends::default();
    tracing::subscriber::with_default(sends.clone(), || {
        assert!(Traces::default().are_on());
        let mut state = opened(at(0));
        let mut mina = Client::new("mina");
        // Its time is over before the queue has it.
        let mut late = mina.post("late");
        late.deadline = Instant::now() + Duration::from_secs(1);
        let effects = state.on_ask(Ask::Post(late));
        mina.let_in(&mut state, effects);
        mina.send_in(&mut state, "first");
        let batch = next_batch(&mut state);
        state.on_appended(Ok(placed(&batch, 1)));
        state.on_tick(Instant::now() + Duration::from_secs(2));
        assert_eq!(*sends.0.lock(), [], "nobody was given a RECEIPT");
        // Sent again meanwhile.
        mina.send_in(&mut state, "first");
        let effects = state.start_batch(Pressure::Free, Instant::now() + Duration::from_secs(1));
        assert_eq!(names(&appended(effects.into_iter().collect())), ["first"]);
        let pending = Some(message(at(2)));
        let effects = state.on_appended(Ok(vec![Placed::Duplicate { position: at(2), pending }]));
        let [Effect::Enqueue { number, .. }] = effects[..] else { panic!("{effects:?}") };
        state.on_confirmed(number, Ok(()));
        assert_eq!(*sends.0.lock(), [], "it is not the one that was given the place");
        confirmed(&mut state, Ok(()));
        assert_eq!(*sends.0.lock(), [at(2)]);
        // And once more when it is durable.
        mina.send_in(&mut state, "first");
        next_batch(&mut state);
        state.on_appended(Ok(vec![Placed::Duplicate { position: at(2), pending: None }]));
        assert_eq!(*sends.0.lock(), [at(2)]);
        let codes = mina.reader.frames();
        assert_eq!(codes.len(), 4, "three RECEIPTs, and one is told that nobody knows");
    });
}
