//! What there is: the tags of a repository, and what refers to a digest.
//!
//! Both pass through: a listing grants nothing. Repositories no policy names are refused without their upstream being
//! asked, so that the gate is no open door to a registry's catalogue.

use std::fmt::Write as _;

use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{
    Registry,
    error::{Asking, Error},
    response::{self, FILTERS_APPLIED},
    route::Route,
};
use crate::{
    body::Body,
    oci::{Descriptor, Digest, Manifest, ManifestKind, Reference, Tag, json as strict, media_type},
    policy::Unmatched,
    upstream::{ReferrersAnswer, UpstreamError},
};

/// Tags on one page, whatever `n` says.
const MAX_TAGS: u32 = 1_000;
/// Pages of a referrers listing that are read; each is at most 4 MiB (X3).
const MAX_PAGES: usize = 4;
/// Entries of the index we give.
const MAX_ENTRIES: usize = 1_000;
/// Bytes of the index we give: what clients take for a manifest.
const MAX_BYTES: usize = 4 << 20;

/// `tags/list`
pub(super) async fn tags(
    registry: &Registry,
    route: &Route<'_>,
    n: Option<u32>,
    last: Option<&Tag>,
    head: bool,
) -> Result<Response<Body>, Error> {
    allowed(registry, route)?;
    let n = n.unwrap_or(MAX_TAGS).min(MAX_TAGS);
    let mut tags = Vec::new();
    let mut more = false;
    if n > 0 {
        let failed = |error| Error::upstream(Asking::Tags, &route.image, &error);
        let page = route.upstream.tags(&route.image.repository, Some(n), last.map(Tag::as_str)).await.map_err(failed)?;
        more = page.more || page.tags.len() > n as usize;
        // What cannot be asked for is not listed: an upstream's text reaches neither terminals nor our link (J2, J5).
        tags = page.tags.into_iter().take(n as usize).filter_map(|tag| tag.parse::<Tag>().ok()).collect();
    }
    let mut response =
        response::json(json!({"name": route.written.as_str(), "tags": tags}).to_string(), "application/json", head);
    if more
        && let Some(last) = tags.last()
        && let Ok(link) = HeaderValue::try_from(next_page(route, n, last))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// A link to our own path, with the name and `ns` as the client wrote them.
fn next_page(route: &Route<'_>, n: u32, last: &Tag) -> String {
    let mut link = format!("</v2/{}/tags/list?n={n}&last={last}", route.written.as_str());
    if let Some(ns) = &route.ns {
        let _ = write!(link, "&ns={}", form_urlencoded::byte_serialize(ns.as_bytes()).collect::<String>());
    }
    link.push_str(">; rel=\"next\"");
    link
}

/// `referrers`: always an index, whatever the subject. All pages are given as one, so the answer has no further link;
/// what is above our bounds is left out, and a warning says so.
pub(super) async fn referrers(
    registry: &Registry,
    route: &Route<'_>,
    subject: &Digest,
    artifact_types: &[String],
    head: bool,
) -> Result<Response<Body>, Error> {
    allowed(registry, route)?;
    let mut list =
        collect(route, subject).await.map_err(|error| Error::upstream(Asking::Referrers(subject), &route.image, &error))?;
    if !artifact_types.is_empty() {
        list.entries.retain(|entry| {
            entry.get("artifactType").and_then(Value::as_str).is_some_and(|of| artifact_types.iter().any(|wanted| wanted == of))
        });
    }
    let cut = list.fit();
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": list.entries});
    let mut response = response::json(index.to_string(), media_type::OCI_INDEX, head);
    if !artifact_types.is_empty() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if cut {
        response::warn(response.headers_mut(), "299 - \"The list of referrers is longer than this gate reads and was cut\"");
    }
    Ok(response)
}

#[derive(Debug, Default)]
struct Listing {
    entries: Vec<Map<String, Value>>,
    /// More there was than was read.
    cut: bool,
}

/// All there is by the referrers API, else by the referrers tag.
async fn collect(route: &Route<'_>, subject: &Digest) -> Result<Listing, UpstreamError> {
    let mut list = Listing::default();
    let mut next: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = match route.upstream.referrers(&route.image.repository, subject, next.as_deref()).await {
            Ok(ReferrersAnswer::Page(page)) => page,
            // A page that is gone between two requests ends the list; a first one that is not there is no API.
            Ok(ReferrersAnswer::NoApi) | Err(UpstreamError::NotFound) if next.is_some() => break,
            Ok(ReferrersAnswer::NoApi) | Err(UpstreamError::NotFound) => return by_tag(route, subject).await,
            Err(error) => return Err(error),
        };
        list.take(route, &page.bytes)?;
        match page.next {
            Some(again) if next.as_ref() != Some(&again) => next = Some(again),
            Some(_) | None => return Ok(list),
        }
    }
    list.cut |= next.is_some();
    Ok(list)
}

