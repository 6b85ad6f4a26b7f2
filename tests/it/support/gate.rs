//! A gate, in this process or as the built binary, configured by the files a user would write.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::layout::{cases, fixtures};

/// The host the recorded images are named by.
pub const HOST: &str = "registry.acme.test";

/// What to write into the files.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `url: …` or `layout: …`, as lines under the upstream.
    pub upstream: String,
    pub identity: String,
    pub trust_root: String,
    /// The policy, where it is not the ordinary one about `identity`.
    pub policy: Option<String>,
    /// A policy file of its own, for images made here that nobody signed.
    pub bulk: bool,
    /// What the deny-list says, where there is one.
    pub deny: Option<String>,
}

impl Setup {
    pub fn url(addr: SocketAddr) -> Self {
        Self::new(format!("url: http://{addr}\n    plain_http: dangerous"))
    }

    pub fn layout(path: &Path) -> Self {
        Self::new(format!("layout: {}", path.display()))
    }

    fn new(upstream: String) -> Self {
        Self {
            upstream,
            identity: cases().identity,
            trust_root: fixtures().join("trusted_root.json").display().to_string(),
            policy: None,
            bulk: false,
            deny: None,
        }
    }

    pub fn identity(self, identity: &str) -> Self {
        Self { identity: identity.into(), ..self }
    }

    pub fn trust_root(self, trust_root: &str) -> Self {
        Self { trust_root: trust_root.into(), ..self }
    }

    /// Under this policy.
    pub fn policy(self, policy: &str) -> Self {
        Self { policy: Some(policy.into()), ..self }
    }

    /// Also serve `bulk/**`, unsigned, as images of a size no fixture has.
    pub fn bulk(self) -> Self {
        Self { bulk: true, ..self }
    }

    /// With a deny-list, `deny.yaml`.
    pub fn deny(self, text: &str) -> Self {
        Self { deny: Some(text.into()), ..self }
    }

    /// Writes the files into `folder` and answers the configuration's path.
    pub fn write(&self, folder: &Path) -> std::path::PathBuf {
        let issuer = cases().issuer;
        let Self { upstream, identity, trust_root, policy, bulk, deny } = self;
        let ordinary = format!(
            "name: acme-release\nimages: [\"{HOST}/acme/**\"]\nsignatures:\n  - keyless:\n      issuer: {issuer}\n      subject: {identity}\n"
        );
        std::fs::write(folder.join("acme.yaml"), policy.as_ref().unwrap_or(&ordinary)).unwrap();
        if *bulk {
            std::fs::write(
                folder.join("bulk.yaml"),
                format!(
                    "name: bulk\nimages: [\"{HOST}/bulk/**\"]\ndangerous_no_signature: true\ndangerous_no_attestation: true\n"
                ),
            )
            .unwrap();
        }
        let config = folder.join("pullgate.yaml");
        let deny = deny.as_ref().map_or("", |text| {
            std::fs::write(folder.join("deny.yaml"), text).unwrap();
            "deny: [deny.yaml]\n"
        });
        let policies = if *bulk { "[acme.yaml, bulk.yaml]" } else { "[acme.yaml]" };
        std::fs::write(
            &config,
            format!(
                "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust_root: {trust_root}\nstore: {{path: store, max_size: 4GiB}}\n\
                 upstreams:\n  - host: {HOST}\n    {upstream}\npolicies: {policies}\n{deny}"
            ),
        )
        .unwrap();
        config
    }
}

/// A gate in this process.
#[derive(Debug)]
pub struct Gate {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    running: Option<pullgate::app::Running>,
    folder: TempDir,
}

impl Gate {
    pub async fn start(setup: &Setup) -> Self {
        Self::start_in(setup, TempDir::new().unwrap()).await
    }

    pub async fn start_in(setup: &Setup, folder: TempDir) -> Self {
        let config = pullgate::config::Config::load(&setup.write(folder.path())).unwrap_or_else(|problems| panic!("{problems}"));
        let running = pullgate::app::start(config).await.unwrap_or_else(|error| panic!("{error}"));
        Self { addr: running.addr, admin: running.admin_addr, running: Some(running), folder }
    }

    /// One that reads its files again when they change.
    pub async fn watching(setup: &Setup) -> Self {
        let folder = TempDir::new().unwrap();
        setup.write(folder.path());
        Self::watching_in(folder).await
    }

    /// The same, from the files that are there.
    pub async fn watching_in(folder: TempDir) -> Self {
        let config = folder.path().join("pullgate.yaml");
        let running = pullgate::app::start_from(config).await.unwrap_or_else(|error| panic!("{error}"));
        Self { addr: running.addr, admin: running.admin_addr, running: Some(running), folder }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it and hands back its folder, store and all.
    pub async fn stop(mut self) -> TempDir {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
        self.folder
    }
}

/// A gate as the built binary, to be killed.
#[derive(Debug)]
pub struct Process {
    pub addr: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts the binary on `folder`'s configuration and waits until it says where it listens.
    pub fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(config)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let addr = loop {
            let Some(Ok(line)) = lines.next() else { panic!("the gate ended before it listened:\n{}", said.join("\n")) };
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "serving" {
                break event["addr"].as_str().unwrap().parse().unwrap();
            }
            said.push(line);
        };
        // Keep reading, so that the gate never blocks on a full pipe.
        std::thread::spawn(move || for _ in lines {});
        Self { addr, child }
    }

    /// What it has of anonymous memory, in bytes.
    pub fn anonymous(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for `condition`, a little at a time, at most ten seconds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
