//! Where registries.d looks for signatures beside an image: `use-sigstore-attachments`, by scope.

use std::path::Path;

use super::{
    super::source::{self, Item, Map},
    scopes::is_below,
};
use crate::yaml::Problems;

/// What registries.d says.
#[derive(Debug, Default)]
pub(in crate::import) struct Attachments {
    /// `default-docker`.
    everywhere: Option<bool>,
    /// `docker`, by its scope: a repository without tag and digest, or what is above it.
    scopes: Vec<(String, bool)>,
}

impl Attachments {
    /// Reads the files, each a text.
    ///
    /// # Errors
    /// One of them cannot be read, or says again what another does: containers/image then finds no signature at all.
    pub(in crate::import) fn read(files: &[String]) -> Result<Self, Problems> {
        let path = Path::new("registries.d");
        let mut all = Self::default();
        let mut has_default = false;
        for text in files {
            for node in &source::documents(path, text)? {
                let twice = all.add(&Item::root(node), &mut has_default);
                if let Some(what) = twice.map_err(|error| Problems(vec![error.problem(path)]))? {
                    return Err(source::whole(path, format!("{what} is there twice")));
                }
            }
        }
        Ok(all)
    }

    /// Adds a file; answers what another has said already.
    fn add(&mut self, file: &Item<'_>, has_default: &mut bool) -> Result<Option<String>, source::Unreadable> {
        let flag = |map: &Map<'_>| map.flag("use-sigstore-attachments");
        let file = file.map()?;
        if let Some(map) = file.map("default-docker")? {
            if std::mem::replace(has_default, true) {
                return Ok(Some("`default-docker`".into()));
            }
            self.everywhere = flag(&map)?;
        }
        for (scope, item) in file.map("docker")?.map(|map| map.entries()).unwrap_or_default() {
            if let Some(looks) = flag(&item.map()?)? {
                self.scopes.push((scope.to_owned(), looks));
            }
        }
        Ok(None)
    }

    /// Whether signatures are looked for beside every image of `scope`.
    pub(super) fn looks_in(&self, scope: &str) -> bool {
        let within = |below: &str| is_below(below, scope) || (below != scope && repository(below) == scope);
        if self.scopes.iter().any(|(below, looks)| !looks && within(below)) {
            return false;
        }
        let mut nearest: Option<&(String, bool)> = None;
        for one in self.scopes.iter().filter(|(at, _)| at == scope || is_below(scope, at)) {
            if nearest.is_none_or(|(other, _)| is_below(&one.0, other)) {
                nearest = Some(one);
            }
        }
        nearest.map_or(self.everywhere, |(_, looks)| Some(*looks)).unwrap_or(false)
    }
}

/// A scope without the tag or the digest it may end in.
fn repository(scope: &str) -> &str {
    let name = scope.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |at| at + 1);
    name[last..].find(':').filter(|_| last > 0).map_or(name, |at| &name[..last + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_scope_says_whether_signatures_are_looked_for() {
        let read = |files: &[&str]| Attachments::read(&files.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        for (files, looks, not) in [
            (&[][..], &[][..], &["ghcr.io", ""][..]),
            (&["# use-sigstore-attachments: true\ndefault-docker: {}\n"], &[], &["ghcr.io"]),
            (&["default-docker: {use-sigstore-attachments: true}"], &["ghcr.io/acme", ""], &[]),
            (&["docker: {quay.io: {use-sigstore-attachments: true}}"], &["quay.io", "quay.io/acme"], &["ghcr.io", "*.io", ""]),
            (
                &[
                    "default-docker: {use-sigstore-attachments: true}",
                    "docker: {ghcr.io/acme/old: {use-sigstore-attachments: false}}",
                ],
                &["ghcr.io/apex", "quay.io"],
                &["ghcr.io/acme/old", "ghcr.io/acme", "ghcr.io", "*.io", ""],
            ),
            (
                &[
                    "docker: {ghcr.io: {use-sigstore-attachments: false}, ghcr.io/acme: {use-sigstore-attachments: true}, ghcr.io/acme/x: {lookaside: 'file:///x'}}",
                ],
                &["ghcr.io/acme", "ghcr.io/acme/x"],
                &["ghcr.io/apex"],
            ),
            (
                &[
                    "default-docker: {use-sigstore-attachments: true}\ndocker: {'ghcr.io/acme/app:v1': {use-sigstore-attachments: false}}",
                ],
                &["ghcr.io/acme/ap"],
                &["ghcr.io/acme/app", "ghcr.io/acme"],
            ),
            (&["docker: {'*.acme.test': {use-sigstore-attachments: true}}"], &["r.acme.test:5000/x"], &["acme.test"]),
        ] {
            let all = read(files).unwrap();
            for scope in looks {
                assert!(all.looks_in(scope), "{files:?} {scope}");
            }
            for scope in not {
                assert!(!all.looks_in(scope), "{files:?} {scope}");
            }
        }
        for wrong in [&["a: ["][..], &["docker: 1"], &["default-docker: {}", "default-docker: {}"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(repository("ghcr.io:5000/a:v1@sha256:00"), "ghcr.io:5000/a");
        assert_eq!(repository("ghcr.io:5000"), "ghcr.io:5000");
    }
}
