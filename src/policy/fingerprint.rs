//! The fingerprint of policies: all that can change an answer, in one unambiguous form, hashed. It is part of every
//! verdict's key, so a changed policy makes earlier verdicts unreachable (C9).

use std::{sync::Arc, time::Duration};

use super::{
    AttestationRule, Attestor, Match, Mode, Policy, PolicyId, SbomOn, Unmatched,
    deny::DenyList,
    exception::{Excepted, Exception},
    identity::{Identity, Matcher},
};
use crate::{oci::Digest, verify::LogEvidence};

/// The SHA-256 over everything in `policies`, `unmatched` and `deny`, each part with its length, so that no two sets share a form.
pub(super) fn fingerprint<'p>(
    policies: impl Iterator<Item = &'p Arc<Policy>>,
    unmatched: Unmatched,
    deny: &DenyList,
) -> PolicyId {
    let mut form = Form(b"pullgate policy form 1".to_vec());
    form.text(match unmatched {
        Unmatched::DangerousAllow => "dangerous_allow",
        Unmatched::Deny => "deny",
    });
    for policy in policies {
        // Every field is named here: a new one does not compile until it is part of the form (C9).
        let Policy {
            name,
            images,
            exclude,
            mode,
            log,
            signatures,
            max_signature_age,
            attestations,
            exceptions,
            cooldown,
            tag_guard,
        } = &**policy;
        form.text(name);
        for patterns in [images, exclude] {
            form.list(patterns, |form, pattern| form.text(pattern.as_str()));
        }
        form.text(match mode {
            Mode::Audit => "audit",
            Mode::Enforce => "enforce",
        });
        form.text(match log {
            // No policy asks for it.
            LogEvidence::Absent => "absent",
            LogEvidence::Promise => "promise",
            LogEvidence::Proof => "proof",
        });
        form.list(signatures, Form::attestor);
        form.duration(*max_signature_age);
        form.list(attestations, Form::attestation);
        form.list(exceptions, Form::exception);
        form.duration(*cooldown);
        form.flag(*tag_guard);
    }
    deny.form(&mut form);
    PolicyId(Digest::sha256(&form.0))
}

/// Bytes that stand for a policy. Each part has its length before it, so that no two policies share a form.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<u8>);

impl Form {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }

    pub(super) fn number(&mut self, number: usize) {
        self.0.extend((number as u64).to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    pub(super) fn duration(&mut self, duration: Option<Duration>) {
        self.flag(duration.is_some());
        self.0.extend(duration.unwrap_or_default().as_nanos().to_be_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(items.len());
        for item in items {
            each(self, item);
        }
    }

    pub(super) fn attestation(&mut self, rule: &AttestationRule) {
        let AttestationRule { predicate_type, signer, matching, max_age, sbom_on, checks, condition } = rule;
        self.text(&predicate_type.to_string());
        self.list(signer.as_slice(), Self::attestor);
        self.text(match matching {
            Match::All => "all",
            Match::Any => "any",
            Match::Newest => "newest",
        });
        self.duration(*max_age);
        self.text(match sbom_on {
            SbomOn::EachPlatform => "each_platform",
            SbomOn::Either => "either",
            SbomOn::Subject => "subject",
        });
        checks.form(self);
        condition.form(self);
    }

    pub(super) fn exception(&mut self, Exception { of, reason, expires }: &Exception) {
        match of {
            Excepted::Digest(digest) => {
                self.text("digest");
                self.text(&digest.to_string());
            }
            Excepted::Repository(pattern) => {
                self.text("dangerous_repository");
                self.text(pattern.as_str());
            }
        }
        self.text(reason);
        self.text(&expires.to_string());
    }

    fn attestor(&mut self, attestor: &Attestor) {
        self.attestor_kind(attestor);
        match attestor {
            Attestor::Keyless(identity) => self.identity(identity),
            Attestor::AnyOf(entries) | Attestor::AllOf(entries) | Attestor::Count { of: entries, .. } => {
                self.list(entries, Self::attestor);
            }
        }
    }

    /// What kind of attestor, without its entries.
    pub(super) fn attestor_kind(&mut self, attestor: &Attestor) {
        match attestor {
            Attestor::Keyless(_) => self.text("keyless"),
            Attestor::AnyOf(_) => self.text("any_of"),
            Attestor::AllOf(_) => self.text("all_of"),
            Attestor::Count { count, .. } => {
                self.text("count");
                self.number(*count);
            }
        }
    }

    pub(super) fn identity(&mut self, Identity { issuer, subject, claims, trust_root }: &Identity) {
        self.matcher(issuer);
        self.matcher(subject);
        self.number(claims.len());
        for (name, wanted) in claims {
            self.text(name);
            self.list(wanted, Self::matcher);
        }
        self.text(trust_root);
    }

    fn matcher(&mut self, matcher: &Matcher) {
        self.text(matcher.form());
        self.text(matcher.as_str());
    }
}
