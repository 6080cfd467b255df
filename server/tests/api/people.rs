//! People with accounts.

use serde_json::{Value, json};

use crate::support::*;

pub const PASSWORD: &str = "correct horse";

/// Somebody who is logged in.
pub struct Person {
    pub user: String,
    pub access: String,
    pub refresh: String,
}

impl Person {
    /// With an account that no other test has.
    pub fn new(server: &Server, name: &str) -> Self {
        let user = room(name);
        let asked = json!({ "user": user, "password": PASSWORD });
        Self::of(&server.ask("POST /api/v1/auth/register").json(&asked).expect(201))
    }

    /// Logged in once more.
    pub fn again(&self, server: &Server) -> Self {
        self.with_password(server, PASSWORD)
    }

    pub fn with_password(&self, server: &Server, password: &str) -> Self {
        Self::of(&log_in(server, &self.user, password).expect(200))
    }

    /// What a log-in was answered.
    pub fn of(answer: &Value) -> Self {
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        let (user, access, refresh) = (text("user"), text("accessToken"), text("refreshToken"));
        Self { user, access, refresh }
    }

    pub fn me(&self, server: &Server) -> Ask {
        server.ask("GET /api/v1/me").token(&self.access)
    }

    pub fn refresh(&self, server: &Server) -> Ask {
        refresh(server, &self.refresh)
    }

    /// A session of STOMP.
    pub async fn session(&self, server: &Server) -> Client {
        Client::connect_with(server, "1.2", &self.access).await
    }

    /// Its access token is not taken any more.
    #[track_caller]
    pub fn is_out(&self, server: &Server) {
        self.me(server).refused(401, "expired");
    }
}

pub fn log_in(server: &Server, user: &str, password: &str) -> Ask {
    let asked = json!({ "user": user, "password": password });
    server.ask("POST /api/v1/auth/login").json(&asked)
}

pub fn refresh(server: &Server, token: &str) -> Ask {
    server.ask("POST /api/v1/auth/refresh").json(&json!({ "refreshToken": token }))
}

pub fn log_out(server: &Server, token: &str) -> Ask {
    server.ask("POST /api/v1/auth/logout").json(&json!({ "refreshToken": token }))
}
