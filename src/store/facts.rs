//! Facts: the little that cannot be derived again. When a digest was first seen here, and what a tag last meant.
//!
//! A lost hint costs a look; a lost fact changes answers. So facts are synced before anything is answered by them, are
//! not evicted with content, and lie in a directory of their own:
//!
//! ```text
//! <root>/facts/lock                       held while one fact is written
//! <root>/facts/staged                     being written
//! <root>/facts/<kind>/<ab>/<sha256>       published, named by its key's hash
//! ```
//!
//! A fact's file is a line with the SHA-256 of its kind, key and value, a line with the key, then the value; so it can be
//! listed, moved to another store, and told from a damaged one. Writers take turns by the lock, in this process or in
//! another, so a command can write one beside a running gate.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{
    Store, StoreError,
    fs::{self, Durability, Staged},
    hints::{blocking, checksum, lost},
};
use crate::oci::Digest;

/// Bytes of a fact's value, and of its key. A tag's history has some hundred bytes.
const MAX_VALUE: usize = 64 << 10;
const MAX_KEY: usize = 4 << 10;
/// Hex and a line feed.
const CHECKSUM: usize = 65;

/// No clock that is right says less: an earlier time was kept by a machine whose clock was not set yet. The same as the verifier's.
pub(crate) const CLOCK_FLOOR: Timestamp = Timestamp::constant(1_767_225_600, 0); // 2026-01-01T00:00:00Z

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactKind {
    /// `host/repository@digest` → when it was first seen here.
    FirstSeen,
    /// `host/repository:tag` → the digest last accepted for it, how old that is and who signed it.
    Tag,
    /// `host/repository:tag` → the change of that tag which an operator accepts.
    TagAccepted,
}

impl FactKind {
    pub(super) const ALL: [Self; 3] = [Self::FirstSeen, Self::Tag, Self::TagAccepted];

    const fn directory(self) -> &'static str {
        match self {
            Self::FirstSeen => "first-seen",
            Self::Tag => "tag",
            Self::TagAccepted => "tag-accepted",
        }
    }
}

/// When something was first seen, by a fact's value.
pub(super) fn sighting(value: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(value).ok()?.parse().ok().filter(|seen| *seen >= CLOCK_FLOOR)
}

/// Facts, kept. The seam with two implementations (files, memory), and [`NoFacts`].
#[async_trait::async_trait]
pub trait Facts: Send + Sync + std::fmt::Debug {
    /// When `key` was first seen: the earlier of `now` and what is kept. The answer is kept, synced, before it is given.
    ///
    /// So whoever brings the earlier time is right, another replica or an import; and a kept time in the future, one from
    /// before there was this program, or one that is damaged, counts as now. Who only reads keeps nothing: what was not seen is
    /// seen at [`Timestamp::MAX`] there, and whoever asks later is not told of another time each time; of what is damaged nothing
    /// is told, for it counts from when the gate is asked next.
    ///
    /// # Errors
    /// When it can be neither read nor kept: then it is not known, and will not be known better by asking as if it were.
    async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError>;

    /// A fact, or `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when there is one that is not whole, [`StoreError::Io`] when it cannot be read. Neither is
    /// "there is none".
    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// Keeps a fact in place of the earlier one. Atomic, and synced when it returns.
    ///
    /// # Errors
    /// When the disk refuses.
    async fn set_fact(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// No facts at all: everything was seen long ago, and no tag has a history. For who judges once and keeps nothing, so that
/// only what was signed when counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

#[async_trait::async_trait]
impl Facts for NoFacts {
    async fn first_seen(&self, _: &str, _: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::MIN)
    }

    async fn fact(&self, _: FactKind, _: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    async fn set_fact(&self, _: FactKind, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The facts of a store's directory, without the rest of it: for commands beside a running gate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FactFiles {
    root: Arc<Path>,
    /// Nothing is written: what was not seen yet is seen at the end of time, and facts cannot be set.
    read_only: bool,
    /// Whose what is written must be, where that is somebody else than who writes: the user and the group.
    owner: Option<(u32, u32)>,
    #[cfg(test)]
    pub(super) faults: Arc<fs::Faults>,
}

impl FactFiles {
    /// Those of the store at `store`, which must exist.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(store: &Path) -> Result<Self, StoreError> {
        Self::of(store, false).prepared()
    }

    /// The same for a command beside a gate that may run as another user: what root writes is given to that one, for what it
    /// cannot read or write it cannot answer by.
    ///
    /// # Errors
    /// [`StoreError::NoStore`]: what is said there no gate would ever read. [`StoreError::Io`]; where neither root nor the gate's
    /// user asks, it says which user that is.
    pub fn beside(store: &Path) -> Result<Self, StoreError> {
        // What the gate made tells whose it is; the directory may be an administrator's.
        let owned = lock_of(store)?;
        let me = rustix::process::geteuid().as_raw();
        let owner = owner(me, (owned.uid(), owned.gid())).map_err(|error| StoreError::io(store, error))?;
        Self { owner, ..Self::of(store, false) }.prepared()
    }

    fn prepared(self) -> Result<Self, StoreError> {
        for directory in std::iter::once(self.root.to_path_buf()).chain(FactKind::ALL.map(|kind| self.directory(kind))) {
            self.create_directory(&directory).map_err(|error| StoreError::io(&directory, error))?;
        }
        Ok(self)
    }

    /// Creates a directory, whose it must be, or finds that it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let is_new = std::fs::symlink_metadata(path).is_err();
        fs::create_directory(path)?;
        if is_new && self.owner.is_some() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.give(&File::from(rustix::fs::open(path, flags, Mode::empty())?))?;
        }
        Ok(())
    }

