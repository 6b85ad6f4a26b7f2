//! Evidence kept: with the bytes under their digests, this hint is enough to derive a verdict again, upstream or none.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Candidate, Evidence, Limits, Reader, search};
use crate::store::{Documents, HintKind};

/// How large a kept hint may be to be read: a hundred candidates are about 15 kB.
const MAX_HINT: usize = 64 * 1024;

/// What was listed about a subject, and when. A hint: following it leads to bytes that are hashed and proved again, so
/// a planted one can at most waste time (C6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When the upstream was asked, by the wall clock.
    pub listed_at: Timestamp,
    /// The manifest's media type as it was served: bytes without `mediaType` alone do not say it.
    pub media_type: String,
    /// What was listed.
    pub candidates: Vec<Candidate>,
}

impl Kept {
    /// What is kept about the subject `key` (`host/repository@digest`), if it can be read.
    pub async fn load(documents: &dyn Documents, key: &str) -> Option<Self> {
        let bytes = documents.hint(HintKind::Evidence, key).await?;
        if bytes.len() > MAX_HINT {
            return None;
        }
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps the evidence: first the documents, then the hint that leads to them. A store that refuses costs the next
    /// start a look at the upstream; the permit does not depend on it.
    pub async fn save(&self, documents: &dyn Documents, key: &str, evidence: &Evidence) {
        for (digest, document) in &evidence.fetched {
            if let Err(error) = documents.keep(digest, document).await {
                tracing::warn!(%digest, %error, "evidence is not kept");
                return;
            }
        }
        self.save_listing(documents, key).await;
    }

    /// Keeps the listing alone.
    pub async fn save_listing(&self, documents: &dyn Documents, key: &str) {
        let written = match serde_json::to_vec(self) {
            Ok(json) => documents.set_hint(HintKind::Evidence, key, &json).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::warn!(subject = key, %error, "the listing of evidence is not kept");
        }
    }

    /// How old the listing is; `None` when its time is in the future: that counts as expired, since a clock that was
    /// set back must not make evidence live for ever.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        now.duration_since(self.listed_at).try_into().ok()
    }

    /// The evidence, from what is kept here alone.
    pub async fn collect(&self, reader: &Reader, limits: &Limits) -> Evidence {
        let here = Reader { upstream: None, ..reader.clone() };
        search::collect(&here, &self.candidates, limits).await
    }
}
