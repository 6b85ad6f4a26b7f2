//! Whose word provenance is: what it says of who built it is worth as much as who may sign it.

use std::{collections::BTreeSet, sync::Arc};

use crate::policy::{
    AttestationRule, Attestor, Policy,
    identity::{Identity, Matcher},
};

impl Policy {
    /// Whether more than one workflow, or whoever meets a pattern, may sign what `rule` asks for, and none of them must: each of
    /// them can name the builder and the source of another.
    pub(super) fn is_word_of_several(&self, rule: &AttestationRule) -> bool {
        match &rule.signer {
            Some(attestor) => relied_on(attestor).is_empty(),
            // Any signer of the image may.
            None => {
                let identities = self.signatures.iter().flat_map(Attestor::identities);
                let workflows: Option<BTreeSet<_>> = identities.map(workflow).collect();
                workflows.is_none_or(|workflows| workflows.len() > 1)
            }
        }
    }
}

/// The workflows without whose word it is not met.
fn relied_on(attestor: &Attestor) -> BTreeSet<Workflow> {
    let wanted = match attestor {
        Attestor::Keyless(identity) => return workflow(identity).into_iter().collect(),
        Attestor::AnyOf(_) => 1,
        Attestor::AllOf(entries) => entries.len(),
        Attestor::Count { count, .. } => *count,
    };
    let each: Vec<_> = attestor.entries().iter().map(relied_on).collect();
    // Those entries that do not rely on it are too few.
    let must = |workflow: &&Workflow| each.iter().filter(|relied_on| !relied_on.contains(*workflow)).count() < wanted;
    each.iter().flatten().filter(must).cloned().collect()
}

/// Trust root, issuer and subject.
type Workflow = (Arc<str>, String, String);

/// Whom an identity names, where that is one: a workflow's branches and tags are of the repository that is named before the `@`.
fn workflow(identity: &Identity) -> Option<Workflow> {
    let Identity { issuer, subject, trust_root, .. } = identity.canonical();
    let Matcher::Exact(issuer) = issuer else { return None };
    let whole = subject.as_str().trim_start_matches('^').replace("\\.", ".");
    let split = whole.split_once('@').filter(|(before, _)| before.starts_with("https://"));
    let is_open = |text: &str| text.contains(['*', '?', '{', '[', '(', '|', '+', '\\']);
    // Another alternative may begin behind the `@`; one in brackets does not.
    let goes_on = |text: &str| text.contains('|') && !text.contains('(');
    let subject = match (split, &subject) {
        (Some((before, behind)), _) if !is_open(before) && !goes_on(behind) => before.to_owned(),
        (_, Matcher::Exact(subject)) => subject.clone(),
        (_, Matcher::Pattern(_) | Matcher::Regex(_)) => return None,
    };
    Some((trust_root, issuer, subject))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{PolicySet, Unmatched};

    const APP: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

    fn told(signatures: &str, entry: &str) -> bool {
        let text = format!(
            "name: a\nimages: [ghcr.io/a]\nsignatures: [{signatures}]\nattestations: [{{predicate_type: \
             https://slsa.dev/provenance/v1, {entry}}}]\n"
        );
        let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
        let lints = set.policies()[0].lints("2027-01-01T00:00:00Z".parse().unwrap());
        lints.iter().any(|(id, _)| *id == "provenance_open_signer")
    }

    fn keyless(subject: &str) -> String {
        format!("keyless: {{issuer: 'https://i.test', {subject}}}")
    }

    #[test]
    fn provenance_that_one_of_several_may_sign_is_told_where_it_must_say_who_built() {
        let builder = format!("provenance: {{builder: '{APP}'}}");
        let tags = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v*";
        let dots = r"https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+";
        let other = "https://github.com/acme/b/.github/workflows/release.yml@refs/heads/main";
        for (subject, open) in [
            (format!("subject: '{APP}'"), false),
            ("subject: 'release@acme.test'".into(), false),
            // Its branches and tags are its repository's own.
            (format!("subject_pattern: '{tags}'"), false),
            (format!("subject_regex: '{dots}'"), false),
            (format!("subject_regex: '^{dots}$'"), false),
            (format!("subject_regex: '{}|https://github.com/b/.*'", APP.replace('.', r"\.")), true),
            (format!("subject_regex: '{}'", APP.replace('.', r"\.")), false),
            ("subject_pattern: 'https://github.com/acme/*/.github/workflows/*@refs/heads/main'".into(), true),
            ("subject_regex: 'https://github\\.com/acme/[a-z]+/\\.github/workflows/x\\.yml@refs/heads/main'".into(), true),
            ("subject_pattern: 'release@*.test'".into(), true),
            ("subject_pattern: 'https://gitlab.com/acme/**'".into(), true),
        ] {
            // The signers of the image are those of the entry, where it names none.
            let signer = keyless(&subject);
            assert_eq!(told(&format!("{{{signer}}}"), &builder), open, "{subject}");
            let own = keyless(&format!("subject: '{other}'"));
            assert_eq!(told(&format!("{{{own}}}"), &format!("{builder}, {signer}")), open, "{subject}");
            assert!(!told(&format!("{{{signer}}}"), &format!("{builder}, {own}")), "{subject}");
        }
        let [one, branch, two] = [APP, &APP.replace("main", "next"), other]
            .map(|subject| format!("{{{}}}", keyless(&format!("subject: '{subject}'"))));
        assert!(!told(&format!("{{any_of: [{one}, {branch}]}}"), &builder));
        assert!(told(&format!("{{any_of: [{one}, {two}]}}"), &builder));
        assert!(told(&format!("{one}, {two}"), &builder));
        assert!(told("{keyless: {issuer_pattern: 'https://*.test', subject: 'a@b.test'}}", &builder));
        // Where the entry wants several, each says the same: one of them is enough.
        let [open, wide] = ["acme", "other"]
            .map(|owner| format!("{{{}}}", keyless(&format!("subject_pattern: 'https://github.com/{owner}/**'"))));
        for (signer, told_of) in [
            (format!("all_of: [{one}, {two}]"), false),
            (format!("all_of: [{open}, {two}]"), false),
            (format!("all_of: [{open}, {wide}]"), true),
            (format!("any_of: [{one}, {{all_of: [{one}, {two}]}}]"), false),
            (format!("any_of: [{one}, {{all_of: [{two}, {open}]}}]"), true),
            (format!("count: 2, of: [{one}, {two}]"), false),
            (format!("count: 2, of: [{one}, {two}, {open}]"), true),
        ] {
            assert_eq!(told(&one, &format!("{builder}, {signer}")), told_of, "{signer}");
        }
        assert!(told(&format!("{{all_of: [{one}, {two}]}}"), &builder), "any signer of the image may sign it");
        // Of what a signer need not be believed nothing is told.
        let several = format!("{one}, {two}");
        for (entry, open) in [
            ("provenance: {source: 'https://github.com/acme/app'}", true),
            ("provenance: {source_pattern: 'https://github.com/acme/*'}", true),
            ("provenance: {build_type: 'https://acme.test/build'}", false),
            ("max_age: 30d", false),
        ] {
            assert_eq!(told(&several, entry), open, "{entry}");
        }
    }
}
