//! What holds of conditions as a whole.

mod arbitrary;
mod bounds;

mod guide;
mod judged;
mod refused;

use serde_json::Value as Json;

use super::*;
use crate::{
    policy::deny::DeniedPackages,
    verify::{DEFAULT_TRUST_ROOT, LogEvidence, Predicate, Proven, SanKind},
};

/// A type of which no example is known, so that nothing is tried out.
pub(super) const CUSTOM: &str = "https://acme.test/custom/v1";

pub(super) fn parse(text: &str, predicate_type: &str) -> Result<Expression, String> {
    Expression::parse(text, &predicate_type.parse().unwrap()).map_err(|error| error.to_string())
}

pub(super) fn statement(predicate_type: &str, predicate: impl Into<String>) -> Statement {
    Statement { predicate_type: predicate_type.to_owned(), predicate: Predicate::from(predicate.into()) }
}

pub(super) fn fact(statement: &Statement) -> Verified {
    Verified {
        signer: Signer {
            trust_root: DEFAULT_TRUST_ROOT.into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
            san_kind: SanKind::Uri,
            subject: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main".into(),
            claims: [("runner_environment", "github-hosted".to_owned()), ("source_repository_ref", "refs/heads/main".to_owned())]
                .into(),
        },
        content: Proven::Attestation(statement.clone()),
        times: vec!["2026-03-02T00:00:00Z".parse().unwrap(), "2026-03-01T00:00:00Z".parse().unwrap()],
        log: LogEvidence::Proof,
        entries: Vec::new(),
        source: None,
    }
}

/// What a list of expressions says about a statement of `predicate_type`.
pub(super) fn judge(expressions: &[&str], predicate_type: &str, predicate: impl Into<String>) -> Result<(), CheckFailure> {
    let expressions = expressions.iter().map(|text| parse(text, predicate_type).unwrap()).collect();
    judge_parsed(&Condition { expressions }, &statement(predicate_type, predicate))
}

pub(super) fn judge_parsed(condition: &Condition, statement: &Statement) -> Result<(), CheckFailure> {
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let (subject, fact) = (Digest::sha256(b"image"), fact(statement));
    let facts = [fact.clone()];
    let case = Case {
        image: &image,
        subject: &subject,
        facts: &facts,
        platforms: None,
        denied: &DeniedPackages::default(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    condition.judge(&case, &fact, statement)
}

/// What one expression says about a custom predicate.
pub(super) fn about(text: &str, predicate: &Json) -> Result<(), CheckFailure> {
    judge(&[text], CUSTOM, predicate.to_string())
}

pub(super) fn summary(text: &str, predicate: &Json) -> (Reason, String) {
    let failure = about(text, predicate).unwrap_err();
    (failure.reason, failure.summary)
}

/// That the condition does not hold for `reason`, and that `wanted` is in what is said of it.
pub(super) fn finds(text: &str, predicate: &Json, reason: Reason, wanted: &str) {
    let (found, summary) = summary(text, predicate);
    assert_eq!(found, reason, "{text}: {summary}");
    assert!(summary.contains(wanted), "{text}\n  wanted: {wanted}\n  found:  {summary}");
}
