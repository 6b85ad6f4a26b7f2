use proptest::prelude::*;

use super::{super::tests::parsed, *};
use crate::policy::documents::sbom::Foreign;

fn package(licenses: &[&str]) -> Package {
    let licenses = licenses.iter().map(|text| Licensing::Said((*text).to_owned())).collect();
    Package { name: "ghostscript".into(), version: Some("10.0".into()), licenses, ..Package::default() }
}

fn passes(yaml: &str, licenses: &[&str]) -> bool {
    parsed(yaml, Licenses::parse).unwrap().judge(&package(licenses)).is_ok()
}

#[test]
fn denied_licences_are_found_by_the_meaning_of_expressions() {
    for (deny, yes, no) in [
        (
            "AGPL-3.0-only",
            &[
                "MIT",
                "MIT OR AGPL-3.0-only",
                "(AGPL-3.0-only AND Zlib) or MIT",
                "GPL-3.0-only",
                "LicenseRef-AGPL-like",
                "LicenseRef-GNU-Affero-General-Public-License-v3.1",
                "LicenseRef-GNU-Affero-General-Public-License-v30",
                "LicenseRef-GNU-Affero-General-Public-License",
                "BSD-style",
                "NOASSERTION",
                "NONE",
                "AGPL-1.0-only",
                "AGPL-1.0-or-later",
            ][..],
            &[
                "AGPL-3.0-only",
                "AGPL-3.0",
                "agpl-3.0-ONLY",
                "AGPL-3.0-or-later",
                "AGPL-3.0+",
                "MIT AND AGPL-3.0-only",
                "AGPL-3.0-only WITH Classpath-exception-2.0",
                "AGPL-3.0-only or a commercial licence",
                "see agpl-3.0.",
                "GNU Affero General Public License v3.0 only",
                "dual: GNU Affero General Public License v3.0 only / other",
                "GNU Affero General Public License v3",
                "GNU Affero General Public License v3 or later (AGPLv3+)",
                "GNU Affero General Public License version 3",
                "GNU Affero  General\u{a0}Public License v3.0",
                "GNU_Affero-General-Public-License_v3",
                "GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007",
                "AGPL-v3",
                "AGPL_v3",
                "https://licenses.nuget.org/MIT%20AND%20AGPL-3.0-only",
                "GNU AGPLv3",
                "AGPLv3+",
                "AGPL 3",
                "AGPL v3.0, commercial",
                "LicenseRef-AGPL-3.0-only",
                "LicenseRef-agpl-3.0",
                "DocumentRef-x:LicenseRef-AGPL-3.0",
                "LicenseRef-GNU-Affero-General-Public-License-v3",
                "LicenseRef-scancode-GNU-Affero-General-Public-License-v3.0-only",
                "MIT AND LicenseRef-gnu-affero-general-public-license-version-3",
            ][..],
        ),
        (
            "GPL-2.0-only",
            &["LGPLv2", "GPLv2.1", "GPL 20", "xgpl 2", "GPL v3", "gpl", "GNU General Public License v22"],
            &["GPLv2", "the GPL version 2"],
        ),
        (
            "Apache-2.0",
            &["Apache License 1.1"],
            &["Apache License, Version 2.0", "Apache-2", "the Apache 2.0 licence", "ApacheLicense/Apache License 2"],
        ),
        ("GPL-2.0-or-later", &["GPLv1"], &["GPLv2", "GPL v3"]),
        (
            "SSPL-1.0",
            &["Server-Side-Public-License-v10", "Server Side Public License"],
            &["Server-Side-Public-License-v1", "Server Side  Public License, v 1"],
        ),
        (
            "BSD-3-Clause",
            &["LicenseRef-BSD-3-Clause-New", "LicenseRef-BSD-2-Clause-Simplified-License"],
            &["LicenseRef-BSD-3-Clause-New-or-Revised-License", "BSD 3 Clause New or Revised License"],
        ),
        ("CC-BY-NC-4.0", &["CC-BY-NC 3.0", "CC-BY 4.0"], &["cc-by-nc v4", "CC-BY-NC 4.0"]),
        (
            "GPL-2.0-only",
            &["GPL-2.0-or-later", "GPL-3.0-only", "GPL-2.0-only OR MIT"],
            &["GPL-2.0", "GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"],
        ),
        (
            "GPL-2.0-or-later",
            &["GPL-1.0-only", "LGPL-2.1-only", "GPL-1.0-or-later"],
            &["GPL-2.0-only", "GPL-3.0-only", "GPL-2.0+", "GPL-3.0-or-later"],
        ),
        (
            "GPL-2.0-only WITH Classpath-exception-2.0",
            &["GPL-2.0-only", "GPL-2.0-only WITH GCC-exception-2.0", "GPL-2.0-with-GCC-exception"],
            &[
                "GPL-2.0-only WITH Classpath-exception-2.0",
                "GPL-2.0-with-classpath-exception",
                "gpl-2.0-with-CLASSPATH-exception",
                "GNU General Public License v2.0 w/Classpath exception",
            ],
        ),
        (
            "GPL-2.0-with-classpath-exception",
            &["GPL-2.0-only", "GPL-2.0", "GPL-2.0-with-bison-exception"],
            &["GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"],
        ),
        ("Apache-1.0+", &["MIT"], &["Apache-1.0", "Apache-2.0", "apache-1.1"]),
        // What follows the last dash is a version only if it is a number.
        ("HPND-DEC", &["HPND-Intel"], &["HPND-DEC", "HPND-DEC+"]),
        ("HPND-UC", &["HPND-DEC"], &["HPND-UC", "HPND-UC+"]),
        (
            "LicenseRef-Proprietary",
            &["LicenseRef-Other", "MIT OR LicenseRef-Proprietary"],
            &["LicenseRef-Proprietary", "licenseref-proprietary", "MIT AND LicenseRef-Proprietary"],
        ),
        (
            "NOASSERTION",
            &["MIT", "NONE", "MIT AND NONE", "MIT OR NOASSERTION", "none of SPDX's"],
            &[
                "NOASSERTION",
                "noassertion",
                "MIT AND NOASSERTION",
                "MIT and NoAssertion",
                "(NOASSERTION)",
                "NOASSERTION AND NONE",
            ],
        ),
        ("noassertion", &["MIT"], &["NOASSERTION", "NoAssertion"]),
        ("NONE", &["MIT", "NOASSERTION", "MIT AND NOASSERTION"], &["NONE", "None", "MIT AND NONE", "(none)"]),
        ("None", &["MIT"], &["NONE"]),
        ("Apache-2.0", &["apache-1.1 or so"], &["apache-1.1+ or so", "Apache-2.0+"]),
        (
            "{text: Commons Clause}",
            &["MIT", "commons and clause", "Clause Commons", "Common-Clause"],
            &[
                "commons clause",
                "Apache with the Commons Clause",
                "Commons-Clause",
                "Commons  Clause",
                "commons_clause",
                "Apache-2.0 WITH Commons-Clause-1.0",
                "MIT+Commons-Clause",
            ],
        ),
        ("{text: Commons-Clause}", &["Commons"], &["Apache-2.0 with Commons Clause"]),
        // One word is looked for as it is written.
        ("{text: C++ Licence}", &["C++"], &["the C++ licence", "c-licence"]),
        ("{text: C++}", &["(c) 2020 Acme", "LicenseRef-c-1"], &["the C++ licence"]),
        ("{text: Acme+}", &["the Acme licence"], &["Acme+", "LicenseRef-Acme-1"]),
        // As a part of a word, as it is written.
        ("{text: ACME EULA}", &["acme-eulas"], &["xacme eulax"]),
        ("{text: Лицензия-Х}", &["Лицензия"], &["лицензия Х 1"]),
        // Of what has no words there is what is written.
        ("{text: '©'}", &["®", "(c)"], &["© Acme"]),
    ] {
        let yaml = format!("{{deny: [{}]}}", if deny.starts_with('{') { deny.to_owned() } else { format!("\"{deny}\"") });
        for text in yes {
            assert!(passes(&yaml, &[text]), "{deny}: {text}");
        }
        for text in no {
            assert!(!passes(&yaml, &[text]), "{deny}: {text}");
            assert!(!passes(&yaml, &["MIT", text]), "{deny}: one of two, {text}");
        }
    }
}

