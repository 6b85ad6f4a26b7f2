//! Recording: an image's manifests and all evidence about them into a layout, and the case into the file.

use std::{path::Path, sync::Arc};

use jiff::{Timestamp, Unit};
use tokio::time::{Duration, Instant};

use super::{
    parcel::Parcel,
    suite::{self, Suite},
    test,
};
use crate::{
    command::{
        Exit,
        answer::Answer,
        judge::{Judge, Unusable},
        places::with_own_credentials,
        reference::{Image, Place},
        report::Outcome,
        streams::{self, tell},
        text::{self, line},
    },
    evidence::{Budget, Limits, Origin, Reader, Shape, Unread, search, shape_of},
    gate::{is_index, platforms_of},
    oci::{Algorithm, Digest, ImageName, Manifest, Reference, Tag},
    policy::MAX_PLATFORMS,
    store::{Document, Memory},
    upstream::{Upstream, UpstreamError},
    yaml,
};

/// How long one image may take to be recorded.
const TIME: Duration = Duration::from_secs(120);

/// What is to be recorded.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Recording")]
pub(super) struct Recording {
    /// Record this image and all evidence about it, no layers, into the file's layout, and add the case: judged now, with
    /// the answer of now. Read it before you keep it. What cannot be told now is not recorded. A registry that is an upstream of
    /// the file's `config` is asked as that says, with your own credentials where the gate's cannot be read. A recorded index
    /// vouches for recorded images that it lists: a case whose answer that changes is told, and the exit code is 1.
    #[arg(long, value_name = "IMAGE", value_parser = one)]
    record: Option<Image>,
    /// Record it under this name, as policies shall see it. Default: its own.
    #[arg(long = "as", value_name = "IMAGE", requires = "record", value_parser = name)]
    named: Option<Image>,
    /// Ask the registry over plain HTTP: what it answers can be read and changed on the way.
    #[arg(long)]
    dangerous_plain_http: bool,
}

/// Why an image could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRecorded {
    /// It could not be read; it may be there.
    #[error("{0}")]
    Unread(String),
    /// The command line.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Nothing is written because the layout cannot be.
    #[error("{0}")]
    Unwritten(String),
}

impl NotRecorded {
    /// Says so, and how a command ends that needed it.
    pub(super) fn tell(&self) -> Exit {
        let exit = match self {
            Self::Unread(_) => Exit::Undecided,
            Self::Unusable(error) => return error.tell(),
            Self::Unwritten(_) => Exit::Refused,
        };
        tell(&line(&self.to_string()));
        exit
    }
}

/// An image to be recorded.
///
/// # Errors
/// It names none, or a whole layout.
fn one(text: &str) -> Result<Image, String> {
    let image = text.parse::<Image>().map_err(|error| error.to_string())?;
    if image.name.is_some() { Ok(image) } else { Err("wants one image of the layout, as in oci:DIR:acme/app:v1".into()) }
}

/// The name to record an image under.
///
/// # Errors
/// It is none that policies match: a place.
pub(super) fn name(text: &str) -> Result<Image, String> {
    let image = text.parse::<Image>().map_err(|error| error.to_string())?;
    match image.place {
        Place::Registry => Ok(image),
        Place::Layout(_) => Err("wants a name as policies match it, as in ghcr.io/acme/app:v1".into()),
    }
}

impl Recording {
    pub(super) const fn is_wanted(&self) -> bool {
        self.record.is_some()
    }
}

