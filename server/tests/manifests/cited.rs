//! What comments of the manifests cite: `README, Numbers: …`, up to the end of the sentence.

use std::collections::BTreeSet;
use std::path::Path;

const CITES: &str = "README, Numbers: ";

/// A file, and a number that it says to be of the README's chapter.
pub type Cited = (String, String);

/// All of the YAML files below a folder.
pub fn numbers(folder: &Path) -> Vec<Cited> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(numbers(&path));
        } else if path.extension().is_some_and(|kind| kind == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            for sentence in comments(&text).split(CITES).skip(1).map(sentence) {
                let name = path.display().to_string();
                found.extend(of(sentence).map(|number| (name.clone(), number.to_owned())));
            }
        }
    }
    found
}

/// Those that are not in the chapter.
pub fn missing(cited: &[Cited], readme: &str) -> Vec<String> {
    let (_, chapter) = readme.split_once("\n## Numbers\n").unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let there: BTreeSet<&str> = of(chapter).collect();
    let missing = cited.iter().filter(|(_, number)| !there.contains(number.as_str()));
    missing.map(|(file, number)| format!("{file}: the README's Numbers have no {number}")).collect()
}

/// What stands behind `#`, as one line each; everything else ends it.
fn comments(yaml: &str) -> String {
    let lines = yaml.lines().map(|line| match line.trim_start().strip_prefix('#') {
        Some(comment) => comment.to_owned(),
        None => line.split_once(" #").map_or("\n".into(), |(_, comment)| format!("\n{comment}\n")),
    });
    lines.collect()
}

fn sentence(text: &str) -> &str {
    let end = [". ", ")", "\n"].iter().filter_map(|end| text.find(end)).min();
    &text[..end.unwrap_or(text.len())]
}

/// `10,800`, `6.2` and the like.
fn of(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ',')));
    let words = words.map(|word| word.trim_matches(['.', ',']));
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}
