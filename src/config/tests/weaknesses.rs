//! What is said at start of a configuration that can be used and should not be.

use super::*;

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
