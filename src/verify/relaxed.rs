//! What a configuration gives up about one trust root: the only file that asks the crate for less than all of its checks.
//!
//! There are Sigstore instances without a transparency log and without Certificate Transparency; GitHub's, for private
//! repositories, is one. Under such a root nothing can be admitted unless its configuration says so, key by key, and
//! what is given up is given up under that root alone. What still holds there: the certificate's chain at every verified
//! time, the signature, the statement, one name; and the time is a timestamp authority's, at least one of them.

use sigstore_verify::VerificationPolicy;

/// What is given up about one trust root; by default nothing. Refused at load where there is nothing to give up: a root
/// that has logs is not relaxed by mistake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Relaxed {
    /// `dangerous_no_log`: the root has no log. That a signature was made is then known to whoever made it alone: a key
    /// stolen, or a certificate issued to the wrong person, leaves no public trace.
    pub no_log: bool,
    /// `dangerous_no_sct`: the root has no Certificate Transparency log, so a certificate may have been issued in secret.
    pub no_sct: bool,
}

impl Relaxed {
    /// Whoever signed: identities are the policy's to judge. Log, chain and SCT are checked, but for what is given up.
    #[expect(clippy::disallowed_methods, reason = "the root was checked to have none, and its configuration to say so")]
    pub(super) fn policy(self) -> VerificationPolicy {
        let mut policy = VerificationPolicy::any_identity();
        if self.no_log {
            policy = policy.skip_tlog_unsafe();
        }
        if self.no_sct {
            policy = policy.skip_sct();
        }
        policy
    }
}
