//! What is said beside a licence's name.

use super::super::{super::tests::parsed, tests::package, *};
use super::MAX_JUDGED;
use crate::policy::documents::sbom::Foreign;

/// What a document calls a `LicenseRef-…` counts as its text elsewhere would: else a name would be denied in one tool's
/// documents and pass in another's.
#[test]
fn a_reference_is_itself_and_what_the_document_calls_it() {
    let foreign = |names: &[&str], texts: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Foreign { reference: "LicenseRef-x".into(), names: own(names), texts: own(texts) }
    };
    let judged = |yaml: &str, license: &str, foreign: Foreign| {
        let package = Package { foreign: vec![foreign], ..package(&[license]) };
        parsed(yaml, Licenses::parse).unwrap().judge(&package, &mut Judged::default()).is_ok()
    };
    let commons = || foreign(&["Commons Clause License"], &[]);
    let none = || foreign(&[], &[]);
    for (yaml, license, known, passes) in [
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-x", commons(), false),
        ("{deny: [{text: Commons Clause}]}", "MIT AND LicenseRef-x", commons(), false),
        ("{deny: [{text: Commons Clause}]}", "MIT OR LicenseRef-x", commons(), true),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-x", foreign(&["x"], &["with the commons clause"]), false),
        ("{deny: [{text: Commons Clause}]}", "licensed as LicenseRef-x", commons(), false),
        ("{deny: [{text: Commons Clause}]}", "licensed as licenseref-X, see there", commons(), false),
        ("{deny: [{text: Commons Clause}]}", "licensed as LicenseRef-x1", commons(), true),
        ("{deny: [{text: Commons Clause}]}", "licensed as it is", commons(), true),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-x", none(), true),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-y", commons(), true),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-Commons-Clause", none(), false),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-syft-commons.clause-1", none(), false),
        ("{deny: [{text: Commons Clause}]}", "LicenseRef-uncommons-clause", none(), true),
        ("{deny: [LicenseRef-x]}", "LicenseRef-x", commons(), false),
        ("{deny: [{text: LicenseRef-x}]}", "LicenseRef-x", none(), false),
        ("{allow: [{text: (LicenseRef-x)}]}", "LicenseRef-x", none(), true),
        ("{deny: [AGPL-3.0-only]}", "LicenseRef-x", foreign(&["GNU Affero General Public License v3.0"], &[]), false),
        ("{deny: [AGPL-3.0-only]}", "LicenseRef-x", foreign(&["AGPL-3.0"], &[]), false),
        ("{allow: [MIT, {text: Acme EULA}]}", "LicenseRef-x", foreign(&["acme eula"], &["whatever"]), true),
        ("{allow: [MIT, {text: Acme EULA}]}", "MIT AND LicenseRef-x", foreign(&["Acme EULA"], &[]), true),
        ("{allow: [MIT, {text: Acme EULA}]}", "LicenseRef-x", foreign(&["Acme EULA", "Evil EULA"], &[]), false),
        ("{allow: [MIT, {text: Acme EULA}]}", "LicenseRef-x", foreign(&[], &["Acme EULA"]), false),
        ("{allow: [MIT, {text: Acme EULA}]}", "LicenseRef-x", none(), false),
        // A name of SPDX's list is no licence of it: what is behind the reference is another text.
        ("{allow: [MIT]}", "LicenseRef-x", foreign(&["MIT License"], &[]), false),
        ("{allow: [LicenseRef-x]}", "LicenseRef-x", foreign(&["Evil EULA"], &[]), true),
        ("{allow: [LicenseRef-x], deny: [{text: Evil}]}", "LicenseRef-x", foreign(&["Evil EULA"], &[]), false),
    ] {
        assert_eq!(judged(yaml, license, known.clone()), passes, "{yaml} {license} {known:?}");
    }
}

