//! A JSON document as one flat list of its values, for conditions to walk.
//!
//! A tree of maps costs up to eighty times its text (`{"a":{"a":…`); here every value and key is sixteen bytes beside
//! its text, however it is nested, and the number of values is bounded. What a document may cost is therefore known
//! before it is read.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Bytes of a predicate that conditions see: 8 MiB.
pub(super) const MAX_DOCUMENT: usize = 8 << 20;
/// Values and keys of a document: 2 Mi, 32 MiB. SBOMs have one for fifteen to thirty bytes of text.
const MAX_VALUES: usize = 2 << 20;
/// Up to this many keys are compared each with each; more are sorted.
const FEW_KEYS: usize = 8;

/// A document, immutable.
#[derive(Debug)]
pub(super) struct Document {
    nodes: Vec<Node>,
    text: String,
    root: u32,
}

/// A value in the list. What a list or map holds follows it, up to `end`; a map's keys are texts before their values.
#[derive(Debug, Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text { at: u32, len: u32 },
    List { len: u32, end: u32 },
    Map { len: u32, end: u32 },
}

/// Why a predicate cannot be seen by conditions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("cannot be read: {0}")]
    Malformed(String),
    #[error("holds more than {MAX_VALUES} values and keys, all that conditions see")]
    TooMany,
}

/// A value of a document.
#[derive(Clone, Copy)]
pub(super) struct Spot<'d> {
    document: &'d Document,
    at: u32,
}

/// What is at a [`Spot`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Json<'d> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(&'d str),
    List(Spots<'d>),
    Map(Entries<'d>),
}

/// The elements of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spots<'d> {
    next: Spot<'d>,
    left: u32,
}

/// The entries of a map, in the document's order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries<'d>(Spots<'d>);

impl Document {
    /// Reads `json`, within the bounds of this file. A key twice in one object is refused: it would be two documents (A6).
    pub(super) fn read(json: &[u8]) -> Result<Self, DocumentError> {
        let mut builder = Builder::default();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let read = Value(&mut builder).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        match read {
            Ok(()) => Ok(Self { nodes: builder.nodes, text: builder.text, root: 0 }),
            Err(_) if builder.full => Err(DocumentError::TooMany),
            Err(error) => Err(DocumentError::Malformed(super::super::sentence::short(&error.to_string(), 100))),
        }
    }

    /// The document within cosign's wrappings of SBOMs: as a string, as `{"Data": …}`, or as a string there. One that
    /// is not wrapped is itself.
    pub(super) fn unwrapped(mut self) -> Result<Self, DocumentError> {
        let data = match self.root().json() {
            Json::Text(text) => return Self::read(text.as_bytes()),
            Json::Map(entries) => entries.get("Data").0,
            _ => None,
        };
        match data.map(|data| (data.at, data.json())) {
            Some((_, Json::Text(text))) => Self::read(text.as_bytes()),
            Some((at, Json::Map(_))) => {
                self.root = at;
                Ok(self)
            }
            _ => Ok(self),
        }
    }

    pub(super) fn root(&self) -> Spot<'_> {
        Spot { document: self, at: self.root }
    }
}

impl<'d> Spot<'d> {
    pub(super) fn json(self) -> Json<'d> {
        let inside = |len| Spots { next: Spot { document: self.document, at: self.at + 1 }, left: len };
        match self.node() {
            Node::Null => Json::Null,
            Node::Bool(value) => Json::Bool(value),
            Node::Int(value) => Json::Int(value),
            Node::UInt(value) => Json::UInt(value),
            Node::Double(value) => Json::Double(value),
            Node::Text { at, len } => Json::Text(&self.document.text[at as usize..(at + len) as usize]),
            Node::List { len, .. } => Json::List(inside(len)),
            Node::Map { len, .. } => Json::Map(Entries(inside(len))),
        }
    }

    fn node(self) -> Node {
        self.document.nodes[self.at as usize]
    }

    /// What stands behind this value.
    fn after(self) -> Self {
        let at = match self.node() {
            Node::List { end, .. } | Node::Map { end, .. } => end,
            Node::Null | Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Double(_) | Node::Text { .. } => self.at + 1,
        };
        Self { document: self.document, at }
    }
}

