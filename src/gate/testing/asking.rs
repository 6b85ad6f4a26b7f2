//! What a test asks of the gate.

use std::sync::Arc;

use super::{Fake, REPO, World, name};
use crate::{
    gate::{BlobVerdict, NoVerdict, Permit, Refusal, Subject, Undecided, Verdict},
    oci::Digest,
    upstream::Upstream,
};

/// A permit that a test may drop: that it was given is the proof.
pub(in crate::gate) struct Given(Permit);

impl std::ops::Deref for Given {
    type Target = Permit;

    fn deref(&self) -> &Permit {
        &self.0
    }
}

impl World {
    pub(in crate::gate) fn upstream(&self) -> Arc<dyn Upstream> {
        Arc::<Fake>::clone(&self.fake)
    }

    pub(in crate::gate) fn subject(&self, repository: &str, digest: Digest) -> Subject {
        Subject { upstream: self.upstream(), image: name(repository), digest }
    }

    pub(in crate::gate) async fn admit(&self, digest: Digest) -> Result<Verdict, NoVerdict> {
        self.gate.admit(&self.subject(REPO, digest)).await
    }

    pub(in crate::gate) async fn permit(&self, digest: Digest) -> Given {
        match self.admit(digest).await {
            Ok(Verdict::Admit(permit)) => Given(permit),
            other => panic!("wanted a permit, got {other:?}"),
        }
    }

    pub(in crate::gate) async fn refusal(&self, digest: Digest) -> Arc<Refusal> {
        match self.admit(digest).await {
            Ok(Verdict::Refuse(refusal)) => refusal,
            other => panic!("wanted a refusal, got {other:?}"),
        }
    }

    pub(in crate::gate) async fn undecided(&self, digest: Digest) -> Undecided {
        match self.admit(digest).await {
            Err(NoVerdict::Undecided(undecided)) => undecided,
            other => panic!("wanted no verdict, got {other:?}"),
        }
    }

    pub(in crate::gate) async fn ask_blob(&self, repository: &str, blob: Digest) -> Result<BlobVerdict, NoVerdict> {
        self.gate.admit_blob(&self.upstream(), &name(repository), &blob).await
    }

    pub(in crate::gate) async fn listed(&self, blob: Digest) -> bool {
        matches!(self.ask_blob(REPO, blob).await, Ok(BlobVerdict::Listed { .. }))
    }
}
