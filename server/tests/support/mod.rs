//! A real server process, and clients that say exactly what a test wants said. Nothing here sleeps:
//! every wait is for something, with a deadline, and fails with what came instead.
#![allow(dead_code, missing_docs, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client;
mod frame;
mod http;
mod jwks_server;
mod row;
mod server;
mod signer;
mod tls;
mod token;
mod wire;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use self::client::{Client, Event, Open, to_room};
pub use self::frame::{Frame, frame};
pub use self::http::Ask;
pub use self::jwks_server::{JwksServer, Serves};
pub use self::row::Row;
pub use self::server::{Answer, Log, Port, Program, Server};
pub use self::signer::{Signer, jwks};
pub use self::tls::{Boxed, Certificate, encrypted, get_encrypted};
pub use self::token::{SECRET, Token, forged, token};
pub use self::wire::{Opcode, Raw, Wire, encode};

/// How long a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A server that the tests of a binary share; each test uses rooms of its own.
pub struct Shared {
    settings: &'static [(&'static str, &'static str)],
    server: OnceLock<Server>,
}

impl Shared {
    pub const fn new(settings: &'static [(&'static str, &'static str)]) -> Self {
        Self { settings, server: OnceLock::new() }
    }
}

impl std::ops::Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.get_or_init(|| Server::with(self.settings))
    }
}

/// A room id that no other test of this process has.
pub fn room(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