/// Records an image into the layout of a file of cases, and adds the case.
///
/// # Errors
/// A file or a command line that cannot be used.
pub(super) async fn add(file: &Path, suite: &Suite, recording: &Recording) -> Result<Exit, Unusable> {
    let Some(image) = &recording.record else { return Ok(Exit::Done) };
    let host = image.name.as_ref().map(|name| &name.host);
    // As the gate asks for it. An image of another registry may be recorded as one of these.
    let is_configured = suite.upstreams.iter().any(|upstream| Some(&upstream.host) == host) && !recording.dangerous_plain_http;
    let upstreams = || suite.upstreams.iter().cloned().map(with_own_credentials).collect();
    let judge = Judge::finder(is_configured.then(upstreams), recording.dangerous_plain_http)?;
    let named = recording.named.as_ref().unwrap_or(image);
    // Before anything is recorded: the layout would have an image that no case is about.
    let any = entry("any", "registry.test/any:v1", now(), Outcome::Admitted, "");
    with_case(file, &any).map_err(|why| Unusable::Usage(format!("{}: {why}", text::path(file))))?;
    // Aside first: of what cannot be told there is no case, and an image without one is not kept.
    let aside = tempfile::tempdir().map_err(|error| Unusable::Failed(format!("a temporary directory: {error}")))?;
    // What the gate would not read is recorded all the same: whether that counts is for each test to say.
    let limits = suite.limits.or_more(&Limits::default());
    let recorded = match record(&judge, image, named, &limits, aside.path()).await {
        Ok(recorded) => recorded,
        Err(error) => return Ok(error.tell()),
    };
    let at = now();
    // By digest: a tag that is recorded again must not change what this case is about.
    let text = format!("{}@{}", recorded.name, recorded.digest);
    let image: Image = text.parse().map_err(|error| Unusable::Failed(format!("{error}")))?;
    let case = test::case(image, at);
    let told = |answer: &Answer| format!("{text}: {} [{}]: {}", answer.outcome.as_str(), answer.code, answer.message);
    let alone = Suite {
        layout: aside.path().to_owned(),
        policies: suite.policies.clone(),
        trust: suite.trust.clone(),
        upstreams: Vec::new(),
        limits: suite.limits.clone(),
        cases: Vec::new(),
    };
    let (answer, _) = test::judge(&alone, &case).await?;
    if answer.outcome == Outcome::Undecided {
        tell(&line(&format!("nothing is recorded: {}", told(&answer))));
        return Ok(Exit::Undecided);
    }

    // Held to the end: between two who record at once, the layout or the file would lose what one of them added.
    let mut parcel = Parcel::open(&suite.layout).map_err(Unusable::Failed)?;
    let suite = suite::read(file).map_err(|problems| Unusable::Usage(problems.to_string()))?;
    let mut right = Vec::new();
    // What is recorded of one repository says nothing of another.
    for case in suite.cases.iter().filter(|case| case.image.name.as_ref() == Some(&recorded.name)) {
        if matches!(test::wrong(&suite, case).await, Ok(None)) {
            right.push(case);
        }
    }
    parcel.adopt(aside.path()).map_err(Unusable::Failed)?;
    // As it is tested from now on: an index that was recorded before may vouch for it.
    let (answer, _) = test::judge(&suite, &case).await?;
    if answer.outcome == Outcome::Undecided {
        // The layout was damaged before.
        tell(&line(&told(&answer)));
        return Ok(Exit::Undecided);
    }
    append(file, &entry(&named.text, &text, at, answer.outcome, &answer.code))?;
    streams::answer(&(line(&told(&answer)) + "\n"))?;
    let mut exit = Exit::Done;
    for case in right {
        if let Some(wrong) = test::wrong(&suite, case).await? {
            tell(&line(&format!("what was recorded changes the case {}: {wrong}", case.name)));
            exit = Exit::Refused;
        }
    }
    Ok(exit)
}

/// Now, to the second: finer says nothing about a policy.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now)
}

/// A case as it stands in the file. JSON is YAML, so every text is quoted as it must be.
pub(super) fn entry(name: &str, image: &str, at: Timestamp, outcome: Outcome, code: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let expected = match outcome {
        Outcome::Admitted => "admit: true".to_owned(),
        Outcome::Refused | Outcome::Undecided => format!("refuse: {code}"),
    };
    format!("  - name: {}\n    image: {}\n    at: {at}\n    {expected}\n", quoted(name), quoted(image))
}

/// Adds a case at the end of the file, where the list of cases must be.
fn append(file: &Path, entry: &str) -> Result<(), Unusable> {
    let after = with_case(file, entry).and_then(|after| std::fs::write(file, after).map_err(|error| error.to_string()));
    after.map_err(|why| Unusable::Failed(format!("{}: {why}; add the case yourself:\n{entry}", text::path(file))))
}

