//! What the tests of `doctor` run beside the services: a Redis that is too old, and a false clock.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::Port;
use crate::until;

/// Installs both, once.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("doctor");
        let install = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doctor/install");
        let output = Command::new(install).arg(&folder).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{install}: {said}");
        folder
    })
}

/// The words before a program whose clock is to be five minutes ahead. Waits take as long as ever.
pub fn faketime() -> &'static [&'static str] {
    installed();
    &["faketime", "-m", "--exclude-monotonic", "-f", "+5m"]
}

/// A Redis 6.2. It ends with this.
pub struct OldRedis {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl OldRedis {
    pub async fn start() -> Self {
        let binary = installed().join("redis-server-6.2");
        let address = Port::reserve().address();
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(binary)
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &address.port().to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let old = Self { address, child, _folder: folder };
        let answers = async || TcpStream::connect(address).await.is_ok();
        until("the old Redis listens", Duration::from_secs(10), answers).await;
        old
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for OldRedis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
