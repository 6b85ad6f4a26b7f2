//! Where things lie on the disk, and the one way a file comes to lie there.
//!
//! ```text
//! <root>/lock                      held by the process that owns the directory
//! <root>/staged/<pid>-<n>          being written; swept at start
//! <root>/blobs/<alg>/<ab>/<hex>    published: named by what it hashes to
//! <root>/hints/<kind>/<sha256>     hints, named by their key's hash
//! <root>/facts/                    what cannot be derived again; see `facts`
//! ```
//!
//! Names come from digests and hashes only, so nothing a client or an upstream wrote is ever part of a path.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{HintKind, StoreError, hints};
use crate::oci::{Algorithm, Digest};

/// Directories are ours alone.
const DIRECTORY_MODE: u32 = 0o700;
/// So are files.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The directory, owned by this process while this value lives.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
    staged: AtomicU64,
    #[cfg(test)]
    pub(super) faults: std::sync::Arc<Faults>,
}

/// A disk that fails when a test says so.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Writes that end beyond this many bytes of a file fail; 0 is never.
    pub(super) full_at: AtomicU64,
    /// Syncs fail.
    pub(super) sync: std::sync::atomic::AtomicBool,
}

/// The lock on a store's directory; released when dropped, and by the kernel when the process dies however it dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What tells a file from one that was put in its place or written to: a published file keeps its stamp for life.
/// Not the ctime: unlinking changes that, and a reader goes on reading an evicted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Length in bytes.
    pub(super) len: u64,
    /// Modification time in nanoseconds since 1970.
    pub(super) modified: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.size(),
            modified: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        }
    }
}

/// How hard a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A crash may lose it: hints, which are found again.
    Lost,
    /// It survives a crash: everything that is named by its digest.
    Synced,
}

/// Why a staged file was not published.
#[derive(Debug)]
pub(super) enum PublishError {
    /// It could not be synced: what the kernel would now read back may not be what was written, so nobody may read it.
    Sync(io::Error),
    /// It is whole and synced, but could not get its name.
    Rename(io::Error),
}

impl From<PublishError> for io::Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Rename(error) | PublishError::Sync(error) => error,
        }
    }
}

impl Layout {
    /// Creates what is missing, takes the lock, sweeps what a crash left staged.
    pub(super) fn open(root: &Path) -> Result<(Self, Lock), StoreError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::io(&path, error)
        };
        // The root itself may be a link an operator made; below it everything is ours.
        DirBuilder::new().mode(DIRECTORY_MODE).recursive(true).create(root).map_err(fail(root))?;
        let mode = std::fs::metadata(root).map_err(fail(root))?.permissions().mode();
        if mode & 0o022 != 0 {
            tracing::warn!(path = %root.display(), mode = format_args!("{:o}", mode & 0o7777), "store is writable by others");
        }
        let lock = root.join("lock");
        let file = create(&lock, OFlags::empty()).map_err(fail(&lock))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse { path: root.to_owned() }),
            Err(error) => return Err(StoreError::io(&lock, error.into())),
        }
        for directory in directories(root) {
            create_directory(&directory).map_err(fail(&directory))?;
        }
        let layout = Self {
            root: root.to_owned(),
            staged: AtomicU64::new(0),
            #[cfg(test)]
            faults: Default::default(),
        };
        layout.sweep().map_err(fail(&root.join("staged")))?;
        Ok((layout, Lock { _file: file }))
    }

    /// Removes what a crash left in `staged`: nothing there was ever published.
    fn sweep(&self) -> io::Result<()> {
        let mut swept = 0_usize;
        for entry in std::fs::read_dir(self.root.join("staged"))? {
            let path = entry?.path();
            match std::fs::remove_file(&path) {
                Ok(()) => swept += 1,
                // Not ours to have (a planted directory); it is never read and never in the way.
                Err(error) => tracing::warn!(path = %path.display(), %error, "leftover stays"),
            }
        }
        if swept > 0 {
            tracing::info!(swept, "swept what a crash left half written");
        }
        Ok(())
    }

    /// Where a digest's bytes lie once published. Two letters deep, so that no directory grows out of hand.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_hex();
        let mut path = self.root.join("blobs");
        path.push(digest.algorithm().as_str());
        path.push(&hex[..2]);
        path.push(hex);
        path
    }

    /// Where an algorithm's files lie, in directories of two letters.
    pub(super) fn blobs(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }

    /// Where a hint lies.
    pub(super) fn hint(&self, kind: HintKind, key: &str) -> PathBuf {
        self.hints(kind).join(Digest::sha256(key.as_bytes()).to_hex())
    }

    /// Where hints of a kind lie.
    pub(super) fn hints(&self, kind: HintKind) -> PathBuf {
        self.root.join("hints").join(hints::directory(kind))
    }

    /// A new empty file to write to. Unlinked when dropped, unless published.
    pub(super) fn stage(&self) -> io::Result<Staged> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("staged").join(format!("{}-{number}", std::process::id()));
        let file = create(&path, OFlags::EXCL)?;
        Ok(Staged {
            file,
            path: Some(path),
            #[cfg(test)]
            faults: std::sync::Arc::clone(&self.faults),
        })
    }
}

fn directories(root: &Path) -> impl Iterator<Item = PathBuf> {
    let (blobs, hints) = (root.join("blobs"), root.join("hints"));
    let kinds = HintKind::ALL.map(|kind| hints.join(hints::directory(kind)));
    let algorithms = [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| blobs.join(algorithm.as_str()));
    [root.join("staged"), blobs, hints].into_iter().chain(algorithms).chain(kinds)
}

