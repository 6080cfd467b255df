//! Data that cannot be used: an exit code, and a message that names the file and says what to do.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use crate::support::*;
use crate::table::Other;

#[track_caller]
fn refuses(data: &Path, code: i32, says: &[&str]) {
    let output = Server::command(&[], &[("MOIM_DATA_DIR", data.to_str().unwrap())]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for said in says {
        assert!(text.contains(said), "`{said}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

/// A data directory that a server has used.
async fn used() -> (Server, tempfile::TempDir) {
    let server = Server::start();
    let mut ann = Client::connect(&server, "ann").await;
    for n in 0..200 {
        ann.send(to_room("room", format!("{n} {}", "x".repeat(2_000)))).await;
    }
    ann.send_room("room", "last").await;
    assert_eq!(server.terminate(), Some(0));
    Other::open(&server.database()).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let copy = tempfile::tempdir().unwrap();
    fs::copy(server.database(), copy.path().join("moim.db")).unwrap();
    (server, copy)
}

#[tokio::test]
async fn data_that_another_server_uses_is_exit_5() {
    let server = Server::start();
    refuses(server.data_dir(), 5, &["moim.db", "another server", "MOIM_DATA_DIR"]);
    // That one is not disturbed by it.
    Client::connect(&server, "ann").await.send_room("room", "x").await;
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_exit_3() {
    let (_server, data) = used().await;
    let file = data.path().join("moim.db");
    let mut other = Other::open(&file);
    other.execute("PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE");
    refuses(data.path(), 3, &[file.to_str().unwrap(), "locked", "another program"]);
    other.release();
}

#[tokio::test]
async fn a_corrupt_database_is_exit_5() {
    let (_server, data) = used().await;
    let path = data.path().join("moim.db");
    let file = fs::File::options().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    assert!(size > 200_000, "{size}");
    // Every page but the first, which tells what the file is.
    for page in (1..size / 4096).step_by(3) {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    refuses(data.path(), 5, &[path.to_str().unwrap(), "malformed", "backup"]);
}

#[test]
fn a_file_that_is_no_database_is_exit_5_and_stays_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("moim.db");
    let text = "dear diary, ".repeat(1_000);
    fs::write(&path, &text).unwrap();
    refuses(data.path(), 5, &[path.to_str().unwrap(), "not a database", "move it away"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn another_programs_database_is_exit_5() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("moim.db");
    Other::open(&path).execute("CREATE TABLE diary (day, text)");
    refuses(data.path(), 5, &[path.to_str().unwrap(), "another program", "MOIM_DATA_DIR"]);
}

#[test]
fn a_directory_in_the_place_of_the_database_is_exit_5() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("moim.db");
    fs::create_dir(&path).unwrap();
    refuses(data.path(), 5, &[path.to_str().unwrap(), "directory"]);
}

#[test]
fn a_place_that_cannot_be_written_to_is_exit_5() {
    refuses(Path::new("/proc/moim"), 5, &["/proc/moim", "MOIM_DATA_DIR", "write"]);
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "no folder").unwrap();
    refuses(&file, 5, &[file.to_str().unwrap(), "MOIM_DATA_DIR", "write"]);
    // Root writes everywhere.
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let path = data.path().join("below");
    if fs::create_dir(&path).is_err() {
        refuses(&path, 5, &[path.to_str().unwrap(), "MOIM_DATA_DIR", "write"]);
    }
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_exit_4() {
    let (_server, data) = used().await;
    let path = data.path().join("moim.db");
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    Other::open(&path).execute(newer);
    refuses(data.path(), 4, &[path.to_str().unwrap(), "29990101000000", "newer"]);
}