/// A text of a few words is of the licence it stands beside, whatever that is called, and of no other one.
#[test]
fn what_is_said_beside_a_licence_is_said_of_it_alone() {
    let foreign = |reference: &str, name: Option<&str>, text: &str| Foreign {
        reference: reference.into(),
        names: name.map(str::to_owned).into_iter().collect(),
        texts: vec![text.into()],
    };
    let any = |members: &[&str]| Licensing::Any(members.iter().map(|member| Licensing::Said((*member).to_owned())).collect());
    let judged = |deny: &str, license: &Licensing, foreign: &[Foreign]| {
        let package = Package { licenses: vec![license.clone()], foreign: foreign.to_vec(), ..package(&[]) };
        parsed(&format!("{{deny: [{deny}]}}"), Licenses::parse).unwrap().judge(&package, &mut Judged::default()).is_ok()
    };
    // A name without an expression, an expression, a name of the list, and none.
    for name in ["Acme", "MIT", "mit ", "MIT OR Zlib", "MIT License", "NONE", "LicenseRef-x", "DocumentRef-x:LicenseRef-x"] {
        let beside = [foreign(name.trim(), None, "see AGPL-3.0-only")];
        let license = Licensing::Said(name.to_owned());
        assert!(!judged("AGPL-3.0-only", &license, &beside), "{name}");
        assert!(judged("SSPL-1.0", &license, &beside), "{name}");
        assert!(judged("AGPL-3.0-only", &any(&["Acme EULA", name]), &beside), "{name}");
        assert!(judged("AGPL-3.0-only", &any(&["Zlib", name]), &beside), "{name}");
        assert!(!judged("AGPL-3.0-only", &any(&[name, name]), &beside), "{name}");
        assert!(judged("AGPL-3.0-only", &license, &[foreign("Other", None, "AGPL-3.0-only")]), "{name}");
    }
    // A name of what a reference is to, with the document it is in and without.
    for reference in ["LicenseRef-x", "DocumentRef-x:LicenseRef-x"] {
        let named = [foreign(reference, Some("AGPL-3.0-only"), "x")];
        for (license, passes) in [
            (reference.to_owned(), false),
            (format!("MIT AND {reference}"), false),
            (format!("see {reference}, or ask"), false),
            (format!("see {reference}-1, or ask"), true),
        ] {
            assert_eq!(judged("AGPL-3.0-only", &Licensing::Said(license.clone()), &named), passes, "{license}");
        }
    }
}

