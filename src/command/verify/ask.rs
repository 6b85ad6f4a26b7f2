//! One image: resolved once, judged, perhaps a platform of it chosen.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{PAUSES, platform};
use crate::{
    command::{
        answer::Answer,
        judge::{Judge, Unusable},
        reference::Image,
        report::{Judged, Outcome},
    },
    evidence::{Budget, Reader},
    gate::{Grounds, Permit, Refusal, Subject, Verdict, tags::TagVerdict},
    oci::{Digest, ImageName, Manifest, ManifestKind, Reference, Tag, json},
    upstream::Upstream,
};

/// How large an image's configuration may be, which says its platform.
const MAX_CONFIG: u64 = 4 << 20;
/// How long a configuration may take to come.
const CONFIG_TIME: Duration = Duration::from_secs(20);

/// How images are asked about.
#[derive(Debug, Clone, Copy)]
pub(in crate::command) struct Asking<'j> {
    pub(in crate::command) judge: &'j Judge,
    pub(in crate::command) platform: Option<&'j str>,
}

/// What is judged, as far as it is known.
#[derive(Debug, Default)]
pub(in crate::command) struct Pinned {
    /// What the tag meant when it was first resolved. Waiting does not ask again: a tag that moves meanwhile would be
    /// another image.
    pub(in crate::command) digest: Option<Digest>,
    /// The child chosen by platform.
    pub(in crate::command) child: Option<Digest>,
    /// The children that an admitted index vouches for.
    pub(in crate::command) vouched: Vec<Digest>,
    /// How long its registry, when it was asked last, wanted to be left alone, or was taken to.
    pub(in crate::command) retry_after: Option<Duration>,
    /// Until when it does, where that is longer than a pause of ours and so its own word.
    pub(in crate::command) quiet_until: Option<Instant>,
}

