//! The file as a user writes it: what is read, and everything that is said about a wrong one.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    policy::Unmatched,
    upstream::Location,
    verify::{Relaxed, trust_root::TrustRootSource},
};

const POLICY: &str =
    "name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{keyless: {issuer: https://i, subject: https://s}}]\n";
const SMALL: &str = "upstreams: [{host: ghcr.io, url: https://ghcr.io}]\npolicies: [policies/*.yaml]\n";

/// A directory with `pullgate.yaml` and one policy.
fn directory(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("pullgate.yaml"), text).unwrap();
    directory
}

fn load(text: &str) -> Config {
    let directory = directory(text);
    Config::load(&directory.path().join("pullgate.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every problem, the directory's name left out.
fn problems_in(directory: &TempDir) -> Vec<String> {
    let prefix = format!("{}/", directory.path().display());
    let problems = Config::load(&directory.path().join("pullgate.yaml")).unwrap_err();
    problems.0.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn problems(text: &str) -> Vec<String> {
    problems_in(&directory(text))
}

fn roots(config: &Config) -> Vec<(&str, &TrustRootSource, Relaxed)> {
    config.trust_roots.iter().map(|(name, root)| (&**name, &root.source, root.relaxed)).collect()
}

#[test]
fn a_small_file_has_the_documented_defaults() {
    let config = load(SMALL);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:5050");
    assert_eq!(config.server.admin.to_string(), "127.0.0.1:5051");
    assert!(config.server.tls.is_none());
    assert_eq!(config.store.path, Path::new("/var/lib/pullgate"));
    assert_eq!(config.store.max_size, 50 << 30);
    assert_eq!(roots(&config), [("default", &TrustRootSource::Sigstore, Relaxed::default())]);
    assert_eq!(config.registry.tag_ttl, Duration::from_secs(30));
    assert_eq!(config.registry.max_stale, Some(Duration::from_secs(86_400)));
    assert_eq!(config.gate.max_stale, config.registry.max_stale);
    assert_eq!((config.gate.verdict_ttl, config.gate.refusal_ttl), (Duration::from_secs(3600), Duration::from_secs(10)));
    assert_eq!((config.server.limits.connections, config.server.limits.requests), (20_000, 4096));
    assert!(config.gate.deadline < config.server.limits.response_timeout);
    assert_eq!(config.server.limits.response_timeout, Duration::from_secs(25));
    assert_eq!((config.gate.verdicts, config.gate.manifest_bytes), (200_000, 64 << 20));
    assert_eq!(config.policies.unmatched(), Unmatched::Deny);
    assert_eq!(config.default_upstream, None);
    assert!(config.weaknesses.is_empty() && config.notices.is_empty(), "{:?} {:?}", config.weaknesses, config.notices);
    let names: Vec<_> = config.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["pullgate.yaml", "acme.yaml"]);
    assert!(config.directories[0].ends_with("policies"));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place_and_what_to_write() {
    let directory = directory(
        r#"lisen: 127.0.0.1:5050
listen: localhost:5050
admin: 127.0.0.1:70000
tls: {cert: none.pem, http2: true}
trust_root: Sigstore
trust_roots: {}
store: {path: ~/store, max_size: 50, url: "s3://bucket"}
upstreams:
  - host: ghcr.io
    url: http://ghcr.io
  - host: https://quay.io/
    url: https://user:secret@quay.io/?x
  - host: GHCR.io:443
    layout: nowhere
    ca: x.pem
  - host: docker.io
    url: https://docker.io
    plain_http: yes
    credentials: {username: me}
    mirrors: []
  - url: registry.acme.test:5000
    layout: policies
  - {host: a.test, url: https://a.test/v2/, auth_hosts: ["*.a.test"], plain_http: dangerous}
  - {host: b.test, ca: b.pem}
default_upstream: ghcr.oi
policies: [policies/*.yaml, missing/*.yaml, policies/none.yaml]
unmatched: allow
tag_ttl: 30
verdict_ttl: 2 weeks
max_stale: never
tag_ttl: 1s
limits: {connections: 0, header_timeout: soon, evidence: {page: 4}, verify_threads: "4"}
"#,
    );
    fs::write(
        directory.path().join("policies/b.yaml"),
        "name: acme\nimages: [\"ghcr.io/x\"]\nsignatures: [{keyless: {issuer: i, subject: s}}]\n",
    )
    .unwrap();
    fs::write(
        directory.path().join("policies/c.yaml"),
        "name: c\nimage: [\"ghcr.io/x\"]\nsignatures: [{keyless: {issuer: i}}]\n",
    )
    .unwrap();
    assert_eq!(
        problems_in(&directory),
        [
            "pullgate.yaml:1:1: lisen: unknown key; did you mean `listen`?",
            "pullgate.yaml:2:9: listen: wants an IP address and port, found `localhost:5050`; write 127.0.0.1:5050 for this machine only, or 0.0.0.0:5050",
            "pullgate.yaml:3:8: admin: wants an IP address and port, found `127.0.0.1:70000`; write 127.0.0.1:5051",
            "pullgate.yaml:4:6: tls.key: missing; write the path of the certificate's key, PEM",
            "pullgate.yaml:4:13: tls.cert: none.pem cannot be opened: no such file or directory",
            "pullgate.yaml:4:23: tls.http2: not supported yet",
            "pullgate.yaml:6:14: trust_roots: beside `trust_root`, which is the root called `default`; write it here too",
            "pullgate.yaml:7:15: store.path: `~` and `$` are not expanded; write the path out",
            "pullgate.yaml:7:34: store.max_size: has no unit: write 50MiB or 50GiB",
            "pullgate.yaml:7:38: store.url: not supported yet",
            "pullgate.yaml:10:10: upstreams[0].url: is not https; to ask without TLS all the same, also write `plain_http: dangerous`",
            "pullgate.yaml:11:11: upstreams[1].host: wants a host as it stands in image names; write `quay.io`",
            "pullgate.yaml:12:10: upstreams[1].url: names a user; write `credentials: {docker_config: PATH}`",
            "pullgate.yaml:13:11: upstreams[2].host: `ghcr.io` is also upstreams[0]; a host has one upstream",
            "pullgate.yaml:14:13: upstreams[2].layout: nowhere: no such file or directory",
            "pullgate.yaml:15:9: upstreams[2].ca: `ca` means nothing beside `layout`; leave it out",
            "pullgate.yaml:17:10: upstreams[3].url: is no registry; Docker Hub's is https://registry-1.docker.io",
            "pullgate.yaml:18:17: upstreams[3].plain_http: wants dangerous, found `yes`",
            "pullgate.yaml:19:18: upstreams[3].credentials.docker_config: missing; write the path of a docker config.json",
            "pullgate.yaml:19:19: upstreams[3].credentials.username: not supported yet",
            "pullgate.yaml:20:5: upstreams[3].mirrors: not supported yet",
            "pullgate.yaml:21:5: upstreams[4].host: missing; write what images are called, as in ghcr.io",
            "pullgate.yaml:22:13: upstreams[4].layout: wants exactly one of url, layout",
            "pullgate.yaml:23:25: upstreams[5].url: leave out /v2, which is added",
            "pullgate.yaml:23:58: upstreams[5].auth_hosts[0]: wildcards are not supported here; name each host",
            "pullgate.yaml:24:5: upstreams[6]: wants one of url, layout",
            "pullgate.yaml:24:24: upstreams[6].ca: b.pem cannot be opened: no such file or directory",
            "pullgate.yaml:25:19: default_upstream: `ghcr.oi` is not among `upstreams`; did you mean `ghcr.io`?",
            "pullgate.yaml:26:29: policies[1]: missing cannot be listed: no such file or directory",
            "pullgate.yaml:26:45: policies[2]: policies/none.yaml cannot be opened: no such file or directory",
            "pullgate.yaml:27:12: unmatched: wants deny or dangerous_allow, found `allow`",
            "pullgate.yaml:28:10: tag_ttl: has no unit: write 30s or 30m",
            "pullgate.yaml:29:14: verdict_ttl: wants a time from 1s to 1day, found `2 weeks`",
            "pullgate.yaml:30:12: max_stale: wants a time such as 30s, 5m or 1h 30m, found `never`",
            "pullgate.yaml:31:1: tag_ttl: written twice; the first is on line 28",
            "pullgate.yaml:32:23: limits.connections: wants a whole number from 1 to 1000000, found `0`",
            "pullgate.yaml:32:42: limits.header_timeout: wants a time such as 30s, 5m or 1h 30m, found `soon`",
            "pullgate.yaml:32:59: limits.evidence.page: unknown key; did you mean `pages`?",
            "pullgate.yaml:32:85: limits.verify_threads: wants a whole number from 1 to 1024, found `4`",
            "policies/c.yaml:1:1: images: missing; write which images, as in [\"ghcr.io/acme/**\"]",
            "policies/c.yaml:2:1: image: unknown key; did you mean `images`?",
            "policies/c.yaml:3:24: signatures[0].keyless: wants one of subject, subject_pattern, subject_regex",
            "policies/b.yaml:1:7: name: `acme` is the name of another policy, in policies/acme.yaml:1",
        ]
    );
}

#[test]
fn j4_a_password_in_a_url_is_never_shown() {
    for url in
        ["https://user:hunter2@quay.io", "https://user:hunter2@qu ay.io", "user:hunter2@quay.io", "ftp://user:hunter2@quay.io"]
    {
        let text = problems(&format!("upstreams: [{{host: quay.io, url: \"{url}\"}}]\n")).join("\n");
        assert!(text.contains("upstreams[0].url") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn o9_duplicate_keys_and_broken_yaml_are_said_with_their_place() {
    assert_eq!(
        problems(&format!("{SMALL}policies: []\n")),
        ["pullgate.yaml:3:1: policies: written twice; the first is on line 2"]
    );
    assert!(problems("upstreams: [\n")[0].starts_with("pullgate.yaml:1:12: not YAML: "));
    assert_eq!(problems(""), ["pullgate.yaml: is empty; it needs at least `upstreams` and `policies`"]);
    assert!(problems(&format!("{SMALL}---\n{SMALL}"))[0].contains("a second document"));
    let missing = Config::load(Path::new("/nonexistent/pullgate.yaml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/pullgate.yaml: cannot be opened"), "{missing}");
    assert_eq!(
        problems("policies: [policies/*.yaml]\n"),
        ["pullgate.yaml:1:1: upstreams: missing; write where images are, as in [{host: ghcr.io, url: https://ghcr.io}]"]
    );
    assert_eq!(
        problems("upstreams: []\n"),
        ["pullgate.yaml:1:12: upstreams: an empty list leaves nothing to serve; write where images are"]
    );
}

#[test]
fn o9_an_unknown_key_is_refused_in_every_mapping() {
    for text in [
        "zzz: 1\nupstreams: [{host: a.test, url: https://a.test}]\n",
        "tls: {zzz: 1}\nupstreams: [{host: a.test, url: https://a.test}]\n",
        "store: {zzz: 1}\nupstreams: [{host: a.test, url: https://a.test}]\n",
        "limits: {zzz: 1}\nupstreams: [{host: a.test, url: https://a.test}]\n",
        "limits: {evidence: {zzz: 1}}\nupstreams: [{host: a.test, url: https://a.test}]\n",
        "upstreams: [{host: a.test, url: https://a.test, zzz: 1}]\n",
        "upstreams: [{host: a.test, url: https://a.test, credentials: {zzz: 1}}]\n",
    ] {
        assert!(problems(text).iter().any(|problem| problem.contains("zzz: unknown key")), "{text}");
    }
    let directory = directory(SMALL);
    for (from, to) in [
        ("name:", "zzz: 1\nname:"),
        ("{keyless", "{zzz: 1, keyless"),
        ("{issuer", "{zzz: 1, issuer"),
        ("subject: https://s", "subject: x, claims: {zzz: 1}"),
    ] {
        fs::write(directory.path().join("policies/acme.yaml"), POLICY.replace(from, to)).unwrap();
        assert!(problems_in(&directory).iter().any(|problem| problem.contains("zzz: unknown ")), "{to}");
    }
}

#[test]
fn listeners_that_share_a_port_are_refused() {
    for admin in ["127.0.0.1:5050", "0.0.0.0:5050"] {
        let found = problems(&format!("{SMALL}admin: {admin}\n"));
        assert_eq!(found, [format!("pullgate.yaml:3:8: admin: listen (127.0.0.1:5050) and admin ({admin}) cannot share a port")]);
    }
    load(&format!("{SMALL}listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"));
    load(&format!("{SMALL}listen: \"[::1]:5050\"\nadmin: 127.0.0.1:5050\n"));
}

#[test]
fn values_carry_units_and_have_bounds() {
    let config = load(&format!(
        "{SMALL}tag_ttl: 0\nmax_stale: forever\nverdict_ttl: 1h 30m\nstore: {{max_size: 1.5GiB}}\n\
         limits: {{response_timeout: 5s, drain: 0, verify_threads: 3, evidence: {{pages: 9, total_size: 1MiB}}}}\n"
    ));
    assert_eq!((config.registry.tag_ttl, config.registry.max_stale), (Duration::ZERO, None));
    assert_eq!((config.gate.verdict_ttl, config.gate.deadline), (Duration::from_secs(5400), Duration::from_secs(4)));
    assert_eq!((config.store.max_size, config.server.limits.drain), (3 << 29, Duration::ZERO));
    assert_eq!((config.gate.verify_threads, config.gate.limits.pages, config.gate.limits.total_bytes), (3, 9, 1 << 20));
    assert_eq!(load(&format!("{SMALL}max_stale: 0\n")).gate.max_stale, Some(Duration::ZERO));
    for wrong in [
        "tag_ttl: 30x",
        "tag_ttl: -1s",
        "tag_ttl: 2d",
        "store: {max_size: 50 parsecs}",
        "store: {max_size: 1KiB}",
        "tag_ttl: [30s]",
        "tag_ttl:",
    ] {
        assert_eq!(problems(&format!("{SMALL}{wrong}\n")).len(), 1, "{wrong}");
    }
}

#[test]
fn relative_paths_start_at_the_file_and_every_file_read_is_watched() {
    let directory = directory(&format!(
        "{SMALL}trust_root: root.json\nstore: {{path: data}}\ntls: {{cert: c.pem, key: k.pem, client_ca: a.pem}}\n"
    ));
    for name in ["root.json", "c.pem", "k.pem", "a.pem"] {
        fs::write(directory.path().join(name), "x").unwrap();
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.store.path, directory.path().join("data"));
    let file = TrustRootSource::File(directory.path().join("root.json"));
    assert_eq!(roots(&config), [("default", &file, Relaxed::default())]);
    let tls = config.server.tls.unwrap();
    assert_eq!((tls.cert, tls.client_ca), (directory.path().join("c.pem"), Some(directory.path().join("a.pem"))));
    assert_eq!(config.files.len(), 6);
    assert!(config.weaknesses.is_empty(), "{:?}", config.weaknesses);
    // O11: a key everybody can read is said.
    fs::set_permissions(directory.path().join("k.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.weaknesses.iter().map(|weakness| weakness.kind).collect::<Vec<_>>(), ["readable_secret"]);
}

#[test]
fn trust_roots_have_names_and_what_they_give_up_is_said_at_start() {
    let text = format!(
        "{SMALL}trust_roots:\n  default: sigstore\n  acme: acme.json\n  \
         github: {{path: github.json, dangerous_no_log: true, dangerous_no_sct: true}}\n"
    );
    let directory = directory(&text);
    for name in ["acme.json", "github.json"] {
        fs::write(directory.path().join(name), "{}").unwrap();
    }
    let file = |name: &str| TrustRootSource::File(directory.path().join(name));
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    let lax = Relaxed { no_log: true, no_sct: true };
    assert_eq!(
        roots(&config),
        [
            ("acme", &file("acme.json"), Relaxed::default()),
            ("default", &TrustRootSource::Sigstore, Relaxed::default()),
            ("github", &file("github.json"), lax)
        ]
    );
    let weak: Vec<_> = config.weaknesses.iter().map(|weakness| weakness.kind).collect();
    assert_eq!(weak, ["dangerous_no_log", "dangerous_no_sct"]);
    assert!(config.weaknesses[0].sentence.starts_with("trust root github has no log"), "{}", config.weaknesses[0]);
    assert!(config.files.iter().any(|read| read.ends_with("github.json")), "watched");
}

#[test]
fn a_policy_that_asks_an_unknown_root_is_a_problem_where_it_asks() {
    let policy = |root: &str| {
        format!(
            "name: acme\nimages: [\"ghcr.io/acme/**\"]\nlog: proof\nsignatures:\n  - keyless:\n      issuer: https://i\n      \
             subject: https://s\n      trust_root: {root}\n"
        )
    };
    let directory = directory(&format!(
        "{SMALL}trust_roots: {{default: sigstore, acme: a.json, github: {{path: a.json, dangerous_no_log: true}}}}\n"
    ));
    fs::write(directory.path().join("a.json"), "{}").unwrap();
    let write = |root: &str| fs::write(directory.path().join("policies/acme.yaml"), policy(root)).unwrap();
    for (root, said) in [
        ("acmee", "no trust root is called `acmee`; did you mean `acme`?"),
        ("quay", "no trust root is called `quay`; configured: acme, default, github"),
    ] {
        write(root);
        assert_eq!(problems_in(&directory), [format!("policies/acme.yaml:8:19: signatures[0].keyless.trust_root: {said}")]);
    }
    write("github");
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(
        config.notices,
        [
            "no policy asks trust root acme: what it proves counts nowhere",
            "policy acme wants log: proof, and trust root github has no log: it proves none"
        ]
    );
    // Only the root called default is there without being named.
    assert_eq!(load(SMALL).notices, Vec::<String>::new());
}

#[test]
fn trust_roots_that_cannot_be_meant_are_problems() {
    let nine: String = (0..8).map(|at| format!("r{at}: sigstore, ")).collect();
    for (wrong, said) in [
        ("trust_roots: {}", "trust_roots: wants a root called `default`, as in {default: sigstore}"),
        ("trust_roots: {defalt: sigstore}", "wants a root called `default`, as in {default: sigstore}; is one misspelt?"),
        ("trust_roots: sigstore", "trust_roots: wants a mapping"),
        ("trust_roots: {default: Sigstore}", "trust_roots.default: write `sigstore`, in lower case"),
        ("trust_roots: {default: none.json}", "trust_roots.default: none.json cannot be opened"),
        ("trust_roots: {default: {dangerous_no_log: true}}", "trust_roots.default.path: missing"),
        ("trust_roots: {default: {path: pullgate.yaml, dangerous_no_log: yes}}", "dangerous_no_log: wants true or false"),
        ("trust_roots: {default: {path: pullgate.yaml, no_log: true}}", "trust_roots.default.no_log: unknown key"),
        ("trust_roots: {default: sigstore, more: sigstore}", "trust_roots.more: `sigstore` is the root `default` already"),
        ("trust_roots: {default: sigstore, Acme: pullgate.yaml}", "trust_roots.Acme: a name is 1 to 63 lower-case letters"),
        ("trust_root: sigstore\ntrust_roots: {default: sigstore}", "trust_roots: beside `trust_root`"),
        (&format!("trust_roots: {{{nine}default: pullgate.yaml}}"), "trust_roots: 9 roots, at most 8"),
    ] {
        let problems = problems(&format!("{SMALL}{wrong}\n"));
        assert!(problems.iter().any(|problem| problem.contains(said)), "{wrong}: {problems:?}");
    }
}

#[test]
fn wildcards_skip_hidden_names_and_must_match() {
    let directory = directory(SMALL);
    fs::write(directory.path().join("policies/.swap.yaml"), "not: a policy\n").unwrap();
    fs::create_dir(directory.path().join("policies/x.yaml")).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.policies.policies().len(), 1);
    fs::remove_file(directory.path().join("policies/acme.yaml")).unwrap();
    assert_eq!(problems_in(&directory), ["pullgate.yaml:2:12: policies[0]: matches no file: policies/*.yaml"]);
    fs::create_dir(directory.path().join("policies/team")).unwrap();
    fs::write(directory.path().join("policies/team/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("policies/note.txt"), "").unwrap();
    fs::write(
        directory.path().join("pullgate.yaml"),
        SMALL.replace("policies/*.yaml", "policies/*/*.yaml, policies/*/acme.yaml"),
    )
    .unwrap();
    assert_eq!(Config::load(&directory.path().join("pullgate.yaml")).unwrap().policies.policies().len(), 1);
}

#[test]
fn o6_a_policy_that_is_a_link_to_nothing_is_a_problem_and_not_one_policy_less() {
    let directory = directory(SMALL);
    std::os::unix::fs::symlink("gone.yaml", directory.path().join("policies/strict.yaml")).unwrap();
    let problems = problems_in(&directory);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("strict.yaml cannot be opened: no such file or directory"), "{problems:?}");
    // Behind a wildcard, a directory without the file is no problem.
    fs::remove_file(directory.path().join("policies/strict.yaml")).unwrap();
    for team in ["a", "b"] {
        fs::create_dir(directory.path().join("policies").join(team)).unwrap();
    }
    fs::write(directory.path().join("policies/a/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("pullgate.yaml"), SMALL.replace("policies/*.yaml", "policies/*/acme.yaml")).unwrap();
    assert!(Config::load(&directory.path().join("pullgate.yaml")).is_ok());
}

#[test]
fn o10_o5_what_is_weak_is_said_at_start() {
    let directory = directory(
        "listen: 0.0.0.0:5050\nadmin: 10.0.0.1:5051\nunmatched: dangerous_allow\npolicies: [policies/*.yaml]\n\
         upstreams: [{host: ghcr.io, url: \"http://ghcr.io\", plain_http: dangerous}]\n",
    );
    let policy = format!("{POLICY}mode: audit\ndangerous_no_attestation: true\n");
    fs::write(directory.path().join("policies/acme.yaml"), policy).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    let kinds: Vec<_> = config.weaknesses.iter().map(|weakness| weakness.kind).collect();
    assert_eq!(kinds, ["open_listener", "open_admin", "plain_http", "dangerous_allow", "audit", "dangerous_no_attestation"]);
    assert!(matches!(&config.upstreams[0].location, Location::Registry(registry) if registry.plain_http));
}

#[test]
fn o8_i9_policies_that_refuse_everything_are_said_at_start() {
    assert_eq!(load("upstreams: [{host: ghcr.io, url: https://ghcr.io}]\n").notices.len(), 1);
    let config = load("upstreams: [{host: quay.io, url: https://quay.io}]\npolicies: [policies/acme.yaml]\n");
    assert_eq!(
        config.notices,
        [
            "policy acme names no image of any upstream here",
            "no policy names images of quay.io, and unmatched is deny: all of them are refused"
        ]
    );
}

#[test]
fn d4_deny_lists_are_read_and_watched_and_one_that_cannot_be_read_is_a_problem() {
    let text = format!("{SMALL}deny: [deny/*.yaml]\n");
    let directory = directory(&text);
    assert_eq!(problems_in(&directory), ["pullgate.yaml:3:8: deny[0]: deny cannot be listed: no such file or directory"]);
    fs::create_dir(directory.path().join("deny")).unwrap();
    assert!(problems_in(&directory)[0].contains("deny[0]: matches no file"));
    let digest = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    fs::write(directory.path().join("deny/a.yaml"), format!("- {{digest: \"{digest}\", reason: INC-1}}\n")).unwrap();
    let config = Config::load(&directory.path().join("pullgate.yaml")).unwrap();
    assert_eq!(config.policies.deny().digest(&digest.parse().unwrap()).map(|reason| &**reason), Some("INC-1"));
    assert!(config.files.contains(&directory.path().join("deny/a.yaml")), "{:?}", config.files);
    assert!(config.directories.contains(&directory.path().join("deny")), "{:?}", config.directories);
    // Emptied by a writer that has not written yet: nothing is un-denied by it.
    fs::write(directory.path().join("deny/a.yaml"), "").unwrap();
    assert_eq!(problems_in(&directory), ["deny/a.yaml: is empty; write [] to deny nothing"]);
}

/// `config/pullgate.yaml` with every commented setting uncommented: a `#` before anything but one space.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        let body = line.trim_start();
        match body.strip_prefix('#') {
            Some(rest) if rest.starts_with("  ") || !rest.starts_with(' ') => {
                format!("{}{rest}", &line[..line.len() - body.len()])
            }
            Some(_) | None => line.to_owned(),
        }
    };
    text.lines().map(setting).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_names_every_key_with_its_true_default() {
    let shipped = fs::read_to_string("config/pullgate.yaml").unwrap();
    let full = uncommented(&shipped);
    let directory = tempfile::tempdir().unwrap();
    for name in ["policies", "deny", "tls", "secrets", "layout"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    for name in ["strict.yaml", "audit.yaml", "change.yaml", "content.yaml"] {
        fs::copy(format!("config/policies/{name}"), directory.path().join("policies").join(name)).unwrap();
    }
    fs::copy("config/deny/incidents.yaml", directory.path().join("deny/incidents.yaml")).unwrap();
    for name in ["secrets/config.json", "tls/registry-ca.pem", "tls/server.pem", "tls/server.key", "tls/client-ca.pem"] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    let read = |text: &str| {
        fs::write(directory.path().join("pullgate.yaml"), text).unwrap();
        Config::load(&directory.path().join("pullgate.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let (mut plain, full) = (read(&shipped), read(&full));
    // The one default that is this machine's.
    plain.gate.verify_threads = 4;
    let told = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            (config.server.listen, config.server.admin),
            config.server.limits,
            config.gate,
            config.registry,
            config.store,
            config.trust_roots,
            config.policies.unmatched()
        )
    };
    assert_eq!(told(&plain), told(&full));
    assert_eq!((plain.policies.deny().len(), full.policies.deny().len()), (0, 4));
    assert!(full.server.tls.is_some() && full.default_upstream.is_some() && full.upstreams.len() == 4);
    // Every key of every mapping stands there.
    let text = uncommented(&shipped);
    for key in schema::KEYS
        .iter()
        .chain(limits::KEYS)
        .chain(limits::EVIDENCE)
        .chain(upstreams::KEYS)
        .chain(trust_roots::KEYS)
        .chain(["cert", "key", "client_ca", "path", "max_size"].iter())
    {
        assert!(text.contains(&format!("{key}:")), "config/pullgate.yaml does not show `{key}`");
    }
}

#[test]
fn the_quickstart_file_loads_as_it_is() {
    let config = Config::load(Path::new("config/quickstart.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.weaknesses.is_empty() && config.notices.is_empty(), "{:?} {:?}", config.weaknesses, config.notices);
    assert!(matches!(&config.upstreams[..], [upstream::Config { location: Location::Layout(_), .. }]));
}
