//! SPDX 3: JSON-LD, a graph of elements.

use super::*;

#[test]
fn spdx_3_needs_a_document_its_creation_and_spdx_s_own_context() {
    let good = graph(&[package("urn:a")]);
    assert_eq!(read_value(&good), Ok((Version::V3_0, 1, 0)));
    for (context, fits) in [
        (json!("https://spdx.org/rdf/3.0.0/spdx-context.jsonld"), true),
        (json!(["https://spdx.org/rdf/3.0.1/spdx-context.jsonld"]), true),
        (json!(["https://spdx.org/rdf/3.0.1/spdx-context.json"]), true),
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
        ("\"spdxId\":\"urn:a\"", "\"spdxId\":\"urn:a\",\"@id\":\"urn:a\"", "two types or ids"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = read_text(&text.replacen(from, to, 1), Depth::Shallow).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
    let twice = graph(&[json!({"type": "SpdxDocument", "spdxId": "urn:e", "creationInfo": "_:c"})]);
    assert!(read_value(&twice).unwrap_err().to_string().contains("more than one SpdxDocument"));
    let mut both = good;
    both["packages"] = json!([]);
    assert!(read_value(&both).unwrap_err().to_string().contains("beside `@graph`"));
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
fn spdx_3_what_stands_for_nobody_supplies_nothing() {
    for (by, named) in [
        ("urn:acme", "NOASSERTION"),
        ("https://spdx.org/rdf/3.0.1/terms/Core/NoAssertionElement", "Acme"),
        ("https://spdx.org/rdf/3.0.1/terms/Core/NoneElement", "Acme"),
    ] {
        let elements = [
            json!({"type": "software_Package", "spdxId": "urn:a", "name": "a", "suppliedBy": by}),
            json!({"type": "Organization", "spdxId": "urn:acme", "name": named}),
        ];
        let packages = read_text(&graph(&elements).to_string(), Depth::Deep).unwrap().2;
        assert_eq!(packages[0].supplier, None, "{by} {named}");
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
    let document: Value = serde_json::from_str(include_str!("../../testdata/spdx-3.0.1-expanded-licensing.json")).unwrap();
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
