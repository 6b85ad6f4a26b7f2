//! A streaming check that JSON has one meaning, for documents too large to hold as a tree.
//!
//! [`oci::json`](crate::oci::json) holds what it checks, which suits manifests. Evidence may be 96 MiB of SBOM; here it
//! is walked once, and nothing but the keys of the objects still open is kept.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::{VerifyError, clean};

/// What a document may look like. [`Rules::free`] names a top-level key whose value is somebody else's format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How deep it may nest. serde_json itself stops at 128.
    pub(super) depth: usize,
    /// Elements of one array.
    pub(super) items: usize,
    /// Keys of one object.
    pub(super) keys: usize,
    /// Under this top-level key arrays may be of any length, objects may have [`FREE_KEYS`] keys, and keys may differ by
    /// case alone (a build's environment variables do). Duplicates are refused there too.
    pub(super) free: Option<&'static str>,
}

/// Keys inside [`Rules::free`] of all the objects open at once, one within the other: what is remembered to find
/// duplicates must stay bounded too, and a bound for each of 64 nested ones would be 200 MiB.
const FREE_KEYS: usize = 65_536;

/// Walks `bytes`: one JSON document, nothing behind it, no duplicate keys, within `rules`.
///
/// # Errors
/// [`VerifyError::TooLarge`] or [`VerifyError::Malformed`], each beginning with `what`.
pub(super) fn check(what: &str, bytes: &[u8], rules: Rules) -> Result<(), VerifyError> {
    let too_large = Cell::new(false);
    let free_keys = Cell::new(0);
    let walk = Walk { depth: rules.depth, rules, free: false, top: true, too_large: &too_large, free_keys: &free_keys };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let outcome = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    outcome.map_err(|error| {
        let text = format!("{what}: {}", clean(&error.to_string()));
        if too_large.get() { VerifyError::TooLarge(text) } else { VerifyError::Malformed(text) }
    })
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    depth: usize,
    rules: Rules,
    free: bool,
    top: bool,
    too_large: &'a Cell<bool>,
    /// Keys remembered of the free objects open now.
    free_keys: &'a Cell<usize>,
}

impl Walk<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, top: false, ..self }),
            None => Err(self.exceeds(format_args!("nested more than {} deep", self.rules.depth))),
        }
    }

    fn exceeds<E: de::Error>(self, text: fmt::Arguments<'_>) -> E {
        self.too_large.set(true);
        E::custom(text)
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut items = 0_usize;
        while seq.next_element_seed(inner)?.is_some() {
            items += 1;
            if !self.free && items > self.rules.items {
                return Err(self.exceeds(format_args!("an array has more than {} elements", self.rules.items)));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let outside = self.free_keys.get();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            let free = self.free || (self.top && self.rules.free == Some(&*key));
            let shown: String = key.escape_default().take(80).collect();
            let key = if self.free { key } else { Cow::Owned(fold(&key)) };
            if !seen.insert(key) {
                return Err(de::Error::custom(format_args!("key `{shown}` appears twice")));
            }
            if self.free {
                self.free_keys.set(outside + seen.len());
                if outside + seen.len() > FREE_KEYS {
                    return Err(self.exceeds(format_args!("an object and those around it have more than {FREE_KEYS} keys")));
                }
            } else if seen.len() > self.rules.keys {
                return Err(self.exceeds(format_args!("an object has more than {} keys", self.rules.keys)));
            }
            map.next_value_seed(Self { free, ..inner })?;
        }
        self.free_keys.set(outside);
        Ok(())
    }
}

/// How readers that ignore case see a key (Go's encoding/json): `ſ` and the Kelvin sign are the two that meet ASCII.
fn fold(key: &str) -> String {
    key.replace('\u{17f}', "s").replace('\u{212a}', "k").to_lowercase()
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { depth: 4, items: 3, keys: 3, free: Some("predicate") };

    fn refused(text: &str) -> String {
        check("document", text.as_bytes(), RULES).unwrap_err().to_string()
    }

    #[test]
    fn ordinary_documents_pass() {
        for text in [r#"{"a":[1,-2,3.5],"b":{"c":{}}}"#, "[]", "7", r#"{"predicate":{"Path":1,"PATH":2,"x":[1,2,3,4,5]}}"#] {
            assert!(check("document", text.as_bytes(), RULES).is_ok(), "{text}");
        }
    }

    #[test]
    fn a6_duplicate_keys_are_refused_everywhere_and_case_variants_outside_the_free_part() {
        for text in [
            r#"{"subject":1,"subject":2}"#,
            r#"{"subject":1,"Subject":2}"#,
            r#"{"a":{"\u017fha":1,"sha":2}}"#,
            r#"{"predicate":1,"Predicate":2}"#,
            r#"{"predicate":{"a":1,"a":2}}"#,
            r#"{"predicate":{"a":1,"\u0061":2}}"#,
        ] {
            assert!(refused(text).contains("twice"), "{text}");
        }
    }

    #[test]
    fn a11_depth_elements_and_keys_are_bounded() {
        assert!(refused("[[[[[]]]]]").contains("too large: document: nested more than 4 deep"));
        assert!(refused("[1,2,3,4]").contains("too large: document: an array has more than 3 elements"));
        assert!(refused(r#"{"a":1,"b":1,"c":1,"d":1}"#).contains("too large"));
        assert!(refused(r#"{"x":{"predicate":[1,2,3,4]}}"#).contains("too large"), "free at the top only");
        let deep = format!("{{\"predicate\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(refused(&deep).contains("too large"));
        assert!(refused("{} {}").contains("malformed"));
    }

    #[test]
    fn a11_keys_are_bounded_in_the_free_part_too() {
        let keys: Vec<String> = (0..=FREE_KEYS).map(|at| format!("\"{at}\":0")).collect();
        assert!(refused(&format!("{{\"predicate\":{{{}}}}}", keys.join(","))).contains("too large"));
        // Beside each other they are forgotten one after the other; one within the other they add up.
        let half = keys[..=FREE_KEYS / 2].join(",");
        let beside = format!("{{\"predicate\":[{{{half}}},{{{half}}},{{{half}}}]}}");
        assert!(check("document", beside.as_bytes(), RULES).is_ok());
        assert!(refused(&format!("{{\"predicate\":{{{half},\"in\":{{{half}}}}}}}")).contains("too large"));
    }
}
