//! Method, raw path and query → [`Asked`]. Pure, and the only place a path is read.
//!
//! The path is read once, from the right, as bytes: nothing is percent-decoded, no segment is normalised. What is not in
//! its plain form (`%2f`, `..`, `//`, upper case) is refused rather than understood, because whoever stands behind the
//! gate might understand it otherwise (X12; opa-envoy's double slash, GHSA-9f29-v6mm-pw6w). From the right, because a
//! repository may contain segments called `manifests`, `blobs` or `tags`.

use std::borrow::Cow;

use http::{Method, Uri};
use url::form_urlencoded;

use super::error::Error;
use crate::oci::{Digest, Reference, Tag};

/// How many bytes a name may have: a repository's 255 and a host before it.
const MAX_NAME: usize = 512;
/// How many `artifactType` values are taken; clients send one, Docker Engine two.
const MAX_ARTIFACT_TYPES: usize = 16;

/// A request, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// What for.
    pub(super) endpoint: Endpoint<'a>,
    /// `ns`: the registry host the client named (containerd). Percent-decoded, not checked further.
    pub(super) ns: Option<Cow<'a, str>>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// `/v2/`
    ApiVersion,
    /// `/v2/<name>/blobs/<digest>`
    Blob {
        /// Whose.
        name: Name<'a>,
        /// Which.
        digest: Digest,
    },
    /// `/v2/<name>/manifests/<reference>`
    Manifest {
        /// Whose.
        name: Name<'a>,
        /// Which.
        reference: Reference,
    },
    /// `/v2/<name>/referrers/<digest>`
    Referrers {
        /// Whose.
        name: Name<'a>,
        /// Of what.
        subject: Digest,
        /// Only entries of one of these types; all when empty.
        artifact_types: Vec<String>,
    },
    /// `/v2/<name>/tags/list`
    Tags {
        /// Whose.
        name: Name<'a>,
        /// At most so many.
        n: Option<u32>,
        /// Those after this one.
        last: Option<Tag>,
    },
}

/// What stands between `/v2/` and the endpoint's own word: a repository, perhaps with a host before it.
///
/// # Invariants
/// Not empty, at most [`MAX_NAME`] bytes; only `a-z 0-9 . _ - : [ ] /`; no empty, `.` or `..` segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    fn new(text: &'a str) -> Result<Self, Error> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-:[]".contains(b);
        let segment = |segment: &[u8]| !matches!(segment, b"" | b"." | b"..") && segment.iter().all(plain);
        if text.len() <= MAX_NAME && text.as_bytes().split(|b| *b == b'/').all(segment) {
            Ok(Self(text))
        } else {
            Err(Error::name_invalid(text))
        }
    }

    /// As the client wrote it.
    pub(super) const fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> Asked<'a> {
    /// Reads a request's method and target.
    ///
    /// # Errors
    /// The answer the client gets: 400, 404 or 405.
    pub(super) fn parse(method: &Method, uri: &'a Uri) -> Result<Self, Error> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Error::method_not_allowed());
        }
        let path = uri.path();
        let read = || {
            let rest = path.strip_prefix("/v2").ok_or_else(Error::no_such_endpoint)?;
            let query = Query::parse(uri.query().unwrap_or_default())?;
            let endpoint = match rest.strip_prefix('/') {
                None if rest.is_empty() => Endpoint::ApiVersion,
                None => return Err(Error::no_such_endpoint()),
                Some("") => Endpoint::ApiVersion,
                Some(rest) => Endpoint::parse(rest, &query)?,
            };
            Ok((endpoint, query.ns))
        };
        // Every part of what is accepted has been read as what it is, so only of what is refused is there more to ask: why.
        let (endpoint, ns) = read().map_err(|error| if is_plain(path) { error } else { Error::path_not_plain() })?;
        Ok(Self { endpoint, ns })
    }
}

