use serde_json::{Value, json};

use super::*;
use crate::policy::documents::sbom::{Foreign, Licensing};

fn document() -> Value {
    json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
        "documentNamespace": "https://acme.test/app", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: x"]},
        "packages": [{"SPDXID": "SPDXRef-a", "name": "openssl", "nested": [[{"deep": 1}]]}, {"SPDXID": "SPDXRef-b", "name": "zlib"}],
        "files": [{"SPDXID": "SPDXRef-c", "fileName": "./bin/app"}],
    })
}

fn read_text(text: &str, depth: Depth) -> Result<(Version, Sbom, Vec<Package>), DocumentError> {
    let mut packages = Vec::new();
    let (version, sbom) = read(&Predicate::from(text.to_owned()), depth, &mut |package| packages.push(package.clone()))?;
    Ok((version, sbom, packages))
}

fn read_value(value: &Value) -> Result<(Version, usize, usize), DocumentError> {
    read_text(&value.to_string(), Depth::Shallow).map(|(version, sbom, _)| (version, sbom.packages, sbom.files))
}

fn with(key: &str, value: Value) -> Value {
    let mut document = document();
    document[key] = value;
    document
}

/// SPDX 3 with these elements beside a document and its creation info.
fn graph(elements: &[Value]) -> Value {
    let mut all = vec![
        json!({"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1", "created": "2026-01-01T00:00:00Z"}),
        json!({"type": "SpdxDocument", "spdxId": "urn:d", "creationInfo": "_:c"}),
    ];
    all.extend_from_slice(elements);
    json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": all})
}

fn package(id: &str) -> Value {
    json!({"type": "software_Package", "spdxId": id, "creationInfo": "_:c", "name": id})
}

#[test]
fn every_wrapping_of_every_version_is_read() {
    let three = graph(&[package("urn:a"), package("urn:b"), json!({"type": "software_File", "spdxId": "urn:f"})]);
    for (document, version) in
        [(with("spdxVersion", json!("SPDX-2.2")), Version::V2_2), (document(), Version::V2_3), (three, Version::V3_0)]
    {
        let string = json!(document.to_string());
        for form in [
            document.clone(),
            string.clone(),
            json!({"Data": document, "Timestamp": "2026-01-01T00:00:00Z"}),
            json!({"Timestamp": "", "Data": string}),
        ] {
            assert_eq!(read_value(&form), Ok((version, 2, 1)), "{form}");
        }
    }
}

#[test]
fn every_package_is_handed_out_once() {
    for depth in [Depth::Shallow, Depth::Deep] {
        let names = |document: Value| -> Vec<String> {
            read_text(&document.to_string(), depth).unwrap().2.into_iter().map(|package| package.name).collect()
        };
        assert_eq!(names(document()), ["openssl", "zlib"]);
        assert_eq!(names(graph(&[package("urn:a"), package("urn:b")])), ["urn:a", "urn:b"]);
    }
}

/// A document that lists nothing but the image it is of has no packages.
#[test]
fn what_stands_for_the_image_itself_is_no_package() {
    let of = |package: Value| read_value(&with("packages", json!([package]))).unwrap().1;
    let purl = |locator: &str| json!([{"referenceType": "purl", "referenceLocator": locator}]);
    for (package, packages) in [
        (json!({"SPDXID": "SPDXRef-a", "name": "a"}), 1),
        (json!({"SPDXID": "SPDXRef-a", "primaryPackagePurpose": "CONTAINER"}), 0),
        (json!({"SPDXID": "SPDXRef-a", "primaryPackagePurpose": "FILE"}), 0),
        (json!({"SPDXID": "SPDXRef-a", "primaryPackagePurpose": "OPERATING-SYSTEM"}), 0),
        (json!({"SPDXID": "SPDXRef-a", "primaryPackagePurpose": "OPERATING_SYSTEM"}), 0),
        (json!({"SPDXID": "SPDXRef-a", "primaryPackagePurpose": "APPLICATION"}), 1),
        (json!({"SPDXID": "SPDXRef-DocumentRoot-Directory-sbom", "name": "sbom"}), 0),
        (json!({"SPDXID": "SPDXRef-DocumentRoot"}), 1),
        (json!({"SPDXID": "SPDXRef-a", "externalRefs": purl("pkg:oci/app@sha256:0?arch=amd64")}), 0),
        (json!({"SPDXID": "SPDXRef-a", "externalRefs": purl("pkg:docker/acme/app@v1")}), 0),
        (json!({"SPDXID": "SPDXRef-a", "externalRefs": purl("pkg:npm/oci@1")}), 1),
    ] {
        assert_eq!(of(package.clone()), packages, "{package}");
    }
    for (purpose, packages) in [("container", 0), ("file", 0), ("operatingSystem", 0), ("application", 1)] {
        let mut package = package("urn:a");
        package["software_primaryPurpose"] = purpose.into();
        assert_eq!(read_value(&graph(&[package])).unwrap().1, packages, "{purpose}");
    }
}

