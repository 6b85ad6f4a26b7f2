//! The only file that knows every concrete type: configuration → wired parts → run until drained.

mod reload;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use self::reload::{First, Origin, Reloads};
use crate::{
    config::{Config, Denials, Problem, Problems, Reading, Sources},
    gate::Gate,
    policy::PolicySet,
    registry::{Registry, Routes},
    server::{
        self, Bound, Server, Stats, Tls,
        admin::{Admin, Check, State},
    },
    stack::stack,
    store::{self, Documents, Facts, Store},
    telemetry::{self, Metrics},
    upstream::{self, Upstream},
    verify::{
        self, TrustRootError, TrustState,
        trust_root::{TrustRootConfig, TrustRoots, Watched},
    },
};

/// Why the gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] server::BindError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] Box<store::StoreError>),
    /// The operating system said no.
    #[error("{0}")]
    System(std::io::Error),
    /// A task of the start was lost.
    #[error("the start was interrupted: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// Certificates cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] server::TlsError),
    /// The trust root cannot be used.
    #[error(transparent)]
    TrustRoot(#[from] TrustRootError),
    /// An upstream cannot be set up.
    #[error(transparent)]
    Upstream(#[from] upstream::SetupError),
}

impl StartError {
    /// Whether what was configured is at fault: exit code 64 rather than 1.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::Tls(_) | Self::TrustRoot(_) | Self::Upstream(_) => true,
            Self::Bind(_) | Self::Store(_) | Self::System(_) | Self::Task(_) => false,
        }
    }
}

/// Every kind of weakness there is: a gauge says 0 as well as 1, so that an alert can rely on the series.
const WEAKNESSES: [&str; 12] = [
    "any_identity",
    "audit",
    "dangerous_allow",
    "dangerous_no_attestation",
    "dangerous_no_log",
    "dangerous_no_sct",
    "dangerous_no_signature",
    "dangerous_repository",
    "open_admin",
    "open_listener",
    "plain_http",
    "readable_secret",
];

/// How often Sigstore's trust root is asked for.
const TRUST_REFRESH: Duration = Duration::from_secs(4 * 3600);

/// How soon Sigstore's trust root is asked for again after it could not be had.
const TRUST_RETRY: Duration = Duration::from_secs(60);

/// How long Sigstore's trust root may go without an answer before nothing is judged any more.
const TRUST_HARD_STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far the start or the end is, for `/readyz`.
#[derive(Debug, Default)]
struct Progress(AtomicU8);

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

/// What a reload swaps.
#[derive(Debug)]
struct Live {
    policies: Arc<ArcSwap<PolicySet>>,
    routes: Arc<ArcSwap<Routes>>,
    tls: Option<Arc<Tls>>,
    trust: TrustRoots,
}

impl Live {
    async fn new(config: &Config, tls: Option<Arc<Tls>>, trust: TrustRoots) -> Result<Self, StartError> {
        Ok(Self {
            policies: Arc::new(ArcSwap::from_pointee(config.policies.clone())),
            routes: Arc::new(ArcSwap::from_pointee(routes(config).await?)),
            tls,
            trust,
        })
    }
}

/// A gate that answers. Dropped, it ends at once; see [`shutdown`](Self::shutdown).
#[derive(Debug)]
pub struct Running {
    /// Where clients connect; the port is the real one when 0 was configured.
    pub addr: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin_addr: SocketAddr,
    client: Server,
    admin: Server,
    progress: Arc<Progress>,
    drain: Duration,
    asked: Arc<Notify>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// Starts a gate from a configuration file, and reads it again when it or a file it names changes.
///
/// # Errors
/// [`StartError`].
pub async fn start_from(file: PathBuf) -> Result<Running, StartError> {
    let First { config, origin } = First::read(file).await?;
    build(config, Some(origin)).await
}

/// Starts a gate from a configuration that is never reloaded. Ports may be 0.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    build(config, None).await
}

impl Running {
    /// Reads the configuration again, in the background: what is wrong with it is logged and the old one stays.
    /// Does nothing when the gate was not started from a file.
    pub fn reload(&self) {
        self.asked.notify_one();
    }

    /// Stops accepting, lets open requests end within the configured `drain`, then closes what is left. `/readyz` says so
    /// meanwhile. Gives whether all ended by themselves.
    pub async fn shutdown(self) -> bool {
        self.progress.0.store(DRAINING, Ordering::Relaxed);
        tracing::info!(drain = ?self.drain, "no longer accepting; open requests may end");
        let ended = self.client.drain(self.drain).await;
        if !ended {
            tracing::warn!("requests were still open after the drain time and were cut off");
        }
        let _ = self.admin.drain(Admin::limits().drain).await;
        tracing::info!("ended");
        ended
    }
}

async fn read(file: &Path) -> Reading {
    let path = file.to_owned();
    tokio::task::spawn_blocking(move || Config::read(&path)).await.unwrap_or_else(|error| {
        let message = format!("reading it was interrupted: {error}");
        let problem = Problem { file: file.to_owned(), line: 0, column: 0, key: String::new(), message };
        Reading { config: Err(Problems(vec![problem])), denials: Denials::default(), sources: Sources::default() }
    })
}

