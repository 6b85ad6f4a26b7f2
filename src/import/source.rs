//! Documents of other systems, read so that nothing is passed over: a field nobody asked for is found again by
//! [`Map::unread`], and becomes a finding.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use crate::yaml::{self, Node, Place, Problem, Problems, Sink, Value, shown};

/// Where something stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// Key path from the document's root: `spec.rules[0].verifyImages[0]`.
    pub(super) path: String,
    /// Line, from 1.
    pub(super) line: u64,
}

/// A value of a document and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Item<'n> {
    node: &'n Node,
    spot: Spot,
}

/// A mapping that knows which of its keys were asked for.
#[derive(Debug, Clone)]
pub(super) struct Map<'n> {
    entries: &'n [(String, Place, Node)],
    spot: Spot,
    read: RefCell<BTreeSet<&'n str>>,
}

/// A value of a kind its system would not accept there: the input cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    spot: Spot,
    message: String,
}

impl Unreadable {
    /// What is wrong at `spot`.
    pub(super) fn at(spot: &Spot, message: impl Into<String>) -> Self {
        Self { spot: spot.clone(), message: message.into() }
    }

    /// As a problem of `file`.
    pub(super) fn problem(self, file: &Path) -> Problem {
        Problem { file: file.to_owned(), line: self.spot.line, column: 1, key: self.spot.path, message: self.message }
    }
}

/// The documents of `text`, those of a `List` each by itself, empty ones left out.
///
/// # Errors
/// All that is wrong with it as YAML. JSON is read as the YAML it is.
pub(super) fn documents(file: &Path, text: &str) -> Result<Vec<Node>, Problems> {
    let sink = Sink::new(file);
    let documents = yaml::documents(text, &sink);
    let problems = sink.into_problems();
    match documents {
        Some(documents) if problems.is_empty() => {
            let mut flat = Vec::new();
            documents.into_iter().for_each(|node| flatten(node, &mut flat));
            Ok(flat)
        }
        Some(_) | None => Err(Problems(problems)),
    }
}

fn flatten(node: Node, flat: &mut Vec<Node>) {
    if matches!(node.value, Value::Null) {
        return;
    }
    if let Value::Map(entries) = &node.value {
        let entry = |key: &str| entries.iter().find(|(name, ..)| name == key);
        let list = entry("kind").and_then(|(.., kind)| match &kind.value {
            Value::Text { text, .. } => text.strip_suffix("List"),
            Value::List(_) | Value::Map(_) | Value::Null => None,
        });
        if let (Some(kind), Some((.., Node { value: Value::List(items), .. }))) = (list, entry("items")) {
            // Nested lists are as deep as the YAML reader's bound lets them be.
            return items.iter().cloned().for_each(|item| flatten(of_list(item, kind, entry("apiVersion")), flat));
        }
    }
    flat.push(node);
}

/// An item of a list. One of a list of one kind, as an API server answers it (`kind: ClusterPolicyList`), has that list's
/// version and kind, and seldom says so itself.
fn of_list(mut item: Node, kind: &str, version: Option<&(String, Place, Node)>) -> Node {
    if let (Value::Map(entries), false) = (&mut item.value, kind.is_empty()) {
        entries.retain(|(name, _, node)| !(matches!(name.as_str(), "apiVersion" | "kind") && matches!(node.value, Value::Null)));
        let says = |entries: &[(String, Place, Node)], key: &str| entries.iter().any(|(name, ..)| name == key);
        if !says(entries, "kind") {
            let value = Value::Text { text: kind.to_owned(), plain: true };
            entries.push(("kind".into(), item.place, Node { place: item.place, value }));
        }
        if let (Some(version), false) = (version, says(entries, "apiVersion")) {
            entries.push(version.clone());
        }
    }
    item
}

/// An error about the input as a whole.
pub(super) fn whole(file: &Path, message: impl Into<String>) -> Problems {
    Problems(vec![Problem { file: PathBuf::from(file), line: 0, column: 0, key: String::new(), message: message.into() }])
}

