//! A gate in this process: the same judgement as behind the proxy, over a store that is forgotten afterwards.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use super::{
    Exit,
    ahead::Ahead,
    bundles::Bundles,
    flags::Flags,
    lens::Lens,
    places::registry,
    reference::{Image, LAYOUT_HOST, Place, layout_name},
    seen,
    streams::tell,
    text::{line, path},
    trust,
};
use crate::{
    app,
    config::{Config, Weakness},
    gate::{self, Explanation, Gate, explain::Outcome},
    oci::{Algorithm, Digest, Host, ImageName, Reference},
    policy::{PolicySet, Unmatched},
    store,
    upstream::{self, LayoutImages, Location, Nameless, Proxy, RegistryConfig, Upstream, UpstreamError},
    verify::TrustState,
};

/// By which policies, under which trust root, and where images are.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Basis {
    /// Judge as the proxy with this configuration does: its policies, trust root, upstreams and credentials. Its listeners,
    /// with their key, its store and the upstreams that are not asked are left alone.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "trusted_root"])]
    pub(super) config: Option<PathBuf>,
    /// Judge by the policies in this file. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Vec<PathBuf>,
    /// A trusted_root.json. Default: Sigstore's public-good instance, kept fresh by TUF in $XDG_CACHE_HOME/pullgate (or
    /// ~/.cache/pullgate; where that cannot be written, fetched each time).
    #[arg(long, value_name = "FILE", alias = "custom-trusted-root", help_heading = "What is believed")]
    pub(super) trusted_root: Option<PathBuf>,
    /// Take the evidence from this file, a bundle or one a line, and ask nobody else for it. May be repeated. Bundles about other
    /// images are passed over, so that the file may be a whole release's.
    #[arg(long, value_name = "FILE", help_heading = "What is believed")]
    pub(super) bundle: Vec<PathBuf>,
    /// For `cooldown` and `tag_guard`, take when an image was first seen and what a tag last meant from this store of a gate
    /// (`store.path`), which is only read. Without it an image counts from when it was signed, and no tag has a history.
    #[arg(long, value_name = "DIR", help_heading = "What is believed")]
    pub(super) first_seen_from: Option<PathBuf>,
    /// What policies call the images of an `oci:` layout whose own names have no host.
    #[arg(long, value_name = "HOST", default_value = LAYOUT_HOST, help_heading = "Where images are")]
    pub(super) layout_host: Host,
    /// Ask every registry over plain HTTP: what it answers can be read and changed on the way. Digests are checked all the
    /// same; which digest a tag means is not. Registries on this machine (localhost, 127.0.0.0/8, ::1) are asked so anyway; one of
    /// them that wants TLS needs its `url` in a configuration.
    #[arg(long, help_heading = "Where images are", conflicts_with = "config")]
    pub(super) dangerous_plain_http: bool,
    // Last: its heading would stand over all that follows.
    #[command(flatten)]
    pub(super) flags: Flags,
}

impl Basis {
    /// Asks already what will be asked about `image`, where that is plain before anything is read: by flags somebody must have
    /// signed, so that all evidence is looked for, and the image names its registry and its digest.
    pub(super) async fn ask_ahead(&self, image: &Image) -> Option<Arc<Ahead>> {
        let Self { config, policy, bundle, flags, .. } = self;
        let Image { place: Place::Registry, name: Some(name), prefix, reference: Some(Reference::Digest(digest)), .. } = image
        else {
            return None;
        };
        // Evidence is about SHA-256. And nobody is asked anything for a command line that will not do.
        let plain = config.is_none() && policy.is_empty() && bundle.is_empty() && prefix.is_empty();
        if !plain || digest.algorithm() != Algorithm::Sha256 || flags.policy("command-line", &[]).is_err() {
            return None;
        }
        // What is wrong with the registry is told when it is set up again.
        let upstream = upstream::connect(&registry(&name.host, self.dangerous_plain_http).ok()?).ok()?;
        Some(Ahead::ask(upstream, name.repository.clone(), *digest).await)
    }
}