/// The file's text with a case more, at the column of the last one.
///
/// # Errors
/// Why there is no such text.
fn with_case(file: &Path, entry: &str) -> Result<String, String> {
    let mut text = yaml::read_file(file).map_err(|problem| problem.to_string())?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let count = |text: &str| suite::parse(file, text).map(|suite| suite.cases.len()).map_err(|problems| problems.to_string());
    let before = count(&text)?;
    let last = text.trim_end().lines().last().unwrap_or_default();
    // `cases: []` as it is written first, perhaps with a comment.
    let none = last.strip_prefix("cases:").and_then(|list| list.trim_start().strip_prefix("[]"));
    let indent = match none {
        Some(comment) => {
            let start = text.trim_end().len() - last.len();
            let head = text.get(..start).unwrap_or_default();
            text = format!("{head}cases:{comment}{end}");
            "  ".to_owned()
        }
        None => {
            if !text.ends_with('\n') {
                text.push_str(end);
            }
            let mut items = text.lines().filter(|line| line.trim_start().starts_with("- "));
            items.next_back().map_or("  ", |line| line.split('-').next().unwrap_or_default()).to_owned()
        }
    };
    for line in entry.lines() {
        text += &format!("{indent}{}{end}", line.strip_prefix("  ").unwrap_or(line));
    }
    if count(&text).is_ok_and(|after| after == before + 1) {
        return Ok(text);
    }
    Err("the list of cases is not what the file ends with, each case on lines of its own".into())
}

/// What was recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The name it was recorded under.
    pub(super) name: ImageName,
    pub(super) digest: Digest,
    pub(super) manifest: Arc<Manifest>,
}

/// Writes an image's manifests, and all evidence about it and its children that is within `limits`, into the layout at `root`,
/// under the name of `named`.
///
/// # Errors
/// [`NotRecorded`]. Evidence that could not be read ends it: a recording without it would make a signed image an unsigned
/// one for ever.
pub(super) async fn record(
    judge: &Judge,
    image: &Image,
    named: &Image,
    limits: &Limits,
    root: &Path,
) -> Result<Recorded, NotRecorded> {
    let unread = |why: &dyn std::fmt::Display| NotRecorded::Unread(format!("{image} cannot be recorded: {why}"));
    let (name, upstream) = judge.find(image)?;
    let reference = image.reference.as_ref().ok_or_else(|| unread(&"it names no manifest"))?;
    let digest = judge.resolve(&name, &upstream, reference).await.map_err(|error| unread(&error))?;
    if let Some(Reference::Digest(other)) = &named.reference
        && *other != digest
    {
        return Err(Unusable::Usage(format!("--as {named}: {image} is {digest}; leave the digest out")).into());
    }
    let to = named.name.clone().ok_or_else(|| unread(&"the name to record it under names no image"))?;
    let tag = match (&named.reference, reference) {
        (Some(Reference::Tag(tag)), _) | (_, Reference::Tag(tag)) => Some(tag.as_str()),
        (_, Reference::Digest(_)) => None,
    };
    let reader = Reader {
        upstream: Some(Arc::clone(&upstream)),
        documents: Arc::new(Memory::default()),
        repository: name.repository.clone(),
        until: Instant::now() + TIME,
        budget: Budget::default(),
        shapes: Budget::default(),
    };
    let mut parcel = Parcel::open(root).map_err(NotRecorded::Unwritten)?;
    let manifest = reader.manifest(&digest).await.map_err(|error| unread(&error))?.document;
    keep(&mut parcel, &to, tag, &manifest)?;
    let told = |error| match error {
        NotRecorded::Unread(why) => unread(&why),
        other @ (NotRecorded::Unusable(_) | NotRecorded::Unwritten(_)) => other,
    };
    own(&parcel, &reader, &manifest, limits).await.map_err(told)?;
    let mut subjects = vec![digest];
    // The children that a judge looks at, and no others: what it does not find here it would take for what there is not.
    let children = platforms_of(&manifest);
    let looked_at = if children.len() > MAX_PLATFORMS { Vec::new() } else { children };
    for child in looked_at.into_iter().filter(|child| !is_index(&child.media_type)) {
        match reader.manifest(&child.digest).await {
            Ok(read) => parcel.blob(&child.digest, read.document.bytes()).map_err(NotRecorded::Unwritten)?,
            // A platform that was left out where the index was copied. What is said about it may be there.
            Err(Unread::Absent) => {}
            Err(error) => return Err(unread(&error)),
        }
        subjects.push(child.digest);
    }
    for subject in subjects {
        evidence(&mut parcel, &to, &reader, &upstream, &subject, limits).await.map_err(told)?;
    }
    parcel.finish().map_err(NotRecorded::Unwritten)?;
    Ok(Recorded { name: to, digest, manifest: Arc::new(manifest) })
}