    /// Gives what was created to whom it must belong.
    fn give(&self, file: &File) -> io::Result<()> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        std::os::unix::fs::fchown(file, Some(user), Some(group))
    }

    /// The same, to read and never to write.
    ///
    /// # Errors
    /// [`StoreError::NoStore`]: in any other directory there is no fact, and every tag would be one without a history.
    /// [`StoreError::Io`].
    pub fn read_only(store: &Path) -> Result<Self, StoreError> {
        lock_of(store).map(|_| Self::of(store, true))
    }

    fn of(store: &Path, read_only: bool) -> Self {
        Self {
            root: store.join("facts").into(),
            read_only,
            owner: None,
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    fn directory(&self, kind: FactKind) -> PathBuf {
        self.root.join(kind.directory())
    }

    /// Where a fact lies. Two letters deep, so that no directory grows out of hand.
    pub(super) fn path(&self, kind: FactKind, key: &str) -> PathBuf {
        let hex = Digest::sha256(key.as_bytes()).to_hex();
        self.directory(kind).join(&hex[..2]).join(hex)
    }

    fn read(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(kind, key);
        let (file, stamp) = match fs::open_regular(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(&path, error)),
        };
        let damaged = || StoreError::Damaged { path: path.clone() };
        let before = CHECKSUM + key.len() + 1;
        let len =
            usize::try_from(stamp.len).ok().filter(|len| (before..=before + MAX_VALUE).contains(len)).ok_or_else(damaged)?;
        let bytes = Bytes::from(fs::read_at(&file, 0, len).map_err(|error| StoreError::io(&path, error))?);
        let value = bytes.slice(before..);
        let whole = bytes[..CHECKSUM] == *checksum(kind.directory(), key, &value).as_bytes()
            && bytes[CHECKSUM..before - 1] == *key.as_bytes()
            && bytes[before - 1] == b'\n';
        if whole { Ok(Some(value)) } else { Err(damaged()) }
    }

    /// Writes one; the caller holds the lock.
    fn write(&self, kind: FactKind, key: &str, value: &[u8]) -> io::Result<()> {
        if self.read_only {
            return Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "opened to be read only"));
        }
        if value.len() > MAX_VALUE || key.len() > MAX_KEY || key.contains('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a fact of this key or size is none"));
        }
        let staged = Staged::create(
            self.root.join("staged"),
            #[cfg(test)]
            Arc::clone(&self.faults),
        )?;
        let mut text = checksum(kind.directory(), key, value).into_bytes();
        text.extend_from_slice(key.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(value);
        staged.write_at(&text, 0)?;
        let path = self.path(kind, key);
        if self.owner.is_some() {
            self.give(&staged.reader()?)?;
            if let Some(directory) = path.parent() {
                self.create_directory(directory)?;
                // Publishing syncs the name of a directory only where it makes it.
                File::open(self.directory(kind))?.sync_all()?;
            }
        }
        staged.publish(&path, Durability::Synced)?;
        Ok(())
    }

    /// Held while a fact is read to be written, or written: by one thread of one process.
    fn lock(&self) -> io::Result<File> {
        let path = self.root.join("lock");
        let file = match fs::create(&path, OFlags::EXCL) {
            Ok(file) => {
                self.give(&file)?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::create(&path, OFlags::empty())?,
            Err(error) => return Err(error),
        };
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn see(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let kept = |held: Result<Option<Bytes>, StoreError>| match held {
            Ok(value) => Ok(value.as_deref().and_then(sighting)),
            Err(StoreError::Damaged { path }) if !self.read_only => {
                tracing::warn!(path = %path.display(), key, "when this was first seen is damaged; it counts as seen now");
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let read = || kept(self.read(FactKind::FirstSeen, key));
        // Nearly always it is known, and nothing is to be written.
        match read()? {
            Some(seen) if seen <= now => return Ok(seen),
            Some(_) if self.read_only => return Ok(now),
            None if self.read_only => return Ok(Timestamp::MAX),
            Some(_) | None => {}
        }
        let path = self.path(FactKind::FirstSeen, key);
        let fail = |error| StoreError::io(&path, error);
        let _held = self.lock().map_err(fail)?;
        if let Some(seen) = read()?.filter(|seen| *seen <= now) {
            return Ok(seen);
        }
        self.write(FactKind::FirstSeen, key, now.to_string().as_bytes()).map_err(fail)?;
        Ok(now)
    }

    fn set(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let path = self.path(kind, key);
        let write = || {
            let _held = if self.read_only { None } else { Some(self.lock()?) };
            self.write(kind, key, value)
        };
        write().map_err(|error| StoreError::io(&path, error))
    }
}

/// The lock that a gate made in its store, which also has the directory of facts: both are there from the first time on.
fn lock_of(store: &Path) -> Result<Metadata, StoreError> {
    let part = |name: &'static str, is_it: fn(&Metadata) -> bool, lacks| {
        let path = store.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if is_it(&metadata) => Ok(metadata),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(StoreError::io(&path, error))
            }
            Ok(_) | Err(_) => Err(StoreError::NoStore { path: store.to_owned(), lacks }),
        }
    };
    part("facts", Metadata::is_dir, "directory `facts`")?;
    part("lock", Metadata::is_file, "file `lock`")
}

