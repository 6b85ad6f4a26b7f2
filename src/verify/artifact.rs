//! A bundle about a file: the same reading and the same steps as for an image, and the one place that takes a managed key.
//!
//! `verify-bundle` asks it. No policy can: whoever holds a key is nobody in particular, and keys are not revoked.

use std::{
    fmt, fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::Timestamp;
use sigstore_trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_types::DerPublicKey;
use sigstore_verify::PublicKeyVerificationPolicy;

use super::{
    DEFAULT_TRUST_ROOT, LogEvidence, Relaxed, Sigstore, TrustRootError, Verified, VerifyError,
    bundle::{By, MAX_ATTESTATION, Message, Prepared},
    clean, sigstore,
    trust_root::document,
};
use crate::{
    evidence::Document,
    oci::{Algorithm, Digest, Hasher},
};

/// A file that must be in memory whole, because its signer's key signs no SHA-256 digest.
const MAX_WHOLE: u64 = 256 << 20;
/// A public key, as PEM.
const MAX_KEY: u64 = 64 << 10;

/// What a bundle is about.
#[derive(Debug, Clone)]
pub struct Artifact {
    digest: Digest,
    file: Option<PathBuf>,
}

impl Artifact {
    /// The file at `path`, which is hashed as it is read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut piece = vec![0; 1 << 16];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(Self { digest: hasher.finish(), file: Some(path.to_owned()) }),
                Ok(read) => hasher.update(piece.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The file with this SHA-256 digest, wherever it is.
    #[must_use]
    pub const fn of(digest: Digest) -> Self {
        Self { digest, file: None }
    }

    /// Its SHA-256 digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// All of it, where there is a file.
    fn whole(&self) -> Option<Result<Bytes, VerifyError>> {
        let path = self.file.as_ref()?;
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            fs::File::open(path)?.take(MAX_WHOLE + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        Some(match read() {
            Err(error) => Err(VerifyError::Malformed(format!("{} cannot be read again: {error}", path.display()))),
            Ok(bytes) if bytes.len() as u64 > MAX_WHOLE => Err(VerifyError::TooLarge(format!(
                "a file of more than {MAX_WHOLE} bytes under a key that signs no SHA-256 digest"
            ))),
            // Read twice, it must be what it was.
            Ok(bytes) if !self.digest.matches(&bytes) => {
                Err(VerifyError::Malformed(format!("{} changed while it was read", path.display())))
            }
            Ok(bytes) => Ok(bytes.into()),
        })
    }
}

/// A public key that whoever asks has from elsewhere.
pub struct ManagedKey(PublicKeyVerificationPolicy);

impl fmt::Debug for ManagedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManagedKey").field(&Digest::sha256(self.0.public_key().as_bytes())).finish()
    }
}

impl ManagedKey {
    /// The key in `pem`, one `PUBLIC KEY` block.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(pem: &str) -> Result<Self, VerifyError> {
        let malformed = |why: &str| VerifyError::Malformed(format!("public key: {}", clean(why)));
        if pem.len() as u64 > MAX_KEY {
            return Err(VerifyError::TooLarge(format!("public key of {} bytes, at most {MAX_KEY}", pem.len())));
        }
        if pem.matches("-----BEGIN").count() != 1 {
            return Err(malformed("want exactly one PEM block"));
        }
        let key = DerPublicKey::from_pem(pem).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self(PublicKeyVerificationPolicy::new(key)))
    }
}

/// What a managed key signed.
#[derive(Debug, Clone)]
pub struct SignedByKey {
    /// The times authenticated by a log or a timestamp authority. A key is valid at any time, so there may be none.
    pub times: Vec<Timestamp>,
    /// How the log vouches for it.
    pub log: LogEvidence,
}

/// An instance whose trust root this binary carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// Sigstore's public-good instance.
    Public,
    /// Its staging instance.
    Staging,
}

impl Sigstore {
    /// A verifier under the trust root that this binary was built with.
    ///
    /// # Errors
    /// [`TrustRootError`] if that cannot be used.
    pub fn built_in(instance: Instance) -> Result<Self, TrustRootError> {
        let instance = match instance {
            Instance::Public => SigstoreInstance::PublicGood,
            Instance::Staging => SigstoreInstance::Staging,
        };
        let root = TrustedRoot::from_embedded(instance).map_err(|error| TrustRootError::Malformed(clean(&error.to_string())))?;
        let strict = Relaxed::default();
        Self::new(DEFAULT_TRUST_ROOT.into(), strict, document::from_root(root, strict)?)
    }

    /// What `bundle`, JSON, proves about `artifact`: the steps of [`prove`](Self::prove).
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn prove_artifact(&self, bundle: &[u8], artifact: &Artifact) -> Result<Verified, VerifyError> {
        let now = self.now();
        let prepared = sigstore::prepare_bundle(By::Certificate, &held(bundle), artifact.digest(), now)?;
        attempt(prepared, artifact, |prepared| self.prove_prepared(prepared, artifact.digest(), now))
    }

    /// What `bundle`, JSON, proves to be signed with `key` about `artifact`: the same steps, but for those about a
    /// certificate, which there is none of.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn prove_artifact_by(&self, key: &ManagedKey, bundle: &[u8], artifact: &Artifact) -> Result<SignedByKey, VerifyError> {
        let now = self.now();
        let prepared = sigstore::prepare_bundle(By::Key, &held(bundle), artifact.digest(), now)?;
        attempt(prepared, artifact, |prepared| {
            let (times, log) = self.prove_signed(prepared, artifact.digest(), &key.0, now)?;
            Ok(SignedByKey { times, log })
        })
    }
}

fn held(bundle: &[u8]) -> Document {
    Bytes::copy_from_slice(bundle).into()
}

/// Proves by the digest, or by the whole file where its signer's key signs no such digest.
fn attempt<T>(
    prepared: Prepared,
    artifact: &Artifact,
    prove: impl Fn(&Prepared) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    match prove(&prepared) {
        Err(VerifyError::Unsupported(why)) if matches!(prepared.message, Message::Subject) => match artifact.whole() {
            Some(whole) => prove(&Prepared { message: Message::Payload(whole?), ..prepared }),
            None => Err(VerifyError::Unsupported(why)),
        },
        other => other,
    }
}

/// Reads a bundle's file, no more of it than a bundle may have.
///
/// # Errors
/// It cannot be read.
pub fn read_bundle(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, MAX_ATTESTATION)
}

/// Reads a key's file, no more of it than a key may have.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read_key(path: &Path) -> io::Result<String> {
    String::from_utf8(read_at_most(path, MAX_KEY)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads a `trusted_root.json`, no more of it than one may have.
///
/// # Errors
/// It cannot be read.
pub fn read_root(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, document::MAX_TRUSTED_ROOT as u64)
}

/// One byte more than `most` tells too large from just fitting, to whom it is given.
fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