#[test]
fn a_supplier_is_what_stands_between_its_kind_and_its_mail() {
    for (written, name) in [
        ("Organization: Acme", Some("Acme")),
        ("Organization: Acme (ops@acme.test)", Some("Acme")),
        ("Organization: Acme <ops@acme.test>", Some("Acme")),
        ("Tool:Acme(ops@acme.test) ", Some("Acme")),
        ("Person: Jane Doe ()", Some("Jane Doe")),
        ("Organization: Acme (Evil Corp)", Some("Acme (Evil Corp)")),
        ("Organization: Acme (Evil Corp) (x@evil.test)", Some("Acme (Evil Corp)")),
        ("Organization: Acme (x@evil.test", Some("Acme (x@evil.test")),
        ("Acme", None),
    ] {
        let document = with("packages", json!([{"SPDXID": "SPDXRef-a", "name": "a", "supplier": written}]));
        let packages = read_text(&document.to_string(), Depth::Shallow).unwrap().2;
        assert_eq!((packages[0].supplier_name.as_deref(), packages[0].supplier.as_deref()), (name, Some(written)));
    }
    for nobody in ["NOASSERTION", " ", "Organization: ", "Person:", "Organization: (ops@acme.test)", "Tool: ()"] {
        let document = with("packages", json!([{"SPDXID": "SPDXRef-a", "name": "a", "supplier": nobody}]));
        let packages = read_text(&document.to_string(), Depth::Shallow).unwrap().2;
        assert_eq!((&packages[0].supplier_name, &packages[0].supplier), (&None, &None), "{nobody}");
    }
}

#[test]
fn a4_what_only_claims_the_type_is_refused() {
    for (predicate, message) in [
        ("{}", "has no spdxVersion"),
        ("null", "is not a JSON document"),
        ("[]", "is not a JSON document"),
        ("1", "is not a JSON document"),
        ("\"hello\"", "is not JSON"),
        ("", "is not JSON"),
        ("{\"Data\":null}", "is not a JSON document"),
        ("{\"Data\":{}}", "has no spdxVersion"),
        ("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"components\":[]}", "has no spdxVersion"),
        ("\"SPDXVersion: SPDX-2.3\\nDataLicense: CC0-1.0\\n\"", "tag-value"),
        ("{\"Data\":\"SPDXVersion: SPDX-2.3\\n\"}", "tag-value"),
        ("{\"@context\":\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\"}", "has no @graph"),
    ] {
        let error = read_text(predicate, Depth::Shallow).unwrap_err().to_string();
        assert!(error.contains(message), "{predicate}: {error}");
    }
    for key in ["spdxVersion", "SPDXID", "name", "documentNamespace", "creationInfo"] {
        let mut document = document();
        document.as_object_mut().unwrap().remove(key);
        assert_eq!(read_value(&document), Err(DocumentError::Missing(key)));
        if key != "creationInfo" {
            assert_eq!(read_value(&with(key, json!(" "))), Err(DocumentError::Missing(key)));
        }
        assert!(read_value(&with(key, json!(1))).is_err(), "{key}");
    }
    assert!(read_value(&with("packages", json!({"a": 1}))).is_err());
    assert!(read_value(&with("packages", json!(["a"]))).is_err());
    for other in ["SPDX-2.1", "SPDX-3.0", "2.3"] {
        assert!(matches!(read_value(&with("spdxVersion", json!(other))), Err(DocumentError::Version { .. })), "{other}");
    }
}

