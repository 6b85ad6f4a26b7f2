//! A registry over HTTP/1.1, as the distribution specification describes it and as real ones deviate from it.

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Method, Response, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use hyper::body::Incoming;
use url::Url;

use super::{
    BlobStream, FetchedManifest, MAX_PAGE, ReferrersAnswer, ReferrersPage, Resolved, TagsPage, Upstream, UpstreamError,
    auth::Auth,
    egress::Authority,
    http::{Http, What, content_length, foreign_encoding},
    link,
    retry::{Budget, Failure, retried, retry_after, throttles},
    tags,
};
use crate::oci::{
    Digest, Host, Reference, Repository, Tag,
    media_type::{ACCEPT_MANIFESTS, OCI_INDEX, essence},
};

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 5;
/// How long a URL of the upstream's making may be.
pub(super) const MAX_URL: usize = 8 << 10;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A registry.
#[derive(Debug)]
pub(super) struct Registry {
    host: Host,
    /// Without a slash at its end.
    base: Url,
    pub(super) http: Http,
    auth: Auth,
    retries: Budget,
}

/// A question to the registry.
pub(super) struct Question<'a> {
    what: What,
    method: Method,
    pub(super) url: Url,
    accept: &'static str,
    repository: &'a Repository,
}

/// An answer's head.
struct Answer {
    response: Response<Incoming>,
    /// Another host gave it, to which the registry sent us.
    redirected: bool,
}

/// A short answer, read whole.
pub(super) struct Whole {
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Registry {
    /// The registry at `base`, whose images are called by `host`.
    pub(super) const fn new(host: Host, base: Url, http: Http, auth: Auth) -> Self {
        Self { host, base, http, auth, retries: Budget::new() }
    }

    /// `…/v2/<repository>/<rest>`. Names, tags and digests are made of characters that stand for themselves.
    fn url(&self, repository: &Repository, rest: &str) -> Result<Url, UpstreamError> {
        let url = format!("{}/v2/{repository}/{rest}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&url).map_err(|error| self.http.unreachable(error))
    }

    pub(super) fn question<'a>(
        &self,
        what: What,
        method: Method,
        repository: &'a Repository,
        rest: &str,
        accept: &'static str,
    ) -> Result<Question<'a>, UpstreamError> {
        Ok(Question { what, method, url: self.url(repository, rest)?, accept, repository })
    }

    /// Asks once: with what the registry wanted last, then with what it wants now, then wherever it sends us.
    async fn ask(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let sent = self.auth.current(question.repository).await?;
        let mut response = self.send(question, &question.url, sent.clone()).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(fresh) = self.auth.challenged(response.headers(), question.repository, sent.as_ref()).await?
        {
            Http::drain(response).await;
            response = self.send(question, &question.url, Some(fresh)).await?;
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            self.auth.denied().await;
        }
        self.follow(question, response).await
    }

    async fn send(
        &self,
        question: &Question<'_>,
        url: &Url,
        authorization: Option<http::HeaderValue>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = Http::request(question.method.clone(), url, question.accept, authorization);
        self.http.send(question.what, request).await
    }

    /// Follows redirects: without Authorization wherever they lead (U5), from https to https only (U4), and by a
    /// connector that checks every address.
    async fn follow(&self, question: &Question<'_>, mut response: Response<Incoming>) -> Result<Answer, Failure> {
        let mut at = question.url.clone();
        let own = Authority::of(&at);
        let mut hops = 0;
        while let Some(location) = redirect(&response) {
            hops += 1;
            if hops > MAX_REDIRECTS {
                return Err(Failure::Final(self.http.lied(format!("it redirects more than {MAX_REDIRECTS} times"))));
            }
            let next = self.target(&at, &location)?;
            Http::drain(response).await;
            response = self.send(question, &next, None).await?;
            at = next;
        }
        Ok(Answer { response, redirected: Authority::of(&at) != own })
    }

    fn target(&self, from: &Url, location: &str) -> Result<Url, UpstreamError> {
        let shown = || location.split(['?', '#']).next().unwrap_or_default().escape_default().take(120).collect::<String>();
        if location.len() > MAX_URL {
            return Err(self.http.lied(format!("it redirects to a URL of more than {MAX_URL} bytes")));
        }
        let mut url = from.join(location).map_err(|error| self.http.lied(format!("it redirects to `{}`: {error}", shown())))?;
        url.set_fragment(None);
        let forbidden =
            |why: &str| UpstreamError::Forbidden(format!("upstream {} redirects to `{}`, {why}", self.http.host(), shown()));
        match (from.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => {}
            (_, "http") => return Err(forbidden("which is not https although it is")),
            _ => return Err(forbidden("which is neither https nor http")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("which names a user"));
        }
        Ok(url)
    }