impl<'a> Endpoint<'a> {
    fn parse(rest: &'a str, query: &Query<'_>) -> Result<Self, Error> {
        let (front, last) = rest.rsplit_once('/').ok_or_else(Error::no_such_endpoint)?;
        let (name, word) = front.rsplit_once('/').ok_or_else(Error::no_such_endpoint)?;
        if last.is_empty() {
            return Err(Error::no_such_endpoint());
        }
        match word {
            "blobs" => {
                let name = Name::new(name)?;
                Ok(Self::Blob { name, digest: digest(last)? })
            }
            "manifests" => {
                let name = Name::new(name)?;
                let reference = if last.contains(':') {
                    Reference::Digest(digest(last)?)
                } else {
                    // No tag can be called so, hence there is none: 404 is what the conformance suite wants here.
                    Reference::Tag(last.parse().map_err(|_| Error::manifest_unknown(&format_args!("tag `{last}`")))?)
                };
                Ok(Self::Manifest { name, reference })
            }
            "referrers" => {
                let name = Name::new(name)?;
                Ok(Self::Referrers { name, subject: digest(last)?, artifact_types: query.artifact_types.clone() })
            }
            "tags" if last == "list" => Ok(Self::Tags { name: Name::new(name)?, n: query.n()?, last: query.last()? }),
            _ => Err(Error::no_such_endpoint()),
        }
    }

    /// Whose, where a repository is named.
    #[cfg(test)]
    const fn name(&self) -> Option<Name<'a>> {
        match self {
            Self::ApiVersion => None,
            Self::Blob { name, .. } | Self::Manifest { name, .. } | Self::Referrers { name, .. } | Self::Tags { name, .. } => {
                Some(*name)
            }
        }
    }
}

