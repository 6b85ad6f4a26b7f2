//! The certificate authorities of a `TrustRoot`, as a `trusted_root.json` has them.
//!
//! There, all certificates of all authorities are one heap: what signs itself is a root, the rest are intermediates, in any
//! order. Here, an authority is one chain, whose certificates must all be valid at once: of the heap, each way from a
//! certificate that issued no other one up to a root.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use x509_cert::{
    Certificate,
    der::{Decode as _, Encode as _},
};

/// How many ways there may be. More are certificates that issue each other.
const MAX_CHAINS: usize = 64;

struct Node {
    raw: Value,
    /// The authority it stood in.
    of: usize,
    subject: Vec<u8>,
    issuer: Vec<u8>,
}

/// The authorities, one for each chain. What no root vouches for is left out: nothing is verified by it there.
///
/// # Errors
/// What of them is no certificate, or that they are too many.
pub(super) fn of(authorities: &[Value]) -> Result<Vec<Value>, String> {
    let mut nodes: Vec<Node> = Vec::new();
    for (of, authority) in authorities.iter().enumerate() {
        for raw in authority["certChain"]["certificates"].as_array().into_iter().flatten() {
            let node =
                node(raw, of).ok_or_else(|| format!("certificateAuthorities[{of}] has a certificate that cannot be read"))?;
            if !nodes.iter().any(|known| known.raw == node.raw) {
                nodes.push(node);
            }
        }
    }
    let issued = |one: &Node, other: &Node| one.subject == other.issuer && one.raw != other.raw;
    let mut waiting: Vec<Vec<usize>> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if !nodes.iter().any(|other| issued(node, other)) {
            waiting.push(vec![at]);
        }
    }
    waiting.reverse();
    let mut made = Vec::new();
    while let Some(chain) = waiting.pop() {
        if made.len() + waiting.len() > MAX_CHAINS {
            return Err(format!("its certificates make more than {MAX_CHAINS} chains"));
        }
        let Some(last) = chain.last().and_then(|at| nodes.get(*at)) else { continue };
        if last.subject == last.issuer {
            made.push(authority(authorities, &nodes, &chain));
            continue;
        }
        let issuers = (0..nodes.len()).rev().filter(|at| !chain.contains(at) && issued(&nodes[*at], last));
        waiting.extend(issuers.map(|at| [chain.as_slice(), &[at]].concat()).collect::<Vec<_>>());
    }
    Ok(made)
}

fn node(raw: &Value, of: usize) -> Option<Node> {
    let der = STANDARD.decode(raw["rawBytes"].as_str()?).ok()?;
    let certificate = Certificate::from_der(&der).ok()?.tbs_certificate;
    Some(Node { raw: raw.clone(), of, subject: certificate.subject.to_der().ok()?, issuer: certificate.issuer.to_der().ok()? })
}

/// The authority of `chain`, called as the one its first certificate stood in.
fn authority(authorities: &[Value], nodes: &[Node], chain: &[usize]) -> Value {
    let certificates: Vec<&Node> = chain.iter().filter_map(|at| nodes.get(*at)).collect();
    let mut made = certificates.first().and_then(|first| authorities.get(first.of)).cloned().unwrap_or_default();
    made["certChain"]["certificates"] = json!(certificates.iter().map(|node| &node.raw).collect::<Vec<_>>());
    made
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A certificate of `subject` by `issuer`. Its signature is nobody's: nothing here looks at it.
    fn certificate(subject: &str, issuer: &str, serial: u32) -> Value {
        use x509_cert::{
            TbsCertificate, Version,
            der::{Any, asn1::BitString},
            name::Name,
            serial_number::SerialNumber,
            spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned},
            time::Validity,
        };
        let algorithm =
            AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), parameters: None::<Any> };
        let name = |name: &str| format!("CN={name}").parse::<Name>().unwrap();
        let key = BitString::from_bytes(&serial.to_be_bytes()).unwrap();
        let tbs_certificate = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::from(serial),
            signature: algorithm.clone(),
            issuer: name(issuer),
            validity: Validity::from_now(Duration::from_secs(60)).unwrap(),
            subject: name(subject),
            subject_public_key_info: SubjectPublicKeyInfoOwned { algorithm: algorithm.clone(), subject_public_key: key.clone() },
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: None,
        };
        let certificate = Certificate { tbs_certificate, signature_algorithm: algorithm, signature: key };
        json!({"rawBytes": STANDARD.encode(certificate.to_der().unwrap())})
    }

    #[test]
    fn certificates_in_any_order_make_a_chain_for_each_way_to_a_root() {
        let [root, other, again] = [("r", 1), ("o", 2), ("r", 3)].map(|(name, serial)| certificate(name, name, serial));
        let [inner, outer, orphan] =
            [("i", "r", 4), ("j", "i", 5), ("x", "nobody", 6)].map(|(name, by, serial)| certificate(name, by, serial));
        let [left, right] = [("a", "b", 7), ("b", "a", 8)].map(|(name, by, serial)| certificate(name, by, serial));
        let made = |authorities: &[&[&Value]]| {
            let authorities: Vec<Value> = authorities
                .iter()
                .enumerate()
                .map(|(at, list)| json!({"uri": at, "certChain": {"certificates": list}}))
                .collect();
            let made = of(&authorities).unwrap().into_iter();
            made.map(|one| (one["uri"].as_u64().unwrap(), one["certChain"]["certificates"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(made(&[&[&inner, &root]]), [(0, json!([inner, root]))]);
        assert_eq!(made(&[&[&root, &outer, &inner]]), [(0, json!([outer, inner, root]))]);
        // Another root, before or behind, is another authority; of its dates the first knows nothing.
        for order in [[&inner, &root, &other], [&other, &inner, &root]] {
            let mut all = made(&[&order]);
            all.sort_by_key(|(_, chain)| chain.as_array().unwrap().len());
            assert_eq!(all, [(0, json!([other])), (0, json!([inner, root]))]);
        }
        // Two roots of one name may both have issued it; authorities are one heap; the same twice is once.
        assert_eq!(made(&[&[&inner], &[&root, &again, &root]]), [(0, json!([inner, root])), (0, json!([inner, again]))]);
        // What leads to no root is nothing to verify by.
        assert_eq!(made(&[&[&orphan, &left, &right]]), []);
    }

    #[test]
    fn many_certificates_that_issue_each_other_end() {
        let mut list: Vec<Value> = (0..40).map(|serial| certificate("r", "r", serial)).collect();
        list.extend((40..80).map(|serial| certificate("i", "r", serial)));
        let error = of(&[json!({"certChain": {"certificates": list}})]).unwrap_err();
        assert!(error.contains("more than 64 chains"), "{error}");
        assert!(of(&[json!({"certChain": {"certificates": [{"rawBytes": "AAAA"}]}})]).unwrap_err().contains("cannot be read"));
    }
}
