//! What is taken of a configuration that changed, and when.

use arc_swap::ArcSwap;

use super::*;
use crate::{
    app::tests::{Home, load},
    policy::deny::parse_denials,
    verify::TrustState,
};

async fn reloads(home: &Home) -> (Reloads, Arc<ArcSwap<TrustState>>) {
    let First { config, origin } = First::read(home.file()).await.unwrap();
    let (live, trust) = home.live(&config).await;
    (Reloads::new(config, origin, live), trust)
}

/// An entry of a deny-list.
fn entry(at: u8) -> String {
    format!("- {{digest: \"{}\", reason: INC-{at}}}\n", crate::oci::Digest::sha256(&[at]))
}

/// A configuration that denies one digest, and the file that does.
fn denying_one() -> (Home, PathBuf) {
    let home = Home::new();
    let deny = home.path().join("deny.yaml");
    std::fs::write(&deny, entry(1)).unwrap();
    home.write(&(home.config() + "deny: [deny.yaml]\n"));
    (home, deny)
}

/// Between reading and serving lies what may take minutes: the store's opening, Sigstore's trust root.
#[tokio::test]
async fn o6_what_changes_while_the_gate_starts_is_taken_once_it_has() {
    let home = Home::new();
    let First { config, origin } = First::read(home.file()).await.unwrap();
    let (live, _trust) = home.live(&config).await;
    std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
    let mut reloads = Reloads::new(config, origin, live);
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert_eq!(reloads.attempt(false).await, None);
}

#[tokio::test]
async fn o6_what_is_wrong_is_refused_whole_and_what_is_right_again_is_taken() {
    let home = Home::new();
    let (mut reloads, _trust) = reloads(&home).await;
    let policies = reloads.live.policies.load_full();
    assert_eq!(reloads.attempt(false).await, None, "nothing changed");

    // Half written: the policy file ends in the middle.
    let whole = home.policy();
    std::fs::write(home.policy_file(), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
    assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
    assert_eq!(reloads.attempt(false).await, None, "said once");
    assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused), "and again when asked");

    std::fs::write(home.policy_file(), whole.replace("heads/main", "heads/other")).unwrap();
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert!(!Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
    assert_eq!(reloads.attempt(true).await, Some(Outcome::Applied), "asked, it is taken again");
}

#[tokio::test]
async fn d4_what_is_denied_is_denied_though_the_rest_of_the_configuration_is_wrong() {
    let home = Home::new();
    let deny = home.path().join("deny.yaml");
    let list = |count: u8| {
        let denial = |at: u8| format!("- {{digest: \"{}\", reason: INC-{at}}}\n", crate::oci::Digest::sha256(&[at]));
        let text: String = (0..count).map(denial).collect();
        std::fs::write(&deny, if text.is_empty() { "[]".to_owned() } else { text }).unwrap();
    };
    list(0);
    home.write(&(home.config() + "deny: [deny.yaml]\n"));
    let (mut reloads, _trust) = reloads(&home).await;
    let policies = reloads.live.policies.load_full();
    let denied = |reloads: &Reloads| reloads.live.policies.load().deny().len();
    // A policy that is half written, and half written still when the next digest is denied.
    let whole = home.policy();
    std::fs::write(home.policy_file(), &whole[..whole.len() / 2]).unwrap();
    list(1);
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
    assert_eq!(denied(&reloads), 1);
    list(2);
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused), "each file that is saved is told of");
    assert_eq!(reloads.attempt(false).await, None);
    assert_eq!(denied(&reloads), 2);
    assert_eq!(reloads.live.policies.load().policies().len(), policies.policies().len());
    // A list that cannot be read lifts nothing, nor does a file that names none any more.
    std::fs::write(&deny, "").unwrap();
    assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
    home.write(&home.config());
    assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
    assert_eq!(denied(&reloads), 2);
    // What needs a restart, or cannot be taken for another reason, holds up no denial either.
    std::fs::write(home.policy_file(), &whole).unwrap();
    home.write(&(home.config().replace("admin: 127.0.0.1:0", "admin: 127.0.0.1:1") + "deny: [deny.yaml]\n"));
    list(3);
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
    assert_eq!(denied(&reloads), 3);
    // And lifts none where it names no list; `deny: []` says that nothing is denied.
    for (lines, left) in [("tag_ttl: 1s\n", 3), ("tag_ttl: 1s\ndeny: []\n", 0)] {
        home.write(&(home.config() + lines));
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert_eq!(denied(&reloads), left, "{lines}");
    }
}

