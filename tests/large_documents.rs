//! A 50 MiB SBOM is judged by every built-in check in memory that does not grow with it, however it is wrapped.
//!
//! A test binary of its own, because it counts what is allocated.
#![expect(clippy::unwrap_used, reason = "a test; allow-unwrap-in-tests covers test functions only")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use pullgate::{
    oci::{Digest, ImageName},
    policy::{Case, Held, PolicySet, Unmatched, Unmet, deny::DeniedPackages},
    verify::{DEFAULT_TRUST_ROOT, LogEvidence, Predicate, Proven, SanKind, Signer, Statement, Verified},
};

const MIB: usize = 1 << 20;
const SIZE: usize = 50 * MIB;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "counts what passes through to the system's allocator, and changes none of it")]
// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const POLICY: &str = r#"
name: all-checks
images: ["ghcr.io/acme/app"]
signatures: [{keyless: {issuer: i, subject: s}}]
attestations:
  - predicate_type: https://spdx.dev/Document
    packages: {deny: ["pkg:npm/event-stream", {name: log4j-core, versions: "<2.17.1"}]}
    licenses: {deny: [AGPL-3.0-only], allow: [MIT, GPL-2.0-or-later, NOASSERTION]}
    suppliers: {allow: [Acme], deny: [Evil], required: true}
"#;

fn package(text: &mut String, number: usize, name: &str) {
    write!(
        text,
        r#"{{"name":"{name}","SPDXID":"SPDXRef-Package-{number}","versionInfo":"2.14.{number}","supplier":"Organization: Acme (a@acme.test)",
"downloadLocation":"NOASSERTION","filesAnalyzed":false,"licenseConcluded":"NOASSERTION","licenseDeclared":"MIT OR GPL-2.0-or-later",
"copyrightText":"{filler}","externalRefs":[{{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:x:{name}"}},
{{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/{name}@2.14.{number}"}}]}}"#,
        filler = "Copyright (c) the authors \\u00e9\\n".repeat(48),
    )
    .unwrap();
}

/// SPDX 2.3 of 50 MiB, its last package called `last`.
fn spdx(last: &str) -> String {
    let mut text = String::with_capacity(SIZE + MIB);
    text.push_str(
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"a","documentNamespace":"https://a","creationInfo":{},"packages":["#,
    );
    let mut number = 0;
    while text.len() < SIZE {
        package(&mut text, number, &format!("package-{number}"));
        text.push(',');
        number += 1;
    }
    package(&mut text, 1, last);
    text.push_str("]}");
    text
}

/// SPDX 3.0 of 50 MiB: every package with a relationship to its licence, the last one's `license`.
fn spdx_3(license: &str) -> String {
    let mut text = String::with_capacity(SIZE + MIB);
    text.push_str(
        r#"{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
{"type":"CreationInfo","@id":"_:c","specVersion":"3.0.1"},{"type":"SpdxDocument","spdxId":"urn:d","creationInfo":"_:c"},
{"type":"Organization","spdxId":"urn:acme","name":"Acme"},
{"type":"simplelicensing_LicenseExpression","spdxId":"urn:mit","simplelicensing_licenseExpression":"MIT"},
{"type":"simplelicensing_LicenseExpression","spdxId":"urn:last","simplelicensing_licenseExpression":""#,
    );
    text.push_str(license);
    text.push_str("\"}");
    let mut number = 0;
    while text.len() < SIZE {
        let to = if text.len() + 1100 < SIZE { "urn:mit" } else { "urn:last" };
        write!(
            text,
            r#",{{"type":"software_Package","spdxId":"urn:package:{number}","creationInfo":"_:c","name":"package-{number}","suppliedBy":"urn:acme",
"software_packageVersion":"1.{number}","software_packageUrl":"pkg:npm/package-{number}@1.{number}","software_copyrightText":"{filler}"}},
{{"type":"Relationship","spdxId":"urn:relationship:{number}","creationInfo":"_:c","from":"urn:package:{number}","relationshipType":"hasDeclaredLicense","to":["{to}"]}}"#,
            filler = "Copyright (c) the authors ".repeat(24),
        )
        .unwrap();
        number += 1;
    }
    text.push_str("]}");
    text
}

/// The text as a JSON string.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A way to wrap a document.
type Wrap = fn(String) -> String;

/// What a policy with every check says of an image with this document, and how many bytes that took at most.
fn judge(document: String) -> (Result<Held, Unmet>, usize) {
    assert!((SIZE..64 * MIB).contains(&document.len()), "{}", document.len());
    let signer = Signer {
        trust_root: DEFAULT_TRUST_ROOT.into(),
        issuer: "i".into(),
        san_kind: SanKind::Uri,
        subject: "s".into(),
        claims: Default::default(),
    };
    let statement = Statement { predicate_type: "https://spdx.dev/Document".into(), predicate: Predicate::from(document) };
    let facts = [Proven::Signature, Proven::Attestation(statement)].map(|content| Verified {
        signer: signer.clone(),
        content,
        times: vec![jiff::Timestamp::UNIX_EPOCH],
        log: LogEvidence::Proof,
        entries: Vec::new(),
        source: None,
    });
    let set = PolicySet::from_text(Path::new("policy.yaml"), POLICY, Unmatched::Deny).unwrap();
    let image = ImageName::new("ghcr.io".parse().unwrap(), "acme/app".parse().unwrap());
    let subject = Digest::sha256(b"image");
    let case = Case {
        image: &image,
        subject: &subject,
        facts: &facts,
        platforms: None,
        denied: &DeniedPackages::default(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };

    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let outcome = set.policies()[0].judge(&case);
    (outcome, PEAK.load(Ordering::Relaxed) - before)
}

// One test: what runs beside it would be counted too.
#[test]
fn a9_a_50_mib_sbom_is_judged_in_a_few_mib_however_it_is_wrapped() {
    let wrapped: [(&str, Wrap); 4] = [
        ("plain", |text| text),
        ("in a string", |text| string(&text)),
        ("in Data", |text| format!("{{\"Timestamp\":\"\",\"Data\":{text}}}")),
        ("in a string in Data", |text| format!("{{\"Data\":{},\"Timestamp\":\"\"}}", string(&text))),
    ];
    for (how, wrap) in wrapped {
        let (outcome, peak) = judge(wrap(spdx("log4j-core")));
        let summary = outcome.unwrap_err().summary;
        assert!(summary.contains("wants no package log4j-core <2.17.1; found log4j-core 2.14.1"), "{how}: {summary}");
        assert!(peak < MIB, "{how}: {peak} bytes");
    }
    let (outcome, peak) = judge(spdx("last"));
    assert!(outcome.is_ok() && peak < MIB, "{outcome:?}, {peak} bytes");

    // SPDX 3 keeps licences apart from packages: what joins them costs 16 bytes a package, and to know an element again as much.
    let (outcome, peak) = judge(string(&spdx_3("AGPL-3.0-or-later")));
    assert!(outcome.unwrap_err().summary.contains("found AGPL-3.0-or-later in package-"));
    assert!(peak < 4 * MIB, "{peak} bytes");
}
