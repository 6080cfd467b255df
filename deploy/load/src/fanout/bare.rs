//! The baseline of a fan-out: a thread that does nothing but blocking `send()` of the same bytes to
//! the same number of loopback sockets, on the server's cores, drained as the server's are.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::PATIENCE;
use super::drain::{Totals, drain};
use crate::system;

enum Order {
    Send(Arc<[u8]>),
    Cpu(oneshot::Sender<Result<Duration, String>>),
}

/// The thread and its receivers.
pub struct Bare {
    orders: mpsc::Sender<Order>,
    totals: Arc<Totals>,
    sockets: u64,
}

impl Bare {
    /// Connects `count` pairs; the sender runs where the first of these processes may.
    pub async fn new(count: usize, pids: &[i32]) -> Result<Self, String> {
        let totals = Arc::new(Totals::default());
        let senders = pairs(count, &totals).map_err(|error| format!("bare sockets: {error}"))?;
        let (orders, queue) = mpsc::channel(1);
        let pid = pids.first().copied().ok_or("give --pid at least one process id")?;
        std::thread::Builder::new()
            .name("bare-send".to_owned())
            .spawn(move || serve(senders, queue, pid))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { orders, totals, sockets: count as u64 })
    }

    /// Sends `messages` of `bytes` each to every socket, each drained before the next; gives back
    /// the CPU time of one send.
    pub async fn round(&self, messages: u64, bytes: usize) -> Result<Duration, String> {
        let mut frame = bytes::BytesMut::new();
        crate::ws::encode_server_filler(bytes, &mut frame);
        let frame: Arc<[u8]> = Arc::from(&frame[..]);
        let before = self.cpu().await?;
        for _ in 0..messages {
            let goal = self.totals.messages() + self.sockets;
            self.order(Order::Send(Arc::clone(&frame))).await?;
            if !self.totals.reach(goal, PATIENCE).await {
                return Err("the bare send loop did not arrive".to_owned());
            }
        }
        let used = self.cpu().await?.saturating_sub(before);
        Ok(used.div_f64((messages * self.sockets) as f64))
    }

    async fn cpu(&self) -> Result<Duration, String> {
        let (answer, cpu) = oneshot::channel();
        self.order(Order::Cpu(answer)).await?;
        cpu.await.unwrap_or_else(|_gone| Err(GONE.to_owned()))
    }

    async fn order(&self, order: Order) -> Result<(), String> {
        self.orders.send(order).await.map_err(|_gone| GONE.to_owned())
    }
}

const GONE: &str = "the bare send loop ended early";

fn pairs(count: usize, totals: &Arc<Totals>) -> std::io::Result<Vec<TcpStream>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut senders = Vec::with_capacity(count);
    for _ in 0..count {
        let sender = TcpStream::connect(address)?;
        sender.set_nodelay(true)?;
        let (receiver, _) = listener.accept()?;
        receiver.set_nonblocking(true)?;
        let receiver = tokio::net::TcpStream::from_std(receiver)?;
        tokio::spawn(drain(receiver, Vec::new(), Arc::clone(totals)));
        senders.push(sender);
    }
    Ok(senders)
}

fn serve(mut sockets: Vec<TcpStream>, mut orders: mpsc::Receiver<Order>, pid: i32) {
    let mut health = system::run_where(pid);
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Send(frame) => {
                for socket in &mut sockets {
                    if let Err(error) = socket.write_all(&frame) {
                        health = Err(format!("bare send: {error}"));
                    }
                }
            }
            Order::Cpu(answer) => {
                let now = health.clone().map(|()| system::cpu_of_this_thread());
                // Nobody waits any more: the test is over.
                let _ = answer.send(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_bare_send_costs_something() {
        let bare = Bare::new(4, &[std::process::id() as i32]).await.unwrap();
        assert!(bare.round(50, 200).await.unwrap() > Duration::ZERO);
        assert_eq!(bare.totals.messages(), 200);
    }
}
