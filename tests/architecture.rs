//! Holds the direction of dependencies between the rooms, by the `use` lines and paths the source is written with.
#![expect(clippy::unwrap_used, reason = "a test of files that are there; allow-unwrap-in-tests covers test functions only")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which rooms each room may name. What is not listed may not be named.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("app", &["*"]),
    ("body", &["oci", "telemetry"]),
    // As `app` does, it wires the rooms together: each subcommand is one way to ask them.
    ("command", &["*"]),
    ("config", &["*"]),
    ("evidence", &["body", "oci", "store", "telemetry", "upstream"]),
    ("flight", &["oci"]),
    ("gate", &["evidence", "flight", "oci", "policy", "store", "telemetry", "upstream", "verify"]),
    // It writes policy files and reads them back; it judges nothing.
    ("import", &["oci", "policy", "yaml"]),
    ("main", &["*"]),
    ("oci", &[]),
    ("policy", &["oci", "telemetry", "verify", "yaml"]),
    ("registry", &["body", "flight", "gate", "oci", "policy", "store", "telemetry", "upstream"]),
    ("server", &["body", "telemetry"]),
    ("stack", &["*"]),
    ("store", &["body", "flight", "oci", "telemetry"]),
    ("telemetry", &[]),
    ("upstream", &["body", "flight", "oci", "telemetry"]),
    ("yaml", &[]),
];
// `verify` is judged on its own below: it takes evidence's bytes and nothing else of that room.
const VERIFY: &[&str] = &["evidence", "oci", "telemetry"];

#[test]
fn rooms_only_name_the_rooms_they_may() {
    let mut wrong = Vec::new();
    for (room, file, text) in sources() {
        let allowed = match room.as_str() {
            "lib" => continue,
            "verify" => VERIFY,
            other => ALLOWED.iter().find(|(name, _)| *name == other).map(|(_, rooms)| *rooms).unwrap_or_else(|| {
                panic!("{} is in a room the table does not know", file.display());
            }),
        };
        for named in rooms_named(&text) {
            if named != room && !allowed.contains(&"*") && !allowed.contains(&named.as_str()) {
                wrong.push(format!("{}: `{room}` may not name `{named}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_verify_names_sigstore() {
    let offenders: Vec<_> = sources()
        .into_iter()
        .filter(|(room, _, text)| room != "verify" && text.contains("sigstore_"))
        .map(|(_, file, _)| file)
        .collect();
    // `pullgate verify`'s own words about Sigstore are fine; the crates' names are not.
    assert_eq!(offenders, Vec::<PathBuf>::new());
}

#[test]
fn only_upstream_opens_client_connections() {
    let openers = ["TcpStream::connect", "HttpConnector", "client::legacy", "client::conn", "reqwest"];
    // The TUF client fetches with an HTTP client of its own crate; `verify::trust_root` is where it may.
    let offenders: Vec<_> = sources()
        .into_iter()
        .filter(|(room, file, text)| {
            room != "upstream"
                && !file.to_string_lossy().contains("/verify/trust_root")
                && openers.iter().any(|opener| text.contains(opener))
        })
        .map(|(_, file, _)| file)
        .collect();
    assert_eq!(offenders, Vec::<PathBuf>::new());
}

#[test]
fn permits_are_granted_in_the_gate_only() {
    let granting: BTreeSet<_> =
        sources().into_iter().filter(|(_, _, text)| text.contains("Permit::grant")).map(|(room, _, _)| room).collect();
    assert_eq!(granting, BTreeSet::from(["gate".to_owned()]));
}

#[test]
fn no_verification_step_is_ever_skipped() {
    let words = ["skip_tlog_unsafe", "skip_sct", "skip_certificate_chain"];
    // `dangerous_no_log` and `dangerous_no_sct`, of a root that has none, in one place to read.
    let audited = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify/relaxed.rs");
    let found = |words: &[&str]| -> Vec<PathBuf> {
        let skips = |text: &str| words.iter().any(|word| text.contains(word));
        sources().into_iter().filter(|(_, _, text)| skips(text)).map(|(_, file, _)| file).collect()
    };
    assert_eq!(found(&words), std::slice::from_ref(&audited));
    assert_eq!(found(&["skip_certificate_chain", "pipeline_flush(true)"]), Vec::<PathBuf>::new());
    let text = fs::read_to_string(audited).unwrap();
    for word in ["policy.skip_tlog_unsafe()", "policy.skip_sct()", "expect(clippy::disallowed_methods"] {
        assert_eq!(text.matches(word).count(), 1, "{word}");
    }
}

/// Every source file: its room, its path, and its text without comments and test modules.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    collect(&root, &mut files);
    files
        .into_iter()
        .map(|(file, text)| {
            let relative = file.strip_prefix(&root).unwrap();
            let room = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (room, file, code)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if name != "testing" && name != "tests" {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") && name != "testing.rs" && name != "tests.rs" {
            files.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
}

/// The rooms a text names: `crate::room` and `use crate::{room::…, other}`.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0_i32;
                let mut item = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => named.extend(first_word(&std::mem::take(&mut item))),
                        c if depth == 0 => item.push(c),
                        _ => {}
                    }
                }
                named.extend(first_word(&item));
            }
            None => named.extend(first_word(rest)),
        }
    }
    named
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (word.chars().next().is_some_and(char::is_lowercase)).then_some(word)
}
