//! What came of each image, and the forms it is told in: for people, for programs, for CI systems.
//!
//! What others wrote (names, certificates, what a registry said) is escaped as each form asks for (threats J1–J3).

mod json;
mod junit;
mod sarif;
mod summary;
mod text;

use serde::Serialize;

use super::Exit;

pub(super) use self::{
    summary::markdown,
    text::{lines, warned},
};

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum Output {
    /// On standard output each admitted image as NAME@DIGEST, a line each; on standard error what came of every image.
    #[default]
    Text,
    /// One object, as deploy/schemas/verify-report.schema.json says.
    Json,
    /// JUnit XML: a test case an image.
    Junit,
    /// SARIF 2.1.0: a result for each image that was not admitted.
    Sarif,
}

/// What came of all images.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    /// The form's version.
    pub(super) version: u32,
    /// What `pullgate` wrote it.
    pub(super) pullgate: &'static str,
    /// The worst outcome.
    pub(super) outcome: Outcome,
    /// Each image, in the order asked.
    pub(super) images: Vec<Judged>,
}

/// What came of an image.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Judged {
    /// As it was asked for.
    pub(super) image: String,
    /// What was judged, pinned, to be used from here on; none where a tag could not be resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    /// What policies match: `host/repository`.
    pub(super) name: String,
    /// The digest that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    /// The platform asked for with `--platform`, where the judged digest is an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<String>,
    /// The index that vouches for the digest, where `--platform` chose one of its children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<String>,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// Why, as a code from a closed list: of an admission its grounds, else what is wanting.
    pub(super) code: String,
    /// Why, in a sentence.
    pub(super) message: String,
    /// Each policy that does not hold.
    pub(super) unmet: Vec<Unmet>,
    /// What was set aside, limits hit, what to try.
    pub(super) notes: Vec<String>,
    /// What a client that pulls it through the proxy would be warned of.
    pub(super) warnings: Vec<String>,
    /// How often it was asked.
    pub(super) attempts: u32,
    /// How long it took, in milliseconds, waiting included.
    pub(super) took_ms: u64,
}

/// A policy that does not hold.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Unmet {
    /// Which.
    pub(super) policy: String,
    /// Why, as a code from a closed list.
    pub(super) reason: &'static str,
    /// Why, in a clause.
    pub(super) summary: String,
    /// What was wanted and found, line by line.
    pub(super) details: Vec<String>,
}

/// The three outcomes, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It may be run.
    Admitted,
    /// It could not be told.
    Undecided,
    /// It may not.
    Refused,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }
}

impl Report {
    /// A report of these images.
    pub(super) fn new(images: Vec<Judged>) -> Self {
        let outcome = images.iter().map(|judged| judged.outcome).max().unwrap_or(Outcome::Admitted);
        Self { version: 1, pullgate: env!("CARGO_PKG_VERSION"), outcome, images }
    }

    /// What the process ends with: any refusal counts before any that could not be told.
    pub(super) const fn exit(&self) -> Exit {
        match self.outcome {
            Outcome::Admitted => Exit::Done,
            Outcome::Refused => Exit::Refused,
            Outcome::Undecided => Exit::Undecided,
        }
    }

    /// How many images came out so.
    pub(super) fn count(&self, outcome: Outcome) -> usize {
        self.images.iter().filter(|judged| judged.outcome == outcome).count()
    }

    /// The whole report in the form asked for, for standard output.
    ///
    /// # Errors
    /// A form that cannot be written, which is a defect.
    pub(super) fn render(&self, output: Output) -> Result<String, String> {
        match output {
            Output::Json => json::render(self),
            Output::Junit => junit::render(self),
            Output::Sarif => sarif::render(self),
            Output::Text => Ok(text::references(self)),
        }
    }
}

#[cfg(test)]
mod tests;
