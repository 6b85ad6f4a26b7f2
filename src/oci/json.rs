//! Strict JSON: what two readers could understand differently is refused.
//!
//! Go's `encoding/json`, which most clients use, takes the *last* of duplicate keys and matches keys without regard to
//! case; serde takes the exact case. A document with `layers` and `Layers` therefore has two meanings (compare
//! CVE-2021-41190), so it has none here.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How deep a document may nest. containerd, oci-spec and SPDX documents stay below ten.
pub const MAX_DEPTH: usize = 32;

/// Reads one JSON document: no duplicate keys, no key that is another key's case variant, nested at most
/// [`MAX_DEPTH`] deep, nothing behind it.
///
/// # Errors
/// Says what was wrong, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom(format_args!("nested more than {MAX_DEPTH} deep"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = serde_json::Map::new();
        let mut folded = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            // Go folds by Unicode simple folding; `ſ` and `K` are the two that meet ASCII letters.
            let fold = key.replace('\u{17f}', "s").replace('\u{212a}', "k").to_lowercase();
            if !folded.insert(fold) {
                return Err(de::Error::custom(format_args!(
                    "key `{}` appears twice (readers that ignore case would see another document)",
                    key.escape_default().take(80).collect::<String>()
                )));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_documents_read_as_serde_json_reads_them() {
        let text = br#"{"a":[1,-2,3.5,true,null,"x"],"b":{"c":{}}}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn a6_duplicate_keys_and_case_variants_are_refused() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"layers":[],"Layers":[]}"#,
            r#"{"x":{"mediaType":1,"MEDIATYPE":2}}"#,
            "{\"s\":1,\"\u{17f}\":2}",
            "{\"manifests\":1,\"manifest\u{17f}\":2}",
            "{\"k\":1,\"\u{212a}\":2}",
        ] {
            assert!(parse(text.as_bytes()).unwrap_err().to_string().contains("twice"), "{text}");
        }
    }

    #[test]
    fn a11_absurd_depth_and_trailing_bytes_are_refused() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(deep.as_bytes()).is_err());
        assert!(parse(b"{} {}").is_err());
        assert!(parse(b"\xef\xbb\xbf{}").is_err());
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
