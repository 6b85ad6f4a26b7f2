//! `pullgate policy test`: what policies say of recorded images, and whether that is what it was.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{
    record::{self, Recording},
    suite::{self, Case, Expected, Suite},
};
use crate::{
    command::{
        Exit,
        answer::Answer,
        judge::Unusable,
        lens::Lens,
        reference::layout_prefix,
        report::Outcome,
        runtime,
        streams::{self, tell},
        text::{self, line},
    },
    gate::{self, Gate, Subject},
    oci::Reference,
    policy::PolicySet,
    store::{Memory, NoFacts},
    upstream::{self, Location, Upstream, UpstreamError},
    verify::{TrustState, trust_root},
};

/// Judge recorded images by policies, offline and at a given time, and fail when an answer is another than the file says.
///
/// The file names policies, a trust root, an OCI layout with images and all evidence about them, and cases:
///
///   policies: [acme.yaml]
///   trust_root: evidence/trusted_root.json    # or sigstore: the root this version was built with
///                                             # or, for both, config: pullgate.yaml
///   layout: evidence
///   at: 2026-11-22T18:00:00Z                  # also in a case
///   cases:
///     - {name: the release, image: "ghcr.io/acme/app:v1", admit: true}
///     - {name: nobody signed it, image: "ghcr.io/acme/app:unsigned", refuse: signature_missing}
///
/// The codes are those of deploy/codes.md.
///
/// As with the signed and the unsigned pod beside a Kyverno policy, it also fails when a policy has no case that it admits for its
/// evidence, since an exception admits whatever the policy asks, or none that it refuses. `policy init` writes a first such file,
/// --record adds to it.
///
/// Exit codes: 0 every answer is as the file says; 1 one is not; 2 an image to be recorded could not be read, or not be judged; 64 a
/// file that cannot be used.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::command) struct Arguments {
    /// The file of cases.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Run only cases whose name or image contains this. Whether each policy has its cases is then not asked.
    #[arg(long, value_name = "TEXT", conflicts_with = "record")]
    filter: Option<String>,
    /// Write a JUnit report to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    recording: Recording,
}

/// How a case went.
struct Ran<'s> {
    case: &'s Case,
    /// What came of it, where that is not as the file says.
    wrong: Option<String>,
    /// Policies that evidence met, those that an exception alone let pass, and those that did not hold.
    met: Vec<String>,
    waived: Vec<String>,
    unmet: Vec<String>,
}

impl Arguments {
    /// Runs all cases, or records one more.
    pub(in crate::command) fn run(self) -> Exit {
        let done = runtime(self.done()).map_err(|error| Unusable::Failed(error.to_string())).flatten();
        done.unwrap_or_else(|error| error.tell())
    }

    async fn done(self) -> Result<Exit, Unusable> {
        let suite = suite::read(&self.file).map_err(|problems| Unusable::Usage(problems.to_string()))?;
        if self.recording.is_wanted() {
            return record::add(&self.file, &suite, &self.recording).await;
        }
        whole(&suite.layout)?;
        let wanted =
            |case: &&Case| self.filter.as_ref().is_none_or(|text| case.name.contains(text) || case.image.text.contains(text));
        let mut ran = Vec::new();
        for case in suite.cases.iter().filter(wanted) {
            ran.push(run(&suite, case).await?);
        }
        let missing = match &self.filter {
            None => uncovered(&suite.policies, &ran),
            // A filter that leaves nothing proves nothing.
            Some(text) if ran.is_empty() => vec![format!("no case has `{text}` in its name or its image")],
            Some(_) => Vec::new(),
        };
        let mut told = String::new();
        for Ran { case, wrong, .. } in &ran {
            told += &match wrong {
                None => format!("ok      {}: {}\n", line(&case.name), case.expected),
                Some(wrong) => format!("FAILED  {}: {}\n", line(&case.name), line(wrong)),
            };
        }
        for missing in &missing {
            told += &format!("FAILED  {}\n", line(missing));
        }
        let told = streams::answer(&told);
        if let Some(file) = &self.junit {
            let failed = |error: &dyn std::fmt::Display| Unusable::Failed(format!("{}: {error}", text::path(file)));
            let text = junit(&self.file, &ran, &missing).map_err(|error| failed(&error))?;
            std::fs::write(file, text).map_err(|error| failed(&error))?;
        }
        let failed = ran.iter().filter(|ran| ran.wrong.is_some()).count() + missing.len();
        tell(&format_args!("{} cases, {failed} failures", ran.len()));
        told?;
        Ok(if failed > 0 || ran.is_empty() { Exit::Refused } else { Exit::Done })
    }
}

/// That nothing is missing which the layout names: an image whose evidence was lost would be refused for want of it, and a case
/// that wants a refusal would pass.
fn whole(layout: &Path) -> Result<(), Unusable> {
    let unread = upstream::layout_unread(layout).map_err(|error| Unusable::Usage(format!("{}: {error}", text::path(layout))))?;
    let Some(first) = unread.first() else { return Ok(()) };
    let more = if unread.len() > 1 { format!(" and {} others", unread.len() - 1) } else { String::new() };
    let why = "it is missing or damaged; bring it back, or record the image again";
    Err(Unusable::Usage(format!("{}/index.json names {first}{more}: {why}", text::path(layout))))
}

