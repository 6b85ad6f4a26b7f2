//! Reading the configuration again: all of the new one or none of it, but for the deny-list. Who denies a digest in an incident
//! must not have to mend somebody else's half-written policy first.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{Live, StartError, load, routes, say_weaknesses, trust_roots, watch::Watch};
use crate::{
    config::{Config, Denials, Problems},
    policy::PolicySet,
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
    /// What the last attempt read, good or bad.
    seen: [u8; 32],
    /// What is denied by a configuration that was refused: whose list is in force is watched too.
    refused: Denials,
}

impl Reloads {
    pub(super) fn new(file: PathBuf, current: Config, live: Live) -> Self {
        let seen = fingerprint(&current.files);
        Self { file, current, live, seen, refused: Denials::default() }
    }

    /// Reloads when `asked` or when a file changes, for ever.
    pub(super) async fn run(mut self, asked: Arc<Notify>) {
        let mut watch = Watch::new();
        self.follow(&mut watch);
        // What changed between the first reading and now.
        let _ = self.attempt(false).await;
        loop {
            let by_hand = tokio::select! {
                () = asked.notified() => true,
                () = watch.changed() => false,
            };
            let _ = self.attempt(by_hand).await;
            self.follow(&mut watch);
        }
    }

    fn follow(&self, watch: &mut Watch) {
        let Self { file, current, refused, .. } = self;
        let files = std::iter::once(file).chain(&current.files).chain(&refused.files);
        watch.follow(files, current.directories.iter().chain(&refused.directories));
    }

    /// Reads the files and takes or refuses what they say: `None` when they say nothing new and nobody asked.
    async fn attempt(&mut self, by_hand: bool) -> Option<Outcome> {
        let mut read = load(&self.file).await;
        let seen = match &read {
            Ok(config) => {
                let files = config.files.clone();
                tokio::task::spawn_blocking(move || fingerprint(&files)).await.unwrap_or_default()
            }
            Err(error) => Sha256::digest(error.to_string()).into(),
        };
        if seen == self.seen && !by_hand {
            // Wrong as it was before, and perhaps denying more.
            if read.is_err() {
                self.take_denials().await;
            }
            return None;
        }
        if read.is_ok() {
            // Again, so that what is taken is never older than what is remembered as seen.
            read = load(&self.file).await;
        }
        self.seen = seen;
        let taken = match read {
            Ok(config) => self.take(config).await,
            Err(error) => Err(error.into()),
        };
        let outcome = match taken {
            Ok(()) => {
                self.refused = Denials::default();
                tracing::info!(file = %self.file.display(), "configuration reloaded");
                Outcome::Applied
            }
            Err(Refused::Wrong(StartError::Config(Problems(problems)))) => {
                for problem in &problems {
                    tracing::error!("in the new configuration: {problem}");
                }
                tracing::error!(problems = problems.len(), "the new configuration is refused; the old one stays");
                Outcome::Refused
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration is refused; the old one stays");
                Outcome::Refused
            }
        };
        if outcome == Outcome::Refused {
            self.take_denials().await;
        }
        let label = match outcome {
            Outcome::Applied => "applied",
            Outcome::Refused => "refused",
        };
        metrics::counter!(telemetry::RELOADS, "outcome" => label).increment(1);
        Some(outcome)
    }

    /// Puts the deny-list of a configuration that is refused in force alone. Read as of one that cannot be read at all: a file
    /// that names no list, for whatever reason it is refused, lifts nothing.
    async fn take_denials(&mut self) {
        let file = self.file.clone();
        self.refused = tokio::task::spawn_blocking(move || Config::denials(&file)).await.unwrap_or_default();
        let denials = self.refused.list.take().map(Arc::new);
        let policies = self.live.policies.load_full();
        let Some(denials) = denials.filter(|denials| !denials.says_the_same_as(policies.deny())) else { return };
        tracing::error!(denied = denials.len(), "of the configuration that is refused the deny-list alone is in force");
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
        let bytes = read(file);
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}

fn read(file: &Path) -> Vec<u8> {
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
        app::tests::Home,
        policy::deny::{DenyList, parse_denials},
        verify::TrustState,
    };

    async fn reloads(home: &Home) -> (Reloads, Arc<ArcSwap<TrustState>>) {
        let config = load(&home.file()).await.unwrap();
        let (live, trust) = home.live(&config).await;
        (Reloads::new(home.file(), config, live), trust)
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
    async fn o6_a_file_that_needs_a_restart_is_refused_whole() {
        let home = Home::new();
        let (mut reloads, _trust) = reloads(&home).await;
        let policies = reloads.live.policies.load_full();
        std::fs::write(home.policy_file(), home.policy().replace("heads/main", "heads/other")).unwrap();
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
