use proptest::prelude::*;

use super::*;

fn stand(scheme: Scheme, ascending: &[&str]) {
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(compare(a, b, scheme), i.cmp(&j), "{a} {b} {scheme:?}");
        }
    }
}

fn same(scheme: Scheme, versions: &[(&str, &str)]) {
    for (a, b) in versions {
        assert!(compare(a, b, scheme).is_eq() && compare(b, a, scheme).is_eq(), "{a} {b} {scheme:?}");
    }
}

#[test]
fn versions_stand_in_order() {
    stand(Scheme::Semantic, &["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.2", "1.0.0", "v1.0.1", "1.2", "1.10.0", "2.0.0+build"]);
    stand(Scheme::Semantic, &["2.14-SNAPSHOT", "2.14", "2.14.1", "2.17.0"]);
    stand(Scheme::Semantic, &["1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.1"]);
    stand(Scheme::Semantic, &["1.0.2", "1.0.2a", "1.0.2k", "1.0.10"]);
    stand(Scheme::Semantic, &["1.0~1", "1.0-dev", "1.0", "1.0-final"]);
    same(Scheme::Semantic, &[("2.17", "2.17.0"), ("v1.2.3", "1.2.3"), ("1.2.3+a", "1.2.3+b"), ("0:1.0", "1.0"), ("1.02", "1.2")]);
    // Only a number before a colon is an epoch.
    assert!(compare("x:1.0", "1.0", Scheme::Semantic).is_lt() && compare("1:1.0", "2.0", Scheme::Semantic).is_gt());
    assert!(compare(":1.0", "1.0", Scheme::Semantic).is_eq());
}

/// Taken from deb-version(7), and from what `dpkg --compare-versions` says.
#[test]
fn debian_versions_stand_in_order() {
    stand(Scheme::Debian, &["1.2.3~rc1-1", "1.2.3", "1.2.3-1", "1.2.3-1ubuntu2", "1.2.3-1+b1", "1.2.3-2", "1.2.4", "1:0.1"]);
    stand(Scheme::Debian, &["8.8p1", "8.9p1-3", "9.0p1", "20230101"]);
    stand(Scheme::Debian, &["1~~", "1~~a", "1~", "1", "1-1", "1a", "1ab", "1b", "1+", "1.", "1.0a1", "1.0.1"]);
    stand(Scheme::Debian, &["6.0.0", "6.0.0-1", "6.0.0a1", "6.0.0b1", "6.0.0.1"]);
    same(Scheme::Debian, &[("1.0", "0:1.0"), ("1.00", "1.0"), ("1.0-0", "1.0"), ("1-2-3", "1-2-3")]);
    // A revision of a distribution comes behind its version; as a pre-release it would come before.
    assert!(compare("2.17.1-1", "2.17.1", Scheme::Debian).is_gt());
}

/// Taken from rpm-version(7) and rpm's own tests of `rpmvercmp`.
#[test]
fn rpm_versions_stand_in_order() {
    stand(Scheme::Rpm, &["1.0~rc1", "1.0~rc1^1", "1.0~rc2", "1.0", "1.0^", "1.0^20230101", "1.0^20230102", "1.0rc1", "1.0.1"]);
    stand(Scheme::Rpm, &["9.0-1", "9.0-1.beta3.el8", "9.0-1.el9", "9.0-1.1", "9.0-2", "1:1.0-1"]);
    stand(Scheme::Rpm, &["0.9", "1", "1.a", "1.b", "1.0", "1.1", "1.10", "20101121", "20101122"]);
    same(
        Scheme::Rpm,
        &[("1.0", "1_0"), ("1.0", "1..0"), ("1.00", "1.0"), ("1.0", "0:1.0"), ("2_0.", "2.0"), ("1a", "1.a"), ("1.0é", "1.0")],
    );
    assert!(compare("5.5p1", "5.5p10", Scheme::Rpm).is_lt() && compare("10xyz", "10.1xyz", Scheme::Rpm).is_lt());
    assert!(
        compare("a", "1", Scheme::Rpm).is_lt() && compare("~", "", Scheme::Rpm).is_lt() && compare("^", "", Scheme::Rpm).is_gt()
    );
}

