//! What a verdict, or none, means to whoever asked on a command line.

use std::time::Duration;

use super::{
    reference::Image,
    report::{Judged, Outcome, Unmet},
};
use crate::{
    gate::{Grounds, NoVerdict, Permit, Refusal, RefusalReason, Verdict},
    oci::{Digest, ImageName},
    upstream::UpstreamError,
};

/// What came of one attempt.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) unmet: Vec<Unmet>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    pub(super) fn new(outcome: Outcome, code: &str, message: impl Into<String>) -> Self {
        let (unmet, notes, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self { outcome, code: code.to_owned(), message: message.into(), unmet, notes, warnings, retry_after: None }
    }

    /// What the gate's answer means.
    pub(super) fn of(answer: &Result<Verdict, NoVerdict>) -> Self {
        match answer {
            Ok(Verdict::Admit(permit)) => Self::admitted(permit),
            Ok(Verdict::Refuse(refusal)) => Self::refused(refusal),
            Err(no_verdict) => Self::undecided(no_verdict),
        }
    }

    pub(super) fn admitted(permit: &Permit) -> Self {
        let grounds = permit.grounds();
        let message = match grounds {
            Grounds::Audited { would } => format!("only policies that watch name it; they would say: {would}"),
            // The proxy serves evidence to anyone, so that others can verify. To a pipeline that asks whether this image may be
            // deployed it is no answer: anybody who can push can make such a manifest.
            Grounds::Evidence => {
                return Self::new(
                    Outcome::Refused,
                    grounds.code(),
                    "it is a signature or an attestation itself, which nobody need have signed, and no image",
                );
            }
            Grounds::Parent(index) => format!("the index {index} vouches for it"),
            Grounds::Policy if !permit.exceptions().is_empty() => {
                "every policy that names it holds or has an exception for it".to_owned()
            }
            Grounds::Policy => "every policy that names it holds".to_owned(),
            Grounds::Unmatched => "no policy names it, and `unmatched: dangerous_allow` lets it pass".to_owned(),
        };
        let mut answer = Self::new(Outcome::Admitted, grounds.code(), message);
        answer.warnings = permit.warnings().to_vec();
        answer
    }

    pub(super) fn undecided(no_verdict: &NoVerdict) -> Self {
        let outcome = match no_verdict {
            // The registry said so itself: there is nothing to wait for but a push.
            NoVerdict::Absent(_) => Outcome::Refused,
            NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_) | NoVerdict::Undecided(_) => Outcome::Undecided,
        };
        let mut answer = Self::new(outcome, no_verdict.code(), no_verdict.to_string());
        if let NoVerdict::Undecided(undecided) = no_verdict {
            answer.retry_after = Some(undecided.retry_after);
        }
        answer
    }

    pub(super) fn unresolved(error: &UpstreamError) -> Self {
        let why = error.to_string();
        match error {
            UpstreamError::NotFound => Self::new(Outcome::Refused, "absent", "the upstream has no such tag"),
            UpstreamError::Denied { .. } => Self::new(Outcome::Undecided, "credentials_refused", why),
            UpstreamError::Forbidden(_) | UpstreamError::Lied { .. } | UpstreamError::TooLarge { .. } => {
                Self::new(Outcome::Undecided, "faulty", why)
            }
            UpstreamError::Throttled { retry_after, .. } => {
                // Not at once, and no longer than a minute, as where a judgement says when.
                let retry_after = retry_after.map(|wait| wait.clamp(Duration::from_secs(1), Duration::from_secs(60)));
                Self { retry_after, ..Self::new(Outcome::Undecided, "unreachable", format!("the tag cannot be resolved: {why}")) }
            }
            UpstreamError::Failing { .. } | UpstreamError::Unreachable { .. } => {
                Self::new(Outcome::Undecided, "unreachable", format!("the tag cannot be resolved: {why}"))
            }
        }
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        let mut answer = Self::new(Outcome::Refused, refusal.code(), refusal.sentence());
        if let RefusalReason::Unmet { unmet, notes } = &refusal.reason {
            answer.unmet = unmet
                .iter()
                .map(|unmet| Unmet {
                    policy: unmet.policy.clone(),
                    reason: unmet.reason.as_str(),
                    summary: unmet.summary.clone(),
                    details: unmet.details.clone(),
                })
                .collect();
            answer.notes.clone_from(notes);
        }
        answer
    }

    /// The answer as it is reported.
    pub(super) fn judged(self, image: &Image, name: &ImageName, digest: Option<&Digest>, took: Duration) -> Judged {
        let Self { outcome, code, message, unmet, notes, warnings, retry_after: _ } = self;
        Judged {
            image: image.text.clone(),
            reference: digest.map(|digest| image.pinned(name, digest)),
            name: name.to_string(),
            digest: digest.map(ToString::to_string),
            platform: None,
            index: None,
            outcome,
            code,
            message,
            unmet,
            notes,
            warnings,
            attempts: 1,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
