//! Which images an entry is about.

use super::{
    super::{
        Effect, Import, Lint,
        draft::Draft,
        images::{self, Fit, Hub, Unnamed},
        source::{Item, Map, Spot, Unreadable},
        wildcard,
    },
    Around,
};
use crate::yaml::shown;

impl Import {
    /// The names in an entry: which images, and what the policy is called. `refuses`: it verifies nothing and refuses what is
    /// not verified, and then there are no exceptions.
    pub(super) fn entry_draft(
        &mut self,
        entry: &Map<'_>,
        around: &Around<'_>,
        suffix: &str,
        refuses: bool,
    ) -> Result<Draft, Unreadable> {
        let mut images = Vec::new();
        let mut references = entry.list("imageReferences")?;
        references.extend(entry.get("image"));
        for reference in &references {
            images.extend(self.image_pattern(reference, &[wildcard::kyverno(reference.text()?)], Hub::Kyverno, true)?);
        }
        let mut exclude = Vec::new();
        for reference in entry.list("skipImageReferences")? {
            if refuses {
                let message = format!(
                    "`{}` is looked at only where something is verified; it is not exempt there, nor here",
                    shown(reference.text()?)
                );
                self.findings.note(reference.spot(), None, message);
                continue;
            }
            let patterns = self.image_pattern(&reference, &[wildcard::kyverno(reference.text()?)], Hub::Kyverno, false)?;
            if !patterns.is_empty() {
                let message = format!("`{}` is exempt: this policy asks nothing of these images", shown(reference.text()?));
                self.findings.note(reference.spot(), Lint::I20, message);
            }
            exclude.extend(patterns);
        }
        let mut unique = Vec::new();
        images.into_iter().for_each(|image| {
            if !unique.contains(&image) {
                unique.push(image)
            }
        });
        self.named.clone_from(&unique);
        Ok(Draft {
            name: format!("{}/{}{suffix}", around.name, around.rule),
            comments: vec![format!(
                "From Kyverno {}, {} (line {}).",
                self.findings.document,
                entry.spot().path,
                entry.spot().line
            )],
            images: unique,
            exclude,
            rejects: false,
            audit: around.audit,
            signatures: Vec::new(),
            attestations: Vec::new(),
        })
    }

    /// Our patterns of one of theirs, given as the alternatives it stands for. `names`: it says which images are meant;
    /// otherwise which are not, so that naming too much would be a hole.
    pub(in crate::import) fn image_pattern(
        &mut self,
        item: &Item<'_>,
        ways: &[Vec<wildcard::Token>],
        hub: Hub,
        names: bool,
    ) -> Result<Vec<String>, Unreadable> {
        let text = shown(item.text()?);
        let at = item.spot();
        let first = text.split('/').next().unwrap_or_default();
        let host_there = first.contains(['.', ':', '*']) && text.contains('/') || first == "localhost" || text == "*";
        let mut patterns = Vec::new();
        for tokens in ways {
            let named = match images::named(tokens, hub) {
                Ok(named) => named,
                Err(unnamed) => {
                    let lint = (!host_there && hub != Hub::AsWritten).then_some(Lint::I12);
                    let (effect, why) = match unnamed {
                        Unnamed::Nothing(why) | Unnamed::Unsaid(why) if !names => (Effect::Stricter, why),
                        _ if text.contains("{{") => (Effect::Wider, "a variable, which only a cluster can resolve".into()),
                        Unnamed::Nothing(why) => (Effect::Other, why),
                        Unnamed::Unsaid(why) => (Effect::Wider, why),
                    };
                    self.findings.lost(at, effect, lint, format!("`{text}` could not be carried over: {why}"));
                    continue;
                }
            };
            if named.folds && !names {
                let message = format!(
                    "`{text}` exempts names as they are written; here all spellings of a host are one, and more would be exempt, so it was left out"
                );
                self.findings.lost(at, Effect::Stricter, Lint::I12, message);
                continue;
            }
            match (named.fit, names) {
                (Fit::Exact, _) => {}
                (Fit::More, true) => {
                    let message = format!(
                        "`{text}` is about some tags or digests; a policy here is about the repository, whatever its tag"
                    );
                    self.findings.changed(at, Effect::Stricter, Lint::I11, message);
                }
                (Fit::More, false) => {
                    let message = format!(
                        "`{text}` exempts some tags or digests only; here that would exempt the repository, so it was left out"
                    );
                    self.findings.lost(at, Effect::Stricter, Lint::I11, message);
                    continue;
                }
                (Fit::Less, true) => {
                    let message =
                        format!("there, a tag that reads like the pattern `{text}` is matched too; here only the repository is");
                    self.findings.changed(at, Effect::Wider, None, message);
                }
                (Fit::Less, false) => {
                    let message =
                        format!("there, a tag that reads like the pattern `{text}` is exempt too; here only the repository is");
                    self.findings.changed(at, Effect::Stricter, None, message);
                }
            }
            if named.folds {
                let message = format!(
                    "`{text}` is compared there with names as they are written; here all spellings of a host are one, and so are Docker Hub's names with and without theirs"
                );
                self.findings.changed(at, Effect::Stricter, Lint::I12, message);
            } else if hub == Hub::Kyverno {
                self.hub_names(at, &text, host_there, &named.patterns, names);
            }
            patterns.extend(named.patterns);
        }
        Ok(patterns)
    }

    /// What of a pattern depends on how Docker Hub's images are called.
    fn hub_names(&mut self, at: &Spot, text: &str, host_there: bool, ours: &[String], names: bool) {
        if !host_there {
            let message =
                format!("there, a name begins with its registry, so `{text}` matches no image of Docker Hub; nor does it here");
            self.findings.note(at, Lint::I12, message);
        } else if ours.iter().any(|pattern| pattern.starts_with("docker.io/library/")) {
            let message = format!(
                "`{text}` is compared there with names as they are written, with `library/` or without; here both are one"
            );
            let effect = if names { Effect::Stricter } else { Effect::Wider };
            self.findings.changed(at, effect, Lint::I12, message);
        } else if !names && ours.iter().any(|pattern| pattern.starts_with("docker.io/")) {
            let message = format!(
                "`{text}` exempts names as they are written; here an image of Docker Hub is exempt by whichever of its names it is pulled"
            );
            self.findings.changed(at, Effect::Wider, Lint::I12, message);
        }
    }
}
