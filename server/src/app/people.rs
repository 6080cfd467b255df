//! What is asked when people come: log-ins, the end of tokens, the operators' token.

use std::net::SocketAddr;
use std::sync::Arc;

use moim_shared::config::{AdminToken, Config, Mode};
use moim_shared::process::StartError;
use moim_worker::telling::Telling;

use super::Backends;
use crate::accounts::{Ends, Logins, Parts, random_text};
use crate::registry::Registry;
use crate::token::Revoked;

/// See the module.
pub(super) struct People {
    pub ends: Arc<Ends>,
    /// None without accounts.
    pub logins: Option<Arc<Logins>>,
    /// Whether anybody may make an account.
    pub registration: bool,
    pub admin_token: Option<AdminToken>,
}

/// Knows all that was revoked, or does not start.
pub(super) async fn people(
    config: &Config,
    backends: &Backends,
    telling: &Telling,
    revoked: Arc<Revoked>,
    registry: Arc<Registry>,
) -> Result<People, StartError> {
    let (accounts, broker) = (backends.accounts.clone(), backends.broker.clone());
    let ends = Arc::new(Ends::new(accounts.clone(), broker, revoked, registry));
    ends.load().await?;
    let settings = &config.accounts;
    let logins = if settings.enabled {
        let parts = Parts {
            accounts,
            rooms: backends.rooms.clone(),
            devices: backends.devices.clone(),
            telling: telling.clone(),
            ends: ends.clone(),
            secret: backends.secret.clone(),
            auth: config.auth.clone(),
            settings: settings.clone(),
        };
        let no_thread = |error| StartError::Internal(format!("no thread for passwords: {error}"));
        Some(Arc::new(Logins::start(parts).map_err(no_thread)?))
    } else {
        None
    };
    let registration = settings.registration.unwrap_or(config.jwks.is_none());
    let unsaid = settings.enabled && settings.registration.is_none();
    if unsaid && registration && config.jwt_secret.is_some() {
        tracing::warn!(
            "anybody may make an account under a name that your tokens use; \
             set MOIM_ACCOUNTS__REGISTRATION"
        );
    }
    Ok(People { ends, logins, registration, admin_token: admin_token(config) })
}

/// Who starts a node for this machine alone is its operator, and reads its log.
fn admin_token(config: &Config) -> Option<AdminToken> {
    if let Some(token) = &config.admin_token {
        if token.as_str().len() < SHORT {
            tracing::warn!("the admin token has less than {SHORT} characters and can be guessed");
        }
        return Some(token.clone());
    }
    let served: SocketAddr = config.admin_listen.unwrap_or(config.listen);
    let alone = match config.mode {
        Mode::Standalone => served.ip().is_loopback(),
        // Each node would have another.
        Mode::Cluster => false,
    };
    let token = AdminToken::new(random_text::<24>()).filter(|_| alone)?;
    tracing::info!("admin token: {} (until this process ends)", token.as_str());
    Some(token)
}

const SHORT: usize = 16;
