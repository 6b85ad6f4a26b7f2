//! Authorization towards a registry: its challenge, our credentials, and tokens.
//!
//! A challenge is the upstream's word, so it may name any realm. Nothing is asked of, and no credential shown to, a realm
//! that is not on the upstream's own host, in a table of well-known pairs, or in `auth_hosts` (U2; CVE-2026-33540,
//! CVE-2026-48978). That holds for anonymous tokens too: a trap sees no connection at all.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use quick_cache::sync::Cache;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{
    Lost, UpstreamError,
    credentials::{Credential, Credentials, Secret},
    egress::Authority,
    http::{self as exchange, Http, What},
    retry::{Failure, retry_after, throttles},
};
use crate::oci::{Digest, Repository, json};

/// How large a token endpoint's answer may be (U3).
const MAX_TOKEN: usize = 64 << 10;
/// How long a realm's URL may be.
const MAX_REALM: usize = 2 << 10;
/// Tokens kept. A repository has one.
const MAX_TOKENS: usize = 4_096;
/// A token lives at least this long, as every client assumes, whatever the answer says.
const MIN_LIFE: Duration = Duration::from_secs(60);
/// A token lives at most this long, whatever the answer says.
const MAX_LIFE: Duration = Duration::from_secs(3600);
/// A token is not used in its last moments: it should still be good when it arrives.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a request waits for a token that it or another fetches.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(12);

/// Registries whose realm is known to be on another host.
const KNOWN_REALMS: [(&str, &str); 4] = [
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
    ("docker.elastic.co", "docker-auth.elastic.co"),
];

/// What an upstream asks for before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    /// Name and password with every request.
    Basic,
    /// A token from the realm.
    Bearer { realm: Url, service: Option<String> },
}

/// What tells tokens apart. The credential is part of it: what one may read, another may not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    credential: Option<Digest>,
    realm: String,
    service: Option<String>,
    scope: String,
}

#[derive(Debug, Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// Authorization for one upstream.
#[derive(Debug)]
pub(super) struct Auth {
    http: Http,
    upstream: Authority,
    https: bool,
    /// `auth_hosts` of the configuration.
    realms: Vec<Authority>,
    credentials: Vec<Credentials>,
    /// What was asked for last, so that the next request brings it along.
    challenge: ArcSwapOption<Challenge>,
    tokens: Cache<TokenKey, Token>,
}

impl Auth {
    /// Nothing known yet. `http` is used for token endpoints only.
    pub(super) fn new(
        http: Http,
        upstream: Authority,
        https: bool,
        realms: Vec<Authority>,
        credentials: Vec<Credentials>,
    ) -> Self {
        Self { http, upstream, https, realms, credentials, challenge: ArcSwapOption::empty(), tokens: Cache::new(MAX_TOKENS) }
    }

    /// The header to send along, by what the upstream asked for last. `None` when it has asked for nothing yet.
    pub(super) async fn current(&self, repository: &Repository) -> Result<Option<HeaderValue>, Failure> {
        let Some(challenge) = self.challenge.load_full() else { return Ok(None) };
        let header = self.answer(&challenge, repository).await;
        if header.is_err() {
            // It may have moved its realm: ask it anew next time.
            self.challenge.store(None);
        }
        header
    }

