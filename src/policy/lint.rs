//! What about a policy is probably not meant: for whoever writes one, before it holds.

use jiff::Timestamp;

use super::{Match, Policy, exception::Excepted, identity::Matcher};

impl Policy {
    /// What can be read and is probably not meant, or has a consequence that is easily overlooked: an id from a closed list,
    /// and a sentence. What relaxes a rule is among [`weaknesses`](Self::weaknesses) instead.
    #[must_use]
    pub fn lints(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut lints = Vec::new();
        let name = &self.name;
        if self.images.iter().any(|pattern| pattern.as_str() == "*/**") {
            lints.push(("every_image", format!("policy {name} names every image of every host (*/**)")));
        }
        for exception in self.exceptions.iter().filter(|exception| exception.expires <= now) {
            let of = match &exception.of {
                Excepted::Digest(digest) => digest.to_string(),
                Excepted::Repository(pattern) => pattern.as_str().to_owned(),
            };
            let (expires, reason) = (exception.expires, &exception.reason);
            lints.push((
                "exception_expired",
                format!("policy {name}: the exception for {of} ended {expires} ({reason}); leave it out"),
            ));
        }
        for rule in &self.attestations {
            let matching = match rule.matching {
                Match::All => "all",
                Match::Any => continue,
                Match::Newest => "newest",
            };
            let kind = &rule.predicate_type;
            lints.push((
                "withholding",
                format!(
                    "policy {name}: of {kind} {matching} must hold, so whoever can hide a statement from the gate can hide the \
                     one that refuses, until it is too old to count"
                ),
            ));
        }
        for (pattern, clause) in self.attestations.iter().flat_map(|rule| rule.condition.open_patterns()) {
            lints.push((
                "condition_open_pattern",
                format!(
                    "policy {name}: {clause} matches anywhere in the text, as CEL has it, so what stands around it may be anything; \
                     write '^{pattern}$' for all of the text"
                ),
            ));
        }
        for identity in self.identities() {
            for (what, matcher) in [("issuer", &identity.issuer), ("subject", &identity.subject)] {
                let Matcher::Regex(regex) = matcher else { continue };
                let text = regex.as_str();
                if has_open_dot(text) {
                    lints.push((
                        "regex_unescaped_dot",
                        format!(
                            "policy {name}: in {what}_regex {matcher} a `.` of the host stands for any character, so look-alike \
                             hosts match; write `\\.`"
                        ),
                    ));
                }
                if what == "subject" && begins_open(text) {
                    lints.push((
                        "regex_open_start",
                        format!(
                            "policy {name}: subject_regex {matcher} does not say how the subject begins; a workflow's subject ends \
                             with a branch or tag, whose name anybody chooses in a repository of their own, so it can be met by that"
                        ),
                    ));
                }
            }
        }
        lints
    }
}

/// Whether a dot of the host part stands for any one character.
fn has_open_dot(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let mut chars = host.chars().peekable();
    let mut class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '[' => class = true,
            ']' => class = false,
            '/' if !class => return false,
            '.' if !class && !matches!(chars.peek(), Some('*' | '+' | '?' | '{')) => return true,
            _ => {}
        }
    }
    false
}

/// Whether a regex for a URI lets it begin with anything. An e-mail address has no part that others choose.
fn begins_open(text: &str) -> bool {
    let open = [".*", ".+", "(?:.*)", "(.*)"].iter().any(|open| text.starts_with(open));
    open && text.contains('/')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{PolicySet, Unmatched};

    fn ids(identity: &str, more: &str) -> Vec<&'static str> {
        let text = format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{{keyless: {{{identity}}}}}]\n{more}");
        let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
        set.policies()[0].lints("2027-01-01T00:00:00Z".parse().unwrap()).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn i01_i02_regexes_that_look_stricter_than_they_are_are_told() {
        for (subject, found) in [
            (r"https://github\.com/acme/.*", &[][..]),
            (r"https://github.com/acme/.*", &["regex_unescaped_dot"]),
            (r"https://.*\.acme\.test/x", &[]),
            (r"https://[a-z.]+/acme/.*", &[]),
            (r"https://[a-z/]+.acme/x", &["regex_unescaped_dot"]),
            (r"https://github\.com/acme/a.b", &[]),
            (r".*/\.github/workflows/release\.yml@refs/heads/main", &["regex_open_start"]),
            (r"(?:.*)(?:github\.com/acme/)(?:.*)", &["regex_open_start"]),
            (r".*@acme\.test", &[]),
        ] {
            assert_eq!(ids(&format!("issuer: 'https://i.test', subject_regex: '{subject}'"), ""), found, "{subject}");
        }
    }

    #[test]
    fn what_is_easily_overlooked_is_told() {
        let identity = "issuer: 'https://i.test', subject: 'a@b.test'";
        assert_eq!(ids(identity, ""), [""; 0]);
        let digest = format!("sha256:{}", "0".repeat(64));
        let ended = format!("exceptions: [{{digest: '{digest}', reason: J-1, expires: 2026-12-30}}]\n");
        assert_eq!(ids(identity, &ended), ["exception_expired"]);
        assert_eq!(ids(identity, &ended.replace("2026-12-30", "2026-12-31")), ["exception_expired"], "just now");
        assert_eq!(ids(identity, &ended.replace("2026-12-30", "2027-12-30")), [""; 0]);
        for (pattern, found) in [
            ("^a$", &[][..]),
            ("^(?:a|b)$", &[]),
            ("^a", &[]),
            ("a", &["condition_open_pattern"]),
            ("^a|b$", &["condition_open_pattern"]),
        ] {
            let require = format!("attestations: [{{predicate_type: 'a:b', require: \"predicate.x.matches('{pattern}')\"}}]\n");
            assert_eq!(ids(identity, &require), found, "{pattern}");
        }
        let newest = "attestations: [{predicate_type: 'https://spdx.dev/Document', match: newest, max_age: 30d}]\n";
        assert_eq!(ids(identity, newest), ["withholding"]);
    }
}
