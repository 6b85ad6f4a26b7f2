use std::path::Path;

use crate::policy::{PolicySet, Unmatched};

fn ids(identity: &str, more: &str) -> Vec<&'static str> {
    ids_of("ghcr.io/a", identity, more)
}

fn ids_of(images: &str, identity: &str, more: &str) -> Vec<&'static str> {
    let text = format!("name: a\nimages: [{images}]\nsignatures: [{{keyless: {{{identity}}}}}]\n{more}");
    let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
    set.policies()[0].lints("2027-01-01T00:00:00Z".parse().unwrap()).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn i01_i02_regexes_that_look_stricter_than_they_are_are_told() {
    for (subject, found) in [
        (r"https://github\.com/acme/.*", &[][..]),
        (r"https://github.com/acme/.*", &["regex_unescaped_dot"]),
        // As long as the path may be anything, a branch may be called z.acme.test/x.
        (r"https://.*\.acme\.test/x", &["regex_open_start"]),
        (r"http://.*\.acme\.test/x", &["regex_open_start"]),
        (r"https://[^/]*\.acme\.test/x", &[]),
        (r"https://[a-z.]+/acme/.*", &[]),
        (r"https://[a-z/]+.acme/x", &["regex_unescaped_dot"]),
        (r"https://github\.com/acme/a.b", &[]),
        (r".*/\.github/workflows/release\.yml@refs/heads/main", &["regex_open_start"]),
        (r"(?:.*)(?:github\.com/acme/)(?:.*)", &["regex_open_start"]),
        (r"(?:.*)(?:acme)(?:.*)", &["regex_open_start", "regex_open_end"]),
        (r".*release\.yml@refs/heads/main", &["regex_open_start"]),
        (r"(.+)/acme/x", &["regex_open_start"]),
        (r".*release\.yml@.*", &["regex_open_start"]),
        (r".*@.*\.acme\.test", &["regex_open_start"]),
        (r".*@acme\.test", &[]),
        (r"(?:.+)@(acme|other)\.test", &[]),
        (r"https://github\.com/acme.*", &["regex_open_end"]),
        (r"https://github\.com/(acme|other)(?:.+)", &["regex_open_end"]),
        (r"https://github\.com/acme/.*$", &[]),
        (r"https://github\.com/acme/\d.*", &[]),
        (r"https://github\.com/acme/app/\.github/workflows/x\.yml@refs/tags/v.*", &[]),
        (r".*@acme.*", &["regex_open_start", "regex_open_end"]),
        // Of the owner and of the host also where more is said behind it.
        (r"https://github\.com/acme.*/app/.*", &["regex_open_end"]),
        (r"https://github\.com/acme[^/]*/.*", &["regex_open_end"]),
        (r"https://github\.com/acme[^/]*-bot/.*", &["regex_open_end"]),
        (r"https://github.com/acme.*/x\.yml@refs/heads/main", &["regex_unescaped_dot", "regex_open_end"]),
        (r"https://github\.com[^/]*/acme/x", &["regex_open_end"]),
        (r"https://github\.com.*/acme/x", &["regex_open_end"]),
        (r"https://ci[^/]*\.acme\.test/x", &[]),
        (r"https://ci.*\.acme\.test/x", &["regex_open_end"]),
        (r"https://github\.com/acme/.*/x", &[]),
        (r"https://github\.com/acme/app.*/x", &[]),
        (r"https://github\.com/acme[0-9]*/x", &[]),
        (r"mail:acme.*/x", &[]),
        // Each alternative is a regex of its own.
        (r"https://github\.com/a/x|.*/acme/app@refs/heads/main", &["regex_open_start"]),
        (r"https://github\.com/acme/.*|https://gitlab.com/acme/.*", &["regex_unescaped_dot"]),
        (r"(https://github\.com/acme/.*|https://gitlab.com/acme/.*)", &["regex_unescaped_dot"]),
        (r"https://(github.com|gitlab\.com)/acme/.*", &["regex_unescaped_dot"]),
        (r"https://(github\.com|gitlab\.com)/acme/.*", &[]),
        (r"https://github\.com/acme.*|https://github\.com/b/x", &["regex_open_end"]),
        (r"https://github\.com/(b/x|acme.*)", &["regex_open_end"]),
        (r"(.*/acme|https://x)/app", &["regex_open_start"]),
        (r".*@acme\.test|.*/app@refs/heads/main", &["regex_open_start"]),
        (r".*@acme\.test|[^@]+@other\.test", &[]),
        // Other ways to say anything.
        (r"https://github\.com/acme[^ ]*", &["regex_open_end"]),
        (r"https://github\.com/acme.{0,99}", &["regex_open_end"]),
        (r"https://github\.com/acme[a-z-]*", &["regex_open_end"]),
        (r"https://github\.com/acme[0-9]?", &[]),
        (r"https://github\.com/acme[0-9]*", &[]),
        (r"https://github\.com/acme[a-z]?", &[]),
        (r"https://github\.com/acme[a-z]{0,2}", &["regex_open_end"]),
        (r"https://github\.com/acme.{3}", &[]),
        (r"https://github\.com/acme_.*", &["regex_open_end"]),
        (r"https://github\.com/acme([a-z]|-)*/app/.*", &["regex_open_end"]),
        (r"https://github\.com/acme(?:[a-z]+-?)+/app/.*", &["regex_open_end"]),
        (r"https://github\.com/acme(.|x){2,}/app/.*", &["regex_open_end"]),
        (r"https://github\.com/acme([a-z])?/app/.*", &[]),
        (r"https://github\.com/acme([0-9]+-?)*/app/.*", &[]),
        // What must be among it says where a word ends.
        (r"https://github\.com/acme(/[a-z]+)*", &[]),
        (r"https://([a-z]+\.)+acme\.test/x", &[]),
        (r"[a-z]+@([a-z]+\.)*acme\.test", &[]),
        (r"(.|x)+/acme/app@x", &["regex_open_start"]),
        (r".*acme\.test", &["regex_open_start"]),
        (r"[^/]*acme\.test", &["regex_open_start"]),
        (r"https://github\.com/acme(/.*)?", &[]),
        (r"[^ ]*acme/app/.*", &["regex_open_start"]),
        (r"(?s:.*)acme/app/.*", &["regex_open_start"]),
        (r"(x|.*)/acme/app/.*", &["regex_open_start"]),
        (r"x?.*/acme/app/.*", &["regex_open_start"]),
        (r"([a-z]+|.+)*/acme/app@x", &["regex_open_start"]),
        (r"([a-z]*.*)*/acme/app@x", &["regex_open_start"]),
        // The second is about e-mail addresses, of which the first is none.
        (r"[^/]*acme\.test|.*@other\.test", &["regex_open_start"]),
        (r"^.*/acme/app/.*", &["regex_open_start"]),
        (r"\w*://github\.com/acme/.*", &[]),
        (r"[a-z/.]+acme/app@x", &[]),
        (r"(?-u:[ -~])*/acme/app@x", &["regex_open_start"]),
        (r"https://.{3}\.acme\.test/x", &[]),
        (r"http.://acme\.test/x", &[]),
        (r"https://[a-z]+/x://.y", &[]),
        // So many alternatives that they are not all looked at.
        (r"(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)(a|b|c)/x", &[]),
    ] {
        assert_eq!(ids(&format!("issuer: 'https://i.test', subject_regex: '{subject}'"), ""), found, "{subject}");
    }
    for (issuer, found) in [
        (r"https://token\.actions\.githubusercontent\.com", &[][..]),
        (r"https://[a-z]+\.acme\.test", &[]),
        (r"(?:.*)(?:github)(?:.*)", &["regex_open_start", "regex_open_end"]),
        (r".*@acme\.test", &["regex_open_start"]),
        (r"https://token\.actions.*", &["regex_open_end"]),
        (r"https://.*acme\.test", &["regex_open_start"]),
        (r"https://[^/]*acme\.test", &["regex_open_start"]),
    ] {
        assert_eq!(ids(&format!("issuer_regex: '{issuer}', subject: 'a@b.test'"), ""), found, "{issuer}");
    }
}

