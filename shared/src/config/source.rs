//! Where variables come from. The only file that may name the process environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// A place to read variables from: the process, or a map in tests.
pub trait Source {
    /// All variables, names and values as they stand. Order does not matter.
    fn variables(&self) -> Vec<(OsString, OsString)>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnv;

impl Source for ProcessEnv {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

impl Source for BTreeMap<String, String> {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}

impl<const N: usize> Source for [(&str, &str); N] {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}
