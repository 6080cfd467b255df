//! The data directory of a server that stands alone.

use std::path::Path;

use super::{Verdict, of_store};
use crate::store::StoreError;
use crate::store::sqlite::look::{Looked, look};

/// With less the disk is nearly full: the write-ahead log alone takes 32 MiB at times.
const NEARLY_FULL: u64 = 1 << 30;

/// The disk that the directory is on.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// Bytes that this user may still write.
    pub free: u64,
}

/// Looks at the directory and at the database in it. It blocks.
pub fn data(folder: &Path, disk: Option<Disk>) -> Vec<Verdict> {
    judge(folder, look(&folder.join("moim.db")), disk)
}

fn judge(folder: &Path, looked: Result<Looked, StoreError>, disk: Option<Disk>) -> Vec<Verdict> {
    let free = disk.map_or(String::new(), |disk| format!(", {} free", mib(disk.free)));
    let folder = folder.display();
    let state = match looked {
        Ok(Looked::Missing) => "is made at the first start",
        Ok(Looked::There(pending)) if pending.is_empty() => "is whole and up to date",
        Ok(Looked::There(_)) => "is brought up to date at the next start",
        Err(error) => return vec![of_store(error)],
    };
    let mut verdicts =
        vec![Verdict::Fine(format!("{folder} can be written to; the database {state}{free}"))];
    if let Some(disk) = disk.filter(|disk| disk.free < NEARLY_FULL) {
        verdicts.push(Verdict::Risky(format!(
            "the disk of {folder} is nearly full, {} are left: when it is full SENDs are refused; \
             free some disk space, or set MOIM_RETENTION",
            mib(disk.free)
        )));
    }
    verdicts
}

fn mib(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;
    use crate::store::sqlite::SqliteStore;

    fn said(folder: &Path, free: u64) -> (u8, String) {
        let report = Report::only("data", data(folder, Some(Disk { free })));
        (report.code(), report.to_string())
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/data");
        let (code, text) = said(&folder, 20 << 30);
        assert!(code == 0 && text.contains("is made at the first start, 20 GiB free"), "{text}");
        assert!(!dir.path().join("a").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing stays behind");

        // Also while a server has it.
        let serving = SqliteStore::open(&folder.join("moim.db")).unwrap();
        let (code, text) = said(&folder, 20 << 30);
        assert!(code == 0 && text.contains("up to date"), "{text}");
        drop(serving);
        assert!(said(&folder, 20 << 30).1.contains("up to date"));
        let left: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(left.len(), 2, "{left:?}: the database and its lock");
    }

    #[test]
    fn a_full_disk_is_told_and_what_is_no_database_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let (code, text) = said(dir.path(), 100 << 20);
        assert!(code == 0 && text.contains("WARN ") && text.contains("100 MiB are left"), "{text}");
        std::fs::write(dir.path().join("moim.db"), "dear diary, ".repeat(100)).unwrap();
        assert_eq!(said(dir.path(), 20 << 30).0, 5);
        let file = dir.path().join("moim.db");
        let (code, text) = said(&file, 20 << 30);
        assert!(code == 5 && text.contains("MOIM_DATA_DIR"), "{text}");
    }
}
