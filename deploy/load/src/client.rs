//! One STOMP session over one socket, light enough for thousands in a task each: one small read
//! buffer, writes tried at once and kept only when the server does not read. `next` can be dropped
//! at any time without losing bytes, so it may stand in a `select!`.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::failure::Failure;
use crate::stomp::{self, Frame};
use crate::target::Target;
use crate::ws;

const READ_STEP: usize = 4 << 10;
const READ_STEP_MAX: usize = 64 << 10;
/// Unsent bytes above which the server counts as not reading.
const MAX_UNSENT: usize = 8 << 20;
/// For everything but a message: the upgrade, CONNECTED, a RECEIPT, a close.
pub const ANSWER: Duration = Duration::from_secs(20);
const GOODBYE: Duration = Duration::from_secs(6);

/// An open WebSocket, before and after CONNECT.
pub struct Session {
    stream: TcpStream,
    input: BytesMut,
    message: BytesMut,
    unsent: BytesMut,
    mask: u32,
    heard: Instant,
}

impl Session {
    /// TCP and the upgrade.
    pub async fn open(target: &Target, index: usize) -> Result<Self, Failure> {
        timeout(ANSWER, Self::upgrade(target, index))
            .await
            .unwrap_or(Err(Failure::Timeout("answer to the upgrade")))
    }

    async fn upgrade(target: &Target, index: usize) -> Result<Self, Failure> {
        let stream = target.dial(index).await?;
        let mut session = Self {
            stream,
            input: BytesMut::new(),
            message: BytesMut::new(),
            unsent: BytesMut::from(ws::request(&target.host, &target.path).as_str()),
            mask: (index as u32).wrapping_mul(0x9E37_79B9) | 1,
            heard: Instant::now(),
        };
        while !ws::take_answer(&mut session.input)? {
            session.drive().await?;
        }
        Ok(session)
    }

    /// CONNECT, until CONNECTED. `heart_beat` is the header's value, `0,0` for none.
    pub async fn connect(&mut self, token: &str, heart_beat: &str) -> Result<Frame, Failure> {
        let bearer = format!("Bearer {token}");
        self.send(
            "CONNECT",
            &[
                ("accept-version", "1.2"),
                ("host", "moim"),
                ("heart-beat", heart_beat),
                ("Authorization", &bearer),
            ],
            b"",
        )?;
        self.until(ANSWER, "CONNECTED", |frame| {
            (frame.command() == b"CONNECTED").then(|| frame.clone())
        })
        .await
    }

