//! What there is: the tags of a repository, and what refers to a digest.
//!
//! Both pass through: a listing grants nothing. Repositories no policy names are refused without their upstream being
//! asked, so that the gate is no open door to a registry's catalogue.

use std::fmt::Write as _;

use futures_util::{StreamExt as _, stream};
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
    upstream::{ReferrersAnswer, ReferrersPage, UpstreamError},
};

/// Tags on one page, whatever `n` says.
const MAX_TAGS: u32 = 1_000;
/// Pages of a referrers listing that are read; each is at most 4 MiB (X3).
const MAX_PAGES: usize = 4;
/// Entries of the index we give.
const MAX_ENTRIES: usize = 1_000;
/// Bytes of the index we give: what clients take for a manifest.
const MAX_BYTES: usize = 4 << 20;

/// Manifests read to complete a referrers tag's entries, and how many at once.
const MAX_COMPLETED: usize = 100;
const COMPLETED_AT_ONCE: usize = 8;

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
            Ok(ReferrersAnswer::Given(bytes)) => ReferrersPage { bytes, next: None },
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
                complete(route, &mut list.entries).await;
            }
            Ok(list)
        }
        Err(UpstreamError::NotFound) => Ok(list),
        Err(error) => Err(error),
    }
}

/// Gives entries without `artifactType` theirs, and their annotations, as a registry with the API would have: cosign
/// writes referrers tags without, and clients filter by it. What cannot be read stays as it is.
///
/// Its registry is asked, and not the store, which knows digests: what another repository's manifest says is not for whoever may
/// see this one, and anyone who can push here can list its digest.
async fn complete(route: &Route<'_>, entries: &mut [Map<String, Value>]) {
    let bare = entries.iter_mut().filter(|entry| !entry.contains_key("artifactType")).take(MAX_COMPLETED);
    stream::iter(bare)
        .for_each_concurrent(COMPLETED_AT_ONCE, async |entry| {
            let digest = entry.get("digest").and_then(Value::as_str).and_then(|digest| digest.parse::<Digest>().ok());
            let Some(digest) = digest else { return };
            let found = route.upstream.manifest(&route.image.repository, &Reference::Digest(digest)).await;
            let Some(manifest) = found.ok().and_then(|found| Manifest::parse(digest, found.bytes, None).ok()) else { return };
            // An image manifest's config type stands for a missing `artifactType` (distribution-spec, listing referrers).
            if let Some(of) = manifest.artifact_type.or_else(|| manifest.config.map(|config| config.media_type)) {
                entry.insert("artifactType".into(), of.into());
            }
            if !manifest.annotations.is_empty() && !entry.contains_key("annotations") {
                entry.insert("annotations".into(), json!(manifest.annotations));
            }
        })
        .await;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::Uri;

    use super::*;
    use crate::{
        registry::{
            Routes,
            endpoint::{Asked, Endpoint},
            testing::{Scripted, unreachable},
        },
        upstream::Upstream,
    };

    fn route<'a>(upstream: &Arc<Scripted>, uri: &'a Uri) -> Route<'a> {
        let asked = Asked::parse(&http::Method::GET, uri).unwrap();
        let Endpoint::Tags { name, .. } = asked.endpoint else { unreachable!() };
        let routes = Routes { upstreams: vec![Arc::clone(upstream) as Arc<dyn Upstream>], default: None };
        Route::find(&routes, name, asked.ns).unwrap()
    }

    async fn collected(upstream: &Arc<Scripted>) -> Result<Listing, UpstreamError> {
        let uri = Uri::from_static("/v2/acme/app/tags/list");
        collect(&route(upstream, &uri), &Digest::sha256(b"subject")).await
    }

    fn entry(name: &str) -> Value {
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::sha256(name.as_bytes()), "size": 7, "artifactType": name})
    }

    fn index(entries: &[Value]) -> Bytes {
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries}).to_string().into()
    }

    fn types(list: &Listing) -> Vec<&str> {
        list.entries.iter().map(|entry| entry.get("artifactType").and_then(Value::as_str).unwrap_or("")).collect()
    }

    #[test]
    fn the_next_page_is_ours_with_the_name_and_ns_as_written() {
        let upstream = Scripted::new("r.test:5000");
        let tag = "b".parse().unwrap();
        let of = |target: &'static str| next_page(&route(&upstream, &Uri::from_static(target)), 2, &tag);
        assert_eq!(of("/v2/acme/app/tags/list?n=2"), "</v2/acme/app/tags/list?n=2&last=b>; rel=\"next\"");
        assert_eq!(
            of("/v2/r.test:5000/acme/app/tags/list?n=2&last=a&ns=r.test%3A5000"),
            "</v2/r.test:5000/acme/app/tags/list?n=2&last=b&ns=r.test%3A5000>; rel=\"next\""
        );
    }

    #[tokio::test]
    async fn all_pages_of_the_api_are_one_list() {
        let upstream = Scripted::new("ghcr.io");
        upstream.referrers.store(Arc::new(vec![Ok(index(&[entry("a"), entry("b")])), Ok(index(&[entry("c")]))]));
        let list = collected(&upstream).await.unwrap();
        assert_eq!((types(&list), list.cut), (vec!["a", "b", "c"], false));
    }

    #[tokio::test]
    async fn x3_pages_without_end_and_entries_without_number_are_cut() {
        let upstream = Scripted::new("ghcr.io");
        upstream.referrers.store(Arc::new((0..9).map(|_| Ok(index(&[entry("a")]))).collect()));
        let list = collected(&upstream).await.unwrap();
        assert_eq!((list.entries.len(), list.cut, upstream.asked()), (MAX_PAGES, true, MAX_PAGES));

        upstream.referrers.store(Arc::new(vec![Ok(index(&vec![entry("a"); MAX_ENTRIES + 1]))]));
        let list = collected(&upstream).await.unwrap();
        assert_eq!((list.entries.len(), list.cut), (MAX_ENTRIES, true));

        let mut fat = entry("a");
        fat["annotations"] = json!({"x": "y".repeat(1 << 20)});
        upstream.referrers.store(Arc::new(vec![Ok(index(&vec![fat; 6]))]));
        let mut list = collected(&upstream).await.unwrap();
        assert!(list.fit());
        assert_eq!(list.entries.len(), 3);
    }

    #[tokio::test]
    async fn only_what_describes_is_passed_on() {
        let upstream = Scripted::new("ghcr.io");
        let mut odd = entry("a");
        odd["urls"] = json!(["https://evil.test/"]);
        odd["data"] = json!("AAAA");
        odd["annotations"] = json!({"k": "v"});
        let no_descriptor = json!({"digest": "sha256:../../x"});
        upstream.referrers.store(Arc::new(vec![Ok(index(&[odd, no_descriptor]))]));
        let list = collected(&upstream).await.unwrap();
        assert_eq!(list.entries.len(), 1);
        let keys: Vec<_> = list.entries[0].keys().map(String::as_str).collect();
        assert_eq!(keys, ["annotations", "artifactType", "digest", "mediaType", "size"]);
    }

    #[tokio::test]
    async fn what_is_no_index_is_the_upstreams_fault_and_an_outage_is_one() {
        let upstream = Scripted::new("ghcr.io");
        for text in ["<html>", "[]", "{}", r#"{"manifests":1}"#, r#"{"manifests":[],"Manifests":[]}"#] {
            upstream.referrers.store(Arc::new(vec![Ok(Bytes::copy_from_slice(text.as_bytes()))]));
            assert!(matches!(collected(&upstream).await, Err(UpstreamError::Lied { .. })), "{text}");
        }
        upstream.fail(Some(unreachable("ghcr.io")));
        assert!(matches!(collected(&upstream).await, Err(UpstreamError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn x14_without_an_api_the_referrers_tag_is_read_if_it_is_an_index() {
        let upstream = Scripted::new("ghcr.io");
        assert!(collected(&upstream).await.unwrap().entries.is_empty(), "nothing there");
        let tag = Tag::referrers_of(&Digest::sha256(b"subject"));
        upstream.publish(Some(tag.as_str()), std::str::from_utf8(&index(&[entry("a")])).unwrap());
        assert_eq!(types(&collected(&upstream).await.unwrap()), ["a"]);
        let config = json!({"mediaType": media_type::OCI_CONFIG, "digest": Digest::sha256(b"c"), "size": 1});
        let image = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": []});
        upstream.publish(Some(tag.as_str()), &image.to_string());
        assert!(collected(&upstream).await.unwrap().entries.is_empty(), "an image lists nothing");
        // An outage is not "nothing there".
        upstream.fail(Some(unreachable("ghcr.io")));
        assert!(collected(&upstream).await.is_err());
    }

    #[tokio::test]
    async fn a_referrers_tag_without_types_is_completed_from_the_manifests() {
        let upstream = Scripted::new("ghcr.io");
        let config = |of: &str| json!({"mediaType": of, "digest": Digest::sha256(b"{}"), "size": 2});
        let bundle = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "a/bundle",
            "config": config(media_type::OCI_EMPTY), "layers": [], "annotations": {"k": "v"},
        });
        let older =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config("a/config"), "layers": []});
        let bare = |digest| json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 7});
        let entries = [
            bare(upstream.publish(None, &bundle.to_string())),
            bare(upstream.publish(None, &older.to_string())),
            bare(Digest::sha256(b"gone")),
            entry("said"),
        ];
        let tag = Tag::referrers_of(&Digest::sha256(b"subject"));
        upstream.publish(Some(tag.as_str()), std::str::from_utf8(&index(&entries)).unwrap());
        let list = collected(&upstream).await.unwrap();
        assert_eq!(types(&list), ["a/bundle", "a/config", "", "said"]);
        assert_eq!(list.entries[0]["annotations"], json!({"k": "v"}));
    }
}
