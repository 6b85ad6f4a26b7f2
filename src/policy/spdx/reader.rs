//! The reading itself: a predicate streams past, and only what says that it is a document is kept.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) enum Found<'t> {
    Fields(Box<Fields>),
    Text(Cow<'t, str>),
    Wrapped(Data<'t>),
}

pub(super) enum Data<'t> {
    Fields(Box<Fields>),
    Text(Cow<'t, str>),
}

/// What is kept of a document: enough to say that it is one.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) version: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) creation: bool,
    pub(super) packages: usize,
    pub(super) files: usize,
    pub(super) json_ld: bool,
}

/// The keys that decide. A second one, or one in other capitals, would let two readers see two documents (A6).
const KEYS: [&str; 10] =
    ["Data", "spdxVersion", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "files", "@context", "@graph"];

/// How readers that ignore case see a key (Go's encoding/json): `ſ` and the Kelvin sign are the two that meet ASCII.
fn fold(key: &str) -> String {
    key.replace('\u{17f}', "s").replace('\u{212a}', "k").to_ascii_lowercase()
}

pub(super) struct Predicate;

impl<'de> DeserializeSeed<'de> for Predicate {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_any(PredicateVisitor { wrapped: false })
    }
}

struct PredicateVisitor {
    wrapped: bool,
}

impl<'de> Visitor<'de> for PredicateVisitor {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an SPDX document")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Owned(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        let mut data = None;
        let mut seen = [false; KEYS.len()];
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let Some(known) = KEYS.iter().position(|known| fold(&key) == fold(known)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if KEYS[known] != key {
                return Err(de::Error::custom(format_args!("key `{}` for `{}`", key.escape_default(), KEYS[known])));
            }
            if std::mem::replace(&mut seen[known], true) {
                return Err(de::Error::custom(format_args!("key `{}` twice", KEYS[known])));
            }
            match KEYS[known] {
                "Data" if self.wrapped => return Err(de::Error::custom("`Data` within `Data`")),
                "Data" => data = Some(map.next_value_seed(Wrapped)?),
                "spdxVersion" => fields.version = Some(map.next_value()?),
                "SPDXID" => fields.id = Some(map.next_value()?),
                "name" => fields.name = Some(map.next_value()?),
                "documentNamespace" => fields.namespace = Some(map.next_value()?),
                "creationInfo" => {
                    map.next_value_seed(Object { named_by: &[] })?;
                    fields.creation = true;
                }
                "packages" => fields.packages = map.next_value_seed(Counted { named_by: &["SPDXID", "name"] })?,
                "files" => fields.files = map.next_value_seed(Counted { named_by: &["SPDXID", "fileName"] })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    fields.json_ld = true;
                }
            }
        }
        match data {
            Some(_) if fields.version.is_some() => Err(de::Error::custom("`Data` beside `spdxVersion`")),
            Some(data) => Ok(Found::Wrapped(data)),
            None => Ok(Found::Fields(Box::new(fields))),
        }
    }
}

struct Wrapped;

impl<'de> DeserializeSeed<'de> for Wrapped {
    type Value = Data<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Data<'de>, D::Error> {
        match deserializer.deserialize_any(PredicateVisitor { wrapped: true })? {
            Found::Fields(fields) => Ok(Data::Fields(fields)),
            Found::Text(text) => Ok(Data::Text(text)),
            Found::Wrapped(_) => Err(de::Error::custom("`Data` within `Data`")),
        }
    }
}

/// A list of objects; counts those that have one of the names as text.
struct Counted {
    named_by: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Counted {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Counted {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
        let mut named = 0;
        while let Some(is_named) = seq.next_element_seed(Object { named_by: self.named_by })? {
            named += usize::from(is_named);
        }
        Ok(named)
    }
}

/// An object; says whether it has one of `named_by`, as text that is not empty.
#[derive(Clone, Copy)]
struct Object {
    named_by: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut named = false;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if self.named_by.contains(&key.as_ref()) {
                named |= !map.next_value::<Cow<'_, str>>()?.is_empty();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(named)
    }
}