/// A long list takes its time to read, and what the rest of a configuration needs may take more.
#[tokio::test]
async fn d4_what_is_denied_is_denied_before_the_files_are_read_again_and_the_rest_is_taken() {
    let (home, deny) = denying_one();
    let (mut reloads, _trust) = reloads(&home).await;
    let denied = |reloads: &Reloads| reloads.live.policies.load().deny().len();
    let policies = reloads.live.policies.load_full();
    std::fs::write(&deny, entry(2)).unwrap();
    std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
    assert!(reloads.look(false).await.is_some());
    let now = reloads.live.policies.load_full();
    assert_eq!(denied(&reloads), 2, "nothing is lifted yet");
    assert!(Arc::ptr_eq(&now.policies()[0], &policies.policies()[0]), "nor a policy taken");
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert_eq!(denied(&reloads), 1);
    assert!(reloads.look(false).await.is_none());
    assert!(reloads.look(true).await.is_some());
    assert_eq!(denied(&reloads), 1);
}

/// Of a configuration that is refused, too, what is denied is told, though the first look put it in force already.
#[tokio::test]
async fn d4_what_was_denied_at_the_first_look_is_told_when_the_rest_is_refused() {
    let (home, deny) = denying_one();
    let (reloads, _trust) = reloads(&home).await;
    let before = reloads.live.policies.load_full();
    std::fs::write(&deny, entry(1) + &entry(2)).unwrap();
    assert!(reloads.look(false).await.is_some());
    let denials = async || read(&home.file()).await.denials;
    assert!(reloads.take_denials(before.deny(), denials().await), "told");
    let now = reloads.live.policies.load_full();
    assert_eq!(now.deny().len(), 2);
    assert!(!reloads.take_denials(now.deny(), denials().await), "nothing is new");
    assert!(Arc::ptr_eq(&now, &reloads.live.policies.load_full()));
    // A half-written list lifts nothing of what the first look found.
    let half = Denials { read: Vec::new(), is_whole: false };
    reloads.take_denials(before.deny(), half);
    assert_eq!(reloads.live.policies.load().deny().len(), 2);
}

#[tokio::test]
async fn d4_a_deny_file_that_is_half_written_lifts_nothing_and_holds_back_no_other() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("deny")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(home.path().join("deny").join(name), text).unwrap();
    write("a.yaml", &entry(1));
    home.write(&(home.config() + "deny: [deny/*.yaml]\n"));
    let (mut reloads, _trust) = reloads(&home).await;
    let denied = |reloads: &Reloads| reloads.live.policies.load().deny().len();
    // One that was denied is half written, and others are denied beside it and in another file.
    write("a.yaml", &entry(1)[..30]);
    write("b.yaml", &entry(2));
    for (text, denies) in [(entry(2), 2), (entry(2) + &entry(3), 3), ("- {digset: x, reason: y}\n".to_owned() + &entry(4), 4)] {
        write("b.yaml", &text);
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused), "{text}");
        assert_eq!(denied(&reloads), denies, "{text}");
    }
    // Whole again, it says all there is to say.
    write("a.yaml", "[]");
    write("b.yaml", &entry(4));
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert_eq!(denied(&reloads), 1);
}

