//! Which upstream a request is about: `?ns=`, a host as first path segment, or the default.
//!
//! All three are a client's word, so they choose among the configured upstreams and never beyond (X10). They must agree
//! where two are given: otherwise the policy of one registry could be applied to the content of another.

use std::{borrow::Cow, sync::Arc};

use super::{Routes, endpoint::Name, error::Error};
use crate::{
    oci::{Host, ImageName},
    upstream::Upstream,
};

/// A request's upstream and what the image is called there.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    /// Who is asked.
    pub(super) upstream: Arc<dyn Upstream>,
    /// What policies match.
    pub(super) image: ImageName,
    /// The name as the client wrote it, for links back to us.
    pub(super) written: Name<'a>,
    /// `ns` as the client wrote it, where it was given.
    pub(super) ns: Option<Cow<'a, str>>,
}

impl<'a> Route<'a> {
    /// Finds the upstream for `name`.
    ///
    /// # Errors
    /// 404 `NAME_UNKNOWN` where no such upstream is configured, 400 `NAME_INVALID` where names contradict or are none.
    pub(super) fn find(routes: &Routes, name: Name<'a>, ns: Option<Cow<'a, str>>) -> Result<Self, Error> {
        let by_ns = match ns.as_deref() {
            None => None,
            Some(ns) => Some(routes.named(ns).ok_or_else(|| Error::host_unknown(ns))?),
        };
        let (first, rest) = match name.as_str().split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (name.as_str(), None),
        };
        let by_path = routes.named(first);
        let (upstream, repository) = match (by_ns, by_path, rest) {
            (Some(ns), Some(prefix), _) if ns.host() != prefix.host() => {
                return Err(Error::host_contradicted(ns.host().as_str(), prefix.host().as_str()));
            }
            // A configured host at the front is a host, never a part of a repository.
            (_, Some(upstream), Some(rest)) => (upstream, rest),
            (_, Some(_), None) => return Err(Error::name_invalid(name.as_str())),
            // No repository has a colon: this is a host, and none of ours.
            (_, None, Some(_)) if first.contains(':') => return Err(Error::host_unknown(first)),
            (Some(upstream), None, _) => (upstream, name.as_str()),
            (None, None, _) => (routes.fallback()?, name.as_str()),
        };
        let repository = repository.parse().map_err(|_| Error::name_invalid(repository))?;
        let image = ImageName::new(upstream.host().clone(), repository);
        Ok(Self { upstream: Arc::clone(upstream), image, written: name, ns })
    }
}

impl Routes {
    /// The upstream called `host`, in any spelling.
    fn named(&self, host: &str) -> Option<&Arc<dyn Upstream>> {
        let called = |wanted: &str| self.upstreams.iter().find(|upstream| upstream.host().as_str() == wanted);
        // Most clients write the canonical form, and most first segments are no host at all: only what can be another
        // spelling of a host (a port, an alias, upper case) is worth parsing on every request.
        let other = |b: u8| matches!(b, b'.' | b':') || b.is_ascii_uppercase();
        called(host).or_else(|| if host.bytes().any(other) { called(host.parse::<Host>().ok()?.as_str()) } else { None })
    }

