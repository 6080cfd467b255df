//! Messages whose epoch was closed before they reached the database.
//!
//! Redis lost a log while they were in the queue, and by the time they came out of it the room went
//! on in another epoch. To store them below it would slip them in behind readers, so they get a
//! place in the epoch that goes on, under their own names: nothing that was acknowledged is lost.

use std::sync::Arc;

use moim_shared::broker::{Batch, Broker, BrokerError, Placed};
use moim_shared::envelope::Envelope;
use moim_shared::ids::{NodeId, OriginId, RoomId};
use moim_shared::queue::Queue;

/// Tries before the batch is taken up again from its beginning.
const TRIES: usize = 10;

/// Places `late` of a room, in their order, and hands them to the queue. An error says what is away.
pub async fn say_again(
    broker: &dyn Broker,
    queue: &dyn Queue,
    room: &RoomId,
    late: &[Arc<Envelope>],
) -> Result<(), String> {
    let closed = late.iter().map(|envelope| envelope.position.epoch).max().unwrap_or(0);
    let mut envelopes: Vec<Envelope> = late.iter().map(|envelope| (**envelope).clone()).collect();
    for _ in 0..TRIES {
        if envelopes.is_empty() {
            return Ok(());
        }
        let head = broker.open(room).await.map_err(|error| error.to_string())?;
        if head.epoch <= closed {
            // The log goes on in an epoch that the database has closed.
            broker.end_epoch(room, head.epoch).await.map_err(|error| error.to_string())?;
            continue;
        }
        let batch = Batch {
            room: room.clone(),
            epoch: head.epoch,
            members: head.members,
            speaker: Batch::next_number(),
            number: Batch::next_number(),
            name_all: true,
            envelopes: envelopes.clone(),
        };
        let placed = match broker.append(batch).await {
            Ok(placed) => placed,
            Err(BrokerError::EpochRolled | BrokerError::MembersChanged { .. }) => continue,
            Err(error) => return Err(error.to_string()),
        };
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for (envelope, placed) in envelopes.into_iter().zip(placed) {
            match placed {
                Placed::New(envelope) | Placed::Duplicate { pending: Some(envelope), .. } => {
                    fresh.push(envelope);
                }
                Placed::Duplicate { pending: None, .. } => {}
                // Its name belongs to another message by now; it was taken all the same.
                Placed::NameReused => {
                    let origin = OriginId::made_by(&NodeId::random());
                    again.push(Envelope { origin, ..envelope });
                }
            }
        }
        if !fresh.is_empty() {
            queue.publish(fresh).await.map_err(|error| error.to_string())?;
        }
        envelopes = again;
    }
    if envelopes.is_empty() { Ok(()) } else { Err(format!("room {room} changes all the time")) }
}