/// Judges one case, in a gate of its own whose clocks stand still.
async fn run<'s>(suite: &Suite, case: &'s Case) -> Result<Ran<'s>, Unusable> {
    let (answer, explanation) = judge(suite, case).await?;
    let wrong = match (&case.expected, answer.outcome) {
        (Expected::Admit, Outcome::Admitted) => None,
        (Expected::Refuse(code), Outcome::Refused) if *code == answer.code => None,
        (wanted, found) => Some(format!("wants {wanted}, found {} [{}]: {}", found.as_str(), answer.code, answer.message)),
    };
    let (mut met, mut waived, mut unmet) = (Vec::new(), Vec::new(), Vec::new());
    for asked in explanation.policies {
        // An account tells of the evidence as if there were no exception; without one nothing is known of it.
        let lacks = asked.account.is_none_or(|account| account.requirements.iter().any(|requirement| !requirement.met));
        let of_its_kind = match (asked.holds, lacks) {
            (true, false) => &mut met,
            (true, true) => &mut waived,
            (false, _) => &mut unmet,
        };
        of_its_kind.push(asked.policy);
    }
    Ok(Ran { case, wrong, met, waived, unmet })
}

/// What comes of a case, where that is not as the file says.
pub(super) async fn wrong(suite: &Suite, case: &Case) -> Result<Option<String>, Unusable> {
    run(suite, case).await.map(|ran| ran.wrong)
}

/// What policies say of a recorded image at the time of the case.
pub(super) async fn judge(suite: &Suite, case: &Case) -> Result<(Answer, gate::Explanation), Unusable> {
    let usage = |error: &dyn std::fmt::Display| Unusable::Usage(error.to_string());
    let verifier = trust_root::at(&suite.trust, case.at).await.map_err(|error| usage(&error))?;
    let trust = TrustState::Ready { verifier, stale: None };
    let policies = Arc::new(ArcSwap::from_pointee(suite.policies.clone()));
    let (at, memory) = (case.at, Arc::new(Memory::default()));
    let trust = Arc::new(ArcSwap::from_pointee(trust));
    let config = gate::Config { limits: suite.limits.clone(), ..gate::Config::default() };
    let gate = Gate::with_clock(config, memory, Arc::new(NoFacts), policies, trust, move || at);
    let Some((upstream, reference)) = find(suite, case).await.map_err(|error| usage(&error))? else {
        let why = format!("{} has no such image", text::path(&suite.layout));
        return Ok((Answer::new(Outcome::Undecided, "absent", why), gate::Explanation::default()));
    };
    let Some(name) = case.image.name.clone() else { return Err(usage(&"a case without an image's name")) };
    let Reference::Digest(digest) = reference else { return Err(usage(&"a tag that was not resolved")) };
    let subject = Subject { upstream, image: name, digest };
    if case.image.is_attachment() {
        // Evidence or nothing, whatever policies say of the digest: so it is a case of none of them.
        return Ok((Answer::of(&gate.admit_attachment(&subject).await), gate::Explanation::default()));
    }
    let (verdict, explanation) = gate.explain(&subject).await;
    Ok((Answer::of(&verdict), explanation))
}

/// The recorded image: under its whole name, host and all, or under its repository alone.
async fn find(suite: &Suite, case: &Case) -> Result<Option<(Arc<dyn Upstream>, Reference)>, String> {
    let (Some(name), Some(reference)) = (&case.image.name, &case.image.reference) else { return Ok(None) };
    let location = Location::Layout(suite.layout.clone());
    let inner = upstream::connect(&upstream::Config { host: name.host.clone(), location }).map_err(|error| error.to_string())?;
    for prefix in [layout_prefix(&name.host), String::new()] {
        let upstream: Arc<dyn Upstream> =
            Arc::new(Lens { inner: Arc::clone(&inner), host: name.host.clone(), prefix, bundles: None });
        let found = match reference {
            Reference::Digest(digest) => match upstream.manifest(&name.repository, reference).await {
                Ok(_) => Ok(*digest),
                Err(error) => Err(error),
            },
            Reference::Tag(tag) => upstream.resolve(&name.repository, tag).await.map(|resolved| resolved.digest),
        };
        match found {
            Ok(digest) => return Ok(Some((upstream, Reference::Digest(digest)))),
            Err(UpstreamError::NotFound) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(None)
}

/// What each policy lacks: a case on which it holds, a case on which it does not. One that it admits by an exception says nothing
/// of what it asks, which nobody may be able to meet.
fn uncovered(policies: &PolicySet, ran: &[Ran<'_>]) -> Vec<String> {
    let mut missing = Vec::new();
    if policies.policies().is_empty() {
        missing.push("there is no policy, so nothing is tested".to_owned());
    }
    for policy in policies.policies() {
        let name = &policy.name;
        if !ran.iter().any(|ran| ran.met.contains(name)) {
            let by_exception = if ran.iter().any(|ran| ran.waived.contains(name)) { " but by an exception" } else { "" };
            missing.push(format!("policy {name} has no case on which it holds{by_exception}"));
        }
        if !ran.iter().any(|ran| ran.unmet.contains(name)) {
            missing.push(format!("policy {name} has no case on which it does not hold"));
        }
    }
    missing
}

fn junit(file: &Path, ran: &[Ran<'_>], missing: &[String]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("pullgate");
    let mut suite = TestSuite::new(text::path(file));
    let failed = |why: &str| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(line(why));
        status
    };
    for Ran { case, wrong, .. } in ran {
        let status = wrong.as_deref().map_or_else(TestCaseStatus::success, failed);
        let mut test = TestCase::new(line(&case.name), status);
        test.set_classname(line(&case.image.text));
        suite.add_test_case(test);
    }
    for missing in missing {
        suite.add_test_case(TestCase::new(line(missing), failed(missing)));
    }
    report.add_test_suite(suite);
    report.to_string()
}

/// A case that was just recorded.
pub(super) fn case(image: crate::command::reference::Image, at: Timestamp) -> Case {
    Case { name: image.text.clone(), image, at, expected: Expected::Admit }
}
