//! Credentials for an upstream, from a docker `config.json` and its credential helpers.
//!
//! A credential belongs to one host and port, exactly as written (U6; compare CVE-2026-59891, where a substring was
//! enough). Among entries for parts of that host (`quay.io/acme`, as podman writes them) the longest that fits is taken.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Map, Value, json};
use tokio::{
    io::AsyncReadExt as _,
    sync::{Mutex, Semaphore},
    time::Instant,
};

use super::egress::Authority;
use crate::oci::{Digest, Repository};

/// How large a `config.json` may be.
const MAX_CONFIG: u64 = 1 << 20;
/// How long a credential helper may take.
const HELPER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a helper's answer is used: the cloud ones hand out tokens that live for an hour or twelve.
const HELPER_LIFE: Duration = Duration::from_secs(300);
/// How long a helper that failed, or whose answer was refused, is left alone: anybody can ask for images that are refused.
const FAILURE_LIFE: Duration = Duration::from_secs(15);

/// Docker Hub's registry goes by several names, and docker files its credentials under this one.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
const DOCKER_HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// A secret, and a name for it that is none.
pub(super) struct Credential {
    /// Tells credentials apart in caches, so that one's token is never used for another (artifact-keeper #3606).
    pub(super) id: Digest,
    /// The secret.
    pub(super) secret: Secret,
}

/// What is shown to a registry or its token endpoint.
pub(super) enum Secret {
    /// An OAuth2 refresh token.
    IdentityToken(String),
    /// A name and a password.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(REDACTED)")
    }
}

impl From<DockerCredential> for Credential {
    fn from(found: DockerCredential) -> Self {
        match found {
            DockerCredential::IdentityToken(token) => {
                Self { id: Digest::sha256(format!("token\0{token}").as_bytes()), secret: Secret::IdentityToken(token) }
            }
            DockerCredential::UsernamePassword(username, password) => Self::password(username, &password),
        }
    }
}

impl Credential {
    /// Without the zero bytes at its end, which Docker takes away too.
    fn password(username: String, password: &str) -> Self {
        let password = password.trim_end_matches('\0').to_owned();
        let id = Digest::sha256(format!("password\0{username}\0{password}").as_bytes());
        Self { id, secret: Secret::Password { username, password } }
    }
}

/// Why there is no answer to "which credential". Says nothing of what a helper wrote: that may be the secret.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CredentialError {
    /// The entry for this host.
    #[error("{}: the entry for {server} cannot be read: {why}", .file.display())]
    Entry {
        /// Which file.
        file: PathBuf,
        /// Which entry.
        server: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The file.
    #[error("{}: {why}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A helper.
    #[error("{}: the credential helper for {server} {why}", .file.display())]
    Helper {
        /// Which file names it.
        file: PathBuf,
        /// For which entry.
        server: String,
        /// What went wrong.
        why: &'static str,
    },
}

type Found = Result<Option<Arc<Credential>>, CredentialError>;

/// The credentials of one upstream.
pub(super) struct Credentials {
    file: PathBuf,
    scheme: &'static str,
    server: Authority,
    state: Mutex<State>,
    /// Held while a helper runs, also one that was given up: each holds a thread, and there must not be ever more of them.
    running: Arc<Semaphore>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the state: the file is secrets.
        f.debug_struct("Credentials").field("file", &self.file).field("server", &self.server).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    stamp: Option<(u64, Option<SystemTime>)>,
    config: Value,
    /// What was found, by the entry it was found under, and until when that holds.
    found: HashMap<String, (Found, Option<Instant>)>,
}

/// Which entries of the file are to be asked, under which name.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    server: String,
    helper: bool,
    /// A `config.json` that holds nothing but this entry.
    config: Vec<u8>,
}

impl Credentials {
    /// The credentials `file` has for `server`.
    pub(super) fn new(file: PathBuf, https: bool, server: Authority) -> Self {
        Self {
            file,
            scheme: if https { "https" } else { "http" },
            server,
            state: Mutex::default(),
            running: Arc::new(Semaphore::new(1)),
        }
    }