    /// An answer of 200 that is not encoded, or the error its status stands for.
    async fn accepted(&self, question: &Question<'_>, answer: Answer) -> Result<Response<Incoming>, Failure> {
        let Answer { response, redirected } = answer;
        let status = response.status();
        if status == StatusCode::OK {
            return match foreign_encoding(response.headers()) {
                None => Ok(response),
                Some(encoding) => {
                    let what =
                        format!("{} came in the encoding `{encoding}` although `identity` was asked for", question.what.noun());
                    Err(Failure::Final(self.http.lied(what)))
                }
            };
        }
        let waits = retry_after(response.headers());
        Http::drain(response).await;
        let host = self.http.host().to_owned();
        let answered = |who: &str| UpstreamError::Failing { host: host.clone(), what: format!("{who} answered {status}") };
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Failure::Final(UpstreamError::NotFound),
            // A link that ran out, or a clock that is wrong: it says nothing of our credentials, which were not shown.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if redirected => {
                Failure::Later(answered("the host it redirects to"))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let shown = self.auth.shows(question.repository).await;
                Failure::Final(UpstreamError::Denied { host, status: status.as_u16(), shown })
            }
            status if throttles(status, waits) => Failure::Later(UpstreamError::Throttled { host, retry_after: waits }),
            StatusCode::NOT_IMPLEMENTED => Failure::Final(answered("it")),
            status if status.is_server_error() => Failure::Later(answered("it")),
            status => Failure::Final(self.http.lied(format!("asked for {}, it answered {status}", question.what.noun()))),
        })
    }

    /// Asks, again if need be, until the head of an accepted answer is there.
    async fn head(&self, question: &Question<'_>) -> Result<Response<Incoming>, UpstreamError> {
        retried(&self.retries, async || {
            let answer = self.ask(question).await?;
            self.accepted(question, answer).await
        })
        .await
    }

    /// Asks, again if need be, until a short answer is there whole. `None` for a status in `absent`.
    pub(super) async fn whole(
        &self,
        question: &Question<'_>,
        limit: usize,
        absent: &[u16],
    ) -> Result<Option<Whole>, UpstreamError> {
        retried(&self.retries, async || {
            let answer = self.ask(question).await?;
            if absent.contains(&answer.response.status().as_u16()) {
                Http::drain(answer.response).await;
                return Ok(None);
            }
            let response = self.accepted(question, answer).await?;
            let headers = response.headers().clone();
            let bytes = self.http.read(question.what, response, limit).await?;
            Ok(Some(Whole { headers, bytes }))
        })
        .await
    }

    /// The URL of a next page: on this registry, below `…/v2/<repository>/`, or an error (a page could lead anywhere: X3).
    fn page(&self, repository: &Repository, from: &Url, link: &str) -> Result<Url, UpstreamError> {
        let refuse = || self.http.lied("its link to a next page leaves the repository");
        if link.len() > MAX_URL {
            return Err(refuse());
        }
        let url = from.join(link).map_err(|_| refuse())?;
        let within = self.url(repository, "")?;
        let same = url.origin() == within.origin() && url.path().starts_with(within.path());
        if same && url.username().is_empty() && url.password().is_none() { Ok(url) } else { Err(refuse()) }
    }
}

/// Where an answer sends us, if it does.
fn redirect(response: &Response<Incoming>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| redirects)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