async fn build(config: Config, origin: Option<Origin>) -> Result<Running, StartError> {
    let metrics = Metrics::installed();
    // First of all: a port that is taken is the first thing said, and nobody else can take ours meanwhile.
    let admin = Bound::bind(config.server.admin)?;
    let client = Bound::bind(config.server.listen)?;
    let (addr, admin_addr) = (client.address(), admin.address());
    let tls = config.server.tls.as_ref().map(Tls::load).transpose()?.map(Arc::new);
    raise_descriptor_limit(config.server.limits.connections);

    // The admin listener answers while the rest starts.
    let progress = Arc::new(Progress::default());
    let stats = Arc::new(Stats::default());
    let trust_seen: Arc<ArcSwap<Option<Arc<ArcSwap<TrustState>>>>> = Arc::default();
    let admin_service = {
        let (progress, trust_seen) = (Arc::clone(&progress), Arc::clone(&trust_seen));
        let (stats, metrics) = (Arc::clone(&stats), metrics.clone());
        Admin::new(
            move || checks(&progress, &trust_seen),
            move || {
                metrics::gauge!(telemetry::CONNECTIONS).set(stats.connections() as f64);
                metrics::gauge!(telemetry::IN_FLIGHT).set(stats.in_flight() as f64);
                metrics.render()
            },
        )
    };
    let admin = Server::start(admin, None, Admin::limits(), Arc::default(), admin_service);
    say_weaknesses(&config);

    // The store before the trust root, whose last good state lies in it: the lock is what keeps a second gate away.
    let store_config = config.store.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(store_config).map_err(Box::new)).await??;
    if tls.is_some() {
        // TLS reads what it encrypts: a mapped page that the disk cannot give would be a signal, not an error.
        store.never_map();
    }
    let Watched { state: trust, roots } = verify::trust_root::watch(trust_roots(&config)).await?;
    trust_seen.store(Arc::new(Some(Arc::clone(&trust))));
    let live = Live::new(&config, tls.clone(), roots).await?;

    let documents: Arc<dyn Documents> = Arc::clone(&store) as Arc<dyn Documents>;
    let facts: Arc<dyn Facts> = Arc::clone(&store) as Arc<dyn Facts>;
    let gate = Gate::new(config.gate.clone(), documents, facts, Arc::clone(&live.policies), trust);
    let registry = Registry::new(config.registry.clone(), gate, store, Arc::clone(&live.routes), Arc::clone(&live.policies));
    let limits = config.server.limits.clone();
    let drain = limits.drain;
    let service = stack(registry, &limits, Arc::clone(&stats));
    let client = Server::start(client, tls, limits, stats, service);
    progress.0.store(SERVING, Ordering::Relaxed);
    tracing::info!(%addr, admin = %admin_addr, tls = live.tls.is_some(), "serving");

    let asked = Arc::new(Notify::new());
    let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(async move { metrics.keep_up().await }))];
    if let Some(origin) = origin {
        let reloads = Reloads::new(config, origin, live);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(reloads.run(Arc::clone(&asked)))));
    }
    Ok(Running { addr, admin_addr, client, admin, progress, drain, asked, _tasks: tasks })
}

fn checks(progress: &Progress, trust: &ArcSwap<Option<Arc<ArcSwap<TrustState>>>>) -> Vec<Check> {
    let gate = match progress.0.load(Ordering::Relaxed) {
        STARTING => State::Missing("starting: the store is being opened and swept".to_owned()),
        SERVING => State::Good,
        _ => State::Missing("draining: open requests may end, new ones are not accepted".to_owned()),
    };
    let trust = match trust.load().as_ref() {
        None => State::Missing("not loaded yet".to_owned()),
        Some(trust) => match trust.load().as_ref() {
            TrustState::NotReady(why) => State::Missing(why.clone()),
            TrustState::Ready { stale: Some(why), .. } => State::Warning(why.clone()),
            TrustState::Ready { stale: None, .. } => State::Good,
        },
    };
    vec![Check { name: "gate", state: gate }, Check { name: "trust root", state: trust }]
}

/// The trust room's configuration.
pub(crate) fn trust_roots(config: &Config) -> TrustRootConfig {
    TrustRootConfig {
        roots: config.trust_roots.clone(),
        cache_dir: config.store.path.join("trust"),
        refresh: TRUST_REFRESH,
        retry: TRUST_RETRY,
        hard_stale: TRUST_HARD_STALE,
    }
}

/// Every upstream, set up.
async fn routes(config: &Config) -> Result<Routes, StartError> {
    let upstreams = config.upstreams.clone();
    let connect = move || upstreams.iter().map(upstream::connect).collect::<Result<Vec<Arc<dyn Upstream>>, _>>();
    let upstreams = tokio::task::spawn_blocking(connect).await??;
    let default = match (&config.default_upstream, &config.upstreams[..]) {
        (Some(host), _) => Some(host.clone()),
        (None, [only]) => Some(only.host.clone()),
        (None, _) => None,
    };
    Ok(Routes { upstreams, default })
}

/// Says what is weak and what is probably not meant, and counts the former by kind.
fn say_weaknesses(config: &Config) {
    for weakness in &config.weaknesses {
        tracing::warn!(kind = weakness.kind, "{weakness}");
    }
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    debug_assert!(config.weaknesses.iter().all(|weakness| WEAKNESSES.contains(&weakness.kind)), "a kind without a series");
    for kind in WEAKNESSES {
        let configured = config.weaknesses.iter().any(|weakness| weakness.kind == kind);
        metrics::gauge!(telemetry::WEAKNESS, "what" => kind).set(f64::from(u8::from(configured)));
    }
}

/// Lets the process open as many files as it is allowed to: many systems start services at 1,024 of 524,288.
pub(crate) fn raise_descriptor_limit(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    if let Some(maximum) = limit.maximum
        && maximum < connections as u64
    {
        tracing::warn!(maximum, connections, "fewer files may be open than connections are allowed");
    }
}
