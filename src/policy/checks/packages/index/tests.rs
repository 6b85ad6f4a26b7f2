use proptest::{prelude::*, sample::select};

use super::*;
use crate::policy::checks::{Package, tests::parsed};

const NAMES: &[&str] = &["a", "A", "b-c", "B_c", "b.c", "g/a", "G:A", "@s/b_c", "g/h/a", "g:a:b", "a ", "\u{e4}", "a@", "a/"];
const KINDS: &[&str] = &["npm", "pypi", "PyPI", "maven", "generic", "deb", "swift"];
const NAMED: &[&str] = &["a", "A%20", "b-c", "B__C", "g/a", "G%2Fa", "%40s/b_c", "g/h/a", "/a/", "%C3%A4", "a%40", "g:a"];
/// `%ff` and what stands where it may not break a package URL.
const BEHIND: &[&str] = &["", "@1", "@2", "@%ff", "/@%ff", "//?x=%ff", "%ff", "#%ff", "@1?x=%ff", "?arch=a", "@@/%ff", "x@%ff"];

fn purls() -> impl Strategy<Value = String> {
    (select(&["pkg:", "PKG:", "pkg://", " pkg:"][..]), select(KINDS), select(NAMED), select(BEHIND))
        .prop_map(|(scheme, kind, name, behind)| format!("{scheme}{kind}/{name}{behind}"))
}

fn entries() -> impl Strategy<Value = Option<Denied>> {
    let versions = || select(&["", ", versions: <2", ", versions: \"1\""][..]);
    let by_name = (select(NAMES), versions()).prop_map(|(name, versions)| format!("{{name: \"{name}\"{versions}}}"));
    let by_purl = (purls(), versions()).prop_map(|(purl, versions)| format!("{{purl: \"{purl}\"{versions}}}"));
    prop_oneof![by_name, by_purl].prop_map(|yaml| parsed(&yaml, Denied::parse).ok())
}

fn packages() -> impl Strategy<Value = Package> {
    let group = proptest::option::of(select(&["g", "G ", "@s", "g/h"][..]));
    let version = proptest::option::of(select(&["1", "2", "UNKNOWN"][..]));
    (select(NAMES), group, version, proptest::collection::vec(purls(), 0..3)).prop_map(|(name, group, version, purls)| Package {
        name: name.to_owned(),
        group: group.map(str::to_owned),
        version: version.map(str::to_owned),
        purls,
        ..Package::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whoever_asks_the_index_hears_what_a_walk_through_the_list_says(
        entries in proptest::collection::vec(entries(), 0..40),
        packages in proptest::collection::vec(packages(), 1..6),
    ) {
        let entries: Vec<Denied> = entries.into_iter().flatten().collect();
        let index = Index::of(&entries);
        for package in &packages {
            let listed = Listed::of(package);
            let first = index.first(&entries, &listed).map(std::ptr::from_ref);
            prop_assert_eq!(first, entries.iter().find(|entry| entry.denies(&listed)).map(std::ptr::from_ref));
            // Not the first alone: of each that denies.
            let places = index.places(&listed);
            for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.denies(&listed)) {
                prop_assert!(places.contains(&place), "{} {:?}", entry, package);
            }
        }
    }
}

/// A feed may have thousands of entries of one name, and a package hundreds of package URLs of it.
#[test]
fn a11_each_name_of_a_package_is_looked_for_once() {
    let entries: Vec<Denied> = ["pkg:npm/evil", "{name: evil}"].map(|yaml| parsed(yaml, Denied::parse).unwrap()).into();
    let index = Index::of(&entries);
    let purls = (0..256).map(|at| format!("pkg:npm/evil@{}{at}", ["", "%ff"][at % 2])).collect();
    let package = Package { name: "evil".into(), purls, ..Package::default() };
    let listed = Listed::of(&package);
    assert_eq!(index.names_of(&listed).len(), 2, "the name, and what a package URL begins with that breaks its rules");
    assert_eq!(index.places(&listed), [0, 1]);
}

/// A feed of the size that is promised, and a large SBOM: what is compared is what shares a name, however much else there is.
#[test]
fn a_large_list_is_not_walked_for_each_package() {
    let entry = |yaml: String| parsed(&yaml, Denied::parse).unwrap();
    let mut entries: Vec<Denied> = (0..50_000).map(|at| entry(format!("pkg:npm/evil-{at:06}@1.0.0"))).collect();
    entries.extend((0..50_000).map(|at| entry(format!("{{name: malicious-{at:06}}}"))));
    let index = Index::of(&entries);
    assert!(index.names.capacity() <= 3 * entries.len(), "16 bytes each");
    let package = |at: usize| {
        let purl = match at % 4 {
            0 => format!("pkg:npm/evil-{at:06}@2.0.0"),
            1 => format!("pkg:npm/%40acme/package-{at}@1.0.0"),
            2 => format!("pkg:npm/evil-{at:06}@%ff"),
            _ => format!("pkg:npm/%40acme/package-{at}@%ff{}", "@/".repeat(20)),
        };
        Package { name: format!("package-{at}"), version: Some("2.0.0".into()), purls: vec![purl], ..Package::default() }
    };
    let compared = |at: usize| index.places(&Listed::of(&package(at))).len();
    assert_eq!((0..4_000).map(compared).sum::<usize>(), 1_000, "as many as share a name");
    let evil = Package { name: "Malicious-049999".into(), ..Package::default() };
    assert!(index.first(&entries, &Listed::of(&evil)).is_some());
}