    /// The credential for `repository`, if there is one. Reads the file again when it has changed.
    pub(super) async fn find(&self, repository: &Repository) -> Found {
        let mut state = self.state.lock().await;
        self.refresh(&mut state).await?;
        let Some(chosen) = choose(&state.config, self.scheme, &self.server, repository.as_str()) else { return Ok(None) };
        let key = format!("{} {}", chosen.helper, chosen.server);
        if let Some((found, until)) = state.found.get(&key)
            && until.is_none_or(|until| Instant::now() < until)
        {
            return found.clone();
        }
        let helper = chosen.helper;
        let found = self.ask(chosen).await;
        let until = match (&found, helper) {
            (Err(_), _) => Some(Instant::now() + FAILURE_LIFE),
            (Ok(_), true) => Some(Instant::now() + HELPER_LIFE),
            (Ok(_), false) => None,
        };
        state.found.insert(key, (found.clone(), until));
        found
    }

    /// Soon asks the helpers anew: the upstream refused what they said.
    pub(super) async fn doubt(&self) {
        let soon = Instant::now() + FAILURE_LIFE;
        for (_, until) in self.state.lock().await.found.values_mut() {
            *until = until.map(|until| until.min(soon));
        }
    }

    async fn refresh(&self, state: &mut State) -> Result<(), CredentialError> {
        let failed = |error: std::io::Error| CredentialError::File { file: self.file.clone(), why: error.to_string() };
        let metadata = tokio::fs::metadata(&self.file).await.map_err(failed)?;
        let stamp = Some((metadata.len(), metadata.modified().ok()));
        if state.stamp == stamp {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(&self.file).await.map_err(failed)?;
        file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).await.map_err(failed)?;
        *state = State { stamp, config: parse(&self.file, &bytes)?, found: HashMap::new() };
        Ok(())
    }

    /// Decodes the entry, or runs its helper, off the async threads.
    async fn ask(&self, chosen: Chosen) -> Found {
        let Chosen { server, helper: is_helper, config } = chosen;
        let asked = server.clone();
        let running = Arc::clone(&self.running);
        let work = async {
            let place = if is_helper { running.acquire_owned().await.ok() } else { None };
            let work = move || {
                let found = get_credential_from_reader(config.as_slice(), &asked);
                drop(place);
                found
            };
            tokio::task::spawn_blocking(work).await
        };
        let helper = |why| CredentialError::Helper { file: self.file.clone(), server: server.clone(), why };
        let entry = |why| CredentialError::Entry { file: self.file.clone(), server: server.clone(), why };
        match tokio::time::timeout(HELPER_TIMEOUT, work).await {
            Err(_) => Err(helper("took more than 10 s")),
            Ok(Err(_)) => Err(helper("panicked")),
            // A helper's way to say that nobody need log in.
            Ok(Ok(Ok(DockerCredential::UsernamePassword(name, secret)))) if name.is_empty() && secret.is_empty() => Ok(None),
            Ok(Ok(Ok(found))) => Ok(Some(Arc::new(found.into()))),
            Ok(Ok(Err(error))) => match error {
                CredentialRetrievalError::NoCredentialConfigured => Ok(None),
                // What docker's own helpers say when they have nothing for a host.
                CredentialRetrievalError::HelperFailure { stdout, .. } if stdout.contains("credentials not found") => Ok(None),
                CredentialRetrievalError::HelperFailure { .. } => Err(helper("failed")),
                CredentialRetrievalError::HelperCommunicationError => Err(helper("cannot be run")),
                CredentialRetrievalError::MalformedHelperResponse => Err(helper("gave an unreadable answer")),
                CredentialRetrievalError::CredentialMismatchError => Err(entry("`auth` contradicts `username` and `password`")),
                CredentialRetrievalError::CredentialDecodingError => Err(entry("`auth` is not base64 of name:password")),
                CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::ConfigReadError => {
                    Err(entry("it is not an object of strings"))
                }
            },
        }
    }
}

