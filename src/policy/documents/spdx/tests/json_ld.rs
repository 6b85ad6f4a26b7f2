//! SPDX 3 by JSON-LD's other means, which its schema does not have.

use super::*;

/// Passed over, each would hide a package from whoever denies it.
#[test]
fn spdx_3_other_spellings_of_what_decides_are_malformed() {
    let purl = json!({"type": "ExternalIdentifier", "externalIdentifierType": "packageUrl", "identifier": "pkg:npm/a@1"});
    for (key, value) in [
        ("software_packageUrl", json!(["pkg:npm/a@1"])),
        ("software_packageUrl", json!({"@value": "pkg:npm/a@1"})),
        ("software_packageUrl", json!({"@id": "pkg:npm/a@1"})),
        ("software_packageVersion", json!(1)),
        ("name", json!(["a"])),
        ("suppliedBy", json!(["urn:acme"])),
        ("relationshipType", json!(["hasConcludedLicense"])),
        ("from", json!(["urn:a"])),
        ("identifier", json!(["pkg:npm/a@1"])),
        ("simplelicensing_licenseText", json!(["AGPL-3.0-only"])),
        ("type", json!(true)),
    ] {
        let mut element = package("urn:a");
        element[key] = value;
        let error = read_value(&graph(&[element])).unwrap_err().to_string();
        assert!(error.contains("is not text") || error.contains("where text belongs"), "{key}: {error}");
    }
    for (identifiers, fits) in [
        (json!([purl]), true),
        (purl.clone(), true),
        (json!(null), true),
        (json!([]), true),
        (json!("_:e"), false),
        (json!([purl, "_:e"]), false),
        (json!([{"@id": "_:e"}]), false),
        (json!("urn:a"), false),
        (json!([null]), false),
        (json!([1]), false),
        (json!([[purl]]), false),
        (json!({"type": "ExternalIdentifier"}), false),
    ] {
        let mut element = package("urn:a");
        element["externalIdentifier"] = identifiers.clone();
        let read = read_value(&graph(&[element.clone()]));
        let refused =
            read.is_err_and(|error| error.to_string().contains("externalIdentifier is none in it; write the identifier inside"));
        assert_eq!(refused, !fits, "{identifiers}");
        // Nobody asks for those of what is no package.
        element["type"] = json!("security_Vulnerability");
        assert_eq!(read_value(&graph(&[element])), Ok((Version::V3_0, 0, 0)), "{identifiers}");
    }
    let mut unsaid = package("urn:a");
    unsaid["software_packageUrl"] = json!(null);
    assert_eq!(read_value(&graph(&[unsaid])), Ok((Version::V3_0, 1, 0)));
}

