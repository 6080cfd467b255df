//! One user of the API, for tests with several of them and with many requests at once.

use serde_json::Value;

use crate::support::{Answer, Server, Token};

/// Somebody who calls a server.
#[derive(Clone)]
pub struct Caller<'a> {
    server: &'a Server,
    token: Option<String>,
}

impl<'a> Caller<'a> {
    /// A user whose token opens no room.
    pub fn of(server: &'a Server, user: &str) -> Self {
        Self::with(server, &Token::of(user).mint())
    }

    /// Somebody with that token.
    pub fn with(server: &'a Server, token: &str) -> Self {
        Self { server, token: Some(token.into()) }
    }

    /// Somebody without one.
    pub const fn nobody(server: &'a Server) -> Self {
        Self { server, token: None }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], b"").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, body).await
    }

    /// With a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.json(method, path, &body.to_string()).await
    }

    /// With a body that says it is JSON.
    pub async fn json(&self, method: &str, path: &str, body: &str) -> Answer {
        self.raw(method, path, &[("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// With any headers and any body. The path below `/api/v1` goes out as it stands.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut ask = self.server.ask(&format!("{method} /api/v1{path}")).bytes(body);
        if let Some(token) = &self.token {
            ask = ask.token(token);
        }
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        // It blocks, and others of the test have something to say meanwhile.
        tokio::task::spawn_blocking(move || ask.answer()).await.unwrap()
    }
}
