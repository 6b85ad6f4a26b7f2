//! `pullgate explain IMAGE`: everything that was looked at, what it proved, and what each policy made of it.

mod account;
mod tree;

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use self::tree::Tree;
use super::{
    Exit,
    answer::Answer,
    judge::{Basis, Judge, Unusable},
    reference::Image,
    report::{Judged, Outcome, warned},
    runtime,
    streams::answer,
    text::line,
    verify::{
        ask::{Asking, Pinned},
        platform::platform,
    },
};
use crate::{
    gate::{
        Explanation, Grounds, Subject, Verdict,
        explain::{Considered, Outcome as Piece, Proof},
    },
    oci::ImageName,
    upstream::Upstream,
};

/// Tell why an image is admitted or refused: every place looked at, every signature and attestation with its signer, and of
/// each policy which of them met each requirement, or came nearest and why it does not count.
///
/// The judgement is that of `verify`, whose arguments these are, tag guard and platform included; nothing is recalled, and all
/// there is is looked at, also where less would do. A child that its index vouches for is told with the index.
///
/// Exit codes: 0 admitted; 1 refused, or not there; 2 it could not be told; 64 a command line, policy, configuration or trust
/// root that cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: Image,
    /// Tell of the index, and of the child it has for this platform: `os/architecture[/variant][:os.version]`.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform)]
    platform: Option<String>,
    /// What standard output has.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    basis: Basis,
}

/// A form of the explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Output {
    /// A tree, for people.
    #[default]
    Text,
    /// One object, as deploy/schemas/explain-report.schema.json says: what `verify` says of the image, and an `explanation`.
    Json,
}

/// What is told of one digest.
#[derive(Debug, Serialize)]
struct Told {
    version: u32,
    #[serde(flatten)]
    judged: Judged,
    explanation: Explanation,
    /// The index that vouches for the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Box<Self>>,
}

impl Arguments {
    /// Judges, and tells everything.
    pub(super) fn run(self) -> Exit {
        let told = runtime(self.told()).map_err(|error| Unusable::Failed(error.to_string())).flatten();
        told.unwrap_or_else(|error| error.tell())
    }

    async fn told(self) -> Result<Exit, Unusable> {
        let judge = Judge::new(&self.basis).await?;
        let images = judge.each(std::slice::from_ref(&self.image))?;
        let [image] = &images[..] else {
            return Err(Unusable::Usage(format!("{} holds several images; name one of them", line(&self.image.to_string()))));
        };
        let (name, upstream) = judge.find(image)?;
        let asking = Asking { judge: &judge, platform: self.platform.as_deref() };
        let told = explain(asking, image, &name, &upstream).await;
        match self.output {
            Output::Json => {
                let text = serde_json::to_string_pretty(&told).map_err(|error| Unusable::Failed(error.to_string()))?;
                answer(&(text + "\n"))?;
            }
            Output::Text => answer(&told.tree().render())?,
        }
        Ok(match told.judged.outcome {
            Outcome::Admitted => Exit::Done,
            Outcome::Refused => Exit::Refused,
            Outcome::Undecided => Exit::Undecided,
        })
    }
}

async fn explain(asking: Asking<'_>, image: &Image, name: &ImageName, upstream: &Arc<dyn Upstream>) -> Told {
    let (judge, began) = (asking.judge, Instant::now());
    let digest = match &image.reference {
        Some(reference) => judge.resolve(name, upstream, reference).await.map_err(|error| Answer::unresolved(&error)),
        None => Err(Answer::new(Outcome::Undecided, "unresolved", "it names no manifest")),
    };
    let digest = match digest {
        Ok(digest) => digest,
        Err(answer) => {
            let judged = asking.judged(answer, image, name, None, began.elapsed());
            return Told { version: 1, judged, explanation: Explanation::default(), parent: None };
        }
    };
    let subject = Subject { upstream: Arc::clone(upstream), image: name.clone(), digest };
    let gate = judge.gate(upstream);
    let (mut verdict, explanation) = gate.explain(&subject).await;
    if image.is_attachment() {
        // What policies say of the digest is told; but by this tag it is evidence or nothing.
        verdict = gate.admit_attachment(&subject).await;
    }
    let mut pinned = Pinned { digest: Some(digest), ..Pinned::default() };
    let answer = match &verdict {
        Ok(Verdict::Admit(permit)) => asking.beyond(image, &subject, permit.clone(), &mut pinned).await,
        Ok(Verdict::Refuse(_)) | Err(_) => {
            let mut answer = Answer::of(&verdict);
            if answer.outcome == Outcome::Refused {
                answer.notes.extend(judge.unanchored(&explanation));
                answer.notes.extend(judge.given(&digest));
            }
            answer
        }
    };
    match pinned.child {
        None => {
            let judged = asking.judged(answer, image, name, Some(&digest), began.elapsed());
            let parent = match &verdict {
                Ok(Verdict::Admit(permit)) => match permit.grounds() {
                    Grounds::Parent(index) => Some(Subject { digest: *index, ..subject }),
                    Grounds::Audited { .. } | Grounds::Evidence | Grounds::Policy | Grounds::Unmatched => None,
                },
                Ok(Verdict::Refuse(_)) | Err(_) => None,
            };
            let parent = match parent {
                Some(index) => Some(Box::new(of_index(judge, image, index).await)),
                None => None,
            };
            Told { version: 1, judged, explanation, parent }
        }
        Some(child) => {
            let index = Answer::of(&verdict).judged(image, name, Some(&digest), began.elapsed());
            let index = Told { version: 1, judged: index, explanation, parent: None };
            let (_, explanation) = gate.explain(&Subject { digest: child, ..subject }).await;
            let mut judged = asking.judged(answer, image, name, Some(&child), began.elapsed());
            judged.index = Some(digest.to_string());
            Told { version: 1, judged, explanation, parent: Some(Box::new(index)) }
        }
    }
}

