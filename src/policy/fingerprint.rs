//! The fingerprint of policies: all that can change an answer, in one unambiguous form, hashed. It is part of every
//! verdict's key, so a changed policy makes earlier verdicts unreachable (C9).

use std::{sync::Arc, time::Duration};

use super::{
    AttestationRule, Mode, Policy, PolicyId, SignatureRule, Unmatched,
    deny::DenyList,
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
        let Policy { name, images, mode, log, signatures, attestations, cooldown, tag_guard } = &**policy;
        form.text(name);
        form.list(images, |form, pattern| form.text(pattern.as_str()));
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
        form.list(signatures, |form, SignatureRule { signer }| form.identity(signer));
        form.list(attestations, |form, AttestationRule { predicate_type, signer, checks, condition }| {
            form.text(&predicate_type.to_string());
            form.list(signer.as_slice(), Form::identity);
            checks.form(form);
            condition.form(form);
        });
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
    pub(super) fn number(&mut self, number: usize) {
        self.0.extend((number as u64).to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend(bytes);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
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

    pub(super) fn identity(&mut self, Identity { issuer, subject, claims }: &Identity) {
        self.matcher(issuer);
        self.matcher(subject);
        self.number(claims.len());
        for (name, values) in claims {
            self.text(name);
            self.list(values, |form, value| form.text(value));
        }
    }

    fn matcher(&mut self, matcher: &Matcher) {
        self.text(matcher.form());
        self.text(matcher.as_str());
    }
}
