//! Reading the configuration again: all of the new one or none of it, but for the deny-list. Who denies a digest in an incident
//! must not have to mend somebody else's half-written policy first.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{Live, StartError, read, routes, say_weaknesses, trust_roots, watch::Watch};
use crate::{
    config::{Config, Denials, Problems, Reading, Sources},
    policy::{
        PolicySet,
        deny::{self, DenyList},
    },
    server::Tls,
    telemetry,
    verify::trust_root::{TrustRootSource, TrustRoots},
};

/// Bytes of a watched file that count when asking whether it changed: those of the largest that is read, a deny-list.
const MAX_FILE: u64 = deny::MAX_FILE;

/// Why a new configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It changes what only a restart can.
    #[error("changed, and needs a restart: {}", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// It, or a file it names, is wrong.
    #[error(transparent)]
    Wrong(#[from] StartError),
}

/// What became of a new configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it is in force.
    Applied,
    /// None of it is.
    Refused,
}

/// Reloads, one at a time.
#[derive(Debug)]
pub(super) struct Reloads {
    file: PathBuf,
    current: Config,
    live: Live,
    seen: Seen,
    /// What is watched: what the configuration in force is made of, and the one that was read last. What mends one that is
    /// refused may be a file that no other names.
    in_force: Sources,
    last: Sources,
}

/// What was read last, and what came of it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Of the files.
    fingerprint: [u8; 32],
    /// Why it was not taken.
    wrong: Option<String>,
}

/// A configuration as the gate starts with it.
#[derive(Debug)]
pub(super) struct First {
    pub(super) config: Config,
    /// What it is read again from.
    pub(super) origin: Origin,
}

/// Where a configuration was read from.
#[derive(Debug)]
pub(super) struct Origin {
    file: PathBuf,
    sources: Sources,
    /// Of the files before they were read. The start may take minutes, waiting for Sigstore's trust root: what is denied
    /// meanwhile is denied once the gate answers.
    fingerprint: [u8; 32],
}

impl First {
    pub(super) async fn read(file: PathBuf) -> Result<Self, Problems> {
        let Reading { sources, .. } = read(&file).await;
        let fingerprint = of_files(sources.files).await;
        let Reading { config, sources, .. } = read(&file).await;
        Ok(Self { config: config?, origin: Origin { file, sources, fingerprint } })
    }
}

impl Reloads {
    pub(super) fn new(current: Config, origin: Origin, live: Live) -> Self {
        let Origin { file, sources, fingerprint } = origin;
        let seen = Seen { fingerprint, wrong: None };
        Self { file, current, live, seen, in_force: sources.clone(), last: sources }
    }