#[test]
fn i01_patterns_that_leave_open_what_a_regex_may_not_are_told_as_it_is() {
    for (subject, found) in [
        ("https://github.com/acme/*/.github/workflows/*@refs/tags/*", &[][..]),
        ("https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v*", &[]),
        ("https://gitlab.com/acme/**", &[]),
        ("**/release.yml@refs/heads/main", &["regex_open_start"]),
        ("https://**/release.yml@refs/heads/main", &["regex_open_start"]),
        ("*/**/release.yml@refs/heads/main", &["regex_open_start"]),
        ("https://*/**/release.yml@refs/heads/main", &["regex_open_start"]),
        ("https://*.acme.test/app/**", &[]),
        ("*://git.acme.test/**", &[]),
        ("https://acme.test/{a,b}/**/c-{d,e}@x", &[]),
        ("https://acme.test/a,/**/b@x", &[]),
        ("https://acme?test/a", &[]),
        ("https://git.acme.test/acme*", &["regex_open_end"]),
        ("https://git.acme.test/{acme,other*}", &["regex_open_end"]),
        ("https://git.acme.test/acme.*", &[]),
        ("https://git.acme.test/acme*/**", &["regex_open_end"]),
        ("https://ci*.acme.test/**", &[]),
        ("alice*", &["regex_open_end"]),
        ("*@acme.test", &[]),
        // Of evil-acme.test as well.
        ("*acme.test", &["regex_open_start"]),
        ("*@*acme.test", &["regex_open_start"]),
        ("*@?*acme.test", &["regex_open_start"]),
        ("*@*.acme.test", &[]),
        ("*@mail*.acme.test", &[]),
        ("*@mail*acme.test", &[]),
        ("*.acme.test", &[]),
        ("https://*acme.test/x", &["regex_open_start"]),
        ("https://{a,*}acme.test/x@y", &["regex_open_start"]),
        ("https://*acme.test", &["regex_open_start"]),
        ("https://*-acme.test/x", &[]),
        ("https://git*acme.test/x", &[]),
        ("https://acme.test/*x/y", &[]),
        ("*!acme.test", &[]),
        ("*acme/x", &[]),
        ("https://git.acme.test/acme?", &[]),
    ] {
        assert_eq!(ids(&format!("issuer: 'https://i.test', subject_pattern: '{subject}'"), ""), found, "{subject}");
    }
    for (issuer, found) in [
        ("https://*.acme.test", &[][..]),
        ("https://*acme.test", &["regex_open_start"]),
        ("*acme.test", &["regex_open_start"]),
        ("**/acme.test", &["regex_open_start"]),
        ("https://token.actions*", &["regex_open_end"]),
    ] {
        assert_eq!(ids(&format!("issuer_pattern: '{issuer}', subject: 'a@b.test'"), ""), found, "{issuer}");
    }
}

