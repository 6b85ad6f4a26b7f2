//! Drafts → the text of a policy file.

use std::fmt::Write as _;

use super::draft::{Attestation, Attestor, Claim, Draft, Keyless, Text};

/// What matches nothing: a policy that must refuse says so with it.
pub(super) const NOBODY: &str = r"[^\s\S]";

/// The policy file of `drafts`, one document each, under the comment lines `head`.
pub(super) fn file(head: &[String], drafts: &[Draft]) -> String {
    let mut out = String::new();
    for line in head {
        comment(&mut out, 0, line);
    }
    for (i, draft) in drafts.iter().enumerate() {
        if i > 0 {
            out.push_str("---\n");
        }
        policy(&mut out, draft);
    }
    out
}

fn policy(out: &mut String, draft: &Draft) {
    let Draft { name, comments, images, exclude, rejects: _, audit, signatures, attestations } = draft;
    for line in comments {
        comment(out, 0, line);
    }
    let _ = writeln!(out, "name: {}", scalar(name));
    list(out, "images", images);
    if !exclude.is_empty() {
        list(out, "exclude", exclude);
    }
    let _ = writeln!(out, "mode: {}", if *audit { "audit" } else { "enforce" });
    if signatures.is_empty() {
        out.push_str("dangerous_no_signature: true\n");
    } else {
        out.push_str("signatures:\n");
        for one in signatures {
            item(out, 1, one);
        }
    }
    if attestations.is_empty() {
        out.push_str("dangerous_no_attestation: true\n");
    } else {
        out.push_str("attestations:\n");
        for one in attestations {
            attestation(out, one);
        }
    }
}

fn list(out: &mut String, key: &str, items: &[String]) {
    let _ = writeln!(out, "{key}:");
    for one in items {
        let _ = writeln!(out, "  - {}", scalar(one));
    }
}

/// An attestor as an item of a list.
fn item(out: &mut String, depth: usize, one: &Attestor) {
    let _ = write!(out, "{}- ", "  ".repeat(depth));
    attestor(out, depth + 1, one, "");
}

/// An attestor's keys at `depth`; the first is written where the text stands, after `pad`.
fn attestor(out: &mut String, depth: usize, one: &Attestor, pad: &str) {
    let indent = "  ".repeat(depth);
    let inner = |out: &mut String, list: &[Attestor]| list.iter().for_each(|one| item(out, depth + 1, one));
    match one {
        Attestor::All(list) => {
            let _ = writeln!(out, "{pad}all_of:");
            inner(out, list);
        }
        Attestor::Any(list) => {
            let _ = writeln!(out, "{pad}any_of:");
            inner(out, list);
        }
        Attestor::Count(count, list) => {
            let _ = writeln!(out, "{pad}count: {count}");
            let _ = writeln!(out, "{indent}of:");
            inner(out, list);
        }
        Attestor::Keyless(keyless) => {
            let _ = writeln!(out, "{pad}keyless:");
            identity(out, depth + 1, keyless);
        }
        Attestor::Never(why) => {
            let _ = writeln!(out, "{pad}keyless:");
            comment(out, depth + 1, &format!("nobody: {why}"));
            let _ = writeln!(out, "{indent}  issuer_regex: {}", scalar(NOBODY));
            let _ = writeln!(out, "{indent}  subject_regex: {}", scalar(NOBODY));
        }
    }
}

fn identity(out: &mut String, depth: usize, keyless: &Keyless) {
    let indent = "  ".repeat(depth);
    let Keyless { issuer, subject, claims, trust_root } = keyless;
    for (key, text) in [("issuer", issuer), ("subject", subject)] {
        let _ = match text {
            Text::Exact(text) => writeln!(out, "{indent}{key}: {}", scalar(text)),
            Text::Regex(text) => writeln!(out, "{indent}{key}_regex: {}", scalar(text)),
        };
    }
    let exact: Vec<_> = claims.iter().filter(|(_, claim)| matches!(claim, Claim::Exact(_))).collect();
    let patterns: Vec<_> = claims.iter().filter(|(_, claim)| matches!(claim, Claim::Patterns(_))).collect();
    for (key, claims) in [("claims", exact), ("claims_pattern", patterns)] {
        if !claims.is_empty() {
            let _ = writeln!(out, "{indent}{key}:");
        }
        for (name, claim) in claims {
            let _ = match claim {
                Claim::Exact(value) => writeln!(out, "{indent}  {name}: {}", scalar(value)),
                Claim::Patterns(globs) => {
                    let globs: Vec<_> = globs.iter().map(|glob| scalar(glob)).collect();
                    writeln!(out, "{indent}  {name}: [{}]", globs.join(", "))
                }
            };
        }
    }
    if let Some(name) = trust_root {
        let _ = writeln!(out, "{indent}trust_root: {}", scalar(name));
    }
}

fn attestation(out: &mut String, one: &Attestation) {
    let Attestation { comments, predicate_type, by, all, require, scan_max_age } = one;
    for line in comments {
        comment(out, 1, line);
    }
    let _ = writeln!(out, "  - predicate_type: {}", scalar(predicate_type));
    attestor(out, 2, by, "    ");
    match all {
        Some(max_age) => {
            let _ = writeln!(out, "    match: all\n    max_age: {max_age}");
        }
        None => out.push_str("    match: any\n"),
    }
    if !require.is_empty() {
        out.push_str("    require:\n");
    }
    for (expression, from) in require {
        comment(out, 3, from);
        let _ = writeln!(out, "      - {}", scalar(expression));
    }
    if let Some(age) = scan_max_age {
        let _ = writeln!(out, "    vulnerabilities:\n      scan_max_age: {age}");
    }
}

/// A comment line. What others wrote stands in it, so nothing in it can end the line.
fn comment(out: &mut String, depth: usize, text: &str) {
    let mut safe = String::new();
    for c in text.chars().take(1000) {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    let _ = writeln!(out, "{}# {safe}", "  ".repeat(depth));
}

/// `text` as a YAML scalar of any context: plain where nothing else could be read from it, else quoted.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+' | ':');
    let word = !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if word {
        return text.to_owned();
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')) {
        // JSON's strings are YAML's double-quoted ones.
        return serde_json::Value::from(text).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_ends_no_comment_and_no_scalar() {
        let mut out = String::new();
        comment(&mut out, 1, "a\nname: evil\r\u{2028}\u{202e}b");
        assert_eq!(out, "  # a\\nname: evil\\r\\u{2028}\\u{202e}b\n");
        for (text, written) in [
            ("https://github.com/acme/app", "https://github.com/acme/app"),
            ("a: b", "'a: b'"),
            ("it's", "'it''s'"),
            ("a\nb", r#""a\nb""#),
            ("true", "'true'"),
            ("1.5", "'1.5'"),
            ("", "''"),
            ("{{ x }}", "'{{ x }}'"),
            ("*", "'*'"),
            ("a #b", "'a #b'"),
        ] {
            assert_eq!(scalar(text), written);
        }
    }
}
