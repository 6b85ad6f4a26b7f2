//! The command as a person or a service manager meets it: exit codes, signals, what is printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

fn pullgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pullgate")).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a configuration over the recorded layout.
struct Home(tempfile::TempDir);

impl Home {
    fn new(listen: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme");
        let fixtures = fixtures.display();
        let config = format!(
            "listen: {listen}\nadmin: 127.0.0.1:0\ntrust_root: {fixtures}/trusted_root.json\n\
             store: {{path: store, max_size: 1GiB}}\n\
             upstreams:\n  - host: registry.acme.test\n    layout: {fixtures}/registry\n\
             policies: [acme.yaml]\n"
        );
        std::fs::write(home.file(), config).unwrap();
        let policy = "name: acme-release\nimages: [\"registry.acme.test/**\"]\nsignatures:\n  - keyless:\n      \
                      issuer: https://token.actions.githubusercontent.com\n      \
                      subject: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main\n";
        std::fs::write(home.0.path().join("acme.yaml"), policy).unwrap();
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("pullgate.yaml")
    }

    fn serve(&self) -> Output {
        pullgate(&["serve", "--config", self.file().to_str().unwrap()])
    }
}

/// A gate that serves, and its log so far.
struct Served {
    child: Child,
    log: BufReader<ChildStderr>,
    seen: Vec<serde_json::Value>,
}

impl Served {
    fn start(home: &Home) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(home.file())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, seen: Vec::new() }
    }

    /// The next event that says `what`. Every line is JSON, or this panics (J1).
    fn event(&mut self, what: &str) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "never said {what:?}: {:#?}", self.seen);
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            self.seen.push(event.clone());
            if event["message"].as_str().is_some_and(|message| message.contains(what)) {
                return event;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_command_line_that_cannot_be_used_is_64_and_help_is_0() {
    for wrong in [&[][..], &["serve"], &["serve", "--config"], &["serve", "--config", "x", "--typo"], &["unknown"]] {
        let output = pullgate(wrong);
        assert_eq!(code(&output), 64, "{wrong:?}");
        assert!(!stderr(&output).is_empty() && output.stdout.is_empty(), "{wrong:?}");
    }
    for right in [&["--help"][..], &["--version"], &["serve", "--help"]] {
        assert_eq!(code(&pullgate(right)), 0, "{right:?}");
    }
}

#[test]
fn help_names_every_exit_code_and_no_flag_that_is_always_refused() {
    let help = |arguments: &[&str]| {
        let text = String::from_utf8(pullgate(arguments).stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let all = help(&["--help"]);
    for code in [
        "0 admitted or done",
        "1 refused or failed",
        "2 it could not be told",
        "3 imported, and something is lost",
        "64 a command line",
    ] {
        assert!(all.contains(code), "{code} in {all}");
    }
    let init = help(&["policy", "init", "--help"]);
    for flag in ["--config", "--policy", "--bundle"] {
        assert!(!init.contains(&format!("{flag} <FILE>")), "{flag} in {init}");
        // Told what to do instead, all the same.
        let output = pullgate(&["policy", "init", flag, "any", "ghcr.io/acme/app:v1"]);
        let told = stderr(&output);
        assert_eq!(code(&output), 64, "{told}");
        assert!(told.contains("a policy is there already") || told.contains("evidence of a file is not recorded"), "{told}");
    }
    assert!(init.contains("--trusted-root <FILE>") && help(&["verify", "--help"]).contains("--bundle <FILE>"));
}

#[test]
fn j3_what_others_put_into_arguments_begins_no_line_and_moves_no_terminal() {
    for (arguments, told) in [
        (&["verify", "-R", "a/b", "x:\n::error::pwned\u{1b}[31m"][..], "::error::pwned"),
        (&["policy", "test", "a.yaml", "--junit\n::error::pwned"], "::error::pwned"),
        (
            &[
                "verify",
                "-R",
                "a/b",
                "--trusted-root",
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/acme/trusted_root.json"),
                "oci:nowhere\n::error::pwned",
            ],
            "oci:nowhere\\n::error::pwned",
        ),
    ] {
        let output = pullgate(arguments);
        assert_eq!(code(&output), 64);
        let text = stderr(&output);
        assert!(text.contains(told) && !text.contains('\u{1b}'), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("::")), "{text}");
    }
}

#[test]
fn o9_a_bad_configuration_is_64_and_every_problem_has_its_line() {
    let home = Home::new("nowhere");
    let mut file = std::fs::OpenOptions::new().append(true).open(home.file()).unwrap();
    writeln!(file, "unmached: deny\ntag_ttl: soon").unwrap();
    let output = home.serve();
    assert_eq!(code(&output), 64);
    let told = stderr(&output);
    for (line, key) in [(1, "listen"), (9, "unmached"), (10, "tag_ttl")] {
        let place = format!("pullgate.yaml:{line}:");
        assert!(told.lines().any(|problem| problem.contains(&place) && problem.contains(key)), "{place} {key} in\n{told}");
    }
    let output = pullgate(&["serve", "--config", "/nonexistent/pullgate.yaml"]);
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("/nonexistent/pullgate.yaml"));
}

#[test]
fn a_port_in_use_is_said_plainly_and_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Home::new(&address).serve();
    assert_eq!(code(&output), 1);
    let wanted = format!("cannot listen on {address}: the address is already in use by another process\n");
    assert!(stderr(&output).ends_with(&wanted), "{}", stderr(&output));
}