#[test]
fn other_ecosystems_have_an_order_of_their_own() {
    stand(
        Scheme::Alpm,
        &["1", "1.0a", "1.0alpha", "1.0b", "1.0beta", "1.0p", "1.0pre", "1.0rc", "1.0", "1.0.a", "1.0.1", "1:0.1"],
    );
    stand(Scheme::Apk, &["1.0_alpha", "1.0_beta2", "1.0_pre1", "1.0_rc1", "1.0", "1.0_p1", "1.0.1"]);
    stand(Scheme::Apk, &["1", "1.0", "1.0a", "1.0b-r1", "1.0.1"]);
    // https://maven.apache.org/pom.html#version-order-specification
    stand(
        Scheme::Maven,
        &[
            "1.0-a1",
            "1.0-alpha-2",
            "1.0-b1",
            "1.0-beta2",
            "1.0-m1",
            "1.0-milestone-3",
            "1.0-cr1",
            "1.0-rc2",
            "1.0-SNAPSHOT",
            "1.0",
            "1.0-sp1",
            "1.0-jre",
            "1.0.1",
        ],
    );
    same(
        Scheme::Maven,
        &[
            ("4.1.93.Final", "4.1.93"),
            ("4.3.30.RELEASE", "4.3.30"),
            ("1.0.GA", "1"),
            ("1-rc1", "1-cr1"),
            ("1-M2", "1-milestone-2"),
        ],
    );
    assert!(compare("32.0.1-jre", "32.0.1", Scheme::Maven).is_gt() && compare("1.0a", "1.0", Scheme::Maven).is_gt());
    for qualifier in ["a", "b", "m"] {
        assert!(compare(&format!("1.0-{qualifier}"), "1.0", Scheme::Maven).is_gt(), "not numbered, {qualifier} is a word");
    }
    // PEP 440.
    stand(
        Scheme::Python,
        &["1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0a2", "1.0b1", "1.0rc1", "1.0", "1.0.post1.dev1", "1.0.post1", "1.0.1", "1!0.1"],
    );
    same(
        Scheme::Python,
        &[
            ("1.0alpha1", "1.0a1"),
            ("1.0beta1", "1.0b1"),
            ("1.0c1", "1.0rc1"),
            ("1.0pre1", "1.0rc1"),
            ("1.0-preview.1", "1.0rc1"),
            ("1.0a", "1.0a0"),
        ],
    );
    stand(
        Scheme::Python,
        &[
            "1.0.0.dev0",
            "1.0a1.post1",
            "1.0.0b1.dev2",
            "1.0b1",
            "1.0.0",
            "1.0+a",
            "1.0+a.0",
            "1.0+a1",
            "1.0+dev",
            "1.0+0.a",
            "1.0.0+1",
            "1.0.post1.dev3",
            "1.0-1",
            "1.0.0-r2",
        ],
    );
    // Gem::Version: any letter makes it a pre-release.
    stand(Scheme::Gem, &["1.0.0.a", "1.0.0.b1", "1.0.0.rc1", "1.0.0", "1.0.1"]);
}

