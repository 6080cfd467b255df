//! The secret that standalone makes for itself, so that it starts without configuration and its
//! tokens outlive a restart.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use moim_shared::config::Secret;

/// The file in the data directory.
const FILE: &str = "jwt-secret";

/// The secret kept in `$MOIM_DATA_DIR/jwt-secret`; made at the first start, readable by its owner
/// only. The error names the file. Blocks on the disk.
pub fn standalone_secret(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join(FILE);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    create(data_dir, &path).map_err(|err| about(&path, "cannot make", &err))?;
    // Read back: another process may have been first, and then its secret is the one.
    let vanished = || io::Error::other(format!("`{}` vanished while it was made", path.display()));
    read(&path)?.ok_or_else(vanished)
}

/// Whether the one that is kept there can be used; none is made. The error says what to do.
pub fn look_at_secret(data_dir: &Path) -> io::Result<()> {
    match read(&data_dir.join(FILE)) {
        // What is wrong with such a directory is not a matter of the secret.
        Err(err) if err.kind() == io::ErrorKind::NotADirectory => Ok(()),
        read => read.map(drop),
    }
}

fn read(path: &Path) -> io::Result<Option<Secret>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(about(path, "cannot read", &err)),
    };
    let too_short = || {
        let text = format!(
            "`{}` holds less than {} bytes: put a longer secret there, or remove it to have a new \
             one made (tokens made before are then refused), or set `MOIM_JWT_SECRET`",
            path.display(),
            Secret::MIN_BYTES
        );
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    Secret::new(text.trim_end_matches(['\r', '\n'])).map(Some).ok_or_else(too_short)
}

/// Puts a new secret at `path` unless one is there. It appears whole and on disk, or not at all.
fn create(data_dir: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let unique = format!("{FILE}.{}.{:016x}", std::process::id(), rand::random::<u64>());
    let temporary = data_dir.join(unique);
    let made = write(&temporary).and_then(|()| {
        // A link, not a rename: a rename would replace the secret of a process that was faster.
        match fs::hard_link(&temporary, path) {
            Err(err) if err.kind() != io::ErrorKind::AlreadyExists => Err(err),
            _ => File::open(data_dir)?.sync_all(),
        }
    });
    // What is left after a crash does no harm; the failure before it is the one to report.
    let _ = fs::remove_file(&temporary);
    made
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut text = String::with_capacity(65);
    for byte in rand::random::<[u8; 32]>() {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn about(path: &Path, what: &str, err: &io::Error) -> io::Error {
    io::Error::new(err.kind(), format!("{what} `{}`: {err}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("not/yet/there");
        let first = standalone_secret(&data).unwrap();
        assert_eq!(first.as_bytes().len(), 64);
        assert_eq!(standalone_secret(&data).unwrap(), first);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        standalone_secret(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn all_that_start_at_once_end_with_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let together = std::sync::Barrier::new(8);
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let start = || {
                together.wait();
                standalone_secret(dir.path()).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn one_that_was_put_there_is_taken_without_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let text = "a secret of my own, long enough for HS256";
        fs::write(dir.path().join(FILE), format!("{text}\r\n")).unwrap();
        assert_eq!(standalone_secret(dir.path()).unwrap().as_bytes(), text.as_bytes());
    }

    #[test]
    fn a_short_one_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "short\n").unwrap();
        let text = standalone_secret(dir.path()).unwrap_err().to_string();
        assert!(text.contains("jwt-secret") && text.contains("MOIM_JWT_SECRET"), "{text}");
        assert!(!text.contains("short\n") && !text.contains("`short`"), "{text}");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let text = standalone_secret(&file).unwrap_err().to_string();
        assert!(text.contains("file/jwt-secret"), "{text}");
    }
}
