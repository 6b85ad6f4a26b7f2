//! What a certificate says of its signer, against the published list of Fulcio's extensions (`docs/oid-info.md` of
//! sigstore/fulcio): every number, its encoding and its name, in the shapes of GitHub, GitLab and a person.

use super::{
    forge::{Forge, Leaf, Logged, der_utf8, email, uri},
    *,
};

/// Number, our name, GitHub's value. Up to .6 the value is the bare string, from .8 on a DER UTF8String.
const GITHUB: [(u64, &str, &str); 21] = [
    (2, "github_workflow_trigger", "push"),
    (3, "github_workflow_sha", "8f4a11"),
    (4, "github_workflow_name", "release"),
    (5, "github_workflow_repository", "acme/app"),
    (6, "github_workflow_ref", "refs/heads/main"),
    (9, "build_signer_uri", "https://github.com/acme/shared/.github/workflows/build.yml@refs/tags/v1"),
    (10, "build_signer_digest", "77aa01"),
    (11, "runner_environment", "github-hosted"),
    (12, "source_repository_uri", "https://github.com/acme/app"),
    (13, "source_repository_digest", "8f4a12"),
    (14, "source_repository_ref", "refs/heads/main2"),
    (15, "source_repository_identifier", "1001"),
    (16, "source_repository_owner_uri", "https://github.com/acme"),
    (17, "source_repository_owner_identifier", "77"),
    (18, "build_config_uri", "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"),
    (19, "build_config_digest", "8f4a13"),
    (20, "build_trigger", "workflow_dispatch"),
    (21, "run_invocation_uri", "https://github.com/acme/app/actions/runs/1/attempts/1"),
    (22, "source_repository_visibility_at_signing", "private"),
    (23, "deployment_environment", "production"),
    (24, "token_subject", "repo:acme/app:environment:production"),
];

/// As the extension holds it.
fn encoded(number: u64, value: &str) -> (u64, Vec<u8>) {
    (number, if number < 8 { value.as_bytes().to_vec() } else { der_utf8(value) })
}

fn signer(name: rcgen::SanType, issuer: &str, claims: &[(u64, &str)]) -> Signer {
    let mut extensions = vec![encoded(1, issuer), encoded(8, issuer)];
    extensions.extend(claims.iter().map(|(number, value)| encoded(*number, value)));
    let verified = FORGE.verify_leaf(&Leaf { names: vec![name], extensions, ..Leaf::default() });
    verified.unwrap().signer
}

static FORGE: LazyLock<Forge> = LazyLock::new(Forge::new);

impl Forge {
    fn verify_leaf(&self, leaf: &Leaf) -> Result<Verified, VerifyError> {
        let subject = Digest::sha256(b"image");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": SPDX, "predicate": {},
            "subject": [{"digest": {"sha256": subject.to_hex()}}],
        });
        self.verifier().prove(&subject, &self.bundle(&statement, leaf, &Logged::default()))
    }
}

#[test]
fn i7_every_extension_a_github_workflow_gets_is_the_claim_of_its_published_name() {
    let claims: Vec<(u64, &str)> = GITHUB.iter().map(|(number, _, value)| (*number, *value)).collect();
    let signer = signer(uri(RELEASE), ISSUER, &claims);
    assert_eq!((&*signer.issuer, signer.san_kind, &*signer.subject), (ISSUER, SanKind::Uri, RELEASE));
    let expected: BTreeMap<&str, String> = GITHUB.iter().map(|(_, name, value)| (*name, (*value).to_owned())).collect();
    assert_eq!(signer.claims, expected);
    // And a policy may name each of them, and nothing else.
    let names: Vec<&str> = expected.into_keys().collect();
    assert_eq!(names, CLAIMS);
}

#[test]
fn i10_a_gitlab_pipeline_has_gitlabs_claims_and_none_of_githubs() {
    let pipeline = "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main";
    let claims = [
        (9, pipeline),
        (10, "8f4a11"),
        (11, "gitlab-hosted"),
        (12, "https://gitlab.com/acme/app"),
        (13, "8f4a11"),
        (14, "refs/heads/main"),
        (15, "4242"),
        (16, "https://gitlab.com/acme"),
        (17, "99"),
        (18, pipeline),
        (19, "8f4a11"),
        (20, "push"),
        (21, "https://gitlab.com/acme/app/-/jobs/7"),
        (22, "private"),
    ];
    let signer = signer(uri(pipeline), "https://gitlab.com", &claims);
    assert_eq!((&*signer.issuer, signer.san_kind, &*signer.subject), ("https://gitlab.com", SanKind::Uri, pipeline));
    assert_eq!(signer.claims["source_repository_identifier"], "4242");
    assert_eq!(signer.claims["runner_environment"], "gitlab-hosted");
    assert_eq!(signer.claims.len(), claims.len());
    assert!(!signer.claims.keys().any(|name| name.starts_with("github_")), "{:?}", signer.claims);
}

#[test]
fn i6_a_person_is_an_email_address_and_an_issuer_without_claims() {
    let signer = signer(email("ada@acme.test"), "https://accounts.google.com", &[]);
    assert_eq!(
        (&*signer.issuer, signer.san_kind, &*signer.subject),
        ("https://accounts.google.com", SanKind::Email, "ada@acme.test")
    );
    assert!(signer.claims.is_empty());
}

#[test]
fn i11_a_claim_that_is_not_encoded_as_published_is_absent() {
    for (number, content) in [
        (12, b"https://github.com/acme/app".to_vec()),
        (12, Vec::new()),
        (12, [der_utf8("https://github.com/acme/app"), vec![0]].concat()),
        // An OCTET STRING, and a PrintableString, of the same text.
        (12, [&[4, 1], &b"x"[..]].concat()),
        (12, [&[0x13, 1], &b"x"[..]].concat()),
        (2, vec![0xff, 0xfe]),
    ] {
        let extensions = vec![(8, der_utf8(ISSUER)), (number, content.clone())];
        let signer = FORGE.verify_leaf(&Leaf { extensions, ..Leaf::default() }).unwrap().signer;
        assert!(signer.claims.is_empty(), "{number} {content:?}: {:?}", signer.claims);
    }
}
