//! A whole gate in the process, on port 0, over the recorded layout.

use std::{net::SocketAddr, path::Path};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::*;

pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme")
}

pub(super) async fn load(file: &Path) -> Result<Config, StartError> {
    Ok(read(file).await.config?)
}

/// A directory with a configuration and a policy in it.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.path().join("policies")).unwrap();
        home.write(&home.config());
        std::fs::write(home.policy_file(), home.policy()).unwrap();
        home
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path().join("pullgate.yaml")
    }

    pub(super) fn policy_file(&self) -> PathBuf {
        self.path().join("policies/acme.yaml")
    }

    pub(super) fn write(&self, config: &str) {
        std::fs::write(self.file(), config).unwrap();
    }

    pub(super) fn config(&self) -> String {
        let fixtures = fixtures();
        let fixtures = fixtures.display();
        format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntrust_root: {fixtures}/trusted_root.json\n\
             store: {{path: store, max_size: 1GiB}}\n\
             upstreams:\n  - host: registry.acme.test\n    layout: {fixtures}/registry\n\
             policies: [policies/*.yaml]\n"
        )
    }

    pub(super) fn policy(&self) -> String {
        "name: acme-release\nimages: [\"registry.acme.test/**\"]\nsignatures:\n  - keyless:\n      \
         issuer: https://token.actions.githubusercontent.com\n      \
         subject: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main\n"
            .to_owned()
    }

    pub(super) async fn live(&self, config: &Config) -> (Live, Arc<ArcSwap<TrustState>>) {
        let Watched { state, roots } = verify::trust_root::watch(trust_roots(config)).await.unwrap();
        (Live::new(config, None, roots).await.unwrap(), state)
    }
}

/// Asks over a connection that stays open; the response's status line and body.
async fn ask(stream: &mut TcpStream, path: &str) -> (String, String) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(Duration::from_secs(30), stream.read_u8()).await.expect("no answer").unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head.lines().next().unwrap().to_owned(), String::from_utf8(body).unwrap())
}

async fn get(addr: SocketAddr, path: &str) -> (String, String) {
    ask(&mut TcpStream::connect(addr).await.unwrap(), path).await
}

const SIGNED: &str = "/v2/registry.acme.test/acme/app/manifests/v1";
const UNSIGNED: &str = "/v2/registry.acme.test/acme/unsigned/manifests/v1";

#[tokio::test]
async fn o7_a_changed_policy_decides_the_next_request_on_the_same_connection() {
    let home = Home::new();
    let running = start_from(home.file()).await.unwrap();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    assert!(ask(&mut stream, SIGNED).await.0.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut stream, UNSIGNED).await.0.starts_with("HTTP/1.1 403"));

    // Replaced as editors do; nobody sends a signal.
    let new = home.path().join("policies/.acme.yaml.new");
    std::fs::write(&new, home.policy().replace("heads/main", "heads/other")).unwrap();
    std::fs::rename(&new, home.policy_file()).unwrap();
    let changed = async {
        while !ask(&mut stream, SIGNED).await.0.starts_with("HTTP/1.1 403") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), changed).await.expect("the old policy still decides");
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn d4_a_denied_image_is_refused_within_a_second_of_the_files_change_and_served_again_when_it_is_lifted() {
    let home = Home::new();
    let deny = home.path().join("deny.yaml");
    std::fs::write(&deny, "[]").unwrap();
    home.write(&(home.config() + "deny: [deny.yaml]\n"));
    let running = start_from(home.file()).await.unwrap();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let (status, body) = ask(&mut stream, SIGNED).await;
    assert!(status.starts_with("HTTP/1.1 200"));
    let digest = crate::oci::Digest::sha256(body.as_bytes());
    let by_digest = format!("/v2/registry.acme.test/acme/app/manifests/{digest}");
    assert!(ask(&mut stream, &by_digest).await.0.starts_with("HTTP/1.1 200"));

    for (text, wanted) in
        [(format!("- {{digest: \"{digest}\", reason: INC-1}}\n"), "HTTP/1.1 403"), ("[]".into(), "HTTP/1.1 200")]
    {
        let began = std::time::Instant::now();
        std::fs::write(&deny, text).unwrap();
        let changed = async {
            while !ask(&mut stream, &by_digest).await.0.starts_with(wanted) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), changed).await.expect("the old list still decides");
        assert!(began.elapsed() < Duration::from_secs(1), "{wanted} after {:?}", began.elapsed());
        assert!(ask(&mut stream, SIGNED).await.0.starts_with(wanted), "by tag too");
    }
    // A list that cannot be read is refused whole: what was denied stays denied.
    std::fs::write(&deny, format!("- {{digest: \"{digest}\", reason: INC-1}}\n")).unwrap();
    running.reload();
    let denied = async {
        while !ask(&mut stream, &by_digest).await.0.contains("denied by the deny-list: INC-1") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), denied).await.expect("not denied");
    std::fs::write(&deny, "").unwrap();
    running.reload();
    sleep(Duration::from_millis(700)).await;
    assert!(ask(&mut stream, &by_digest).await.0.starts_with("HTTP/1.1 403"));
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn d4_the_deny_list_of_a_configuration_that_is_refused_is_watched_where_it_lies() {
    let home = Home::new();
    let running = start_from(home.file()).await.unwrap();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let (_, body) = ask(&mut stream, SIGNED).await;
    let digest = crate::oci::Digest::sha256(body.as_bytes());
    for named in ["wild/*.yaml", "named/list.yaml"] {
        // A policy that is half written, and a list in another directory than any before; one is not there yet.
        let directory = home.path().join(named).parent().unwrap().to_owned();
        std::fs::create_dir(&directory).unwrap();
        if named.starts_with("wild") {
            std::fs::write(directory.join("other.yaml"), "[]").unwrap();
        }
        std::fs::write(home.policy_file(), "name: [").unwrap();
        home.write(&format!("{}deny: [{named}]\n", home.config()));
        sleep(Duration::from_millis(1_500)).await;
        for (text, wanted) in
            [(format!("- {{digest: \"{digest}\", reason: INC-1}}\n"), "HTTP/1.1 403"), ("[]".into(), "HTTP/1.1 200")]
        {
            std::fs::write(directory.join("list.yaml"), text).unwrap();
            let changed = async {
                while !ask(&mut stream, SIGNED).await.0.starts_with(wanted) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(Duration::from_secs(10), changed).await.expect("the list is not in force");
        }
    }
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn o6_what_mends_a_configuration_that_is_refused_is_watched_where_it_lies() {
    let home = Home::new();
    let running = start_from(home.file()).await.unwrap();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    std::fs::create_dir(home.path().join("more")).unwrap();
    let other = home.policy().replace("name: acme-release", "name: other").replace("heads/main", "heads/other");
    std::fs::write(home.path().join("more/x.yaml"), other.replace("name:", "nmae:")).unwrap();
    home.write(&home.config().replace("policies/*.yaml", "policies/*.yaml, more/*.yaml"));
    sleep(Duration::from_millis(1_500)).await;
    assert!(ask(&mut stream, SIGNED).await.0.starts_with("HTTP/1.1 200"), "refused");
    std::fs::write(home.path().join("more/x.yaml"), other).unwrap();
    let changed = async {
        while !ask(&mut stream, SIGNED).await.0.starts_with("HTTP/1.1 403") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), changed).await.expect("the old policies still decide");
    assert!(running.shutdown().await);
}

#[tokio::test]
async fn o6_a_bad_new_file_changes_nothing_for_clients() {
    let home = Home::new();
    let running = start_from(home.file()).await.unwrap();
    home.write("listen: [");
    running.reload();
    // Longer than the quiet a change is waited for.
    sleep(Duration::from_millis(500)).await;
    assert!(get(running.addr, SIGNED).await.0.starts_with("HTTP/1.1 200"));
    assert!(get(running.admin_addr, "/readyz").await.0.starts_with("HTTP/1.1 200"));
    let (_, metrics) = get(running.admin_addr, "/metrics").await;
    assert!(metrics.contains("pullgate_reloads_total{outcome=\"refused\"}"), "{metrics}");
}

#[tokio::test]
async fn o10_each_weakness_that_a_policy_may_have_is_a_gauge() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let home = Home::new();
    let weak = "name: weak\nimages: [\"registry.acme.test/**\"]\nmode: audit\ndangerous_no_signature: true\n\
                dangerous_no_attestation: true\nexceptions:\n  - {dangerous_repository: registry.acme.test/acme/old, reason: J-1, \
                expires: 2999-01-31}\n";
    std::fs::write(home.policy_file(), weak).unwrap();
    say_weaknesses(&load(&home.file()).await.unwrap());
    let text = recorder.handle().render();
    for (what, is) in [
        ("audit", 1),
        ("dangerous_no_attestation", 1),
        ("dangerous_no_signature", 1),
        ("dangerous_repository", 1),
        ("any_identity", 0),
    ] {
        assert!(text.contains(&format!("pullgate_weakness{{what=\"{what}\"}} {is}\n")), "{what}\n{text}");
    }
}

#[tokio::test]
async fn o12_while_draining_readyz_is_red_and_an_open_request_is_answered() {
    let home = Home::new();
    let running = start(load(&home.file()).await.unwrap()).await.unwrap();
    let (addr, admin) = (running.addr, running.admin_addr);
    let (status, body) = get(admin, "/readyz").await;
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "ready\ngate: ok\ntrust root: ok\n"));

    let mut open = TcpStream::connect(addr).await.unwrap();
    assert!(ask(&mut open, "/v2/").await.0.starts_with("HTTP/1.1 200"));
    open.write_all(format!("GET {SIGNED} HTTP/1.1\r\nHo").as_bytes()).await.unwrap();
    // Until the server has read the half: a connection that idles is closed at once.
    sleep(Duration::from_millis(100)).await;
    let ending = tokio::spawn(running.shutdown());
    let refused = async {
        while TcpStream::connect(addr).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.expect("still accepting");
    let (status, body) = get(admin, "/readyz").await;
    assert!(status.starts_with("HTTP/1.1 503") && body.contains("gate: missing: draining"), "{status}\n{body}");
    open.write_all(b"st: test\r\n\r\n").await.unwrap();
    assert!(answer(&mut open).await.0.starts_with("HTTP/1.1 200"));
    assert!(ending.await.unwrap(), "all ended by themselves");
}

#[tokio::test]
async fn j6_paths_and_methods_of_all_kinds_make_no_new_series() {
    let home = Home::new();
    let running = start(load(&home.file()).await.unwrap()).await.unwrap();
    let mut stream = TcpStream::connect(running.addr).await.unwrap();
    let canary = "canaryoflabels";
    for n in 0..200 {
        for path in [format!("/v2/{canary}{n}/manifests/x{n}"), format!("/{canary}{n}"), format!("{SIGNED}{canary}{n}")] {
            let _ = ask(&mut stream, &path).await;
        }
    }
    let (_, metrics) = get(running.admin_addr, "/metrics").await;
    assert!(!metrics.contains(canary));
    let series = metrics.lines().filter(|line| line.starts_with("pullgate_requests_total")).count();
    assert!((1..100).contains(&series), "{series} series");
}

#[tokio::test]
async fn a_store_in_use_is_said_plainly_and_is_no_fault_of_the_configuration() {
    let home = Home::new();
    let _running = start(load(&home.file()).await.unwrap()).await.unwrap();
    let error = start(load(&home.file()).await.unwrap()).await.unwrap_err();
    assert!(!error.is_configuration());
    assert_eq!(error.to_string(), format!("store {} is in use by another process", home.path().join("store").display()));
}
