//! What about a policy relaxes a rule: said at start and at each reload, when a metric is set too.

use jiff::Timestamp;

use super::{Mode, Policy, exception::Excepted, identity::Matcher, lint::Openings};

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
                    && !identity.claims.iter().any(|(claim, wanted)| wanted.iter().all(|wanted| says_whose(claim, wanted)))
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

/// Whether a claim says in whose repository a workflow ran: `https://github.com/**` names nobody there either.
fn says_whose(claim: &str, matcher: &Matcher) -> bool {
    Openings::of_claim(claim, matcher).is_some_and(|open| !open.owner && !open.start)
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
            ("subject_pattern: 'https://github.com/?*/app/**'", true),
            ("subject_regex: 'https://github\\.com/[a-z][a-z-]*/app/.*'", true),
            ("subject_regex: 'https://github\\.com/([a-z]+-?)+/app/.*'", true),
            ("subject_regex: 'https://github\\.com/([a-z]+-acme)+/app/.*'", false),
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

    /// Who names nobody in a claim either has only written one more.
    #[test]
    fn a_claim_that_leaves_the_owner_open_does_not_say_who() {
        for (claim, anybody) in [
            ("source_repository_uri: 'https://github.com/**'", true),
            ("source_repository_uri: 'https://github.com/*/app'", true),
            ("source_repository_uri: 'https://github.com/?*/app'", true),
            ("source_repository_uri: 'https://{github,gitlab}.com/**'", true),
            ("source_repository_uri: '**/app'", true),
            ("source_repository_uri: 'https://**'", true),
            ("source_repository_uri: ['https://github.com/acme/*', 'https://github.com/*/b']", true),
            ("source_repository_uri: 'https://github.com/acme/*'", false),
            ("source_repository_uri: ['https://github.com/acme/*', 'https://github.com/other/b']", false),
            ("source_repository_owner_uri: 'https://github.com/*'", true),
            ("source_repository_owner_uri: 'https://github.com/{acme,other}'", false),
            ("source_repository_owner_uri: '**', source_repository_owner_identifier: '12345'", false),
            ("source_repository_owner_identifier: '*'", true),
            ("github_workflow_repository: '*/app'", true),
            ("github_workflow_repository: '**'", true),
            ("github_workflow_repository: 'acme/*'", false),
            ("token_subject: 'repo:*/app:ref:refs/heads/main'", true),
            ("token_subject: '{repo,project_path}:*/**'", true),
            ("token_subject: 'repo:acme/*:ref:refs/heads/*'", false),
            ("build_signer_uri: 'https://github.com/acme/**'", false),
            ("build_signer_uri: '**/release.yml@refs/heads/main'", true),
            ("source_repository_ref: 'refs/tags/*'", true),
        ] {
            let identity = format!(
                "issuer: 'https://i.test', subject_pattern: 'https://github.com/*/*/.github/workflows/**', claims_pattern: {{{claim}}}"
            );
            let text = format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{{keyless: {{{identity}}}}}]\n");
            let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
            let found: Vec<_> =
                set.policies()[0].weaknesses().into_iter().map(|(id, _)| id).filter(|id| *id == "any_identity").collect();
            assert_eq!(found.len(), usize::from(anybody), "{claim}");
        }
    }

    /// An issuer has no owners.
    #[test]
    fn of_an_issuer_no_owner_is_asked() {
        let text = "name: a\nimages: [ghcr.io/a]\nsignatures: [{keyless: {issuer_pattern: 'https://github.com/*', subject: 'a@b.test'}}]\n";
        let set = PolicySet::from_text(Path::new("a.yaml"), text, Unmatched::Deny).unwrap();
        assert!(set.policies()[0].weaknesses().is_empty());
    }
}
