//! Walking a tree: each step notes what is wrong and goes on.

use std::time::Duration;

use super::{Node, Place, Sink, Value, closest, shown};

/// A node, the key path that led to it, and where to note problems. Every reader returns `None` after noting one.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    node: &'a Node,
    path: String,
    place: Place,
    sink: &'a Sink,
}

/// The entries of a mapping whose keys are known.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    entries: &'a [(String, Place, Node)],
    at: Cursor<'a>,
    known: &'a [&'static str],
}

impl<'a> Cursor<'a> {
    /// The root of a document.
    #[must_use]
    pub fn new(node: &'a Node, sink: &'a Sink) -> Self {
        Self { node, path: String::new(), place: node.place, sink }
    }

    /// Where the value stands; where nothing is written, where its key stands.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// The key path: `upstreams[1].url`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where problems go.
    #[must_use]
    pub fn sink(&self) -> &'a Sink {
        self.sink
    }

    /// What is written.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// Notes a problem here.
    pub fn wrong(&self, message: impl Into<String>) {
        self.sink.report(self.place, &self.path, message);
    }

    fn wants(&self, what: &str) {
        self.wrong(match &self.node.value {
            Value::Text { text, .. } => format!("wants {what}, found `{}`", shown(text)),
            other => format!("wants {what}, found {}", other.kind()),
        });
    }

    /// A mapping with keys among `known`. Others are noted, with the one probably meant; those among `later` as not
    /// supported yet.
    #[must_use]
    pub fn fields(&self, known: &'a [&'static str], later: &[&str]) -> Option<Fields<'a>> {
        self.fields_telling(known, &later.iter().map(|key| (*key, "not supported yet")).collect::<Vec<_>>())
    }

    /// The same; where a key of `told` is written, what stands beside it there is noted.
    #[must_use]
    pub fn fields_telling(&self, known: &'a [&'static str], told: &[(&str, &str)]) -> Option<Fields<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.wants(&format!("a mapping with the keys {}", known.join(", ")));
            return None;
        };
        for (key, place, _) in entries {
            if known.contains(&key.as_str()) {
                continue;
            }
            let message = match (told.iter().find(|(other, _)| other == key), closest(key, known.iter().copied())) {
                (Some((_, message)), _) => (*message).to_owned(),
                (None, Some(meant)) => format!("unknown key; did you mean `{meant}`?"),
                (None, None) => format!("unknown key; known here: {}", known.join(", ")),
            };
            self.sink.report(*place, &join(&self.path, &shown(key)), message);
        }
        Some(Fields { entries, at: self.clone(), known })
    }

    /// A mapping with free keys.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(&'a str, Place, Self)>> {
        let Value::Map(entries) = &self.node.value else {
            self.wants("a mapping");
            return None;
        };
        Some(entries.iter().map(|(key, place, value)| (key.as_str(), *place, self.child(key, *place, value))).collect())
    }

    fn child(&self, key: &str, place: Place, node: &'a Node) -> Self {
        let place = if matches!(node.value, Value::Null) { place } else { node.place };
        Self { node, path: join(&self.path, &shown(key)), place, sink: self.sink }
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else {
            self.wants("a list");
            return None;
        };
        Some(self.items(items))
    }

    fn items(&self, items: &'a [Node]) -> Vec<Self> {
        let item =
            |(i, node): (usize, &'a Node)| Self { node, path: format!("{}[{i}]", self.path), place: node.place, sink: self.sink };
        items.iter().enumerate().map(item).collect()
    }

    /// A single value, or a list of them.
    #[must_use]
    pub fn one_or_list(&self) -> Vec<Self> {
        match &self.node.value {
            Value::List(items) => self.items(items),
            Value::Map(_) | Value::Null | Value::Text { .. } => vec![self.clone()],
        }
    }

    /// Text: one line, not empty, without white space around it. Numbers and words are taken as they are written.
    #[must_use]
    pub fn text(&self, what: &str) -> Option<&'a str> {
        let Value::Text { text, .. } = &self.node.value else {
            self.wants(what);
            return None;
        };
        if text.trim().is_empty() {
            self.wrong(format!("wants {what}, found empty text"));
        } else if text.chars().any(char::is_control) {
            self.wrong(format!("wants {what} on one line, found a line break or control character"));
        } else if text.trim() != text {
            self.wrong(format!("has white space around it: `{}`", shown(text)));
        } else {
            return Some(text);
        }
        None
    }

    /// What `parse` makes of the text; what it dislikes is noted.
    #[must_use]
    pub fn parse<T, E: std::fmt::Display>(&self, what: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.text(what)?).map_err(|error| self.wrong(error.to_string())).ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Text { text, plain: true } if text == "true" => Some(true),
            Value::Text { text, plain: true } if text == "false" => Some(false),
            Value::List(_) | Value::Map(_) | Value::Null | Value::Text { .. } => {
                self.wants("true or false");
                None
            }
        }
    }

    /// One of a few words.
    #[must_use]
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        let Value::Text { text, .. } = &self.node.value else {
            self.wants(&list);
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            match closest(text, words.iter().map(|(word, _)| *word)) {
                Some(meant) => self.wrong(format!("wants {list}, found `{}`; did you mean `{meant}`?", shown(text))),
                None => self.wants(&list),
            }
        }
        found
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let what = || format!("a whole number from {} to {}", range.start(), range.end());
        let number = match &self.node.value {
            Value::Text { text, plain: true } if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            Value::List(_) | Value::Map(_) | Value::Null | Value::Text { .. } => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.wants(&what());
        }
        number
    }

    /// A length of time with its unit (`30s`, `1h 30m`), or `0`, within `range`.
    #[must_use]
    pub fn duration(&self, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.text("a time such as 30s")?;
        let found = if text == "0" { Some(Duration::ZERO) } else { humantime::parse_duration(text).ok() };
        match found {
            None if text.bytes().all(|b| b.is_ascii_digit()) => {
                self.wrong(format!("has no unit: write {0}s or {0}m", shown(text)));
            }
            // humantime's month of 30.44 days, one capital from a minute.
            _ if text.contains('M') => {
                self.wrong(format!("`{}` would be months: write days (30d), or m for minutes", shown(text)))
            }
            None => self.wants("a time such as 30s, 5m or 1h 30m"),
            Some(found) if !range.contains(&found) => {
                self.wants(&format!("a time from {} to {}", as_written(*range.start()), as_written(*range.end())));
            }
            Some(found) => return Some(found),
        }
        None
    }

    /// A number of bytes with its unit (`50GiB`), within `range`.
    #[must_use]
    pub fn size(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let text = self.text("a size such as 50GiB")?;
        let show = |bytes: &u64| bytesize::ByteSize(*bytes).display().iec().to_string();
        match text.parse::<bytesize::ByteSize>() {
            _ if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                self.wrong(format!("has no unit: write {0}MiB or {0}GiB", shown(text)));
            }
            Err(_) => self.wants("a size such as 512MiB or 50GiB"),
            Ok(size) if !range.contains(&size.as_u64()) => {
                self.wants(&format!("a size from {} to {}", show(range.start()), show(range.end())));
            }
            Ok(size) => return Some(size.as_u64()),
        }
        None
    }
}

