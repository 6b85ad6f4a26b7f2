//! Opening a layout's files: regular files only, named by nothing but a [`Digest`], read up to a bound.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::fs::OFlags;

use crate::oci::Digest;

/// Why a file of a layout was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// There is none.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// A symbolic link, a directory, a pipe, a device.
    #[error("{} is not a regular file (links are not followed)", .0.display())]
    NotRegular(PathBuf),
    /// Above the bound.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The disk or its permissions.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What tells one version of `index.json` from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// The stamp of what `metadata` describes.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Where the layout in `root` keeps the content with this digest. A [`Digest`] holds hex only, so no path can be led out of
/// the layout (CVE-2024-3727).
pub(super) fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm().as_str()).join(digest.to_hex())
}

/// Opens a regular file. A link as the last component is refused, and a pipe cannot make us wait (`O_NONBLOCK`).
pub(super) fn open(path: &Path) -> Result<(File, Metadata), FileError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => FileError::NotRegular(path.to_owned()),
        _ => FileError::Unreadable { path: path.to_owned(), source },
    };
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(FileError::NotRegular(path.to_owned())) }
}

/// Reads a regular file whole, at most `limit` bytes.
pub(super) fn read(path: &Path, limit: usize) -> Result<(Bytes, Stamp), FileError> {
    let (file, metadata) = open(path)?;
    let limit = limit as u64;
    let too_large = || FileError::TooLarge { path: path.to_owned(), limit };
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may grow while it is read.
    (&file).take(limit + 1).read_to_end(&mut bytes).map_err(|source| FileError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok((bytes.into(), Stamp::of(&metadata))) }
}

/// The first bytes of a regular file, at most so many.
pub(super) fn begin(path: &Path, many: usize) -> Result<Vec<u8>, FileError> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::with_capacity(many);
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    file.take(many as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
