//! GET and HEAD of a blob: lineage, then the store, else the upstream; ranges.
//!
//! A blob is served because an admitted manifest of the repository lists it (D7), and for no other reason. Its bytes
//! are hashed by the store on their way; a manifest asked for here is served only if admitted, and as octets, so that
//! no client takes it for something to run (X13).

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    Registry,
    error::{Disagrees, Error},
    range::Wanted,
    response::{self, CONTENT_DIGEST, OCTETS, digest_value, length_value},
    route::Route,
};
use crate::{
    body::Body,
    gate::{BlobVerdict, Naming, NoVerdict, Permit},
    oci::Digest,
    store::{Blob, Fetch, FetchError, FillError, Source},
    upstream::UpstreamError,
};

/// The answer.
pub(super) async fn blob(
    registry: &Registry,
    route: &Route<'_>,
    digest: &Digest,
    request: &HeaderMap,
    head: bool,
) -> Result<Response<Body>, Error> {
    match admitted(registry, route, digest).await? {
        Admitted::Manifest(permit) => {
            let manifest = permit.manifest();
            if manifest.digest() != digest {
                return Err(Error::permit_for_another(digest));
            }
            let part = part(request, manifest.bytes().len() as u64, head)?;
            let bytes = manifest.bytes().slice(part.range.start as usize..part.range.end as usize);
            Ok(respond(digest, part, || Body::full(bytes)))
        }
        Admitted::Listed(_, size) if head => Ok(respond(digest, part(request, size, head)?, Body::empty)),
        Admitted::Listed(permit, size) => {
            // Before anything is fetched: a range that cannot be had costs no transfer.
            let part = part(request, size, head)?;
            let opened = open(registry, route, digest, size, part.range.clone()).await;
            // What it is called besides may be known only now.
            if let Some(refusal) = registry.gate.denied_blob(&route.image, digest) {
                return Err(Error::refusal(&refusal));
            }
            let (blob, body) = opened?;
            // An upstream may take long to begin: what was denied meanwhile, the blob or all that list it, is not served after
            // all (D4). An answer that has begun goes on.
            if !registry.gate.stands(&permit) {
                admitted(registry, route, digest).await?;
            }
            if let Some(found) = blob.size()
                && found != size
            {
                return Err(Error::size_disagrees(digest, size, found));
            }
            Ok(respond(digest, part, || body))
        }
    }
}

/// What a blob is served as.
enum Admitted {
    /// What an admitted manifest lists, of this size.
    Listed(Permit, u64),
    /// A manifest that is admitted itself.
    Manifest(Permit),
}

async fn admitted(registry: &Registry, route: &Route<'_>, digest: &Digest) -> Result<Admitted, Error> {
    match registry.gate.admit_blob(&route.upstream, &route.image, digest).await {
        Ok(BlobVerdict::Denied(refusal)) => Err(Error::refusal(&refusal)),
        Ok(BlobVerdict::Listed { permit, size }) => Ok(Admitted::Listed(permit, size)),
        Ok(BlobVerdict::Manifest(permit)) => Ok(Admitted::Manifest(permit)),
        // Or the manifest that listed it is gone from the upstream.
        Ok(BlobVerdict::Unlisted) | Err(NoVerdict::Absent(_)) => Err(Error::blob_unlisted(&route.image, digest)),
        Err(none @ (NoVerdict::CredentialsRefused(_) | NoVerdict::Faulty(_) | NoVerdict::Undecided(_))) => {
            Err(Error::no_verdict(&route.image, digest, &none))
        }
    }
}