/// What the referrers tag lists, where it is an index; anything else under that name lists nothing (X14).
async fn by_tag(route: &Route<'_>, subject: &Digest) -> Result<Listing, UpstreamError> {
    let mut list = Listing::default();
    let reference = Reference::Tag(Tag::referrers_of(subject));
    match route.upstream.manifest(&route.image.repository, &reference).await {
        Ok(found) => {
            let index = Manifest::parse(found.digest, found.bytes, found.content_type.as_deref()).ok();
            if let Some(index) = index.filter(|manifest| manifest.kind() == ManifestKind::Index) {
                list.take(route, index.bytes())?;
            }
            Ok(list)
        }
        Err(UpstreamError::NotFound) => Ok(list),
        Err(error) => Err(error),
    }
}

impl Listing {
    /// Takes an index's entries: those that are descriptors, and of them only the fields that describe. `urls` would
    /// lead clients round the gate, `data` would hand them bytes that were never looked at.
    fn take(&mut self, route: &Route<'_>, index: &[u8]) -> Result<(), UpstreamError> {
        const FIELDS: [&str; 6] = ["mediaType", "digest", "size", "artifactType", "annotations", "platform"];
        let malformed =
            |what: &str| UpstreamError::Lied { host: route.image.host.to_string(), what: format!("its referrers are {what}") };
        let mut index = strict::parse(index).map_err(|_| malformed("no JSON that can be read"))?;
        let entries = match index.get_mut("manifests").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            // Go writes an empty list as null.
            Some(Value::Null) => Vec::new(),
            Some(_) | None => return Err(malformed("no index")),
        };
        for entry in entries {
            if self.entries.len() >= MAX_ENTRIES {
                self.cut = true;
                break;
            }
            if Descriptor::from_value(&entry).is_ok()
                && let Value::Object(mut entry) = entry
            {
                entry.retain(|key, _| FIELDS.contains(&key.as_str()));
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// Drops entries from the end until the index is one that clients take. Says whether anything is missing.
    fn fit(&mut self) -> bool {
        let mut bytes = 256;
        let fits = self.entries.iter().take_while(|entry| {
            bytes += serde_json::to_vec(entry).map_or(MAX_BYTES, |json| json.len() + 1);
            bytes <= MAX_BYTES
        });
        let fits = fits.count();
        self.cut |= fits < self.entries.len();
        self.entries.truncate(fits);
        self.cut
    }
}

/// Repositories no policy names are not asked about.
fn allowed(registry: &Registry, route: &Route<'_>) -> Result<(), Error> {
    let selection = registry.policies.load().select(&route.image);
    match selection.unmatched {
        Unmatched::Deny if selection.enforce.is_empty() && selection.audit.is_empty() => Err(Error::no_policy(&route.image)),
        Unmatched::Deny | Unmatched::DangerousAllow => Ok(()),
    }
}
