//! SPDX documents, really read: an attestation must hold one, not only claim the type (A4).
//!
//! Read here: JSON of SPDX 2.2 and 2.3, as an object, as a string holding that object (cosign's `--type spdx`), or
//! either of them in cosign's `{"Data": …}` wrapper. SPDX 3 is JSON-LD and recognised, but not supported yet. Packages and
//! files are counted while they stream past, so a document of tens of megabytes costs no tree.

mod reader;

use serde::de::DeserializeSeed as _;

use self::reader::{Data, Fields, Found, Predicate};

/// Bytes of a predicate: 64 MiB.
pub(super) const MAX_DOCUMENT: usize = 64 << 20;

/// The predicate type without a version; the versioned ones are [`TYPE_2_2`] and [`TYPE_2_3`].
pub const TYPE: &str = "https://spdx.dev/Document";
/// The predicate type of version 2.2.
pub const TYPE_2_2: &str = "https://spdx.dev/Document/v2.2";
/// The predicate type of version 2.3.
pub const TYPE_2_3: &str = "https://spdx.dev/Document/v2.3";

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// SPDX-2.2.
    V2_2,
    /// SPDX-2.3.
    V2_3,
}

/// What a document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document {
    /// `spdxVersion`.
    pub version: Version,
    /// Packages that have an id or a name.
    pub packages: usize,
    /// Files that have an id or a name.
    pub files: usize,
}

/// Why a predicate is no SPDX document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpdxError {
    /// No package and no file (A8).
    #[error("describes no package and no file")]
    Empty,
    /// Not JSON, a key twice, or a value of another kind than the format has.
    #[error("{0}")]
    Malformed(String),
    /// A field the format requires.
    #[error("has no {0}")]
    Missing(&'static str),
    /// SPDX 3.
    #[error("is SPDX 3, which is not supported yet")]
    Spdx3,
    /// The tag-value form.
    #[error("is in SPDX's tag-value form; only its JSON form is supported")]
    TagValue,
    /// Above [`MAX_DOCUMENT`].
    #[error("is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// Another version.
    #[error("has spdxVersion `{0}`; SPDX-2.2 and SPDX-2.3 are supported")]
    Version(String),
}

impl Version {
    /// As `spdxVersion` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2_2 => "SPDX-2.2",
            Self::V2_3 => "SPDX-2.3",
        }
    }
}

/// Reads `predicate`, the raw JSON of a statement's predicate.
///
/// # Errors
/// Why it is no document of this format.
pub fn read(predicate: &[u8]) -> Result<Document, SpdxError> {
    if predicate.len() > MAX_DOCUMENT {
        return Err(SpdxError::TooLarge);
    }
    let text = std::str::from_utf8(predicate).map_err(|_| SpdxError::Malformed("is not UTF-8".into()))?;
    match parse(text)? {
        Found::Fields(fields) => fields.judge(),
        Found::Text(inner) => inside(&inner)?.judge(),
        Found::Wrapped(Data::Fields(fields)) => fields.judge(),
        Found::Wrapped(Data::Text(inner)) => inside(&inner)?.judge(),
    }
}

