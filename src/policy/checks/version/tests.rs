use super::*;

#[test]
fn ranges_say_which_versions() {
    for (range, yes, no) in [
        ("<2.17.1", &["2.17.0", "2.0-beta9", "1.0"][..], &["2.17.1", "2.18", "2.17.1.redhat-1"][..]),
        (">=2.0, <2.12.2", &["2.0", "2.12.1"], &["1.9", "2.12.2"]),
        ("3.3.6", &["3.3.6", "v3.3.6"], &["3.3.7", "3.3.60"]),
        ("= 3.3.6", &["3.3.6"], &["3.3"]),
        (">1, <=2", &["1.1", "2", "2.0.0"], &["1", "1.0", "2.1"]),
    ] {
        check(Scheme::Semantic, range, yes, no);
    }
    for wrong in ["", "<", "^1.2", "~>1", "!=1", "1.*", "1.x", "*", "<1,", "latest", "1 || 2", "<2.x y", "<-1", "+1", ".1"] {
        assert!(Range::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_range_that_no_version_is_in_is_an_error() {
    for empty in [">=3.0, <2.0", "1.0.0,2.0.0", ">2, <2", ">=2, <2", ">2, <=2", "1, >=2", "3, <=2", "<1, >0.5, >=1.1"] {
        let error = Range::parse(empty).unwrap_err();
        assert!(
            error.contains(&format!("no version is `{empty}`: a comma means and; for one or the other write a list")),
            "{error}"
        );
    }
    for some in [">=2, <=2", "2, 2.0", "<2, <1", "<=2, <=1", ">1, >2", ">=1, >=2", ">=1, <2", "2, >1, <3", ">1.0, <1.0.1"] {
        assert!(Range::parse(some).is_ok(), "{some}");
    }
    // Debian's 2.0-rc1 is behind 2.0; Python's 1.0+cu119 is of 1.0.
    for some in [">=2.0, <2.0-rc2", ">=1.0+cu118, <=1.0"] {
        assert!(Range::parse(some).is_ok(), "{some}");
    }
}

#[test]
fn one_version_is_no_range() {
    for version in ["1.2.3", "v1", "0.0.0-20190101000000-abcdef+incompatible", "1:2.0~rc1-1^a!b_c", "sha256:244fd47e"] {
        assert_eq!(Range::only(version).unwrap().written(), version);
    }
    for wrong in ["<2.0", "=1", "1,2", "*", "1.x", "1.X", "latest", "^1", "-1", "(devel)", ""] {
        assert_eq!(Range::only(wrong), None, "{wrong}");
    }
}

fn check(scheme: Scheme, range: &str, yes: &[&str], no: &[&str]) {
    let parsed = Range::parse(range).unwrap();
    for version in yes {
        assert_eq!(parsed.contains(version, scheme), Some(true), "{range} {version} {scheme:?}");
    }
    for version in no {
        assert_eq!(parsed.contains(version, scheme), Some(false), "{range} {version} {scheme:?}");
    }
}

/// Magento's fixes are such, and are told as `<2.4.6-p3`.
#[test]
fn php_s_patches_are_no_pre_releases() {
    check(Scheme::Composer, "<2.4.6-p3", &["2.4.6", "2.4.6-p2", "2.4.6-rc1", "2.4.5-p9"], &["2.4.6-p3", "2.4.6-p10", "2.4.7"]);
    check(Scheme::Composer, ">=2.4", &["2.4.0-beta1", "2.4.0-dev", "2.4.0"], &["2.3.9-p1"]);
    check(Scheme::Composer, ">=2.4.0", &["2.4.0"], &["2.4.0-beta1"]);
    check(Scheme::Bazel, "<=1.2.13", &["1.2.13", "1.2.13.bcr.1"], &["1.2.14"]);
    check(Scheme::Bazel, "<1.2.13.bcr.2", &["1.2.13", "1.2.13.bcr.1"], &["1.2.13.bcr.2"]);
}

#[test]
fn a_word_before_a_number_is_compared_with_its_like_and_go_s_own_is_none() {
    check(Scheme::Semantic, "<1.21.8", &["go1.21.7", "go1.20"], &["go1.22.3", "v1.22.3", "1.21.8"]);
    check(Scheme::Semantic, ">=go1.22, <go1.22.3", &["1.22.1", "go1.22.1"], &["go1.22.3"]);
    check(Scheme::Semantic, "<jdk-21.0.2", &["jdk-21.0.1+12"], &["jdk-21.0.2"]);
    check(Scheme::Semantic, "9f86d081", &["9f86d081"], &["9f86d082", "ab86d081"]);
    check(Scheme::Semantic, "ab86d081", &["ab86d081"], &["9f86d082"]);
    for (range, version) in [
        ("<2", "jdk-21.0.1"),
        (">=1, <2", "php-8.3.1"),
        ("<jdk-21", "17.0.1"),
        (">=1, <n2.0", "1.5"),
        ("<2", "gone1.5"),
        ("<2", "go-1.5"),
        ("<2", "vnext1"),
    ] {
        assert_eq!(Range::parse(range).unwrap().contains(version, Scheme::Semantic), None, "{range} {version}");
    }
    // Of Maven's versions and rpm's it is said what they are: Spring's trains were before its years.
    check(Scheme::Maven, "<2020.0.3", &["Hoxton.SR10"], &[]);
    check(Scheme::Maven, ">=2020.0.0", &["2020.0.3"], &["Hoxton.SR10"]);
    check(Scheme::Rpm, "<1.0", &["r9-1"], &[]);
}

#[test]
fn a_bound_speaks_of_all_that_say_more() {
    for scheme in [Scheme::Alpm, Scheme::Apk, Scheme::Debian, Scheme::Rpm] {
        for (range, yes, no) in [
            ("5.6.1", &["5.6.1-1", "5.6.1-r0", "1:5.6.1-1.el9", "5.6.1"][..], &["5.6.1.1-1", "5.6.10-1"][..]),
            ("<=2.17.1", &["2.17.1-1", "2.17.0-1"], &["2.17.2-1"]),
            (">2.17.1", &["2.17.2-1"], &["2.17.1-9"]),
            ("<1:2.0", &["1:1.9-1", "9.9-1"], &["1:2.0-1", "2:0.1-1"]),
            ("5.6.1-2", &["5.6.1-2", "0:5.6.1-2"], &["5.6.1-1", "5.6.1-20", "5.6.1"]),
        ] {
            check(scheme, range, yes, no);
        }
    }
    for (scheme, range, yes, no) in [
        (Scheme::Debian, "<=2.17.1", &["2.17.1~rc1-1"][..], &[][..]),
        (Scheme::Debian, "<3.0.11-1~deb12u2", &["3.0.11-1~deb12u1", "3.0.10-9"], &["3.0.11-1~deb12u2", "3.0.11-1"]),
        // Built anew, from the same source.
        (Scheme::Debian, ">=5.2.15-2, <5.2.16", &["5.2.15-2+b7", "5.2.15-2"], &["5.2.15-1+b9"]),
        (Scheme::Debian, "5.2.15-2", &["5.2.15-2+b7"], &["5.2.15-2+b", "5.2.15-2+b7x", "5.2.15-2+deb12u1"]),
        (Scheme::Debian, "<5.2.15-2", &["5.2.15-1+b7"], &["5.2.15-2+b7"]),
        (Scheme::Debian, "<5.2.15-2+b7", &["5.2.15-2+b6", "5.2.15-2"], &["5.2.15-2+b7", "5.2.15-2+b10"]),
        (Scheme::Debian, "5.2.15", &["5.2.15-2+b7"], &[]),
        (Scheme::Rpm, "<1.0.1", &["1.0^20230101git1-1.fc38", "1.0-1"], &["1.0.1-1", "1.0.1^1-1"]),
        (Scheme::Rpm, "<1.0^2", &["1.0^1-1", "1.0-1"], &["1.0^2-1"]),
        (Scheme::Rpm, "<1:3.0.7-27.el9", &["1:3.0.7-20.el9", "3.0.7-27.el9"], &["1:3.0.7-27.el9", "1:3.0.7-27.el9_2"]),
        (Scheme::Python, "1.0", &["1.0+cu118", "1.0"], &["1.0.post1"]),
        (Scheme::Python, "1.0+cu117", &["1.0+cu117"], &["1.0+cu118", "1.0"]),
        (Scheme::Python, "<2.0", &["1.9"], &["1!0.5"]),
        (Scheme::Python, "<1!1.0", &["1!0.5", "9.0"], &["1!1.0"]),
        (Scheme::Gem, "<=1.13.6", &["1.13.6-x86_64-linux", "1.13.6"], &["1.13.7-x86_64-linux"]),
        (Scheme::Gem, "1.13.6-java", &["1.13.6-java"], &["1.13.6-x86"]),
        (Scheme::Semantic, "1.0.0", &["1.0.0+build"], &["1.0.0-1"]),
    ] {
        check(scheme, range, yes, no);
    }
}

#[test]
fn a_bound_speaks_of_each_packager_s_revision() {
    for (scheme, range, yes, no) in [
        (Scheme::Bitnami, "7.0.11", &["7.0.11-1", "7.0.11", "v7.0.11-12"][..], &["7.0.1-1", "7.0.11.1-1", "7.0.11-rc.1"][..]),
        (Scheme::Bitnami, ">=7.0.11, <7.0.12", &["7.0.11-1"], &["7.0.12-1", "7.0.10-9"]),
        (Scheme::Bitnami, "<7.0.11", &["7.0.10-1", "7.0.11-rc.1-2"], &["7.0.11-1"]),
        (Scheme::Bitnami, "<=7.0.11", &["7.0.11-1"], &["7.0.12-0"]),
        (Scheme::Bitnami, ">7.0.11", &["7.0.12-0"], &["7.0.11-1"]),
        (Scheme::Bitnami, "7.0.11-1", &["7.0.11-1"], &["7.0.11-2", "7.0.11", "7.0.11-10"]),
        (Scheme::Bitnami, "<7.0.11-2", &["7.0.11-1", "7.0.11"], &["7.0.11-2", "7.0.12"]),
        (Scheme::Bitnami, "7.0.11-rc.1", &["7.0.11-rc.1-3"], &["7.0.11-3"]),
        (Scheme::Bitnami, ">=7", &["7.0.0-1", "7.0.0-next.1", "7.0.0-0"], &["6.9-1"]),
        (Scheme::Bitnami, ">=3.7.0", &["3.7.0-0"], &["3.6.9-9"]),
        (Scheme::Brew, "5.6.1", &["5.6.1_1", "5.6.1"], &["5.6.1-1", "5.6.10_1", "5.6.1_b"]),
        (Scheme::Brew, ">=7.1.1, <7.1.1-16", &["7.1.1-15_1", "7.1.1-15"], &["7.1.1-16"]),
        (Scheme::Brew, "5.6.1_1", &["5.6.1_1"], &["5.6.1_2", "5.6.1"]),
        (Scheme::Brew, ">=5.0", &["5.0.0-rc.1", "5.0.0-beta", "5.0.0"], &["4.9.9"]),
        (Scheme::Brew, "<5.0.0", &["5.0.0-next.3", "5.0.0-a", "4.9-1"], &["5.0.0", "5.0.0-1", "5.0.0_1"]),
        (Scheme::Brew, ">=0", &["0.0.0-beta.1"], &[]),
        (Scheme::Maven, ">=5", &["5.0.0"], &["5.0.0-rc.1"]),
        (Scheme::Bitnami, "<2024-02", &["2024-01-01"], &["2024-03-01"]),
        (Scheme::Bitnami, "2024", &["2024-1", "2024-100"], &["2024-01", "2025-1"]),
        (Scheme::Bitnami, "31", &["31", "31-1"], &["32-1"]),
        (Scheme::Bitnami, "<=17", &["17-3", "16-12"], &["18-1"]),
        (Scheme::Brew, "2024", &["2024_02"], &["2025_02"]),
        (Scheme::Cran, ">=1.2.3", &["1.2.3-4", "1.2.3"], &["1.2.2-9"]),
        (Scheme::Cran, "<1.2.3-4", &["1.2.3-3", "1.2.3"], &["1.2.3-4", "1.2.3.5"]),
        (Scheme::Vcpkg, "1.2.3", &["1.2.3#1"], &["1.2.3-1", "1.2.4#1"]),
        (Scheme::Debian, "5.6.1", &["5.6.1+dfsg-1", "5.6.1+ds1-1", "5.6.1+repack-1+b1", "5.6.1+dfsg"], &["5.6.1+git1-1"]),
        (
            Scheme::Debian,
            "5.6.1",
            &["5.6.1~dfsg-1", "5.6.1.dfsg.1-1", "1:5.6.1-dfsg1-2", "5.6.1+dfsg+~cs2.0.1-1"],
            &["5.6.1~rc1+dfsg-1"],
        ),
        (Scheme::Debian, "<=5.6.1", &["5.6.1+dfsg-1", "5.6.1~rc1+dfsg-1"], &["5.6.2+dfsg-1", "5.6.1+really5.4.5-1"]),
        (Scheme::Debian, ">5.6.1", &["5.6.1+really5.4.5-1", "5.6.2~dfsg-1"], &["5.6.1+dfsg-1"]),
        (Scheme::Debian, "<5.6.1", &["5.6.0+dfsg-1"], &["5.6.1~dfsg-1", "5.6.1+ds-1"]),
        (Scheme::Debian, "5.6.1", &[], &["5.6.1+dsx-1", "5.6.1+dfsg+really5.4.5-1", "5.6.1+really5.4.5+dfsg-1"]),
        (Scheme::Debian, "5.6.1+dfsg", &["5.6.1+dfsg-1"], &["5.6.1+dfsg2-1", "5.6.1-1"]),
        (Scheme::Debian, "5.6.1+dfsg-1", &["5.6.1+dfsg-1"], &["5.6.1+dfsg-2", "5.6.1-1"]),
        (Scheme::Debian, "<5.6.1-1", &[], &["5.6.1+dfsg-1"]),
        (Scheme::Debian, "<=6.1.13", &["6.1.13+~cs7.0.5-1", "6.1.13+~3.0.1-1"], &["6.1.14+~cs7.0.5-1"]),
    ] {
        check(scheme, range, yes, no);
    }
    // As long as an SBOM may have one: no deeper, and denied, since nobody knows what it is.
    for (mark, bound) in [(".ds", "<5.6.2"), ("+~", "<5.6.2"), ("+dfsg", "9"), ("-1", "<2"), (".0a", ">1")] {
        let long = format!("9{}", mark.repeat(65_000 / mark.len()));
        assert!(Scheme::ALL.iter().all(|scheme| Range::parse(bound).unwrap().contains(&long, *scheme).is_none()), "{mark}");
        assert!(repacked(&long).is_none_or(|upstream| upstream == "9"), "{mark}");
        let most = format!("9.{}", "1".repeat(254));
        assert!(Range::parse(">1").unwrap().contains(&most, Scheme::Debian).is_some_and(|is_in| is_in));
        assert_eq!(Range::parse(">1").unwrap().contains(&(most + "1"), Scheme::Debian), None);
    }
    // LuaRocks' name of what is no release.
    assert_eq!(Range::parse(">1").unwrap().contains("scm-1", Scheme::Bitnami), None);
}

#[test]
fn zeros_before_a_word_are_as_good_as_none() {
    for (scheme, range, yes, no) in [
        (Scheme::Python, ">=2.0.0, <2.1", &["2.0.post1", "2.0"][..], &["2.0rc1", "2.1.0"][..]),
        (Scheme::Python, "<1.0rc1", &["1.0.0b1", "1.0.dev0", "1.0.0a9"], &["1.0", "1.0.0rc1", "1.0.0"]),
        (Scheme::Python, "<1.0.post1", &["1.0.0", "1.0.0.0"], &["1.0.0.post1", "1.0.1"]),
        (Scheme::Python, "<=1.0a1", &["1.0.0a1", "1.0.0a0"], &["1.0.0a2", "1.0"]),
        // The release's own zeros stay.
        (Scheme::Python, "<1.0.1", &["1.0.post1"], &["1.0.1.post1", "1.1", "1.0.1"]),
        (Scheme::Maven, "<1.0-rc1", &["1.0.0-beta1", "1.0.0-alpha"], &["1.0.0", "1.0.0-rc1"]),
        (Scheme::Maven, "=1.0-alpha", &["1.0.0-alpha"], &["1.0.1-alpha"]),
        (Scheme::Maven, "=2.0-jre", &["2.0.0-jre", "2-jre"], &["2.0.0", "2.0.0-android"]),
        (Scheme::Maven, ">=31.0.0-jre", &["31.0-jre", "31.1-jre"], &["31.0-android", "31.0"]),
        (Scheme::Maven, "<=1.0-M1", &["1.0.0-M1"], &["1.0.0-M2", "1.0.0"]),
        (Scheme::Maven, "=1.0", &["1.0.0.Final", "1", "1.0.0-GA"], &["1.0.Final-2", "1.0.Final.2"]),
        (Scheme::Gem, "<1.0.rc1", &["1.0.0.beta"], &["1.0.0.rc1", "1.0.0"]),
        (Scheme::Gem, "=1.0.rc1", &["1.0.0.rc1"], &["1.0.0.rc2", "1.0.1.rc1"]),
    ] {
        check(scheme, range, yes, no);
    }
}

/// PEP 440, and Maven's ComparableVersion.
#[test]
fn a_number_behind_a_dash_is_behind_the_version() {
    for (scheme, range, yes, no) in [
        (Scheme::Python, "<1.0.0", &["1.0rc1", "1.0.dev1"][..], &["1.0.rev2", "1.0-1", "1.0.r1", "1.0.post1"][..]),
        (Scheme::Python, "=1.0.post1", &["1.0-1", "1.0.0-1", "1.0.rev1", "1.0-r1", "1.0.0post-1"], &["1.1", "1.0-2", "1.0a-1"]),
        (Scheme::Python, "<1.0.1", &["1.0-5"], &["1.1-1"]),
        (Scheme::Python, "=1.0a1", &["1.0a-1", "1.0.0-alpha.1"], &["1.0a1-1"]),
        (Scheme::Python, "=1.0+cu-118", &["1.0.0+cu.118", "1.0+CU118"], &["1.0", "1.0.post118", "1.0.0.118"]),
        (Scheme::Python, "<1.0.post1", &["1.0+1", "1.0.0+a1"], &[]),
        (Scheme::Python, ">1.0+0", &["1.0+1"], &["1.0", "1.0+a1"]),
        (Scheme::Maven, ">=1.0, <1.1", &["1.0-1", "1.0.0-1", "1.0-20210101.120000-1"], &["1.1-1", "1.1", "1.0-rc-1"]),
        (Scheme::Maven, "=1.0-1", &["1.0.0-1", "1-1"], &["1.1", "1.0.1", "1"]),
        (Scheme::Maven, "=1.0", &["1.0-0"], &[]),
    ] {
        check(scheme, range, yes, no);
    }
}

#[test]
fn a_bound_short_of_a_semantic_version_is_one() {
    for (range, yes, no) in [
        ("<5.0", &["5.0.0-next.3", "4.9.9", "5.0.0-rc.1"][..], &["5.0.0", "5.0.0+incompatible", "5.0.1-0"][..]),
        ("<1", &["1.0.0-next", "1.0.0-rc.1"], &["1.0.0", "1.0.1-next"]),
        ("<2.0", &["v2.0.0-20210101000000-abcdef012345"], &["v2.0.1-0.20210101000000-abcdef012345"]),
        (">=5", &["5.0.0", "5.0.0+build", "6.0.0-next.1", "5.0.0-next.3"], &["4.9.9"]),
        (">5", &["5.0.1", "6.0.0-next.1"], &["5.0.0", "5.0.0-next.3"]),
        (">=5.0.0", &["5.0.0"], &["5.0.0-next.3"]),
        (">=0, <0.17", &["v0.0.0-20210921155107-089bfa567519", "0.16.9", "0.0.0-0"], &["0.17.0"]),
        (">=0.0, <0.17", &["v0.0.0-20210921155107-089bfa567519"], &["0.17.0"]),
        (">=7, <8", &["7.0.0-1"], &["8.0.0"]),
        ("<5.0-rc.1", &["5.0.0-beta.1", "5.0.0-rc.0"], &["5.0.0-rc.1", "5.0.0"]),
        ("=13.0", &["13.0.0", "13"], &["13.0.0-dev-02343"]),
        ("<2021-02-03", &["2021-01-15", "2021-2-2"], &["2021-02-10"]),
    ] {
        check(Scheme::Semantic, range, yes, no);
    }
    // Of no other order.
    check(Scheme::Debian, ">=5", &["5", "5-1"], &["4.9"]);
}
