//! `pullgate verify IMAGE…`: the gate without a server, for pipelines.

pub(super) mod ask;
pub(super) mod platform;
mod quiet;

use std::{
    collections::{HashMap, HashSet},
    io::{IsTerminal as _, Write as _},
    mem::ManuallyDrop,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, FuturesUnordered},
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use self::{
    ask::{Asking, Pinned},
    quiet::Quiet,
};
use super::{
    Exit,
    judge::{Basis, Judge, Unusable},
    reference::Image,
    report::{self, Judged, Outcome, Output, Report},
    runtime,
    streams::{answer, tell},
    text::path,
};
use crate::{
    app::raise_descriptor_limit,
    oci::{Digest, Host},
};

/// The longest `--wait`. Not every time can be added to a clock, and no pipeline runs for longer.
const MAX_WAIT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The first wait before an image is asked about again, and the longest, where no registry says how long.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Judge images as the proxy would, and say so by the exit code.
///
/// An image is `[HOST/]REPOSITORY[:TAG][@DIGEST]` at a registry, perhaps behind gh's `oci://`, or
/// `oci:DIRECTORY[:REPOSITORY:TAG|:REPOSITORY@DIGEST]` in an OCI layout on disk; without a repository every image of the layout,
/// each of which must have such a name there. A tag is resolved once, and what is judged and printed is the digest it meant. Credentials are those of `docker login` or `podman
/// login`: of the files that $DOCKER_CONFIG and $REGISTRY_AUTH_FILE name, or else of the usual ones, the first that has some for the
/// registry counts. Registries are asked through the proxy that $HTTPS_PROXY names, but for what $NO_PROXY names.
///
/// Without --config or --policy, flags say who must have signed, by cosign's names or by gh's; a signature and an SPDX
/// attestation by that signer are asked for.
///
/// Exit codes: 0 all admitted; 1 one refused, or not there, or all admitted and a report that cannot be written; 2 none refused,
/// and one could not be told; 64 a command line,
/// policy, configuration or trust root that cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What is judged.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<Image>,
    /// Judge the index, then the child it has for this platform: `os/architecture[/variant][:os.version]`, read as containerd and
    /// Docker do: `linux/arm64/v8` is `linux/arm64`, and `linux/arm` first of all v7. An image that is no index is refused unless
    /// its configuration names it.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::platform)]
    platform: Option<String>,
    /// Ask again until all images are admitted, for so long from the start of the command (`60s`, `5m`), at most 7 days:
    /// signatures are pushed after images. A registry that says when to come back (Retry-After, of which a minute counts) is not
    /// asked before, and not again about an image of which it said so where that is after the time. What is being asked when the time
    /// is up is still waited for.
    #[arg(long, value_name = "TIME", value_parser = wait)]
    wait: Option<Duration>,
    /// How many images are judged at once.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// What standard output has.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Append a Markdown summary to this file. Default: the file $GITHUB_STEP_SUMMARY names, where there is one.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    basis: Basis,
}

impl Arguments {
    /// Judges all, reports, and says how it went.
    pub(super) fn run(self) -> Exit {
        // Five questions at once about each of so many images.
        raise_descriptor_limit(0);
        let judged = runtime(self.judged()).map_err(|error| Unusable::Failed(error.to_string())).flatten();
        judged.unwrap_or_else(|error| error.tell())
    }

    async fn judged(self) -> Result<Exit, Unusable> {
        let until = self.wait.map(|wait| Instant::now() + wait);
        let ahead = match &self.images[..] {
            [image] => self.basis.ask_ahead(image).await,
            // Of several, some may be another's children, which need not be asked about.
            _ => None,
        };
        // Not put away when all is said: the process ends, and taking a gate apart takes as long as it took to make it.
        let judge = ManuallyDrop::new(Judge::new(&self.basis).await?);
        ahead.into_iter().for_each(|ahead| judge.asked_ahead(ahead));
        let images = judge.each(&self.images)?;
        let mut repositories: HashMap<String, usize> = HashMap::new();
        // Before the first is asked: a registry nobody configured is a mistake in the command, not an outcome.
        for image in &images {
            *repositories.entry(judge.find(image)?.0.to_string()).or_default() += 1;
        }
        let asking = Asking { judge: &judge, platform: self.platform.as_deref() };
        let jobs = usize::from(self.jobs);
        let progress = progress(images.len(), self.wait.is_some());
        let mut all: Vec<Asked<'_>> = images.iter().map(Asked::new).collect();
        // An index of the same repository may yet vouch for what is not admitted.
        let is_last = |one: &Asked<'_>| one.judged.as_ref().is_none_or(|judged| repositories.get(&judged.name) == Some(&1));
        let mut asked = stream::iter(all.iter_mut().map(|one| one.ask(asking))).buffered(jobs);
        while let Some(one) = asked.next().await {
            let one = one?;
            if one.is_admitted() || (until.is_none() && is_last(one)) {
                progress.suspend(|| one.tell());
            }
            if one.is_admitted() || until.is_none() {
                progress.inc(1);
            }
        }
        drop(asked);
        vouched(&mut all, asking, jobs).await?;
        if let Some(until) = until {
            // All at once, each for itself: none holds up another while it waits, and none that another vouches for waits in vain.
            let (places, quiet) = (Semaphore::new(jobs), Quiet::default());
            let waiting = all.iter_mut().filter(|one| !one.is_admitted());
            let waiting = waiting.map(|one| one.ask_until(asking, until, &places, &quiet));
            let mut waiting: FuturesUnordered<_> = waiting.collect();
            progress.set_position((images.len() - waiting.len()) as u64);
            while let Some(one) = waiting.next().await {
                let one = one?;
                if one.is_admitted() || is_last(one) {
                    progress.suspend(|| one.tell());
                }
                progress.inc(1);
            }
            drop(waiting);
            vouched(&mut all, asking, jobs).await?;
        }
        progress.finish_and_clear();
        all.iter_mut().filter(|one| !one.is_told).for_each(Asked::tell);
        let report = Report::new(all.into_iter().filter_map(|one| one.judged).collect());
        let text = report.render(self.output).map_err(Unusable::Failed)?;
        let mut is_written = answer(&text).map_err(|error| error.tell()).is_ok();
        let summarize = |file: &Path| {
            let written = append(file, &report::markdown(&report));
            written.map_err(|error| tell(&format_args!("{} cannot be written: {error}", path(file)))).is_ok()
        };
        if let Some(file) = &self.summary {
            is_written &= summarize(file);
        } else if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
            // Nobody asked for it, and the exit code is about images.
            summarize(Path::new(&file));
        }
        // Who waits for the report must not go on without it; what it says of an image comes first.
        Ok(if is_written || report.exit() != Exit::Done { report.exit() } else { Exit::Refused })
    }
}

