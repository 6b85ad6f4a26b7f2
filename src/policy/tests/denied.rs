//! The deny-list's files.

use std::path::Path;

use jiff::Timestamp;

use super::super::deny::{self, DeniedEvidence, DenyList, parse_denials};
use crate::{
    oci::{Algorithm, Digest, ImageName},
    verify::{LogEntry, LogEvidence, Proven, SanKind, Signer, Verified},
};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    parse_denials(Path::new("deny.yaml"), text, &mut problems);
    problems.iter().map(ToString::to_string).collect()
}

fn list(text: &str) -> DenyList {
    let mut problems = Vec::new();
    let list = DenyList::new(parse_denials(Path::new("deny.yaml"), text, &mut problems));
    assert!(problems.is_empty(), "{problems:?}");
    list
}

fn id(text: &str) -> Vec<u8> {
    let list = list(text);
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
    let denied = list(&text);
    assert_eq!((denied.len(), denied.packages().all.len(), denied.is_empty()), (5, 2, false));
    assert_eq!(denied.digest(&DIGEST.parse().unwrap()).map(|reason| &**reason), Some("INC-1"));
    assert!(list("[]").is_empty());
}

/// A feed of what is denied grows by a line a day, and must not pass the bound of a policy unnoticed.
#[test]
fn d4_a_deny_file_may_be_larger_than_a_policy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("feed.yaml");
    let count = 40_000;
    let text: String = (0..count).map(|at| format!("- {{package: pkg:a/{at},reason: r}}\n")).collect();
    assert!(text.len() as u64 > crate::yaml::MAX_FILE && 5 * count > crate::yaml::MAX_NODES);
    std::fs::write(&file, &text).unwrap();
    assert_eq!(list(&deny::read_file(&file).unwrap()).len(), count);
    // To the byte.
    let most = usize::try_from(deny::MAX_FILE).unwrap();
    std::fs::write(&file, vec![b'#'; most]).unwrap();
    assert_eq!(deny::read_file(&file).unwrap().len(), most);
    std::fs::write(&file, vec![b'#'; most + 1]).unwrap();
    assert!(deny::read_file(&file).unwrap_err().message.contains("larger than 16777216 bytes"));
}

/// A small file of aliases must not become a large list: what it may have grows with its bytes, beyond what any file may.
#[test]
fn d4_a_deny_file_of_aliases_stays_a_small_list() {
    let text = |aliases: usize| format!("- &a {{digest: {DIGEST:?}, reason: r}}\n{}", "- *a\n".repeat(aliases));
    let (few, many) = (text(10_000), text(30_000));
    assert!(many.len() < 5 * crate::yaml::MAX_NODES, "as small as any file");
    assert_eq!(list(&few).len(), 1);
    let problems = problems(&many);
    assert!(problems[0].contains("100000"), "{problems:?}");
}

#[test]
fn two_lists_say_the_same_if_they_deny_the_same_for_the_same_reasons() {
    let one = format!("- {{digest: \"{DIGEST}\", reason: INC-1}}\n");
    assert!(list(&one).says_the_same_as(&list(&one.replace('"', "'"))));
    for other in ["[]".to_owned(), one.replace("INC-1", "INC-2"), one.replace("sha256:2c", "sha256:2d")] {
        assert!(!list(&one).says_the_same_as(&list(&other)) && !list(&other).says_the_same_as(&list(&one)), "{other}");
    }
}

#[test]
fn a_list_with_others_besides_denies_both_and_says_nothing_twice() {
    let entry = |name: &str, reason: &str| format!("- {{package: {{name: {name}}}, reason: {reason}}}\n");
    let both = entry("a", "INC-1") + &entry("b", "INC-2");
    let read = |text: &str| parse_denials(Path::new("deny.yaml"), text, &mut Vec::new());
    let list = list(&entry("a", "INC-1")).and(read(&both)).and(read(&both));
    assert_eq!((list.len(), list.packages().all.len()), (2, 2));
    assert!(list.says_the_same_as(&super::denied::list(&both)));
}

fn signature(trust_root: &str, subject: &str, entry: LogEntry) -> Verified {
    let signer = Signer {
        trust_root: trust_root.into(),
        issuer: "https://issuer.test".into(),
        san_kind: SanKind::Uri,
        subject: subject.into(),
        claims: Default::default(),
    };
    let (content, times) = (Proven::Signature, vec![Timestamp::UNIX_EPOCH]);
    Verified { signer, content, times, log: LogEvidence::Proof, entries: vec![entry], source: None }
}

#[test]
fn x11_content_is_denied_by_whichever_digest_names_it() {
    let names = [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| Digest::of(algorithm, b"manifest"));
    for denied in names {
        let list = list(&format!("- {{digest: \"{denied}\", reason: INC-1}}\n"));
        for asked in names {
            assert_eq!(list.content(&asked, b"manifest").map(|reason| &**reason), Some("INC-1"), "{denied} {asked}");
        }
        for other in [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| Digest::of(algorithm, b"other")) {
            assert_eq!(list.content(&other, b"other"), None, "{denied} {other}");
        }
    }
    assert_eq!(list("[]").content(&names[0], b"manifest"), None);
    assert!(list(&format!("- {{digest: \"{}\", reason: r}}\n", names[0])).has_digests());
    assert!(!list("- {package: {name: xz}, reason: r}\n").has_digests() && !list("[]").has_digests());
}

#[test]
fn d4_a_denied_signer_is_denied_under_every_trust_root() {
    let list = list("- {identity: {issuer: https://issuer.test, subject: https://ci.test/a}, reason: INC-2}\n");
    let denied = |trust_root: &str, subject: &str| {
        list.evidence(&signature(trust_root, subject, LogEntry { log: "ab".repeat(32), index: Some(1) }))
    };
    let why = "signer https://ci.test/a is denied: INC-2".to_owned();
    for trust_root in ["default", "other"] {
        assert_eq!(denied(trust_root, "https://ci.test/a"), Some(DeniedEvidence { by: "identity", why: why.clone() }));
        assert_eq!(denied(trust_root, "https://ci.test/b"), None);
    }
}

#[test]
fn d4_what_a_set_denies_is_denied_of_every_image_and_is_part_of_its_fingerprint() {
    let set = || super::set(super::STRICT);
    let denying = set().with_deny(list(&format!("- {{digest: \"{DIGEST}\", reason: INC-1}}\n")));
    let denied = DIGEST.parse().unwrap();
    assert!(denying.deny().digest(&denied).is_some() && set().deny().is_empty());
    for repository in ["acme/app", "other/app"] {
        let image = ImageName::new("ghcr.io".parse().unwrap(), repository.parse().unwrap());
        assert!(denying.select(&image).deny.digest(&denied).is_some());
        assert_ne!(denying.select(&image).id, set().select(&image).id);
    }
}

/// Whoever copies evidence leaves out what signed its index; that must not lift a denial.
#[test]
fn an_entry_whose_index_nothing_signed_is_any_entry_of_its_log() {
    let text = format!("- {{log_entry: {{log: {}, index: 42}}, reason: INC-3}}\n", "ab".repeat(32));
    let list = list(&text);
    let denied = |log: &str, index: Option<u64>| {
        let fact = signature("default", "https://ci.test", LogEntry { log: log.repeat(32), index });
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
        ("---\n", "is empty; write [] to deny nothing"),
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
        ("- {package: \"pkg:npm/bar@<2.0\", reason: x}", "[0].package: `<2.0` is no one version"),
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