/// What is told of an index that vouches for what was asked about.
async fn of_index(judge: &Judge, image: &Image, index: Subject) -> Told {
    let began = Instant::now();
    let (verdict, explanation) = judge.gate(&index.upstream).explain(&index).await;
    let judged = Answer::of(&verdict).judged(image, &index.image, Some(&index.digest), began.elapsed());
    Told { version: 1, judged, explanation, parent: None }
}

impl Told {
    fn tree(&self) -> Tree {
        let Self { judged, explanation, parent, .. } = self;
        let mut root = Tree::leaf(judged.reference.as_deref().unwrap_or(&judged.image));
        let looks = explanation.looks.iter();
        root.add(
            "looked at",
            looks.map(|look| Tree::leaf(&format!("{}: {} ({} ms)", look.place.as_str(), look.found, look.took_ms))),
        );
        root.add("evidence", explanation.pieces.iter().map(piece));
        for (what, lines) in [
            ("could not be had", &explanation.missing),
            ("limits hit", &explanation.limits_hit),
            ("set aside", &explanation.set_aside),
        ] {
            root.add(what, lines.iter().map(|line| Tree::leaf(line)));
        }
        root.add(
            "policies",
            explanation.policies.iter().map(|asked| {
                let (policy, mode) = (&asked.policy, asked.mode);
                let mut tree = match (&asked.reason, &asked.summary) {
                    (Some(reason), Some(summary)) => {
                        Tree::leaf(&format!("{policy} ({mode}) does not hold [{reason}]: {summary}"))
                    }
                    _ => Tree::leaf(&format!("{policy} ({mode}) holds")),
                };
                match &asked.account {
                    Some(told) => account::hang(told, &mut tree),
                    None => tree.branches.extend(asked.details.iter().map(|detail| Tree::leaf(detail))),
                }
                tree
            }),
        );
        root.add("notes", judged.notes.iter().map(|note| Tree::leaf(note)));
        root.add("warnings", judged.warnings.iter().map(|warning| Tree::leaf(warned(warning))));
        root.branches.extend(parent.as_ref().map(|parent| parent.tree()));
        let Judged { outcome, code, message, took_ms, .. } = judged;
        root.branches.push(Tree::leaf(&format!("{} [{code}] after {took_ms} ms: {message}", outcome.as_str())));
        root
    }
}

fn piece(considered: &Considered) -> Tree {
    let Considered { source, outcome } = considered;
    let at = format!("{} in {}", source.manifest.short(), source.place.as_str());
    match outcome {
        Piece::SetAside { why } => Tree::leaf(&format!("{at}, set aside: {why}")),
        Piece::Proved(proof) => {
            let Proof { what, subject, subject_kind, issuer, trust_root, claims, times, log, entries } = &**proof;
            let mut tree = Tree::leaf(&format!("{at}: {what}"));
            tree.branches.push(Tree::leaf(&format!("by {subject} ({subject_kind}) of issuer {issuer}")));
            for time in times {
                tree.branches.push(Tree::leaf(&format!("at {time}")));
            }
            for entry in entries {
                let index = entry.index.map_or_else(|| "not signed".to_owned(), |index| index.to_string());
                tree.branches.push(Tree::leaf(&format!("log {} index {index} ({log})", entry.log)));
            }
            tree.branches.push(Tree::leaf(&format!("trust root {trust_root}")));
            tree.add("claims", claims.iter().map(|(name, value)| Tree::leaf(&format!("{name}: {value}"))));
            tree
        }
    }
}
