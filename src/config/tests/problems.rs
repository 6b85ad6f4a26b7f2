//! What is wrong with a file is said all at once, each with its place and what to write.

use super::*;

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
            "pullgate.yaml:29:14: verdict_ttl: wants a time from 1s to 1d, found `2 weeks`",
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
