//! What CycloneDX says of components.

use super::*;
use crate::policy::documents::sbom::Foreign;

#[test]
fn a4_cyclonedx_says_what_it_is() {
    let base: Value = serde_json::from_str(CYCLONEDX).unwrap();
    for (key, value, message) in [
        ("bomFormat", json!("SPDX"), "has bomFormat `SPDX`"),
        ("bomFormat", json!(null), "has no bomFormat"),
        ("specVersion", json!("1.1"), "has specVersion `1.1`; 1.2 to 1.7"),
        ("specVersion", json!("2.0"), "has specVersion"),
        ("specVersion", json!(1.6), "has a number where text belongs"),
        ("components", json!({}), "has an object where a list belongs"),
        ("Components", json!([]), "has key `Components` for `components`"),
    ] {
        let mut document = base.clone();
        document[key] = value;
        let error = cyclonedx::read(&predicate(&document.to_string()), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(message), "{key}: {error}");
    }
    for (version, ..) in cyclonedx::VERSIONS {
        let text = CYCLONEDX.replace("\"specVersion\": \"1.6\"", &format!("\"specVersion\": \"{version}\""));
        assert!(packages(&text).unwrap().0.version.ends_with(version));
    }
    let empty = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"name":"app"}},"components":null}"#;
    let unread = |why: &str| vec![Licensing::Unread(why.to_owned())];
    for (license, licenses) in [
        (r#"{"license":{"id":"MIT","name":"other"}}"#, said("MIT")),
        (r#"{"license":{"name":"other"}}"#, said("other")),
        (r#"{"license":{"id":"MIT","name":"NOASSERTION"}}"#, said("MIT")),
        (r#"{"license":{"name":"NOASSERTION"}}"#, vec![]),
        (r#"{"license":{"name":"NoAssertion ","url":"https://a.test/agpl-3.0"}}"#, vec![]),
        (r#"{"license":{"name":"NOASSERTION","url":"https://a.test","text":{"content":"AGPL"}}}"#, vec![]),
        (r#"{"license":{"name":"NOASSERTION","text":{"content":"AGPL"}}}"#, unread("a licence of a text alone")),
        (r#"{"expression":"NOASSERTION"}"#, vec![]),
        (r#"{"expression":"MIT"}"#, said("MIT")),
        (r#"{"expressionDetails":[{"licenseIdentifier":"MIT"}]}"#, unread("an entry without license or expression")),
        (r#"{"text":"…"}"#, unread("an entry without license or expression")),
        // Nothing is stated: trivy's, of an empty string.
        (r#"{"license":{"name":""}}"#, vec![]),
        (r#"{"license":{}}"#, vec![]),
        (r#"{"license":{"text":null}}"#, vec![]),
        (r#"{"expression":null}"#, vec![]),
        (r#"{"license":{"id":null,"name":" ","text":{"content":"AGPL"}}}"#, unread("a licence of a text alone")),
        // Syft's, of a POM that names none.
        (r#"{"license":{"url":"https://a.test/agpl-3.0"}}"#, said("https://a.test/agpl-3.0")),
        (r#"{"license":{"name":"other","url":"https://a.test","text":{"content":"AGPL"}}}"#, said("other")),
        (r#"{"license":{"url":"https://a.test"},"expression":"MIT"}"#, [said("https://a.test"), said("MIT")].concat()),
    ] {
        let text = format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{"bom-ref":"a","supplier":null,"licenses":[{license}]}}]}}"#
        );
        let (sbom, found) = packages(&text).unwrap();
        assert_eq!((sbom.packages, &found[0].licenses), (1, &licenses), "{license}");
    }
    assert_eq!(packages(empty).unwrap().0.packages, 0, "what the document is about is none of its components");
    for (component, counted) in [
        (r#""type":"container""#, 0),
        (r#""type":"application","purl":"pkg:oci/app@sha256:0""#, 0),
        (r#""type":"application","purl":"pkg:docker/acme/app@v1""#, 0),
        (r#""type":"application","purl":"pkg:npm/oci@1""#, 1),
    ] {
        let text = format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{"name":"app",{component}}}]}}"#);
        let (sbom, found) = packages(&text).unwrap();
        assert_eq!((sbom.packages, found[0].is_frame), (counted, counted == 0), "{component}");
    }
}

/// CycloneDX for .NET calls a licence `Unknown - See URL` of which it knows a URL alone.
#[test]
fn what_cyclonedx_says_of_a_licence_beside_its_name_is_read() {
    let read = |licenses: &str| {
        let text = format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{"name":"a","supplier":{{"name":"Evil "}},"licenses":[{licenses}]}}]}}"#
        );
        packages(&text).unwrap().1.remove(0)
    };
    let url = "https://www.gnu.org/licenses/agpl-3.0.html";
    let long = "x".repeat(sbom::MAX_TEXT_OF_A_NAME + 1);
    for (license, name, texts) in [
        (json!({"name": " Unknown - See URL ", "url": url}), "Unknown - See URL", &[url][..]),
        (json!({"name": "Custom", "url": url, "text": {"content": " AGPL-3.0-only\n"}}), "Custom", &[url, "AGPL-3.0-only"]),
        (
            json!({"name": "Custom", "text": {"content": "QUdQTC0z\r\nLjAtb25seQ==", "encoding": "base64"}}),
            "Custom",
            &["AGPL-3.0-only"],
        ),
        (json!({"name": "Custom", "text": {"encoding": "base64", "content": "AGPL-3.0"}}), "Custom", &[]),
        (json!({"name": "Custom", "text": "AGPL-3.0-only"}), "Custom", &["AGPL-3.0-only"]),
        (json!({"name": "Custom", "url": "NOASSERTION", "text": {"content": long}}), "Custom", &[]),
        (json!({"name": "Custom", "text": {"content": [1]}}), "Custom", &[]),
        (json!({"url": url, "text": {"content": "see there"}}), url, &["see there"]),
        // What tools write beside an id is of it, as its page is.
        (json!({"id": "GPL-2.0-or-later", "url": "https://www.gnu.org/licenses/gpl-2.0.html"}), "GPL-2.0-or-later", &[]),
        (json!({"id": "MIT", "name": "x", "url": url, "text": {"content": "AGPL-3.0-only"}}), "MIT", &["AGPL-3.0-only"]),
    ] {
        let package = read(&json!({"license": license}).to_string());
        assert_eq!((&package.licenses, package.supplier.as_deref()), (&said(name), Some("Evil")), "{license}");
        let told: Vec<_> = package.foreign.iter().map(|of| (&*of.reference, of.names.len(), of.texts.clone())).collect();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(told, if texts.is_empty() { vec![] } else { vec![(name, 0, texts)] }, "{license}");
    }
    // Of nothing that is stated, it can deny all the same.
    for nothing in [json!({"name": "NOASSERTION", "url": url}), json!({"id": "NoAssertion", "url": url})] {
        let package = read(&json!({"license": nothing}).to_string());
        let foreign = Foreign { reference: String::new(), names: vec![], texts: vec![url.into()] };
        assert_eq!((package.licenses, package.foreign), (vec![], vec![foreign]), "{nothing}");
    }
    // A component may have the same any number of times.
    let many = vec![r#"{"license":{"name":"a","url":"b"}}"#; 300].join(",");
    let package = read(&format!(r#"{many},{{"license":{{"name":"a","url":"c","text":"b"}}}}"#));
    let foreign = Foreign { reference: "a".into(), names: vec![], texts: vec!["b".into(), "c".into()] };
    assert_eq!((package.licenses.len(), package.foreign), (301, vec![foreign]));
    let many: Vec<_> = (0..300).map(|at| format!(r#"{{"license":{{"name":"{at}","url":"b"}}}}"#)).collect();
    let package = read(&many.join(","));
    assert!(package.licenses.iter().all(|license| matches!(license, Licensing::Said(_))) && package.foreign.len() == 300);
}

#[test]
fn what_cyclonedx_says_of_the_licences_in_an_expression_is_read() {
    let url = "https://www.gnu.org/licenses/agpl-3.0.html";
    for (details, told) in [
        (json!([{"licenseIdentifier": "LicenseRef-x", "url": url}]), vec![("LicenseRef-x", vec![url])]),
        (
            json!([{"text": {"content": "AGPL"}, "url": url, "licenseIdentifier": "LicenseRef-x"}, {"licenseIdentifier": "MIT", "url": url}]),
            vec![("LicenseRef-x", vec![url, "AGPL"])],
        ),
        (json!([{"licenseIdentifier": "MIT", "text": {"content": "AGPL"}}, {"url": url}]), vec![("MIT", vec!["AGPL"])]),
        (json!(null), vec![]),
    ] {
        let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.7", "components": [
            {"name": "a", "licenses": [{"expressionDetails": details, "expression": "LicenseRef-x OR MIT"}]},
        ]});
        let package = packages(&document.to_string()).unwrap().1.remove(0);
        assert_eq!(package.licenses, said("LicenseRef-x OR MIT"));
        let found: Vec<(&str, Vec<&str>)> =
            package.foreign.iter().map(|of| (&*of.reference, of.texts.iter().map(String::as_str).collect())).collect();
        assert_eq!(found, told, "{details}");
    }
}
