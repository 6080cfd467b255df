//! The API as a client uses it: a request with a token and JSON, and what is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::{Answer, DEADLINE, Server};

/// A request in the making.
pub struct Ask {
    address: SocketAddr,
    start: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Server {
    /// `server.ask("GET /api/v1/me")`.
    pub fn ask(&self, start: &str) -> Ask {
        let host = ("Host".to_owned(), self.address.to_string());
        Ask { address: self.address, start: start.into(), headers: vec![host], body: Vec::new() }
    }
}

impl Ask {
    /// To another address of the server.
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    pub fn body(mut self, kind: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Type", kind).header("Content-Length", &body.len().to_string())
    }

    /// A body that does not say what it is.
    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// A body in chunks, as they stand on the wire.
    pub fn chunks(mut self, kind: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Type", kind).header("Transfer-Encoding", "chunked")
    }

    /// What it is answered.
    #[track_caller]
    pub fn answer(self) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(3 * DEADLINE)).unwrap();
        let mut request = format!("{} HTTP/1.1\r\n", self.start).into_bytes();
        for (name, value) in &self.headers {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
        request.extend(b"Connection: close\r\n\r\n");
        request.extend(&self.body);
        // It may be refused before all of it was sent.
        let _ = stream.write_all(&request);
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        assert!(!bytes.is_empty(), "no answer to {}: {read:?}", self.start);
        Answer::parse(&String::from_utf8_lossy(&bytes))
    }

    /// The JSON of an answer that has to have this status; null when there is none.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        let start = self.start.clone();
        let answer = self.answer();
        assert_eq!(answer.status, status, "{start}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// The same for a refusal, which has to be a problem document with this code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        let start = self.start.clone();
        let answer = self.answer();
        assert_eq!(answer.status, status, "{start}: {answer:?}");
        answer.refused(status, code)
    }
}

impl Answer {
    /// The JSON of an answer that has to have this status; null when there is none.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem document that this has to be, with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.get("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()));
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(self.get("www-authenticate"), (status == 401).then_some("Bearer"));
        let retries = self.get("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
        assert_eq!(retries.is_some(), matches!(status, 429 | 503), "{self:?}");
        problem
    }
}
