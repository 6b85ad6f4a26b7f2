//! What about a policy relaxes a rule: said at start and at each reload, when a metric is set too.

use jiff::Timestamp;

use super::{Mode, Policy, exception::Excepted, lint::Openings};

/// Claims that say in whose repository a workflow ran, or which workflow it was.
const OWNER: [&str; 8] = [
    "build_config_uri",
    "build_signer_uri",
    "github_workflow_repository",
    "source_repository_identifier",
    "source_repository_owner_identifier",
    "source_repository_owner_uri",
    "source_repository_uri",
    "token_subject",
];

impl Policy {
    /// What about this policy relaxes a rule now: a word from a closed list, and a sentence.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<(&'static str, String)> {
        self.weaknesses_at(Timestamp::now())
    }

    /// The same at another time. An exception that has ended does nothing any more.
    pub(super) fn weaknesses_at(&self, now: Timestamp) -> Vec<(&'static str, String)> {
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
        for exception in self.exceptions.iter().filter(|exception| exception.expires > now) {
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
                } else if what == "subject"
                    && Openings::of(matcher).owner
                    && !identity.claims.keys().any(|claim| OWNER.contains(claim))
                {
                    weak.push((
                        "any_identity",
                        format!(
                            "policy {name} accepts any owner: its subject_{} is {matcher}, and everybody has repositories there; name \
                             whose it is, or write the claim source_repository_owner_uri",
                            matcher.form()
                        ),
                    ));
                }
            }
        }
        weak
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{PolicySet, Unmatched};

    #[test]
    fn whoever_has_a_repository_somewhere_is_anybody_unless_a_claim_says_who() {
        let weak = |identity: &str| {
            let text =
                format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{{keyless: {{issuer: 'https://i.test', {identity}}}}}]\n");
            let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
            set.policies()[0].weaknesses().into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        for (subject, anybody) in [
            ("subject_pattern: 'https://github.com/**'", true),
            ("subject_pattern: 'https://github.com/*/*/.github/workflows/*@refs/tags/*'", true),
            ("subject_pattern: 'https://{github,gitlab}.com/*/app/**'", true),
            ("subject_regex: 'https://gitlab\\.com/.*'", true),
            ("subject_regex: 'https?://github\\.com/[^/]+/app/.*'", true),
            ("subject_pattern: 'https://**'", true),
            ("subject_pattern: 'https://github.com/acme/**'", false),
            ("subject_pattern: 'https://github.com/{acme,other}/**'", false),
            ("subject_pattern: 'https://git.acme.test/**'", false),
            ("subject_pattern: 'https://github.com/**', claims: {source_repository_owner_uri: 'https://github.com/acme'}", false),
            ("subject_pattern: 'https://github.com/**', claims: {runner_environment: github-hosted}", true),
            ("subject: 'https://github.com/acme/app/.github/workflows/x.yml@refs/heads/main'", false),
        ] {
            assert_eq!(weak(subject), vec!["any_identity"; usize::from(anybody)], "{subject}");
        }
        assert!(weak("subject: 'a@b.test'").is_empty());
    }

    /// An issuer has no owners.
    #[test]
    fn of_an_issuer_no_owner_is_asked() {
        let text = "name: a\nimages: [ghcr.io/a]\nsignatures: [{keyless: {issuer_pattern: 'https://github.com/*', subject: 'a@b.test'}}]\n";
        let set = PolicySet::from_text(Path::new("a.yaml"), text, Unmatched::Deny).unwrap();
        assert!(set.policies()[0].weaknesses().is_empty());
    }
}
