//! The configuration as a commented TOML file, from the same tables that parsing uses.

use std::fmt::Write;

use super::reader::Known;

const HEAD: &str = "\
# Configuration of Moim. Every key is here with its default; a key that is commented out has none.
# `MOIM_CONFIG` names this file. A variable of the environment beats the file.
# Durations: `10s`, `100ms`, `5m`, `24h`. Sizes: `4MiB`, `64KiB`, `1000` (bytes).
";

pub(super) fn toml(known: &[Known]) -> String {
    let mut out = HEAD.to_owned();
    let mut table = "";
    for Known { key, env, default, expected, .. } in known {
        if key.table != table {
            table = key.table;
            line(&mut out, format_args!("\n[{table}]"));
        }
        line(&mut out, format_args!(""));
        for text in key.doc {
            line(&mut out, format_args!("#{text}"));
        }
        line(&mut out, format_args!("# {env}: {expected}."));
        match (default, key.example) {
            (Some(default), _) => line(&mut out, format_args!("{} = {default}", key.name)),
            (None, example) => {
                line(&mut out, format_args!("# {} = {}", key.name, example.unwrap_or("\"\"")));
            }
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{text}");
}
