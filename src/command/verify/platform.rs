//! Platforms: which child of an index is for the one that was asked for, and what an image's own configuration says.

use serde_json::Value;

use crate::{
    gate::is_index,
    oci::{Descriptor, Digest, Manifest, json},
};

/// A platform to be asked for.
///
/// # Errors
/// It has another form, so that nothing could ever be for it.
pub(in crate::command) fn platform(text: &str) -> Result<String, String> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    let (name, version) = versioned(text);
    let is_one = matches!(name.split('/').count(), 2 | 3) && name.split('/').chain(version).all(part);
    if is_one { Ok(text.to_owned()) } else { Err("wants os/architecture[/variant][:os.version], as in linux/arm64".into()) }
}

/// The name, and the version of the operating system behind it, as crane writes them: `windows/amd64:10.0.17763.1`.
fn versioned(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(name, version)| (name, Some(version)))
}

/// Operating system, architecture and variant as containerd and Docker read them: an architecture has other names, and a variant
/// that is meant where none is said.
fn normal(name: &str) -> [String; 3] {
    let name = name.to_ascii_lowercase();
    let mut parts = name.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (os, architecture, variant) = (part(), part(), part());
    let os = if os == "macos" { "darwin" } else { os };
    let (architecture, variant) = match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("amd64" | "x86_64" | "x86-64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("arm64" | "aarch64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("arm64" | "aarch64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        named => named,
    };
    [os, architecture, variant].map(str::to_owned)
}

/// Whether what is for `found` is for `wanted`, with the variant that is meant where none is said.
fn is(found: &str, wanted: &str) -> bool {
    let ((found, has), (wanted, asked)) = (versioned(found), versioned(wanted));
    normal(found) == normal(wanted) && is_version(has, asked)
}

/// The same of a variant that was not asked for, which may be any.
pub(super) fn serves(found: &str, wanted: &str) -> bool {
    let ((name, has), (asked, version)) = (versioned(found), versioned(wanted));
    let is_any = asked.matches('/').count() == 1 && normal(name)[..2] == normal(asked)[..2];
    is(found, wanted) || (is_any && is_version(has, version))
}

/// Whether `has` is the version asked for, or one of it: `10.0.17763.1` is a `10.0.17763`.
fn is_version(has: Option<&str>, asked: Option<&str>) -> bool {
    let within = |has: &str, asked: &str| has.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    asked.is_none_or(|asked| has.is_some_and(|has| within(has, asked)))
}

/// The child of an index for the platform.
///
/// # Errors
/// What the index has instead of one.
pub(super) fn child(index: &Manifest, wanted: &str) -> Result<Digest, String> {
    let children = children(index);
    let found = |fits: fn(&str, &str) -> bool| {
        let mut found: Vec<&(Descriptor, Option<String>)> = Vec::new();
        for child in &children {
            let is_for = child.1.as_deref().is_some_and(|has| fits(has, wanted));
            // Listed twice, for two variants say, it is one all the same.
            if is_for && found.iter().all(|(known, _)| known.digest != child.0.digest) {
                found.push(child);
            }
        }
        found
    };
    let mut found_any = found(is);
    if found_any.is_empty() {
        found_any = found(serves);
    }
    let told = |has: Vec<String>| format!("wants one child for platform {wanted}; the index has {}", has.join(", "));
    match &found_any[..] {
        [(child, _)] => Ok(child.digest),
        [] if children.is_empty() => Err(told(vec!["none, and lists nothing".into()])),
        [] => {
            let mut has: Vec<String> = Vec::new();
            for (child, platform) in &children {
                let what = platform.clone().unwrap_or_else(|| {
                    let what = if is_index(&child.media_type) { "an index" } else { "a manifest" };
                    format!("{what} {} without a platform", child.digest)
                });
                if !has.contains(&what) {
                    has.push(what);
                }
            }
            Err(told(vec![format!("none (it has {})", has.join(", "))]))
        }
        several => {
            let several =
                several.iter().filter_map(|(child, platform)| Some(format!("{} {}", platform.as_deref()?, child.digest)));
            let has = several.collect::<Vec<_>>().join(", ");
            Err(told(vec![format!("several ({has}); ask for one of these, or for its digest beside the index")]))
        }
    }
}

/// What an index lists, and for which platform, with the version of its operating system.
fn children(index: &Manifest) -> Vec<(Descriptor, Option<String>)> {
    let document = json::parse(index.bytes()).unwrap_or_default();
    let listed = document.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let child = |value: &Value| {
        let child = Descriptor::from_value(value).ok()?;
        let platform = child.platform.as_deref().map(|name| with_version(name, value.get("platform")));
        Some((child, platform))
    };
    listed.filter_map(child).collect()
}

/// What a configuration says that its image is for, if it says any.
pub(super) fn of_config(config: &Value) -> Option<String> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (os, architecture) = text("os").zip(text("architecture"))?;
    let variant = text("variant").map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(with_version(&format!("{os}/{architecture}{variant}"), Some(config)))
}