#[test]
fn only_allowed_licences_pass() {
    let yaml = "{allow: [MIT, Apache-2.0, GPL-2.0-or-later, {text: Public Domain}, LicenseRef-Acme]}";
    for text in [
        "MIT",
        "mit",
        "Apache License 2.0",
        "MIT AND Apache-2.0",
        "MIT AND (AGPL-3.0-only OR Apache-2.0)",
        "Apache-1.1+",
        "apache-1.1+",
        "MIT AND apache-1.1+",
        "gpl-1.0+",
        "GPL-3.0-only",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "GPL-1.0-or-later",
        "public domain",
        "LicenseRef-Acme",
    ] {
        assert!(passes(yaml, &[text]), "{text}");
    }
    for text in [
        "BSD-3-Clause",
        "bsd",
        "MIT AND Zlib",
        "GPL-1.0-only",
        "MIT/Apache-2.0",
        "MIT-style",
        "MIT and friends",
        "LicenseRef-Other",
        "NOASSERTION",
        "NONE",
        "(MIT",
        "MIT MIT",
        "",
    ] {
        assert!(!passes(yaml, &[text]), "{text}");
    }
    assert!(!passes(yaml, &[]), "not stated");
    for with in ["GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-with-classpath-exception"] {
        let allow = format!("{{allow: [{with}]}}");
        assert!(!passes(&allow, &["GPL-2.0-only"]) && !passes(&allow, &["GPL-2.0-with-bison-exception"]), "{with}");
        assert!(passes(&allow, &["GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-with-classpath-exception"]), "{with}");
    }
    assert!(passes("{allow: [MIT, noassertion]}", &["MIT AND NOASSERTION", "NoAssertion"]));
    assert!(passes("{allow: [MIT, NONE]}", &["MIT AND none"]) && !passes("{allow: [MIT]}", &["MIT AND NONE"]));
    assert!(passes("{allow: [MIT, NOASSERTION]}", &[]) && !passes("{allow: [MIT], deny: [NOASSERTION]}", &[]));
    assert!(!passes("{allow: [MIT, NOASSERTION]}", &["NONE"]) && passes("{allow: [NONE]}", &["NONE"]));
    assert!(!passes("{allow: [GPL-2.0-or-later], deny: [GPL-3.0-only]}", &["GPL-3.0-only"]));
    assert!(passes("{allow: [GPL-2.0-or-later], deny: [GPL-3.0-only]}", &["GPL-2.0-or-later"]), "version 2 can be chosen");
}

