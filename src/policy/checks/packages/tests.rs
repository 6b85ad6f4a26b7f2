use super::{super::tests::parsed, *};

fn package(name: &str, version: Option<&str>, purls: &[&str]) -> Package {
    Package {
        name: name.into(),
        version: version.map(Into::into),
        purls: purls.iter().map(|purl| (*purl).to_owned()).collect(),
        ..Package::default()
    }
}

fn denies(entry: &Denied, package: &Package) -> bool {
    entry.denies(&Listed::of(package))
}

fn denied(yaml: &str) -> Denied {
    parsed(yaml, Denied::parse).unwrap()
}

#[test]
fn a_package_url_matches_as_its_type_says() {
    for (entry, yes, no) in [
        (
            "pkg:npm/event-stream",
            &["pkg:npm/event-stream@3.3.6", "pkg:npm/event-stream", "pkg:npm/event-stream@1?a=b#c"][..],
            &["pkg:npm/event-streams@1", "pkg:pypi/event-stream@1", "pkg:npm/%40x/event-stream@1"][..],
        ),
        ("pkg:npm/event-stream@3.3.6", &["pkg:npm/event-stream@3.3.6", "pkg:npm/event-stream"], &["pkg:npm/event-stream@3.3.5"]),
        ("{purl: \"pkg:npm/event-stream@3.3.6\"}", &["pkg:npm/event-stream@3.3.6"], &["pkg:npm/event-stream@3.3.5"]),
        ("pkg:npm/%40babel/core", &["pkg:npm/@babel/core@7.0.0", "pkg:npm/%40babel/core@7.0.0"], &["pkg:npm/core@7.0.0"]),
        ("pkg:pypi/Django_Rest", &["pkg:pypi/django-rest@1", "pkg:pypi/DJANGO_rest@1"], &["pkg:pypi/django@1"]),
        (
            "pkg:deb/debian/openssl?arch=amd64",
            &["pkg:deb/debian/openssl@3.0?arch=amd64&distro=debian-12", "pkg:deb/debian/openssl@3.0?distro=debian-12"],
            &["pkg:deb/debian/openssl@3.0?arch=arm64", "pkg:deb/ubuntu/openssl@3.0"],
        ),
        (
            "{purl: \"pkg:maven/org.apache.logging.log4j/log4j-core\", versions: \"<2.17.1\"}",
            &["pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "pkg:maven/org.apache.logging.log4j/log4j-core"],
            &["pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1", "pkg:maven/org.evil/log4j-core@2.14.1"],
        ),
        (
            "pkg:pypi/ruamel-yaml",
            &["pkg:pypi/ruamel.yaml@0.17", "pkg:pypi/Ruamel__Yaml@1", "pkg:pypi/ruamel._yaml"],
            &["pkg:pypi/ruamelyaml@1"],
        ),
        (
            "pkg:golang/github.com/sirupsen/logrus",
            &["pkg:golang/github.com/Sirupsen/Logrus@1.0"],
            &["pkg:golang/github.com/x/logrus@1.0", "pkg:golang/logrus@1.0"],
        ),
        // `%2F` for a `/`, on either side.
        (
            "pkg:npm/%40angular/core",
            &["pkg:npm/%40angular%2Fcore@1.0.0", "pkg:npm/@angular/core"],
            &["pkg:npm/%40angular%2Fcore-x@1.0.0", "pkg:npm/%40angular%2Fx%2Fcore", "pkg:npm/angular%2Fcore"],
        ),
        ("pkg:npm/%40Angular%2Fcore", &["pkg:npm/%40angular/core@1.0.0", "pkg:npm/%40angular%2fcore"], &["pkg:npm/core@1.0.0"]),
        (
            "pkg:golang/github.com/foo/bar",
            &[
                "pkg:golang/github.com%2Ffoo%2Fbar@v1.0.0",
                "pkg:golang/github.com/foo%2Fbar",
                "pkg:golang/github.com%2Ffoo/bar@v1",
            ],
            &["pkg:golang/github.com%2Ffoo%2Fbarn@v1.0.0", "pkg:golang/github.com%2Ffoo/barn@v1"],
        ),
        ("pkg:composer/acme/evil", &["pkg:composer/acme%2Fevil@1", "pkg:composer/acme/evil/@1"], &["pkg:composer/acme/evil/x@1"]),
        ("pkg:nuget/newtonsoft.json", &["pkg:nuget/Newtonsoft.Json@13.0.1"], &["pkg:nuget/x/newtonsoft.json@1"]),
        (
            "{purl: \"pkg:rpm/redhat/openssl\", versions: \">=1:3.0.0, <1:3.0.7-27.el9\"}",
            &[
                "pkg:rpm/redhat/openssl@3.0.7-20.el9?epoch=1",
                "pkg:rpm/redhat/openssl@1:3.0.7-20.el9",
                "pkg:rpm/redhat/openssl@1:3.0.7-20.el9?epoch=2",
            ],
            &[
                "pkg:rpm/redhat/openssl@3.0.7-27.el9?arch=x86_64&epoch=1",
                "pkg:rpm/redhat/openssl@3.0.7-20.el9?epoch=2",
                "pkg:rpm/redhat/openssl@3.0.7-20.el9",
            ],
        ),
        ("pkg:deb/debian/xz-utils@5.6.1", &["pkg:deb/debian/xz-utils@5.6.1-1"], &["pkg:deb/debian/xz-utils@5.6.2-1"]),
        (
            "{purl: \"pkg:deb/debian/openssl\", versions: \"<3.0.11-1~deb12u2\"}",
            &["pkg:deb/debian/openssl@3.0.11-1~deb12u1"],
            &["pkg:deb/debian/openssl@3.0.11-1~deb12u2"],
        ),
    ] {
        let entry = denied(entry);
        for purl in yes {
            assert!(denies(&entry, &package("x", None, &[purl])), "{entry} {purl}");
            assert!(denies(&entry, &package("x", None, &["pkg:generic/other@1", purl])), "{entry} {purl}");
        }
        for purl in no {
            assert!(!denies(&entry, &package("x", None, &[purl])), "{entry} {purl}");
        }
    }
}

/// A package may say one version in hundreds of package URLs, and each is compared with every range there is.
#[test]
fn a11_each_version_of_a_package_is_compared_once() {
    let purls: Vec<String> = (0..256).map(|at| format!("pkg:rpm/a/x@1.{}?epoch=1&arch={at}", at % 2)).collect();
    let purls: Vec<&str> = purls.iter().map(String::as_str).chain(["pkg:maven/a/x@2"]).collect();
    let package = package("x", Some("1.0"), &purls);
    let listed = Listed::of(&package);
    let (schemes, said) = said_versions(&package, listed.parsed());
    assert_eq!(schemes.into_iter().collect::<Vec<_>>(), [Scheme::Maven, Scheme::Rpm]);
    assert_eq!(said.into_iter().collect::<Vec<_>>(), ["1:1.0", "1:1.1", "2"]);
    assert_eq!(said_versions(&package, std::iter::empty()).0.len(), Scheme::ALL.len(), "any, where none is said");
}

#[test]
fn a_package_url_that_breaks_its_rules_is_compared_as_text() {
    let entry = denied("pkg:swift/github.com/acme/evil");
    assert!(denies(&entry, &package("x", None, &["pkg:swift/github.com/acme/evil@1%"])));
    let entry = denied("pkg:npm/evil");
    assert!(Purl::parse("pkg:npm/evil@%ff").is_err() && denies(&entry, &package("x", None, &["PKG:npm/evil@%ff"])));
    assert!(!denies(&entry, &package("x", None, &["pkg:npm/evil2@%ff"])));
}

/// A space that somebody's generator left, or put there, hides nothing.
#[test]
fn white_space_is_no_part_of_a_name() {
    for entry in [
        denied("pkg:npm/evil"),
        denied("{name: evil}"),
        denied("pkg:npm/evil@1"),
        denied("{purl: \"pkg:npm/evil\", versions: \"<2\"}"),
    ] {
        for purl in [" pkg:npm/evil@1", "pkg:npm/evil@1\n", "pkg:npm/evil%20@1", "pkg:npm/%C2%A0evil@1"] {
            assert!(denies(&entry, &package("x", None, &[purl])), "{entry} {purl:?}");
        }
    }
    assert!(denies(&denied("pkg:npm/evil"), &package("x", None, &[" pkg:npm/evil@%ff"])));
    assert!(denies(&denied("{name: evil}"), &package(" evil\t", None, &[])));
    assert!(denies(&denied("{name: ev-il}"), &package("ev_il ", None, &[])), "of Python's index, too");
    let grouped = Package { group: Some("@acme ".into()), ..package(" evil", None, &[]) };
    assert!(denies(&denied("{name: \"@acme/evil\"}"), &grouped));
    let listed = Package { purls: vec!["pkg:pypi/ev_il%20@1".into()], ..package("x", None, &[]) };
    assert!(denies(&denied("{name: ev-il}"), &listed));
}

#[test]
fn a_name_matches_in_any_ecosystem_and_any_capitals() {
    let entry = denied("{name: log4j-core, versions: [\"<2.12.2\", \">=2.13, <2.17.1\"]}");
    assert!(denies(&entry, &package("Log4j-Core", Some("2.14.1"), &[])));
    assert!(denies(&entry, &package("jar", None, &["pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"])));
    assert!(!denies(&entry, &package("log4j-core", Some("2.12.4"), &[])));
    assert!(!denies(&entry, &package("log4j-core-extra", Some("2.14.1"), &[])));
    // Two versions are said: one of them is denied.
    assert!(denies(&entry, &package("log4j-core", Some("2.99"), &["pkg:maven/a/log4j-core@2.14.1"])));
    let grouped = Package { group: Some("@babel".into()), ..package("core", Some("7"), &[]) };
    let scoped = package("jar", None, &["pkg:npm/%40babel/core@7.0.0"]);
    for package in [&grouped, &scoped] {
        assert!(denies(&denied("{name: \"@babel/core\"}"), package) && denies(&denied("{name: core}"), package));
        assert!(!denies(&denied("{name: \"@evil/core\"}"), package) && !denies(&denied("{name: \"@babel\"}"), package));
    }
}

/// As trivy names a jar, and as Maven's own tools write it.
#[test]
fn a_name_behind_a_colon_is_one_in_a_group() {
    let jar = package("org.acme:app", Some("1.0"), &[]);
    let listed = package("app.jar", None, &["pkg:maven/org.acme/app@1.0"]);
    let grouped = Package { group: Some("org.acme".into()), ..package("app", None, &[]) };
    for entry in ["{name: \"org.acme:app\"}", "{name: org.acme/app}", "{name: app}"] {
        for package in [&jar, &listed, &grouped] {
            assert!(denies(&denied(entry), package), "{entry} {package:?}");
        }
    }
    for entry in ["{name: \"org.evil:app\"}", "{name: org.acme}", "{name: \"acme:app\"}"] {
        for package in [&jar, &listed, &grouped] {
            assert!(!denies(&denied(entry), package), "{entry} {package:?}");
        }
    }
    let colon = package("x", None, &["pkg:generic/acme/tool%3Acli@1", "pkg:npm/x"]);
    assert!(denies(&denied("{name: \"tool:cli\"}"), &colon) && !denies(&denied("{name: cli}"), &colon));
    // Debian's architecture and Perl's modules are none.
    let debian = package("libfoo:amd64", Some("1.0"), &["pkg:deb/debian/libfoo@1.0?arch=amd64"]);
    assert!(denies(&denied("{name: \"libfoo:amd64\"}"), &debian) && !denies(&denied("{name: amd64}"), &debian));
    let perl = package("Moose::Util", None, &[]);
    assert!(denies(&denied("{name: \"Moose::Util\"}"), &perl) && !denies(&denied("{name: Util}"), &perl));
}

/// PEP 503. What does not say that it is of another ecosystem may be of Python's.
#[test]
fn a_name_of_python_s_index_is_found_in_every_spelling() {
    let entry = denied("{name: typing_extensions}");
    for (name, purls) in [
        ("typing-extensions", &[][..]),
        ("Typing.Extensions", &["pkg:generic/x"]),
        ("typing-extensions", &["pkg:pypi/x@%ff"]),
        ("typing--extensions", &["pkg:pypi/x"]),
        ("x", &["pkg:pypi/typing-extensions@4.0"]),
        ("x", &["pkg:npm/x", "pkg:pypi/Typing.Extensions@4.0"]),
        ("typing_extensions", &["pkg:npm/x"]),
    ] {
        assert!(denies(&entry, &package(name, None, purls)), "{name} {purls:?}");
    }
    for (name, purls) in [
        ("typing-extensions", &["pkg:npm/typing-extensions"][..]),
        ("typing-extensions", &["pkg:pypi/x", "pkg:npm/y"]),
        ("typingextensions", &["pkg:pypi/typingextensions"]),
        ("x", &["pkg:generic/typing-extensions"]),
    ] {
        assert!(!denies(&entry, &package(name, None, purls)), "{name} {purls:?}");
    }
}

/// A distribution's package that brings no package URL is the version that it is with one.
#[test]
fn a_version_of_no_stated_ecosystem_is_read_in_every_way() {
    let purl = |kind: &str| format!("pkg:{kind}/xz-utils");
    for (versions, version, without, deb, npm) in [
        ("5.6.1", "5.6.1-1", true, true, false),
        ("5.6.1", "1:5.6.1-1.el9", true, true, false),
        ("5.6.1", "5.6.1", true, true, true),
        ("5.6.1", "5.6.10-1", false, false, false),
        (">=5.6.0, <=5.6.1", "5.6.1-1", true, true, true),
        (">=5.6.1", "5.6.1-1", true, true, false),
        ("<5.6.1", "5.6.1-rc.1", true, false, true),
        ("<5.6.1", "5.6.1-1", true, false, true),
        ("<5.6.1", "5.6.2-1", false, false, false),
    ] {
        let entry = denied(&format!("{{name: xz-utils, versions: {versions:?}}}"));
        let of = |purls: &[&str]| denies(&entry, &package("xz-utils", Some(version), purls));
        assert_eq!([of(&[]), of(&[&purl("generic")])], [without; 2], "{versions} {version}");
        assert_eq!([of(&[&purl("deb/debian")]), of(&[&purl("npm")])], [deb, npm], "{versions} {version}");
    }
    let entry = denied("{purl: \"pkg:generic/xz-utils\", versions: \"5.6.1\"}");
    assert!(denies(&entry, &package("xz", None, &["pkg:generic/xz-utils@5.6.1-1"])));
}

/// A packager's revision is behind upstream's version, and of an unknown type it may be one.
#[test]
fn a_packager_s_revision_hides_no_version() {
    for (purl, versions, is_denied) in [
        ("pkg:bitnami/x@7.0.11-1?arch=amd64", "7.0.11", true),
        ("pkg:bitnami/x@7.0.11-1", ">=7.0.11, <7.0.12", true),
        ("pkg:bitnami/x@7.0.11-1", "<7.0.11", false),
        ("pkg:luarocks/x@3.7.0-0", "3.7.0", true),
        ("pkg:luarocks/x@3.7.0-0", ">=3.7.0", true),
        ("pkg:cran/x@1.2.3-4", ">=1.2.3", true),
        ("pkg:cran/x@1.2.3-4", "<1.2.3", false),
        ("pkg:brew/x@5.6.1_1", "5.6.1", true),
        ("pkg:vcpkg/x@1.2.3%231", "1.2.3", true),
        ("pkg:deb/debian/x@5.6.1%2Bdfsg-1", "5.6.1", true),
        ("pkg:deb/debian/x@5.6.1%2Bdfsg-1", "<=5.6.1", true),
        ("pkg:deb/debian/x@5.6.1%2Breally5.4.5-1", "5.6.1", false),
        ("pkg:acme/x@5.6.1-1", "5.6.1", true),
        ("pkg:acme/x@5.6.1-1", ">=5.6.1", true),
        ("pkg:acme/x@5.6.1-1", ">=5.6.2", false),
        ("pkg:npm/x@5.6.1-1", ">=5.6.1", false),
        ("pkg:cargo/x@5.6.1-1", "5.6.1", false),
    ] {
        let entry = denied(&format!("{{name: x, versions: {versions:?}}}"));
        assert_eq!(denies(&entry, &package("x", None, &[purl])), is_denied, "{purl} {versions}");
    }
    for version in ["5.6.1_1", "5.6.1+dfsg-1", "7.0.11-1"] {
        let upstream = version.split(['_', '+', '-']).next().unwrap();
        let entry = denied(&format!("{{name: x, versions: {upstream:?}}}"));
        assert!(denies(&entry, &package("x", Some(version), &[])), "{version}");
    }
    // Of a package that says a type that is known and one that is not, either.
    let both = package("x", Some("5.6.1-1"), &["pkg:deb/debian/x", "pkg:acme/x"]);
    assert!(denies(&denied("{name: x, versions: \"<5.6.1\"}"), &both));
    assert!(denies(&denied("pkg:bitnami/x@7.0.11"), &package("x", None, &["pkg:bitnami/x@7.0.11-1"])));
}

/// As syft and trivy write it: the epoch is in a qualifier of the package URL, and before the version beside it.
#[test]
fn a_version_without_its_epoch_says_no_more_than_the_one_with_it() {
    let entry = denied("{purl: \"pkg:rpm/redhat/openssl\", versions: \"<1:3.0.7-27.el9\"}");
    let of = |version: &str, purl: &str| denies(&entry, &package("openssl", Some(version), &[purl]));
    assert!(!of("1:3.0.7-27.el9", "pkg:rpm/redhat/openssl@3.0.7-27.el9?epoch=1"));
    assert!(!of("1:3.0.7-27.el9", "pkg:rpm/redhat/openssl@3.0.7-27.el9"));
    assert!(!of("3.0.7-27.el9", "pkg:rpm/redhat/openssl@3.0.7-27.el9?epoch=1"));
    assert!(of("1:3.0.7-20.el9", "pkg:rpm/redhat/openssl@3.0.7-20.el9"));
    // Two versions are said.
    assert!(of("1:3.0.7-27.el9", "pkg:rpm/redhat/openssl@3.0.7-20.el9"));
    assert!(of("3.0.7-27.el9", "pkg:rpm/redhat/openssl@3.0.7-27.el9"));
}

/// As syft writes Go's standard library: `go1.22.3`, and a package URL without `go`.
#[test]
fn a_version_that_cannot_be_compared_is_denied_unless_another_can() {
    let stdlib = |versions: &str, version: &str, purls: &[&str]| {
        denies(&denied(&format!("{{name: stdlib, versions: {versions:?}}}")), &package("stdlib", Some(version), purls))
    };
    for (versions, version, purls, is_denied) in [
        ("<1.21.8", "go1.22.3", &["pkg:golang/stdlib@1.22.3"][..], false),
        ("<1.21.8", "go1.22.3", &[], false),
        ("<1.21.8", "go1.21.7", &["pkg:golang/stdlib@1.21.7"], true),
        (">=1.22, <1.22.3", "go1.22.1", &[], true),
        // Two versions are said.
        ("<1.21.8", "go1.22.3", &["pkg:golang/stdlib@1.21.7"], true),
        ("<1.21.8", "go1.21.7", &["pkg:golang/stdlib@1.22.3"], true),
        (">=1, <2", "php-8.3.1", &["pkg:bitnami/stdlib"], true),
        (">=9", "php-8.3.1", &["pkg:bitnami/stdlib"], true),
        (">=1, <2", "php-8.3.1", &[], true),
        ("8.3.1", "php-8.3.1", &["pkg:bitnami/stdlib"], false),
        ("abcdef1", "9f86d08", &["pkg:github/acme/stdlib"], false),
        (">=1, <2", "php-8.3.1", &["pkg:bitnami/stdlib@8.3.1"], false),
        (">=8, <9", "php-8.3.1", &["pkg:bitnami/stdlib@8.3.1"], true),
        ("php-8.3.1", "php-8.3.1", &["pkg:bitnami/stdlib@8.3.1"], true),
        ("php-8.3.2", "php-8.3.1", &["pkg:bitnami/stdlib@8.3.1"], false),
    ] {
        assert_eq!(stdlib(versions, version, purls), is_denied, "{versions} {version} {purls:?}");
    }
}

#[test]
fn a_package_of_no_stated_version_is_denied_by_any_range() {
    let check = parsed("{deny: [{name: evil, versions: \"<2\"}]}", Packages::parse).unwrap();
    let failure = check.judge(&package("evil", None, &[])).unwrap_err();
    assert_eq!(
        (failure.reason, &*failure.summary),
        (Reason::PackageDenied, "wants no package evil <2; found evil of no stated version")
    );
    let failure = check.judge(&package("evil", Some("1.9"), &[])).unwrap_err();
    assert_eq!(failure.summary, "wants no package evil <2; found evil 1.9");
    assert!(check.judge(&package("evil", Some("2"), &[])).is_ok());
    for unsaid in ["UNKNOWN", "(devel)", "latest"] {
        assert!(check.judge(&package("evil", Some(unsaid), &[])).is_err());
        assert!(denies(&denied("{name: evil, versions: \">1\"}"), &package("evil", Some(unsaid), &[])));
    }
}

#[test]
fn only_a_group_and_an_artifact_are_maven_s() {
    assert_eq!(by_maven("org.acme:app"), Some(("org.acme", "app")));
    for other in ["app", ":app", "org.acme:", ":", "a:b:c", "Moose::Util"] {
        assert_eq!(by_maven(other), None, "{other}");
    }
}

/// `@` is a version's where one stands behind it and a name before it.
#[test]
fn a_name_with_an_at_that_sets_off_no_version_is_a_name() {
    for name in ["@acme/app", "@1", "@acme/@1", "app@", "jane@host/x"] {
        assert!(denies(&denied(&format!("{{name: \"{name}\"}}")), &package(name, None, &[])), "{name}");
    }
}
