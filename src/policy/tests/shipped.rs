//! The policies that are shipped: what people copy must be right.

use super::*;

#[test]
fn the_reference_can_be_read_and_shows_every_key() {
    let text = std::fs::read_to_string("config/policy-reference.yaml").unwrap();
    let set = PolicySet::from_text(Path::new("config/policy-reference.yaml"), &text, Unmatched::Deny);
    let set = set.unwrap_or_else(|problems| panic!("{problems}"));
    let weak: Vec<_> = set
        .policies()
        .iter()
        .flat_map(|policy| policy.weaknesses_at(jiff::Timestamp::UNIX_EPOCH))
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(weak, ["dangerous_no_signature", "dangerous_no_attestation", "dangerous_repository"]);
    // In a line that is read, not in a comment.
    let read: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    for key in crate::policy::parse::keys() {
        let shown = [format!("{key}: "), format!("{key}:\n")].iter().any(|written| read.contains(written));
        assert!(shown, "config/policy-reference.yaml does not show `{key}`");
    }
}

#[test]
fn the_shipped_policies_can_be_read() {
    let files = std::fs::read_dir("config/policies").unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|kind| kind == "yaml")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let set = PolicySet::from_text(&file, &text, Unmatched::Deny).unwrap_or_else(|problems| panic!("{problems}"));
        let now = time("2026-11-24T00:00:00Z");
        let told = |policy: &Policy| [policy.weaknesses(), policy.lints(now)].concat().into_iter().map(|(id, _)| id);
        let told: Vec<_> = set.policies().iter().flat_map(|policy| told(policy)).collect();
        // What is copied tells of nothing but what its comments tell of.
        let known: &[&str] = match file.file_name().unwrap().to_str().unwrap() {
            "audit.yaml" => &["audit", "any_identity"],
            "content.yaml" => &["withholding"],
            _ => &[],
        };
        assert_eq!(told, known, "{}", file.display());
    }
}