#[test]
fn a_store_in_use_is_said_plainly_and_is_1() {
    let home = Home::new("127.0.0.1:0");
    let mut served = Served::start(&home);
    served.event("serving");
    let output = home.serve();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("is in use by another process"), "{}", stderr(&output));
}

#[test]
fn o12_sigterm_and_sigint_end_with_0_and_sighup_reloads() {
    for end in [Signal::TERM, Signal::INT] {
        let home = Home::new("127.0.0.1:0");
        let mut served = Served::start(&home);
        let address = served.event("serving")["addr"].as_str().unwrap().to_owned();
        served.signal(Signal::HUP);
        served.event("configuration reloaded");
        std::fs::write(home.file(), "listen: [").unwrap();
        served.signal(Signal::HUP);
        served.event("refused; the old one stays");

        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

        served.signal(end);
        served.event("ended");
        assert_eq!(served.end(), Some(0));
    }
}

#[test]
fn o12_a_second_signal_ends_at_once() {
    let home = Home::new("127.0.0.1:0");
    let mut served = Served::start(&home);
    let address = served.event("serving")["addr"].as_str().unwrap().to_owned();
    // Half a request, which draining waits for.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/ HT").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    stream.write_all(b"TP/1.1\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    served.signal(Signal::TERM);
    served.event("no longer accepting");
    let asked = std::time::Instant::now();
    served.signal(Signal::TERM);
    served.event("told twice");
    assert_eq!(served.end(), Some(1), "not all ended well");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn j1_what_clients_send_stays_within_its_line_of_the_log() {
    let home = Home::new("127.0.0.1:0");
    let mut served = Served::start(&home);
    let address = served.event("serving")["addr"].as_str().unwrap().to_owned();
    for path in ["/v2/registry.acme.test/acme/app/manifests/v1%0A%7B%22forged%22:1%7D", "/v2/a%00b/manifests/%1B[31m"] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: a\tb\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    served.signal(Signal::TERM);
    served.event("ended");
    assert!(served.seen.iter().all(|event| event.get("forged").is_none()));
}

#[test]
fn policy_check_tells_every_problem_with_its_place_and_every_weakness_with_its_id() {
    let home = Home::new("127.0.0.1:0");
    let folder = home.0.path();
    let policies = folder.join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::copy(folder.join("acme.yaml"), policies.join("acme.yaml")).unwrap();
    let check = |extra: &[&str]| pullgate(&[&["policy", "check", policies.to_str().unwrap()], extra].concat());
    let output = check(&[]);
    assert_eq!((code(&output), output.stdout.as_slice()), (0, &b""[..]), "{}", stderr(&output));

    let weak = "name: weak\nimages: [\"*/**\"]\nmode: audit\ndangerous_no_signature: true\ndangerous_no_attestation: true\n";
    std::fs::write(policies.join("weak.yaml"), weak).unwrap();
    let output = check(&["--output", "json"]);
    assert_eq!(code(&output), 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["audit", "dangerous_no_signature", "dangerous_no_attestation", "every_image"]);
    assert_eq!(report["policies"][1]["mode"], "audit");
    assert_eq!(code(&check(&["--deny", "audit"])), 1);
    assert_eq!(code(&check(&["--deny", "warning"])), 1);
    assert_eq!(code(&check(&["--deny", "any_identity"])), 0);

    std::fs::write(policies.join("twice.yaml"), "name: weak\nimages: []\nimagess: 1\n---\n").unwrap();
    let output = check(&[]);
    assert_eq!(code(&output), 64);
    let told = String::from_utf8(output.stdout).unwrap();
    for problem in
        ["twice.yaml:2:9: images: an empty list", "twice.yaml:3:1: imagess: unknown key", "warning[audit]: policy weak"]
    {
        assert!(told.contains(problem), "{problem} in\n{told}");
    }
    assert_eq!(code(&pullgate(&["policy", "check", "/nonexistent"])), 64);
}

#[test]
fn policy_check_leaves_no_file_out_for_its_name_or_for_being_a_link_to_nothing() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = Home::new("127.0.0.1:0");
    let policies = home.0.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::copy(home.0.path().join("acme.yaml"), policies.join(std::ffi::OsStr::from_bytes(b"a\xff.yaml"))).unwrap();
    let check = || pullgate(&["policy", "check", "--output", "json", policies.to_str().unwrap()]);
    let output = check();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), report["policies"].as_array().unwrap().len()), (0, 1), "{report}");
    assert!(report["policies"][0]["file"].as_str().unwrap().ends_with("a\u{fffd}.yaml"), "{report}");
    std::os::unix::fs::symlink("/nonexistent", policies.join("b.yaml")).unwrap();
    let output = check();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), report["problems"].as_array().unwrap().len()), (64, 1), "{report}");
    assert!(report["problems"][0]["message"].as_str().unwrap().starts_with("cannot be opened"), "{report}");
}

