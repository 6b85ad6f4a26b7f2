//! What attestations hold: documents of known formats, really read, so that a statement does not only claim a type (A4).
//!
//! Every reader streams from [`Predicate::open`]: a 50 MiB SBOM is judged while it passes by, in memory that does not grow
//! with it. An SBOM may also stand in a string (cosign's `--type spdx`) or in cosign's `{"Data": …}` wrapper; the string is
//! read through as well. Other formats are objects. Keys that decide are unique in any capitals (A6); a text that is kept
//! has at most 64 KiB, a document at most 64 MiB and 64 levels.

pub(crate) mod cyclonedx;
mod json;
pub mod provenance;
pub(crate) mod sbom;
pub mod spdx;
pub(crate) mod vex;
pub(crate) mod vuln;

use self::json::{Json, Kind};
use crate::verify::Predicate;

/// Bytes of a predicate: 64 MiB.
pub(super) const MAX_DOCUMENT: u64 = 64 << 20;

/// Why a predicate is no document of its type. Reads on from "its predicate".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, a key twice, or a value of another kind than the format has.
    #[error("{0}")]
    Malformed(String),
    /// Something the format requires.
    #[error("has no {0}")]
    Missing(&'static str),
    /// SPDX's tag-value form.
    #[error("is in SPDX's tag-value form; only its JSON form is supported")]
    TagValue,
    /// Above the bound.
    #[error("is larger than {MAX_DOCUMENT} bytes")]
    TooLarge,
    /// Another version.
    #[error("has {key} `{found}`; {wanted}")]
    Version {
        /// The key that says so.
        key: &'static str,
        /// What it says.
        found: String,
        /// What is supported, as a clause.
        wanted: &'static str,
    },
}

impl DocumentError {
    pub(super) fn version(key: &'static str, found: &str, wanted: &'static str) -> Self {
        Self::Version { key, found: found.escape_default().take(60).collect(), wanted }
    }
}

/// Reads a predicate that is an object, to its end.
fn object(
    predicate: &Predicate,
    keys: &[&'static str],
    each: impl FnMut(&mut Json<'_>, &'static str) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    if predicate.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge);
    }
    let mut json = Json::new(predicate.open());
    json.object(keys, each)?;
    json.end()
}

/// Whether a predicate holds anything: for types whose format nobody here knows.
///
/// # Errors
/// It is `null`, as a statement's without predicate is.
pub(crate) fn anything(predicate: &Predicate) -> Result<(), DocumentError> {
    let null = predicate.whole(64).is_some_and(|text| text.trim_ascii() == b"null");
    if null { Err(DocumentError::Missing("predicate")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
