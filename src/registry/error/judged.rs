//! What the gate said, as an answer: a refusal is 403, a missing verdict 404, 403, 502 or 503. `detail` has for tools what the
//! sentence has for people.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Error, ErrorCode,
    sentence::{Sentence, plain},
    upstream::{public, without_source},
};
use crate::{
    gate::{NoVerdict, Refusal, RefusalReason, Undecided, UndecidedReason},
    oci::{Digest, ImageName, ManifestError},
    policy::Unmet,
};

/// Bytes of any one string in `detail`.
const MAX_DETAIL: usize = 256;
/// Entries of any one list in `detail`.
const MAX_ENTRIES: usize = 32;
impl Error {
    /// 403, naming the image, the policy, what was wanted and what was found: the sentence the decision's event has too.
    pub(in crate::registry) fn refusal(refusal: &Refusal) -> Self {
        let Refusal { image, digest, reason, explanation: _ } = refusal;
        let mut detail = about(image, digest, refusal.code());
        let (status, code) = match reason {
            RefusalReason::Content(error) => {
                detail["content"] = content_code(error).into();
                match error {
                    // The transport's fault, not the content's: the bytes may be good.
                    ManifestError::TypeMismatch { .. } => (StatusCode::BAD_GATEWAY, ErrorCode::ManifestInvalid),
                    ManifestError::Ambiguous(_)
                    | ManifestError::Malformed(_)
                    | ManifestError::SchemaOne
                    | ManifestError::TooLarge(_) => (StatusCode::FORBIDDEN, ErrorCode::Denied),
                }
            }
            RefusalReason::TagMoved(moved) => {
                detail["tag"] = moved.tag.to_string().into();
                detail["was"] = moved.was.to_string().into();
                detail["policies"] =
                    json!([{"policy": moved.policy, "reason": moved.code(), "summary": plain(&moved.to_string(), MAX_DETAIL)}]);
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
            RefusalReason::Denied(_) | RefusalReason::NoPolicy | RefusalReason::NotEvidence => {
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
            RefusalReason::Unmet { unmet, notes } => {
                detail["policies"] = unmet.iter().take(MAX_ENTRIES).map(policy).collect();
                detail["notes"] = texts(notes);
                (StatusCode::FORBIDDEN, ErrorCode::Denied)
            }
        };
        Self::new(status, code, &refusal.sentence()).detail(detail)
    }

    /// What a missing verdict on `digest` becomes: 404, 403, 502 or 503.
    pub(in crate::registry) fn no_verdict(image: &ImageName, digest: &Digest, none: &NoVerdict) -> Self {
        let (status, code, says) = match none {
            NoVerdict::Absent(_) => return Self::manifest_unknown(&format_args!("{image}@{digest}")),
            NoVerdict::CredentialsRefused(error) => {
                (StatusCode::FORBIDDEN, ErrorCode::Denied, format!("cannot be had: {}", public(error)))
            }
            NoVerdict::Faulty(faulty) => {
                (StatusCode::BAD_GATEWAY, ErrorCode::ManifestInvalid, format!("is not served: {faulty}"))
            }
            NoVerdict::Undecided(undecided) => {
                // What the operating system said of a connection may name an internal address; the gate's event has it (J7).
                let said = undecided.to_string();
                let said = without_source(&said).unwrap_or(said);
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, format!("is not served yet: {said}"))
            }
        };
        let sentence = match none {
            // It names the image, and a command in it is to be copied whole.
            NoVerdict::Undecided(Undecided { reason: UndecidedReason::TagHistory { told, .. }, .. }) => told.clone(),
            _ => Sentence { image, digest, says: &says }.fit(),
        };
        let mut error = Self::new(status, code, &sentence).detail(about(image, digest, none.code()));
        if let NoVerdict::Undecided(undecided) = none {
            error.0.retry_after = Some(undecided.retry_after);
        }
        error
    }
}

/// What every judged digest's `detail` says. Codes are those of the metrics and events.
fn about(image: &ImageName, digest: &Digest, reason: &'static str) -> Value {
    json!({
        "image": image.to_string(),
        "digest": digest.to_string(),
        "reason": reason,
    })
}

fn policy(unmet: &Unmet) -> Value {
    json!({
        "name": plain(&unmet.policy, MAX_DETAIL),
        "reason": unmet.reason.as_str(),
        "summary": plain(&unmet.summary, MAX_DETAIL),
        "details": texts(&unmet.details),
    })
}

fn texts(texts: &[String]) -> Value {
    let mut list: Vec<Value> = texts.iter().take(MAX_ENTRIES).map(|text| plain(text, MAX_DETAIL).into()).collect();
    if texts.len() > MAX_ENTRIES {
        list.push(format!("and {} more", texts.len() - MAX_ENTRIES).into());
    }
    list.into()
}

const fn content_code(error: &ManifestError) -> &'static str {
    match error {
        ManifestError::Ambiguous(_) => "manifest_ambiguous",
        ManifestError::Malformed(_) => "manifest_malformed",
        ManifestError::SchemaOne => "manifest_schema_one",
        ManifestError::TooLarge(_) => "manifest_too_large",
        ManifestError::TypeMismatch { .. } => "manifest_type_mismatch",
    }
}
