use proptest::prelude::*;

use super::{super::tests::parsed, *};

pub(super) fn package(licenses: &[&str]) -> Package {
    let licenses = licenses.iter().map(|text| Licensing::Said((*text).to_owned())).collect();
    Package { name: "ghostscript".into(), version: Some("10.0".into()), licenses, ..Package::default() }
}

fn passes(yaml: &str, licenses: &[&str]) -> bool {
    parsed(yaml, Licenses::parse).unwrap().judge(&package(licenses), &mut Judged::default()).is_ok()
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
        parsed(yaml, Licenses::parse).unwrap().judge(&package, &mut Judged::default()).map_err(|failure| failure.summary)
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
        assert!(parsed(yaml, Licenses::parse).unwrap().judge(&unread, &mut Judged::default()).is_err());
    }
    let image = Package { is_frame: true, ..package(&[]) };
    assert!(parsed("{allow: [MIT]}", Licenses::parse).unwrap().judge(&image, &mut Judged::default()).is_ok());
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
        let failure = parsed(yaml, Licenses::parse).unwrap().judge(&package(&[text]), &mut Judged::default()).unwrap_err();
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