#[test]
fn what_goes_on_is_told_with_where_it_stands() {
    let identity =
        "issuer: 'https://i.test', subject_pattern: 'https://github.com/acme*', claims_pattern: {token_subject: 'repo:b*'}";
    let text = format!("name: a\nimages: [ghcr.io/a]\nsignatures: [{{keyless: {{{identity}}}}}]\n");
    let set = PolicySet::from_text(Path::new("a.yaml"), &text, Unmatched::Deny).unwrap();
    let lints = set.policies()[0].lints("2027-01-01T00:00:00Z".parse().unwrap());
    let told = |of: &str| {
        format!(
            "policy a: {of} goes on in the middle of a word, so it is also met by names that only begin like that, as acme-evil begins \
             like acme; write what ends the word, such as `/`"
        )
    };
    let of = ["subject_pattern https://github.com/acme*", "the pattern repo:b* of the claim token_subject"];
    assert_eq!(lints, of.map(|of| ("regex_open_end", told(of))));
}

/// A claim is where the border of a reusable workflow is drawn.
#[test]
fn i01_patterns_of_claims_are_looked_at_as_those_of_subjects() {
    for (claim, found) in [
        ("source_repository_uri: 'https://github.com/acme*/**'", &["regex_open_end"][..]),
        ("source_repository_uri: ['https://github.com/acme/app', 'https://github.com/other*']", &["regex_open_end"]),
        ("source_repository_uri: 'https://github.com/acme/*'", &[]),
        ("source_repository_uri: '**/acme/app'", &["regex_open_start"]),
        ("source_repository_owner_uri: 'https://github.com/acme*'", &["regex_open_end"]),
        ("build_signer_uri: 'https://github.com/acme/wf/.github/workflows/b.yml@refs/tags/v*'", &[]),
        ("github_workflow_repository: 'acme*/app'", &["regex_open_end"]),
        ("github_workflow_repository: 'acme/*'", &[]),
        ("source_repository_owner_identifier: '12*'", &["regex_open_end"]),
        ("token_subject: 'repo:acme*:ref:refs/heads/main'", &["regex_open_end"]),
        ("token_subject: 'repo:acme/app:ref:refs/tags/v*'", &[]),
        ("token_subject: 'repo:acme:ref*'", &[]),
        ("token_subject: 'repo:acme/*:ref:refs/tags/v*'", &[]),
        ("token_subject: 'project_path:acme*/app:ref_type:tag:ref:v*'", &["regex_open_end"]),
        // The owner is ended, and decides which repositories and workflows there are.
        ("source_repository_uri: 'https://github.com/acme/app*'", &[]),
        ("github_workflow_repository: 'acme/app*'", &[]),
        ("build_signer_uri: 'https://github.com/acme/app/.github/workflows/release*'", &[]),
        ("token_subject: 'repo:acme/app*'", &[]),
        // Which tags and triggers there are is decided in the repository.
        ("source_repository_ref: 'refs/tags/v*', build_trigger: 'push*'", &[]),
    ] {
        let identity = format!("issuer: 'https://i.test', subject: 'https://github.com/a/b', claims_pattern: {{{claim}}}");
        assert_eq!(ids(&identity, ""), found, "{claim}");
    }
}