fn digest_header(headers: &HeaderMap) -> Option<Digest> {
    headers.get(DOCKER_CONTENT_DIGEST)?.to_str().ok()?.trim().parse().ok()
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[async_trait]
impl Upstream for Registry {
    fn host(&self) -> &Host {
        &self.host
    }

    /// By HEAD, which Docker Hub does not count against its pull limit; by GET where HEAD is not known or tells no digest. Some front
    /// ends answer it as they answer what is not there or not allowed: what a tag means, and that it means nothing, GET says.
    async fn resolve(&self, repository: &Repository, tag: &Tag) -> Result<Resolved, UpstreamError> {
        let question = self.question(What::Manifest, Method::HEAD, repository, &format!("manifests/{tag}"), ACCEPT_MANIFESTS)?;
        let head = retried(&self.retries, async || {
            let answer = self.ask(&question).await?;
            if matches!(answer.response.status().as_u16(), 400..=428 | 430..=499 | 501) {
                return Ok(None);
            }
            self.accepted(&question, answer).await.map(Some)
        });
        if let Some(digest) = head.await?.and_then(|response| digest_header(response.headers())) {
            return Ok(Resolved { digest, manifest: None });
        }
        let manifest = self.manifest(repository, &Reference::Tag(tag.clone())).await?;
        Ok(Resolved { digest: manifest.digest, manifest: Some(manifest) })
    }

    async fn manifest_within(
        &self,
        repository: &Repository,
        reference: &Reference,
        limit: usize,
    ) -> Result<FetchedManifest, UpstreamError> {
        let question =
            self.question(What::Manifest, Method::GET, repository, &format!("manifests/{reference}"), ACCEPT_MANIFESTS)?;
        let whole = self.whole(&question, limit, &[]).await?;
        let Whole { headers, bytes } = whole.ok_or(UpstreamError::NotFound)?;
        let (digest, promised) = match reference {
            Reference::Digest(digest) => (*digest, Some(*digest)),
            Reference::Tag(_) => (Digest::sha256(&bytes), digest_header(&headers)),
        };
        if let Some(promised) = promised
            && !promised.matches(&bytes)
        {
            let found = Digest::of(promised.algorithm(), &bytes);
            return Err(self.http.lied(format!("the manifest was to be {promised}, its bytes are {found}")));
        }
        // A sign-in or maintenance page in a registry's place (X6) says neither what a tag means nor that there is no evidence. What
        // is published under a tag may be anything, so this is only of what comes without a digest and cannot be a manifest.
        if promised.is_none() && !bytes.trim_ascii_start().starts_with(b"{") {
            let found = content_type(&headers).unwrap_or_else(|| "no type".into());
            let found = found.escape_default().take(80).collect::<String>();
            return Err(self.http.lied(format!("asked for the manifest, it sent what is none ({found}), and no digest of it")));
        }
        Ok(FetchedManifest { digest, bytes, content_type: content_type(&headers) })
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        next: Option<&str>,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let mut question = self.question(What::Referrers, Method::GET, repository, &format!("referrers/{subject}"), OCI_INDEX)?;
        if let Some(next) = next {
            question.url = self.page(repository, &question.url, next)?;
        }
        let whole = self.whole(&question, MAX_PAGE, &[400, 404, 405, 406, 501]).await?;
        let index = whole.filter(|whole| content_type(&whole.headers).is_some_and(|found| essence(&found) == OCI_INDEX));
        let Some(Whole { headers, bytes }) = index else {
            // Half a list is not no list.
            return if next.is_none() {
                Ok(ReferrersAnswer::NoApi)
            } else {
                Err(self.http.lied("a page of referrers is missing"))
            };
        };
        let next = match link::next(&headers) {
            None => None,
            Some(link) => {
                let url = self.page(repository, &question.url, &link)?;
                Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
            }
        };
        Ok(ReferrersAnswer::Page(ReferrersPage { bytes, next }))
    }

    async fn tags(&self, repository: &Repository, n: Option<u32>, last: Option<&str>) -> Result<TagsPage, UpstreamError> {
        let limit = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        tags::page(self, repository, limit, last).await
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, UpstreamError> {
        let mut question = self.question(What::Blob, Method::HEAD, repository, &format!("blobs/{digest}"), "*/*")?;
        let head = retried(&self.retries, async || {
            let answer = self.ask(&question).await?;
            // Some object stores sign a link for GET only, some front ends know no HEAD.
            let redirected = answer.redirected && matches!(answer.response.status().as_u16(), 400 | 401 | 403);
            if redirected || matches!(answer.response.status().as_u16(), 405 | 501) {
                return Ok(None);
            }
            self.accepted(&question, answer).await.map(Some)
        });
        if let Some(size) = head.await?.and_then(|response| content_length(response.headers())) {
            return Ok(size);
        }
        question.method = Method::GET;
        let response = self.head(&question).await?;
        content_length(response.headers()).ok_or_else(|| self.http.lied("it does not say how large the blob is"))
    }

    async fn blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobStream, UpstreamError> {
        let question = self.question(What::Blob, Method::GET, repository, &format!("blobs/{digest}"), "*/*")?;
        let response = self.head(&question).await?;
        let size = content_length(response.headers());
        Ok(BlobStream { size, pieces: self.http.stream(response) })
    }
}
