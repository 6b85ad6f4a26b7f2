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
    policy::{PolicySet, deny::DenyList},
    server::Tls,
    telemetry,
    verify::trust_root::{TrustRootSource, TrustRoots},
};

/// Bytes of a watched file that count when asking whether it changed.
const MAX_FILE: u64 = 16 << 20;

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

impl Reloads {
    pub(super) fn new(file: PathBuf, current: Config, sources: Sources, live: Live) -> Self {
        let seen = Seen { fingerprint: fingerprint(&sources.files), wrong: None };
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
        let mut reading = read(&self.file).await;
        let files = reading.sources.files.clone();
        let fingerprint = tokio::task::spawn_blocking(move || fingerprint(&files)).await.unwrap_or_default();
        if reading.config.is_ok() {
            if self.seen.fingerprint == fingerprint && self.seen.wrong.is_none() && !by_hand {
                return None;
            }
            // Again, so that what is taken is never older than what is remembered as seen.
            reading = read(&self.file).await;
        }
        self.decide(fingerprint, reading, by_hand).await
    }

    /// Takes or refuses what was read. What is refused is tried again whenever something changes: a file that is truncated as
    /// it is read is a moment later what it was before. It is told once, as long as nothing of it is new.
    async fn decide(&mut self, fingerprint: [u8; 32], reading: Reading, by_hand: bool) -> Option<Outcome> {
        let Reading { config, denials, sources } = reading;
        self.last = sources;
        let taken = match config {
            Ok(config) => self.take(config).await,
            Err(problems) => Err(StartError::from(problems).into()),
        };
        match &taken {
            Ok(()) => self.in_force = self.last.clone(),
            Err(_) => self.take_denials(denials),
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
    fn take_denials(&self, Denials { read, is_whole }: Denials) {
        let policies = self.live.policies.load_full();
        let before = policies.deny();
        let denials = if is_whole { DenyList::new(read) } else { DenyList::clone(before).and(read) };
        if denials.says_the_same_as(before) {
            return;
        }
        let denied = denials.len();
        if is_whole {
            tracing::error!(denied, "of the configuration that is refused the deny-list alone is in force");
        } else {
            tracing::error!(
                denied,
                "of the configuration that is refused, what can be read of the deny-list is in force, and lifts nothing"
            );
        }
        self.live.policies.store(Arc::new(PolicySet::clone(&policies).with_deny(denials)));
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
mod tests {
    use arc_swap::ArcSwap;

    use super::*;
    use crate::{
        app::tests::{Home, load},
        policy::deny::parse_denials,
        verify::TrustState,
    };

    async fn reloads(home: &Home) -> (Reloads, Arc<ArcSwap<TrustState>>) {
        let Reading { config, sources, .. } = read(&home.file()).await;
        let config = config.unwrap();
        let (live, trust) = home.live(&config).await;
        (Reloads::new(home.file(), config, sources, live), trust)
    }

    #[tokio::test]
    async fn o6_what_is_wrong_is_refused_whole_and_what_is_right_again_is_taken() {
        let home = Home::new();
        let (mut reloads, _trust) = reloads(&home).await;
        let policies = reloads.live.policies.load_full();
        assert_eq!(reloads.attempt(false).await, None, "nothing changed");

        // Half written: the policy file ends in the middle.
        let whole = home.policy();
        std::fs::write(home.policy_file(), &whole[..whole.len() / 2]).unwrap();
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
        assert_eq!(reloads.attempt(false).await, None, "said once");
        assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused), "and again when asked");

        std::fs::write(home.policy_file(), whole.replace("heads/main", "heads/other")).unwrap();
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
        assert!(!Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
        assert_eq!(reloads.attempt(true).await, Some(Outcome::Applied), "asked, it is taken again");
    }

    #[tokio::test]
    async fn d4_what_is_denied_is_denied_though_the_rest_of_the_configuration_is_wrong() {
        let home = Home::new();
        let deny = home.path().join("deny.yaml");
        let list = |count: u8| {
            let denial = |at: u8| format!("- {{digest: \"{}\", reason: INC-{at}}}\n", crate::oci::Digest::sha256(&[at]));
            let text: String = (0..count).map(denial).collect();
            std::fs::write(&deny, if text.is_empty() { "[]".to_owned() } else { text }).unwrap();
        };
        list(0);
        home.write(&(home.config() + "deny: [deny.yaml]\n"));
        let (mut reloads, _trust) = reloads(&home).await;
        let policies = reloads.live.policies.load_full();
        let denied = |reloads: &Reloads| reloads.live.policies.load().deny().len();
        // A policy that is half written, and half written still when the next digest is denied.
        let whole = home.policy();
        std::fs::write(home.policy_file(), &whole[..whole.len() / 2]).unwrap();
        list(1);
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert_eq!(denied(&reloads), 1);
        list(2);
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused), "each file that is saved is told of");
        assert_eq!(reloads.attempt(false).await, None);
        assert_eq!(denied(&reloads), 2);
        assert_eq!(reloads.live.policies.load().policies().len(), policies.policies().len());
        // A list that cannot be read lifts nothing, nor does a file that names none any more.
        std::fs::write(&deny, "").unwrap();
        assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
        home.write(&home.config());
        assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
        assert_eq!(denied(&reloads), 2);
        // What needs a restart, or cannot be taken for another reason, holds up no denial either.
        std::fs::write(home.policy_file(), &whole).unwrap();
        home.write(&(home.config().replace("admin: 127.0.0.1:0", "admin: 127.0.0.1:1") + "deny: [deny.yaml]\n"));
        list(3);
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert_eq!(denied(&reloads), 3);
        // And lifts none where it names no list; `deny: []` says that nothing is denied.
        for (lines, left) in [("tag_ttl: 1s\n", 3), ("tag_ttl: 1s\ndeny: []\n", 0)] {
            home.write(&(home.config() + lines));
            assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
            assert_eq!(denied(&reloads), left, "{lines}");
        }
    }

    #[tokio::test]
    async fn d4_a_deny_file_that_is_half_written_lifts_nothing_and_holds_back_no_other() {
        let home = Home::new();
        std::fs::create_dir(home.path().join("deny")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(home.path().join("deny").join(name), text).unwrap();
        let entry = |at: u8| format!("- {{digest: \"{}\", reason: INC-{at}}}\n", crate::oci::Digest::sha256(&[at]));
        write("a.yaml", &entry(1));
        home.write(&(home.config() + "deny: [deny/*.yaml]\n"));
        let (mut reloads, _trust) = reloads(&home).await;
        let denied = |reloads: &Reloads| reloads.live.policies.load().deny().len();
        // One that was denied is half written, and others are denied beside it and in another file.
        write("a.yaml", &entry(1)[..30]);
        write("b.yaml", &entry(2));
        for (text, denies) in [(entry(2), 2), (entry(2) + &entry(3), 3), ("- {digset: x, reason: y}\n".to_owned() + &entry(4), 4)]
        {
            write("b.yaml", &text);
            assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused), "{text}");
            assert_eq!(denied(&reloads), denies, "{text}");
        }
        // Whole again, it says all there is to say.
        write("a.yaml", "[]");
        write("b.yaml", &entry(4));
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
        assert_eq!(denied(&reloads), 1);
    }