/// Where a licence's text is says of most of a URL nothing: `openssl` is a project too.
#[test]
fn of_what_stands_beside_a_name_an_expression_is_evaluated_and_a_url_is_no_prose() {
    let judged = |deny: &str, name: &str, text: &str| {
        let licenses = if name.is_empty() { package(&["MIT"]) } else { package(&[name]) };
        let foreign = vec![Foreign { reference: name.into(), names: vec![], texts: vec![text.into()] }];
        parsed(&format!("{{deny: [{deny}]}}"), Licenses::parse)
            .unwrap()
            .judge(&Package { foreign, ..licenses }, &mut Judged::default())
    };
    for (deny, name, passing, denied) in [
        (
            "OpenSSL",
            "Apache License 2.0",
            &[
                "https://github.com/openssl/openssl/blob/master/LICENSE.txt",
                "https://github.com/openssl/x/LICENSE?x=openssl#openssl",
                "https://openssl",
                "https://a.test/licenses/openssl-x",
                "https://a.test/openssl/license",
            ][..],
            &[
                "https://a.test/openssl",
                "HTTP://a.test/OpenSSL.en.html/",
                "https://a.test/licenses/openssl/x?y",
                "see https://a.test/openssl/license",
                "https://a.test/openssl/x and so on",
                "https://a.test/%6Fpenssl",
                "https://a.test/openssl-license/x",
            ][..],
        ),
        ("Ruby, JSON", "BSD-2-Clause", &["https://github.com/ruby/psych/x", "https://a.test/json/license.json"], &[]),
        ("X11, curl", "BSD-3-Clause", &["https://www.php.net/curl/x11/license"], &["https://spdx.org/licenses/X11.html"]),
        ("{text: Acme}", "MIT", &["https://github.com/acme/app/LICENSE"], &["https://a.test/acme-eula.txt"]),
        ("GPL-1.0-or-later, Zlib", "MIT", &["https://github.com/zlib/x"], &["https://a.test/GPL-2.0-only/x"]),
        ("LicenseRef-x", "MIT", &["https://a.test/x"], &["https://a.test/LicenseRef-x/x"]),
        (
            "AGPL-3.0-only",
            "Unknown - See URL",
            &[
                "https://licenses.nuget.org/(AGPL-3.0-only%20OR%20MIT)",
                "https://licenses.nuget.org/MIT",
                "MIT OR AGPL-3.0-only",
                "NONE",
                "LicenseRef-x",
                "MIT WITH AdditionRef-x",
                "https://www.gnu.org/licenses/agpl-3.1.html",
                "https://www.gnu.org/licenses/agpl-3.10",
            ],
            &[
                "https://licenses.nuget.org/MIT%20AND%20AGPL-3.0-only",
                "https://licenses.nuget.org/(MIT%20OR%20AGPL-3.0-only)%20AND%20AGPL-3.0-or-later",
                "MIT AND AGPL-3.0-only",
                "AGPL-3.0-or-later",
                "LicenseRef-AGPL-3.0",
                "MIT, or at your choice AGPL-3.0-only",
                "https://www.gnu.org/licenses/agpl-3.0.en.html",
                "https://opensource.org/license/agpl-v3",
                "https://github.com/a/b/blob/main/LICENSE_AGPLv3.txt",
                "https://a.test/agpl-3.0/blob/LICENSE",
                "https://a.test/?id=AGPL-3.0-only#x",
                "https://a.test/GNU%20Affero%20General%20Public%20License%20v3.0/x",
            ],
        ),
        ("{text: Commons Clause}", "MIT", &[], &["Zlib WITH AdditionRef-Commons-Clause"]),
    ] {
        for name in [name, ""] {
            for text in passing {
                assert!(judged(deny, name, text).is_ok(), "{deny}: {name}, {text}");
            }
            for text in denied {
                assert!(judged(deny, name, text).is_err(), "{deny}: {name}, {text}");
            }
        }
    }
    assert_eq!(judged("AGPL-3.0-only", "MIT OR AGPL-3.0-only", "MIT OR AGPL-3.0-only").map_err(|_| ()), Ok(()));
    let failure = judged("AGPL-3.0-only", "", "https://a.test/agpl-3.0").unwrap_err();
    assert_eq!(failure.summary, "wants no licence AGPL-3.0-only; found https://a.test/agpl-3.0 in ghostscript 10.0");
    // Where it is all that a licence is called, too.
    let called = |deny: &str, url: &str| {
        parsed(&format!("{{deny: [{deny}]}}"), Licenses::parse).unwrap().judge(&package(&[url]), &mut Judged::default())
    };
    assert!(called("OpenSSL", "https://github.com/openssl/openssl/blob/master/LICENSE.txt").is_ok());
    assert!(
        called("OpenSSL", "https://a.test/openssl.html").is_err()
            && called("AGPL-3.0-only", "https://a.test/agpl-3.0/x").is_err()
    );
    for url in ["https://www.mozilla.org/MPL/1.1/", "http://www.mozilla.org/en-US/MPL%2F1.1"] {
        assert!(called("MPL-1.1", url).is_err() && called("MPL-2.0", url).is_ok(), "{url}");
    }
    assert!(called("{text: acme.test/eula}", "https://acme.test/eula/v2").is_err());
    for (url, passes) in [("https://Acme.test/eula", false), ("https://acme.test/eula/v2", false), ("https://acme.test/", true)] {
        assert_eq!(called("{text: \"https://acme.test/EULA\"}", url).is_ok(), passes, "{url}");
        assert_eq!(judged("{text: \"https://acme.test/EULA\"}", "Acme", url).is_ok(), passes, "{url}");
    }
    // Of any length: no deeper, and longer than any as a text.
    for (length, passes) in [(2_048, true), (2_049, false)] {
        let long = "https://a.test/openssl/".to_owned() + &"x".repeat(length - 23);
        assert_eq!(judged("OpenSSL", "Apache License 2.0", &long).is_ok(), passes, "{length}");
    }
    let long = format!("https://a.test/?AGPL%2D3.0%2Donly&{}", "x".repeat(2_048));
    assert!(judged("AGPL-3.0-only", "MIT", &long).is_err() && judged("AGPL-1.0-only", "MIT", &long).is_ok());
    for (end, passes) in [("", true), ("openssl", false)] {
        let long = format!("https://a.test/{end}{}", ".html".repeat(13_000));
        assert_eq!(judged("OpenSSL", "Apache License 2.0", &long).is_ok(), passes, "{end}");
    }
    // It can only deny.
    let unstated = Foreign { reference: String::new(), names: vec![], texts: vec!["https://opensource.org/licenses/MIT".into()] };
    let unstated = Package { foreign: vec![unstated], ..package(&[]) };
    let judged = |yaml| parsed(yaml, Licenses::parse).unwrap().judge(&unstated, &mut Judged::default()).is_ok();
    assert!(judged("{allow: [NOASSERTION]}") && !judged("{allow: [MIT]}") && !judged("{deny: [MIT]}"));
}