/// An image and what came of it.
struct Asked<'i> {
    image: &'i Image,
    pinned: Pinned,
    judged: Option<Judged>,
    is_told: bool,
}

impl<'i> Asked<'i> {
    fn new(image: &'i Image) -> Self {
        Self { image, pinned: Pinned::default(), judged: None, is_told: false }
    }

    /// Asks, and counts what was asked before.
    async fn ask(&mut self, asking: Asking<'_>) -> Result<&mut Self, Unusable> {
        let mut judged = asking.ask(self.image, &mut self.pinned).await?;
        if let Some(before) = &self.judged {
            judged.attempts += before.attempts;
            judged.took_ms += before.took_ms;
        }
        self.judged = Some(judged);
        Ok(self)
    }

    /// Asks again and again, at one of `places`, until it is admitted or the time is up.
    async fn ask_until(
        &mut self,
        asking: Asking<'_>,
        until: Instant,
        places: &Semaphore,
        quiet: &Quiet,
    ) -> Result<&mut Self, Unusable> {
        let host: Host = asking.judge.find(self.image)?.0.host;
        let mut pause = PAUSES.0;
        while !self.is_admitted() {
            quiet.keep(&host, self.pinned.quiet_until);
            let began = Instant::now();
            // Sooner than a registry says it throttles on, and all the others' requests with these.
            if began >= until || self.pinned.quiet_until.is_some_and(|said| said > until) {
                break;
            }
            // The last time is when the wait ends: what it said of another image need not be so of this one.
            let next = quiet.until(&host).unwrap_or(began + self.pinned.retry_after.unwrap_or(pause));
            sleep_until(next.min(until)).await;
            // Not only until the time is up: all of them ask a last time then, and the places are for a few at once.
            let _place = places.acquire().await;
            if let Some(judged) = &mut self.judged {
                judged.took_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            }
            if quiet.until(&host).is_some() && Instant::now() < until {
                // Another image was told meanwhile.
                continue;
            }
            pause = (pause * 2).min(PAUSES.1);
            self.ask(asking).await?;
        }
        Ok(self)
    }

    fn is_admitted(&self) -> bool {
        self.judged.as_ref().is_some_and(|judged| judged.outcome == Outcome::Admitted)
    }

    /// The children it vouches for, with their repository.
    fn vouches(&self) -> impl Iterator<Item = (String, Digest)> {
        let name = self.judged.as_ref().map(|judged| judged.name.clone()).unwrap_or_default();
        self.pinned.vouched.iter().map(move |child| (name.clone(), *child))
    }

    fn tell(&mut self) {
        self.is_told = true;
        if let Some(judged) = &self.judged {
            tell(&report::lines(judged));
        }
    }
}

/// Asks once more about what is not admitted where an index was that lists it: an answer must not be another for which of them
/// was judged first.
async fn vouched(all: &mut [Asked<'_>], asking: Asking<'_>, jobs: usize) -> Result<(), Unusable> {
    let mut vouched: HashSet<_> = all.iter().flat_map(Asked::vouches).collect();
    while !vouched.is_empty() {
        let is_vouched = |one: &&mut Asked<'_>| {
            let digest = one.pinned.digest.filter(|_| !one.is_admitted());
            let name = one.judged.as_ref().map(|judged| judged.name.clone());
            name.zip(digest).is_some_and(|key| vouched.contains(&key))
        };
        let again = all.iter_mut().filter(is_vouched).map(|one| one.ask(asking));
        let again: Vec<_> = stream::iter(again).buffered(jobs).try_collect().await?;
        // What was an index itself vouches now in its turn.
        vouched = again.into_iter().filter(|one| one.is_admitted()).flat_map(|one| one.vouches().collect::<Vec<_>>()).collect();
    }
    Ok(())
}

/// How long to ask again.
///
/// # Errors
/// It is no time, or longer than anything is waited for.
fn wait(text: &str) -> Result<Duration, String> {
    let wait = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if wait <= MAX_WAIT { Ok(wait) } else { Err("wants at most 7 days".into()) }
}

/// A bar on a terminal, for what takes long enough to be watched; nothing elsewhere.
fn progress(images: usize, waits: bool) -> ProgressBar {
    if !std::io::stderr().is_terminal() || (images < 2 && !waits) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(images as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} judged, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())
}
