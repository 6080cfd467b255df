//! Push by FCM to a double of it.

use std::path::PathBuf;
use std::time::Duration;

use moim_shared::config::BaseUrl;
use moim_shared::push_token::PushToken;
use moim_worker::push::fcm::{FcmPush, Options};
use moim_worker::push::{Collapse, Notification, Push, PushError, Sent, Urgency};

use crate::contract::{Observed, notification};
use crate::fcm_double::{FcmDouble, Taken};

/// A device's token.
pub const TOKEN: &str = "fEx4mpl3:APA91bHPRgkF-zZ9qQ1";

pub struct Rig {
    pub double: FcmDouble,
    pub push: FcmPush,
    /// The key file.
    pub file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Rig {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let double = FcmDouble::start();
        let endpoint = double.endpoint();
        Self::at(double, &endpoint, options)
    }

    /// Sends to this endpoint, with access tokens of the double.
    pub fn at(double: FcmDouble, endpoint: &str, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = double.put_credentials(directory.path());
        let endpoint = BaseUrl::parse(endpoint).unwrap();
        let push = FcmPush::open(&file, &endpoint, options).unwrap();
        Self { double, push, file, _directory: directory }
    }

    /// Sends the message `r/1-1` to [`TOKEN`].
    pub async fn send(&self) -> Result<Sent, PushError> {
        self.push.send(notification(TOKEN, "r/1-1")).await
    }

    /// Sends until it is taken.
    pub async fn sends_at_last(&self) {
        let sending = async {
            while self.send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), sending).await.expect("never taken");
    }
}

impl Observed for Rig {
    fn push(&self) -> &dyn Push {
        &self.push
    }

    fn arrived(&self) -> Vec<Notification> {
        self.double.taken().iter().map(read).collect()
    }
}

fn read(taken: &Taken) -> Notification {
    let android = &taken.android;
    let seconds = android["ttl"].as_str().unwrap().strip_suffix('s').unwrap();
    Notification {
        token: PushToken::parse(&taken.token).unwrap(),
        data: taken.data.clone(),
        urgency: match android["priority"].as_str().unwrap() {
            "high" => Urgency::High,
            "normal" => Urgency::Normal,
            other => panic!("{other}"),
        },
        ttl: Duration::from_secs(seconds.parse().unwrap()),
        collapse: match android["collapse_key"].as_str() {
            None => None,
            Some("sync") => Some(Collapse::Sync),
            other => panic!("{other:?}"),
        },
    }
}