    #[tokio::test]
    async fn o6_a_file_that_is_truncated_as_it_is_read_is_read_again_when_it_is_what_it_was() {
        let home = Home::new();
        let (mut reloads, _trust) = reloads(&home).await;
        let policies = reloads.live.policies.load_full();
        let changed = home.policy().replace("heads/main", "heads/other");
        std::fs::write(home.policy_file(), &changed).unwrap();
        let whole = fingerprint(&reloads.last.files);
        // A writer is at work between the first reading and the second, and writes the same again.
        std::fs::write(home.policy_file(), &changed[..20]).unwrap();
        let truncated = read(&home.file()).await;
        assert_eq!(reloads.decide(whole, truncated, false).await, Some(Outcome::Refused));
        std::fs::write(home.policy_file(), &changed).unwrap();
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
        assert!(!Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
    }

    #[tokio::test]
    async fn o6_what_cannot_be_taken_now_is_tried_again_and_told_once() {
        let home = Home::new();
        let (mut reloads, _trust) = reloads(&home).await;
        home.write(&(home.config() + "tag_ttl: 1s\n"));
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert_eq!(reloads.attempt(false).await, None);
        // As if what it could not have had come.
        reloads.current.registry.tag_ttl = std::time::Duration::from_secs(1);
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Applied));
        assert_eq!(reloads.attempt(false).await, None);
    }

    #[tokio::test]
    async fn o6_a_file_that_needs_a_restart_is_refused_whole() {
        let home = Home::new();
        let (mut reloads, _trust) = reloads(&home).await;
        let policies = reloads.live.policies.load_full();
        std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
        let shipped = std::fs::read_to_string("config/pullgate.yaml").unwrap();
        let header = shipped.split("\n\n").next().unwrap();
        for (key, from, to) in [
            ("listen", "listen: 127.0.0.1:0", "listen: 127.0.0.1:1"),
            ("admin", "admin: 127.0.0.1:0", "admin: 127.0.0.1:1"),
            ("store", "max_size: 1GiB", "max_size: 2GiB"),
            ("limits", "admin:", "limits: {verdicts: 5}\nadmin:"),
            ("limits", "admin:", "limits: {response_timeout: 20s}\nadmin:"),
            ("tag_ttl", "admin:", "tag_ttl: 1s\nadmin:"),
            ("verdict_ttl", "admin:", "verdict_ttl: 2h\nadmin:"),
            ("refusal_ttl", "admin:", "refusal_ttl: 1s\nadmin:"),
            ("max_stale", "admin:", "max_stale: forever\nadmin:"),
        ] {
            home.write(&home.config().replace(from, to));
            let new = load(&home.file()).await.unwrap();
            assert_eq!(needs_restart(&reloads.current, &new), [key]);
            assert!(header.contains(&format!("`{key}`")), "the header of config/pullgate.yaml does not say so of {key}");
            assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
            assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()), "a part of it was taken");
        }
        let error = Refused::NeedsRestart(vec!["listen", "store"]).to_string();
        assert_eq!(error, "changed, and needs a restart: listen, store");
    }

    #[tokio::test]
    async fn a_trust_root_that_cannot_be_read_leaves_the_old_one_and_the_old_policies() {
        let home = Home::new();
        let trusted_root = home.path().join("trusted_root.json");
        std::fs::copy(crate::app::tests::fixtures().join("trusted_root.json"), &trusted_root).unwrap();
        let own = home.config().replace(&crate::app::tests::fixtures().display().to_string(), "..");
        let own = own.replace("../trusted_root.json", "trusted_root.json");
        home.write(&own.replace("../registry", &crate::app::tests::fixtures().join("registry").display().to_string()));
        let (mut reloads, state) = reloads(&home).await;
        let (policies, trust) = (reloads.live.policies.load_full(), state.load_full());
        std::fs::write(&trusted_root, "{}").unwrap();
        std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
        assert_eq!(reloads.attempt(false).await, Some(Outcome::Refused));
        assert!(Arc::ptr_eq(&policies, &reloads.live.policies.load_full()));
        assert!(Arc::ptr_eq(&trust, &state.load_full()));
        // Nor does a file that names no deny-list lift one by way of a trust root that is wrong.
        let mut problems = Vec::new();
        let text = format!("[{{digest: \"{}\", reason: INC-1}}]", crate::oci::Digest::sha256(b"1"));
        let denied = parse_denials(Path::new("deny.yaml"), &text, &mut problems);
        reloads.live.policies.store(Arc::new(PolicySet::clone(&policies).with_deny(DenyList::new(denied))));
        assert_eq!(reloads.attempt(true).await, Some(Outcome::Refused));
        assert_eq!(reloads.live.policies.load().deny().len(), 1);
    }
}