impl<'a> Fields<'a> {
    /// The value of `key`, if it is written.
    #[must_use]
    pub fn get(&self, key: &'static str) -> Option<Cursor<'a>> {
        debug_assert!(self.known.contains(&key), "{key} is read and not declared");
        self.entries.iter().find(|(name, ..)| name == key).map(|(name, place, value)| self.at.child(name, *place, value))
    }

    /// The value of `key`; if it is not written, that is noted. `hint`: what to write.
    #[must_use]
    pub fn need(&self, key: &'static str, hint: &str) -> Option<Cursor<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.at.sink.report(self.at.place, &join(&self.at.path, key), format!("missing; {hint}"));
        }
        found
    }

    /// Those of `keys` that are written.
    #[must_use]
    pub fn given(&self, keys: &[&'static str]) -> Vec<(&'static str, Cursor<'a>)> {
        keys.iter().filter_map(|key| Some((*key, self.get(key)?))).collect()
    }

    /// Exactly one of `keys`; none or several are noted.
    #[must_use]
    pub fn exactly_one(&self, keys: &[&'static str]) -> Option<(&'static str, Cursor<'a>)> {
        let mut given = self.given(keys);
        match given.len() {
            1 => given.pop(),
            0 => {
                self.at.wrong(format!("wants one of {}", keys.join(", ")));
                None
            }
            _ => {
                let names: Vec<_> = given.iter().map(|(key, _)| *key).collect();
                given[1].1.wrong(format!("wants exactly one of {}", names.join(", ")));
                None
            }
        }
    }

    /// The mapping itself.
    #[must_use]
    pub fn at(&self) -> &Cursor<'a> {
        &self.at
    }
}

/// `90d`, `1h 30m`, as people write it: humantime's own has months of 30.44 days.
#[must_use]
pub fn as_written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts: Vec<_> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_it_is_written() {
        for written in ["0s", "1s", "1m", "1h 30m", "24d", "90d", "366d", "3653d 1h 2m 3s"] {
            assert_eq!(as_written(humantime::parse_duration(written).unwrap()), written);
        }
    }

    #[test]
    fn a_month_is_not_written_where_a_minute_may_be_meant() {
        let sink = Sink::new(std::path::Path::new("a.yaml"));
        let documents = super::super::documents("{a: 1m, b: 1M, c: 1h 3M}", &sink).unwrap();
        let read: Vec<_> = Cursor::new(&documents[0], &sink)
            .entries()
            .unwrap()
            .into_iter()
            .map(|(.., cursor)| cursor.duration(Duration::ZERO..=Duration::MAX))
            .collect();
        assert_eq!(read, [Some(Duration::from_secs(60)), None, None]);
        let told: Vec<_> = sink.into_problems().into_iter().map(|problem| problem.message).collect();
        assert_eq!(told[0], "`1M` would be months: write days (30d), or m for minutes");
        assert!(told[1].starts_with("`1h 3M` would be months"), "{told:?}");
    }
}