impl Asking<'_> {
    /// Judges `image`, as far as it is not pinned yet.
    ///
    /// # Errors
    /// An upstream that cannot be set up.
    pub(super) async fn ask(self, image: &Image, pinned: &mut Pinned) -> Result<Judged, Unusable> {
        let (name, upstream) = self.judge.find(image)?;
        let began = Instant::now();
        let answer = self.attempt(image, &name, &upstream, pinned).await;
        pinned.retry_after = answer.retry_after;
        pinned.quiet_until = answer.retry_after.filter(|wait| *wait > PAUSES.1).map(|wait| Instant::now() + wait);
        let digest = pinned.child.or(pinned.digest);
        let mut judged = self.judged(answer, image, &name, digest.as_ref(), began.elapsed());
        judged.index = pinned.child.and(pinned.digest).map(|digest| digest.to_string());
        Ok(judged)
    }

    /// The answer as it is reported, with what was asked for and what it was judged under.
    pub(in crate::command) fn judged(
        self,
        answer: Answer,
        image: &Image,
        name: &ImageName,
        digest: Option<&Digest>,
        took: Duration,
    ) -> Judged {
        let mut judged = answer.judged(image, name, digest, took);
        judged.platform = self.platform.map(str::to_owned);
        // A newer log is one nobody knows to the root of last year, and its images are refused as unsigned.
        judged.notes.extend(self.judge.stale());
        judged
    }

    async fn attempt(self, image: &Image, name: &ImageName, upstream: &Arc<dyn Upstream>, pinned: &mut Pinned) -> Answer {
        let digest = match (pinned.digest, &image.reference) {
            (Some(digest), _) => digest,
            (None, Some(reference)) => match self.judge.resolve(name, upstream, reference).await {
                Ok(digest) => digest,
                Err(error) => return Answer::unresolved(&error),
            },
            (None, None) => return Answer::new(Outcome::Undecided, "unresolved", "it names no manifest"),
        };
        pinned.digest = Some(digest);
        pinned.child = None;
        let subject = Subject { upstream: Arc::clone(upstream), image: name.clone(), digest };
        // As the proxy asks: such a tag serves evidence, whatever else its digest may be.
        let verdict = if image.is_attachment() {
            self.judge.gate(upstream).admit_attachment(&subject).await
        } else {
            self.judge.gate(upstream).admit(&subject).await
        };
        let permit = match verdict {
            Ok(Verdict::Admit(permit)) => permit,
            Ok(Verdict::Refuse(refusal)) => return self.refused(&refusal),
            Err(no_verdict) => return Answer::undecided(&no_verdict),
        };
        if *permit.grounds() != Grounds::Evidence {
            pinned.vouched = permit.manifest().manifests.iter().map(|child| child.digest).collect();
        }
        self.beyond(image, &subject, permit, pinned).await
    }

    /// What is asked of an admitted image beyond its digest: whether the tag may mean it, and for the platform wanted.
    pub(in crate::command) async fn beyond(
        self,
        image: &Image,
        subject: &Subject,
        permit: Permit,
        pinned: &mut Pinned,
    ) -> Answer {
        let (permit, warnings) = match &image.reference {
            Some(Reference::Tag(tag)) => match self.guarded(tag, subject, permit).await {
                Ok(admitted) => admitted,
                Err(answer) => return answer,
            },
            Some(Reference::Digest(_)) | None => (permit, Vec::new()),
        };
        let mut answer = self.of_platform(subject, &permit, pinned).await;
        answer.warnings.extend(warnings);
        answer
    }

    /// The platform asked for, of what is admitted.
    async fn of_platform(self, subject: &Subject, permit: &Permit, pinned: &mut Pinned) -> Answer {
        let answer = Answer::admitted(permit);
        let Some(platform) = self.platform else { return answer };
        // Evidence is for no platform, and no index of it vouches for what it lists.
        if answer.outcome == Outcome::Refused {
            return answer;
        }
        let missing =
            |found: &str| Answer::new(Outcome::Refused, "platform_missing", format!("wants platform {platform}; {found}"));
        match permit.manifest().kind() {
            ManifestKind::Index => self.child(subject, permit, platform, pinned).await,
            ManifestKind::Image => match self.platform_of(subject, permit.manifest()).await {
                Ok(Some(found)) if platform::serves(&found, platform) => answer,
                Ok(Some(found)) => missing(&format!("the image is for {found}")),
                Ok(None) => missing("the image's configuration names none"),
                Err(why) => Answer::new(Outcome::Undecided, "platform_unknown", format!("its platform cannot be told: {why}")),
            },
        }
    }

    /// What the guard of tags says against it, as of a request for the tag: what the tag meant before is known with
    /// `--first-seen-from` only.
    async fn guarded(self, tag: &Tag, subject: &Subject, permit: Permit) -> Result<(Permit, Vec<String>), Answer> {
        let gate = self.judge.gate(&subject.upstream);
        match gate.admit_tag(tag, subject, permit, gate.deadline()).await {
            Ok(TagVerdict::Admit(permit, warnings)) => Ok((permit, warnings)),
            Ok(TagVerdict::Refuse(refusal)) => Err(self.refused(&refusal)),
            Err(no_verdict) => Err(Answer::undecided(&no_verdict)),
        }
    }

    /// Judges the child of an admitted index.
    async fn child(self, index: &Subject, permit: &Permit, platform: &str, pinned: &mut Pinned) -> Answer {
        let child = match platform::child(permit.manifest(), platform) {
            Ok(child) => child,
            Err(why) => return Answer::new(Outcome::Refused, "platform_missing", why),
        };
        pinned.child = Some(child);
        let subject = Subject { digest: child, ..index.clone() };
        match self.judge.gate(&subject.upstream).admit(&subject).await {
            Ok(Verdict::Admit(permit)) => Answer::admitted(&permit),
            Ok(Verdict::Refuse(refusal)) => self.refused(&refusal),
            Err(no_verdict) => Answer::undecided(&no_verdict),
        }
    }

    /// What platform an image's own configuration says, if it says any: what was read stays as it is. An error is what could not
    /// be read.
    async fn platform_of(self, subject: &Subject, manifest: &Manifest) -> Result<Option<String>, String> {
        let config = manifest.config.as_ref().ok_or("it has no configuration")?;
        let reader = Reader {
            upstream: Some(Arc::clone(&subject.upstream)),
            documents: self.judge.documents(&subject.upstream),
            repository: subject.image.repository.clone(),
            until: Instant::now() + CONFIG_TIME,
            budget: Budget::default(),
            shapes: Budget::default(),
        };
        let read = reader.blob(&config.digest, config.size, MAX_CONFIG).await.map_err(|error| error.to_string())?;
        let bytes = read.document.whole(MAX_CONFIG).map_err(|error| error.to_string())?.unwrap_or_default();
        Ok(json::parse(&bytes).ok().and_then(|config| platform::of_config(&config)))
    }

    fn refused(self, refusal: &Refusal) -> Answer {
        let mut answer = Answer::refused(refusal);
        answer.notes.extend(self.judge.unanchored(&refusal.explanation));
        answer.notes.extend(self.judge.given(&refusal.digest));
        answer
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;

    use super::*;
    use crate::{
        command::{flags::Flags, trust},
        gate, store,
        verify::{TrustState, trust_root},
    };

    #[tokio::test]
    async fn an_answer_under_a_root_that_is_not_todays_says_so_until_it_is() {
        let verifier = trust_root::at(&trust::config(None), jiff::Timestamp::now()).await.unwrap();
        let state = |stale: Option<&str>| TrustState::Ready { verifier: Arc::clone(&verifier), stale: stale.map(str::to_owned) };
        let held = Arc::new(ArcSwap::from_pointee(state(Some("it was never refreshed"))));
        let policies = Flags::anybody().unwrap();
        let judge = Judge::wired(gate::Config::default(), policies, Arc::clone(&held), Arc::new(store::NoFacts)).unwrap();
        let asking = Asking { judge: &judge, platform: None };
        let registry = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/acme/registry");
        for image in ["acme/app:v1", "acme/app:no-such-tag"] {
            let image: Image = format!("{registry}:{image}").parse().unwrap();
            for (stale, noted) in [(Some("it was never refreshed"), true), (None, false)] {
                held.store(Arc::new(state(stale)));
                let judged = asking.ask(&image, &mut Pinned::default()).await.unwrap();
                assert_eq!(judged.outcome, Outcome::Refused);
                assert_eq!(judged.notes.iter().any(|note| note == "it was never refreshed"), noted, "{:?}", judged.notes);
            }
        }
    }
}
