//! Where a bundle is logged: of what it says about that, what something signed.

use sigstore_trust_root::TrustedRoot;
use sigstore_types::{Bundle, KindVersion, Sha256Hash, TransparencyLogEntry};
use sigstore_verify::crypto::Keyring;

use super::{LogEntry, LogEvidence, TrustRootError, VerifyError, clean};

/// The logs of a trust root, to tell which one signed a checkpoint.
pub(super) struct Logs {
    ids: Vec<Sha256Hash>,
    keys: Keyring,
}

impl Logs {
    pub(super) fn of(root: &TrustedRoot) -> Result<Self, TrustRootError> {
        let invalid =
            |error: &dyn std::fmt::Display| TrustRootError::Invalid { field: "tlogs".into(), reason: clean(&error.to_string()) };
        let id = |log: &sigstore_trust_root::trusted_root::TransparencyLog| {
            Sha256Hash::try_from(log.log_id.key_id.as_bytes()).map_err(|error| invalid(&error))
        };
        let ids = root.tlogs.iter().map(id).collect::<Result<_, _>>()?;
        Ok(Self { ids, keys: root.rekor_keys().map_err(|error| invalid(&error))? })
    }

    /// Where `bundle`, which has been verified, is logged.
    ///
    /// A signed entry timestamp covers the log's id and the index. An inclusion proof covers neither as such: the log is the
    /// one that signed the checkpoint, whatever the bundle calls it, and the index is the leaf's with Rekor v2 alone: with v1
    /// the proof has another, counted within a shard. A deny-list names log entries, and whoever copies evidence may
    /// write what they like where nothing is signed.
    ///
    /// # Errors
    /// [`VerifyError::Log`] if no log signed it, which verification has ruled out before.
    pub(super) fn entries(&self, bundle: &Bundle) -> Result<Vec<LogEntry>, VerifyError> {
        bundle.verification_material.tlog_entries.iter().map(|entry| self.entry(entry)).collect()
    }

    fn entry(&self, entry: &TransparencyLogEntry) -> Result<LogEntry, VerifyError> {
        let index = u64::try_from(entry.log_index.as_i64()).ok();
        if entry.inclusion_promise.is_some() {
            return Ok(LogEntry { log: hex::encode(entry.log_id.key_id.as_bytes()), index });
        }
        let log = self.signer(entry).ok_or_else(|| VerifyError::Log("no log signed the checkpoint".into()))?;
        let index = index.filter(|_| entry.kind_version == KindVersion::HashedRekordV002);
        Ok(LogEntry { log: log.to_hex(), index })
    }

    /// The log whose key signed the entry's checkpoint.
    fn signer(&self, entry: &TransparencyLogEntry) -> Option<&Sha256Hash> {
        let checkpoint = entry.inclusion_proof.as_ref()?.checkpoint.checkpoint()?;
        // Four bytes of a key's id stand beside each signature; anyone may add a line that is none.
        let hinted = |id: &&Sha256Hash| {
            checkpoint.signatures().iter().any(|signature| id.as_bytes().starts_with(signature.key_id.as_bytes()))
        };
        let mut candidates = self.ids.iter().filter(hinted);
        match (candidates.next(), candidates.next()) {
            // It was one of those with such a hint, and there is no other.
            (only, None) => only,
            (Some(_), Some(_)) => self.ids.iter().filter(hinted).find(|id| {
                let signed = checkpoint.signed_data();
                checkpoint.signatures().iter().any(|line| self.keys.verify_with_key_id(id, signed, &line.signature).is_ok())
            }),
            (None, Some(_)) => None,
        }
    }
}

/// [`LogEvidence::Proof`] if every entry has an inclusion proof: a bundle is as good as the entry that vouches least.
pub(super) fn weakest(bundle: &Bundle) -> LogEvidence {
    let entries = &bundle.verification_material.tlog_entries;
    if entries.is_empty() {
        LogEvidence::Absent
    } else if entries.iter().all(|entry| entry.inclusion_proof.is_some()) {
        LogEvidence::Proof
    } else {
        LogEvidence::Promise
    }
}
