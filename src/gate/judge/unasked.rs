//! What is answered without a look at evidence: where no policy names the image, and where no clock says which evidence holds.

use jiff::Timestamp;

use super::{Answer, Judgement, Parentage, audit::Audited, outcome::Said, undecided};
use crate::{
    gate::{
        sentence::warning,
        verdict::{Grounds, RefusalReason, UndecidedReason},
    },
    policy::Unmatched,
};

impl Judgement {
    /// No policy names the image: refused without a look at evidence, or served with a warning. What is absent is absent
    /// before it is refused.
    pub(super) async fn judge_unmatched(&mut self) -> Answer {
        let got = match self.or_fetched(self.stored().await).await? {
            Ok(got) => got,
            Err(error) => return self.refuse_content(error),
        };
        if self.selection.unmatched == Unmatched::DangerousAllow
            && let Some(denied) = self.denied_with_its_index().await
        {
            return denied;
        }
        match self.selection.unmatched {
            Unmatched::Deny => self.refuse(RefusalReason::NoPolicy, Default::default(), &got).await,
            Unmatched::DangerousAllow => {
                let text = "no policy names this image; served because of `unmatched: dangerous_allow`";
                let warnings = vec![warning(299, text)];
                let said = Said { warnings, ..Said::default() };
                self.admit(&got, Grounds::Unmatched, None, self.gate.config.verdict_ttl, said).await
            }
        }
    }

    /// The answer to what denied indexes list, and no admitted one: with an index that is denied its platforms are (D4).
    async fn denied_with_its_index(&mut self) -> Option<Answer> {
        if !self.selection.deny.has_digests() {
            return None;
        }
        self.denied_above = match self.parentage().await {
            Parentage::Admitted(_) => None,
            Parentage::Unvouched(none) => self.denied_above(&none).await,
        };
        self.denied_like_index()
    }

    /// The clock is not set: exceptions that have ended would stand again, and a first sighting now would be kept as one long ago
    /// (R8). Nothing is asked of policies until it is.
    pub(super) async fn judge_without_clock(&mut self, now: Timestamp) -> Answer {
        let reason = UndecidedReason::Clock(format!("the clock here is not set, it says {now}"));
        if !self.selection.enforce.is_empty() {
            return Err(undecided(reason, None));
        }
        let got = match self.or_fetched(self.stored().await).await? {
            Ok(got) => got,
            Err(error) => return self.refuse_content(error),
        };
        // Evidence, which nobody can weigh now, may be what serves it.
        if self.denied_with_its_index().await.is_some() {
            return Err(undecided(reason, None));
        }
        let unsure = Audited::unsure(&self.selection.audit, &reason);
        self.admit_audited(&got, unsure, None).await
    }
}
