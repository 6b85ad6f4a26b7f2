//! GET and HEAD of a manifest: resolve, admit, and answer with a permit in hand.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};
use tokio::time::Instant;

use super::{
    Registry,
    error::{Asking, Error, public_warning},
    response::{self, CONTENT_DIGEST, digest_value, length_value},
    route::Route,
};
use crate::{
    body::Body,
    gate::{NoVerdict, Permit, Subject, TagVerdict, Verdict},
    oci::{Digest, Reference, Tag},
};

/// The answer, if what is asked was judged before: no waiting, no work. The hot path.
pub(super) fn recalled(registry: &Registry, route: &Route<'_>, reference: &Reference, head: bool) -> Option<Response<Body>> {
    let (digest, tag) = match reference {
        Reference::Digest(digest) => (*digest, None),
        // What an attachment tag may serve is narrower than what its digest may.
        Reference::Tag(tag) if is_attachment(tag) => return None,
        Reference::Tag(tag) => (registry.tags.recall(&route.image, tag)?, Some(tag)),
    };
    let subject = subject(route, digest);
    let permit = match tag {
        Some(tag) => registry.gate.recall_by_tag(&subject, tag),
        None => registry.gate.recall(&subject),
    }?;
    respond(&permit, &digest, head).ok()
}

/// The answer, whatever it takes.
pub(super) async fn manifest(
    registry: &Registry,
    route: &Route<'_>,
    reference: &Reference,
    head: bool,
) -> Result<Response<Body>, Error> {
    match reference {
        Reference::Digest(digest) => match verdict(registry, route, *digest, false).await? {
            Verdict::Admit(permit) => respond(&permit, digest, head),
            Verdict::Refuse(refusal) => Err(Error::refusal(&refusal)),
        },
        Reference::Tag(tag) => by_tag(registry, route, tag, head).await,
    }
}

async fn by_tag(registry: &Registry, route: &Route<'_>, tag: &Tag, head: bool) -> Result<Response<Body>, Error> {
    let failed = |error| Error::upstream(Asking::Tag(tag), &route.image, &error);
    let until = registry.gate.deadline();
    let meaning = registry.tags.resolve(&route.upstream, &route.image, tag).await.map_err(failed)?;
    // From here on only the digest travels.
    let answer = tagged(registry, route, tag, &meaning.digest, head, until).await;
    let Some(why) = meaning.stale else { return answer };
    match answer {
        Ok(mut response) => {
            response::warn(
                response.headers_mut(),
                "110 - \"Response is Stale: the upstream cannot be asked what this tag means\"",
            );
            Ok(response)
        }
        // A no to what the tag meant once is not a no to what it means now.
        Err(_) => {
            let image = &route.image;
            tracing::debug!(%image, %tag, %why, "a stale tag's digest is not admitted");
            Err(Error::unavailable(&format_args!("{image}:{tag} cannot be had: its registry cannot be asked what the tag means")))
        }
    }
}

/// What a tag is answered with when it means `digest`: the digest must be admitted, and the tag must not have moved to it as
/// it may not.
async fn tagged(
    registry: &Registry,
    route: &Route<'_>,
    tag: &Tag,
    digest: &Digest,
    head: bool,
    until: Instant,
) -> Result<Response<Body>, Error> {
    let permit = match verdict(registry, route, *digest, is_attachment(tag)).await? {
        Verdict::Admit(permit) => permit,
        Verdict::Refuse(refusal) => return Err(Error::refusal(&refusal)),
    };
    let verdict = registry.gate.admit_tag(tag, &subject(route, *digest), permit, until).await;
    match verdict.map_err(|none| Error::no_verdict(&route.image, digest, &none))? {
        TagVerdict::Refuse(refusal) => Err(Error::refusal(&refusal)),
        TagVerdict::Admit(permit, warnings) => {
            let mut response = respond(&permit, digest, head)?;
            for warning in warnings {
                response::warn(response.headers_mut(), &public_warning(&warning));
            }
            Ok(response)
        }
    }
}

async fn verdict(registry: &Registry, route: &Route<'_>, digest: Digest, attachment: bool) -> Result<Verdict, Error> {
    let subject = subject(route, digest);
    let verdict = if attachment {
        // D9: a runnable image called `sha256-….sig` is refused (X15).
        registry.gate.admit_attachment(&subject).await
    } else {
        registry.gate.admit(&subject).await
    };
    verdict.map_err(|none: NoVerdict| Error::no_verdict(&route.image, &digest, &none))
}

fn is_attachment(tag: &Tag) -> bool {
    tag.attachment_of().is_some()
}

fn subject(route: &Route<'_>, digest: Digest) -> Subject {
    Subject { upstream: Arc::clone(&route.upstream), image: route.image.clone(), digest }
}

/// The only way to a 200 with a manifest: a permit is needed, and its bytes are the ones sent.
///
/// That the permit is for what was asked is compared once more: one cheap line, so that a permit for one digest can
/// never carry another's bytes.
fn respond(permit: &Permit, asked: &Digest, head: bool) -> Result<Response<Body>, Error> {
    let manifest = permit.manifest();
    if manifest.digest() != asked {
        return Err(Error::permit_for_another(asked));
    }
    let mut response = response::start(StatusCode::OK);
    let headers = response.headers_mut();
    // From the body, never from the upstream's header (CVE-2021-41190).
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(manifest.media_type()));
    // On HEAD too: containerd resolves a tag by it and the digest, or else asks again with GET.
    headers.insert(header::CONTENT_LENGTH, length_value(manifest.bytes().len() as u64));
    headers.insert(CONTENT_DIGEST, digest_value(asked));
    for warning in permit.warnings() {
        response::warn(headers, &public_warning(warning));
    }
    if !head {
        *response.body_mut() = Body::full(manifest.bytes().clone());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{endpoint::Asked, endpoint::Endpoint, tests::World};

    #[tokio::test]
    async fn a_permit_for_one_digest_never_carries_another() {
        let world = World::allowing();
        let digest = world.publish_an_image();
        let target = format!("/v2/acme/app/manifests/{digest}").parse().unwrap();
        let asked = Asked::parse(&http::Method::GET, &target).unwrap();
        let Endpoint::Manifest { name, .. } = asked.endpoint else { unreachable!() };
        let route = Route::find(&world.registry.routes.load(), name, None).unwrap();
        let verdict = world.registry.gate.admit(&subject(&route, digest)).await.unwrap();
        let Verdict::Admit(permit) = verdict else { unreachable!() };
        assert_eq!(respond(&permit, &digest, false).unwrap().status(), StatusCode::OK);
        let other = Digest::sha256(b"other");
        assert_eq!(respond(&permit, &other, false).unwrap_err().status(), StatusCode::BAD_GATEWAY);
    }
}
