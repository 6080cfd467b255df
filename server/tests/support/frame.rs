//! STOMP frames as tests write and read them. Written raw, without any escaping; read strictly.

use std::fmt;

/// A frame. Headers stand as on the wire, escapes and all.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It came in, or is to go out, in a binary message.
    pub binary: bool,
}

/// A frame to be sent.
pub fn frame(command: &str) -> Frame {
    Frame { command: command.into(), headers: Vec::new(), body: Vec::new(), binary: false }
}

impl Frame {
    pub fn header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// To be sent in a binary message.
    pub fn binary(mut self) -> Self {
        self.binary = true;
        self
    }

    pub fn with_length(self) -> Self {
        let length = self.body.len();
        self.header("content-length", length)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n", self.command).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}:{value}\n").bytes());
        }
        bytes.push(b'\n');
        bytes.extend(&self.body);
        bytes.push(0);
        bytes
    }

    /// The first header of that name, as it stands on the wire.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The same for one that has to be there.
    #[track_caller]
    pub fn at(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no header `{name}` in {self:?}"))
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("no text: {self:?}"))
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Reads what one WebSocket message holds: one whole frame, and nothing else.
    pub fn parse(message: &[u8], binary: bool) -> Result<Self, String> {
        let end = message.windows(2).position(|two| two == b"\n\n").ok_or("no blank line")?;
        let head = std::str::from_utf8(&message[..end]).map_err(|error| error.to_string())?;
        if head.contains(['\r', '\0']) {
            return Err("a CR or a NUL in the headers".into());
        }
        let mut lines = head.split('\n');
        let command = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
            if headers.iter().any(|(other, _)| other == name) {
                return Err(format!("the header `{name}` twice"));
            }
            headers.push((name.into(), value.into()));
        }
        let Some((0, body)) = message[end + 2..].split_last() else {
            return Err("no NUL at the end".into());
        };
        let frame = Self { command, headers, body: body.into(), binary };
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), String> {
        let length = self.get("content-length").map(str::parse::<usize>);
        match (self.command.as_str(), length) {
            ("MESSAGE" | "ERROR", None) => return Err("no content-length".into()),
            ("CONNECTED" | "RECEIPT", None) if self.body.is_empty() => {}
            ("MESSAGE" | "ERROR", Some(Ok(length))) if length == self.body.len() => {}
            (command, length) => {
                return Err(format!("content-length {length:?} on {command}, or a second frame"));
            }
        }
        match self.headers.iter().find(|(name, value)| !is_plain(name) || !is_plain(value)) {
            Some(bad) if self.command != "ERROR" => Err(format!("would deafen Android: {bad:?}")),
            _ => Ok(()),
        }
    }
}

/// What Android's `([^:\s]+)\s*:\s*([^:\s]+)` takes whole on either side of its colon.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_whitespace())
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.bytes();
        shown.truncate(600);
        let kind = if self.binary { " (binary)" } else { "" };
        write!(f, "{:?}{kind}", String::from_utf8_lossy(&shown))
    }
}
