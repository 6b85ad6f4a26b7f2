//! `pullgate verify-bundle`: one Sigstore bundle, one file, in the words of sigstore-conformance's client protocol.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use super::{
    Exit,
    streams::{answer, tell},
    text::line,
};
use crate::{
    oci::{Algorithm, Digest},
    verify::{
        LogEvidence, Proven, Sigstore, TrustRootError, VerifyError,
        artifact::{Artifact, Instance, ManagedKey, read_bundle, read_key, read_root},
    },
};

/// Verify a Sigstore bundle about a file or a digest.
///
/// The same verification as of an image's evidence: chain, SCT, log, times, signature. Without `--trusted-root` it is
/// done under the trust root this binary was built with, without asking anybody. Keys are taken here only: a policy cannot
/// name one.
///
/// Exit codes: 0 it verifies; 1 it does not; 2 the clock here may be slow, or a file could not be read again; 64 a command line,
/// a file or a trust root that cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The bundle.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Who must have signed: the certificate's subject alternative name, exactly.
    #[arg(long, value_name = "IDENTITY", required_unless_present = "key", requires = "certificate_oidc_issuer")]
    certificate_identity: Option<String>,
    /// Who must vouch for that name: the certificate's OIDC issuer, exactly.
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    /// The public key that must have signed instead, PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate_identity", "certificate_oidc_issuer"])]
    key: Option<PathBuf>,
    /// The trusted_root.json to verify under.
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// Verify under Sigstore's staging instance, where no `--trusted-root` is given.
    #[arg(long)]
    staging: bool,
    /// The file the bundle is about, or its digest, `sha256:` and 64 hex digits.
    #[arg(value_name = "FILE_OR_DIGEST")]
    artifact: String,
}

/// Why there is no answer, or none that is yes.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// Another signer than wanted.
    #[error("signed by {subject} of issuer {issuer}, wanted {wanted} of issuer {wanted_issuer}")]
    OtherSigner { subject: String, issuer: String, wanted: String, wanted_issuer: String },
    /// A file that cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    /// The trust root cannot be used.
    #[error(transparent)]
    TrustRoot(#[from] TrustRootError),
    /// The key cannot be used.
    #[error("{}: {why}", path.display())]
    Key { path: PathBuf, why: VerifyError },
    /// It does not verify.
    #[error(transparent)]
    Unproven(#[from] VerifyError),
}

impl Failed {
    const fn exit(&self) -> Exit {
        match self {
            Self::OtherSigner { .. } => Exit::Refused,
            Self::Unproven(VerifyError::Clock { .. } | VerifyError::Unreadable(_)) => Exit::Undecided,
            Self::Unproven(_) => Exit::Refused,
            Self::Key { .. } | Self::TrustRoot(_) | Self::Unreadable { .. } => Exit::Usage,
        }
    }
}

impl Arguments {
    /// Verifies and says what was proven.
    pub(super) fn run(self) -> Exit {
        match self.verify() {
            Ok(proven) => match answer(&(line(&proven) + "\n")) {
                Ok(()) => Exit::Done,
                Err(error) => error.tell(),
            },
            Err(failed) => {
                tell(&line(&failed.to_string()));
                failed.exit()
            }
        }
    }

    fn verify(self) -> Result<String, Failed> {
        let root = match (&self.trusted_root, self.staging) {
            (Some(path), _) => {
                let json = read(path, read_root)?;
                Sigstore::from_trusted_root(&json)?
            }
            (None, true) => Sigstore::built_in(Instance::Staging)?,
            (None, false) => Sigstore::built_in(Instance::Public)?,
        };
        let artifact = match digest(&self.artifact) {
            Some(digest) => Artifact::of(digest),
            None => read(Path::new(&self.artifact), Artifact::open)?,
        };
        let bundle = read(&self.bundle, read_bundle)?;
        let digest = *artifact.digest();
        if let Some(path) = self.key {
            let pem = read(&path, read_key)?;
            let key = ManagedKey::from_pem(&pem).map_err(|why| Failed::Key { path: path.clone(), why })?;
            let signed = root.prove_artifact_by(&key, &bundle, &artifact)?;
            let when = signed.times.iter().min().map(|time| format!(" at {time}")).unwrap_or_default();
            return Ok(format!("{digest}: signed with the key {}{when} ({})", path.display(), logged(signed.log)));
        }
        let fact = root.prove_artifact(&bundle, &artifact)?;
        let (wanted, wanted_issuer) =
            (self.certificate_identity.unwrap_or_default(), self.certificate_oidc_issuer.unwrap_or_default());
        let (subject, issuer) = (fact.signer.subject, fact.signer.issuer);
        // Byte by byte, and neither is ever empty in a certificate that verified.
        if subject != wanted || issuer != wanted_issuer {
            return Err(Failed::OtherSigner { subject, issuer, wanted, wanted_issuer });
        }
        let what = match fact.content {
            Proven::Attestation(statement) => format!("attested ({})", statement.predicate_type),
            Proven::File | Proven::Signature => "signed".to_owned(),
        };
        let when = fact.times.iter().min().map(|time| format!(" at {time}")).unwrap_or_default();
        Ok(format!("{digest}: {what} by {subject} of issuer {issuer}{when} ({})", logged(fact.log)))
    }
}

const fn logged(log: LogEvidence) -> &'static str {
    match log {
        LogEvidence::Absent => "no log",
        LogEvidence::Promise => "log promise",
        LogEvidence::Proof => "log proof",
    }
}

fn read<T, E: Display>(path: &Path, read: impl FnOnce(&Path) -> Result<T, E>) -> Result<T, Failed> {
    read(path).map_err(|why| Failed::Unreadable { path: path.to_owned(), why: why.to_string() })
}

/// A digest as the protocol has it: by its form, unless there is a file of that name.
fn digest(text: &str) -> Option<Digest> {
    let digest: Digest = text.parse().ok()?;
    (digest.algorithm() == Algorithm::Sha256 && !Path::new(text).exists()).then_some(digest)
}