/// The blob from the store, fetched into it if it is not there: one upstream request however many ask for it there.
///
/// At most `listed` bytes are taken, and a fetch that announces another size is not begun: no client's leaving ends a
/// fetch, so an upstream could otherwise fill the disk with one answer (U10).
///
/// Its first bytes are waited for, so that an upstream that breaks off before them has an answer with a status and a reason. Where
/// that was asked for by somebody else, of another repository perhaps, the answer is none to us, and we ask ourselves (C16).
async fn open(
    registry: &Registry,
    route: &Route<'_>,
    digest: &Digest,
    listed: u64,
    range: Range<u64>,
) -> Result<(Blob, Body), Error> {
    let fetch = |own| Fetch { host: route.image.host.clone(), digest: *digest, listed, own };
    let asked = Arc::new(AtomicBool::new(false));
    let source = || {
        let (upstream, repository, wanted) = (Arc::clone(&route.upstream), route.image.repository.clone(), *digest);
        let (gate, asked) = (Arc::clone(&registry.gate), Arc::clone(&asked));
        move || async move {
            asked.store(true, Ordering::Relaxed);
            let stream = upstream.blob(&repository, &wanted).await.map_err(|error| Arc::new(error) as FetchError)?;
            if let Some(found) = stream.size.filter(|found| *found != listed) {
                return Err(Arc::new(Disagrees { listed, found }) as FetchError);
            }
            let pieces = stream.pieces.map_err(|error| Arc::new(error) as FetchError).boxed();
            Ok(match gate.naming(&wanted) {
                Some(naming) => Source { size: Some(listed), named: true, pieces: named(pieces, naming) },
                None => Source { size: Some(listed), named: false, pieces },
            })
        }
    };
    let open = async |fetch: Fetch| {
        let mut blob = registry.store.pull(&fetch, source()).await?;
        // Before anything is waited for: where the disk takes nothing, what comes is kept for those who have a place already.
        let mut body = blob.body(range.clone());
        if let Err(error) = name(registry, &fetch, &blob).await {
            if blob.is_coming() {
                return Err(error);
            }
            // What the store had was damaged, and is thrown away by now.
            blob = registry.store.pull(&fetch, source()).await?;
            body = blob.body(range.clone());
            name(registry, &fetch, &blob).await?;
        }
        blob.begun().await?;
        Ok((blob, body))
    };
    let mut opened = open(fetch(None)).await;
    for _ in 0..2 {
        let Some(error) = opened.as_ref().err().filter(|_| !asked.load(Ordering::Relaxed)) else { break };
        // Not with yet another one's; but with all who wait where it is the registry that fails, which may have too much to do.
        let is_alone = is_of_repository(error);
        opened = open(fetch(is_alone.then(|| route.image.repository.clone()))).await;
        if is_alone {
            break;
        }
    }
    opened.map_err(|error: FetchError| Error::fetch(&route.image, digest, &error))
}

/// Whether an error is about the repository that was asked, or what it sent, and says nothing of another.
fn is_of_repository(error: &FetchError) -> bool {
    let is_said = |error: &UpstreamError| match error {
        UpstreamError::Denied { .. } | UpstreamError::Forbidden(_) | UpstreamError::Lied { .. } | UpstreamError::NotFound => true,
        UpstreamError::Failing { .. }
        | UpstreamError::Throttled { .. }
        | UpstreamError::TooLarge { .. }
        | UpstreamError::Unreachable { .. } => false,
    };
    let is_sent =
        |error: &FillError| matches!(error, FillError::Longer { .. } | FillError::Mismatch(_) | FillError::Shorter { .. });
    error.downcast_ref().is_some_and(is_said) || error.downcast_ref().is_some_and(is_sent) || error.is::<Disagrees>()
}

type Pieces = BoxStream<'static, Result<Bytes, FetchError>>;

/// The same pieces, hashed on their way. What is denied under its other name has no end, so its last piece is given to nobody.
fn named(pieces: Pieces, naming: Naming) -> Pieces {
    let next = |(mut pieces, mut naming): (Pieces, Naming)| async move {
        match pieces.try_next().await? {
            Some(piece) => {
                naming.update(&piece);
                Ok(Some((piece, (pieces, naming))))
            }
            None => naming.finish().map(|()| None).map_err(|denied| Arc::new(denied) as FetchError),
        }
    };
    stream::try_unfold((pieces, naming), next).boxed()
}

