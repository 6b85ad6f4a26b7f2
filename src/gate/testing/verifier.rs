//! A verifier that reads in the evidence what it proves, and the trust roots it stands for.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use serde_json::Value;

use super::ISSUER;
use crate::{
    evidence::Content,
    oci::Digest,
    verify::{
        CLAIMS, DEFAULT_TRUST_ROOT, Epoch, LogEntry, LogEvidence, Predicate, Proven, SanKind, Signer, Statement, TrustState,
        Unready, Verified, Verifier, VerifyError,
    },
};

/// Reads in a piece what it proves: `{"about": digest, "by": subject, "proves": "signature" | predicate type, "predicate": …}`
/// or `{"ahead": seconds}`, or `{"panics": true}`, or `{"unreadable": why}`, or `{"fails": code}`, with `proves` and `at` as what
/// is logged in a form that is not verified says itself; `"damaged": true` beside a predicate makes it fail when a policy reads it.
/// Anything else proves nothing. `at` is when it was signed (1970), `entry` where it is logged in the log `abab…`, and `claims` are
/// the signer's.
#[derive(Debug)]
pub(in crate::gate) struct Scripted {
    pub(in crate::gate) epoch: Epoch,
    pub(in crate::gate) runs: Arc<AtomicUsize>,
    /// Whose log or authority this trust root no longer knows.
    pub(in crate::gate) distrusts: Option<String>,
    /// Roots that are not ready.
    pub(in crate::gate) unready: Vec<Unready>,
}

impl Verifier for Scripted {
    fn verify(&self, subject: &Digest, content: &Content) -> Result<Vec<Verified>, VerifyError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let bytes = match content {
            Content::Bundle(document) | Content::CosignAttestation { envelope: document, .. } => {
                document.whole(u64::MAX).ok().flatten().ok_or_else(|| VerifyError::Unreadable("as the script says".into()))?
            }
            Content::CosignSignature { payload: bytes, .. } => bytes.clone(),
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| VerifyError::Malformed(error.to_string()))?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        assert!(value["panics"].is_null(), "as the script says");
        if let Some(why) = text("unreadable") {
            return Err(VerifyError::Unreadable(why));
        }
        match text("fails").as_deref() {
            Some("too_large") => return Err(VerifyError::TooLarge("as the script says".into())),
            Some("unsupported_log_entry") => {
                let (entry, predicate_type) = ("intoto 0.0.1".into(), text("proves"));
                let logged_at = text("at").map(|at| at.parse().unwrap());
                return Err(VerifyError::UnsupportedLogEntry { entry, predicate_type, logged_at });
            }
            Some(other) => panic!("{other}"),
            None => {}
        }
        if let Some(ahead_seconds) = value["ahead"].as_u64() {
            return Err(VerifyError::Clock { ahead_seconds });
        }
        let about = text("about").ok_or_else(|| VerifyError::Malformed("garbage".into()))?;
        if about != subject.to_string() {
            return Err(VerifyError::OtherSubject { found: about });
        }
        // As cosign does, a `.sig` layer may name its signer where two share a payload.
        let by = match content {
            Content::CosignSignature { signature, .. } if signature.starts_with("https://") => signature.clone(),
            Content::Bundle(_) | Content::CosignAttestation { .. } | Content::CosignSignature { .. } => {
                text("by").unwrap_or_default()
            }
        };
        if self.distrusts.as_ref() == Some(&by) {
            return Err(VerifyError::Log("unknown log".into()));
        }
        let content = match text("proves").as_deref() {
            Some("signature") => Proven::Signature,
            Some(predicate_type) => Proven::Attestation(Statement {
                predicate_type: predicate_type.to_owned(),
                predicate: match value["damaged"].as_bool() {
                    Some(true) => Predicate::unreadable(),
                    Some(false) | None => value["predicate"].to_string().into(),
                },
            }),
            None => return Err(VerifyError::Malformed("proves nothing".into())),
        };
        let signer = Signer {
            trust_root: DEFAULT_TRUST_ROOT.into(),
            issuer: ISSUER.into(),
            san_kind: SanKind::Uri,
            subject: by,
            claims: claims(&value["claims"]),
        };
        let at = text("at").map_or(Timestamp::UNIX_EPOCH, |at| at.parse().unwrap());
        let entries = value["entry"].as_u64().map(|index| LogEntry { log: "ab".repeat(32), index: Some(index) });
        let entries = entries.into_iter().collect();
        Ok(vec![Verified { signer, content, times: vec![at], log: LogEvidence::Proof, entries, source: None }])
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn unready(&self) -> &[Unready] {
        &self.unready
    }
}

fn claims(script: &Value) -> BTreeMap<&'static str, String> {
    let claim = |name: &&'static str| Some((*name, script[*name].as_str()?.to_owned()));
    CLAIMS.iter().filter_map(claim).collect()
}

pub(super) fn root(number: u8, distrusts: Option<&str>, runs: &Arc<AtomicUsize>) -> TrustState {
    root_with(number, distrusts, runs, Vec::new())
}

pub(super) fn root_with(number: u8, distrusts: Option<&str>, runs: &Arc<AtomicUsize>, unready: Vec<Unready>) -> TrustState {
    let (epoch, runs) = (Epoch(Digest::sha256(&[number])), Arc::clone(runs));
    let verifier = Scripted { epoch, runs, distrusts: distrusts.map(str::to_owned), unready };
    TrustState::Ready { verifier: Arc::new(verifier), stale: None }
}
