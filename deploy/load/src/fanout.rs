//! `moim-load fanout`: one room, many subscribers that only drain. Each message alone gives the CPU
//! time of a delivery beside that of a bare `send()`; a flood gives deliveries per second.

mod bare;
mod drain;
mod sender;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::bare::Bare;
use self::drain::{Totals, drain};
use self::sender::Sender;
use crate::Verdict;
use crate::args::{self, Measure};
use crate::client::{ANSWER, Session};
use crate::failure::Failure;
use crate::nodes::Nodes;
use crate::system;
use crate::target::Target;
use crate::token::Mint;

/// How long one message may take to all subscribers.
pub const PATIENCE: Duration = Duration::from_secs(15);
const WARM_UP: u64 = 20;
/// What the server does after the last delivery of a round belongs to the round.
const SETTLE: Duration = Duration::from_millis(50);
const OPENING: usize = 64;

struct Room<'a> {
    args: &'a args::Fanout,
    mint: Mint,
    nodes: Nodes,
    run: String,
    name: String,
    totals: Arc<Totals>,
}

/// Runs the measures that were asked for.
pub async fn run(args: args::Fanout) -> Result<Verdict, String> {
    let mint = args.server.mint()?;
    let unbatched = args.measure != Measure::Saturated;
    if unbatched {
        if args.pid.is_empty() {
            return Err("unbatched measures the server's CPU time: give --pid, the server's \
                        process id, or --measure saturated"
                .to_owned());
        }
        system::cpu_of_all(&args.pid)?;
    }
    let subscribers = args.subscribers as usize;
    system::allow_files(subscribers * if unbatched { 3 } else { 1 } + args.senders as usize)?;
    let run = crate::run_name();
    let room = Room {
        args: &args,
        mint,
        nodes: args.server.nodes()?,
        name: format!("{run}-0"),
        run,
        totals: Arc::default(),
    };
    // What goes wrong from here on is the server's fault, not the command line's.
    Ok(room.measure(unbatched).await.unwrap_or_else(|failure| {
        eprintln!("moim-load: {failure}");
        Verdict::Faulty
    }))
}

