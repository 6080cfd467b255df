//! Hands out the values of keys, notes each key that is asked for, and gathers what is wrong
//! instead of stopping at it. What was given and never asked for is unknown.

use std::collections::BTreeMap;

use super::names;
use super::value::{Allowed, Value};

/// One key as its table declares it.
pub(super) struct Key {
    pub table: &'static str,
    pub name: &'static str,
    pub doc: &'static [&'static str],
    pub env: Option<&'static str>,
    pub example: Option<&'static str>,
}

/// One key as the documentation shows it.
pub(super) struct Known {
    pub key: Key,
    pub path: String,
    pub env: String,
    pub default: Option<String>,
    pub expected: String,
}

/// A value that was given, and where.
#[derive(Default)]
pub(super) struct Given {
    pub text: String,
    /// It was an array in TOML.
    pub list: bool,
    /// It was a table in TOML with nothing in it.
    pub empty_table: bool,
    /// Before the key in messages: `moim.toml:12: `, or nothing for a variable.
    pub place: String,
}

/// See the file's head. The default one was given nothing.
#[derive(Default)]
pub(super) struct Reader {
    /// By path, such as `limits.send_rate`.
    pub file: BTreeMap<String, Given>,
    /// By name, such as `MOIM_LIMITS__SEND_RATE`.
    pub env: BTreeMap<String, Given>,
    pub known: Vec<Known>,
    pub problems: Vec<String>,
}

impl Reader {
    /// The value of a key: from the environment, else from the file, else the default.
    pub fn value<T: Value>(&mut self, key: Key, default: T, allowed: Option<Allowed<T>>) -> T {
        let path = match key.table {
            "" => key.name.to_owned(),
            table => format!("{table}.{}", key.name),
        };
        let env = key.env.map_or_else(|| names::env_of(&path), str::to_owned);
        let from_file = self.file.remove(&path).map(|given| (path.clone(), given));
        let given = self.env.remove(&env).map(|given| (env.clone(), given)).or(from_file);

        let range = allowed.as_ref().map_or("", |allowed| &allowed.text);
        let expected = T::expected(range);
        let shown_default = default.show();
        let known = Known { key, path, env, default: shown_default, expected: expected.clone() };
        self.known.push(known);

        let Some((name, given)) = given else { return default };
        let why = match T::parse(&given.text) {
            _ if given.list && !T::LIST => "a list; ".into(),
            Ok(value) if allowed.is_none_or(|allowed| (allowed.test)(&value)) => return value,
            Err(why) if !why.is_empty() => format!("{why}; "),
            _ => String::new(),
        };
        // One problem is one line, whatever the value is.
        let text = given.text.replace(char::is_control, " ");
        let shown = if T::SECRET { "refused".into() } else { format!("`{text}`") };
        self.problems.push(format!("{}`{name}` is {shown}: {why}expected {expected}", given.place));
        default
    }

    /// After all keys were asked for: what is left over is a mistake.
    pub fn refuse_unknown(&mut self) {
        for (path, given) in std::mem::take(&mut self.file) {
            if given.empty_table && self.known.iter().any(|known| known.key.table == path) {
                continue;
            }
            let candidates = self.known.iter().map(|known| known.path.as_str());
            let nearest = names::nearest(&path, ".", candidates);
            self.problems.push(format!("{}{}", given.place, names::unknown(&path, nearest)));
        }
        for (name, _) in std::mem::take(&mut self.env) {
            let candidates = self.known.iter().map(|known| known.env.as_str());
            let nearest = names::nearest(&name, "__", candidates.chain([names::CONFIG]));
            self.problems.push(names::unknown(&name, nearest));
        }
    }
}