/// The Commons Clause takes the right to sell away; as an addition it is one to whatever stands before it.
#[test]
fn a_custom_addition_is_allowed_by_an_entry_that_says_it_and_by_nothing_else() {
    for (yaml, license, fits) in [
        ("{allow: [MIT]}", "MIT WITH AdditionRef-Commons-Clause", false),
        ("{deny: [AGPL-3.0-only]}", "MIT WITH AdditionRef-Commons-Clause", false),
        ("{deny: [AGPL-3.0-only]}", "MIT OR Zlib WITH AdditionRef-x", true),
        ("{deny: [AGPL-3.0-only]}", "GPL-2.0-only WITH Classpath-exception-2.0", true),
        ("{deny: [{text: Commons Clause}]}", "MIT WITH AdditionRef-Commons-Clause", false),
        ("{allow: [MIT WITH AdditionRef-x]}", "mit WITH AdditionRef-X", true),
        ("{allow: [MIT WITH AdditionRef-x]}", "MIT", false),
        ("{allow: [MIT WITH AdditionRef-x]}", "MIT WITH AdditionRef-y", false),
        ("{allow: [MIT, Zlib WITH AdditionRef-x]}", "MIT WITH AdditionRef-x", false),
        ("{allow: [MIT WITH AdditionRef-x], deny: [MIT]}", "MIT WITH AdditionRef-x", false),
        ("{allow: [MIT WITH AdditionRef-no-sale], deny: [{text: no sale}]}", "MIT WITH AdditionRef-no-sale", false),
        ("{allow: [MIT WITH AdditionRef-no-sale], deny: [{text: sale of}]}", "MIT WITH AdditionRef-no-sale", true),
        ("{allow: [LicenseRef-x]}", "LicenseRef-x WITH AdditionRef-y", false),
        ("{deny: [MIT]}", "LicenseRef-x WITH AdditionRef-y", false),
        ("{allow: [LicenseRef-x]}", "LicenseRef-x WITH Classpath-exception-2.0", true),
    ] {
        assert_eq!(passes(yaml, &[license]), fits, "{yaml} {license}");
    }
}