impl Spots<'_> {
    pub(super) const fn len(&self) -> usize {
        self.left as usize
    }
}

impl<'d> Iterator for Spots<'d> {
    type Item = Spot<'d>;

    fn next(&mut self) -> Option<Spot<'d>> {
        self.left = self.left.checked_sub(1)?;
        let spot = self.next;
        self.next = spot.after();
        Some(spot)
    }
}

impl<'d> Entries<'d> {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The value under `key`, and how many keys were looked at.
    pub(super) fn get(self, key: &str) -> (Option<Spot<'d>>, usize) {
        let mut seen = 0;
        let found = self.inspect(|_| seen += 1).find(|(name, _)| *name == key);
        (found.map(|(_, value)| value), seen)
    }
}

impl<'d> Iterator for Entries<'d> {
    type Item = (&'d str, Spot<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.left = self.0.left.checked_sub(1)?;
        let key = self.0.next;
        let value = key.after();
        self.0.next = value.after();
        match key.json() {
            Json::Text(name) => Some((name, value)),
            _ => None,
        }
    }
}

impl fmt::Debug for Spot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spot({})", self.at)
    }
}

#[derive(Debug, Default)]
struct Builder {
    nodes: Vec<Node>,
    text: String,
    full: bool,
}

impl Builder {
    fn push<E: de::Error>(&mut self, node: Node) -> Result<usize, E> {
        if self.nodes.len() == MAX_VALUES {
            self.full = true;
            return Err(E::custom("too many values"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn push_text<E: de::Error>(&mut self, text: &str) -> Result<(), E> {
        let at = place(self.text.len())?;
        let len = place(text.len())?;
        self.text.push_str(text);
        self.push(Node::Text { at, len }).map(|_| ())
    }

    fn key(&self, at: u32) -> &str {
        match self.nodes.get(at as usize) {
            Some(Node::Text { at, len }) => &self.text[*at as usize..(*at + *len) as usize],
            _ => "",
        }
    }

    /// A key that stands twice among `keys`, the places of an object's keys.
    fn repeated(&self, keys: &mut [u32]) -> Option<&str> {
        if keys.len() <= FEW_KEYS {
            let repeated = |(i, key): (usize, &u32)| keys[..i].iter().any(|other| self.key(*other) == self.key(*key));
            return keys.iter().enumerate().find(|(i, key)| repeated((*i, key))).map(|(_, key)| self.key(*key));
        }
        keys.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        keys.windows(2).find(|pair| self.key(pair[0]) == self.key(pair[1])).map(|pair| self.key(pair[0]))
    }
}

fn place<E: de::Error>(at: usize) -> Result<u32, E> {
    u32::try_from(at).map_err(|_| E::custom("too large"))
}

/// Puts a value behind what is there.
struct Value<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.push(Node::Null).map(|_| ())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.0.push(Node::Bool(value)).map(|_| ())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.0.push(Node::Int(value)).map(|_| ())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        // JSON knows no unsigned numbers: only what fits no int is one, or `predicate.n + 1` would have no meaning.
        self.0.push(i64::try_from(value).map_or(Node::UInt(value), Node::Int)).map(|_| ())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.0.push(Node::Double(value)).map(|_| ())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.0.push_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let list = self.0.push(Node::Null)?;
        let mut len = 0;
        while seq.next_element_seed(Value(self.0))?.is_some() {
            len += 1;
        }
        let end = place(self.0.nodes.len())?;
        self.0.nodes[list] = Node::List { len, end };
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let object = self.0.push(Node::Null)?;
        let mut keys = Vec::new();
        loop {
            let key = place(self.0.nodes.len())?;
            if map.next_key_seed(Value(self.0))?.is_none() {
                break;
            }
            keys.push(key);
            map.next_value_seed(Value(self.0))?;
        }
        if let Some(key) = self.0.repeated(&mut keys) {
            let key: String = key.escape_default().take(60).collect();
            return Err(de::Error::custom(format_args!("key `{key}` appears twice")));
        }
        let (len, end) = (place(keys.len())?, place(self.0.nodes.len())?);
        self.0.nodes[object] = Node::Map { len, end };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value as Tree, json};

    use super::*;

    fn tree(spot: Spot<'_>) -> Tree {
        match spot.json() {
            Json::Null => Tree::Null,
            Json::Bool(value) => value.into(),
            Json::Int(value) => value.into(),
            Json::UInt(value) => value.into(),
            Json::Double(value) => value.into(),
            Json::Text(text) => text.into(),
            Json::List(spots) => spots.map(tree).collect(),
            Json::Map(entries) => entries.map(|(key, value)| (key.to_owned(), tree(value))).collect(),
        }
    }

    #[test]
    fn documents_read_as_serde_json_reads_them() {
        for text in [
            r#"{"a":[1,-2,3.5,true,false,null,"x\n\u00e9"],"b":{"c":{},"d":[[],[{}]]},"":18446744073709551615}"#,
            "[]",
            "\"x\"",
            "-9223372036854775808",
            r#"{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}"#,
        ] {
            let document = Document::read(text.as_bytes()).unwrap();
            assert_eq!(tree(document.root()), serde_json::from_str::<Tree>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn keys_are_found_wherever_they_stand() {
        let document = Document::read(br#"{"a":{"x":[1,{"y":2}]},"b":[[3]],"c":"d"}"#).unwrap();
        let Json::Map(entries) = document.root().json() else { panic!() };
        assert_eq!(entries.get("c").0.map(tree), Some(json!("d")));
        assert_eq!(entries.get("b").0.map(tree), Some(json!([[3]])));
        assert_eq!((entries.get("x").0.map(tree), entries.get("x").1, entries.len()), (None, 3, 3));
    }

    #[test]
    fn cosigns_wrappings_are_taken_off_once() {
        let document = json!({"spdxVersion": "SPDX-2.3"});
        let string = json!(document.to_string());
        for wrapped in [document.clone(), string.clone(), json!({"Data": document}), json!({"Timestamp": "", "Data": string})] {
            let read = Document::read(wrapped.to_string().as_bytes()).unwrap().unwrapped().unwrap();
            assert_eq!(tree(read.root()), document, "{wrapped}");
        }
        for plain in [json!({"Data": 1}), json!([]), json!(1)] {
            assert_eq!(tree(Document::read(plain.to_string().as_bytes()).unwrap().unwrapped().unwrap().root()), plain);
        }
        let tag_value = Document::read(b"\"SPDXVersion: SPDX-2.3\"").unwrap().unwrapped();
        assert!(matches!(tag_value, Err(DocumentError::Malformed(_))), "{tag_value:?}");
    }

    #[test]
    fn a6_a_key_twice_is_refused_in_objects_of_any_size() {
        for count in [1, FEW_KEYS, 50] {
            let keys: Vec<_> = (0..count).map(|i| format!("\"k{i}\":{{\"x\":[0]}}")).collect();
            assert!(Document::read(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
            let twice = format!("[{{{},\"k0\":1}}]", keys.join(","));
            assert!(Document::read(twice.as_bytes()).unwrap_err().to_string().contains("`k0` appears twice"), "{count}");
        }
        let wrapped = json!("{\"packages\":[],\"packages\":[]}").to_string();
        assert!(Document::read(wrapped.as_bytes()).unwrap().unwrapped().is_err());
    }

    #[test]
    fn a9_an_object_of_very_many_keys_is_read_at_once() {
        // Each compared with each, this many take ten seconds and more.
        let keys: Vec<String> = (0..40_000).map(|i| format!("\"{i}\":0")).collect();
        let start = Instant::now();
        assert!(Document::read(format!("{{{}}}", keys.join(",")).as_bytes()).is_ok());
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    #[test]
    fn a9_a11_depth_and_the_number_of_values_are_bounded() {
        assert!(Document::read("[".repeat(100_000).as_bytes()).is_err());
        let many = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert!(Document::read(many(MAX_VALUES).as_bytes()).is_ok());
        assert_eq!(Document::read(many(MAX_VALUES + 1).as_bytes()).unwrap_err(), DocumentError::TooMany);
        assert_eq!(std::mem::size_of::<Node>(), 16);
    }
}
