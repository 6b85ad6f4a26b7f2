mod elsewhere;
mod json_ld;
mod version_3;

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
        (json!({"SPDXID": "SPDXRef-a", "externalRefs": purl("PKG:OCI/app@sha256:0")}), 0),
        (json!({"SPDXID": "SPDXRef-a", "externalRefs": purl("pkg:npm/oci@1")}), 1),
    ] {
        assert_eq!(of(package.clone()), packages, "{package}");
    }
    for (purpose, packages) in [("container", 0), ("file", 0), ("operatingSystem", 0), ("application", 1)] {
        let mut package = package("urn:a");
        package["software_primaryPurpose"] = purpose.into();
        assert_eq!(read_value(&graph(&[package])).unwrap().1, packages, "{purpose}");
    }
    for (purl, packages) in [("pkg:oci/app@sha256:0", 0), ("pkg:docker/acme/app@v1", 0), ("pkg:npm/oci@1", 1)] {
        let mut package = package("urn:a");
        package["software_packageUrl"] = purl.into();
        assert_eq!(read_value(&graph(&[package])).unwrap().1, packages, "{purl}");
    }
}

#[test]
fn a_supplier_is_what_stands_between_its_kind_and_its_mail() {
    for (written, name) in [
        ("Organization: Acme", Some("Acme")),
        ("Organization: Acme (ops@acme.test)", Some("Acme")),
        ("Organization: Acme <ops@acme.test>", Some("Acme")),
        ("Tool:Acme(ops@acme.test) ", Some("Acme")),
        ("organization: Acme", Some("Acme")),
        ("Person: Jane Doe ()", Some("Jane Doe")),
        ("Organization: Acme (Evil Corp)", Some("Acme (Evil Corp)")),
        ("Organization: Acme (Evil Corp) (x@evil.test)", Some("Acme (Evil Corp)")),
        ("Organization: Acme (x@evil.test", Some("Acme (x@evil.test")),
        ("Acme", None),
    ] {
        let document = with("packages", json!([{"SPDXID": "SPDXRef-a", "name": "a", "supplier": written}]));
        let packages = read_text(&document.to_string(), Depth::Shallow).unwrap().2;
        assert_eq!((packages[0].supplier_name.as_deref(), packages[0].supplier.as_deref()), (name, Some(written.trim())));
    }
    for nobody in [
        "NOASSERTION",
        "NoAssertion",
        "Organization: NOASSERTION",
        "organization: noassertion",
        " ",
        "Organization: ",
        "Person:",
        "Organization: (ops@acme.test)",
        "Tool: ()",
    ] {
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
fn a_version_and_what_is_a_purl_by_its_type_or_its_scheme_are_read_of_2_and_3() {
    let found = [("other", " Pkg:npm/a@1"), ("purl", "b@1"), ("cpe23Type", "cpe:2.3:a:a:a")];
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
        assert_eq!((packages[0].version.as_deref(), packages[0].purls.join(" ")), (Some("1.2"), " Pkg:npm/a@1 b@1".to_owned()));
    }
}

/// What a `LicenseRef-…` is called is copied to each package that has it, and judged there.
#[test]
fn a11_what_licences_are_called_is_bounded_in_all_packages_together() {
    let read = |name: &str, packages: usize| {
        let package = |at: usize| json!({"SPDXID": format!("SPDXRef-{at}"), "name": "a", "licenseDeclared": "LicenseRef-a AND LicenseRef-b"});
        let mut document = with("packages", (0..packages).map(package).collect());
        document["hasExtractedLicensingInfos"] = json!([{"licenseId": "LicenseRef-a", "name": name, "extractedText": "x"}]);
        let (mut whole, mut unread) = (0, 0);
        let predicate = Predicate::from(document.to_string());
        let each = &mut |package: &Package| match (&package.licenses[..], &package.foreign[..]) {
            ([Licensing::Said(_)], [one, _]) if one.names == [name] => whole += 1,
            ([Licensing::Unread(told)], []) if told == "more than 1048576 licences and names" => unread += 1,
            other => panic!("{other:?}"),
        };
        super::read(&predicate, Depth::Deep, each).unwrap();
        (whole, unread)
    };
    assert_eq!(read("A Licence", 10_000), (10_000, 0));
    // Two texts, and all of 64 bytes in one.
    assert_eq!(read(&"x".repeat(60_000), 2_000), ((1 << 20) / (2 + 60_000 / 64), 2_000 - (1 << 20) / (2 + 60_000 / 64)));
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
        {"licenseId": "LicenseRef-c", "name": "C", "extractedText": "see C", "seeAlsos": [" https://c.test ", null, "NOASSERTION", {"a": 1}, long],
            "crossRefs": [{"url": "https://d.test", "order": 1}, null, "x"]},
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
                [
                    ("plain", vec![]),
                    ("ref", foreign(&of_ref)),
                    ("other", foreign(&[r#"LicenseRef-c ["C"] ["https://c.test", "https://d.test", "see C"]"#])),
                ]
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
    assert!(read_value(&three).unwrap_err().to_string().contains("beside `@graph`"));
}
