//! `pullgate explain`.

use super::{ask, code, json, layout, stderr, stdout};
use crate::support::registry::Registry;

#[tokio::test]
async fn a_person_reads_where_was_looked_who_signed_what_and_what_each_policy_says() {
    let registry = Registry::recorded(false).await;
    let output = ask("explain", &[&format!("{}/acme/twice:v1", registry.addr)]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let tree = stdout(&output);
    for part in [
        "├─ looked at\n",
        "referrers API: no such API (",
        ".sig tag: nothing (",
        "referrers tag: 4 listed, 4 pieces (",
        "├─ evidence\n",
        "in referrers tag: signature\n",
        "in referrers tag: https://spdx.dev/Document\n",
        "by https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main (uri) of issuer https://token.actions",
        "by https://github.com/mallory/",
        "at 2026-11-22T",
        "(proof)\n",
        "trust root default\n",
        "runner_environment: github-hosted\n",
        "command-line (enforce) holds\n",
        "└─ admitted [policy] after ",
    ] {
        assert!(tree.contains(part), "{part} in\n{tree}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_what_was_set_aside_and_what_was_wanted() {
    let output = ask("explain", &[&format!("{}:acme/copied:v1", layout())]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let tree = stdout(&output);
    for part in [
        "set aside: it is about sha256:5e621c8b2b86",
        "command-line (enforce) does not hold [signature_missing]: wants a signature by",
        "signatures[0]: wants https://github.com/acme/app/",
        "└─ refused [signature_missing] after ",
    ] {
        assert!(tree.contains(part), "{part} in\n{tree}");
    }
}

#[tokio::test]
async fn a_program_reads_the_same_as_an_object() {
    let output = ask("explain", &["--output", "json", &format!("{}:acme/app:v1", layout())]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = json(&output);
    assert_eq!((&told["version"], &told["outcome"], &told["code"]), (&1.into(), &"admitted".into(), &"policy".into()));
    let pieces = told["explanation"]["pieces"].as_array().unwrap();
    assert_eq!(pieces.len(), 2, "both are told, though the judgement would end when it has enough");
    for piece in pieces {
        assert_eq!(piece["outcome"], "proved", "{piece}");
        assert_eq!(piece["claims"]["source_repository_uri"], "https://github.com/acme/app");
        assert!(piece["times"][0].as_str().unwrap().starts_with("2026-11-22T"), "{piece}");
        assert!(piece["entries"][0]["index"].is_u64() && piece["log"] == "proof", "{piece}");
    }
    assert_eq!(told["explanation"]["policies"][0]["holds"], true);
    assert_eq!(told["explanation"]["looks"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_child_is_told_with_the_index_that_vouches_for_it() {
    let output = ask("explain", &["--output", "json", &format!("{}:acme/multi:c1", layout())]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let told = json(&output);
    assert_eq!(told["code"], "parent");
    assert_eq!(told["parent"]["digest"], "sha256:45b13efda1f77c3375644743de307647504f99f546b58858bbd516f5f797ddc8");
    assert_eq!(told["parent"]["explanation"]["pieces"].as_array().unwrap().len(), 2);
    assert_eq!(code(&ask("explain", &[&format!("{}:acme/app:nothing", layout())]).await), 1);
    assert_eq!(code(&ask("explain", &[&layout()]).await), 64);
}
