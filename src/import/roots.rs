//! Names for trust roots: one for each content, and none that an operator's own root has already.

use std::path::Path;

use super::{
    Effect, Import, Lint,
    source::{Item, Spot},
    write::scalar,
};
use crate::oci::Digest;

/// Why a log is asked where a source ignores it and has nothing in its place.
pub(super) const NO_TIME: (Option<Lint>, &str) =
    (Some(Lint::I16), "the log is always asked for here: without it a keyless certificate has no trusted time");

/// Names that mean something else in a configuration: what every policy is about that names no root, and what an import of
/// gh's flags names. Under one of them the images of a private root would be admitted as those of another.
const TAKEN: [&str; 3] = ["default", "gh", "github"];

/// The names given out, and the content each stands for.
pub(super) type Names = Vec<(String, String)>;

/// What a source leaves out under keys of its own. There a verifier does; here it is a trust root that has none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// The log: a timestamp says when.
    pub(super) log: bool,
    /// Certificate Transparency.
    pub(super) sct: bool,
}

/// What a source does not ask for, and where it says so.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    pub(super) log: Option<Spot>,
    pub(super) sct: Option<Spot>,
}

impl Without {
    /// What the file that a person makes of the root is to lack: `, without a log`. Our configuration takes no key that gives up
    /// what the root has.
    pub(super) const fn said(self) -> &'static str {
        match (self.log, self.sct) {
            (true, true) => ", without a log and a CT log,",
            (true, false) => ", without a log,",
            (false, true) => ", without a CT log,",
            (false, false) => "",
        }
    }

    /// The keys beside the root's `path` that say so, each behind a comma.
    fn keys(self) -> String {
        let given = [(self.log, ", dangerous_no_log: true"), (self.sct, ", dangerous_no_sct: true")];
        given.into_iter().filter_map(|(given, key)| given.then_some(key)).collect()
    }
}

impl Import {
    /// Notes what is ignored there and asked for here, since the trust root is not without it; `log` says why a log is asked.
    pub(super) fn asked_all_the_same(&mut self, ignored: &Ignored, without: Without, (lint, log): (Option<Lint>, &str)) {
        if let (Some(at), false) = (&ignored.log, without.log) {
            self.findings.changed(at, Effect::Stricter, lint, log);
        }
        if let (Some(at), false) = (&ignored.sct, without.sct) {
            self.findings.changed(at, Effect::Stricter, None, "the certificate's SCT is always asked for here");
        }
    }

    /// Notes that `pullgate.yaml` needs the trust root `name`.
    pub(super) fn root_setting(&mut self, name: &str, without: Without, why: &str) {
        let file = self.options.files.as_deref().unwrap_or(Path::new("")).join(format!("{name}.json"));
        let path = scalar(&file.display().to_string());
        self.findings.setting(format!("trust_roots: {{{name}: {{path: {path}{}}}}}", without.keys()), why);
    }

    /// The name of the trust root of `content`: as `wanted`, unless that is the name of another. Two roots under one name
    /// would be one to whoever counts signers, and either would be believed for the other.
    pub(super) fn root_name(&mut self, wanted: &str, content: &str) -> String {
        if let Some((name, _)) = self.root_names.iter().find(|(_, known)| known == content) {
            return name.clone();
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '-' };
        let wanted = wanted.rsplit('/').next().unwrap_or_default();
        let plain: String = wanted.chars().map(letter).take(32).collect();
        // What is called so already keeps its name; what only reads so here is told apart.
        let itself = Some(plain.clone()).filter(|plain| plain == wanted && !TAKEN.contains(&plain.as_str()));
        let stem = if plain.is_empty() || TAKEN.contains(&plain.as_str()) { format!("imported-{plain}") } else { plain };
        let hash = Digest::sha256(content.as_bytes()).to_hex();
        let longer = [8, 20].into_iter().map(|length| format!("{stem}-{}", &hash[..length]));
        let free = |name: &String| !self.root_names.iter().any(|(known, _)| known == name);
        let name = itself.into_iter().chain(longer).find(free).unwrap_or_else(|| hash[..60].to_owned());
        self.root_names.push((name.clone(), content.to_owned()));
        name
    }

    /// The name of a trust root that `parts` of an entry make, called after its document.
    pub(super) fn own_root_name(&mut self, parts: &[Item<'_>], without: Without) -> String {
        let mut content: Vec<_> = parts.iter().map(|item| format!("{} {}", item.place(), item.content())).collect();
        content.extend(Some(without.keys()).filter(|keys| !keys.is_empty()));
        let document = self.findings.document.clone();
        self.root_name(&document, &content.join("\n"))
    }

    /// A file for a trust root, once.
    pub(super) fn root_file(&mut self, name: &str, text: impl FnOnce() -> String) -> String {
        let file = format!("{name}.json");
        if !self.trust_roots.iter().any(|(known, _)| *known == file) {
            self.trust_roots.push((file.clone(), text()));
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_has_a_name_of_its_own_and_none_that_is_taken() {
        let mut import = Import::default();
        let mut name = |wanted: &str, content: &str| import.root_name(wanted, content);
        assert_eq!(name("ClusterPolicy/acme", "a"), "acme");
        assert_eq!(name("acme", "a"), "acme");
        let other = name("acme", "b");
        assert!(other.starts_with("acme-") && other.len() == 13, "{other}");
        assert_eq!(name("acme", "b"), other);
        // Another may be called as the hash of this one would have it.
        let c = Digest::sha256(b"c").to_hex();
        assert_eq!(name(&format!("acme-{}", &c[..8]), "d"), format!("acme-{}", &c[..8]));
        assert_eq!(name("acme", "c"), format!("acme-{}", &c[..20]));
        assert_ne!(name("a.b", "e"), "a-b");
        assert_eq!(name("a-b", "f"), "a-b");
        for taken in ["default", "Default", "gh", "github", "ClusterPolicy/default"] {
            let name = name(taken, taken);
            assert!(name.starts_with("imported-"), "{name}");
        }
        assert!(name(&"x".repeat(200), "g").len() <= 63 && name(&"x".repeat(200), "h").len() <= 63);
    }
}