    /// Reloads when `asked` or when a file changes, for ever.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        let mut watch = Watch::new();
        let mut by_hand = false;
        self.follow(&mut watch);
        loop {
            // At first, what changed between the first reading and now.
            let _ = self.attempt(by_hand).await;
            // And what changed in a directory before it was watched.
            while self.follow(&mut watch) {
                let _ = self.attempt(false).await;
            }
            by_hand = tokio::select! {
                () = asked.notified() => true,
                () = watch.changed() => false,
            };
        }
    }

    fn follow(&self, watch: &mut Watch) -> bool {
        let Self { file, in_force, last, .. } = self;
        let files = std::iter::once(file).chain(&in_force.files).chain(&last.files);
        watch.follow(files, in_force.directories.iter().chain(&last.directories))
    }

    /// Reads the files and takes or refuses what they say: `None` when they say nothing new and nobody asked.
    async fn attempt(&mut self, by_hand: bool) -> Option<Outcome> {
        let before = self.live.policies.load_full();
        let (fingerprint, mut reading) = self.look(by_hand).await?;
        if reading.config.is_ok() {
            // Again, so that what is taken is never older than what is remembered as seen.
            reading = read(&self.file).await;
        }
        self.decide(before.deny(), fingerprint, reading, by_hand).await
    }

    /// Reads the files, and denies at once what they deny besides what was denied: that waits neither for the files to be read
    /// again nor for what the rest of them needs (D4). `None` when they say nothing new and nobody asked.
    async fn look(&self, by_hand: bool) -> Option<([u8; 32], Reading)> {
        let mut reading = read(&self.file).await;
        let fingerprint = of_files(reading.sources.files.clone()).await;
        if reading.config.is_ok() {
            if self.seen.fingerprint == fingerprint && self.seen.wrong.is_none() && !by_hand {
                return None;
            }
            let (policies, read) = (self.live.policies.load_full(), std::mem::take(&mut reading.denials.read));
            // Of a long list it takes a while, in which nobody else should wait.
            let with_more = move || denying(&policies, DenyList::clone(policies.deny()).and(read));
            if let Ok(Some(policies)) = tokio::task::spawn_blocking(with_more).await {
                self.live.policies.store(Arc::new(policies));
            }
        }
        Some((fingerprint, reading))
    }

    /// Takes or refuses what was read. What is refused is tried again whenever something changes: a file that is truncated as
    /// it is read is a moment later what it was before. It is told once, as long as nothing of it is new.
    async fn decide(&mut self, before: &DenyList, fingerprint: [u8; 32], reading: Reading, by_hand: bool) -> Option<Outcome> {
        let Reading { config, denials, sources } = reading;
        self.last = sources;
        let taken = match config {
            Ok(config) => self.take(config).await,
            Err(problems) => Err(StartError::from(problems).into()),
        };
        match &taken {
            Ok(()) => self.in_force = self.last.clone(),
            Err(_) => _ = self.take_denials(before, denials),
        }
        let seen = Seen { fingerprint, wrong: taken.as_ref().err().map(ToString::to_string) };
        let is_new = std::mem::replace(&mut self.seen, seen) != self.seen;
        (is_new || by_hand).then(|| self.tell(taken))
    }

    /// Tells what became of it, once an attempt: an event, a count.
    fn tell(&self, taken: Result<(), Refused>) -> Outcome {
        let (outcome, label) = match taken {
            Ok(()) => {
                tracing::info!(file = %self.file.display(), "configuration reloaded");
                (Outcome::Applied, "applied")
            }
            Err(Refused::Wrong(StartError::Config(Problems(problems)))) => {
                for problem in &problems {
                    tracing::error!("in the new configuration: {problem}");
                }
                tracing::error!(problems = problems.len(), "the new configuration is refused; the old one stays");
                (Outcome::Refused, "refused")
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is refused; the old one stays");
                (Outcome::Refused, "refused")
            }
        };
        metrics::counter!(telemetry::RELOADS, "outcome" => label).increment(1);
        outcome
    }

    /// Puts the deny-list of a configuration that is refused in force alone. Where not all of it can be read, what can be is
    /// denied besides what was: an entry that is half written lifts nothing, and holds back no other.
    ///
    /// What changed is told by what was denied `before` the first look, which may have put it in force already. Says whether it was.
    fn take_denials(&self, before: &DenyList, Denials { read, is_whole }: Denials) -> bool {
        let policies = self.live.policies.load_full();
        let denials = if is_whole { DenyList::new(read) } else { DenyList::clone(policies.deny()).and(read) };
        let (denied, is_new) = (denials.len(), !denials.says_the_same_as(before));
        if let Some(policies) = denying(&policies, denials) {
            self.live.policies.store(Arc::new(policies));
        }
        if !is_new {
            return false;
        }
        if is_whole {
            tracing::error!(denied, "of the configuration that is refused the deny-list alone is in force");
        } else {
            tracing::error!(
                denied,
                "of the configuration that is refused, what can be read of the deny-list is in force, and lifts nothing"
            );
        }
        true
    }

    /// Prepares everything that can fail, then swaps.
    async fn take(&mut self, new: Config) -> Result<(), Refused> {
        let fixed = needs_restart(&self.current, &new);
        if !fixed.is_empty() {
            return Err(Refused::NeedsRestart(fixed));
        }
        let tls = match &new.server.tls {
            Some(files) => Some(Tls::load(files).map_err(StartError::from)?),
            None => None,
        };
        let routes = routes(&new).await?;
        let trust = TrustRoots::read(&trust_roots(&new)).await.map_err(StartError::from)?;

        if let (Some(live), Some(new)) = (&self.live.tls, &tls) {
            live.replace(new);
        }
        self.live.trust.take(trust).await;
        self.live.policies.store(Arc::new(new.policies.clone()));
        self.live.routes.store(Arc::new(routes));
        say_weaknesses(&new);
        self.current = new;
        Ok(())
    }
}

/// The keys whose change only a restart can take in.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    // By what they say of themselves: not every room's configuration can be compared.
    fn differ<T: std::fmt::Debug>(old: &T, new: &T) -> bool {
        format!("{old:?}") != format!("{new:?}")
    }
    let judging = |config: &Config| {
        let gate = &config.gate;
        (gate.verdicts, gate.manifest_bytes, gate.verify_threads, format!("{:?}", gate.limits))
    };
    let max_stale = |config: &Config| (config.gate.max_stale, config.registry.max_stale);
    let own = |config: &Config| {
        config.trust_roots.iter().find(|(_, root)| root.source == TrustRootSource::Sigstore).map(|(name, _)| Arc::clone(name))
    };
    let (was, is) = (&old.server, &new.server);
    [
        ("listen", was.listen != is.listen),
        ("tls (on or off)", was.tls.is_some() != is.tls.is_some()),
        ("admin", was.admin != is.admin),
        ("limits", was.limits != is.limits || judging(old) != judging(new)),
        ("store", differ(&old.store, &new.store)),
        ("tag_ttl", old.registry.tag_ttl != new.registry.tag_ttl),
        ("verdict_ttl", old.gate.verdict_ttl != new.gate.verdict_ttl),
        ("refusal_ttl", old.gate.refusal_ttl != new.gate.refusal_ttl),
        ("max_stale", max_stale(old) != max_stale(new)),
        ("trust_root (which is sigstore)", own(old) != own(new)),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

/// The same policies with these denials; `None` where they are theirs already.
fn denying(policies: &PolicySet, denials: DenyList) -> Option<PolicySet> {
    (!denials.says_the_same_as(policies.deny())).then(|| policies.clone().with_deny(denials))
}

async fn of_files(files: Vec<PathBuf>) -> [u8; 32] {
    tokio::task::spawn_blocking(move || fingerprint(&files)).await.unwrap_or_default()
}

/// What the files hold, so that an event without a change is no reload.
fn fingerprint(files: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in files {
        let bytes = bytes_of(file);
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}

fn bytes_of(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(file) {
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests;