impl Room<'_> {
    async fn measure(&self, unbatched: bool) -> Result<Verdict, String> {
        let args = self.args;
        self.subscribe_all().await?;
        println!("\nfan-out to {} subscribers, body {} bytes", args.subscribers, args.body);
        if unbatched {
            self.unbatched().await?;
        }
        let mut clean = true;
        if args.measure != Measure::Unbatched {
            clean = self.saturated().await?;
        }
        let closed = self.totals.closed();
        if closed > 0 {
            println!("  {closed} subscribers were closed by the server");
        }
        Ok(Verdict::of(clean && closed == 0))
    }

    async fn subscribe_all(&self) -> Result<(), String> {
        let mut opening = JoinSet::new();
        for index in 0..self.args.subscribers as usize {
            if opening.len() >= OPENING {
                self.take(opening.join_next().await)?;
            }
            let token = self.mint.token(&format!("{}-u{index}", self.run), &self.name)?;
            opening.spawn(subscribe(self.nodes.at(index).clone(), index, token, self.name.clone()));
        }
        while !opening.is_empty() {
            self.take(opening.join_next().await)?;
        }
        Ok(())
    }

    fn take(&self, subscribed: Option<Subscribed>) -> Result<(), String> {
        let Some(subscribed) = subscribed else { return Ok(()) };
        let session = subscribed
            .map_err(|error| format!("a subscriber's task failed: {error}"))?
            .map_err(|failure| format!("a subscriber could not enter: {failure}"))?;
        let (stream, left_over) = session.into_parts();
        tokio::spawn(drain(stream, left_over.to_vec(), Arc::clone(&self.totals)));
        Ok(())
    }

    async fn sender(&self, number: usize) -> Result<Sender, String> {
        let index = self.args.subscribers as usize + number;
        let token = self.mint.token(&format!("{}-s{number}", self.run), &self.name)?;
        Sender::new(self.nodes.at(number), index, &token, &self.name, self.args.body as usize)
            .await
            .map_err(|failure| format!("the sender could not enter: {failure}"))
    }

    async fn unbatched(&self) -> Result<(), String> {
        let subscribers = u64::from(self.args.subscribers);
        let messages = u64::from(self.args.messages);
        let mut sender = self.sender(0).await?;
        let bare = Bare::new(self.args.subscribers as usize, &self.args.pid).await?;
        self.one_by_one(&mut sender, WARM_UP).await?;
        bare.round(WARM_UP, 256).await?;
        let (mut server_ns, mut bare_ns, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut size = 0;
        for _ in 0..self.args.rounds {
            let (cpu, bytes) = (system::cpu_of_all(&self.args.pid)?, self.totals.bytes());
            self.one_by_one(&mut sender, messages).await?;
            sleep(SETTLE).await;
            let used = system::cpu_of_all(&self.args.pid)?.saturating_sub(cpu);
            let deliveries = messages * subscribers;
            size = (self.totals.bytes() - bytes) / deliveries;
            let own = used.as_nanos() as f64 / deliveries as f64;
            let other = bare.round(messages, size as usize).await?.as_nanos() as f64;
            server_ns.push(own);
            bare_ns.push(other);
            ratios.push(own / other.max(1.0));
        }
        println!("  unbatched, {} rounds of {messages} messages, each alone:", self.args.rounds);
        println!("    server     {} ns of CPU per delivery", spread(&mut server_ns, 0));
        println!(
            "    bare send  {} ns of CPU per send of the same {size} bytes",
            spread(&mut bare_ns, 0)
        );
        println!("    ratio      {}", spread(&mut ratios, 2));
        Ok(())
    }

    async fn one_by_one(&self, sender: &mut Sender, messages: u64) -> Result<(), String> {
        for _ in 0..messages {
            let goal = self.totals.messages() + u64::from(self.args.subscribers);
            let sent = sender.send();
            if sent.is_err() || !self.totals.reach(goal, PATIENCE).await {
                let failure = match sent {
                    Err(failure) => failure,
                    Ok(()) => sender.complaint().await,
                };
                return Err(format!("a message did not reach every subscriber: {failure}"));
            }
        }
        Ok(())
    }

    async fn saturated(&self) -> Result<bool, String> {
        let before = self.totals.messages();
        let over = Arc::new(AtomicBool::new(false));
        let mut senders = JoinSet::new();
        for number in 0..self.args.senders as usize {
            let sender = self.sender(number + 1).await?;
            senders.spawn(sender.flood(self.args.window as usize, Arc::clone(&over)));
        }
        let length = Duration::from_secs(self.args.seconds.into());
        sleep((length / 5).min(Duration::from_secs(3))).await;
        let (counted, from) = (self.totals.messages(), Instant::now());
        sleep(length).await;
        let rate = (self.totals.messages() - counted) as f64 / from.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let (mut sent, mut clean) = (0, true);
        while let Some(ended) = senders.join_next().await {
            match ended.map_err(|error| format!("a sender's task failed: {error}"))? {
                Ok(received) => sent += received,
                Err(failure) => {
                    println!("  refused: 1 × SEND: {failure}");
                    clean = false;
                }
            }
        }
        let due = sent * u64::from(self.args.subscribers);
        let arrived = self.totals.reach(before + due, PATIENCE).await;
        let lost = due.saturating_sub(self.totals.messages() - before);
        println!("  saturated: {rate:.0} deliveries/s over {} s", self.args.seconds);
        println!("    {sent} SENDs with RECEIPT; {lost} deliveries lost");
        Ok(clean && arrived)
    }
}

type Subscribed = Result<Result<Session, Failure>, tokio::task::JoinError>;

async fn subscribe(
    target: Target,
    index: usize,
    token: String,
    room: String,
) -> Result<Session, Failure> {
    let mut session = Session::open(&target, index).await?;
    session.connect(&token, "0,0").await?;
    let topic = format!("/topic/rooms/{room}");
    let headers = [("id", "0"), ("destination", topic.as_str()), ("receipt", "0")];
    session.send("SUBSCRIBE", &headers, b"")?;
    session.until(ANSWER, "RECEIPT", |frame| (frame.command() == b"RECEIPT").then_some(())).await?;
    Ok(session)
}

/// Median and range.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    let last = values.len().saturating_sub(1);
    format!("{:.digits$} ({:.digits$} to {:.digits$})", at(last / 2), at(0), at(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_range() {
        assert_eq!(spread(&mut [3.0, 1.0, 2.0], 1), "2.0 (1.0 to 3.0)");
        assert_eq!(spread(&mut [], 0), "0 (0 to 0)");
    }
}