/// Reads and checks a `config.json`. Blocks; for the start.
pub(super) fn check(file: &Path) -> Result<(), CredentialError> {
    let failed = |error: std::io::Error| CredentialError::File { file: file.to_owned(), why: error.to_string() };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(opened, MAX_CONFIG + 1), &mut bytes).map_err(failed)?;
    parse(file, &bytes).map(drop)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Value, CredentialError> {
    let failed = |why: String| CredentialError::File { file: file.to_owned(), why };
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(failed(format!("is larger than {MAX_CONFIG} bytes")));
    }
    // The position, not the text: the text is secrets.
    let at = |error: &serde_json::Error| format!("is not JSON at line {} column {}", error.line(), error.column());
    let value: Value = serde_json::from_slice(bytes).map_err(|error| failed(at(&error)))?;
    for key in ["auths", "credHelpers"] {
        if !matches!(value.get(key), None | Some(Value::Null | Value::Object(_))) {
            return Err(failed(format!("`{key}` is not an object")));
        }
    }
    if value.is_object() { Ok(value) } else { Err(failed("is not an object".into())) }
}

/// The entry for `server` and `repository`: a helper for this host, else the longest entry of `auths` that fits, else
/// the store for all hosts.
fn choose(config: &Value, scheme: &str, server: &Authority, repository: &str) -> Option<Chosen> {
    let hub = DOCKER_HUB_HOSTS.contains(&server.host()) && server.port() == 443;
    let fits = |key: &str| {
        let (authority, path) = read_key(key, scheme)?;
        let same = authority == *server || (hub && DOCKER_HUB_HOSTS.contains(&authority.host()) && authority.port() == 443);
        let within =
            path.is_empty() || repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (same && within).then_some(path.len())
    };
    let objects = |key: &str| config.get(key).and_then(Value::as_object);
    let best = |entries: Option<&Map<String, Value>>| {
        let fitting = entries?.iter().filter_map(|(key, value)| Some((fits(key)?, key.clone(), value.clone())));
        fitting.max_by(|(a, ..), (b, ..)| a.cmp(b)).map(|(_, key, value)| (key, value))
    };
    let only = |server: &str, helper: bool, config: Value| {
        Some(Chosen { server: server.to_owned(), helper, config: config.to_string().into_bytes() })
    };
    if let Some((key, Value::String(helper))) = best(objects("credHelpers"))
        && !helper.is_empty()
    {
        return only(&key, true, json!({"credHelpers": {&key: helper}}));
    }
    let entry = best(objects("auths"));
    if let Some((key, Value::Object(mut fields))) = entry.clone() {
        // `docker login` with a store leaves `{}` here, some tools leave empty strings.
        fields.retain(|name, value| {
            matches!(name.as_str(), "auth" | "username" | "password" | "identitytoken") && value.as_str() != Some("")
        });
        // `base64` breaks its lines, and Docker's own tools read across them.
        if let Some(Value::String(auth)) = fields.get_mut("auth") {
            auth.retain(|c| !matches!(c, '\r' | '\n'));
        }
        if !fields.is_empty() {
            return only(&key, false, json!({"auths": {&key: fields}}));
        }
    }
    let store = config.get("credsStore").and_then(Value::as_str).filter(|store| !store.is_empty())?;
    let name = match entry {
        Some((key, _)) => key,
        None if hub => DOCKER_HUB.into(),
        None => server.to_string(),
    };
    only(&name, true, json!({"credsStore": store}))
}

