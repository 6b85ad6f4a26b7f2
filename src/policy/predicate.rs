//! Predicate types: which statements an attestation rule is about, and what their predicate must be.

use std::{fmt, str::FromStr};

use super::spdx;
use crate::{
    verify::{Predicate, Statement},
    yaml::shown,
};

/// A type of statement a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredicateType {
    /// This very URI; the predicate must be there.
    Exact(String),
    /// An SPDX document, under the unversioned type or 2.2's or 2.3's.
    Spdx,
    /// An SPDX document under the type of this version, which it must have.
    SpdxVersion(spdx::Version),
}

/// Why a text is no predicate type a policy can ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredicateTypeError {
    /// A short name, as cosign's command line takes.
    #[error("is cosign's short name; write {0}")]
    Short(&'static str),
    /// A signature's type.
    #[error("is the type of signatures; write it under `signatures`")]
    Signature,
    /// Nearly an SPDX type.
    #[error("`{0}` is not a known type of SPDX document; write {types}", types = [spdx::TYPE, spdx::TYPE_2_2, spdx::TYPE_2_3].join(" or "))]
    Spdx(String),
    /// SPDX 3.
    #[error("SPDX 3 is not supported yet; SPDX-2.2 and SPDX-2.3 are")]
    Spdx3,
    /// No URI.
    #[error("wants a URI such as https://spdx.dev/Document, found `{0}`")]
    Uri(String),
}

/// cosign's short names: `--type` of `cosign attest`.
const SHORT: [(&str, &str); 9] = [
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", spdx::TYPE),
    ("spdxjson", spdx::TYPE),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

impl FromStr for PredicateType {
    type Err = PredicateTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, uri)) = SHORT.iter().find(|(short, _)| *short == text) {
            return Err(PredicateTypeError::Short(uri));
        }
        let lower = text.to_ascii_lowercase();
        match text {
            spdx::TYPE => Ok(Self::Spdx),
            spdx::TYPE_2_2 => Ok(Self::SpdxVersion(spdx::Version::V2_2)),
            spdx::TYPE_2_3 => Ok(Self::SpdxVersion(spdx::Version::V2_3)),
            // Taken literally, a misspelt type would refuse everything, or ask for any predicate at all (A5).
            _ if lower.starts_with("https://spdx.dev/document/v3") || lower.starts_with("https://spdx.org/rdf/3") => {
                Err(PredicateTypeError::Spdx3)
            }
            _ if ["://spdx.dev", "://www.spdx.dev", "://spdx.org"].iter().any(|near| lower.contains(near)) => {
                Err(PredicateTypeError::Spdx(shown(text)))
            }
            "https://sigstore.dev/cosign/sign/v1" => Err(PredicateTypeError::Signature),
            _ if !text.contains(':') || text.contains(char::is_whitespace) => Err(PredicateTypeError::Uri(shown(text))),
            _ => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact(uri) => uri,
            Self::Spdx => spdx::TYPE,
            Self::SpdxVersion(spdx::Version::V2_2) => spdx::TYPE_2_2,
            Self::SpdxVersion(spdx::Version::V2_3) => spdx::TYPE_2_3,
        })
    }
}

impl PredicateType {
    /// Whether it is of SBOMs, which an index's platforms may each have: SPDX and CycloneDX.
    #[must_use]
    pub fn is_sbom(&self) -> bool {
        let uri = self.to_string();
        [spdx::TYPE, "https://cyclonedx.org/"].iter().any(|sbom| uri.starts_with(sbom))
    }

    /// Whether it is of vulnerability scans, of which each outdates the last: cosign's.
    #[must_use]
    pub fn is_scan(&self) -> bool {
        self.to_string().starts_with("https://cosign.sigstore.dev/attestation/vuln/")
    }

    /// Whether `found`, a statement's `predicateType`, is of this type. A closed list: no case, slash or version is forgiven.
    #[must_use]
    pub fn covers(&self, found: &str) -> bool {
        match self {
            Self::Exact(uri) => uri == found,
            Self::Spdx => [spdx::TYPE, spdx::TYPE_2_2, spdx::TYPE_2_3].contains(&found),
            Self::SpdxVersion(spdx::Version::V2_2) => found == spdx::TYPE_2_2,
            Self::SpdxVersion(spdx::Version::V2_3) => found == spdx::TYPE_2_3,
        }
    }

    /// Whether the statement's predicate is what its type says.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, statement: &Statement) -> Result<(), spdx::SpdxError> {
        match self {
            Self::Exact(_) if is_null(&statement.predicate) => Err(spdx::SpdxError::Missing("predicate")),
            Self::Exact(_) => Ok(()),
            Self::Spdx => document(&statement.predicate).map(|_| ()),
            Self::SpdxVersion(version) => {
                let document = document(&statement.predicate)?;
                if document.version == *version {
                    Ok(())
                } else {
                    Err(spdx::SpdxError::Version(document.version.as_str().to_owned()))
                }
            }
        }
    }
}

fn is_null(predicate: &Predicate) -> bool {
    predicate.whole(64).is_some_and(|text| text.trim_ascii() == b"null")
}

fn document(predicate: &Predicate) -> Result<spdx::Document, spdx::SpdxError> {
    spdx::read(&predicate.whole(spdx::MAX_DOCUMENT).ok_or(spdx::SpdxError::TooLarge)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a5_types_are_a_closed_list() {
        let unversioned: PredicateType = spdx::TYPE.parse().unwrap();
        for yes in ["https://spdx.dev/Document", "https://spdx.dev/Document/v2.2", "https://spdx.dev/Document/v2.3"] {
            assert!(unversioned.covers(yes));
        }
        for no in [
            "https://spdx.dev/Document/",
            "https://spdx.dev/document",
            "http://spdx.dev/Document",
            "https://spdx.dev/Document/v2.4",
            "https://spdx.dev/Document/v3.0",
            "https://cyclonedx.org/bom",
            "",
        ] {
            assert!(!unversioned.covers(no), "{no}");
        }
        let versioned: PredicateType = spdx::TYPE_2_3.parse().unwrap();
        assert!(versioned.covers(spdx::TYPE_2_3) && !versioned.covers(spdx::TYPE) && !versioned.covers(spdx::TYPE_2_2));
        let exact: PredicateType = "https://cyclonedx.org/bom".parse().unwrap();
        assert!(exact.covers("https://cyclonedx.org/bom") && !exact.covers("https://cyclonedx.org/bom/v1.5"));
    }

    #[test]
    fn a5_misspelt_types_are_refused_in_a_policy() {
        for (text, message) in [
            ("spdxjson", "cosign's short name; write https://spdx.dev/Document"),
            ("cyclonedx", "cosign's short name; write https://cyclonedx.org/bom"),
            ("https://spdx.dev/Document/", "not a known type of SPDX document"),
            ("https://spdx.dev/document", "not a known type"),
            ("HTTPS://SPDX.DEV/Document", "not a known type"),
            ("https://spdx.dev/Document/v2.4", "not a known type"),
            ("https://spdx.dev/Document/v3.0.1", "SPDX 3 is not supported yet"),
            ("https://sigstore.dev/cosign/sign/v1", "under `signatures`"),
            ("provenance", "wants a URI"),
        ] {
            let error = text.parse::<PredicateType>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
