//! cosign's vulnerability attestation: a scan, when it ended, and what it found, in grype's or trivy's own JSON.
//!
//! What a scanner was told to ignore (grype's `ignoredMatches`) is no finding: who signs the scan answers for that.

use jiff::Timestamp;

use super::{DocumentError, Json, Kind, object};
use crate::verify::Predicate;

/// The predicate type.
pub(crate) const TYPE: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

/// As cosign 1 wrote it: no URI.
pub(crate) const OLD_TYPE: &str = "cosign.sigstore.dev/attestation/vuln/v1";

/// What a scanner thinks of a vulnerability, the least first. grype and trivy use the same words; what is none of them is
/// [`Severity::Unknown`], the worst: what nobody has rated may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Negligible,
    Low,
    Medium,
    High,
    Critical,
    Unknown,
}

impl Severity {
    pub(crate) fn of(text: &str) -> Self {
        let words = [Self::Negligible, Self::Low, Self::Medium, Self::High, Self::Critical];
        words.into_iter().find(|word| word.as_str().eq_ignore_ascii_case(text)).unwrap_or(Self::Unknown)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// One vulnerability in one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its id, `CVE-…` or `GHSA-…`.
    pub(crate) id: String,
    /// What vendors call the same vulnerability: trivy's `VendorIDs`.
    pub(crate) aliases: Vec<String>,
    /// Grype's `relatedVulnerabilities`: the same one elsewhere, or, of a vendor's advisory, every vulnerability it is about.
    pub(crate) related: Vec<String>,
    /// As the scanner rates it.
    pub(crate) severity: Option<Severity>,
    /// A version without it is known.
    pub(crate) fixed: bool,
    /// The package and its version.
    pub(crate) package: String,
    /// The package's version.
    pub(crate) version: String,
}

/// What is said of the scan as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// When it ended.
    pub(crate) finished: Option<Timestamp>,
    /// What it says of that in a form that is not read, as a time without its zone.
    pub(crate) unread: Option<String>,
    /// Whether its result is in a form that is read; otherwise no finding was seen, and there may be any.
    pub(crate) read: bool,
}

/// Reads `predicate`; `each` sees every finding.
///
/// # Errors
/// Why it is no document of this type. A result of another scanner's form is none of these.
pub(crate) fn read(predicate: &Predicate, each: &mut dyn FnMut(&Finding)) -> Result<Scan, DocumentError> {
    let (mut scan, mut scanner, mut metadata) = (Scan::default(), false, false);
    object(predicate, &["scanner", "metadata"], |json, key| {
        if key == "metadata" {
            metadata = true;
            return json.object(&["scanFinishedOn"], |json, _| {
                let text = json.text_if_any()?;
                scan.finished = text.as_ref().and_then(|text| text.parse().ok());
                scan.unread = text.filter(|_| scan.finished.is_none());
                Ok(())
            });
        }
        scanner = true;
        json.object(&["result"], |json, _| {
            if json.kind()? == Kind::Object {
                scan.read = result(json, each)?;
                return Ok(());
            }
            json.skip()
        })
    })?;
    match (scanner, metadata) {
        (false, _) => Err(DocumentError::Missing("scanner")),
        (true, false) => Err(DocumentError::Missing("metadata")),
        (true, true) => Ok(scan),
    }
}

/// Whether the result has a form that is read: grype's `matches`, or trivy's report (whose `Results` are left out where
/// there are none). OSV-Scanner's `results` are another's, unless trivy's stand beside: readers that ignore case would take the
/// one for the other.
fn result(json: &mut Json<'_>, each: &mut dyn FnMut(&Finding)) -> Result<bool, DocumentError> {
    let (mut grype, mut trivy, mut osv) = (false, false, false);
    json.object(&["matches", "Results", "results", "SchemaVersion", "ArtifactName"], |json, key| match key {
        "results" => {
            osv = true;
            json.skip()
        }
        "matches" => {
            grype = true;
            json.items(|json| {
                each(&matched(json)?);
                Ok(())
            })
        }
        "Results" => {
            trivy = true;
            json.list(|json| {
                json.object(&["Vulnerabilities"], |json, _| {
                    json.items(|json| {
                        each(&detected(json)?);
                        Ok(())
                    })
                })
            })
        }
        _ => {
            trivy = true;
            json.skip()
        }
    })?;
    if (grype || osv) && trivy {
        return Err(DocumentError::Malformed("has a scan result in two forms at once".into()));
    }
    Ok(grype || trivy)
}

/// grype's match.
fn matched(json: &mut Json<'_>) -> Result<Finding, DocumentError> {
    let mut finding = Finding::default();
    json.object(&["vulnerability", "relatedVulnerabilities", "artifact"], |json, key| match key {
        "vulnerability" => json.object(&["id", "severity", "fix"], |json, key| {
            match key {
                "id" => finding.id = json.text()?,
                "severity" => finding.severity = json.text_or_null()?.map(|text| Severity::of(&text)),
                _ if json.kind()? == Kind::Object => json.object(&["state"], |json, _| {
                    finding.fixed = json.text_or_null()?.as_deref() == Some("fixed");
                    Ok(())
                })?,
                _ => json.skip()?,
            }
            Ok(())
        }),
        "relatedVulnerabilities" => json.list(|json| {
            json.object(&["id"], |json, _| {
                finding.related.extend(json.text_or_null()?);
                Ok(())
            })
        }),
        _ => json.object(&["name", "version"], |json, key| {
            let text = json.text_or_null()?.unwrap_or_default();
            if key == "name" {
                finding.package = text
            } else {
                finding.version = text
            }
            Ok(())
        }),
    })?;
    identified(finding)
}

/// trivy's vulnerability.
fn detected(json: &mut Json<'_>) -> Result<Finding, DocumentError> {
    let mut finding = Finding::default();
    json.object(DETECTED, |json, key| {
        if key == "VendorIDs" {
            return json.list(|json| {
                finding.aliases.extend(json.text_or_null()?);
                Ok(())
            });
        }
        let text = json.text_or_null()?;
        match key {
            "VulnerabilityID" => finding.id = text.unwrap_or_default(),
            "PkgName" => finding.package = text.unwrap_or_default(),
            "InstalledVersion" => finding.version = text.unwrap_or_default(),
            "FixedVersion" => finding.fixed |= text.is_some(),
            "Status" => finding.fixed |= text.as_deref() == Some("fixed"),
            _ => finding.severity = text.map(|text| Severity::of(&text)),
        }
        Ok(())
    })?;
    identified(finding)
}

const DETECTED: &[&str] = &["VulnerabilityID", "VendorIDs", "PkgName", "InstalledVersion", "FixedVersion", "Status", "Severity"];

fn identified(finding: Finding) -> Result<Finding, DocumentError> {
    if finding.id.is_empty() { Err(DocumentError::Missing("id of a vulnerability")) } else { Ok(finding) }
}