/// A key of `auths`: a host, perhaps with scheme, port, `/v1/` or `/v2/`, or the path of a part of it.
fn read_key<'a>(key: &'a str, scheme: &str) -> Option<(Authority, &'a str)> {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (authority, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.trim_end_matches('/');
    Some((Authority::parse(authority, scheme)?, if matches!(path, "v1" | "v2") { "" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(config: &Value, url: &str, repository: &str) -> Option<(String, Value)> {
        let url = url::Url::parse(url).unwrap();
        let chosen = choose(config, url.scheme(), &Authority::of(&url).unwrap(), repository)?;
        Some((chosen.server, serde_json::from_slice(&chosen.config).unwrap()))
    }

    fn key(config: &Value, url: &str, repository: &str) -> Option<String> {
        chosen(config, url, repository).map(|(key, _)| key)
    }

    #[test]
    fn u6_an_entry_fits_by_host_and_port_exactly_and_the_longest_path_wins() {
        let entry = json!({"auth": "eDp5"});
        let config = json!({"auths": {
            "quay.io": entry, "quay.io/acme": entry, "quay.io/acme/app": entry, "https://ghcr.io/": entry,
            "https://registry.test:5000/v2/": entry, "io": entry, "evil.ghcr.io": entry, "https://index.docker.io/v1/": entry,
        }});
        for (url, repository, found) in [
            ("https://quay.io", "acme/app", Some("quay.io/acme/app")),
            ("https://quay.io", "acme/apple", Some("quay.io/acme")),
            ("https://quay.io", "acmetrix/app", Some("quay.io")),
            ("https://quay.io:443", "other", Some("quay.io")),
            ("https://quay.io:5000", "acme/app", None),
            ("https://ghcr.io", "a", Some("https://ghcr.io/")),
            ("https://ghcr.io.evil.example", "a", None),
            ("https://xghcr.io", "a", None),
            ("https://registry.test:5000", "a", Some("https://registry.test:5000/v2/")),
            ("https://registry.test", "a", None),
            ("https://registry-1.docker.io", "library/a", Some("https://index.docker.io/v1/")),
            ("https://registry-1.docker.io:444", "library/a", None),
            ("https://mirror.docker.io.example", "library/a", None),
        ] {
            assert_eq!(key(&config, url, repository).as_deref(), found, "{url} {repository}");
        }
    }

    #[test]
    fn a_helper_for_the_host_comes_first_then_its_entry_then_the_store() {
        let config = json!({
            "auths": {"a.test": {}, "b.test": {"auth": "", "identitytoken": "t", "email": 3}, "c.test": {"auth": "eDp5"}},
            "credHelpers": {"c.test": "ecr-login", "d.test": ""},
            "credsStore": "desktop",
        });
        let store = json!({"credsStore": "desktop"});
        for (host, server, asked) in [
            ("a.test", "a.test", store.clone()),
            ("b.test", "b.test", json!({"auths": {"b.test": {"identitytoken": "t"}}})),
            ("c.test", "c.test", json!({"credHelpers": {"c.test": "ecr-login"}})),
            ("d.test:5000", "d.test:5000", store.clone()),
            ("registry-1.docker.io", DOCKER_HUB, store.clone()),
        ] {
            assert_eq!(chosen(&config, &format!("https://{host}"), "x"), Some((server.into(), asked)), "{host}");
        }
        assert_eq!(chosen(&json!({}), "https://a.test", "x"), None);
        // As `base64` and `jq` write a long one.
        let config = json!({"auths": {"a.test": {"auth": "eD\r\np5\n"}}});
        let read = json!({"auths": {"a.test": {"auth": "eDp5"}}});
        assert_eq!(chosen(&config, "https://a.test", "x"), Some(("a.test".into(), read)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_that_hangs_is_not_joined_by_another_and_entries_without_one_do_not_wait_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        let config = json!({"auths": {"a.test/plain": {"auth": "eDp5"}}, "credsStore": "pullgate-test-nonexistent"});
        std::fs::write(&file, config.to_string()).unwrap();
        let server = Authority::parse("a.test", "https").unwrap();
        let credentials = Credentials::new(file, true, server);
        // As if one was given up and still ran.
        let hangs = Arc::clone(&credentials.running).acquire_owned().await.unwrap();
        let error = credentials.find(&"app".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("10 s"), "not run: {error}");
        assert!(credentials.find(&"plain/app".parse().unwrap()).await.unwrap().is_some());
        drop(hangs);
        tokio::time::advance(FAILURE_LIFE).await;
        let error = credentials.find(&"app".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("cannot be run"), "run again: {error}");
    }

    #[test]
    fn zero_bytes_end_no_password() {
        let padded = Credential::from(DockerCredential::UsernamePassword("robot".into(), "a\0b\0\0".into()));
        assert!(matches!(padded.secret, Secret::Password { password, .. } if password == "a\0b"));
    }

    #[test]
    fn j4_a_credential_does_not_show_itself() {
        let credential = Credential::from(DockerCredential::UsernamePassword("robot".into(), "hunter2".into()));
        assert_eq!(format!("{credential:?}"), "Credential(REDACTED)");
    }
}
