//! Predicate types: which statements an attestation rule is about, and of which format their predicate is.
//!
//! The types of known formats are a closed list: what tools write for one format counts as one type, and the very URI found
//! is what refusals and reports name. Nothing else is forgiven, no case and no slash.
//!
//! | a policy says | statements that count |
//! |---|---|
//! | `https://spdx.dev/Document` | this, `/v2.2`, `/v2.3`, `/v3`, `/v3.0`, `/v3.0.1`; a document of any of these versions |
//! | `https://spdx.dev/Document/v2.2`, `/v2.3` | this; a document of this version |
//! | `https://spdx.dev/Document/v3`, `/v3.0`, `/v3.0.1` | any of the three; a document of 3.0 |
//! | `https://cyclonedx.org/bom` | this, `/v1.2` to `/v1.7`, and the older `https://cyclonedx.org/schema`; a document of any of these versions |
//! | `https://cyclonedx.org/bom/v1.2` to `/v1.7` | this; a document of this version |
//! | `https://slsa.dev/provenance/v0.2` | this |
//! | `https://slsa.dev/provenance/v1`, `/v1.0` | either |
//! | `https://cosign.sigstore.dev/attestation/vuln/v1` | this, also without `https://`, as cosign 1 wrote it |
//! | `https://openvex.dev/ns` | this, `/v0.2.0`; a document of any version 0 |
//! | `https://openvex.dev/ns/v0.2.0` | this; a document of this version |
//! | any other URI | this; the predicate must be there |

use std::{fmt, str::FromStr};

use super::documents::{cyclonedx, provenance, spdx, vex, vuln};
use crate::yaml::shown;

/// A type of statement a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredicateType {
    /// A CycloneDX document under the unversioned type or any version's.
    CycloneDx,
    /// A CycloneDX document under the type of this version (`specVersion`), which it must have.
    CycloneDxVersion(&'static str),
    /// This very URI; the predicate must be there.
    Exact(String),
    /// An OpenVEX document, under the unversioned type or 0.2.0's.
    OpenVex,
    /// An OpenVEX document under the type of 0.2.0, which it must be of.
    OpenVexVersion,
    /// SLSA provenance of this version.
    Provenance(provenance::Version),
    /// An SPDX document, under the unversioned type or any version's.
    Spdx,
    /// An SPDX document under a type of this version, which it must have.
    SpdxVersion(spdx::Version),
    /// cosign's vulnerability attestation.
    Vuln,
}

/// Why a text is no predicate type a policy can ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredicateTypeError {
    /// Nearly the type of a format that is read.
    #[error("`{found}` is not a known type of {format}; write {write}")]
    Near {
        /// What is written.
        found: String,
        /// What it is nearly a type of.
        format: &'static str,
        /// What to write.
        write: &'static str,
    },
    /// A short name, as cosign's command line takes.
    #[error("is cosign's short name; write {0}")]
    Short(&'static str),
    /// A signature's type.
    #[error("is the type of signatures; write it under `signatures`")]
    Signature,
    /// No URI.
    #[error("wants a URI such as https://spdx.dev/Document, found `{0}`")]
    Uri(String),
}

/// cosign's short names: `--type` of `cosign attest`.
const SHORT: [(&str, &str); 9] = [
    ("cyclonedx", cyclonedx::TYPE),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", vex::TYPE),
    ("slsaprovenance", provenance::TYPE_0_2),
    ("slsaprovenance02", provenance::TYPE_0_2),
    ("slsaprovenance1", provenance::TYPE_1),
    ("spdx", spdx::TYPE),
    ("spdxjson", spdx::TYPE),
    ("vuln", vuln::TYPE),
];

