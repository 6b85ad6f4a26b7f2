//! The dry run: an expression over an example of the predicate it is about.
//!
//! An example holds what documents of its type commonly hold, each with the type it always has; what differs between
//! producers is left out. So an expression may ask for what is not there, and may be false, but where it takes a list
//! for a string it would do so of every document.

use jiff::Timestamp;

use super::{
    document::Document,
    eval::{Evaluator, Inputs},
    expr::Node,
    fault::Fault,
    inputs,
    meter::Meter,
    syntax::Wrong,
    value::Value,
};
use crate::{
    oci::{Digest, ImageName},
    policy::{predicate::PredicateType, sentence::short, spdx},
    verify::{CLAIMS, DEFAULT_TRUST_ROOT, LogEvidence, Predicate, Proven, SanKind, Signer, Statement, Verified},
};

/// How the types of CycloneDX begin.
const CYCLONEDX: &str = "https://cyclonedx.org/bom";

const SPDX_2: &str = include_str!("samples/spdx-2.3.json");
const SPDX_3: &str = include_str!("samples/spdx-3.0.json");
const CYCLONEDX_1: &str = include_str!("samples/cyclonedx-1.6.json");
const SLSA_0_2: &str = include_str!("samples/slsa-0.2.json");
const SLSA_1: &str = include_str!("samples/slsa-1.json");
const VULN: &str = include_str!("samples/cosign-vuln.json");
const VULN_TRIVY: &str = include_str!("samples/cosign-vuln-trivy.json");
const OPENVEX: &str = include_str!("samples/openvex.json");

/// The examples of predicates of `predicate_type`: none for one that is not known here.
fn examples(predicate_type: &str) -> &'static [&'static str] {
    let begins = |with: &str| predicate_type.starts_with(with);
    if begins(spdx::TYPE_2_2) || begins(spdx::TYPE_2_3) {
        &[SPDX_2]
    } else if predicate_type == spdx::TYPE {
        &[SPDX_2, SPDX_3]
    } else if begins("https://spdx.dev/Document/v3") {
        &[SPDX_3]
    } else if begins(CYCLONEDX) {
        &[CYCLONEDX_1]
    } else if begins("https://slsa.dev/provenance/v0.") {
        &[SLSA_0_2]
    } else if begins("https://slsa.dev/provenance/v1") {
        &[SLSA_1]
    } else if begins("https://cosign.sigstore.dev/attestation/vuln/") {
        &[VULN, VULN_TRIVY]
    } else if begins("https://openvex.dev/ns") {
        &[OPENVEX]
    } else {
        &[]
    }
}

/// Evaluates `node` on every example of `predicate_type`, all parts of it.
///
/// # Errors
/// Types that do not fit, or a value that is neither true nor false. A missing key is none: examples are not complete.
pub(super) fn try_on(node: &Node, predicate_type: &PredicateType) -> Result<(), Wrong> {
    let predicate_type = predicate_type.to_string();
    let failed = |what: &dyn std::fmt::Display| Wrong::new(node.at, format!("cannot be tried on an example: {what}"));
    for example in examples(&predicate_type) {
        let document = Document::read(example.as_bytes()).map_err(|error| failed(&error))?;
        let statement = Statement { predicate_type: predicate_type.clone(), predicate: Predicate::from(*example) };
        let image = ImageName::new(
            "registry.example".parse().map_err(|error| failed(&error))?,
            "acme/app".parse().map_err(|error| failed(&error))?,
        );
        let fact = fact(statement.clone());
        let inputs = inputs(document.root().into(), &image, &Digest::sha256(b""), &fact, &statement);
        on_one(node, &inputs, &predicate_type)?;
    }
    Ok(())
}

fn on_one(node: &Node, inputs: &Inputs<'_>, predicate_type: &str) -> Result<(), Wrong> {
    let meter = Meter::new();
    let kind = short(predicate_type, 60);
    match Evaluator::thorough(inputs, &meter).value(node) {
        Ok(Value::Bool(_)) => Ok(()),
        Ok(other) => Err(Wrong::new(node.at, format!("yields {} of an example of {kind}, not true or false", other.kind()))),
        Err(Fault::Spent(spent)) => Err(Wrong::new(node.at, format!("takes {spent}"))),
        Err(Fault::Trouble(trouble)) if trouble.is_type() => {
            let clause = short(&trouble.clause(), 80);
            Err(Wrong::new(trouble.node.at, format!("does not fit {kind}: of an example, {clause} finds {}", trouble.found())))
        }
        Err(Fault::Trouble(_)) => Ok(()),
    }
}

/// Somebody who has every claim.
fn fact(statement: Statement) -> Verified {
    Verified {
        signer: Signer {
            trust_root: DEFAULT_TRUST_ROOT.into(),
            issuer: "https://token.actions.githubusercontent.com".into(),
            san_kind: SanKind::Uri,
            subject: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main".into(),
            claims: CLAIMS.iter().map(|name| (*name, "example".to_owned())).collect(),
        },
        content: Proven::Attestation(statement),
        times: vec![Timestamp::UNIX_EPOCH],
        log: LogEvidence::Proof,
        entries: Vec::new(),
        source: None,
    }
}
