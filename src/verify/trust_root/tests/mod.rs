//! Trust roots: bad ones are refused by field, good ones swapped in whole, stale ones not believed for ever.

mod refresh;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore_trust_root::SigstoreInstance;

use super::{document::parse, *};
use crate::verify::{Epoch, TrustState, tests::trusted_root};

fn root() -> Value {
    serde_json::from_slice(&trusted_root()).unwrap()
}

fn epoch(root: &Value) -> Epoch {
    Sigstore::from_trusted_root(root.to_string().as_bytes()).unwrap().epoch()
}

fn strictly(bytes: &[u8]) -> Result<document::Document, TrustRootError> {
    parse(bytes, Relaxed::default())
}

fn changed(path: &str, value: Value) -> Value {
    let mut root = root();
    let (parent, key) = path.rsplit_once('/').unwrap();
    root.pointer_mut(parent).unwrap()[key] = value;
    root
}

#[test]
fn r10_a_bad_trust_root_is_refused_with_the_field_named() {
    let twice = |kind: &str| {
        let mut root = root();
        let list = root[kind].as_array_mut().unwrap();
        list.push(list[0].clone());
        root
    };
    let window = |start: &str, end: &str| json!({"start": start, "end": end});
    let backwards = window("2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
    for (root, field) in [
        (twice("tlogs"), "tlogs[2].logId"),
        (twice("ctlogs"), "ctlogs[1].logId"),
        (changed("/tlogs/0/publicKey/validFor", backwards.clone()), "tlogs[0].publicKey.validFor"),
        (changed("/tlogs/1/publicKey/validFor", json!({"end": "2026-01-01T00:00:00Z"})), "tlogs[1].publicKey.validFor.start"),
        (changed("/ctlogs/0/publicKey/validFor", json!({})), "ctlogs[0].publicKey.validFor.start"),
        (changed("/certificateAuthorities/0/validFor", backwards), "certificateAuthorities[0].validFor"),
        (changed("/timestampAuthorities/0/validFor", json!({})), "timestampAuthorities[0].validFor.start"),
        (
            // Before the authority's certificate exists: a window in which nothing is valid.
            changed("/certificateAuthorities/0/validFor", window("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")),
            "certificateAuthorities[0].validFor",
        ),
        (
            changed("/certificateAuthorities/0/certChain/certificates", json!([])),
            "certificateAuthorities[0].certChain.certificates",
        ),
        (changed("/timestampAuthorities/0/certChain/certificates", json!([])), "timestampAuthorities[0].certChain.certificates"),
        (
            changed("/certificateAuthorities/0/certChain/certificates/0/rawBytes", json!("AAAA")),
            "certificateAuthorities[0].certChain.certificates[0]",
        ),
        (changed("/tlogs", json!([])), "tlogs"),
        (changed("/ctlogs", json!([])), "ctlogs"),
        (changed("/certificateAuthorities", json!([])), "certificateAuthorities"),
        (changed("/tlogs", json!({})), "tlogs"),
        (changed("/mediaType", json!("application/vnd.dev.sigstore.signingconfig.v0.2+json")), "mediaType"),
        (changed("/mediaType", Value::Null), "mediaType"),
    ] {
        match strictly(root.to_string().as_bytes()) {
            Err(TrustRootError::Invalid { field: found, .. }) => {
                assert!(found.starts_with(field), "want {field}, found {found}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn r10_a_key_no_verifier_can_use_is_refused_and_so_is_what_is_no_trust_root() {
    let bad_key = changed("/tlogs/0/publicKey/rawBytes", json!("AAAA"));
    assert!(Sigstore::from_trusted_root(bad_key.to_string().as_bytes()).is_err());
    let text = root().to_string();
    let double = text.replacen("\"tlogs\":", "\"tlogs\":[],\"tlogs\":", 1);
    assert!(matches!(strictly(double.as_bytes()), Err(TrustRootError::Malformed(_))));
    assert!(matches!(strictly(b"not json"), Err(TrustRootError::Malformed(_))));
    // As gh writes them: which line is meant is the user's to say.
    let told = |lines: &str| strictly(lines.as_bytes()).unwrap_err().to_string();
    let github = SigstoreInstance::GitHub.embedded_trusted_root_json().replace('\n', "");
    let both = told(&format!("{text}\n\n{github}\n"));
    let whose = "trust root: several, one a line: line 1 is of http://127.0.0.1:5555, line 3 is of fulcio.githubapp.com; ";
    assert!(both.starts_with(whose), "{both}");
    assert!(strictly(format!("{text}\n\n").as_bytes()).is_ok());
    assert!(told(&format!("{text}\n{{")).contains("trailing characters"));
    assert!(matches!(strictly(&vec![b' '; MAX_TRUSTED_ROOT + 1]), Err(TrustRootError::TooLarge { .. })));
}

#[test]
fn row_8_an_authoritys_window_is_narrowed_to_its_certificates_dates() {
    // CVE-2026-24122. The recorded root leaves `validFor` open; its certificate ends in 2036.
    let window = |root: &Value| strictly(root.to_string().as_bytes()).unwrap().root.certificate_authorities[0].valid_for.unwrap();
    let (start, end): (Timestamp, Timestamp) = ("2026-11-22T16:03:46Z".parse().unwrap(), "2036-11-19T16:03:46Z".parse().unwrap());
    assert_eq!((window(&root()).start, window(&root()).end), (start, Some(end)));
    let mut unbounded = root();
    unbounded["certificateAuthorities"][0].as_object_mut().unwrap().remove("validFor");
    assert_eq!((window(&unbounded).start, window(&unbounded).end), (start, Some(end)));
    let wide =
        changed("/certificateAuthorities/0/validFor", json!({"start": "2000-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}));
    assert_eq!(window(&wide).end, Some(end));
    let slim =
        changed("/certificateAuthorities/0/validFor", json!({"start": "2026-12-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}));
    assert_eq!(
        (window(&slim).start.to_string(), window(&slim).end.unwrap().to_string()),
        ("2026-12-01T00:00:00Z".into(), "2027-01-01T00:00:00Z".into())
    );
    let authority = strictly(root().to_string().as_bytes()).unwrap().root.timestamp_authorities.remove(0);
    assert_eq!(authority.valid_for.unwrap().end.unwrap().to_string(), "2036-11-18T16:03:46Z");
}

#[test]
fn c9_any_change_is_another_epoch_and_spelling_is_none() {
    let plain = epoch(&root());
    assert_eq!(Sigstore::from_trusted_root(serde_json::to_string_pretty(&root()).unwrap().as_bytes()).unwrap().epoch(), plain);
    for other in [
        changed("/tlogs/0/publicKey/validFor", json!({"start": "2026-01-01T00:00:01Z"})),
        changed("/certificateAuthorities/0/validFor", json!({"start": "2026-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"})),
        changed("/timestampAuthorities", json!([])),
        changed("/tlogs", json!([root()["tlogs"][1]])),
    ] {
        assert_ne!(epoch(&other), plain);
    }
}

#[test]
fn the_roots_built_in_can_be_used() {
    for instance in [SigstoreInstance::PublicGood, SigstoreInstance::Staging] {
        strictly(instance.embedded_trusted_root_json().as_bytes()).unwrap();
        Sigstore::from_trusted_root(instance.embedded_trusted_root_json().as_bytes()).unwrap();
    }
}

#[test]
fn a_root_without_log_or_sct_is_refused_with_the_key_to_write_and_taken_with_it() {
    // GitHub's own has neither: it could admit nothing without weakening, and that is said at load.
    let github = SigstoreInstance::GitHub.embedded_trusted_root_json().as_bytes();
    let relaxed = |no_log, no_sct| Relaxed { no_log, no_sct };
    for (given_up, key) in [
        (
            relaxed(false, false),
            "tlogs: there is none, so nothing could ever be admitted; to do without, say `dangerous_no_log: true`",
        ),
        (
            relaxed(false, true),
            "tlogs: there is none, so nothing could ever be admitted; to do without, say `dangerous_no_log: true`",
        ),
        (
            relaxed(true, false),
            "ctlogs: there is none, so nothing could ever be admitted; to do without, say `dangerous_no_sct: true`",
        ),
    ] {
        assert_eq!(parse(github, given_up).unwrap_err().to_string(), format!("trust root: {key}"));
    }
    assert!(parse(github, relaxed(true, true)).is_ok());
    // Where there is something to give up, the keys are refused: they would give it up for nothing.
    let recorded = trusted_root();
    for (given_up, key) in [(relaxed(true, false), "dangerous_no_log"), (relaxed(false, true), "dangerous_no_sct")] {
        let error = parse(&recorded, given_up).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("leave the key out"), "{error}");
    }
    // And without a log somebody must say when.
    let mut timeless: Value = serde_json::from_slice(github).unwrap();
    timeless["timestampAuthorities"] = json!([]);
    let error = parse(timeless.to_string().as_bytes(), relaxed(true, true)).unwrap_err().to_string();
    assert!(error.starts_with("trust root: timestampAuthorities: "), "{error}");
}

fn config(source: TrustRootSource, directory: &Path) -> TrustRootConfig {
    let hour = Duration::from_secs(3_600);
    let roots = BTreeMap::from([(DEFAULT_TRUST_ROOT.into(), RootConfig { source, relaxed: Relaxed::default() })]);
    TrustRootConfig { roots, cache_dir: directory.to_owned(), refresh: hour * 6, retry: hour / 60, hard_stale: hour * 24 * 7 }
}

fn epoch_of(state: &ArcSwap<TrustState>) -> Option<Epoch> {
    match &**state.load() {
        TrustState::Ready { verifier, .. } => Some(verifier.epoch()),
        TrustState::NotReady(_) => None,
    }
}

fn stale(state: &ArcSwap<TrustState>) -> Option<String> {
    match &**state.load() {
        TrustState::Ready { stale, .. } => stale.clone(),
        TrustState::NotReady(_) => panic!("not ready"),
    }
}

#[tokio::test]
async fn o6_a_bad_file_stops_the_start_and_changes_nothing_at_reload() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trusted_root.json");
    let config = config(TrustRootSource::File(path.clone()), directory.path());
    assert!(matches!(watch(config.clone()).await, Err(TrustRootError::Read { .. })));
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(watch(config.clone()).await, Err(TrustRootError::Invalid { .. })));
    std::fs::write(&path, vec![b' '; MAX_TRUSTED_ROOT + 1]).unwrap();
    assert!(matches!(watch(config.clone()).await, Err(TrustRootError::TooLarge { .. })));

    std::fs::write(&path, root().to_string()).unwrap();
    let Watched { state, roots } = watch(config.clone()).await.unwrap();
    assert_eq!((epoch_of(&state), stale(&state)), (Some(epoch(&root())), None));
    std::fs::write(&path, "{\"half").unwrap();
    assert!(roots.reload(&config).await.is_err());
    assert_eq!(epoch_of(&state), Some(epoch(&root())));
    // R6: a log is withdrawn; everything under the old epoch is out of reach at once.
    let withdrawn = changed("/tlogs", json!([root()["tlogs"][1]]));
    std::fs::write(&path, withdrawn.to_string()).unwrap();
    assert_eq!(roots.reload(&config).await, Ok(()));
    assert_eq!(epoch_of(&state), Some(epoch(&withdrawn)));
}

#[tokio::test]
async fn a_bad_file_among_several_roots_is_told_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(TrustRootSource::File(directory.path().join("a.json")), directory.path());
    let github = directory.path().join("b.json");
    std::fs::write(directory.path().join("a.json"), root().to_string()).unwrap();
    std::fs::write(&github, SigstoreInstance::GitHub.embedded_trusted_root_json()).unwrap();
    let named = |relaxed| RootConfig { source: TrustRootSource::File(github.clone()), relaxed };
    config.roots.insert("github".into(), named(Relaxed::default()));
    let error = watch(config.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("trust_roots.github: trust root: tlogs: there is none"), "{error}");
    assert!(error.ends_with("`dangerous_no_log: true`"), "{error}");
    config.roots.insert("github".into(), named(Relaxed { no_log: true, no_sct: true }));
    assert!(watch(config).await.is_ok());
}