/// Creates a directory of ours, or finds that it is one. A link in its place would lead our writes elsewhere (C5).
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if std::fs::symlink_metadata(path)?.is_dir() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory"))
    }
}

pub(super) fn create(path: &Path, extra: OFlags) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
    Ok(File::from(rustix::fs::open(path, flags, FILE_MODE)?))
}

/// Opens a file that should be one of ours. Links are not followed, and what is not a regular file is refused, without
/// hanging on a planted FIFO (C5).
pub(super) fn open_regular(path: &Path) -> io::Result<(File, Stamp)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok((file, Stamp::of(&metadata)))
}

/// Reads exactly the bytes at `at`; a file that ends before is an error.
pub(super) fn read_at(file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; len];
    file.read_exact_at(&mut piece, at)?;
    Ok(piece)
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    /// `None` once it is published, or unlinked to vanish with its last reader.
    path: Option<PathBuf>,
    #[cfg(test)]
    faults: std::sync::Arc<Faults>,
}

impl Staged {
    /// A file to write to at `path`, in place of what somebody left there: for who is the only one to stage there.
    pub(super) fn create(path: PathBuf, #[cfg(test)] faults: std::sync::Arc<Faults>) -> io::Result<Self> {
        let file = create(&path, OFlags::TRUNC)?;
        Ok(Self {
            file,
            path: Some(path),
            #[cfg(test)]
            faults,
        })
    }

    /// The file, for reading what is written so far.
    pub(super) fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes at `at`.
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(test)]
        if (1..at + bytes.len() as u64).contains(&self.faults.full_at.load(Ordering::SeqCst)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(bytes, at)
    }

    /// Takes its name away now: it will never be published, and is gone with its last reader.
    pub(super) fn unlink(&mut self) -> io::Result<()> {
        match self.path.take() {
            Some(path) => std::fs::remove_file(path),
            None => Ok(()),
        }
    }

    /// Whether it has no name any more.
    pub(super) const fn is_unlinked(&self) -> bool {
        self.path.is_none()
    }

    /// What it looks like now.
    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        Ok(Stamp::of(&self.file.metadata()?))
    }

    /// Gives it its final name: synced, renamed, and the directory synced. Every durable file of the store but a blob, for
    /// which somebody waits, goes through here, so that no caller can forget a step: without the first sync a power loss
    /// leaves an empty file under the final name (C4), without the last it leaves none.
    pub(super) fn publish(mut self, to: &Path, durability: Durability) -> Result<Stamp, PublishError> {
        let Some(path) = self.path.clone() else {
            return Err(PublishError::Rename(io::Error::other("already unlinked")));
        };
        if durability == Durability::Synced {
            #[cfg(test)]
            if self.faults.sync.load(Ordering::SeqCst) {
                return Err(PublishError::Sync(io::Error::other("as if")));
            }
            rustix::fs::fsync(&self.file).map_err(|error| PublishError::Sync(error.into()))?;
        }
        let stamp = self.stamp().map_err(PublishError::Rename)?;
        if rename(&path, to).map_err(PublishError::Rename)? {
            sync_parent_of(to.parent()).map_err(PublishError::Rename)?;
        }
        self.path = None;
        if durability == Durability::Synced {
            sync_parent_of(Some(to)).map_err(PublishError::Rename)?;
        }
        Ok(stamp)
    }

    /// Gives a blob its final name now, which a process that is killed does not take with it; to outlive the machine it
    /// must be [synced](Named::sync). A power loss before that may leave other bytes under the name: the first read after a
    /// start hashes them.
    pub(super) fn name(mut self, to: &Path) -> io::Result<Named> {
        let path = self.path.clone().ok_or_else(|| io::Error::other("already unlinked"))?;
        let stamp = self.stamp()?;
        rename(&path, to)?;
        self.path = None;
        Ok(Named {
            file: self.file.try_clone()?,
            to: to.to_owned(),
            stamp,
            #[cfg(test)]
            faults: std::sync::Arc::clone(&self.faults),
        })
    }
}

/// A file under its final name that is not synced yet.
#[derive(Debug)]
pub(super) struct Named {
    file: File,
    to: PathBuf,
    pub(super) stamp: Stamp,
    #[cfg(test)]
    faults: std::sync::Arc<Faults>,
}

impl Named {
    /// Waits until the disk has its bytes and its name. After an error, what the kernel reads back may not be what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("as if"));
        }
        rustix::fs::fsync(&self.file)?;
        sync_parent_of(Some(&self.to))?;
        // Its directory may be new.
        sync_parent_of(self.to.parent())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A failure leaves a leftover for the sweep at the next start.
        let _ = self.unlink();
    }
}

/// Renames, and creates the directory to rename into if need be; tells whether it did.
fn rename(from: &Path, to: &Path) -> io::Result<bool> {
    match (std::fs::rename(from, to), to.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            create_directory(parent)?;
            std::fs::rename(from, to)?;
            Ok(true)
        }
        (renamed, _) => renamed.map(|()| false),
    }
}

fn sync_parent_of(path: Option<&Path>) -> io::Result<()> {
    let Some(parent) = path.and_then(Path::parent) else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::fsync(rustix::fs::open(parent, flags, Mode::empty())?)?)
}