#[test]
fn a8_packages_and_files_are_counted_apart() {
    assert_eq!(read_value(&with("packages", json!(null))), Ok((Version::V2_3, 0, 1)));
    let hollow = json!([{}, {"versionInfo": "1"}, {"SPDXID": "", "name": ""}]);
    assert_eq!(read_value(&with("packages", hollow)), Ok((Version::V2_3, 0, 1)));
    assert_eq!(read_value(&with("packages", json!([{"SPDXID": "a"}, {"name": "b"}]))), Ok((Version::V2_3, 2, 1)));
    assert_eq!(read_value(&with("files", json!([]))), Ok((Version::V2_3, 2, 0)));
}

#[test]
fn a6_keys_that_decide_are_unique_in_any_capitals() {
    let plain = document().to_string();
    for extra in [
        "\"packages\":[],",
        "\"Packages\":[],",
        "\"spdxversion\":\"SPDX-2.3\",",
        "\"data\":{},",
        "\"Data\":{},",
        "\"@graph\":[],",
        "\"pac\u{212a}ages\":[],",
        "\"file\u{17f}\":[],",
    ] {
        let text = plain.replacen('{', &format!("{{{extra}"), 1);
        assert!(read_text(&text, Depth::Shallow).is_err(), "{extra}");
        assert!(read_text(&json!(text).to_string(), Depth::Shallow).is_err(), "{extra} in a string");
    }
    for (key, variant) in [
        ("\"packages\"", "\"Packages\""),
        ("SPDXID", "spdxId"),
        ("spdxVersion", "SPDXVersion"),
        ("openssl\"", "x\",\"Name\":\"y\""),
    ] {
        let outcome = read_text(&plain.replacen(key, variant, 1), Depth::Shallow);
        assert!(matches!(outcome, Err(DocumentError::Malformed(_))), "{variant}");
    }
    assert!(read_value(&json!({"Data": {"Data": document()}})).is_err());
    assert!(read_value(&json!({"Data": document(), "spdxVersion": "SPDX-2.3"})).is_err());
    assert!(read_value(&json!(json!(document().to_string()).to_string())).is_err(), "a string in a string");
    assert!(read_value(&json!(json!({"Data": document()}).to_string())).is_err(), "a wrapper in a string");
    assert!(read_value(&json!(format!("{} x", document()))).is_err(), "something behind");
}

#[test]
fn a9_a11_size_and_depth_are_bounded() {
    let huge = " ".repeat(usize::try_from(crate::policy::documents::MAX_DOCUMENT).unwrap() + 1);
    assert_eq!(read_text(&huge, Depth::Shallow), Err(DocumentError::TooLarge));
    for deep in ["{\"x\":", "[", "{\"Data\":", "{\"@graph\":[{\"a\":"] {
        assert!(read_text(&deep.repeat(100_000), Depth::Deep).is_err());
    }
}

