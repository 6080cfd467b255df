//! What `doctor` wants to know of a database file that a server may be serving. It takes no lock and
//! changes nothing. It blocks.

use std::path::Path;

use super::file::{Database, try_folder};
use crate::store::StoreError;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It is made at the first start.
    Missing,
    /// It is ours, and these migrations are done at the next start.
    There(Vec<String>),
}

/// Looks at the file, and whether its folder can be written to.
pub(crate) fn look(path: &Path) -> Result<Looked, StoreError> {
    if let Some(folder) = path.parent() {
        try_folder(folder)?;
    }
    Ok(Database::look(path)?.map_or(Looked::Missing, Looked::There))
}
