//! A message's own headers as one text: a line each, `name:value`.
//!
//! `\`, `:` in a name and line ends are escaped, so that any header comes back as it was.

/// `None` for no headers.
pub(super) fn encode(headers: &[(String, String)]) -> Option<String> {
    if headers.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (name, value) in headers {
        escape(name, &mut text);
        text.push(':');
        escape(value, &mut text);
        text.push('\n');
    }
    Some(text)
}

/// What [`encode`] was given.
pub(super) fn decode(text: &str) -> Vec<(String, String)> {
    text.split_terminator('\n')
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (unescape(name), unescape(value)))
        .collect()
}

fn escape(plain: &str, text: &mut String) {
    for c in plain.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            ':' => text.push_str("\\c"),
            other => text.push(other),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('c')) => plain.push(':'),
            ('\\', Some(other)) => plain.push(other),
            (other, _) => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_headers_come_back(headers: Vec<(String, String)>) {
            let back = encode(&headers).as_deref().map(decode).unwrap_or_default();
            proptest::prop_assert_eq!(back, headers);
        }
    }

    #[test]
    fn a_plain_header_reads_like_itself() {
        let text = encode(&[("app".into(), "1".into())]);
        assert_eq!(text.as_deref(), Some("app:1\n"));
        assert_eq!(encode(&[]), None);
    }
}