/// JSON-LD makes one element of them, and another reader sees what none of them says alone.
#[test]
fn spdx_3_parts_of_one_element_are_malformed() {
    let refused = |elements: &[Value]| {
        let text = graph(elements).to_string();
        let [shallow, deep] = [Depth::Shallow, Depth::Deep].map(|depth| read_text(&text, depth).map(|_| ()));
        assert_eq!(shallow, deep, "{text}");
        shallow.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let purl = json!({"type": "ExternalIdentifier", "externalIdentifierType": "packageUrl", "identifier": "pkg:npm/evil@1"});
    for part in [
        json!({"spdxId": "urn:a", "software_primaryPurpose": "library"}),
        json!({"spdxId": "urn:a", "name": "evil"}),
        json!({"@id": "urn:a", "type": null, "name": "evil"}),
        json!({"spdxId": "urn:a", "externalIdentifier": [purl]}),
        json!({"spdxId": "urn:a", "suppliedBy": "urn:evil"}),
        json!({"spdxId": "urn:r", "to": ["urn:agpl"]}),
        json!({"spdxId": "urn:r", "expandedlicensing_member": ["urn:agpl"]}),
        json!({"spdxId": "urn:l", "simplelicensing_licenseText": "AGPL-3.0-only"}),
        json!({"spdxId": "urn:l", "simplelicensing_customIdToUri": []}),
        json!({"@id": "urn:entry", "value": "urn:agpl"}),
        json!({"spdxId": "urn:d", "creationInfo": "_:c"}),
    ] {
        assert!(refused(&[package("urn:a"), part.clone()]).contains("has an element without a type, `urn:"), "{part}");
        // Inside another one it is in the graph all the same.
        let inside = json!({"type": "Bundle", "spdxId": "urn:b", "element": [part]});
        assert!(refused(&[package("urn:a"), inside]).contains("has an element without a type, `urn:"), "{part}");
    }
    for part in [
        json!({"software_packageUrl": "pkg:npm/evil@1"}),
        json!({"spdxId": "urn:a", "software_packageUrl": "pkg:npm/evil@1"}),
        json!({"type": "software_File", "spdxId": "urn:x", "software_packageVersion": "1"}),
        json!({"type": "https://acme.test/terms/Software/Package", "spdxId": "urn:x", "software_packageUrl": "pkg:npm/evil@1"}),
    ] {
        assert!(refused(&[package("urn:a"), part.clone()]).contains("no package by its type"), "{part}");
    }
    let licensed = |kind: &str, to: &str| json!({"type": "Relationship", "spdxId": "urn:r", "from": "urn:a", "relationshipType": kind, "to": [to]});
    let element = |kind: &str, name: &str| json!({"type": kind, "spdxId": "urn:n", "name": name});
    let identifier = |of: &str| json!({"type": "ExternalIdentifier", "@id": "_:e", "identifier": of});
    for (one, other) in [
        (package("urn:a"), json!({"type": "software_Package", "spdxId": "urn:a", "name": "evil"})),
        (package("urn:a"), json!({"type": "software_Package", "spdxId": "urn:a", "creationInfo": "_:c"})),
        (package("urn:a"), json!({"type": "software_File", "spdxId": "urn:a", "name": "evil"})),
        (
            licensed("contains", "urn:b"),
            json!({"type": "Relationship", "spdxId": "urn:r", "relationshipType": "hasDeclaredLicense", "to": ["urn:agpl"]}),
        ),
        (licensed("hasDeclaredLicense", "urn:mit"), json!({"type": "Relationship", "spdxId": "urn:r", "to": ["urn:agpl"]})),
        (
            json!({"type": "Organization", "spdxId": "urn:o", "name": "Acme"}),
            json!({"type": "Organization", "spdxId": "urn:o", "name": "Evil"}),
        ),
        (identifier("cpe:2.3:a:a:a"), identifier("pkg:npm/evil@1")),
        (element("Element", "NOASSERTION"), element("Element", "AGPL-3.0-only")),
        (element("AnyLicenseInfo", "MIT"), element("AnyLicenseInfo", "AGPL-3.0-only")),
        (
            json!({"type": "DictionaryEntry", "@id": "_:e", "key": "LicenseRef-a", "value": "urn:mit"}),
            json!({"type": "DictionaryEntry", "@id": "_:e", "key": "LicenseRef-a", "value": "urn:agpl"}),
        ),
        // Whichever of the ids of who made the document.
        (package("urn:a"), json!({"type": "CreationInfo", "@id": "urn:a", "spdxId": "urn:b", "name": "evil"})),
        (package("urn:a"), json!({"type": "CreationInfo", "@id": "urn:b", "spdxId": "urn:a", "name": "evil"})),
    ] {
        let pair = [one.clone(), other.clone()];
        assert!(refused(&pair).contains("has two elements of one id, `"), "{one} {other}");
        assert!(refused(&[other, one]).contains("has two elements of one id, `"), "{pair:?}");
    }
    // What is written out again is no part, nor is what decides nothing: CMake has one id for all that it links.
    for (one, other) in [
        (package("urn:a"), package("urn:a")),
        (json!({"type": "software_Package", "spdxId": "urn:a", "name": "a"}), json!({"@id": "urn:a"})),
        (licensed("dependsOn", "urn:b"), licensed("dependsOn", "urn:c")),
        (
            json!({"type": "software_File", "spdxId": "urn:f", "name": "a"}),
            json!({"type": "software_File", "spdxId": "urn:f", "name": "b"}),
        ),
        (json!({"name": "of an extension"}), json!({"@id": "urn:x", "comment": "none of these"})),
    ] {
        assert_eq!(refused(&[one, other.clone()]), "", "{other}");
    }
}

/// An element that JSON-LD reads where SPDX has none, or by another name.
#[test]
fn spdx_3_keys_that_only_json_ld_knows_are_malformed() {
    let evil = json!({"type": "software_Package", "spdxId": "urn:q", "name": "evil"});
    let (name, class) = ("https://spdx.org/rdf/3.0.1/terms/Core/name", "https://spdx.org/rdf/3.0.1/terms/Software/Package");
    for element in [
        json!({"@context": {"n": name, "P": class}, "type": "P", "n": "evil"}),
        json!({"@context": null, "type": "software_Package"}),
        json!({"@included": [evil]}),
        json!({"@graph": [evil]}),
        json!({"@reverse": {"from": [evil]}}),
        json!({"@nest": {"name": "evil"}}),
        json!({"@set": [evil]}),
        json!({"@list": [evil]}),
        json!({"comment": {"@value": "evil"}}),
        json!({"type": "software_Package", "spdxId": "urn:q", name: "evil"}),
        json!({"type": "software_Package", "http://spdx.org/rdf/3.0.1/terms/Core/name": "evil"}),
        json!({"type": "software_Package", "spdx:Core/name": "evil"}),
    ] {
        let error = read_value(&graph(&[package("urn:a"), element.clone()])).unwrap_err().to_string();
        assert!(error.contains("; write it in SPDX's own terms"), "{element}: {error}");
    }
    for (key, value) in [
        ("@included", json!([evil])),
        ("@type", json!("software_Package")),
        ("type", json!("software_Package")),
        ("name", json!("evil")),
        ("creationInfo", json!({})),
        ("software_packageUrl", json!("pkg:npm/evil@1")),
    ] {
        let mut document = graph(&[package("urn:a")]);
        document[key] = value;
        // Whichever of them comes first, and however it is wrapped.
        let text = document.to_string();
        let last = format!("{},\"@graph\":{}}}", graph(&[]).to_string().split(",\"@graph\"").next().unwrap(), document["@graph"]);
        let last = last.replacen('{', &format!("{{{key:?}:{},", document[key]), 1);
        for text in [text.clone(), last, json!(text).to_string(), format!("{{\"Data\":{text},\"Timestamp\":\"\"}}")] {
            let error = read_text(&text, Depth::Shallow).unwrap_err().to_string();
            assert!(error.contains(&format!("has `{key}` beside `@graph`")), "{text}: {error}");
        }
    }
}
