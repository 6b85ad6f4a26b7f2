//! What a judgement consists of: verification, documents, policies; and what is read once.

use std::{path::Path, sync::LazyLock};

use divan::{AllocProfiler, Bencher, black_box};
use jiff::Timestamp;
use pullgate::{
    evidence::{Content, referrers},
    oci::{Digest, ImageName},
    policy::{Case, PolicySet, Unmatched, deny::DeniedPackages},
    verify::{Proven, Sigstore, Statement, Verified, Verifier as _},
};
use pullgate_micro::{
    front,
    recorded::{self, HOST, Layout, POLICY, TRUSTED_ROOT},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// The recorded image with a signature and an SPDX attestation.
struct App {
    verifier: Sigstore,
    image: ImageName,
    subject: Digest,
    /// The signature, the attestation.
    evidence: [Content; 2],
    facts: Vec<Verified>,
}

static APP: LazyLock<App> = LazyLock::new(|| {
    let layout = Layout::acme();
    let subject = layout.tag("acme/app:v1");
    let bundles = layout.bundles("acme/app", &subject);
    let evidence = <[Content; 2]>::try_from(bundles.iter().map(recorded::content).collect::<Vec<_>>()).expect("two bundles");
    let verifier = Sigstore::from_trusted_root(TRUSTED_ROOT.as_bytes()).expect("a trust root");
    let facts = evidence.iter().flat_map(|content| verifier.verify(&subject, content).expect("valid evidence")).collect();
    let image = ImageName::new(HOST.parse().expect("a host"), "acme/app".parse().expect("a repository"));
    App { verifier, image, subject, evidence, facts }
});

#[divan::bench(args = ["signature", "spdx_attestation"])]
fn verify(bencher: Bencher<'_, '_>, what: &str) {
    let app = &*APP;
    let content = &app.evidence[usize::from(what != "signature")];
    bencher.bench(|| app.verifier.verify(black_box(&app.subject), content).expect("valid evidence"));
}

/// An SPDX document of at least so many bytes, of packages as syft lists them.
fn spdx(bytes: usize) -> String {
    let mut text = String::from(
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"app","documentNamespace":"https://acme.test/app","creationInfo":{"created":"2026-11-22T00:00:00Z","creators":["Tool: syft-1.30.0"]},"packages":["#,
    );
    let mut at = 0;
    while at == 0 || text.len() < bytes {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&format!(
            r#"{{"SPDXID":"SPDXRef-Package-{at}","name":"package-{at}","versionInfo":"1.{at}.0","supplier":"Organization: Acme","downloadLocation":"NOASSERTION","licenseConcluded":"NOASSERTION","licenseDeclared":"MIT OR Apache-2.0","copyrightText":"NOASSERTION","externalRefs":[{{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/package-{at}@1.{at}.0"}}]}}"#
        ));
        at += 1;
    }
    text.push_str("]}");
    text
}

const CHECKS: &str = r#"
    packages: {deny: [pkg:npm/event-stream, {purl: "pkg:npm/package-1", versions: ">=2"}, {name: xz-utils, versions: ["5.6.0"]}]}
    licenses: {deny: [AGPL-3.0-only, SSPL-1.0]}
    suppliers: {deny: [Example Malware Inc]}
"#;
const CEL: &str = "\n    require: \"predicate.packages.all(p, !p.name.startsWith('evil'))\"\n";

/// Whether a policy holds, its evidence proven: signer, claims, and an SPDX document of so many bytes, with `more` asked of it.
fn judge(bencher: Bencher<'_, '_>, bytes: usize, more: &str) {
    let policies = front::policies(&format!("{}{more}", POLICY.trim_end()));
    let App { image, subject, facts, .. } = &*APP;
    let document = spdx(bytes);
    let size = document.len();
    let mut facts = facts.clone();
    for fact in &mut facts {
        if let Proven::Attestation(Statement { predicate, .. }) = &mut fact.content {
            *predicate = document.clone().into();
        }
    }
    let now = Timestamp::now();
    let case = Case { image, subject, facts: &facts, platforms: None, denied: &DeniedPackages::default(), now };
    let selection = policies.select(image);
    let [policy] = selection.enforce.as_slice() else { panic!("one policy") };
    bencher.counter(divan::counter::BytesCount::new(size)).bench(|| policy.judge(black_box(&case)).expect("it holds"));
}

#[divan::bench(args = [700, 10 << 20])]
fn spdx_alone(bencher: Bencher<'_, '_>, bytes: usize) {
    judge(bencher, bytes, "");
}

#[divan::bench(args = [700, 10 << 20])]
fn spdx_checks(bencher: Bencher<'_, '_>, bytes: usize) {
    judge(bencher, bytes, CHECKS);
}

/// A condition sees at most 8 MiB.
#[divan::bench(args = [700, 15 << 19])]
fn spdx_condition(bencher: Bencher<'_, '_>, bytes: usize) {
    judge(bencher, bytes, CEL);
}

/// Which policies name an image: asked once for each image and set of policies.
#[divan::bench(args = [1, 10, 1_000])]
fn select(bencher: Bencher<'_, '_>, policies: usize) {
    let text = |at: usize| {
        let named = if at == 0 { "acme".to_owned() } else { format!("team-{at}") };
        POLICY.replace("acme-release", &format!("policy-{at}")).replace("registry.acme.test/acme", &format!("{HOST}/{named}"))
    };
    let mut parsed = Vec::new();
    for at in 0..policies {
        let mut problems = Vec::new();
        let read = pullgate::policy::parse(Path::new("policy.yaml"), &text(at), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        parsed.extend(read.into_iter().map(|policy| (format!("policy-{at}.yaml").into(), policy)));
    }
    let set = PolicySet::new(parsed, Unmatched::Deny).expect("policies");
    assert_eq!(set.select(&APP.image).enforce.len(), 1);
    bencher.bench(|| set.select(black_box(&APP.image)));
}

#[divan::bench]
fn trust_root() -> Sigstore {
    Sigstore::from_trusted_root(black_box(TRUSTED_ROOT.as_bytes())).expect("a trust root")
}

/// An index of referrers with so many entries.
#[divan::bench(args = [2, 100])]
fn referrers_index(bencher: Bencher<'_, '_>, entries: usize) {
    let entry = |at: usize| {
        let digest = Digest::sha256(&at.to_be_bytes());
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":868,"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json","annotations":{{"dev.sigstore.bundle.content":"dsse-envelope"}}}}"#
        )
    };
    let all = (0..entries).map(entry).collect::<Vec<_>>().join(",");
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{all}]}}"#);
    bencher.bench(|| referrers::entries(black_box(index.as_bytes()), 100).expect("an index"));
}
