use proptest::prelude::*;

use super::*;
use crate::oci::ImageName;

fn kyverno(text: &str) -> Result<Named, Unnamed> {
    named(&wildcard::kyverno(text), Hub::Kyverno)
}

#[test]
fn a_star_that_crosses_slashes_is_said_in_ours() {
    for (theirs, ours, fit) in [
        ("ghcr.io/acme/*", &["ghcr.io/acme/**"][..], Fit::Exact),
        ("ghcr.io/acme*", &["ghcr.io/acme*", "ghcr.io/acme*/**"], Fit::Exact),
        ("ghcr.io/*", &["ghcr.io/**"], Fit::Exact),
        ("*", &["*/**"], Fit::Exact),
        ("ghcr.io/*/app*", &["ghcr.io/*/**/app*", "ghcr.io/*/**/app*/**"], Fit::Exact),
        ("*/app:*", &["*/**/app"], Fit::More),
        (
            "*.io/app*",
            &["*.io/app*", "docker.io/library/app*", "*.io/app*/**", "*/**/*.io/app*", "*/**/*.io/app*/**"],
            Fit::Exact,
        ),
        ("ghcr.io/team-?/*", &["ghcr.io/team-?/**"], Fit::Exact),
        ("ghcr.io/acme/app:*", &["ghcr.io/acme/app"], Fit::More),
        ("ghcr.io/acme/app*:*", &["ghcr.io/acme/app*", "ghcr.io/acme/app*/**"], Fit::Exact),
        ("ghcr.io/acme/app:v1?", &["ghcr.io/acme/app"], Fit::More),
        ("ghcr.io/acme/app@sha256:*", &["ghcr.io/acme/app"], Fit::More),
        ("ghcr.io/a*b*", &["ghcr.io/a*b*", "ghcr.io/a*b*/**", "ghcr.io/a*/**/*b*", "ghcr.io/a*/**/*b*/**"], Fit::Less),
        ("*.acme.test/*", &["*.acme.test/**", "*/**/*.acme.test/**"], Fit::Exact),
        ("docker.io/*", &["docker.io/**"], Fit::Exact),
        ("docker.io/nginx*", &["docker.io/library/nginx*", "docker.io/nginx*/**"], Fit::Exact),
        ("localhost:5000/app*", &["localhost:5000/app*", "localhost:5000/app*/**"], Fit::Exact),
        // Behind the first segment a `:` is no port, and no tag either.
        ("*:5000/app*", &["*:5000/app*", "*:5000/app*/**"], Fit::Exact),
        // A host with its port, and whatever is there.
        ("localhost:5*", &["localhost:5*/**"], Fit::More),
    ] {
        let named = kyverno(theirs).unwrap();
        assert_eq!(
            (named.patterns.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), named.fit),
            (ours, fit),
            "{theirs}"
        );
    }
    for nothing in [
        "ghcr.io/acme/app",
        "acme/app*",
        "ghcr.io",
        "ghcr.io/Acme/*",
        "ghcr.io/{a,b}/*",
        "ghcr.io/a[b]*",
        "a_b.io/*",
        "ghcr.io//*",
    ] {
        assert!(matches!(kyverno(nothing), Err(Unnamed::Nothing(_))), "{nothing}: {:?}", kyverno(nothing));
    }
    let many = "ghcr.io/a*b*c*d*e*f*g*h*";
    for unsaid in ["ghcr.io/*A*", "*.docker.io/x*", "ghcr.io/app??", "ghcr.io/a?*b", "ghcr.io/a*sha256:*x", many] {
        assert!(matches!(kyverno(unsaid), Err(Unnamed::Unsaid(_))), "{unsaid}: {:?}", kyverno(unsaid));
    }
    for (folding, folds) in [
        ("index.docker.io/acme/*", true),
        ("registry-1.docker.io/acme/*", true),
        ("GHCR.IO/acme/*", true),
        ("ghcr.io:443/acme/*", true),
        ("*.IO/acme/*", true),
        ("docker.io/acme/*", false),
        ("ghcr.io:5000/acme/*", false),
        ("*", false),
    ] {
        assert_eq!(kyverno(folding).unwrap().folds, folds, "{folding}");
    }
    let controller = |text: &str| named(&wildcard::policy_controller(text), Hub::PolicyController).unwrap().patterns;
    assert_eq!(controller("ghcr.io/acme/*"), ["ghcr.io/acme/*"]);
    assert_eq!(controller("ghcr.io/acme/**"), ["ghcr.io/acme/**"]);
    assert_eq!(
        controller("ghcr.io/sigstore/timestamp-server**"),
        ["ghcr.io/sigstore/timestamp-server*", "ghcr.io/sigstore/timestamp-server*/**"]
    );
    assert_eq!(controller("index.docker.io/library/*"), ["docker.io/library/*"]);
    assert!(controller("**demo**").contains(&"*/**/*demo*/**".to_owned()));
}