#[test]
fn sets_of_licences_are_judged_member_by_member() {
    let said = |text: &str| Licensing::Said(text.to_owned());
    let (mit, gpl, custom) = (said("MIT"), said("GPL-2.0-only"), said("Acme Internal License"));
    let unread = Licensing::Unread("a set of no licences".into());
    let all = |members: &[&Licensing]| Licensing::All(members.iter().map(|member| (*member).clone()).collect());
    let any = |members: &[&Licensing]| Licensing::Any(members.iter().map(|member| (*member).clone()).collect());
    let judge = |yaml: &str, license: &Licensing| {
        let package = Package { licenses: vec![license.clone()], ..package(&[]) };
        parsed(yaml, Licenses::parse).unwrap().judge(&package).map_err(|failure| failure.summary)
    };
    for (yaml, license, passes) in [
        ("{allow: [MIT]}", all(&[&mit, &gpl]), false),
        ("{allow: [MIT]}", any(&[&gpl, &mit]), true),
        ("{allow: [MIT]}", all(&[&mit, &any(&[&gpl, &mit])]), true),
        ("{allow: [MIT]}", any(&[&gpl, &all(&[&mit, &gpl])]), false),
        ("{deny: [GPL-2.0-only]}", all(&[&mit, &gpl]), false),
        ("{deny: [GPL-2.0-only]}", any(&[&mit, &gpl]), true),
        ("{deny: [GPL-2.0-only]}", any(&[&gpl, &gpl]), false),
        ("{allow: [MIT, {text: acme internal license}]}", all(&[&mit, &custom]), true),
        ("{deny: [{text: Acme}]}", all(&[&mit, &custom]), false),
        ("{deny: [GPL-2.0-only]}", all(&[&mit, &unread]), false),
        ("{allow: [MIT]}", any(&[&mit, &unread]), true),
        ("{allow: [MIT]}", any(&[&unread]), false),
        ("{deny: [NOASSERTION]}", all(&[&mit, &said("NOASSERTION")]), false),
    ] {
        assert_eq!(judge(yaml, &license).is_ok(), passes, "{yaml}: {license}");
    }
    assert_eq!(
        judge("{deny: [GPL-2.0-only]}", &all(&[&mit, &any(&[&gpl, &gpl])])).unwrap_err(),
        "wants no licence GPL-2.0-only; found GPL-2.0-only OR GPL-2.0-only in ghostscript 10.0"
    );
    assert_eq!(
        judge("{allow: [MIT]}", &all(&[&mit, &unread])).unwrap_err(),
        "wants licences in a form that is read; found a set of no licences in ghostscript 10.0"
    );
}

#[test]
fn what_is_not_read_is_refused_and_the_image_need_not_state_a_licence() {
    let unread = Package { licenses: vec![Licensing::Unread("x".into())], ..package(&[]) };
    for yaml in ["{deny: [MIT]}", "{allow: [MIT]}"] {
        assert!(parsed(yaml, Licenses::parse).unwrap().judge(&unread).is_err());
    }
    let image = Package { is_frame: true, ..package(&[]) };
    assert!(parsed("{allow: [MIT]}", Licenses::parse).unwrap().judge(&image).is_ok());
}

