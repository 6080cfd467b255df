//! Somebody who calls the API, and says exactly what a test wants said.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Answer, DEADLINE, Server, Token};

/// See the module.
#[derive(Clone)]
pub struct Caller {
    address: SocketAddr,
    token: Option<String>,
}

impl Caller {
    /// A user whose token opens no room.
    pub fn of(server: &Server, user: &str) -> Self {
        Self::with(server, &Token::of(user).mint())
    }

    /// Somebody with that token.
    pub fn with(server: &Server, token: &str) -> Self {
        Self { address: server.address, token: Some(token.into()) }
    }

    /// Somebody without one.
    pub fn nobody(server: &Server) -> Self {
        Self { address: server.address, token: None }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], b"").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], b"").await
    }

    /// With a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.json(method, path, &body.to_string()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, body).await
    }

    /// With a body that says it is JSON.
    pub async fn json(&self, method: &str, path: &str, body: &str) -> Answer {
        self.raw(method, path, &[("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// With any headers and any body. The path goes out as it stands.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let path = if path.starts_with("/api/") { path.into() } else { format!("/api/v1{path}") };
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let bytes = timeout(2 * DEADLINE, self.exchange([head.as_bytes(), body].concat())).await;
        Answer::parse(&String::from_utf8_lossy(&bytes.expect("no answer in time")))
    }

    async fn exchange(&self, request: Vec<u8>) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has read enough may hang up before it has read all.
        let _ = stream.write_all(&request).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }
}

impl Answer {
    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if status == 204 { Value::Null } else { self.json() }
    }

    /// The answer has to be a problem document with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.get("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()));
        assert!(problem["detail"].is_string() && problem["title"].is_string(), "{self:?}");
        assert_eq!(self.get("www-authenticate").is_some(), status == 401, "{self:?}");
        assert_eq!(self.get("retry-after").is_some(), matches!(status, 429 | 503), "{self:?}");
        problem
    }
}