    fn fallback(&self) -> Result<&Arc<dyn Upstream>, Error> {
        match (&self.default, self.upstreams.as_slice()) {
            (Some(host), _) => self.named(host.as_str()).ok_or_else(Error::no_default),
            (None, [only]) => Ok(only),
            (None, _) => Err(Error::no_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode, Uri};
    use proptest::prelude::*;

    use super::*;
    use crate::registry::{
        endpoint::{Asked, Endpoint},
        testing::Scripted,
    };

    fn routes(hosts: &[&str], default: Option<&str>) -> Routes {
        Routes {
            upstreams: hosts.iter().map(|host| Scripted::new(host) as Arc<dyn Upstream>).collect(),
            default: default.map(|host| host.parse().unwrap()),
        }
    }

    fn find(routes: &Routes, target: &str) -> Result<String, (StatusCode, &'static str)> {
        let uri: Uri = target.parse().unwrap();
        let asked = Asked::parse(&Method::GET, &uri).unwrap();
        let Endpoint::Manifest { name, .. } = asked.endpoint else { unreachable!() };
        match Route::find(routes, name, asked.ns) {
            Ok(route) => {
                assert_eq!(route.upstream.host(), &route.image.host);
                Ok(route.image.to_string())
            }
            Err(error) => Err((error.status(), error.code().as_str())),
        }
    }

    #[test]
    fn each_way_of_naming_a_registry_leads_to_it() {
        let several = routes(&["ghcr.io", "docker.io", "registry.acme.test:5000"], Some("ghcr.io"));
        for (target, image) in [
            ("/v2/acme/app/manifests/v1", "ghcr.io/acme/app"),
            ("/v2/acme/app/manifests/v1?ns=docker.io", "docker.io/acme/app"),
            ("/v2/acme/app/manifests/v1?ns=registry.acme.test%3A5000", "registry.acme.test:5000/acme/app"),
            ("/v2/docker.io/acme/app/manifests/v1", "docker.io/acme/app"),
            ("/v2/registry.acme.test:5000/acme/app/manifests/v1", "registry.acme.test:5000/acme/app"),
            // Both, in agreement: `override_path` in a hosts.toml.
            ("/v2/docker.io/library/nginx/manifests/1?ns=docker.io", "docker.io/library/nginx"),
            // Spellings.
            ("/v2/nginx/manifests/1?ns=docker.io", "docker.io/library/nginx"),
            ("/v2/nginx/manifests/1?ns=index.docker.io", "docker.io/library/nginx"),
            ("/v2/nginx/manifests/1?ns=Registry-1.Docker.io:443", "docker.io/library/nginx"),
            ("/v2/docker.io/nginx/manifests/1", "docker.io/library/nginx"),
            ("/v2/index.docker.io/nginx/manifests/1?ns=docker.io", "docker.io/library/nginx"),
            ("/v2/ghcr.io:443/acme/app/manifests/1", "ghcr.io/acme/app"),
            // A host nobody configured is a repository's first segment like any other.
            ("/v2/quay.io/acme/app/manifests/1", "ghcr.io/quay.io/acme/app"),
        ] {
            assert_eq!(find(&several, target).as_deref(), Ok(image), "{target}");
        }
    }

    #[test]
    fn the_only_upstream_answers_for_requests_that_name_none() {
        assert_eq!(find(&routes(&["ghcr.io"], None), "/v2/a/manifests/x").as_deref(), Ok("ghcr.io/a"));
        let unknown = Err((StatusCode::NOT_FOUND, "NAME_UNKNOWN"));
        assert_eq!(find(&routes(&["ghcr.io", "docker.io"], None), "/v2/a/manifests/x"), unknown);
        assert_eq!(find(&routes(&[], None), "/v2/a/manifests/x"), unknown);
    }

    #[test]
    fn x10_ns_leads_only_to_configured_upstreams() {
        let routes = routes(&["ghcr.io", "docker.io"], Some("ghcr.io"));
        for ns in [
            "quay.io",
            "169.254.169.254",
            "ghcr.io:5000",
            "ghcr.io.",
            "user@ghcr.io",
            "",
            "ghcr.io/acme",
            "localhost",
            "a%0d%0ab",
        ] {
            let found = find(&routes, &format!("/v2/acme/app/manifests/v1?ns={ns}"));
            assert_eq!(found, Err((StatusCode::NOT_FOUND, "NAME_UNKNOWN")), "{ns}");
        }
        let found = find(&routes, "/v2/quay.io:5000/acme/app/manifests/v1");
        assert_eq!(found, Err((StatusCode::NOT_FOUND, "NAME_UNKNOWN")));
    }

    #[test]
    fn x10_ns_and_path_must_agree() {
        let routes = routes(&["ghcr.io", "docker.io"], None);
        let found = find(&routes, "/v2/ghcr.io/acme/app/manifests/v1?ns=docker.io");
        assert_eq!(found, Err((StatusCode::BAD_REQUEST, "NAME_INVALID")));
    }

    #[test]
    fn names_that_are_none_are_400() {
        let routes = routes(&["ghcr.io"], None);
        let long = format!("/v2/{}/manifests/x", "a".repeat(256));
        for target in ["/v2/a_-b/manifests/x", "/v2/-a/manifests/x", "/v2/ghcr.io/manifests/x", "/v2/[::1]/manifests/x", &long] {
            assert_eq!(find(&routes, target), Err((StatusCode::BAD_REQUEST, "NAME_INVALID")), "{target}");
        }
    }

    proptest! {
        #[test]
        fn i16_every_spelling_of_a_host_is_the_same_image(upper in any::<[bool; 7]>(), port: bool, repository in "[a-z]{1,5}(/[a-z]{1,5}){1,2}") {
            let routes = routes(&["ghcr.io", "docker.io"], None);
            let host: String = "ghcr.io".chars().zip(upper).map(|(c, up)| if up { c.to_ascii_uppercase() } else { c }).collect();
            let port = if port { ":443" } else { "" };
            let image = format!("ghcr.io/{repository}");
            prop_assert_eq!(find(&routes, &format!("/v2/{repository}/manifests/x?ns={host}{port}")), Ok(image.clone()));
            prop_assert_eq!(find(&routes, &format!("/v2/ghcr.io{port}/{repository}/manifests/x?ns={host}")), Ok(image));
        }
    }
}