fn with_version(name: &str, platform: Option<&Value>) -> String {
    let version = platform.and_then(|platform| platform.get("os.version")?.as_str()).filter(|version| !version.is_empty());
    version.map_or_else(|| name.to_owned(), |version| format!("{name}:{version}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oci::media_type::{OCI_INDEX, OCI_MANIFEST};

    #[test]
    fn a_platform_matches_as_a_whole_and_a_variant_only_where_it_is_asked_for() {
        for (found, wanted, yes) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm/v6", "linux/arm", true),
            ("linux/arm/v7", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64", "linux/arm", false),
            // As containerd and Docker read them.
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64/v9", "linux/arm64/v8", false),
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm", "linux/arm/v6", false),
            ("linux/amd64", "linux/x86_64", true),
            ("linux/386", "linux/i386", true),
            ("linux/arm/v7", "linux/armhf", true),
            ("linux/arm/v6", "linux/armel", true),
            ("darwin/arm64", "macOS/arm64", true),
            ("linux/amd64/v3", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", false),
            ("windows/amd64:10.0.17763.1", "windows/amd64", true),
            ("windows/amd64:10.0.17763.1", "windows/amd64:10.0.17763", true),
            ("windows/amd64:10.0.177631", "windows/amd64:10.0.17763", false),
            ("windows/amd64", "windows/amd64:10.0.17763", false),
        ] {
            assert_eq!(serves(found, wanted), yes, "{found} {wanted}");
            assert_eq!(platform(wanted), Ok(wanted.to_owned()));
        }
        for wrong in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/amd64 ", "linux//v7", "windows/amd64:", "a/b:c/d"]
        {
            assert!(platform(wrong).is_err(), "{wrong}");
        }
    }

    /// What comes of the platform, of an index of these: what is listed by its name, under a media type, for a platform.
    fn chosen(listed: &[(&str, &str, Value)], wanted: &str) -> Result<&'static str, String> {
        let digest = |name: &str| Digest::sha256(name.as_bytes());
        let manifests: Vec<_> = listed
            .iter()
            .map(|(name, media_type, platform)| json!({"mediaType": media_type, "digest": digest(name), "size": 1, "platform": platform}))
            .collect();
        let text = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string();
        let index = Manifest::parse(Digest::sha256(text.as_bytes()), text.into(), None).unwrap();
        child(&index, wanted).map(|found| ["a", "b", "c"].into_iter().find(|name| digest(name) == found).unwrap())
    }

    #[test]
    fn one_child_is_chosen_and_what_there_is_instead_is_told() {
        let of = |os: &str, architecture: &str| json!({"os": os, "architecture": architecture});
        let variant = |name: &str| json!({"os": "linux", "architecture": "arm", "variant": name});
        let version = |name: &str| json!({"os": "windows", "architecture": "amd64", "os.version": name});
        let twice = [("a", OCI_MANIFEST, of("linux", "amd64")), ("a", OCI_MANIFEST, of("linux", "amd64"))];
        assert_eq!(chosen(&twice, "linux/amd64"), Ok("a"));
        let arms =
            [("a", OCI_MANIFEST, variant("v6")), ("b", OCI_MANIFEST, variant("v7")), ("c", OCI_MANIFEST, of("linux", "arm64"))];
        assert_eq!(chosen(&arms, "linux/arm"), Ok("b"), "the variant that is meant");
        assert_eq!((chosen(&arms, "linux/arm/v6"), chosen(&arms[..1], "linux/arm")), (Ok("a"), Ok("a")));
        assert_eq!(chosen(&arms, "linux/arm64/v8"), Ok("c"));
        let same = [("a", OCI_MANIFEST, variant("v6")), ("a", OCI_MANIFEST, variant("v7"))];
        assert_eq!((chosen(&same, "linux/arm/v6"), chosen(&same, "linux/arm/v7")), (Ok("a"), Ok("a")));
        let windows = [("a", OCI_MANIFEST, version("10.0.1.7")), ("b", OCI_MANIFEST, version("10.0.2.9"))];
        assert_eq!(chosen(&windows, "windows/amd64:10.0.2"), Ok("b"));
        let told = chosen(&windows, "windows/amd64").unwrap_err();
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        assert!(told.contains(&format!("has several (windows/amd64:10.0.1.7 {a}, windows/amd64:10.0.2.9 {b});")), "{told}");
        let nested = [("a", OCI_INDEX, Value::Null), ("b", OCI_MANIFEST, of("linux", "arm64"))];
        let told = chosen(&nested, "linux/amd64").unwrap_err();
        assert!(told.ends_with(&format!("the index has none (it has an index {a} without a platform, linux/arm64)")), "{told}");
        assert!(chosen(&[], "linux/amd64").unwrap_err().ends_with("the index has none, and lists nothing"));
    }

    #[test]
    fn a_configuration_says_its_platform_whole_or_not_at_all() {
        let config = json!({"os": "windows", "architecture": "amd64", "variant": "", "os.version": "10.0.1"});
        assert_eq!(of_config(&config).as_deref(), Some("windows/amd64:10.0.1"));
        assert_eq!(of_config(&json!({"os": "linux", "architecture": "arm", "variant": "v7"})).as_deref(), Some("linux/arm/v7"));
        assert_eq!(of_config(&json!({"os": "linux"})), None);
    }
}