#[test]
fn a_packager_s_revision_is_behind_upstream_s_version() {
    for scheme in [Scheme::Bazel, Scheme::Bitnami, Scheme::Vcpkg] {
        stand(scheme, &["5.0.0-next.3", "5.0.0-rc.1", "5.0.0", "5.0.1", "5.0.10"]);
    }
    stand(Scheme::Bitnami, &["7.0.11-rc.1-2", "7.0.11", "7.0.11-1", "7.0.11-2", "7.0.11-10", "7.0.12-0"]);
    stand(Scheme::Bazel, &["1.2.3-rc1.bcr.2", "1.2.3", "1.2.3.bcr.1", "1.2.3.bcr.10", "1.2.3.1", "1.2.4"]);
    stand(Scheme::Vcpkg, &["1.2.3-4", "1.2.3", "1.2.3#1", "1.2.3#10", "1.2.4"]);
    // https://docs.brew.sh/rubydoc/Version: words but the known ones are behind.
    stand(Scheme::Brew, &["5.6.1rc1", "5.6.1", "5.6.1_1", "5.6.1_10", "5.6.2", "7.1.1", "7.1.1-15", "7.1.1-15_1", "7.1.1-16"]);
    // R's package_version().
    stand(Scheme::Cran, &["1.2.2", "1.2.3", "1.2.3-4", "1.2.3.10", "1.2.4"]);
    same(Scheme::Cran, &[("1.2.3-4", "1.2.3.4")]);
    same(Scheme::Bitnami, &[("7.0.11-0", "7.0.11"), ("v7.0", "7.0.0-0")]);
}

/// Taken from Composer's VersionParser and PHP's version_compare().
#[test]
fn php_s_patches_are_behind_what_they_patch() {
    let ascending = [
        "2.4.5",
        "2.4.6-dev",
        "2.4.6-alpha1",
        "2.4.6-beta9",
        "2.4.6-beta10",
        "2.4.6-RC1",
        "2.4.6",
        "2.4.6-p1",
        "2.4.6-p3",
        "2.4.6-p10",
        "2.4.6.1",
        "2.4.7-preview1",
        "2.4.7",
    ];
    stand(Scheme::Composer, &ascending);
    let pairs = [
        ("1.0", "1.0.0.0"),
        ("v1.0.0-stable", "1.0"),
        ("1.0a1", "1.0.0-alpha1"),
        ("1.0-b2", "1.0beta2"),
        ("1.0-pl2", "1.0-patch2"),
        ("1.0p2", "1.0-p2"),
        ("1.0.0+5", "1.0.0+6"),
        ("1.0.0-p1+5", "1.0.0-p1"),
    ];
    same(Scheme::Composer, &pairs);
}

#[test]
fn a_type_says_how_its_versions_are_written() {
    for (kind, scheme) in [
        ("alpm", Scheme::Alpm),
        ("apk", Scheme::Apk),
        ("ebuild", Scheme::Apk),
        ("deb", Scheme::Debian),
        ("opkg", Scheme::Debian),
        ("gem", Scheme::Gem),
        ("bazel", Scheme::Bazel),
        ("bitnami", Scheme::Bitnami),
        ("luarocks", Scheme::Bitnami),
        ("brew", Scheme::Brew),
        ("composer", Scheme::Composer),
        ("cran", Scheme::Cran),
        ("vcpkg", Scheme::Vcpkg),
        ("maven", Scheme::Maven),
        ("pypi", Scheme::Python),
        ("qpkg", Scheme::Rpm),
        ("rpm", Scheme::Rpm),
        ("npm", Scheme::Semantic),
        ("golang", Scheme::Semantic),
    ] {
        assert_eq!(Scheme::of(kind), [scheme], "{kind}");
    }
    for kind in ["cargo", "conda", "github", "hex", "nuget", "oci", "pub", "swift"] {
        assert_eq!(Scheme::of(kind), [Scheme::Semantic], "{kind}");
    }
    assert_eq!(Scheme::of("generic"), []);
    for unknown in ["opam", "yocto", "nix", "acme", ""] {
        assert_eq!(Scheme::of(unknown), Scheme::ALL, "{unknown}");
    }
}

proptest! {
    #[test]
    fn the_order_is_the_same_from_both_sides(a in "[0-9a-c.~^:!+-]{0,12}", b in "\\PC{0,12}", c in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}") {
        for (a, b) in [(&a, &b), (&a, &c), (&b, &c)] {
            for scheme in Scheme::ALL {
                prop_assert_eq!(compare(a, b, scheme), compare(b, a, scheme).reverse());
                prop_assert!(compare(a, a, scheme).is_eq());
            }
        }
    }
}