/// Why nothing can be judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The command line or a file it names.
    #[error("{0}")]
    Usage(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Unusable {
    /// Says why, and what the process ends with.
    pub(super) fn tell(&self) -> Exit {
        tell(self);
        match self {
            Self::Failed(_) => Exit::Refused,
            Self::Usage(_) => Exit::Usage,
        }
    }
}

/// Gates and the ways to the images they are asked about.
pub(super) struct Judge {
    wiring: Wiring,
    flags: Flags,
    /// The upstreams of a configuration; `None` where images are asked for at the registry they name.
    configured: Option<Vec<upstream::Config>>,
    bundles: Option<Arc<Bundles>>,
    layout_host: Host,
    plain_http: bool,
    connected: DashMap<(Place, Host, String), Source>,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("connected", &self.connected).finish_non_exhaustive()
    }
}

/// What every gate is made of.
struct Wiring {
    gate: gate::Config,
    policies: Arc<ArcSwap<PolicySet>>,
    trust: Arc<ArcSwap<TrustState>>,
    facts: Arc<dyn store::Facts>,
}

impl Wiring {
    fn source(&self, upstream: Arc<dyn Upstream>) -> Source {
        let Self { gate, policies, trust, facts } = self;
        let documents: Arc<dyn store::Documents> = Arc::new(store::Memory::default());
        let gate = Gate::new(gate.clone(), Arc::clone(&documents), Arc::clone(facts), Arc::clone(policies), Arc::clone(trust));
        Source { upstream, gate, documents }
    }
}

/// A place where images are, and a gate of its own. What a gate remembers is known by an image's name, and two layouts, or a
/// layout and the registry it was copied from, have images of one name: what the one has is not in the other.
#[derive(Debug, Clone)]
struct Source {
    upstream: Arc<dyn Upstream>,
    gate: Arc<Gate>,
    /// What was kept while judging.
    documents: Arc<dyn store::Documents>,
}