#[test]
fn spdx_3_needs_a_document_its_creation_and_spdx_s_own_context() {
    let good = graph(&[package("urn:a")]);
    assert_eq!(read_value(&good), Ok((Version::V3_0, 1, 0)));
    for (context, fits) in [
        (json!("https://spdx.org/rdf/3.0.0/spdx-context.jsonld"), true),
        (json!(["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"]), true),
        (json!("https://spdx.org/rdf/3.1/spdx-context.jsonld"), false),
        (json!(["https://spdx.org/rdf/3.0.1/spdx-context.jsonld", {"name": "urn:other"}]), false),
        (json!({"name": "urn:other"}), false),
        (json!([]), false),
        (json!(null), false),
    ] {
        let mut document = good.clone();
        document["@context"] = context.clone();
        assert_eq!(read_value(&document).is_ok(), fits, "{context}");
    }
    let text = good.to_string();
    for (from, to, message) in [
        ("SpdxDocument", "Bundle", "has no SpdxDocument element"),
        ("\"spdxId\":\"urn:d\"", "\"x\":1", "has no spdxId of its SpdxDocument"),
        ("\"creationInfo\":\"_:c\",\"spdxId\":\"urn:d\"", "\"spdxId\":\"urn:d\"", "has no creationInfo of its SpdxDocument"),
        ("3.0.1\",\"type\":\"Cre", "3.1.0\",\"type\":\"Cre", "has specVersion `3.1.0`"),
        ("\"specVersion\":\"3.0.1\"", "\"x\":1", "has no CreationInfo element with specVersion"),
        ("\"@context\"", "\"context\"", "has no @context"),
        ("\"type\":\"software_Package\"", "\"type\":[\"software_Package\"]", "whose type is not text"),
        ("\"type\":\"software_Package\"", "\"type\":\"software_Package\",\"@type\":\"x\"", "two types or ids"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = read_text(&text.replacen(from, to, 1), Depth::Shallow).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
    let twice = graph(&[json!({"type": "SpdxDocument", "spdxId": "urn:e", "creationInfo": "_:c"})]);
    assert!(read_value(&twice).unwrap_err().to_string().contains("more than one SpdxDocument"));
    let mut both = good;
    both["packages"] = json!([]);
    assert!(read_value(&both).unwrap_err().to_string().contains("two documents in one"));
}

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
        (json!([{"@set": [purl]}]), false),
    ] {
        let mut element = package("urn:a");
        element["externalIdentifier"] = identifiers.clone();
        let read = read_value(&graph(&[element.clone()]));
        let refused =
            read.is_err_and(|error| error.to_string().contains("externalIdentifier is a reference; write the identifier inside"));
        assert_eq!(refused, !fits, "{identifiers}");
        // Nobody asks for those of what is no package.
        element["type"] = json!("security_Vulnerability");
        assert_eq!(read_value(&graph(&[element])), Ok((Version::V3_0, 0, 0)), "{identifiers}");
    }
    let mut unsaid = package("urn:a");
    unsaid["software_packageUrl"] = json!(null);
    assert_eq!(read_value(&graph(&[unsaid])), Ok((Version::V3_0, 1, 0)));
}

#[test]
fn spdx_3_packages_come_with_licences_and_suppliers_from_elsewhere() {
    let elements = [
        json!({"type": "Relationship", "from": "urn:a", "relationshipType": "hasConcludedLicense", "to": ["urn:gpl", "https://spdx.org/licenses/MIT"]}),
        json!({"type": "software_Package", "spdxId": "urn:a", "name": "a", "suppliedBy": "urn:acme", "software_packageUrl": "pkg:npm/a@1",
            "externalIdentifier": [{"type": "ExternalIdentifier", "externalIdentifierType": "cpe23", "identifier": "cpe:2.3:a:a:a"}]}),
        json!({"type": "simplelicensing_LicenseExpression", "spdxId": "urn:gpl", "simplelicensing_licenseExpression": "GPL-2.0-only"}),
        json!({"type": "Organization", "spdxId": "urn:acme", "name": "Acme"}),
        json!({"type": "software_Package", "spdxId": "urn:b", "name": "b", "suppliedBy": "urn:nobody"}),
        json!({"type": "Relationship", "from": "urn:b", "relationshipType": "hasDeclaredLicense", "to": "urn:missing"}),
        json!({"type": "ai_AIPackage", "spdxId": "urn:c", "name": "c"}),
        json!({"type": "Relationship", "from": "urn:c", "relationshipType": "hasDeclaredLicense", "to": ["expandedlicensing_NoAssertionLicense"]}),
        json!({"type": "software_Package", "spdxId": "urn:d1", "name": "d", "software_primaryPurpose": "container"}),
        json!({"type": "Relationship", "from": "urn:d1", "relationshipType": "hasDeclaredLicense", "to": ["urn:set"]}),
        json!({"type": "expandedlicensing_ConjunctiveLicenseSet", "spdxId": "urn:set"}),
        json!({"type": "Relationship", "from": "urn:d1", "relationshipType": "dependsOn", "to": ["urn:gpl"]}),
    ];
    let (_, sbom, packages) = read_text(&graph(&elements).to_string(), Depth::Deep).unwrap();
    let said = |text: &str| Licensing::Said(text.to_owned());
    assert_eq!((sbom.packages, packages.len()), (3, 4), "the image is none of its packages");
    let mut licenses = packages[0].licenses.clone();
    licenses.sort_by_key(|license| format!("{license:?}"));
    assert_eq!(licenses, [said("GPL-2.0-only"), said("MIT")]);
    assert_eq!((packages[0].supplier.as_deref(), &packages[0].purls[..]), (Some("Acme"), &["pkg:npm/a@1".to_owned()][..]));
    assert_eq!(packages[1].supplier.as_deref(), Some("urn:nobody"));
    assert!(matches!(packages[1].licenses[..], [Licensing::Unread(_)]), "what it refers to is not there");
    assert!(packages[2].licenses.is_empty());
    assert!(matches!(packages[3].licenses[..], [Licensing::Unread(_)]) && packages[3].is_frame);
    let again =
        json!({"type": "simplelicensing_LicenseExpression", "spdxId": "urn:gpl", "simplelicensing_licenseExpression": "MIT"});
    let twice = graph(&[&elements[..], &[again]].concat()).to_string();
    assert!(read_text(&twice, Depth::Deep).unwrap_err().to_string().contains("two elements of one id"));
}