#[test]
fn patterns_of_images_that_leave_nothing_are_told() {
    let found = |images: &str, more: &str| ids_of(images, "issuer: i, subject: s", more);
    let exclude = |pattern: &str| format!("exclude: [{pattern}]\n");
    for (images, exclude, all) in [
        ("ghcr.io/acme/app", exclude("ghcr.io/acme/**"), true),
        ("ghcr.io/acme/app, ghcr.io/acme/b", exclude("ghcr.io/acme/*"), true),
        ("ghcr.io/acme/app, ghcr.io/other/b", exclude("ghcr.io/acme/**"), false),
        ("ghcr.io/acme/app, ghcr.io/other/b", exclude("'ghcr.io/acme/**', ghcr.io/other/b"), true),
        ("ghcr.io/acme/**", exclude("ghcr.io/acme/*"), false),
        ("ghcr.io/acme/*", exclude("ghcr.io/acme/dev-*"), false),
        ("'ghcr.io/{acme,other}/app'", exclude("ghcr.io/acme/*"), false),
        ("'ghcr.io/{acme,other}/app'", exclude("'*/*/*'"), true),
        ("'*/acme/app'", exclude("ghcr.io/acme/app"), false),
    ] {
        assert_eq!(found(images, &exclude), if all { &["exclude_all"][..] } else { &[] }, "{images} {exclude}");
    }
    for (pattern, reachable) in [
        ("ghcr.io/acme/app", true),
        ("ghcr.io/**", true),
        ("'*/acme/*'", true),
        ("ghcr.io/*/dev-x", true),
        ("'ghcr.io/{acme,b}/x'", true),
        ("quay.io/acme/app", false),
        ("ghcr.io/acme-evil/app", false),
        ("ghcr.io/*/other-*", false),
    ] {
        let more = format!("exceptions: [{{dangerous_repository: {pattern}, reason: J-1, expires: 2028-01-31}}]\n");
        let found = found("ghcr.io/acme/app, 'ghcr.io/acme/dev-*', ghcr.io/acme/x", &more);
        assert_eq!(found, if reachable { &[][..] } else { &["exception_unreachable"] }, "{pattern}");
    }
}