/// Hosts and paths of known formats. Taken literally, a misspelt type would refuse everything, or ask for any predicate at
/// all (A5).
const NEAR: [(&str, &str, &str); 7] = [
    ("://spdx.dev", "SPDX document", "https://spdx.dev/Document, or with /v2.2, /v2.3 or /v3"),
    ("://www.spdx.dev", "SPDX document", "https://spdx.dev/Document, or with /v2.2, /v2.3 or /v3"),
    ("://spdx.org", "SPDX document", "https://spdx.dev/Document, or with /v2.2, /v2.3 or /v3"),
    ("://cyclonedx.org", "CycloneDX document", "https://cyclonedx.org/bom, or with /v1.2 to /v1.7"),
    ("://slsa.dev/provenance", "SLSA provenance", "https://slsa.dev/provenance/v1 or https://slsa.dev/provenance/v0.2"),
    ("cosign.sigstore.dev/attestation/vuln", "vulnerability scan", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("://openvex.dev", "OpenVEX document", "https://openvex.dev/ns or https://openvex.dev/ns/v0.2.0"),
];

impl FromStr for PredicateType {
    type Err = PredicateTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((_, uri)) = SHORT.iter().find(|(short, _)| *short == text) {
            return Err(PredicateTypeError::Short(uri));
        }
        if let Some((version, ..)) = cyclonedx::VERSIONS.iter().find(|(.., uri)| *uri == text) {
            return Ok(Self::CycloneDxVersion(version));
        }
        match text {
            cyclonedx::TYPE => return Ok(Self::CycloneDx),
            provenance::TYPE_0_2 => return Ok(Self::Provenance(provenance::Version::V0_2)),
            spdx::TYPE => return Ok(Self::Spdx),
            spdx::TYPE_2_2 => return Ok(Self::SpdxVersion(spdx::Version::V2_2)),
            spdx::TYPE_2_3 => return Ok(Self::SpdxVersion(spdx::Version::V2_3)),
            vex::TYPE => return Ok(Self::OpenVex),
            vex::TYPE_0_2 => return Ok(Self::OpenVexVersion),
            vuln::TYPE => return Ok(Self::Vuln),
            "https://sigstore.dev/cosign/sign/v1" => return Err(PredicateTypeError::Signature),
            _ if spdx::TYPES_3.contains(&text) => return Ok(Self::SpdxVersion(spdx::Version::V3_0)),
            _ if provenance::TYPES_1.contains(&text) => return Ok(Self::Provenance(provenance::Version::V1)),
            _ => {}
        }
        let lower = text.to_ascii_lowercase();
        match NEAR.iter().find(|(near, ..)| lower.contains(near)) {
            Some((_, format, write)) => Err(PredicateTypeError::Near { found: shown(text), format, write }),
            None if !text.contains(':') || text.contains(char::is_whitespace) => Err(PredicateTypeError::Uri(shown(text))),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CycloneDx => cyclonedx::TYPE,
            Self::CycloneDxVersion(version) => return write!(f, "{}/v{version}", cyclonedx::TYPE),
            Self::Exact(uri) => uri,
            Self::OpenVex => vex::TYPE,
            Self::OpenVexVersion => vex::TYPE_0_2,
            Self::Provenance(provenance::Version::V0_2) => provenance::TYPE_0_2,
            Self::Provenance(provenance::Version::V1) => provenance::TYPE_1,
            Self::Spdx => spdx::TYPE,
            Self::SpdxVersion(spdx::Version::V2_2) => spdx::TYPE_2_2,
            Self::SpdxVersion(spdx::Version::V2_3) => spdx::TYPE_2_3,
            Self::SpdxVersion(spdx::Version::V3_0) => spdx::TYPE_3,
            Self::Vuln => vuln::TYPE,
        })
    }
}

impl PredicateType {
    /// Whether `found`, a statement's `predicateType`, is of this type: see the table above.
    #[must_use]
    pub fn covers(&self, found: &str) -> bool {
        match self {
            Self::CycloneDx => {
                [cyclonedx::TYPE, cyclonedx::OLD_TYPE].contains(&found)
                    || cyclonedx::VERSIONS.iter().any(|(.., uri)| *uri == found)
            }
            Self::CycloneDxVersion(version) => {
                found.strip_prefix(cyclonedx::TYPE).and_then(|rest| rest.strip_prefix("/v")) == Some(version)
            }
            Self::Exact(uri) => uri == found,
            Self::OpenVex => [vex::TYPE, vex::TYPE_0_2].contains(&found),
            Self::OpenVexVersion => found == vex::TYPE_0_2,
            Self::Provenance(provenance::Version::V0_2) => found == provenance::TYPE_0_2,
            Self::Provenance(provenance::Version::V1) => provenance::TYPES_1.contains(&found),
            Self::Spdx => [spdx::TYPE, spdx::TYPE_2_2, spdx::TYPE_2_3].contains(&found) || spdx::TYPES_3.contains(&found),
            Self::SpdxVersion(spdx::Version::V2_2) => found == spdx::TYPE_2_2,
            Self::SpdxVersion(spdx::Version::V2_3) => found == spdx::TYPE_2_3,
            Self::SpdxVersion(spdx::Version::V3_0) => spdx::TYPES_3.contains(&found),
            Self::Vuln => [vuln::TYPE, vuln::OLD_TYPE].contains(&found),
        }
    }

