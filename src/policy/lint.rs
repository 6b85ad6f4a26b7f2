//! What about a policy is probably not meant: for whoever writes one, before it holds.

mod regex;
mod word;

use jiff::Timestamp;

pub(super) use self::regex::Openings;
use super::{Match, Policy, exception::Excepted, overlap};

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
        self.lint_names(&mut lints);
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
        for rule in self.attestations.iter().filter(|rule| rule.checks.asks_who_built() && self.is_word_of_several(rule)) {
            let by = rule.signer.as_ref().map_or("any signer of the image".to_owned(), ToString::to_string);
            lints.push((
                "provenance_open_signer",
                format!(
                    "policy {name}: {} is the word of {by}, and each of them can name any builder and source; name in `keyless` the \
                     one workflow that is to be believed",
                    rule.predicate_type
                ),
            ));
        }
        for (pattern, clause) in self.attestations.iter().flat_map(|rule| rule.condition.open_patterns()) {
            lints.push((
                "condition_open_pattern",
                format!(
                    "policy {name}: {clause} matches anywhere in the text, as CEL has it, so what stands around it may be anything; \
                     write '{}' for all of the text",
                    anchored(&pattern)
                ),
            ));
        }
        for identity in self.identities() {
            for (what, matcher) in [("issuer", &identity.issuer), ("subject", &identity.subject)] {
                let (open, form) = (Openings::of(matcher), matcher.form());
                if open.dot {
                    lints.push((
                        "regex_unescaped_dot",
                        format!(
                            "policy {name}: in {what}_regex {matcher} a `.` of the host stands for any character, so look-alike \
                             hosts match; write `\\.`"
                        ),
                    ));
                }
                if what == "subject" && open.start_of_path {
                    lints.push((
                        "regex_open_start",
                        format!(
                            "policy {name}: subject_{form} {matcher} does not say with which host the subject begins; a workflow's \
                             subject ends with a branch or tag, whose name anybody chooses in a repository of their own, so it can be \
                             met by that; write https:// and the host"
                        ),
                    ));
                }
                if what == "issuer" && open.start {
                    lints.push((
                        "regex_open_start",
                        format!(
                            "policy {name}: issuer_{form} {matcher} does not say with which host the issuer begins, so whatever host \
                             of others it is true of may vouch for any subject; write https:// and the host"
                        ),
                    ));
                }
                let is_told = if what == "subject" { open.start_of_path } else { open.start };
                if open.start_in_word && !is_told {
                    lints.push((
                        "regex_open_start",
                        format!(
                            "policy {name}: {what}_{form} {matcher} begins in the middle of a word, so it is also met by names that \
                             only end like that, as evil-acme.test ends like acme.test; write what stands before the word, such as `@` or `.`"
                        ),
                    ));
                }
                if open.end {
                    lints.push(("regex_open_end", unended(name, &format!("{what}_{form} {matcher}"))));
                }
            }
            for (claim, matcher) in identity.claims.iter().flat_map(|(claim, all)| all.iter().map(move |one| (claim, one))) {
                let open = Openings::of_claim(claim, matcher).unwrap_or_default();
                if open.start {
                    lints.push((
                        "regex_open_start",
                        format!(
                            "policy {name}: the pattern {matcher} of the claim {claim} does not say with which host the claim begins, \
                             so it is also met by longer paths of others; write https:// and the host"
                        ),
                    ));
                }
                if open.end {
                    lints.push(("regex_open_end", unended(name, &format!("the pattern {matcher} of the claim {claim}"))));
                }
            }
        }
        lints
    }
}

impl Policy {
    /// Patterns of images that take each other's meaning away.
    fn lint_names(&self, lints: &mut Vec<(&'static str, String)>) {
        let name = &self.name;
        if self.images.iter().all(|image| self.exclude.iter().any(|exclude| overlap::covers(exclude, image))) {
            lints.push((
                "exclude_all",
                format!("policy {name}: what `exclude` names is all that `images` names: it holds for nothing"),
            ));
        }
        for exception in &self.exceptions {
            let Excepted::Repository(pattern) = &exception.of else { continue };
            if !self.images.iter().any(|image| overlap::meet(pattern.as_str(), image.as_str())) {
                lints.push((
                    "exception_unreachable",
                    format!(
                        "policy {name}: the exception for {} is for no image that the policy names, so it does nothing",
                        pattern.as_str()
                    ),
                ));
            }
        }
    }
}

/// What is told of an open end.
fn unended(policy: &str, of: &str) -> String {
    format!(
        "policy {policy}: {of} goes on in the middle of a word, so it is also met by names that only begin like that, as acme-evil \
         begins like acme; write what ends the word, such as `/`"
    )
}

/// `pattern` as one that is about all of a text.
fn anchored(pattern: &str) -> String {
    let slashes = |text: &str| text.bytes().rev().take_while(|byte| *byte == b'\\').count();
    let core = match pattern.strip_suffix('$') {
        Some(core) if slashes(core) % 2 == 0 && !pattern.contains('|') => core,
        Some(_) | None => pattern,
    };
    if pattern.contains('|') { format!("^(?:{core})$") } else { format!("^{core}$") }
}

#[cfg(test)]
mod tests;