/// The kinds of scalar that YAML 1.1 tells apart by how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Bool(bool),
    /// Any number, such as `0777`, `0x1F` or `1_000`: what its value is depends on who reads it.
    Number,
    Text,
}

/// What YAML 1.1 reads as a number, as go-yaml does it: without the sexagesimal ones, and dates are text.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)\A[-+]?(?:
            0[xXoObB][0-9a-fA-F_]+
            | (?:\.[0-9_]+ | [0-9][0-9_]*(?:\.[0-9_]*)?) (?:[eE][-+]?[0-9_]+)?
            | \.(?:inf|Inf|INF|nan|NaN|NAN)
        )\z",
    )
    .ok()
});

/// The boolean that go-yaml takes a plain scalar for.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

impl<'n> Item<'n> {
    /// The root of a document.
    pub(super) fn root(node: &'n Node) -> Self {
        Self { node, spot: Spot { path: String::new(), line: node.place.line } }
    }

    /// Where it stands.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    fn wants<T>(&self, what: &str) -> Result<T, Unreadable> {
        let found = match &self.node.value {
            Value::Text { text, .. } => format!("`{}`", shown(text)),
            other => other.kind().to_owned(),
        };
        Err(Unreadable::at(&self.spot, format!("wants {what}, found {found}")))
    }

    /// A mapping.
    pub(super) fn map(&self) -> Result<Map<'n>, Unreadable> {
        match &self.node.value {
            Value::Map(entries) => Ok(Map { entries, spot: self.spot.clone(), read: RefCell::default() }),
            // `keyless: {}` is often written as `keyless:`.
            Value::Null => Ok(Map { entries: &[], spot: self.spot.clone(), read: RefCell::default() }),
            Value::List(_) | Value::Text { .. } => self.wants("a mapping"),
        }
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Unreadable> {
        let Value::List(items) = &self.node.value else { return self.wants("a list") };
        let item = |(i, node): (usize, &'n Node)| Self {
            node,
            spot: Spot { path: format!("{}[{i}]", self.spot.path), line: node.place.line },
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Text, as it is written.
    pub(super) fn text(&self) -> Result<&'n str, Unreadable> {
        match &self.node.value {
            Value::Text { text, .. } => Ok(text),
            Value::List(_) | Value::Map(_) | Value::Null => self.wants("text"),
        }
    }

    /// The last two keys it stands under, such as `rekor.pubkey`, without their places in lists.
    pub(super) fn place(&self) -> String {
        let mut keys = self.spot.path.rsplit('.').map(|key| key.split('[').next().unwrap_or_default());
        let (last, before) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
        format!("{before}.{last}")
    }

    /// Whether it says something about images, and not only how they are pulled: `imagePullPolicy`, `imagePullSecrets`.
    pub(super) fn is_about_images(&self) -> bool {
        self.content().replace("imagePull", "").contains("image")
    }

    /// All that is written in it, wherever it stands.
    pub(super) fn content(&self) -> String {
        fn write(value: &Value, out: &mut String) {
            match value {
                Value::List(items) => {
                    out.push('[');
                    items.iter().for_each(|item| write(&item.value, out));
                    out.push(']');
                }
                Value::Map(entries) => {
                    out.push('{');
                    for (key, _, node) in entries {
                        out.push_str(&format!("{key:?}:"));
                        write(&node.value, out);
                    }
                    out.push('}');
                }
                Value::Null => out.push_str("null,"),
                Value::Text { text, .. } => out.push_str(&format!("{text:?},")),
            }
        }
        let mut out = String::new();
        write(&self.node.value, &mut out);
        out
    }

    /// Whether it is text in quotes, which a number or `true` in quotes is too.
    pub(super) fn is_quoted(&self) -> bool {
        matches!(self.node.value, Value::Text { plain: false, .. })
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether it is a mapping.
    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// What a scalar is to Kubernetes, which reads YAML 1.1: without quotes, `yes` and `off` are booleans there.
    pub(super) fn scalar(&self) -> Result<Scalar, Unreadable> {
        let text = self.text()?;
        Ok(match (self.is_quoted(), boolean(text)) {
            (false, Some(flag)) => Scalar::Bool(flag),
            (false, None) if NUMBER.as_ref().is_none_or(|number| number.is_match(text)) => Scalar::Number,
            _ => Scalar::Text,
        })
    }

    /// `true` or `false`, as YAML 1.1 spells them.
    pub(super) fn flag(&self) -> Result<bool, Unreadable> {
        match boolean(self.text()?) {
            Some(flag) if !self.is_quoted() => Ok(flag),
            _ => self.wants("true or false"),
        }
    }
}

impl<'n> Map<'n> {
    /// Where it stands.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The value of `key`, if something is written there.
    pub(super) fn get(&self, key: &'n str) -> Option<Item<'n>> {
        self.read.borrow_mut().insert(key);
        let (name, place, node) = self.entries.iter().find(|(name, ..)| name == key)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        Some(Item { node, spot: Spot { path: join(&self.spot.path, name), line: place.line } })
    }

    /// The value of `key`, unless it is empty: text, a list or a mapping without anything in it, which the Go types these
    /// documents are read with cannot tell from nothing written.
    pub(super) fn given(&self, key: &'n str) -> Option<Item<'n>> {
        self.get(key).filter(|item| match &item.node.value {
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
            Value::Null => false,
            Value::Text { text, .. } => !text.is_empty(),
        })
    }

    /// The text of `key`; empty text counts as nothing written, as in the Go types these documents are read with.
    pub(super) fn text(&self, key: &'n str) -> Result<Option<&'n str>, Unreadable> {
        let text = self.get(key).map(|item| item.text()).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The flag of `key`.
    pub(super) fn flag(&self, key: &'n str) -> Result<Option<bool>, Unreadable> {
        self.get(key).map(|item| item.flag()).transpose()
    }

    /// Where it says that `key` is so; `None` where it does not.
    pub(super) fn says(&self, key: &'n str) -> Result<Option<Spot>, Unreadable> {
        Ok((self.flag(key)? == Some(true)).then(|| self.spot.clone()))
    }

    /// The number of `key`.
    pub(super) fn number(&self, key: &'n str) -> Result<Option<usize>, Unreadable> {
        let Some(item) = self.get(key) else { return Ok(None) };
        item.text()?.parse().map(Some).or_else(|_| item.wants("a whole number"))
    }

    /// The items under `key`; none when nothing is written.
    pub(super) fn list(&self, key: &'n str) -> Result<Vec<Item<'n>>, Unreadable> {
        self.get(key).map_or(Ok(Vec::new()), |item| item.list())
    }

    /// The mapping under `key`.
    pub(super) fn map(&self, key: &'n str) -> Result<Option<Self>, Unreadable> {
        self.get(key).map(|item| item.map()).transpose()
    }

    /// All entries, each counted as read.
    pub(super) fn entries(&self) -> Vec<(&'n str, Item<'n>)> {
        let entries: &'n [(String, Place, Node)] = self.entries;
        let item = |(name, place, node): &'n (String, Place, Node)| {
            self.read.borrow_mut().insert(name);
            (name.as_str(), Item { node, spot: Spot { path: join(&self.spot.path, name), line: place.line } })
        };
        entries.iter().map(item).collect()
    }

    /// Whether something is written under `key`. Does not count as reading it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _, node)| name == key && !matches!(node.value, Value::Null))
    }

    /// The keys nobody asked for.
    pub(super) fn unread(&self) -> Vec<Spot> {
        let read = self.read.borrow();
        let unread =
            self.entries.iter().filter(|(name, _, node)| !read.contains(name.as_str()) && !matches!(&node.value, Value::Null));
        unread.map(|(name, place, _)| Spot { path: join(&self.spot.path, name), line: place.line }).collect()
    }
}

fn join(path: &str, key: &str) -> String {
    let key = shown(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
