//! Entries that are written twice.

use super::{files::wrong, set};

/// Whoever writes an entry twice meant something else, such as two signers; another spelling makes it no other entry.
#[test]
fn entries_that_ask_the_same_are_errors_however_they_are_spelt() {
    let keyless = |more: &str| format!("{{keyless: {{issuer: i, {more}}}}}");
    let count = |a: &str, b: &str| format!("signatures: [{{count: 2, of: [{}, {}]}}]\n", keyless(a), keyless(b));
    let signed = format!("signatures: [{}]\n", keyless("subject: s"));
    let digest = format!("{{digest: \"sha256:{}\", reason: J-1, expires: 2028-01-31}}", "0".repeat(64));
    let (repository, again) = ("{dangerous_repository: ghcr.io/b, reason: J-1, expires: 2028-01-31}", "2028-02-01T00:00:00Z");
    let images = |list: &str, more: &str| format!("name: a\nimages: [{list}]\n{signed}{more}");
    let signatures = |entry: String| format!("name: a\nimages: [ghcr.io/a]\n{entry}");
    for (text, key) in [
        (
            signatures(count(
                "subject: s, claims: {build_trigger: [push, workflow_dispatch]}",
                "subject: s, claims: {build_trigger: [workflow_dispatch, push, push]}",
            )),
            "signatures[0].of[1]",
        ),
        (signatures(count("subject: s", "subject_pattern: s")), "signatures[0].of[1]"),
        (signatures(count("subject: s.t", "subject_regex: 's\\.t'")), "signatures[0].of[1]"),
        (
            signatures(count("subject: s, claims: {build_trigger: push}", "subject: s, claims_pattern: {build_trigger: push}")),
            "signatures[0].of[1]",
        ),
        // Alone in a group, it is itself.
        (
            signatures(format!(
                "signatures: [{{count: 2, of: [{s}, {{any_of: [{{all_of: [{s}]}}]}}]}}]\n",
                s = keyless("subject: s")
            )),
            "signatures[0].of[1]",
        ),
        (
            format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{s}, {{count: 1, of: [{s}]}}]\n", s = keyless("subject: s")),
            "signatures[1]",
        ),
        (images("ghcr.io/a, ghcr.io/b, GHCR.io:443/a", ""), "images[2]"),
        (images("'docker.io/{a,b}', docker.io/a, index.docker.io/library/a", ""), "images[2]"),
        (images("ghcr.io/a", "exclude: [ghcr.io/b, ghcr.io/b]\n"), "exclude[1]"),
        (images("ghcr.io/b", &format!("exceptions: [{digest}, {digest}]\n")), "exceptions[1]"),
        (
            images("ghcr.io/b", &format!("exceptions: [{repository}, {}]\n", repository.replace("2028-01-31", again))),
            "exceptions[1]",
        ),
    ] {
        let problems = wrong(&text);
        let told = problems.len() == 1 && problems[0].contains(&format!(": {key}: asks the same as entry "));
        assert!(told, "{text}{problems:#?}");
    }
    for text in [
        signatures(count("subject: s", "subject_pattern: 's*'")),
        signatures(count("subject: s.t", "subject_regex: s.t")),
        format!(
            "name: a\nimages: [ghcr.io/a]\nsignatures: [{}, {}]\n",
            keyless("subject: s, claims: {build_trigger: push}"),
            keyless("subject: s, claims: {build_trigger: [push, other]}")
        ),
        images("ghcr.io/b", &format!("exceptions: [{repository}, {}]\n", repository.replace("J-1", "J-2"))),
    ] {
        set(&text);
    }
}

/// Two entries that only one signer can meet admit nothing, whoever signs.
#[test]
fn a_count_wants_as_many_signers_as_it_can_have() {
    let keyless = |more: &str| format!("{{keyless: {{issuer: i, {more}}}}}");
    let count = |count: usize, of: &[&str]| {
        let of: Vec<_> = of.iter().map(|more| keyless(more)).collect();
        format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{{count: {count}, of: [{}]}}]\n", of.join(", "))
    };
    let push = "subject: s, claims: {build_trigger: push}";
    for (text, named) in [
        (count(2, &["subject: s", push]), 1),
        (count(2, &["subject_pattern: s", push]), 1),
        (count(3, &["subject: s", push, "subject: t"]), 2),
    ] {
        let problems = wrong(&text);
        let told = problems.len() == 1 && problems[0].ends_with(&format!("different signers, and its entries name {named}"));
        assert!(told, "{text}{problems:#?}");
    }
    for text in [
        count(1, &["subject: s", push]),
        count(2, &["subject: s", push, "subject: t"]),
        count(2, &["subject: s", "subject: s, trust_root: other"]),
        count(2, &["subject: s", "subject_pattern: 's*', claims: {build_trigger: push}"]),
    ] {
        set(&text);
    }
}