    /// The header that answers a 401, which came although `refused` was sent. `None` if there is nothing else to try.
    pub(super) async fn challenged(
        &self,
        headers: &HeaderMap,
        repository: &Repository,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Failure> {
        let Some(challenge) = self.read_challenge(headers)? else { return Ok(None) };
        if let (Challenge::Bearer { .. }, Some(refused)) = (&challenge, refused) {
            let key = self.token_key(&challenge, repository).await?;
            self.tokens.remove_if(&key.0, |token| token.header == *refused);
        }
        let header = self.answer(&challenge, repository).await?;
        self.challenge.store(Some(Arc::new(challenge)));
        Ok(header.filter(|header| Some(header) != refused))
    }

    /// The upstream refused what it asked for. Helpers may have something newer.
    pub(super) async fn denied(&self) {
        for credentials in &self.credentials {
            credentials.doubt().await;
        }
    }

    async fn credential(&self, repository: &Repository) -> Result<Option<Arc<Credential>>, Failure> {
        for credentials in &self.credentials {
            // Not retried: a helper that fails does not do better a moment later, and is left alone for a while.
            let failed = |error| Failure::Final(self.http.lost(Lost::Credentials, error));
            let found = credentials.find(repository).await.map_err(failed)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether there are credentials to be shown, by what was asked for last: an identity token is none that Basic takes.
    pub(super) async fn shows(&self, repository: &Repository) -> bool {
        let is_basic = matches!(self.challenge.load().as_deref(), Some(Challenge::Basic));
        match self.credential(repository).await.ok().flatten().as_deref() {
            Some(Credential { secret: Secret::IdentityToken(_), .. }) => !is_basic,
            Some(Credential { secret: Secret::Password { .. }, .. }) => true,
            None => false,
        }
    }

    async fn answer(&self, challenge: &Challenge, repository: &Repository) -> Result<Option<HeaderValue>, Failure> {
        match challenge {
            Challenge::Basic => Ok(match self.credential(repository).await?.as_deref().map(|credential| &credential.secret) {
                Some(Secret::Password { username, password }) => Some(self.basic(username, password)?),
                Some(Secret::IdentityToken(_)) | None => None,
            }),
            Challenge::Bearer { realm, .. } => {
                let (key, credential) = self.token_key(challenge, repository).await?;
                self.token(key, realm, credential.as_deref()).await.map(Some)
            }
        }
    }

    async fn token_key(
        &self,
        challenge: &Challenge,
        repository: &Repository,
    ) -> Result<(TokenKey, Option<Arc<Credential>>), Failure> {
        let credential = self.credential(repository).await?;
        let (realm, service) = match challenge {
            Challenge::Basic => (String::new(), None),
            Challenge::Bearer { realm, service } => (realm.to_string(), service.clone()),
        };
        // Our own scope and not the challenge's: never more than to pull, never another repository.
        let scope = format!("repository:{repository}:pull");
        Ok((TokenKey { credential: credential.as_ref().map(|credential| credential.id), realm, service, scope }, credential))
    }

    /// A token that is good for a while: the remembered one, or a new one that one request fetches for all.
    async fn token(&self, key: TokenKey, realm: &Url, credential: Option<&Credential>) -> Result<HeaderValue, Failure> {
        self.tokens.remove_if(&key, |token| token.until <= Instant::now());
        let fetched = self.tokens.get_or_insert_async(&key, self.fetch(&key, realm, credential));
        match tokio::time::timeout(TOKEN_TIMEOUT, fetched).await {
            Ok(token) => token.map(|token| token.header),
            Err(_) => {
                let why = std::io::Error::new(std::io::ErrorKind::TimedOut, "no token within 12 s");
                Err(Failure::Later(self.http.unreachable(why)))
            }
        }
    }

    async fn fetch(&self, key: &TokenKey, realm: &Url, credential: Option<&Credential>) -> Result<Token, Failure> {
        let mut url = realm.clone();
        let request = match credential.map(|credential| &credential.secret) {
            Some(Secret::IdentityToken(token)) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token").append_pair("client_id", "pullgate");
                form.append_pair("scope", &key.scope).append_pair("refresh_token", token);
                if let Some(service) = &key.service {
                    form.append_pair("service", service);
                }
                let mut request = Http::request(Method::POST, &url, "application/json", None);
                *request.body_mut() = Full::new(Bytes::from(form.finish()));
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                request
            }
            secret => {
                if let Some(service) = &key.service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                url.query_pairs_mut().append_pair("scope", &key.scope);
                let basic = match secret {
                    Some(Secret::Password { username, password }) => Some(self.basic(username, password)?),
                    Some(Secret::IdentityToken(_)) | None => None,
                };
                Http::request(Method::GET, &url, "application/json", basic)
            }
        };
        let response = self.http.send(What::Token, request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (host, waits) = (|| self.http.host().to_owned(), retry_after(&headers));
        match status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Http::drain(response).await;
                self.denied().await;
                return Err(Failure::Final(UpstreamError::Denied {
                    host: host(),
                    status: status.as_u16(),
                    shown: credential.is_some(),
                }));
            }
            status if throttles(status, waits) => {
                return Err(Failure::Later(UpstreamError::Throttled { host: host(), retry_after: waits }));
            }
            // Credentials were shown to a host that may have them; where it points next may not (U3).
            status if status.is_redirection() => {
                return Err(Failure::Final(self.http.lied("its token endpoint redirects, which is not followed")));
            }
            status if status.is_server_error() => {
                let what = format!("its token endpoint answered {status}");
                return Err(Failure::Later(UpstreamError::Failing { host: host(), what }));
            }
            status => return Err(Failure::Final(self.http.lied(format!("its token endpoint answered {status}")))),
        }
        if let Some(encoding) = exchange::foreign_encoding(&headers) {
            return Err(Failure::Final(self.http.lied(format!("its token endpoint answered in the encoding `{encoding}`"))));
        }
        let received = Instant::now();
        let bytes = self.http.read(What::Token, response, MAX_TOKEN).await?;
        let (header, life) = read_token(&bytes).map_err(|why| self.http.lied(format!("its token endpoint's answer {why}")))?;
        Ok(Token { header, until: received + (life - MARGIN) })
    }

    fn basic(&self, username: &str, password: &str) -> Result<HeaderValue, Failure> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
        sensitive(&format!("Basic {encoded}")).ok_or_else(|| Failure::Final(self.http.lied("the credential fits no header")))
    }

