//! What about a policy relaxes a rule: said at start, and a metric as long as it is so.

use super::{Mode, Policy, exception::Excepted};

impl Policy {
    /// What about this policy relaxes a rule: a word from a closed list, and a sentence.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<(&'static str, String)> {
        let mut weak = Vec::new();
        let name = &self.name;
        if self.mode == Mode::Audit {
            weak.push(("audit", format!("policy {name} only watches (mode: audit): what it would refuse is served")));
        }
        if self.signatures.is_empty() {
            weak.push(("dangerous_no_signature", format!("policy {name} asks for no signature (dangerous_no_signature)")));
        }
        if self.attestations.is_empty() {
            weak.push(("dangerous_no_attestation", format!("policy {name} asks for no attestation (dangerous_no_attestation)")));
        }
        for exception in &self.exceptions {
            if let Excepted::Repository(pattern) = &exception.of {
                weak.push((
                    "dangerous_repository",
                    format!(
                        "policy {name} asks nothing of {} until {} (dangerous_repository): {}",
                        pattern.as_str(),
                        exception.expires,
                        exception.reason
                    ),
                ));
            }
        }
        for identity in self.identities() {
            for (what, matcher) in [("issuer", &identity.issuer), ("subject", &identity.subject)] {
                if matcher.is_anything() {
                    weak.push((
                        "any_identity",
                        format!("policy {name} accepts any {what}: its {what}_{} is {matcher}", matcher.form()),
                    ));
                }
            }
        }
        weak
    }
}