    /// What stands for `text` now, if that is how an older tool called the type of a known format. Other systems' policies still
    /// name those; ours name the new one, which counts both.
    #[must_use]
    pub fn renamed(text: &str) -> Option<&'static str> {
        match text {
            cyclonedx::OLD_TYPE => Some(cyclonedx::TYPE),
            vuln::OLD_TYPE => Some(vuln::TYPE),
            _ => None,
        }
    }

    /// Whether its statements are about a state of knowledge that outdates earlier ones: vulnerability scans.
    #[must_use]
    pub const fn is_scan(&self) -> bool {
        matches!(self, Self::Vuln)
    }

    /// Whether its documents list packages: SPDX and CycloneDX.
    #[must_use]
    pub const fn is_sbom(&self) -> bool {
        matches!(self, Self::CycloneDx | Self::CycloneDxVersion(_) | Self::Spdx | Self::SpdxVersion(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_type() -> Vec<&'static str> {
        let mut types = vec![
            spdx::TYPE,
            spdx::TYPE_2_2,
            spdx::TYPE_2_3,
            cyclonedx::TYPE,
            provenance::TYPE_0_2,
            vuln::TYPE,
            vex::TYPE,
            vex::TYPE_0_2,
            "https://acme.test/custom/v1",
        ];
        types.extend(spdx::TYPES_3);
        types.extend(provenance::TYPES_1);
        types.extend(cyclonedx::VERSIONS.map(|(.., uri)| uri));
        types
    }

    const OLD: [&str; 2] = ["https://cyclonedx.org/schema", "cosign.sigstore.dev/attestation/vuln/v1"];

    #[test]
    fn an_old_name_of_a_type_is_told_and_cannot_be_asked_for() {
        for old in OLD {
            let error = old.parse::<PredicateType>().unwrap_err().to_string();
            let new = PredicateType::renamed(old).unwrap();
            assert!(error.contains(&format!("write {new}")), "{error}");
            assert!(new.parse::<PredicateType>().unwrap().covers(old));
        }
        assert!(every_type().into_iter().all(|current| PredicateType::renamed(current).is_none()));
    }

    #[test]
    fn a5_types_are_a_closed_list() {
        for (asked, also) in [
            (
                spdx::TYPE,
                vec![
                    spdx::TYPE_2_2,
                    spdx::TYPE_2_3,
                    "https://spdx.dev/Document/v3",
                    "https://spdx.dev/Document/v3.0",
                    "https://spdx.dev/Document/v3.0.1",
                ],
            ),
            (spdx::TYPE_2_3, vec![]),
            ("https://spdx.dev/Document/v3", vec!["https://spdx.dev/Document/v3.0", "https://spdx.dev/Document/v3.0.1"]),
            (
                "https://cyclonedx.org/bom",
                cyclonedx::VERSIONS.map(|(.., uri)| uri).into_iter().chain(["https://cyclonedx.org/schema"]).collect(),
            ),
            ("https://cyclonedx.org/bom/v1.5", vec![]),
            ("https://slsa.dev/provenance/v0.2", vec![]),
            ("https://slsa.dev/provenance/v1.0", vec!["https://slsa.dev/provenance/v1"]),
            ("https://cosign.sigstore.dev/attestation/vuln/v1", vec!["cosign.sigstore.dev/attestation/vuln/v1"]),
            ("https://openvex.dev/ns", vec!["https://openvex.dev/ns/v0.2.0"]),
            ("https://openvex.dev/ns/v0.2.0", vec![]),
            ("https://acme.test/custom/v1", vec![]),
        ] {
            let parsed: PredicateType = asked.parse().unwrap();
            let covered: std::collections::BTreeSet<_> =
                every_type().into_iter().chain(OLD).filter(|found| parsed.covers(found)).collect();
            assert_eq!(covered, also.into_iter().chain([asked]).collect(), "{asked}");
            for near in
                [format!("{asked}/"), asked.to_uppercase(), asked.replace("https", "http"), format!("{asked}/v9"), String::new()]
            {
                assert!(!parsed.covers(&near), "{asked} {near}");
            }
        }
    }

    #[test]
    fn every_type_says_what_can_be_written_again() {
        for uri in every_type() {
            let parsed: PredicateType = uri.parse().unwrap();
            assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()), "{uri}");
            assert!(parsed.covers(uri));
            assert_eq!(parsed.is_sbom(), uri.contains("spdx") || uri.contains("cyclonedx"));
        }
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
            ("https://spdx.dev/Document/v3.1", "write https://spdx.dev/Document, or with /v2.2, /v2.3 or /v3"),
            ("https://spdx.org/rdf/3.0.1/terms", "not a known type of SPDX"),
            ("https://cyclonedx.org/bom/v1.1", "not a known type of CycloneDX document; write https://cyclonedx.org/bom"),
            ("https://cyclonedx.org/BOM", "not a known type"),
            ("https://slsa.dev/provenance", "not a known type of SLSA provenance"),
            ("https://slsa.dev/provenance/v0.1", "write https://slsa.dev/provenance/v1 or"),
            ("https://cosign.sigstore.dev/attestation/vuln", "not a known type of vulnerability scan"),
            ("https://openvex.dev/ns/v0.1", "not a known type of OpenVEX"),
            ("https://sigstore.dev/cosign/sign/v1", "under `signatures`"),
            ("provenance", "wants a URI"),
        ] {
            let error = text.parse::<PredicateType>().unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
