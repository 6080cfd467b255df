//! A TOML file as a flat list of keys with the lines they stand in. Knows no key's meaning.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Given;

/// Reads the file; the error is ready to be shown.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Given>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|err| {
        format!("cannot read `{name}`, which `{}` names: {err}", super::names::CONFIG)
    })?;
    parse(&text, &name.to_string())
}

/// `name` is only for messages.
pub(super) fn parse(text: &str, name: &str) -> Result<BTreeMap<String, Given>, String> {
    let lines = Lines { text, name };
    let table = DeTable::parse(text).map_err(|err| {
        // The error's own text would quote the line, which may hold a secret.
        let start = err.span().map_or(0, |span| span.start);
        format!("{}not TOML: {}", lines.place(start), err.message().replace('\n', ", "))
    })?;
    let mut keys = BTreeMap::new();
    flatten(table.get_ref(), "", &lines, &mut keys);
    Ok(keys)
}

struct Lines<'a> {
    text: &'a str,
    name: &'a str,
}

impl Lines<'_> {
    fn place(&self, offset: usize) -> String {
        let before = self.text.bytes().take(offset);
        format!("{}:{}: ", self.name, 1 + before.filter(|byte| *byte == b'\n').count())
    }
}

fn flatten(table: &DeTable<'_>, prefix: &str, lines: &Lines<'_>, to: &mut BTreeMap<String, Given>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => {
                flatten(inner, &format!("{path}."), lines, to);
            }
            other => {
                let list = matches!(other, DeValue::Array(_));
                let empty_table = matches!(other, DeValue::Table(_));
                let place = lines.place(key.span().start);
                to.insert(path, Given { text: text_of(other), list, empty_table, place });
            }
        }
    }
}

/// The value as the environment would have it.
fn text_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
            toml_of(value)
        }
        DeValue::Array(items) => joined(items.iter()),
        DeValue::Table(_) => "{}".into(),
    }
}

fn joined<'a, 'i: 'a>(items: impl Iterator<Item = &'a Spanned<DeValue<'i>>>) -> String {
    items.map(|item| text_of(item.get_ref())).collect::<Vec<_>>().join(",")
}

/// The value as TOML, in one line.
fn toml_of(value: &DeValue<'_>) -> String {
    let list = |items: Vec<String>, open, close| format!("{open}{}{close}", items.join(", "));
    match value {
        DeValue::Array(items) => {
            list(items.iter().map(|item| toml_of(item.get_ref())).collect(), '[', ']')
        }
        DeValue::Table(fields) => {
            let field = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &str = Spanned::<std::borrow::Cow<'_, str>>::get_ref(name);
                format!("{} = {}", quoted(name), toml_of(value.get_ref()))
            };
            list(fields.iter().map(field).collect(), '{', '}')
        }
        DeValue::String(text) => quoted(text),
        other => text_of(other),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