    /// The first bearer challenge, else Basic. One that names a forbidden realm is an error, not passed over: the upstream
    /// is attacked or misconfigured, and an operator should hear of it.
    fn read_challenge(&self, headers: &HeaderMap) -> Result<Option<Challenge>, UpstreamError> {
        let mut basic = false;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let Ok(text) = value.to_str() else { continue };
            for challenge in http_auth::ChallengeParser::new(text).map_while(Result::ok) {
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = true;
                }
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    continue;
                }
                let parameter = |wanted: &str| {
                    let found = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                    found.map(|(_, value)| value.to_unescaped())
                };
                let realm = parameter("realm").unwrap_or_default();
                return Ok(Some(Challenge::Bearer { realm: self.check_realm(&realm)?, service: parameter("service") }));
            }
        }
        Ok(basic.then_some(Challenge::Basic))
    }

    fn check_realm(&self, realm: &str) -> Result<Url, UpstreamError> {
        let shown: String = realm.escape_default().take(120).collect();
        let forbidden = |why: String| {
            let upstream = &self.upstream;
            UpstreamError::Forbidden(format!("upstream {upstream} asks for a token from the realm `{shown}`, {why}"))
        };
        if realm.len() > MAX_REALM {
            return Err(forbidden(format!("which is longer than {MAX_REALM} bytes")));
        }
        let url = Url::parse(realm).map_err(|error| forbidden(format!("which is no URL: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" if !self.https => {}
            "http" => return Err(forbidden("which is not https although the upstream is".into())),
            _ => return Err(forbidden("which is neither https nor http".into())),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("which names a user".into()));
        }
        let authority = Authority::of(&url).ok_or_else(|| forbidden("which has no host".into()))?;
        let known = |(registry, realm): &(&str, &str)| {
            (self.upstream.host(), self.upstream.port()) == (*registry, 443)
                && (authority.host(), authority.port()) == (*realm, 443)
        };
        if authority == self.upstream || KNOWN_REALMS.iter().any(known) || self.realms.contains(&authority) {
            Ok(url)
        } else {
            Err(forbidden(format!(
                "which is not on its own host; to allow that, put `{authority}` in its `auth_hosts` in a configuration (`--config`)"
            )))
        }
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header a token endpoint's answer stands for, and how long it holds. Says what is wrong otherwise.
fn read_token(bytes: &[u8]) -> Result<(HeaderValue, Duration), &'static str> {
    let value = json::parse(bytes).map_err(|_| "is not JSON")?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|token| !token.is_empty());
    let token = text("token").or_else(|| text("access_token")).ok_or("has no token")?;
    let header = sensitive(&format!("Bearer {token}")).ok_or("has a token that fits no header")?;
    // Negative, fractional, absurd or missing: the clamp decides.
    let seconds = value.get("expires_in").and_then(Value::as_f64).unwrap_or_default();
    let life = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(MAX_LIFE);
    Ok((header, life.clamp(MIN_LIFE, MAX_LIFE)))
}