impl Judge {
    /// Wires a gate. What is weak is said on standard error.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) async fn new(basis: &Basis) -> Result<Self, Unusable> {
        let usage = |error: &dyn std::fmt::Display| Unusable::Usage(error.to_string());
        let Some(file) = &basis.config else {
            let policies = policies(basis).map_err(|error| usage(&error))?;
            for policy in policies.policies() {
                warn(&policy.weaknesses().into_iter().map(|(kind, sentence)| Weakness { kind, sentence }).collect::<Vec<_>>());
            }
            return Self::by(policies, basis).await;
        };
        if !basis.flags.is_empty() {
            return Err(usage(&"--config has the policies; leave out the flags that say who must have signed"));
        }
        let config = Config::elsewhere(file).map_err(|problems| usage(&problems))?;
        warn(&config.weaknesses);
        let trust = trust::watched(app::trust_roots(&config)).await?;
        Self {
            configured: Some(config.upstreams),
            ..Self::wired(config.gate, config.policies, trust, seen::facts(basis.first_seen_from.as_deref())?)?
        }
        .at(basis)
    }

    /// Wires a gate over these policies, and otherwise as `basis` says, a configuration aside.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) async fn by(policies: PolicySet, basis: &Basis) -> Result<Self, Unusable> {
        let trust = trust::watched(trust::config(basis.trusted_root.as_deref())).await?;
        Self::wired(gate::Config::default(), policies, trust, seen::facts(basis.first_seen_from.as_deref())?)?.at(basis)
    }

    /// One that finds images, at these upstreams or else where they say they are, and can judge none.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) fn finder(configured: Option<Vec<upstream::Config>>, plain_http: bool) -> Result<Self, Unusable> {
        let none = PolicySet::new(Vec::new(), Unmatched::Deny).map_err(|error| Unusable::Failed(error.to_string()))?;
        let trust = Arc::new(ArcSwap::from_pointee(TrustState::NotReady("nothing is judged here".to_owned())));
        Ok(Self { configured, plain_http, ..Self::wired(gate::Config::default(), none, trust, Arc::new(store::NoFacts))? })
    }

    /// A gate over these policies and under this trust root, which finds images where they say they are.
    ///
    /// # Errors
    /// [`Unusable`].
    pub(super) fn wired(
        gate: gate::Config,
        policies: PolicySet,
        trust: Arc<ArcSwap<TrustState>>,
        facts: Arc<dyn store::Facts>,
    ) -> Result<Self, Unusable> {
        // A refusal is not remembered, so that asking again asks again.
        let gate = gate::Config { refusal_ttl: Duration::ZERO, ..gate };
        Ok(Self {
            wiring: Wiring { gate, policies: Arc::new(ArcSwap::from_pointee(policies)), trust, facts },
            flags: Flags::default(),
            configured: None,
            bundles: None,
            layout_host: LAYOUT_HOST.parse().map_err(|error| Unusable::Failed(format!("{error}")))?,
            plain_http: false,
            connected: DashMap::new(),
        })
    }

    /// The same with what `basis` says of where images and evidence are.
    fn at(self, basis: &Basis) -> Result<Self, Unusable> {
        let bundles = match &basis.bundle[..] {
            [] => None,
            files => Some(Arc::new(Bundles::read(files).map_err(Unusable::Usage)?)),
        };
        let (layout_host, plain_http) = (basis.layout_host.clone(), basis.dangerous_plain_http);
        Ok(Self { bundles, layout_host, plain_http, flags: basis.flags.clone(), ..self })
    }

    /// The images that were asked about: a layout without a name stands for all of its own.
    ///
    /// # Errors
    /// A layout that cannot be read, or that has no image, or one without a name.
    pub(super) fn each(&self, images: &[Image]) -> Result<Vec<Image>, Unusable> {
        let mut all = Vec::new();
        for image in images {
            let (Place::Layout(directory), None) = (&image.place, &image.name) else {
                all.push(image.clone());
                continue;
            };
            let shown = path(directory);
            let failed = |why: &dyn std::fmt::Display| Unusable::Usage(format!("oci:{shown}: {why}"));
            let LayoutImages { named, nameless } = upstream::layout_images(directory).map_err(|error| failed(&error))?;
            if let Some(Nameless { digest, name }) = nameless {
                // Left out, it would be taken for admitted with all the others.
                let called = name.map_or_else(|| "without a name".into(), |name| format!("as `{}`", line(&name)));
                return Err(failed(&format_args!(
                    "index.json has {digest} {called}, which cannot be asked for: name it `REPOSITORY:TAG` or \
                     `REPOSITORY@{digest}` (org.opencontainers.image.ref.name), or ask for each image that has such a name"
                )));
            }
            if named.is_empty() {
                return Err(failed(&"names no image"));
            }
            for (repository, reference) in named {
                let (name, prefix) = layout_name(&repository).map_err(|why| failed(&why))?;
                let sign = if matches!(reference, Reference::Tag(_)) { ':' } else { '@' };
                let text = format!("oci:{}:{repository}{sign}{reference}", directory.display());
                all.push(Image { text, name: Some(name), prefix, reference: Some(reference), ..image.clone() });
            }
        }
        Ok(all)
    }

    /// What is judged: the image's name and its upstream. `None` where the command line names a registry the configuration
    /// does not have.
    ///
    /// # Errors
    /// What is wrong with the upstream.
    pub(super) fn find(&self, image: &Image) -> Result<(ImageName, Arc<dyn Upstream>), Unusable> {
        let usage = |error: &dyn std::fmt::Display| Unusable::Usage(line(&error.to_string()));
        let name = image.name.clone().ok_or_else(|| usage(&"a layout as a whole is no image"))?;
        // What the layout's own names say is taken as it is; for others the command line says it.
        let host = if image.place != Place::Registry && image.prefix.is_empty() { self.layout_host.clone() } else { name.host };
        let name = ImageName { host: host.clone(), repository: name.repository };
        let key = (image.place.clone(), host.clone(), image.prefix.clone());
        if let Some(source) = self.connected.get(&key) {
            return Ok((name, Arc::clone(&source.upstream)));
        }
        let config = match (&image.place, &self.configured) {
            (Place::Layout(directory), _) => {
                upstream::Config { host: host.clone(), location: Location::Layout(directory.clone()) }
            }
            (Place::Registry, Some(upstreams)) => {
                let found = upstreams.iter().find(|upstream| upstream.host == host);
                let found = found.cloned().ok_or_else(|| usage(&format_args!("the configuration has no upstream {host}")))?;
                as_from_here(found)
            }
            (Place::Registry, None) => registry(&host, self.plain_http).map_err(|error| usage(&error))?,
        };
        let inner = upstream::connect(&config).map_err(|error| usage(&error))?;
        let upstream: Arc<dyn Upstream> = match (&self.bundles, image.prefix.is_empty()) {
            (None, true) => inner,
            (bundles, _) => Arc::new(Lens { inner, host, prefix: image.prefix.clone(), bundles: bundles.clone() }),
        };
        self.connected.insert(key, self.wiring.source(Arc::clone(&upstream)));
        Ok((name, upstream))
    }

    fn source(&self, upstream: &Arc<dyn Upstream>) -> Source {
        let found = self.connected.iter().find(|source| Arc::ptr_eq(&source.upstream, upstream)).map(|source| source.clone());
        found.unwrap_or_else(|| self.wiring.source(Arc::clone(upstream)))
    }

    /// The gate that judges what is there.
    pub(super) fn gate(&self, upstream: &Arc<dyn Upstream>) -> Arc<Gate> {
        self.source(upstream).gate
    }

    /// What was kept while judging what is there.
    pub(super) fn documents(&self, upstream: &Arc<dyn Upstream>) -> Arc<dyn store::Documents> {
        self.source(upstream).documents
    }

    /// Takes the answers to what was asked ahead.
    pub(super) fn asked_ahead(&self, ahead: Arc<Ahead>) {
        let key = (Place::Registry, ahead.host().clone(), String::new());
        self.connected.insert(key, self.wiring.source(ahead));
    }

    /// What `reference` means now.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(super) async fn resolve(
        &self,
        name: &ImageName,
        upstream: &Arc<dyn Upstream>,
        reference: &Reference,
    ) -> Result<Digest, UpstreamError> {
        match reference {
            Reference::Digest(digest) => Ok(*digest),
            Reference::Tag(tag) => upstream.resolve(&name.repository, tag).await.map(|resolved| resolved.digest),
        }
    }

    /// Whether cosign would have found somebody by a regular expression that matches nobody here.
    pub(super) fn unanchored(&self, explanation: &Explanation) -> Option<String> {
        explanation.pieces.iter().find_map(|piece| match &piece.outcome {
            Outcome::Proved(proof) => self.flags.unanchored(&proof.subject, &proof.issuer),
            Outcome::SetAside { .. } => None,
        })
    }

    /// Why the trust root is not today's, if it is not.
    pub(super) fn stale(&self) -> Option<String> {
        trust::stale(&self.wiring.trust.load())
    }

    /// How many bundles of files are about what was refused, where there are such files.
    pub(super) fn given(&self, subject: &Digest) -> Option<String> {
        self.bundles.as_ref().map(|bundles| bundles.note(subject))
    }
}

/// A gate's upstream, asked from where a command runs.
fn as_from_here(upstream: upstream::Config) -> upstream::Config {
    let location = match upstream.location {
        Location::Registry(registry) => Location::Registry(RegistryConfig { proxy: Some(Proxy::of_environment()), ..registry }),
        Location::Layout(directory) => Location::Layout(directory),
    };
    upstream::Config { location, ..upstream }
}

fn warn(weaknesses: &[Weakness]) {
    for weakness in weaknesses {
        // What nobody can meet here weakens nothing: listeners and files of a configuration are left alone.
        if !matches!(weakness.kind, "open_admin" | "open_listener" | "readable_secret") {
            tell(&format_args!("warning[{}]: {}", weakness.kind, line(&weakness.sentence)));
        }
    }
}

/// The policies of files, or those that flags ask for.
fn policies(basis: &Basis) -> Result<PolicySet, String> {
    if basis.policy.is_empty() {
        return basis.flags.policies();
    }
    if !basis.flags.is_empty() {
        return Err("--policy says who must have signed; leave out the flags that say it too".into());
    }
    Config::policies(&basis.policy, &trust::roots(basis.trusted_root.as_deref())).map_err(|problems| problems.to_string())
}