#[test]
fn a_pattern_is_advised_as_one_of_all_the_text() {
    for (pattern, advised) in [("a", "^a$"), ("a$", "^a$"), (r"a\$", r"^a\$$"), (r"a\\$", r"^a\\$"), ("^a|b$", "^(?:^a|b$)$")] {
        assert_eq!(super::anchored(pattern), advised);
    }
}

#[test]
fn what_is_easily_overlooked_is_told() {
    let identity = "issuer: 'https://i.test', subject: 'a@b.test'";
    assert_eq!(ids(identity, ""), [""; 0]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let ended = format!("exceptions: [{{digest: '{digest}', reason: J-1, expires: 2026-12-30}}]\n");
    assert_eq!(ids(identity, &ended), ["exception_expired"]);
    assert_eq!(ids(identity, &ended.replace("2026-12-30", "2026-12-31")), ["exception_expired"], "just now");
    assert_eq!(ids(identity, &ended.replace("2026-12-30", "2027-12-30")), [""; 0]);
    for (pattern, found) in [
        ("^a$", &[][..]),
        ("^(?:a|b)$", &[]),
        ("^a", &[]),
        ("a", &["condition_open_pattern"]),
        ("^a|b$", &["condition_open_pattern"]),
    ] {
        let require = format!("attestations: [{{predicate_type: 'a:b', require: \"predicate.x.matches('{pattern}')\"}}]\n");
        assert_eq!(ids(identity, &require), found, "{pattern}");
    }
    // Of what must not match, the open pattern is the stricter one.
    for (condition, told) in [
        ("predicate.x.all(x, x.matches('a'))", 1),
        ("predicate.x.exists(x, x.matches('a'))", 1),
        ("predicate.x.exists_one(x, x.matches('a'))", 1),
        ("!predicate.x.exists_one(x, x.matches('a'))", 0),
        ("predicate.x.filter(x, x.matches('a')).size() > 0", 1),
        ("size(predicate.x.filter(x, x.matches('a'))) != 0", 1),
        ("1 <= predicate.x.filter(x, x.matches('a')).size()", 1),
        ("predicate.x.filter(x, x.matches('a')).size() == 2", 1),
        ("predicate.x.filter(x, x.matches('a')).size() < 1", 0),
        ("0 >= predicate.x.filter(x, x.matches('a')).size()", 0),
        ("predicate.x.filter(x, !x.matches('a')).size() == 0", 1),
        ("predicate.x.filter(x, x.matches('a')).size() == 0", 0),
        ("predicate.x.map(x, x.matches('a')).size() > 0", 0),
        ("predicate.x.all(x, !x.matches('a'))", 0),
        ("!predicate.x.exists(x, x.matches('a'))", 0),
        ("!(predicate.x.matches('a') || !predicate.y.matches('b'))", 1),
        ("!(predicate.x.all(x, !x.matches('a')))", 1),
        ("predicate.x.matches('a') && predicate.y.matches('b')", 2),
        ("predicate.x.matches('a') || predicate.y.matches('b')", 2),
        ("predicate.x.matches('a') == false", 0),
        ("predicate.x.matches('a') == true", 1),
        ("true == predicate.x.matches('a')", 1),
        ("predicate.x.matches('a') != false", 1),
        ("predicate.x.matches('a') != true", 0),
        ("(!predicate.x.matches('a')) == false", 1),
        ("predicate.x.matches('a') == predicate.y", 0),
        ("predicate.x.matches('a') ? true : false", 1),
        ("predicate.x.matches('a') ? false : true", 0),
        ("predicate.x.matches('a') ? predicate.y.matches('b') : false", 2),
        ("!predicate.x.matches('a') ? false : predicate.y", 1),
        ("predicate.x.matches('a') ? predicate.y : predicate.z", 0),
        ("predicate.x ? predicate.y.matches('a') : predicate.z.matches('b')", 2),
    ] {
        let require = format!("attestations: [{{predicate_type: 'a:b', require: \"{condition}\"}}]\n");
        assert_eq!(ids(identity, &require), vec!["condition_open_pattern"; told], "{condition}");
    }
    let newest = "attestations: [{predicate_type: 'https://spdx.dev/Document', match: newest, max_age: 30d}]\n";
    assert_eq!(ids(identity, newest), ["withholding"]);
}
