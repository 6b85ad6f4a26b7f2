//! Paths in the file: relative ones start at the file that names them; what is named must be there.

use std::{
    cell::RefCell,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Sources, Weakness};
use crate::{policy::pattern::Glob, yaml::Cursor};

/// Files one `policies` entry may match.
const MAX_MATCHES: usize = 1000;

/// Resolves paths and remembers which were read.
#[derive(Debug)]
pub(crate) struct Files {
    base: PathBuf,
    /// Whether it is the gate that reads, which opens what it listens and asks with.
    is_gate: bool,
    read: RefCell<Vec<PathBuf>>,
    directories: RefCell<Vec<PathBuf>>,
}

impl Files {
    /// For paths named in `file`.
    pub(super) fn beside(file: &Path) -> Self {
        let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let read = RefCell::new(vec![file.to_owned()]);
        Self { base: base.to_owned(), is_gate: true, read, directories: RefCell::default() }
    }

    /// For paths named in the `file` of a gate, whose keys and credentials the reader may not have, nor need.
    pub(crate) fn elsewhere(file: &Path) -> Self {
        Self { is_gate: false, ..Self::beside(file) }
    }

    /// Every file and directory that was read.
    pub(super) fn into_sources(self) -> Sources {
        Sources { files: self.read.into_inner(), directories: self.directories.into_inner() }
    }

    fn remember(&self, path: &Path) {
        let mut read = self.read.borrow_mut();
        if !read.iter().any(|known| known == path) {
            read.push(path.to_owned());
        }
    }

    /// A path, whatever is there.
    pub(super) fn path(&self, cursor: &Cursor<'_>) -> Option<PathBuf> {
        let text = cursor.text("a path")?;
        if text.starts_with('~') || text.contains('$') {
            cursor.wrong("`~` and `$` are not expanded; write the path out");
            return None;
        }
        if text.contains("://") {
            cursor.wrong("wants a path, found a URL");
            return None;
        }
        Some(self.base.join(text))
    }

    /// A file that can be read.
    pub(super) fn file(&self, cursor: &Cursor<'_>) -> Option<PathBuf> {
        let path = self.path(cursor)?;
        // Whether or not it is there: it is one to watch for.
        self.remember(&path);
        match fs::File::open(&path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() => Some(path),
            Ok(_) => {
                cursor.wrong(format!("{} is not a file", path.display()));
                None
            }
            Err(error) => {
                cursor.wrong(format!("{} cannot be opened: {}", path.display(), plain(&error)));
                None
            }
        }
    }

    /// A file that the gate listens or asks with, and can read.
    pub(super) fn gates(&self, cursor: &Cursor<'_>) -> Option<PathBuf> {
        if self.is_gate { self.file(cursor) } else { self.path(cursor) }
    }

    /// Such a file with a secret in it; said when everybody on this machine may read it (O11).
    pub(super) fn secret(&self, cursor: &Cursor<'_>, weaknesses: &mut Vec<Weakness>) -> Option<PathBuf> {
        let path = self.gates(cursor)?;
        if fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0) {
            let sentence = format!("{} holds a secret and every user of this machine can read it: chmod o-r", path.display());
            weaknesses.push(Weakness { kind: "readable_secret", sentence });
        }
        Some(path)
    }

    /// A directory that the gate serves, and that is there.
    pub(super) fn directory(&self, cursor: &Cursor<'_>) -> Option<PathBuf> {
        let path = self.path(cursor)?;
        if !self.is_gate {
            return Some(path);
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Some(path),
            Ok(_) => {
                cursor.wrong(format!("{} is not a directory", path.display()));
                None
            }
            Err(error) => {
                cursor.wrong(format!("{}: {}", path.display(), plain(&error)));
                None
            }
        }
    }

    /// The files a pattern such as `policies/*.yaml` names, sorted. `*` stands within one segment and matches no name
    /// that begins with a dot: editors and Kubernetes' `..data` keep theirs there. Of a pattern that also names what cannot be
    /// read, the others are given all the same: each of them may deny something.
    pub(crate) fn matching(&self, cursor: &Cursor<'_>) -> Option<Vec<PathBuf>> {
        let text = cursor.text("a path such as policies/*.yaml")?;
        if !text.contains('*') {
            return self.file(cursor).map(|file| vec![file]);
        }
        let pattern = self.path(cursor)?;
        let (mut found, mut good) = (vec![PathBuf::new()], true);
        for segment in pattern.iter() {
            let Some(name) = segment.to_str() else {
                cursor.wrong("is not UTF-8");
                return None;
            };
            if !name.contains('*') {
                found.iter_mut().for_each(|path| path.push(name));
                continue;
            }
            if name == "**" {
                cursor.wrong("`**` is not supported here; name each directory");
                return None;
            }
            let glob = Glob::new(name).map_err(|error| cursor.wrong(error.to_string())).ok()?;
            let mut next = Vec::new();
            for directory in &found {
                match self.list(directory, &glob) {
                    Ok(entries) => next.extend(entries),
                    Err(error) if found.len() > 1 && error.kind() == io::ErrorKind::NotADirectory => {}
                    Err(error) => {
                        cursor.wrong(format!("{} cannot be listed: {}", directory.display(), plain(&error)));
                        good = false;
                    }
                }
            }
            found = next;
        }
        found.retain(|path| match fs::metadata(path) {
            Ok(metadata) => metadata.is_file(),
            // The segments behind the last wildcard need not be in every directory.
            Err(error) if absent(&error) && fs::symlink_metadata(path).is_err() => false,
            // A link to nothing, or what cannot be looked at: left out in silence, a policy that must hold would not.
            Err(error) => {
                cursor.wrong(format!("{} cannot be opened: {}", path.display(), plain(&error)));
                self.remember(path);
                good = false;
                false
            }
        });
        found.sort();
        if found.is_empty() && good {
            cursor.wrong(format!("matches no file: {}", pattern.display()));
        }
        if found.len() > MAX_MATCHES {
            cursor.wrong(format!("matches more than {MAX_MATCHES} files"));
            return None;
        }
        found.iter().for_each(|path| self.remember(path));
        Some(found)
    }

    fn list(&self, directory: &Path, glob: &Glob) -> io::Result<Vec<PathBuf>> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        self.directories.borrow_mut().push(directory.to_owned());
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| !name.starts_with('.') && glob.matches(name)) {
                found.push(directory.join(name));
            }
        }
        Ok(found)
    }
}

/// That nothing has this name.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound)
}

/// `no such file or directory`, without the number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