#[test]
fn a_stream_that_cannot_be_written_is_no_panic_and_leaves_the_verdict() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/acme");
    let (root, layout) = (fixtures.join("trusted_root.json"), format!("oci:{}", fixtures.join("registry").display()));
    let (root, home) = (root.to_str().unwrap(), Home::new("127.0.0.1:0"));
    let (policy, of) = (home.0.path().join("acme.yaml"), |name: &str| format!("{layout}:acme/{name}:v1"));
    let (policy, app, unsigned) = (policy.to_str().unwrap(), of("app"), of("unsigned"));
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let judged = |command| [command, "--repo", "acme/app", "--trusted-root", root];
    for arguments in [
        &[&judged("explain")[..], &[&app]].concat()[..],
        &[&judged("explain")[..], &["--output", "json", &app]].concat(),
        &[&judged("verify")[..], &[&app]].concat(),
        &["policy", "check", "--output", "json", policy],
        &["policy", "test", concat!(env!("CARGO_MANIFEST_DIR"), "/config/quickstart/acme-test.yaml")],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_pullgate")).args(arguments).stdout(full()).output().unwrap();
        assert_eq!(code(&output), 1, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("standard output cannot be written"), "{arguments:?}: {}", stderr(&output));
    }
    for (arguments, wanted) in [
        (&[&judged("verify")[..], &[&app]].concat()[..], 0),
        (&[&judged("verify")[..], &[&unsigned]].concat(), 1),
        (&["policy", "check", policy], 0),
        (&["policy", "check", "/nonexistent/"], 64),
        (&["verify"], 64),
    ] {
        let status = Command::new(env!("CARGO_BIN_EXE_pullgate")).args(arguments).stderr(full()).stdout(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(wanted), "{arguments:?}");
    }
}

