//! Which web pages may talk to the server. Pure: header values in, a yes or no out.

/// The web origins that are let in besides the server's own: for WebSocket upgrades and for CORS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    all: bool,
    listed: Vec<String>,
}

impl Origins {
    /// True when a request with these `Origin` and `Host` headers may be served.
    ///
    /// Without an Origin it is no browser, and passes. A page of the server's own host and port
    /// passes. So does what is listed; `null` (sandboxed pages, files) must be listed as such.
    pub fn allows(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        self.all
            || self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
            || host.is_some_and(|host| is_same_host(origin, host))
    }

    /// Reads a comma-separated list; the error names the first entry that is no origin.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut origins = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry {
                "*" => origins.all = true,
                _ => origins.listed.push(origin_of(entry).ok_or_else(|| refusal(entry))?),
            }
        }
        Ok(origins)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &str> {
        self.all.then_some("*").into_iter().chain(self.listed.iter().map(String::as_str))
    }
}

fn refusal(entry: &str) -> String {
    format!("`{entry}` is no origin such as `https://chat.example.org:8443`, `null` or `*`")
}

/// `scheme://host[:port]` in the form browsers send; a closing `/` is forgiven.
fn origin_of(entry: &str) -> Option<String> {
    if entry == "null" {
        return Some(entry.into());
    }
    let (scheme, authority) = entry.split_once("://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let plain = |c: char| c.is_ascii_graphic() && !"/?#@*\\".contains(c);
    // Pages from files have an origin without a host: `file://`.
    let valid = !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && authority.chars().all(plain)
        && (!authority.is_empty() || scheme == "file");
    let authority = without_default_port(authority, scheme);
    valid.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    // Browsers leave the default port out, proxies may add it to Host.
    !authority.is_empty()
        && without_default_port(authority, scheme)
            .eq_ignore_ascii_case(without_default_port(host, scheme))
}

fn without_default_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Origins {
        Origins::parse(text).unwrap()
    }

    #[test]
    fn clients_that_are_no_browsers_pass() {
        assert!(origins("").allows(None, Some("chat.example.org")));
        assert!(origins("").allows(None, None));
    }

    #[test]
    fn a_page_of_the_same_host_and_port_passes() {
        let none = origins("");
        assert!(none.allows(Some("http://localhost:8080"), Some("localhost:8080")));
        assert!(none.allows(Some("https://chat.example.org"), Some("Chat.Example.org:443")));
        assert!(none.allows(Some("http://[::1]:8080"), Some("[::1]:8080")));
        assert!(!none.allows(Some("http://localhost:3000"), Some("localhost:8080")));
        assert!(!none.allows(Some("https://evil.example"), Some("chat.example.org")));
        assert!(!none.allows(Some("https://chat.example.org.evil"), Some("chat.example.org")));
        assert!(!none.allows(Some("https://chat.example.org"), None));
    }

    #[test]
    fn listed_origins_pass_and_others_do_not() {
        let listed = origins("https://app.example.org, capacitor://localhost,https://b.example/");
        assert!(listed.allows(Some("https://app.example.org"), Some("chat.example.org")));
        assert!(listed.allows(Some("capacitor://localhost"), None));
        assert!(listed.allows(Some("https://b.example"), None));
        assert!(!listed.allows(Some("http://app.example.org"), Some("chat.example.org")));
        assert!(!listed.allows(Some("https://app.example.org:8443"), Some("chat.example.org")));
    }

    #[test]
    fn an_opaque_origin_passes_only_by_name_or_star() {
        assert!(!origins("").allows(Some("null"), Some("null")));
        assert!(origins("null").allows(Some("null"), None));
        assert!(origins("*").allows(Some("null"), None));
        assert!(origins("file://").allows(Some("file://"), None));
        assert!(!origins("").allows(Some("file://"), Some("")));
    }

    #[test]
    fn what_is_no_origin_is_refused_by_name() {
        for bad in
            ["example.org", "https://", "https://*.example.org", "https://a.b/c", "ht tp://x"]
        {
            assert!(Origins::parse(bad).unwrap_err().contains(bad), "{bad}");
        }
    }
}