    /// Queues a frame and writes what the socket takes at once.
    pub fn send(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(), Failure> {
        self.queue(command, headers, body)?;
        self.flush()
    }

    /// Queues a frame; it goes out with the next `send`, `flush` or `next`.
    pub fn queue(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(), Failure> {
        if self.unsent.len() > MAX_UNSENT {
            return Err(Failure::SendBufferFull);
        }
        let frame = stomp::encode(command, headers, body);
        let opcode = if std::str::from_utf8(body).is_ok() { ws::TEXT } else { ws::BINARY };
        self.queue_message(opcode, &frame);
        Ok(())
    }

    /// Sends a heart-beat.
    pub fn beat(&mut self) -> Result<(), Failure> {
        self.queue_message(ws::TEXT, b"\n");
        self.flush()
    }

    fn queue_message(&mut self, opcode: u8, payload: &[u8]) {
        // xorshift32: the mask keeps proxies honest, it need not be secret here.
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        ws::encode(opcode, payload, self.mask.to_ne_bytes(), &mut self.unsent);
    }

    /// Writes what the socket takes without waiting.
    pub fn flush(&mut self) -> Result<(), Failure> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(written) => self.unsent.advance(written),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::socket(&error)),
            }
        }
        self.unsent = BytesMut::new();
        Ok(())
    }

    /// The next frame; heart-beats, pings and pongs are dealt with here. An ERROR frame or a close
    /// is a failure.
    pub async fn next(&mut self) -> Result<Frame, Failure> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.drive().await?;
        }
    }

    /// Reads frames until `found` gives something back.
    pub async fn until<T>(
        &mut self,
        limit: Duration,
        what: &'static str,
        mut found: impl FnMut(&Frame) -> Option<T>,
    ) -> Result<T, Failure> {
        let search = async {
            loop {
                if let Some(thing) = found(&self.next().await?) {
                    return Ok(thing);
                }
            }
        };
        timeout(limit, search).await.unwrap_or(Err(Failure::Timeout(what)))
    }

    /// When anything came the last time.
    pub const fn heard(&self) -> Instant {
        self.heard
    }

    /// A frame that is already here.
    pub fn buffered(&mut self) -> Result<Option<Frame>, Failure> {
        while let Some(head) = ws::head(&self.input)? {
            if self.input.len() < head.length + head.payload {
                return Ok(None);
            }
            self.input.advance(head.length);
            let payload = self.input.split_to(head.payload).freeze();
            if let Some(message) = self.take_frame(head, payload)?
                && message.iter().any(|b| !matches!(b, b'\n' | b'\r'))
            {
                return refuse_error(Frame::parse(message)?).map(Some);
            }
        }
        Ok(None)
    }

    fn take_frame(&mut self, head: ws::Head, payload: Bytes) -> Result<Option<Bytes>, Failure> {
        match head.opcode {
            ws::TEXT | ws::BINARY if head.fin => return Ok(Some(payload)),
            ws::TEXT | ws::BINARY | ws::CONTINUATION => {
                if self.message.len() + payload.len() > ws::MAX_PAYLOAD {
                    return Err(Failure::Protocol("a message above 16 MiB"));
                }
                self.message.extend_from_slice(&payload);
                if head.fin {
                    return Ok(Some(std::mem::take(&mut self.message).freeze()));
                }
            }
            ws::PING => {
                self.queue_message(ws::PONG, &payload);
                self.flush()?;
            }
            ws::CLOSE => {
                let code = payload.first_chunk::<2>().map(|two| u16::from_be_bytes(*two));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                return Err(Failure::Closed {
                    code: code.or(Some(1005)),
                    reason: reason.into_owned(),
                });
            }
            _ => {}
        }
        Ok(None)
    }

    async fn drive(&mut self) -> Result<(), Failure> {
        let interest = if self.unsent.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = self.stream.ready(interest).await.map_err(|error| Failure::socket(&error))?;
        if ready.is_writable() {
            self.flush()?;
        }
        if ready.is_readable() {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let missing = match ws::head(&self.input)? {
            Some(head) => (head.length + head.payload).saturating_sub(self.input.len()),
            None => 0,
        };
        self.input.reserve(missing.clamp(READ_STEP, READ_STEP_MAX));
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(Failure::Closed { code: None, reason: String::new() }),
            Ok(_) => {
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(Failure::socket(&error)),
        }
    }

    /// A WebSocket close, and the server's; frames that still come are shown to `seen`.
    pub async fn close(mut self, mut seen: impl FnMut(&Frame)) -> Result<(), Failure> {
        self.queue_message(ws::CLOSE, &1000_u16.to_be_bytes());
        let answered = match self.flush() {
            Ok(()) => {
                self.until(GOODBYE, "close from the server", |frame| {
                    seen(frame);
                    None::<()>
                })
                .await
            }
            // A server that answered DISCONNECT by closing first is gone already.
            Err(Failure::Socket(_)) => return Ok(()),
            Err(failure) => Err(failure),
        };
        match answered {
            Err(failure) if failure.is_goodbye() => Ok(()),
            Err(Failure::Socket(_)) | Ok(()) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Gives up the protocol: the socket and what was read from it but not used.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }
}

fn refuse_error(frame: Frame) -> Result<Frame, Failure> {
    if frame.command() == b"ERROR" {
        let message = frame.header("message").unwrap_or_default().into_owned();
        return Err(Failure::Error(message));
    }
    Ok(frame)
}