fn keep(parcel: &mut Parcel, to: &ImageName, tag: Option<&str>, manifest: &Manifest) -> Result<(), NotRecorded> {
    let (digest, bytes) = (manifest.digest(), manifest.bytes());
    parcel.blob(digest, bytes).map_err(NotRecorded::Unwritten)?;
    parcel.name(to, tag, digest, manifest.media_type(), bytes.len());
    Ok(())
}

/// What evidence consists of, where that is what is recorded: by its bytes it is known for evidence.
async fn own(parcel: &Parcel, reader: &Reader, manifest: &Manifest, limits: &Limits) -> Result<(), NotRecorded> {
    let unread = |error: Unread| NotRecorded::Unread(error.to_string());
    match shape_of(reader, manifest, limits).await.map_err(unread)? {
        Shape::Evidence => {}
        Shape::Other(_) => return Ok(()),
    }
    let mut manifests = vec![manifest.clone()];
    for child in &manifest.manifests {
        let child = reader.manifest(&child.digest).await.map_err(unread)?.document;
        parcel.blob(child.digest(), child.bytes()).map_err(NotRecorded::Unwritten)?;
        manifests.push(child);
    }
    for listed in manifests.iter().flat_map(|manifest| manifest.layers.iter().chain(&manifest.config)) {
        let document = reader.blob(&listed.digest, listed.size, listed.size).await.map_err(unread)?.document;
        copy(parcel, &listed.digest, &document)?;
    }
    Ok(())
}

/// Keeps what was read. Held one at a time, however large: a person waits for this, not a gate.
fn copy(parcel: &Parcel, digest: &Digest, document: &Document) -> Result<(), NotRecorded> {
    let bytes = document.slice(0..document.len()).map_err(|error| NotRecorded::Unread(error.to_string()))?;
    parcel.blob(digest, &bytes).map_err(NotRecorded::Unwritten)
}

/// All evidence about one manifest.
async fn evidence(
    parcel: &mut Parcel,
    to: &ImageName,
    reader: &Reader,
    upstream: &Arc<dyn Upstream>,
    subject: &Digest,
    limits: &Limits,
) -> Result<(), NotRecorded> {
    let unread = |why: String| NotRecorded::Unread(why);
    let mut names = vec![*subject];
    if subject.algorithm() != Algorithm::Sha256 {
        let read = reader.manifest(subject).await.map_err(|error| unread(error.to_string()))?;
        names.insert(0, Digest::sha256(read.document.bytes()));
    }
    let found = search(reader, &names, limits).await;
    if let Some(why) = found.missing.first().or_else(|| found.limits_hit.first()) {
        return Err(unread(why.clone()));
    }
    for (digest, document) in &found.fetched {
        copy(parcel, digest, document)?;
    }
    for candidate in &found.candidates {
        let read = reader.manifest(&candidate.manifest).await.map_err(|error| unread(error.to_string()))?;
        let suffix = match candidate.origin {
            Origin::CosignAttestationTag => Some("att"),
            Origin::CosignSignatureTag => Some("sig"),
            Origin::BundleFile | Origin::ReferrersApi | Origin::ReferrersTag => None,
        };
        let tag = names.iter().zip(suffix).find_map(|(name, suffix)| Tag::cosign(name, suffix));
        keep(parcel, to, tag.as_ref().map(Tag::as_str), &read.document)?;
    }
    // The fallback index itself: it may list what does not name its subject.
    for name in &names {
        let tag = Tag::referrers_of(name);
        match upstream.manifest(&reader.repository, &Reference::Tag(tag.clone())).await {
            Ok(fetched) => {
                let digest = Digest::sha256(&fetched.bytes);
                if let Ok(index) = Manifest::parse(digest, fetched.bytes, fetched.content_type.as_deref()) {
                    keep(parcel, to, Some(tag.as_str()), &index)?;
                }
            }
            Err(UpstreamError::NotFound) => {}
            Err(error) => return Err(unread(error.to_string())),
        }
    }
    Ok(())
}