/// The document within a string; a string within a string is none.
fn inside(text: &str) -> Result<Fields, SpdxError> {
    match parse(text) {
        Ok(Found::Fields(fields)) => Ok(*fields),
        Ok(Found::Text(_) | Found::Wrapped(_)) => Err(SpdxError::Malformed("wraps its document more than once".into())),
        Err(_) if text.trim_start().starts_with("SPDXVersion:") => Err(SpdxError::TagValue),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> Result<Found<'_>, SpdxError> {
    let malformed = |error: serde_json::Error| SpdxError::Malformed(format!("is not a JSON document of its type: {error}"));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Predicate.deserialize(&mut deserializer).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(found)
}

impl Fields {
    fn judge(&self) -> Result<Document, SpdxError> {
        let version = match self.version.as_deref() {
            Some("SPDX-2.2") => Version::V2_2,
            Some("SPDX-2.3") => Version::V2_3,
            Some(version) if version.starts_with("SPDX-3") => return Err(SpdxError::Spdx3),
            None if self.json_ld => return Err(SpdxError::Spdx3),
            Some(other) => return Err(SpdxError::Version(other.escape_default().take(40).collect())),
            None => return Err(SpdxError::Missing("spdxVersion")),
        };
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
        if !given(&self.id) {
            return Err(SpdxError::Missing("SPDXID"));
        }
        if !given(&self.name) {
            return Err(SpdxError::Missing("name"));
        }
        if !given(&self.namespace) {
            return Err(SpdxError::Missing("documentNamespace"));
        }
        if !self.creation {
            return Err(SpdxError::Missing("creationInfo"));
        }
        if self.packages == 0 && self.files == 0 {
            return Err(SpdxError::Empty);
        }
        Ok(Document { version, packages: self.packages, files: self.files })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document() -> Value {
        json!({
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
            "documentNamespace": "https://acme.test/app", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: x"]},
            "packages": [{"SPDXID": "SPDXRef-a", "name": "openssl", "nested": [[{"deep": 1}]]}, {"SPDXID": "SPDXRef-b", "name": "zlib"}],
            "files": [{"SPDXID": "SPDXRef-c", "fileName": "./bin/app"}],
        })
    }

    fn read_value(value: &Value) -> Result<Document, SpdxError> {
        read(value.to_string().as_bytes())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut document = document();
        document[key] = value;
        document
    }

    #[test]
    fn every_wrapping_of_both_versions_is_read() {
        for (text, version) in [("SPDX-2.2", Version::V2_2), ("SPDX-2.3", Version::V2_3)] {
            let document = with("spdxVersion", json!(text));
            let string = json!(document.to_string());
            for form in [
                document.clone(),
                string.clone(),
                json!({"Data": document, "Timestamp": "2026-01-01T00:00:00Z"}),
                json!({"Timestamp": "", "Data": string}),
            ] {
                assert_eq!(read_value(&form), Ok(Document { version, packages: 2, files: 1 }), "{form}");
            }
        }
    }

    #[test]
    fn a4_what_only_claims_the_type_is_refused() {
        for (predicate, message) in [
            ("{}", "has no spdxVersion"),
            ("null", "is not a JSON document"),
            ("[]", "is not a JSON document"),
            ("\"hello\"", "is not a JSON document"),
            ("", "is not a JSON document"),
            ("{\"Data\":null}", "is not a JSON document"),
            ("{\"Data\":{}}", "has no spdxVersion"),
            ("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"components\":[]}", "has no spdxVersion"),
            ("\"SPDXVersion: SPDX-2.3\\nDataLicense: CC0-1.0\\n\"", "tag-value"),
        ] {
            let error = read(predicate.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{predicate}: {error}");
        }
        for key in ["spdxVersion", "SPDXID", "name", "documentNamespace", "creationInfo"] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(key);
            assert_eq!(read_value(&document), Err(SpdxError::Missing(key)));
            if key != "creationInfo" && key != "spdxVersion" {
                assert_eq!(read_value(&with(key, json!(" "))), Err(SpdxError::Missing(key)));
            }
            assert!(read_value(&with(key, json!(1))).is_err(), "{key}");
        }
        assert!(read_value(&with("packages", json!({"a": 1}))).is_err());
        assert!(read_value(&with("packages", json!(["a"]))).is_err());
        assert!(matches!(read_value(&with("spdxVersion", json!("SPDX-2.1"))), Err(SpdxError::Version(_))));
    }

    #[test]
    fn a8_a_document_about_nothing_is_refused() {
        let mut nothing = with("packages", json!([]));
        nothing["files"] = json!([]);
        assert_eq!(read_value(&nothing), Err(SpdxError::Empty));
        nothing["packages"] = json!([{}, {"versionInfo": "1"}, {"SPDXID": "", "name": ""}]);
        assert_eq!(read_value(&nothing), Err(SpdxError::Empty));
        nothing["files"] = json!([{"SPDXID": "SPDXRef-f", "fileName": "f"}]);
        assert_eq!(read_value(&nothing).unwrap().files, 1);
    }

    #[test]
    fn spdx_3_is_recognised_and_refused() {
        for predicate in [
            json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{"type": "SpdxDocument"}]}),
            json!({"Data": {"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}}),
            with("spdxVersion", json!("SPDX-3.0")),
        ] {
            assert_eq!(read_value(&predicate), Err(SpdxError::Spdx3));
        }
    }

    #[test]
    fn a6_keys_that_decide_are_unique_in_any_capitals() {
        let plain = document().to_string();
        for extra in [
            "\"packages\":[],",
            "\"Packages\":[],",
            "\"spdxversion\":\"SPDX-2.3\",",
            "\"data\":{},",
            "\"pac\u{212a}ages\":[],",
            "\"file\u{17f}\":[],",
        ] {
            let text = plain.replacen('{', &format!("{{{extra}"), 1);
            assert!(read(text.as_bytes()).is_err(), "{extra}");
            assert!(read(json!(text).to_string().as_bytes()).is_err(), "{extra} in a string");
        }
        for (key, variant) in [("\"packages\"", "\"Packages\""), ("SPDXID", "spdxId"), ("spdxVersion", "SPDXVersion")] {
            assert!(matches!(read(plain.replacen(key, variant, 1).as_bytes()), Err(SpdxError::Malformed(_))), "{variant}");
        }
        assert!(read_value(&json!({"Data": {"Data": document()}})).is_err());
        assert!(read_value(&json!({"Data": document(), "spdxVersion": "SPDX-2.3"})).is_err());
        assert!(read_value(&json!(json!(document().to_string()).to_string())).is_err(), "a string in a string");
    }

    #[test]
    fn a9_a11_size_and_depth_are_bounded() {
        assert_eq!(read(&vec![b' '; MAX_DOCUMENT + 1]), Err(SpdxError::TooLarge));
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(deep.as_bytes()), Err(SpdxError::Missing("spdxVersion")));
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
        assert!(read("{\"Data\":".repeat(100_000).as_bytes()).is_err());
    }
}
