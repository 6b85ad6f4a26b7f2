//! SPDX 3: what packages and licence expressions only refer to.

use super::*;

/// What elements are in both orders, and handed out at both depths.
fn read_both(elements: &[Value], depth: Depth) -> Vec<Package> {
    let backwards: Vec<Value> = elements.iter().rev().cloned().collect();
    let [one, other] = [elements, &backwards].map(|elements| {
        let mut packages = read_text(&graph(elements).to_string(), depth).unwrap().2;
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        packages.iter_mut().flat_map(|package| &mut package.foreign).for_each(|foreign| foreign.names.sort());
        packages
    });
    assert_eq!(one, other);
    one
}

fn identifier(id: &str, kind: &str, identifier: &str) -> Value {
    json!({"type": "ExternalIdentifier", "spdxId": id, "creationInfo": "_:c", "externalIdentifierType": kind, "identifier": identifier})
}

/// As Microsoft's sbom-tool writes them all; passed over, they would hide the package from whoever denies it.
#[test]
fn spdx_3_identifiers_are_found_wherever_they_stand() {
    let with = |id: &str, identifiers: Value| {
        let mut package = package(id);
        package["externalIdentifier"] = identifiers;
        package
    };
    let elements = [
        with("urn:p:a", json!(["urn:i:purl", "urn:i:cpe", identifier("urn:i:inside", "purl", "pkg:npm/b@1")])),
        with("urn:p:b", json!("urn:i:inside")),
        with("urn:p:c", json!({"@id": "urn:i:typed"})),
        with("urn:p:d", json!("urn:i:image")),
        package("urn:p:e"),
        identifier("urn:i:purl", "purl", "pkg:npm/a@1"),
        identifier("urn:i:cpe", "cpe23", "cpe:2.3:a:a:a"),
        identifier("urn:i:typed", "packageURL", "c@1"),
        identifier("urn:i:image", "packageUrl", "pkg:oci/app@sha256:0"),
    ];
    for depth in [Depth::Shallow, Depth::Deep] {
        let packages = read_both(&elements, depth);
        let told = packages.iter().map(|package| format!("{} {} {}", package.name, package.purls.join(" "), package.is_frame));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "urn:p:a pkg:npm/b@1 pkg:npm/a@1 false",
                "urn:p:b pkg:npm/b@1 false",
                "urn:p:c c@1 false",
                "urn:p:d pkg:oci/app@sha256:0 true",
                "urn:p:e  false",
            ]
        );
        assert_eq!(read_text(&graph(&elements).to_string(), depth).unwrap().1.packages, 4, "the image is none of its packages");
        // One that is not there, and one of another package of the same id.
        for wrong in
            [with("urn:p:f", json!("urn:i:nowhere")), with("urn:p:f", json!("urn:p:a")), with("urn:p:e", json!("urn:i:purl"))]
        {
            let elements = [&elements[..], &[wrong]].concat();
            assert!(read_text(&graph(&elements).to_string(), depth).is_err());
        }
        // Nor one that does not say what it is.
        let empty = json!({"type": "ExternalIdentifier", "spdxId": "urn:i:empty", "creationInfo": "_:c", "externalIdentifierType": "purl"});
        let elements = [&elements[..], &[with("urn:p:f", json!("urn:i:empty")), empty]].concat();
        assert!(read_text(&graph(&elements).to_string(), depth).is_err());
    }
}

