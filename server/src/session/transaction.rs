//! Transactions of one session: what is held until COMMIT, within bounds.

use super::draft::Draft;
use super::protocol::Acked;
use crate::refusal::{Code, Refusal};

/// Something that waits for COMMIT.
#[derive(Debug)]
pub enum Held {
    /// A SEND.
    Send(Draft),
    /// An ACK or NACK: what it moves, and the RECEIPT that it asked for.
    Ack(Option<Acked>, Option<Box<str>>),
}

#[derive(Debug)]
struct Transaction {
    name: Box<str>,
    held: Vec<Held>,
    bytes: usize,
}

/// The bounds of all of a session's transactions.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub open: usize,
    pub frames: usize,
    pub bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Transactions {
    open: Vec<Transaction>,
}

impl Transactions {
    /// BEGIN.
    pub fn begin(&mut self, name: &str, bounds: Bounds) -> Result<(), Refusal> {
        if self.find(name).is_ok() {
            return Err(bad("this transaction was begun already"));
        }
        if self.open.len() >= bounds.open {
            return Err(Refusal::new(Code::TooLarge, "too many transactions are open"));
        }
        self.open.push(Transaction { name: name.into(), held: Vec::new(), bytes: 0 });
        Ok(())
    }

    /// Holds something until COMMIT.
    pub fn hold(&mut self, name: &str, held: Held, bounds: Bounds) -> Result<(), Refusal> {
        let index = self.find(name)?;
        let frames: usize = self.open.iter().map(|transaction| transaction.held.len()).sum();
        let bytes: usize = self.open.iter().map(|transaction| transaction.bytes).sum();
        let more = match &held {
            Held::Send(draft) => draft.bytes(),
            Held::Ack(..) => 0,
        };
        if frames >= bounds.frames || bytes + more > bounds.bytes {
            return Err(Refusal::new(
                Code::TooLarge,
                "the transaction holds too much; commit sooner",
            ));
        }
        let transaction = &mut self.open[index];
        transaction.bytes += more;
        transaction.held.push(held);
        Ok(())
    }

    /// COMMIT or ABORT: it is over, and this was held.
    pub fn end(&mut self, name: &str) -> Result<Vec<Held>, Refusal> {
        let index = self.find(name)?;
        Ok(self.open.swap_remove(index).held)
    }

    fn find(&self, name: &str) -> Result<usize, Refusal> {
        let found = self.open.iter().position(|transaction| &*transaction.name == name);
        found.ok_or_else(|| bad("this transaction was not begun"))
    }
}

fn bad(detail: &'static str) -> Refusal {
    Refusal::new(Code::BadRequest, detail)
}