/// To whom user `me` must give what it writes into what belongs to `owner`: to nobody, where that is itself.
fn owner(me: u32, owner: (u32, u32)) -> io::Result<Option<(u32, u32)>> {
    match (me, owner.0) {
        (me, user) if me == user => Ok(None),
        (0, _) => Ok(Some(owner)),
        (me, user) => {
            let why = format!("it belongs to user {user}, and this is user {me}: do it as that user or as root");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
    }
}

#[async_trait::async_trait]
impl Facts for FactFiles {
    async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let (files, key) = (self.clone(), key.to_owned());
        blocking(move || files.see(&key, now)).await.ok_or_else(lost)?
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError> {
        let (files, key) = (self.clone(), key.to_owned());
        blocking(move || files.read(kind, &key)).await.ok_or_else(lost)?
    }

    async fn set_fact(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (files, key, value) = (self.clone(), key.to_owned(), value.to_vec());
        blocking(move || files.set(kind, &key, &value)).await.ok_or_else(lost)?
    }
}

/// The same, making room on a full disk: content can be fetched again, a fact cannot.
#[async_trait::async_trait]
impl Facts for Store {
    async fn first_seen(&self, key: &str, now: Timestamp) -> Result<Timestamp, StoreError> {
        let (shelf, files, key) = (Arc::clone(&self.shelf), self.facts.clone(), key.to_owned());
        blocking(move || shelf.with_room_for("fact", || files.see(&key, now))).await.ok_or_else(lost)?
    }

    async fn fact(&self, kind: FactKind, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.facts.fact(kind, key).await
    }

    async fn set_fact(&self, kind: FactKind, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (shelf, files) = (Arc::clone(&self.shelf), self.facts.clone());
        let (key, value) = (key.to_owned(), value.to_vec());
        blocking(move || shelf.with_room_for("fact", || files.set(kind, &key, &value))).await.ok_or_else(lost)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_writes_for_somebody_else() {
        assert_eq!(owner(0, (0, 7)).unwrap(), None);
        assert_eq!(owner(1000, (1000, 7)).unwrap(), None);
        assert_eq!(owner(0, (61_234, 7)).unwrap(), Some((61_234, 7)));
        let error = owner(1000, (61_234, 7)).unwrap_err().to_string();
        assert_eq!(error, "it belongs to user 61234, and this is user 1000: do it as that user or as root");
        assert!(owner(1000, (0, 0)).is_err());
    }
}