#[test]
fn a11_spdx_3_what_one_element_refers_to_is_bounded() {
    for (key, kind, member) in [
        ("externalIdentifier", "software_File", r#""a""#),
        ("expandedlicensing_member", "expandedlicensing_ConjunctiveLicenseSet", r#""""#),
        ("simplelicensing_customIdToUri", "simplelicensing_LicenseExpression", r#"{"key":"a","value":"b"}"#),
    ] {
        let read = |many: usize, depth: Depth| {
            let element = format!(r#"{{"type":"{kind}","spdxId":"urn:x","{key}":[{}]}}"#, vec![member; many].join(","));
            read_text(&graph(&[json!("put")]).to_string().replace("\"put\"", &element), depth).map(|_| ())
        };
        assert_eq!(read(1 << 18, Depth::Deep), Ok(()), "{key}");
        for depth in [Depth::Shallow, Depth::Deep] {
            let error = read((1 << 18) + 1, depth).unwrap_err().to_string();
            assert!(error.starts_with("has more than 262144 "), "{key}: {error}");
        }
    }
}

/// What packages refer to is copied to each.
#[test]
fn a11_spdx_3_identifiers_of_packages_are_bounded_by_their_number_and_length() {
    let read = |packages: usize, each: usize, purl: &str| {
        let package = |at: usize| {
            let mut package = package(&format!("urn:p:{at}"));
            package["externalIdentifier"] = json!(vec!["urn:i"; each]);
            package
        };
        let mut elements: Vec<Value> = (0..packages).map(package).collect();
        elements.push(identifier("urn:i", "purl", purl));
        let (mut purls, text) = (0, graph(&elements).to_string());
        let predicate = Predicate::from(text);
        let of = [Depth::Shallow, Depth::Deep].map(|depth| {
            purls = 0;
            super::read(&predicate, depth, &mut |package| purls += package.purls.len()).map(|_| purls)
        });
        assert_eq!(of[0], of[1]);
        of[0].clone().map_err(|error| error.to_string())
    };
    assert_eq!(read(100, 256, "pkg:npm/a@1"), Ok(25_600));
    assert_eq!(read(1, 257, "pkg:npm/a@1"), Err("has a package of more than 256 package URLs".to_owned()));
    let long = format!("pkg:npm/{}", "a".repeat(60_000));
    assert_eq!(read(4, 256, &long), Ok(1_024));
    assert!(read(5, 256, &long).unwrap_err().starts_with("has packages that refer to more than 67108864 bytes of names"));
}

#[test]
fn a11_spdx_3_names_of_suppliers_are_bounded_in_all_packages_together() {
    let supplied = |at: usize| {
        let mut package = package(&format!("urn:p:{at}"));
        package["suppliedBy"] = json!("urn:acme");
        package
    };
    // Nobody is told who supplies a file.
    let file = |at: usize| json!({"type": "software_File", "spdxId": format!("urn:f:{at}"), "suppliedBy": "urn:acme"});
    let read = |packages: usize| {
        let mut elements: Vec<Value> = (0..packages).map(supplied).chain((0..1_200).map(file)).collect();
        elements.push(json!({"type": "Organization", "spdxId": "urn:acme", "name": "x".repeat(60_000)}));
        super::read(&Predicate::from(graph(&elements).to_string()), Depth::Deep, &mut |_| {}).map(|(_, sbom)| sbom.packages)
    };
    assert_eq!(read(1_000), Ok(1_000));
    assert!(read(1_200).unwrap_err().to_string().starts_with("has packages that refer to more than 67108864 bytes of names"));
}

/// Each is compared with what a policy denies of its name.
#[test]
fn a11_package_urls_of_one_package_are_bounded_wherever_they_stand() {
    for (count, is_read) in [(256, true), (257, false)] {
        let purls = |one: Value| vec![one; count];
        let mut three = package("urn:a");
        three["externalIdentifier"] = json!(purls(identifier("urn:i", "purl", "pkg:npm/a@1")));
        let locator = json!({"referenceType": "purl", "referenceLocator": "pkg:npm/a@1"});
        let two = with("packages", json!([{"SPDXID": "SPDXRef-a", "name": "a", "externalRefs": purls(locator)}]));
        for document in [graph(&[three.clone()]), two] {
            assert_eq!(read_value(&document).is_ok(), is_read, "{count}");
        }
        three["externalIdentifier"].as_array_mut().unwrap().pop();
        three["software_packageUrl"] = json!("pkg:npm/a@1");
        assert_eq!(read_value(&graph(&[three])).is_ok(), is_read, "{count}");
    }
    let cpe = json!({"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:a:a"});
    let package = json!({"SPDXID": "SPDXRef-a", "name": "a", "externalRefs": vec![cpe; 1_000]});
    assert!(read_value(&with("packages", json!([package]))).is_ok(), "they are none");
}

fn licensed(to: &str) -> [Value; 2] {
    [package("urn:a"), json!({"type": "Relationship", "from": "urn:a", "relationshipType": "hasConcludedLicense", "to": [to]})]
}

fn text(id: &str, name: Option<&str>, text: &str) -> Value {
    let kind = "simplelicensing_SimpleLicensingText";
    json!({"type": kind, "spdxId": id, "creationInfo": "_:c", "name": name, "simplelicensing_licenseText": text})
}

fn expressed(id: &str, expression: &str, names: &Value) -> Value {
    json!({"type": "simplelicensing_LicenseExpression", "spdxId": id, "simplelicensing_customIdToUri": names,
        "simplelicensing_licenseExpression": expression})
}

/// As Yocto writes them. What a `LicenseRef-…` is called is what it is, as in SPDX 2.
#[test]
fn spdx_3_licences_outside_the_list_come_with_their_names() {
    let long = "All rights reserved. ".repeat(10_000);
    let custom = |name: &str| json!({"type": "expandedlicensing_CustomLicense", "spdxId": "urn:l", "name": name, "simplelicensing_licenseText": long});
    let listed = "https://spdx.org/licenses/AGPL-3.0-only";
    let foreign = |names: &[&str], texts: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        vec![Foreign { reference: "LicenseRef-x".into(), names: own(names), texts: own(texts) }]
    };
    let entry = |key: &str, id: &str| json!({"type": "DictionaryEntry", "key": key, "value": id});
    for (entries, license, told) in [
        (
            json!([entry("LicenseRef-x", "urn:l")]),
            text("urn:l", Some("Commons Clause"), &long),
            foreign(&["Commons Clause"], &[]),
        ),
        (json!(entry("licenseref-X", "urn:l")), text("urn:l", None, " AGPL-3.0-only "), foreign(&["AGPL-3.0-only"], &[])),
        (json!([entry("LicenseRef-x", "urn:l")]), text("urn:l", Some("x"), "see AGPL"), foreign(&["x"], &["see AGPL"])),
        (json!([entry("LicenseRef-x", "urn:l")]), text("urn:l", Some("NOASSERTION"), "AGPL"), foreign(&["AGPL"], &[])),
        (json!([entry("LicenseRef-x", "urn:l")]), text("urn:l", Some("NoAssertion"), &long), foreign(&[], &[])),
        (json!([entry("LicenseRef-x", "urn:l")]), custom("Commons Clause"), foreign(&["Commons Clause"], &[])),
        (json!([entry("LicenseRef-x", "urn:l")]), expressed("urn:l", "A AND B", &json!([])), foreign(&["A AND B"], &[])),
        (json!([entry("LicenseRef-x", listed)]), package("urn:b"), foreign(&["AGPL-3.0-only"], &[])),
        (
            json!([entry("LicenseRef-x", listed), entry("LicenseRef-x", "urn:l"), entry("LicenseRef-x", listed)]),
            text("urn:l", Some("B"), &long),
            foreign(&["AGPL-3.0-only", "B"], &[]),
        ),
        // As in SPDX 2, nobody knows what it is called.
        (json!([entry("LicenseRef-x", "urn:l")]), text("urn:l", None, &long), foreign(&[], &[])),
        (json!([entry("LicenseRef-x", "urn:nowhere")]), package("urn:b"), foreign(&[], &[])),
        (json!([entry("LicenseRef-y", "urn:l")]), text("urn:l", Some("Y"), &long), vec![]),
        (json!([]), text("urn:l", Some("X"), &long), vec![]),
    ] {
        let expression = expressed("urn:e", "MIT AND LicenseRef-x", &entries);
        // Of another expression, the same reference is another licence.
        let other = expressed("urn:other", "LicenseRef-x", &json!([entry("LicenseRef-x", "https://spdx.org/licenses/Zlib")]));
        let elements = [&licensed("urn:e")[..], &[expression, license, other]].concat();
        let packages = read_both(&elements, Depth::Deep);
        let read = (&packages[0].licenses[..], &packages[0].foreign[..]);
        assert_eq!(read, (&[Licensing::Said("MIT AND LicenseRef-x".into())][..], &told[..]), "{entries}");
        assert!(read_both(&elements, Depth::Shallow)[0].foreign.is_empty());
    }
}

/// One of another document is not the one that is called so here.
#[test]
fn spdx_3_references_to_other_documents_have_names_of_their_own() {
    let entry =
        |key: &str, id: &str| json!({"type": "DictionaryEntry", "key": key, "value": format!("https://spdx.org/licenses/{id}")});
    let names = json!([
        entry("DocumentRef-d:LicenseRef-x", "AGPL-3.0-only"),
        entry("LicenseRef-x", "Zlib"),
        entry("LicenseRef-y", "0BSD")
    ]);
    for (expression, told) in [
        ("documentref-d:LicenseRef-X", &["LicenseRef-X Zlib", "documentref-d:LicenseRef-X AGPL-3.0-only"][..]),
        (
            "(DocumentRef-d:LicenseRef-x OR LicenseRef-y)",
            &["DocumentRef-d:LicenseRef-x AGPL-3.0-only", "LicenseRef-x Zlib", "LicenseRef-y 0BSD"],
        ),
        ("DocumentRef-e:LicenseRef-y", &["LicenseRef-y 0BSD"]),
    ] {
        let packages = read_both(&[&licensed("urn:e")[..], &[expressed("urn:e", expression, &names)]].concat(), Depth::Deep);
        let mut found: Vec<_> =
            packages[0].foreign.iter().map(|foreign| format!("{} {}", foreign.reference, foreign.names.join(" "))).collect();
        found.sort_unstable();
        assert_eq!(found, told, "{expression}");
    }
}

#[test]
fn spdx_3_names_that_are_not_read_hide_no_licence() {
    let entry = |of: Value| json!({"type": "DictionaryEntry", "key": "LicenseRef-x", "value": of});
    let set = json!({"type": "expandedlicensing_ConjunctiveLicenseSet", "spdxId": "urn:set", "expandedlicensing_member": ["https://spdx.org/licenses/AGPL-3.0-only"]});
    for entries in [
        json!("urn:entry"),
        json!(["urn:entry"]),
        json!([{"@id": "urn:entry"}]),
        json!([entry(json!(null))]),
        json!([entry(json!({"@id": "urn:l"}))]),
        json!([entry(json!("x".repeat(1025)))]),
        json!([{"type": "DictionaryEntry", "value": "urn:l"}]),
        json!([entry(json!("urn:set"))]),
        // It has names for its own references.
        json!([entry(json!("urn:inner"))]),
    ] {
        let expression = expressed("urn:e", "LicenseRef-x", &entries);
        let inner = expressed("urn:inner", "LicenseRef-x", &json!([entry(json!("urn:l"))]));
        let elements = [&licensed("urn:e")[..], &[expression, inner, set.clone(), text("urn:l", Some("AGPL"), "x")]].concat();
        let packages = read_both(&elements, Depth::Deep);
        assert!(matches!(packages[0].licenses[..], [Licensing::Unread(_)]), "{entries}: {:?}", packages[0].licenses);
    }
    // A package in an entry is one, and entries of other keys may say anything.
    let inside = json!({"type": "simplelicensing_LicenseExpression", "simplelicensing_customIdToUri": [package("urn:b")]});
    let build = json!({"type": "build_Build", "spdxId": "urn:build", "build_parameter": [
        {"type": "DictionaryEntry", "key": "a", "value": "x".repeat(100_000)},
        {"type": "DictionaryEntry", "key": 1, "value": {"of": package("urn:c")}},
    ]});
    let packages = read_both(&[inside, build], Depth::Shallow);
    assert_eq!(packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["urn:b", "urn:c"]);
}

/// A text alone may be any licence; one that is no longer than a name is one.
#[test]
fn spdx_3_licences_of_a_text_are_what_it_says() {
    let unread = || Licensing::Unread("a licence of a text alone".into());
    let said = |text: &str| Licensing::Said(text.to_owned());
    let long = "x".repeat(257);
    let custom = |of: Value| {
        let mut license = of;
        license["type"] = json!("expandedlicensing_CustomLicense");
        license
    };
    for (license, reads, beside) in [
        (text("urn:l", None, " AGPL-3.0-only\n"), said("AGPL-3.0-only"), None),
        (custom(text("urn:l", None, "AGPL-3.0-only")), said("AGPL-3.0-only"), None),
        (text("urn:l", None, &long), unread(), None),
        (custom(text("urn:l", None, &long)), unread(), None),
        (text("urn:l", None, "NOASSERTION"), unread(), None),
        (text("urn:l", Some("Acme"), &long), said("Acme"), None),
        (text("urn:l", Some("Acme"), "AGPL-3.0-only"), said("Acme"), Some("AGPL-3.0-only")),
        (text("urn:l", Some("MIT"), "AGPL-3.0-only"), said("MIT"), Some("AGPL-3.0-only")),
        (text("urn:l", Some("NONE"), "AGPL-3.0-only"), said("NONE"), Some("AGPL-3.0-only")),
        (text("urn:l", Some(" MIT OR AGPL-3.0-only"), "MIT OR AGPL-3.0-only "), said(" MIT OR AGPL-3.0-only"), None),
        (text("urn:l", Some("NOASSERTION"), "AGPL-3.0-only"), said("AGPL-3.0-only"), None),
        // Classes of Microsoft's sbom-tool.
        (json!({"type": "AnyLicenseInfo", "spdxId": "urn:l", "name": "MIT"}), said("MIT"), None),
        (json!({"type": "simplelicensing_AnyLicenseInfo", "spdxId": "urn:l", "name": "MIT"}), said("MIT"), None),
        (
            json!({"type": "Element", "spdxId": "urn:l", "name": "MIT"}),
            Licensing::Unread("an element that is no licence in the document".into()),
            None,
        ),
    ] {
        let packages = read_both(&[&licensed("urn:l")[..], std::slice::from_ref(&license)].concat(), Depth::Deep);
        assert_eq!(packages[0].licenses, [reads], "{license}");
        assert_eq!(packages[0].foreign.iter().flat_map(|foreign| &foreign.texts).map(String::as_str).next(), beside, "{license}");
    }
    for nothing in
        [text("urn:l", Some("NOASSERTION"), &long), json!({"type": "Element", "spdxId": "urn:l", "name": "NOASSERTION"})]
    {
        let packages = read_both(&[&licensed("urn:l")[..], std::slice::from_ref(&nothing)].concat(), Depth::Deep);
        assert!(packages[0].licenses.is_empty(), "{nothing}");
    }
}

/// An operator is about the licence with all that is said of it.
#[test]
fn spdx_3_what_is_said_beside_a_licence_is_said_of_it_with_an_operator() {
    let mut acme = text("urn:l", None, "AGPL-3.0-only");
    acme["type"] = json!("expandedlicensing_CustomLicense");
    for (name, to, told) in [
        (" Acme ", "urn:l", " Acme "),
        ("Acme", "urn:later", "Acme+"),
        ("Acme", "urn:with", "Acme WITH GCC-exception-2.0"),
        ("Acme", "urn:both", "Acme+ WITH GCC-exception-2.0"),
    ] {
        acme["name"] = json!(name);
        let with = |id: &str, of: &str| {
            json!({"type": "expandedlicensing_WithAdditionOperator", "spdxId": id, "expandedlicensing_subjectExtendableLicense": of,
                "expandedlicensing_subjectAddition": "https://spdx.org/licenses/GCC-exception-2.0"})
        };
        let later = json!({"type": "expandedlicensing_OrLaterOperator", "spdxId": "urn:later", "expandedlicensing_subjectLicense": "urn:l"});
        let elements = [acme.clone(), later, with("urn:with", "urn:l"), with("urn:both", "urn:later")];
        let packages = read_both(&[&licensed(to)[..], &elements].concat(), Depth::Deep);
        assert_eq!(packages[0].licenses, [Licensing::Said(told.to_owned())]);
        let beside = Foreign { reference: told.trim().into(), names: vec![], texts: vec!["AGPL-3.0-only".into()] };
        assert_eq!(packages[0].foreign, [beside], "{told}");
    }
}

/// The whole of a document as Microsoft's sbom-tool writes it.
#[test]
fn spdx_3_of_sbom_tool_is_read() {
    let text = include_str!("../../testdata/sbom-tool-spdx-3.0.json");
    for depth in [Depth::Shallow, Depth::Deep] {
        let (_, sbom, packages) = read_text(text, depth).unwrap();
        assert_eq!((sbom.version, sbom.packages, sbom.files), ("SPDX-3.0", 3, 1));
        let purls: Vec<_> = packages.iter().map(|package| (package.name.as_str(), package.purls.join(" "))).collect();
        let wanted = [
            ("left-pad", "pkg:npm/left-pad@1.3.0"),
            ("redis", "pkg:nuget/redis@8.0.0"),
            ("app", "pkg:swid/Acme/acme.test/app@1.0.0?tag_id=x"),
        ];
        assert_eq!(purls, wanted.map(|(name, purl)| (name, purl.to_owned())));
        if depth == Depth::Deep {
            let licenses: Vec<_> = packages
                .iter()
                .map(|package| package.licenses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
                .collect();
            assert_eq!(licenses, ["", "AGPL-3.0-only", ""]);
            let suppliers = packages.iter().map(|package| (package.supplier.as_deref(), package.supplier_name.as_deref()));
            assert_eq!(suppliers.collect::<Vec<_>>(), [(None, None), (Some("Organization: Acme"), Some("Acme")), (None, None)]);
        }
    }
}