#[test]
fn the_sentence_names_licence_and_package() {
    for (yaml, text, sentence) in [
        (
            "{deny: [AGPL-3.0-only]}",
            "AGPL-3.0-or-later",
            "wants no licence AGPL-3.0-only; found AGPL-3.0-or-later in ghostscript 10.0",
        ),
        (
            "{deny: [AGPL-3.0-only]}",
            "MIT WITH AdditionRef-x",
            "wants no licence AGPL-3.0-only, and no custom addition to one; found MIT WITH AdditionRef-x in ghostscript 10.0",
        ),
        ("{allow: [MIT]}", "MIT WITH AdditionRef-x", "wants licences MIT; found MIT WITH AdditionRef-x in ghostscript 10.0"),
        ("{allow: [MIT, Zlib]}", "GPL-2.0", "wants licences MIT or Zlib; found GPL-2.0 in ghostscript 10.0"),
        ("{allow: [MIT], deny: [NONE]}", "NONE", "wants licences MIT, not NONE; found NONE in ghostscript 10.0"),
    ] {
        let failure = parsed(yaml, Licenses::parse).unwrap().judge(&package(&[text])).unwrap_err();
        assert_eq!((failure.reason, &*failure.summary), (Reason::LicenseDenied, sentence));
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_a_denied_id_is_never_hidden_by_and(text in "[ ()A-Za-z0-9.+-]{0,40}", any in "\\PC{0,40}") {
        for text in [&text, &any].into_iter().filter(|text| !text.contains(')')) {
            passes("{allow: [MIT, {text: x}]}", &[text]);
            let hidden = passes("{deny: [AGPL-3.0-only]}", &[&format!("({text}) AND AGPL-3.0-only")]);
            let beside = passes("{deny: [AGPL-3.0-only]}", &[text, "AGPL-3.0"]);
            prop_assert!(!hidden && !beside);
        }
    }
}

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
        parsed(yaml, Licenses::parse).unwrap().judge(&package).is_ok()
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
        parsed(&format!("{{deny: [{deny}]}}"), Licenses::parse).unwrap().judge(&package).is_ok()
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
        parsed(&format!("{{deny: [{deny}]}}"), Licenses::parse).unwrap().judge(&Package { foreign, ..licenses })
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
    // Of any length: no deeper.
    for (end, passes) in [("", true), ("openssl", false)] {
        let long = format!("https://a.test/{end}{}", ".html".repeat(13_000));
        assert_eq!(judged("OpenSSL", "Apache License 2.0", &long).is_ok(), passes, "{end}");
    }
    // It can only deny.
    let unstated = Foreign { reference: String::new(), names: vec![], texts: vec!["https://opensource.org/licenses/MIT".into()] };
    let unstated = Package { foreign: vec![unstated], ..package(&[]) };
    let judged = |yaml| parsed(yaml, Licenses::parse).unwrap().judge(&unstated).is_ok();
    assert!(judged("{allow: [NOASSERTION]}") && !judged("{allow: [MIT]}") && !judged("{deny: [MIT]}"));
}

/// Each was judged for each of the others.
#[test]
fn a11_what_is_said_of_many_licences_is_judged_once() {
    let names: Vec<String> = (0..20_000).map(|at| format!("Licence {at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let foreign = |reference: &str| Foreign { reference: reference.into(), names: vec![], texts: vec!["https://a.test".into()] };
    let foreign = names.iter().map(|name| foreign(name)).collect();
    let many = Package { foreign, ..package(&names) };
    assert!(parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap().judge(&many).is_ok());
    let texts = names.iter().map(|name| format!("https://a.test/{name}")).collect();
    let same = vec!["MIT"; 20_000];
    let many = Package { foreign: vec![Foreign { reference: "MIT".into(), names: vec![], texts }], ..package(&same) };
    assert!(parsed("{deny: [AGPL-3.0-only]}", Licenses::parse).unwrap().judge(&many).is_ok());
}
