//! The deny-list's files.

use std::path::Path;

use jiff::Timestamp;

use super::super::deny::{DenyList, parse_denials};
use crate::verify::{LogEntry, LogEvidence, Proven, SanKind, Signer, Verified};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    parse_denials(Path::new("deny.yaml"), text, &mut problems);
    problems.iter().map(ToString::to_string).collect()
}

fn id(text: &str) -> Vec<u8> {
    let mut problems = Vec::new();
    let list = DenyList::new(parse_denials(Path::new("deny.yaml"), text, &mut problems));
    assert!(problems.is_empty(), "{problems:?}");
    let mut form = super::super::fingerprint::Form::default();
    list.form(&mut form);
    form.into_bytes()
}

#[test]
fn every_form_is_read_and_an_empty_list_denies_nothing() {
    let text = format!(
        "- {{digest: \"{DIGEST}\", reason: INC-1}}\n\
         - {{identity: {{issuer: https://issuer.test, subject_pattern: \"https://ci.test/**\"}}, reason: INC-2}}\n\
         - {{log_entry: {{log: {}, index: 42}}, reason: INC-3}}\n",
        "ab".repeat(32)
    );
    let text = text
        + "- {package: \"pkg:npm/event-stream@3.3.6\", reason: INC-4}\n- {package: {name: x, versions: <2}, reason: INC-5}\n";
    let mut problems = Vec::new();
    let list = DenyList::new(parse_denials(Path::new("deny.yaml"), &text, &mut problems));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((list.len(), list.packages().len()), (5, 2));
    assert_eq!(list.digest(&DIGEST.parse().unwrap()).map(|reason| &**reason), Some("INC-1"));
    assert!(DenyList::new(parse_denials(Path::new("deny.yaml"), "[]", &mut problems)).is_empty() && problems.is_empty());
}

/// Whoever copies evidence leaves out what signed its index; that must not lift a denial.
#[test]
fn an_entry_whose_index_nothing_signed_is_any_entry_of_its_log() {
    let text = format!("- {{log_entry: {{log: {}, index: 42}}, reason: INC-3}}\n", "ab".repeat(32));
    let mut problems = Vec::new();
    let list = DenyList::new(parse_denials(Path::new("deny.yaml"), &text, &mut problems));
    let signer = Signer {
        trust_root: "default".into(),
        issuer: "https://issuer.test".into(),
        san_kind: SanKind::Uri,
        subject: "https://ci.test".into(),
        claims: Default::default(),
    };
    let denied = |log: &str, index: Option<u64>| {
        let entries = vec![LogEntry { log: log.repeat(32), index }];
        let (signer, content) = (signer.clone(), Proven::Signature);
        let fact =
            Verified { signer, content, times: vec![Timestamp::UNIX_EPOCH], log: LogEvidence::Proof, entries, source: None };
        list.evidence(&fact).map(|denied| denied.why)
    };
    assert_eq!(denied("ab", Some(42)).as_deref(), Some("log entry 42 of log abababababab is denied: INC-3"));
    assert_eq!(denied("ab", None).as_deref(), Some("log entry without a signed index of log abababababab is denied: INC-3"));
    for (log, index) in [("ab", Some(43)), ("cd", Some(42)), ("cd", None)] {
        assert_eq!(denied(log, index), None, "{log} {index:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, wanted) in [
        ("", "is empty; write [] to deny nothing"),
        ("# nothing\n", "is empty; write [] to deny nothing"),
        ("{}", "wants a list"),
        ("[]\n---\n[]\n", "a second document"),
        ("- {reason: x}", "digest"),
        (&format!("- {{digest: \"{DIGEST}\"}}"), "deny.yaml:1:3: [0].reason: "),
        ("- {digest: sha256:00, reason: x}", "[0].digest: "),
        (&format!("- {{digest: \"{DIGEST}\", identity: {{issuer: a, subject: b}}, reason: x}}"), "digest"),
        ("- {identity: {issuer: https://a.test}, reason: x}", "subject"),
        ("- {identity: {issuer: a, subject: b, trust_root: x}, reason: x}", "meant under every trust root"),
        ("- {log_entry: {log: abc, index: 1}, reason: x}", "64 hex digits"),
        (&format!("- {{log_entry: {{log: {}, index: -1}}, reason: x}}", "ab".repeat(32)), "[0].log_entry.index: "),
        ("- {package: event-stream, reason: x}", "[0].package: is no package URL"),
        (&format!("- {{digests: \"{DIGEST}\", reason: x}}"), "did you mean `digest`?"),
    ] {
        let told = problems(text);
        assert!(told.iter().any(|problem| problem.contains(wanted)), "{text}: wanted {wanted}, told {told:?}");
    }
}

#[test]
fn c9_a_change_of_the_list_is_a_change_of_its_fingerprint_and_an_order_is_none() {
    let a = format!("- {{digest: \"{DIGEST}\", reason: INC-1}}\n");
    let b = "- {identity: {issuer: https://issuer.test, subject: x}, reason: INC-2}\n";
    assert_eq!(id(&format!("{a}{b}")), id(&format!("{b}{a}")));
    assert_eq!(id(&format!("{a}{a}")), id(&a));
    for other in ["[]".to_owned(), b.to_owned(), a.replace("INC-1", "INC-3"), a.replace("2c26", "2c27")] {
        assert_ne!(id(&other), id(&a), "{other}");
    }
}