/// CycloneDX 1.7's `expressionDetails` tell of one of several.
#[test]
fn what_is_said_beside_one_licence_of_an_expression_denies_that_one() {
    let judged = |license: &str, of: &str| {
        let foreign = vec![Foreign { reference: of.into(), names: vec![], texts: vec!["AGPL-3.0-only".into()] }];
        let licenses = parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap();
        licenses.judge(&Package { foreign, ..package(&[license]) }, &mut Judged::default()).is_ok()
    };
    for license in
        ["MIT", "(MIT)", "MIT AND Zlib", "Zlib AND (MIT OR MIT)", "MIT WITH Classpath-exception-2.0 AND Zlib", "mit and Zlib"]
    {
        assert!(!judged(license, "MIT") && !judged(license, "mit"), "{license}");
        assert!(judged(license, "Apache-2.0"), "{license}");
    }
    for of in ["GPL-2.0+", "GPL-2.0-or-later"] {
        assert!(!judged("GPL-2.0+ AND Zlib", of) && !judged("GPL-2.0-or-later AND Zlib", of), "{of}");
    }
    for (license, passes) in [
        ("MIT OR Zlib", true),
        ("MIT AND Zlib", true),
        ("MIT WITH Classpath-exception-2.0 AND Zlib", false),
        ("MIT WITH Classpath-exception-2.0 OR Zlib", true),
    ] {
        assert_eq!(judged(license, "MIT WITH Classpath-exception-2.0"), passes, "{license}");
    }
    assert!(judged("MIT OR Zlib", "MIT"), "the other one may be chosen");
}

#[test]
fn a11_what_licences_are_called_is_judged_once_in_a_document() {
    let mut judged = Judged::default();
    let mut asked = 0;
    for (text, is_name) in [("a", true), ("a", false), ("b", true), ("a", true), ("a", false)] {
        let mut judge = |text: &str| {
            asked += 1;
            text == "a"
        };
        assert_eq!(judged.once(text, is_name, &mut judge), text == "a");
    }
    assert_eq!(asked, 3);
    // Where it is known, nothing is looked for.
    let of = |names: &[&str], texts: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let foreign = vec![Foreign { reference: "LicenseRef-x".into(), names: own(names), texts: own(texts) }];
        Package { foreign, ..package(&["LicenseRef-x"]) }
    };
    let licenses = parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap();
    for (package, passes) in [(of(&["a"], &[]), false), (of(&[], &["a"]), false), (of(&["b"], &["c"]), true)] {
        assert_eq!(licenses.judge(&package, &mut judged).is_ok(), passes);
    }
    (0..MAX_JUDGED).for_each(|at| assert!(!judged.once(&at.to_string(), true, |_| false)));
    assert_eq!(judged.denied.len(), MAX_JUDGED);
    assert!(judged.once("beyond", true, |_| true));
}

/// Each reference was judged for each text that may mean it.
#[test]
fn a11_references_are_judged_once_however_many_texts_mean_them() {
    let foreign = |at: usize| Foreign {
        reference: format!("DocumentRef-{at}:LicenseRef-x"),
        names: vec!["A".into()],
        ..Foreign::default()
    };
    let texts: Vec<String> = (0..20_000).map(|at| format!("see LicenseRef-x, or ask {at}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let judged = |last: &str| {
        let mut foreign: Vec<Foreign> = (0..20_000).map(foreign).collect();
        foreign.last_mut().unwrap().names = vec![last.into()];
        let many = Package { foreign, ..package(&texts) };
        parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap().judge(&many, &mut Judged::default()).is_ok()
    };
    assert!(judged("A") && !judged("AGPL-3.0-only"));
}

/// Each was judged for each of the others.
#[test]
fn a11_what_is_said_of_many_licences_is_judged_once() {
    let names: Vec<String> = (0..20_000).map(|at| format!("Licence {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let foreign = |reference: &str| Foreign { reference: reference.into(), names: vec![], texts: vec!["https://a.test".into()] };
    let foreign = names.iter().map(|name| foreign(name)).collect();
    let many = Package { foreign, ..package(&names) };
    assert!(parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap().judge(&many, &mut Judged::default()).is_ok());
    let texts = names.iter().map(|name| format!("https://a.test/{name}")).collect();
    let same = vec!["MIT"; 20_000];
    let many = Package { foreign: vec![Foreign { reference: "MIT".into(), names: vec![], texts }], ..package(&same) };
    assert!(parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap().judge(&many, &mut Judged::default()).is_ok());
}