/// Whether nothing in `path` asks to be decoded or normalised.
fn is_plain(path: &str) -> bool {
    !path.contains('%') && !path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn digest(text: &str) -> Result<Digest, Error> {
    text.parse().map_err(|error| Error::digest_invalid(&error))
}

/// The parameters that mean something here; any other is left alone, as the specification asks.
#[derive(Debug, Default)]
struct Query<'a> {
    ns: Option<Cow<'a, str>>,
    n: Option<Cow<'a, str>>,
    last: Option<Cow<'a, str>>,
    artifact_types: Vec<String>,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        let mut query = Self::default();
        if text.is_empty() {
            return Ok(query);
        }
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let slot = match key.as_ref() {
                "artifactType" => {
                    if query.artifact_types.len() == MAX_ARTIFACT_TYPES {
                        return Err(Error::bad_query("artifactType", "is given too often"));
                    }
                    if !value.is_empty() {
                        query.artifact_types.push(value.into_owned());
                    }
                    continue;
                }
                "last" => (&mut query.last, "last"),
                "n" => (&mut query.n, "n"),
                // Two values could be read differently by whoever routes before us and by us (X10).
                "ns" => (&mut query.ns, "ns"),
                _ => continue,
            };
            if slot.0.replace(value).is_some() {
                return Err(Error::bad_query(slot.1, "is given more than once"));
            }
        }
        Ok(query)
    }

    fn n(&self) -> Result<Option<u32>, Error> {
        match self.n.as_deref() {
            None => Ok(None),
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                // More than a u32 holds is only more than the cap.
                Ok(Some(digits.parse().unwrap_or(u32::MAX)))
            }
            Some(_) => Err(Error::bad_query("n", "is not a number")),
        }
    }

    fn last(&self) -> Result<Option<Tag>, Error> {
        match self.last.as_deref() {
            None | Some("") => Ok(None),
            Some(tag) => tag.parse().map(Some).map_err(|_| Error::bad_query("last", "is not a tag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn get(target: &str) -> Result<Asked<'static>, (StatusCode, &'static str)> {
        ask(&Method::GET, target)
    }

    fn ask(method: &Method, target: &str) -> Result<Asked<'static>, (StatusCode, &'static str)> {
        let uri: &'static Uri = Box::leak(Box::new(target.parse().unwrap()));
        Asked::parse(method, uri).map_err(|error| (error.status(), error.code().as_str()))
    }

    fn name(target: &str) -> &'static str {
        get(target).unwrap().endpoint.name().unwrap().as_str()
    }

    #[test]
    fn the_base_is_both_with_and_without_its_slash() {
        for target in ["/v2", "/v2/", "/v2/?ns=docker.io"] {
            assert_eq!(get(target).unwrap().endpoint, Endpoint::ApiVersion, "{target}");
        }
    }

    #[test]
    fn each_endpoint_is_read_from_the_right() {
        let digest: Digest = format!("sha256:{HASH}").parse().unwrap();
        let asked = get(&format!("/v2/acme/app/blobs/sha256:{HASH}")).unwrap();
        assert_eq!(asked.endpoint, Endpoint::Blob { name: Name("acme/app"), digest });
        let asked = get("/v2/acme/app/manifests/v1.0").unwrap();
        let reference = Reference::Tag("v1.0".parse().unwrap());
        assert_eq!(asked.endpoint, Endpoint::Manifest { name: Name("acme/app"), reference });
        let asked = ask(&Method::HEAD, &format!("/v2/a/manifests/sha256:{HASH}?ns=ghcr.io")).unwrap();
        assert_eq!(asked.ns.as_deref(), Some("ghcr.io"));
        assert_eq!(asked.endpoint, Endpoint::Manifest { name: Name("a"), reference: Reference::Digest(digest) });
        let asked = get(&format!("/v2/a/referrers/sha256:{HASH}?artifactType=application%2Fx&artifactType=b")).unwrap();
        let artifact_types = vec!["application/x".to_owned(), "b".to_owned()];
        assert_eq!(asked.endpoint, Endpoint::Referrers { name: Name("a"), subject: digest, artifact_types });
        let asked = get("/v2/a/tags/list?n=3&last=v1").unwrap();
        assert_eq!(asked.endpoint, Endpoint::Tags { name: Name("a"), n: Some(3), last: Some("v1".parse().unwrap()) });
    }

    #[test]
    fn repositories_may_contain_the_words_of_the_protocol() {
        assert_eq!(name("/v2/manifests/blobs/manifests/tags/list"), "manifests/blobs/manifests");
        assert_eq!(name("/v2/a/tags/list/manifests/latest"), "a/tags/list");
        assert_eq!(name(&format!("/v2/v2/blobs/blobs/sha256:{HASH}")), "v2/blobs");
        assert_eq!(name("/v2/registry.acme.test:5000/acme/app/manifests/v1"), "registry.acme.test:5000/acme/app");
    }

    #[test]
    fn x12_paths_that_are_not_plain_are_refused() {
        let refused = (StatusCode::BAD_REQUEST, "NAME_INVALID");
        for target in [
            "//v2/a/manifests/x",
            "/v2//a/manifests/x",
            "/v2/a//manifests/x",
            "/v2/a%2fb/manifests/x",
            "/v2/a/manifests/%2e%2e",
            "/v2/a/../b/manifests/x",
            "/v2/a/./b/manifests/x",
            "/v2/../v2/a/manifests/x",
            "/v2/a/manifests/..",
            "/v2/A/manifests/x",
            "/v2/GHCR.io/a/manifests/x",
            "/v2/a~b/manifests/x",
            "/v2/a@b/manifests/x",
            "/v2/a%00b/manifests/x",
        ] {
            assert_eq!(get(target).unwrap_err(), refused, "{target}");
        }
        assert_eq!(get(&format!("/v2/{}/manifests/x", "a/".repeat(20_000))).unwrap_err(), refused);
    }

    #[test]
    fn x11_malformed_digests_are_400_and_impossible_tags_404() {
        for word in ["manifests", "blobs", "referrers"] {
            for digest in [
                "sha256:baddigeststring".to_owned(),
                "sha256:totallywrong".to_owned(),
                format!("sha256:{}", HASH.to_uppercase()),
                format!("sha256:{}", &HASH[1..]),
                format!("sha512:{HASH}"),
                "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
                ":".to_owned(),
            ] {
                let found = get(&format!("/v2/a/{word}/{digest}")).unwrap_err();
                assert_eq!(found, (StatusCode::BAD_REQUEST, "DIGEST_INVALID"), "{word} {digest}");
            }
        }
        for tag in [".INVALID_MANIFEST_NAME", "-x", &"a".repeat(129)] {
            assert_eq!(get(&format!("/v2/a/manifests/{tag}")).unwrap_err(), (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"));
        }
    }

    #[test]
    fn h2_other_methods_are_405_wherever_they_go() {
        for method in ["PUT", "POST", "PATCH", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PROPFIND"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for target in ["/v2/", "/v2/a/manifests/x", "/v2/a/blobs/uploads/", "/"] {
                assert_eq!(ask(&method, target).unwrap_err(), (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"));
            }
        }
    }

    #[test]
    fn other_paths_are_404_and_the_catalog_is_not_offered() {
        for target in [
            "/",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/_catalog",
            "/v2/manifests/x",
            "/v2/tags/list",
            "/v2/a/tags/list/",
            "/v2/a/manifests/",
            "/v2/a/tags/other",
            "/v2/a/blobs/uploads/1",
            "/token",
            "/v3/a/manifests/x",
        ] {
            assert_eq!(get(target).unwrap_err(), (StatusCode::NOT_FOUND, "UNSUPPORTED"), "{target}");
        }
    }

    #[test]
    fn x10_ns_may_be_given_once() {
        // Go writes the port's colon so.
        assert_eq!(get("/v2/a/manifests/x?ns=r.test%3A5000").unwrap().ns.as_deref(), Some("r.test:5000"));
        for target in ["/v2/a/manifests/x?ns=ghcr.io&ns=docker.io", "/v2/a/manifests/x?ns=ghcr.io&n%73=ghcr.io"] {
            assert_eq!(get(target).unwrap_err(), (StatusCode::BAD_REQUEST, "UNSUPPORTED"), "{target}");
        }
    }

    #[test]
    fn page_parameters_are_checked() {
        let n = |query: &str| {
            get(&format!("/v2/a/tags/list?{query}")).map(|asked| match asked.endpoint {
                Endpoint::Tags { n, .. } => n,
                _ => unreachable!(),
            })
        };
        assert_eq!(n(""), Ok(None));
        assert_eq!(n("n=0"), Ok(Some(0)));
        assert_eq!(n("n=99999999999999999999"), Ok(Some(u32::MAX)));
        for query in ["n=", "n=-1", "n=x", "n=1&n=2", "last=../x", "last=a%20b"] {
            assert_eq!(n(query), Err((StatusCode::BAD_REQUEST, "UNSUPPORTED")), "{query}");
        }
        // A parameter of another endpoint is none of this one's.
        assert!(get("/v2/a/manifests/x?n=zzz&foo=bar").is_ok());
    }

    proptest! {
        #[test]
        fn any_target_is_answered_and_what_is_accepted_is_plain(path in "(/[a-zA-Z0-9._:%@~!-]{0,9}){0,9}", query in "[a-z0-9=&%+.:]{0,40}") {
            if let Ok(uri) = format!("/v2{path}?{query}").parse::<Uri>()
                && let Ok(asked) = Asked::parse(&Method::GET, &uri)
                && let Some(name) = asked.endpoint.name()
            {
                let name = name.as_str();
                prop_assert!(is_plain(uri.path()));
                let plain = !name.contains("//") && !name.contains('%') && !name.split('/').any(|s| matches!(s, "" | "." | ".."));
                prop_assert!(plain);
                prop_assert_eq!(name, name.to_lowercase());
                // The name is the path's own bytes, and only the endpoint's words follow it.
                let start = format!("/v2/{name}/");
                prop_assert!(uri.path().starts_with(&start));
                prop_assert_eq!(uri.path()[start.len()..].matches('/').count(), 1);
            }
        }

        #[test]
        fn a_written_name_is_the_name_read(name in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,4}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}") {
            let uri: Uri = format!("/v2/{name}/manifests/{tag}").parse().unwrap();
            let asked = Asked::parse(&Method::GET, &uri).unwrap();
            let expected = Endpoint::Manifest { name: Name(&name), reference: Reference::Tag(tag.parse().unwrap()) };
            prop_assert_eq!(asked.endpoint, expected);
        }
    }
}