/// Finds out what a blob is called besides that was not hashed for it as it came, where something is denied by such a name.
async fn name(registry: &Registry, fetch: &Fetch, blob: &Blob) -> Result<(), FetchError> {
    let digest = fetch.digest;
    // Of this blob as it comes, not of another: what is fetched elsewhere says nothing of one that was begun without.
    let Some(algorithm) = registry.gate.unnamed(&digest).filter(|_| !blob.is_named()) else { return Ok(()) };
    let work = || {
        let (gate, blob) = (Arc::clone(&registry.gate), blob.clone());
        async move { blob.named_by(algorithm).await.map(|other| gate.name(&digest, other)) }
    };
    let key = (digest, blob.is_coming().then(|| fetch.clone()));
    let named = registry.naming.run(key, work).await.map_err(|lost| Arc::new(lost) as FetchError)?;
    named.map_err(FillError::cause)
}

/// What part of the blob the answer has.
#[derive(Debug)]
struct Part {
    /// Bytes of the blob; all of them for a 200.
    range: Range<u64>,
    /// Bytes of the whole blob.
    size: u64,
    partial: bool,
    head: bool,
}

fn part(request: &HeaderMap, size: u64, head: bool) -> Result<Part, Error> {
    let whole = Part { range: 0..size, size, partial: false, head };
    let mut ranges = request.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        // Ranges are for GET (RFC 9110, 14.2); we give no validator, so none of an If-Range can hold; two headers are
        // several ranges.
        (Some(range), None) if !head && !request.contains_key(header::IF_RANGE) => match Wanted::parse(range.as_bytes(), size) {
            Wanted::Part(range) => Ok(Part { range, partial: true, ..whole }),
            Wanted::Unsatisfiable => Err(Error::range_not_satisfiable(size)),
            Wanted::Whole => Ok(whole),
        },
        (None | Some(_), _) => Ok(whole),
    }
}

fn respond(digest: &Digest, part: Part, body: impl FnOnce() -> Body) -> Response<Body> {
    let mut response = response::start(if part.partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    let headers = response.headers_mut();
    // Fixed: containerd believes a blob's Content-Type when it resolves through `/blobs/` (X13).
    headers.insert(header::CONTENT_TYPE, OCTETS);
    headers.insert(header::CONTENT_LENGTH, length_value(part.range.end - part.range.start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_DIGEST, digest_value(digest));
    if part.partial
        && let Ok(range) = HeaderValue::try_from(format!("bytes {}-{}/{}", part.range.start, part.range.end - 1, part.size))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    if !part.head {
        *response.body_mut() = body();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str, extra: Option<(header::HeaderName, &str)>, head: bool) -> Result<(bool, Range<u64>), StatusCode> {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, range.parse().unwrap());
        if let Some((name, value)) = extra {
            request.append(name, value.parse().unwrap());
        }
        part(&request, 100, head).map(|part| (part.partial, part.range)).map_err(|error| error.status())
    }

    #[test]
    fn h6_ranges_are_for_get_and_without_a_condition() {
        assert_eq!(of("bytes=10-19", None, false), Ok((true, 10..20)));
        assert_eq!(of("bytes=10-19", None, true), Ok((false, 0..100)));
        assert_eq!(of("bytes=10-19", Some((header::IF_RANGE, "\"x\"")), false), Ok((false, 0..100)));
        assert_eq!(of("bytes=10-19", Some((header::RANGE, "bytes=1-2")), false), Ok((false, 0..100)));
        assert_eq!(of("bytes=100-", None, false), Err(StatusCode::RANGE_NOT_SATISFIABLE));
        assert_eq!(of("bytes=100-", None, true), Ok((false, 0..100)));
    }

    #[test]
    fn a_partial_answer_says_which_part_of_how_much() {
        let digest = Digest::sha256(b"x");
        let part = Part { range: 10..20, size: 100, partial: true, head: false };
        let response = respond(&digest, part, Body::empty);
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-range"), "bytes 10-19/100");
        assert_eq!(header("content-length"), "10");
        assert_eq!(header("accept-ranges"), "bytes");
        assert_eq!(header("content-type"), "application/octet-stream");
        assert_eq!(header("docker-content-digest"), digest.to_string());
    }
}