#[test]
fn a_version_and_what_is_a_purl_by_its_type_or_its_scheme_are_read_of_2_and_3() {
    let found = [("other", "pkg:npm/a@1"), ("purl", "PKG:npm/b@1"), ("cpe23Type", "cpe:2.3:a:a:a")];
    let references = found.map(|(kind, locator)| json!({"referenceType": kind, "referenceLocator": locator}));
    let two = with("packages", json!([{"name": "a", "versionInfo": "1.2", "externalRefs": references}]));
    let identifiers = found.map(|(kind, locator)| {
        let kind = if kind == "purl" { "packageUrl" } else { kind };
        json!({"type": "ExternalIdentifier", "externalIdentifierType": kind, "identifier": locator})
    });
    let mut package = package("urn:a");
    package["software_packageVersion"] = json!("1.2");
    package["externalIdentifier"] = json!(identifiers);
    for document in [two, graph(&[package])] {
        let (.., packages) = read_text(&document.to_string(), Depth::Shallow).unwrap();
        assert_eq!(
            (packages[0].version.as_deref(), packages[0].purls.join(" ")),
            (Some("1.2"), "pkg:npm/a@1 PKG:npm/b@1".to_owned())
        );
    }
}

#[test]
fn spdx_3_licences_of_files_take_nothing_from_what_packages_may_have() {
    let licensed = |from: &str, to: &str| json!({"type": "Relationship", "from": from, "relationshipType": "hasDeclaredLicense", "to": [to]});
    let mut elements = vec![package("urn:a"), licensed("urn:a", "https://spdx.org/licenses/MIT")];
    // Each set has the next one twice, and each file all of them: more together than is read of a document.
    elements.extend((0..15).map(|at| {
        let next = format!("urn:set:{}", at + 1);
        json!({"type": "expandedlicensing_ConjunctiveLicenseSet", "spdxId": format!("urn:set:{at}"), "expandedlicensing_member": [next, next]})
    }));
    for at in 0..40 {
        let file = format!("urn:file:{at}");
        elements.insert(0, json!({"type": "software_File", "spdxId": file, "creationInfo": "_:c"}));
        elements.push(licensed(&file, "urn:set:0"));
    }
    let (.., packages) = read_text(&graph(&elements).to_string(), Depth::Deep).unwrap();
    assert_eq!(packages[0].licenses, [Licensing::Said("MIT".into())]);
}

