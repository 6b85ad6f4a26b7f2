//! Who signed an image, as a first policy says it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    command::{
        Exit,
        judge::{Judge, Unusable},
        reference::Image,
    },
    gate::{
        RefusalReason, Subject, Verdict,
        explain::{Outcome as Piece, Proof},
    },
};

/// The one who signed the image and attested its SBOM, as a policy says it. The inner error is for the person, and how the
/// command ends.
pub(super) async fn signer(judge: &Judge, image: &Image) -> Result<Result<Value, (Exit, String)>, Unusable> {
    let (name, upstream) = judge.find(image)?;
    let Some(reference) = &image.reference else { return Err(Unusable::Usage(format!("{image} names no manifest"))) };
    let unread = |why: &dyn std::fmt::Display| (Exit::Undecided, format!("{image} could not be read: {why}"));
    let digest = match judge.resolve(&name, &upstream, reference).await {
        Ok(digest) => digest,
        Err(error) => return Ok(Err(unread(&error))),
    };
    let (verdict, explanation) = judge.gate(&upstream).explain(&Subject { upstream, image: name, digest }).await;
    match &verdict {
        Ok(Verdict::Admit(_)) => {}
        Ok(Verdict::Refuse(refusal)) if matches!(refusal.reason, RefusalReason::Content(_)) => {
            return Ok(Err((Exit::Refused, refusal.sentence())));
        }
        Ok(Verdict::Refuse(_)) => {}
        Err(no_verdict) => return Ok(Err(unread(no_verdict))),
    }
    // Who signed is not known while a piece of evidence is unread, and least of all that nobody did.
    if let Some(why) = explanation.missing.first().or_else(|| explanation.limits_hit.first()) {
        return Ok(Err(unread(why)));
    }
    let by = |attested: bool| -> BTreeSet<Signed> {
        let proofs = explanation.pieces.iter().filter_map(|piece| match &piece.outcome {
            Piece::Proved(proof) => Some(proof),
            Piece::SetAside { .. } => None,
        });
        let of_kind =
            proofs.filter(
                |proof| if attested { proof.what.starts_with("https://spdx.dev/Document") } else { proof.what == "signature" },
            );
        of_kind.map(|proof| Signed::of(proof)).collect()
    };
    let (signed, attested) = (by(false), by(true));
    let both: Vec<_> = signed.intersection(&attested).collect();
    Ok(match &both[..] {
        [signer] => Ok(signer.keyless()),
        [] => Err((
            Exit::Refused,
            format!(
                "nobody both signed {image} and attested an SPDX document about it ({} signed it, {} attested); flags say what a \
                 policy shall ask for instead",
                signed.len(),
                attested.len()
            ),
        )),
        several => {
            let listed: Vec<_> = several.iter().map(ToString::to_string).collect();
            let listed = listed.join("; ");
            let why = "say who counts with --certificate-identity and --certificate-oidc-issuer";
            Err((Exit::Refused, format!("several signed {image}: {listed}; {why}")))
        }
    })
}

/// Who signed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Signed {
    issuer: String,
    subject: String,
    /// The repository built from, where the subject does not say it: a workflow that anybody's repository may call signs for all of
    /// them by one name.
    repository: Option<String>,
}

impl Signed {
    fn of(proof: &Proof) -> Self {
        let (issuer, subject) = (proof.issuer.clone(), proof.subject.clone());
        let is_elsewhere = |uri: &&String| subject.strip_prefix(uri.as_str()).is_none_or(|rest| !rest.starts_with('/'));
        let repository = proof.claims.get("source_repository_uri").filter(is_elsewhere).cloned();
        Self { issuer, subject, repository }
    }

    /// As a policy names them: a workflow run for a tag as that workflow at any tag, since the next release has another.
    fn keyless(&self) -> Value {
        let Self { issuer, subject, repository } = self;
        let mut keyless = match subject.split_once("@refs/tags/") {
            Some((workflow, _)) if !workflow.contains(['*', '?', '[', ']', '{', '}']) => {
                // Of one segment or several: in a monorepo a tag is `app/v1.0`.
                json!({"issuer": issuer, "subject_pattern": format!("{workflow}@refs/tags/**")})
            }
            _ => json!({"issuer": issuer, "subject": subject}),
        };
        if let Some(repository) = repository {
            keyless["claims"] = json!({"source_repository_uri": repository});
        }
        keyless
    }
}

impl std::fmt::Display for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { issuer, subject, repository } = self;
        write!(f, "{subject} of issuer {issuer}")?;
        repository.iter().try_for_each(|repository| write!(f, " for {repository}"))
    }
}
