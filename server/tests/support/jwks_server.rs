//! A key server over real sockets: it counts who asks, and behaves as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::DEADLINE;

/// How it answers.
#[derive(Clone)]
pub enum Serves {
    /// This text.
    Text(String),
    /// An error.
    Status(u16),
    /// Nothing: it hangs up.
    Nothing,
    /// A head, and then a byte now and then.
    Slowly,
}

/// See the module. Its thread ends with the process.
pub struct JwksServer {
    pub address: SocketAddr,
    serves: Arc<Mutex<Serves>>,
    asked: Arc<AtomicUsize>,
}

impl JwksServer {
    pub fn start(serves: Serves) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serves = Arc::new(Mutex::new(serves));
        let asked = Arc::new(AtomicUsize::new(0));
        let (now, count) = (serves.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let serves = now.lock().unwrap().clone();
                std::thread::spawn(move || answer(stream, &serves));
            }
        });
        Self { address, serves, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// From now on.
    pub fn serve(&self, serves: Serves) {
        *self.serves.lock().unwrap() = serves;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, serves: &Serves) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        request.push(byte[0]);
    }
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
    };
    // Who asks may hang up at any time.
    let _ = match serves {
        Serves::Text(text) => write!(stream, "{}{text}", head(200, text.len())),
        Serves::Status(status) => write!(stream, "{}", head(*status, 0)),
        Serves::Nothing => Ok(()),
        Serves::Slowly => {
            let mut written = write!(stream, "{}", head(200, 100));
            while written.is_ok() {
                std::thread::sleep(Duration::from_millis(500));
                written = write!(stream, " ");
            }
            written
        }
    };
}