/// Whichever of its keys comes first.
#[test]
fn a9_spdx_3_one_relationship_may_be_to_everything() {
    let ids: Vec<String> = (0..12_000).map(|at| format!("https://acme.test/spdx/{at:0100}")).collect();
    let of = |kind: &str| {
        let to = serde_json::to_string(&ids).unwrap();
        [("relationshipType", "to"), ("to", "relationshipType")].map(|(first, second)| {
            let value = |key: &str| if key == "to" { to.clone() } else { format!("\"{kind}\"") };
            format!(r#"{{"type":"Relationship","from":"urn:a","{first}":{},"{second}":{}}}"#, value(first), value(second))
        })
    };
    for (kind, licenses) in [("contains", 0), ("hasDeclaredLicense", 12_000)] {
        for relationship in of(kind) {
            let text = graph(&[package("urn:a"), json!("put")]).to_string().replace("\"put\"", &relationship);
            for (depth, licenses) in [(Depth::Deep, licenses), (Depth::Shallow, 0)] {
                let (.., packages) = read_text(&text, depth).unwrap();
                assert_eq!((packages.len(), packages[0].licenses.len()), (1, licenses), "{kind}");
            }
        }
    }
    // Elements written inside it are seen too, each let go.
    let inside: Vec<Value> =
        (0..1_200).map(|at| json!({"type": "software_Package", "spdxId": format!("urn:{at:01000}"), "name": "b"})).collect();
    for kind in ["contains", "hasDeclaredLicense"] {
        let relationship = json!({"type": "Relationship", "from": "urn:a", "relationshipType": kind, "to": inside});
        for depth in [Depth::Deep, Depth::Shallow] {
            assert_eq!(read_text(&graph(std::slice::from_ref(&relationship)).to_string(), depth).unwrap().2.len(), 1_200);
        }
        let element = json!({"type": "Bundle", "spdxId": "urn:b", "element": inside});
        assert_eq!(read_value(&graph(&[element])).unwrap().1, 1_200);
    }
}

#[test]
fn a11_spdx_3_members_of_a_relationship_of_no_stated_kind_are_bounded() {
    let to = |many: usize| json!({"type": "Relationship", "from": "urn:a", "to": vec!["b"; many]});
    let read = |many: usize| read_text(&graph(&[to(many)]).to_string(), Depth::Deep).map(|(_, sbom, _)| sbom.packages);
    assert_eq!(read(1 << 18), Ok(0));
    assert!(read((1 << 18) + 1).unwrap_err().to_string().contains("has more than 262144 members of one relationship"));
    let mut contains = to((1 << 18) + 1);
    contains["relationshipType"] = json!("contains");
    assert!(read_text(&graph(&[contains]).to_string(), Depth::Deep).is_ok(), "nothing is kept of one that is to no licence");
}

/// A document with expanded licensing as SPDX's own tools write it: a package whose licence is each of these in turn.
fn expanded(licenses: &[&str]) -> Vec<Vec<Licensing>> {
    let document: Value = serde_json::from_str(include_str!("../testdata/spdx-3.0.1-expanded-licensing.json")).unwrap();
    let mut elements: Vec<Value> = document["@graph"].as_array().unwrap().clone();
    for (at, license) in licenses.iter().enumerate() {
        let package = format!("urn:package:{at}");
        elements.push(json!({"type": "software_Package", "spdxId": package, "creationInfo": "_:creation", "name": package}));
        elements
            .push(json!({"type": "Relationship", "spdxId": format!("urn:r:{at}"), "creationInfo": "_:creation", "from": package,
            "relationshipType": "hasConcludedLicense", "to": [license]}));
    }
    let mut document = document.clone();
    document["@graph"] = elements.into();
    let (version, _, packages) = read_text(&document.to_string(), Depth::Deep).unwrap();
    assert_eq!((version, packages.len()), (Version::V3_0, licenses.len() + 1));
    packages.into_iter().skip(1).map(|package| package.licenses).collect()
}

#[test]
fn spdx_3_sets_and_operators_are_what_their_members_are() {
    let base = "https://acme.test/spdx/app#";
    for (license, reads) in [
        ("license-and", "MIT AND (Apache-2.0 OR GPL-2.0-or-later WITH Classpath-exception-2.0)"),
        ("license-or", "Apache-2.0 OR GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("license-with", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("license-or-later", "GPL-2.0-or-later"),
        ("license-plus", "EPL-1.0+"),
        ("license-listed", "BSD 3-Clause \"New\" or \"Revised\" License"),
        ("license-custom", "Acme Internal License"),
        ("license-custom-and", "MIT AND Acme Internal License"),
        ("license-inline", "MIT OR Zlib"),
    ] {
        let read = &expanded(&[&format!("{base}{license}")])[0];
        let told: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(told, [reads], "{license}: {read:?}");
        let unread = format!("{read:?}").contains("Unread");
        assert!(!unread, "{license}: {read:?}");
    }
    for (license, reads) in [
        ("http://spdx.org/licenses/MIT", "MIT"),
        ("https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoneLicense", "NONE"),
        ("expandedlicensing_NoneLicense", "NONE"),
    ] {
        assert_eq!(expanded(&[license])[0], [Licensing::Said(reads.into())], "{license}");
    }
}

#[test]
fn spdx_3_operators_take_one_licence_of_the_list_and_one_exception() {
    let listed = |id: &str| format!("https://spdx.org/licenses/{id}");
    let exception =
        |id: &str, name: &str| json!({"type": "expandedlicensing_ListedLicenseException", "spdxId": id, "name": name});
    let with = |id: &str, license: &str, addition: &str| {
        json!({"type": "expandedlicensing_WithAdditionOperator", "spdxId": id,
            "expandedlicensing_subjectExtendableLicense": license, "expandedlicensing_subjectAddition": addition})
    };
    let unread = || Licensing::Unread("an operator on what is not of SPDX's list".into());
    for (license, reads) in [
        (
            with("urn:with", &listed("GPL-2.0-only"), "urn:id"),
            Licensing::Said("GPL-2.0-only WITH Classpath-exception-2.0".into()),
        ),
        (with("urn:by-name", &listed("GPL-2.0-only"), "urn:prose"), unread()),
        (with("urn:twice", "urn:with", "urn:id"), unread()),
        (
            json!({"type": "expandedlicensing_OrLaterOperator", "spdxId": "urn:later",
                "expandedlicensing_subjectLicense": listed("GPL-2.0-or-later")}),
            Licensing::Said("GPL-2.0-or-later".into()),
        ),
        (
            json!({"type": "simplelicensing_SimpleLicensingText", "spdxId": "urn:text", "name": "Acme"}),
            Licensing::Said("Acme".into()),
        ),
        (package("urn:b"), Licensing::Unread("an element that is no licence in the document".into())),
    ] {
        let elements = [
            exception("urn:id", "Classpath-exception-2.0"),
            exception("urn:prose", "Classpath exception 2.0"),
            with("urn:with", &listed("GPL-2.0-only"), "urn:id"),
            json!({"type": "Relationship", "from": "urn:a", "relationshipType": "hasDeclaredLicense", "to": license["spdxId"]}),
            package("urn:a"),
            license,
        ];
        let (.., packages) = read_text(&graph(&elements).to_string(), Depth::Deep).unwrap();
        assert_eq!(packages[0].licenses, [reads]);
    }
}

#[test]
fn spdx_3_licences_that_cannot_be_known_are_not_read() {
    let base = "https://acme.test/spdx/app#";
    for (license, why) in [
        // Commons Clause and its like take away what the licence gives.
        ("license-with-custom", "an operator on what is not of SPDX's list"),
        ("license-custom-later", "an operator on what is not of SPDX's list"),
        ("license-with-set", "an operator on what is not of SPDX's list"),
        ("license-empty", "a set of no licences"),
        ("license-dangling", "an element that is no licence in the document"),
        ("addition-custom", "https://acme.test/spdx/app#addition-custom"),
    ] {
        let read = &expanded(&[&format!("{base}{license}")])[0];
        let unread = Licensing::Unread(why.to_owned());
        let inside = |read: &[Licensing]| match read {
            [Licensing::All(members)] => members.contains(&unread),
            other => other == std::slice::from_ref(&unread),
        };
        assert!(inside(read), "{license}: {read:?}");
    }
}

/// A `LicenseRef-…` comes with what the document calls it, whichever of the two stands first.
#[test]
fn spdx_2_licences_outside_the_list_come_with_their_names() {
    let packages = json!([
        {"name": "plain", "licenseDeclared": "MIT"},
        {"name": "ref", "licenseDeclared": "MIT AND (LicenseRef-a OR LicenseRef-A)", "licenseConcluded": "LicenseRef-b"},
        {"name": "other", "licenseDeclared": "DocumentRef-x:LicenseRef-c"},
    ]);
    let long = "All rights reserved. ".repeat(10_000);
    let extracted = json!([
        {"licenseId": "LicenseRef-a", "name": "Commons Clause", "extractedText": long},
        {"licenseId": "LicenseRef-b", "extractedText": " Acme EULA "},
        {"licenseId": "LicenseRef-b", "name": "NOASSERTION", "extractedText": "Acme EULA"},
        {"licenseId": "LicenseRef-c", "name": "C", "extractedText": "see C"},
        {"name": "of nothing"},
    ]);
    let mut document = document();
    for key in ["packages", "files"] {
        document.as_object_mut().unwrap().remove(key);
    }
    let start = document.to_string();
    let start = start.trim_end_matches('}');
    let (packages, extracted) = (format!("\"packages\":{packages}"), format!("\"hasExtractedLicensingInfos\":{extracted}"));
    for text in [format!("{start},{packages},{extracted}}}"), format!("{start},{extracted},{packages}}}")] {
        for text in [text.clone(), json!(text).to_string(), format!("{{\"Data\":{text}}}")] {
            let (version, sbom, packages) = read_text(&text, Depth::Deep).unwrap();
            assert_eq!((version, sbom.packages), (Version::V2_3, 3));
            let told: Vec<_> = packages
                .iter()
                .map(|package| {
                    let told = |foreign: &Foreign| format!("{} {:?} {:?}", foreign.reference, foreign.names, foreign.texts);
                    (package.name.as_str(), package.foreign.iter().map(told).collect::<Vec<_>>())
                })
                .collect();
            let foreign = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let of_ref = [
                r#"LicenseRef-A ["Commons Clause"] []"#,
                r#"LicenseRef-a ["Commons Clause"] []"#,
                r#"LicenseRef-b ["Acme EULA"] []"#,
            ];
            assert_eq!(
                told,
                [("plain", vec![]), ("ref", foreign(&of_ref)), ("other", foreign(&[r#"LicenseRef-c ["C"] ["see C"]"#])),]
            );
        }
        let (_, _, packages) = read_text(&text, Depth::Shallow).unwrap();
        assert!(packages.len() == 3 && packages.iter().all(|package| package.foreign.is_empty()));
        // Twice, it would be another list to another reader.
        let twice = text.replacen('{', "{\"hasExtractedLicensingInfos\":[],", 1);
        assert!(read_text(&twice, Depth::Shallow).is_err());
    }
    let mut three = graph(&[package("urn:a")]);
    three["hasExtractedLicensingInfos"] = json!([]);
    assert!(read_value(&three).unwrap_err().to_string().contains("two documents in one"));
}

/// As an IRI, a package would else be one that nobody looks at.
#[test]
fn spdx_3_types_may_be_iris() {
    let terms = "https://spdx.org/rdf/3.0.1/terms";
    for kind in [
        format!("{terms}/Software/Package"),
        "http://spdx.org/rdf/3.0/terms/Software/Package".to_owned(),
        "spdx:Software/Package".to_owned(),
        format!("{terms}/AI/AIPackage"),
        format!("{terms}/Dataset/DatasetPackage"),
    ] {
        let license = json!({"type": format!("{terms}/Core/Relationship"), "from": "urn:a", "to": ["https://spdx.org/licenses/MIT"],
            "relationshipType": format!("{terms}/Core/RelationshipType/hasDeclaredLicense")});
        for key in ["type", "@type"] {
            let package = json!({key: kind, "spdxId": "urn:a", "name": "a"});
            let (_, sbom, packages) = read_text(&graph(&[package, license.clone()]).to_string(), Depth::Deep).unwrap();
            assert_eq!((sbom.packages, &packages[0].licenses[..]), (1, &[Licensing::Said("MIT".into())][..]), "{kind}");
        }
    }
    let other = json!({"type": "https://acme.test/terms/Software/Package", "spdxId": "urn:x", "name": "x"});
    assert_eq!(read_value(&graph(&[other, package("urn:a")])), Ok((Version::V3_0, 1, 0)), "a class of others is none of SPDX's");
}