#[tokio::test]
async fn o6_a_file_that_is_truncated_as_it_is_read_is_read_again_when_it_is_what_it_was() {
    let home = Home::new();
    let (mut reloads, _trust) = reloads(&home).await;
    let policies = reloads.live.policies.load_full();
    let changed = home.policy().replace("heads/main", "heads/other");
    std::fs::write(home.policy_file(), &changed).unwrap();
    let whole = fingerprint(&reloads.last.files);
    // A writer is at work between the first reading and the second, and writes the same again.
    std::fs::write(home.policy_file(), &changed[..20]).unwrap();
    let truncated = read(&home.file()).await;
    assert_eq!(reloads.decide(policies.deny(), whole, truncated, false).await, Some(Outcome::Refused));
    std::fs::write(home.policy_file(), &changed).unwrap();
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert!(!Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
}

#[tokio::test]
async fn o6_what_cannot_be_taken_now_is_tried_again_and_told_once() {
    let home = Home::new();
    let (mut reloads, _trust) = reloads(&home).await;
    home.write(&(home.config() + "tag_ttl: 1s\n"));
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
    assert_eq!(reloads.attempt(false).await, None);
    // As if what it could not have had come.
    reloads.current.registry.tag_ttl = std::time::Duration::from_secs(1);
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
    assert_eq!(reloads.attempt(false).await, None);
}

#[tokio::test]
async fn o6_a_file_that_needs_a_restart_is_refused_whole() {
    let home = Home::new();
    let (mut reloads, _trust) = reloads(&home).await;
    let policies = reloads.live.policies.load_full();
    std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
    let shipped = std::fs::read_to_string("config/pullgate.yaml").unwrap();
    let header = shipped.split("\n\n").next().unwrap();
    for (key, from, to) in [
        ("listen", "listen: 127.0.0.1:0", "listen: 127.0.0.1:1"),
        ("admin", "admin: 127.0.0.1:0", "admin: 127.0.0.1:1"),
        ("store", "max_size: 1GiB", "max_size: 2GiB"),
        ("limits", "admin:", "limits: {verdicts: 5}\nadmin:"),
        ("limits", "admin:", "limits: {response_timeout: 20s}\nadmin:"),
        ("tag_ttl", "admin:", "tag_ttl: 1s\nadmin:"),
        ("verdict_ttl", "admin:", "verdict_ttl: 2h\nadmin:"),
        ("refusal_ttl", "admin:", "refusal_ttl: 1s\nadmin:"),
        ("max_stale", "admin:", "max_stale: forever\nadmin:"),
    ] {
        home.write(&home.config().replace(from, to));
        let new = load(&home.file()).await.unwrap();
        assert_eq!(needs_restart(&reloads.current, &new), [key]);
        assert!(header.contains(&format!("`{key}`")), "the header of config/pullgate.yaml does not say so of {key}");
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()), "a part of it was taken");
    }
    let error = Refused::NeedsRestart(vec!["listen", "store"]).to_string();
    assert_eq!(error, "changed, and needs a restart: listen, store");
}

#[tokio::test]
async fn a_trust_root_that_cannot_be_read_leaves_the_old_one_and_the_old_policies() {
    let home = Home::new();
    let trusted_root = home.path().join("trusted_root.json");
    std::fs::copy(crate::app::tests::fixtures().join("trusted_root.json"), &trusted_root).unwrap();
    let own = home.config().replace(&crate::app::tests::fixtures().display().to_string(), "..");
    let own = own.replace("../trusted_root.json", "trusted_root.json");
    home.write(&own.replace("../registry", &crate::app::tests::fixtures().join("registry").display().to_string()));
    let (mut reloads, state) = reloads(&home).await;
    let (policies, trust) = (reloads.live.policies.load_full(), state.load_full());
    std::fs::write(&trusted_root, "{}").unwrap();
    std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
    assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
    assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
    assert!(Arc::ptr_eq(&trust, &state.load_full()));
    // Nor does a file that names no deny-list lift one by way of a trust root that is wrong.
    let mut problems = Vec::new();
    let text = format!("[{{digest: \"{}\", reason: INC-1}}]", crate::oci::Digest::sha256(b"1"));
    let denied = parse_denials(Path::new("deny.yaml"), &text, &mut problems);
    reloads.live.policies.store(Arc::new(PolicySet::clone(&policies).with_deny(DenyList::new(denied))));
    assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
    assert_eq!(reloads.live.policies.load().deny().len(), 1);
}