#[test]
fn policy_import_exits_by_what_was_lost_and_writes_over_nothing() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    let import = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(["policy", "import"])
            .args(arguments)
            .current_dir(&examples)
            .output()
            .unwrap()
    };
    // Exact: 0, the policies on standard output, and they are policies.
    let output = import(&["kyverno/keyless-exact.yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let home = tempfile::tempdir().unwrap();
    let policies = home.path().join("imported.yaml");
    std::fs::write(&policies, &output.stdout).unwrap();
    assert_eq!(code(&pullgate(&["policy", "check", policies.to_str().unwrap()])), 0);

    // Lossy: 3, and the report on standard error, for people or for machines.
    let output = import(&["kyverno/keys.yaml"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("lost (refuses): kyverno/keys.yaml:"), "{}", stderr(&output));
    let output = import(&["kyverno/keys.yaml", "--report", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((code(&output), report["exact"].as_bool()), (3, Some(false)));

    // Files beside each other, never over another.
    let directory = home.path().join("policies");
    let to = directory.to_str().unwrap();
    let output = import(&["sigstore/trust-root.yaml", "--output-dir", to]);
    assert_eq!((code(&output), output.stdout.len()), (0, 0), "{}", stderr(&output));
    assert!(directory.join("trust-root.yaml").exists() && directory.join("acme-sigstore.json").exists());
    let output = import(&["sigstore/trust-root.yaml", "--output-dir", to]);
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("trust-root.yaml is there already"), "{}", stderr(&output));
    // Whichever of them is there, none is written.
    let other = home.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("acme-sigstore.json"), "mine").unwrap();
    let output = import(&["sigstore/trust-root.yaml", "--output-dir", other.to_str().unwrap()]);
    assert_eq!((code(&output), std::fs::read_dir(&other).unwrap().count()), (64, 1), "{}", stderr(&output));
    let output = import(&["sigstore/trust-names.yaml", "--output-dir", home.path().join("names").to_str().unwrap()]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));

    for (wrong, why) in [
        (&["/nonexistent"][..], "cannot be opened"),
        (&["../acme/trusted_root.json"], "holds no policy this importer knows"),
        (&[], "required"),
        (&["kyverno/keys.yaml", "--gh"], "cannot be used with"),
        (&["kyverno/keys.yaml", "--max-age", "soon"], "wants a time from 1m to 3650d, such as 90d"),
        (&["kyverno/keys.yaml", "--max-age", "0s"], "wants a time from 1m to 3650d"),
        (&["kyverno/keys.yaml", "--max-age", "59s"], "wants a time from 1m to 3650d"),
        (&["kyverno/keys.yaml", "--max-age", "3651d"], "wants a time from 1m to 3650d"),
        (&["kyverno/keys.yaml", "--max-age", "3M"], "wants a time from 1m to 3650d"),
        (&["--gh", "--", "--owner", "acme"], "says nothing of images"),
    ] {
        let output = import(wrong);
        assert_eq!((code(&output), output.stdout.len()), (64, 0), "{wrong:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(why), "{wrong:?}: {}", stderr(&output));
    }
    let output = import(&["--gh", "--image", "ghcr.io/acme/**", "--", "--owner", "acme", "--deny-self-hosted-runners"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains("runner_environment: github-hosted"));
}

#[test]
fn policy_import_reads_standard_input() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
        .args(["policy", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = std::fs::read(examples.join("sigstore/keyless.yaml")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains("name: keyless"));
}