#[test]
fn a_name_as_it_is_written_may_leave_out_the_registry_and_the_tag() {
    for (theirs, ours, fit, folds) in [
        ("ghcr.io/acme/app", &["ghcr.io/acme/app"][..], Fit::More, false),
        ("ghcr.io/*/app", &["ghcr.io/*/**/app"], Fit::More, false),
        ("ghcr.io/acme/*", &["ghcr.io/acme/**"], Fit::Exact, false),
        ("ghcr.io/acme/app*:*", &["ghcr.io/acme/app*", "ghcr.io/acme/app*/**"], Fit::More, false),
        ("nginx", &["docker.io/library/nginx"], Fit::More, true),
        ("nginx:1.*", &["nginx:1.*/**", "docker.io/library/nginx"], Fit::More, true),
        ("nginx*", &["nginx*.*/**", "nginx*:*/**", "docker.io/library/nginx*", "docker.io/nginx*/**"], Fit::Exact, true),
        ("acme/*", &["docker.io/acme/**"], Fit::Exact, true),
        ("docker.io/acme/*", &["docker.io/acme/**"], Fit::Exact, true),
        ("index.docker.io/acme/*", &["docker.io/acme/**"], Fit::Exact, true),
        ("*", &["*/**"], Fit::Exact, false),
        ("*.acme.test/*", &["*.acme.test/**", "*/**/*.acme.test/**"], Fit::Exact, false),
        ("*/nginx*", &["*/**/nginx*", "*/**/nginx*/**"], Fit::Exact, true),
        ("GHCR.IO/acme/*", &["ghcr.io/acme/**"], Fit::Exact, true),
    ] {
        let named = named(&wildcard::kyverno(theirs), Hub::AsWritten).unwrap();
        let patterns: Vec<_> = named.patterns.iter().map(String::as_str).collect();
        assert_eq!((patterns.as_slice(), named.fit, named.folds), (ours, fit, folds), "{theirs}");
    }
    for (theirs, nothing) in [("localhost", true), ("ghcr.io", true), ("Acme/*", true), ("nginx?", false), ("in*", false)] {
        let found = named(&wildcard::kyverno(theirs), Hub::AsWritten);
        assert!(matches!(&found, Err(error) if matches!(error, Unnamed::Nothing(_)) == nothing), "{theirs}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever somebody may call an image, it is named by ours if that is matched by theirs.
    #[test]
    fn ours_name_the_images_that_theirs_name_as_they_are_written(
        theirs in "(ab?\\.c|docker\\.io|\\*|a\\*|\\?b\\.c|a|library)(/[ab*?]{1,3}){0,2}(\\*|/\\*|:\\*|\\*:\\*|:z\\*)?",
        host in prop::sample::select(vec!["a.c", "ab.c", "localhost", "b.c:1", "docker.io", "a:1"]),
        path in prop::collection::vec("[ab]{1,2}", 1..4),
    ) {
        let tokens = wildcard::kyverno(&theirs);
        let Ok(Named { patterns, fit, folds }) = named(&tokens, Hub::AsWritten) else { return Ok(()) };
        let image = match host {
            "docker.io" if path.len() == 1 => format!("docker.io/library/{}", path[0]),
            _ => format!("{host}/{}", path.join("/")),
        };
        let mut spellings = vec![image.clone()];
        if let Some(short) = image.strip_prefix("docker.io/") {
            spellings.extend([short.to_owned(), format!("index.docker.io/{short}")]);
            let shorter = short.strip_prefix("library/").filter(|name| !name.contains('/'));
            spellings.extend(shorter.iter().flat_map(|name| [(*name).to_owned(), format!("docker.io/{name}")]));
        }
        let regex = AnchoredRegex::new(&wildcard::regex(&tokens)).unwrap();
        let digest = format!("@sha256:{}", "0".repeat(64));
        let written = |ends: &[&str]| -> Vec<bool> {
            spellings.iter().flat_map(|name| ends.iter().map(move |end| format!("{name}{end}"))).map(|name| regex.matches(&name)).collect()
        };
        let all = written(&["", ":zz", &digest]);
        let (host, repository) = image.split_once('/').unwrap();
        let image = ImageName::new(host.parse().unwrap(), repository.parse().unwrap());
        let ours = patterns.iter().any(|pattern| ImagePattern::new(pattern).unwrap().matches(&image));
        let any = all.contains(&true);
        if fit != Fit::Less {
            prop_assert!(ours || !any, "{} {} {:?}", theirs, image, patterns);
        }
        if fit == Fit::Exact && !folds {
            prop_assert!(!ours || !all.contains(&false), "{} {} {:?}", theirs, image, patterns);
        }
    }

    /// An image is named by ours if and only if some reference of it is named by theirs, where the fit says so.
    #[test]
    fn ours_name_the_images_theirs_name(
        theirs in "(ab?\\.c|\\*|a\\*|\\?b.c)(/[ab*?]{1,3}){0,2}(\\*|/\\*|:\\*|\\*:\\*)?",
        host in prop::sample::select(vec!["a.c", "ab.c", "aab.c", "localhost", "b.c:1"]),
        path in prop::collection::vec("[ab]{1,2}", 1..4),
    ) {
        let tokens = wildcard::kyverno(&theirs);
        let Ok(Named { patterns, fit, .. }) = named(&tokens, Hub::Kyverno) else { return Ok(()) };
        let name = format!("{host}/{}", path.join("/"));
        let regex = AnchoredRegex::new(&wildcard::regex(&tokens)).unwrap();
        let digest = format!("{name}@sha256:{}", "0".repeat(64));
        let (all, any) = {
            let tagged = regex.matches(&format!("{name}:zz"));
            (tagged && regex.matches(&digest), tagged || regex.matches(&digest))
        };
        let image = ImageName::new(host.parse().unwrap(), path.join("/").parse().unwrap());
        let ours = patterns.iter().any(|pattern| ImagePattern::new(pattern).unwrap().matches(&image));
        match fit {
            Fit::Exact => prop_assert!(ours == all && ours == any, "{} {} {:?}", theirs, name, patterns),
            Fit::Less => prop_assert!(!ours || any, "{} {} {:?}", theirs, name, patterns),
            Fit::More => prop_assert!(ours || !any, "{} {} {:?}", theirs, name, patterns),
        }
    }
}
