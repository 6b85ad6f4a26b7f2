//! Names: hosts, repositories, tags, and how docker.io is spelled.

use std::{fmt, str::FromStr, sync::Arc};

use super::Digest;

/// Why a string is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {kind}", .text.escape_default().take(160).collect::<String>())]
pub struct NameError {
    kind: &'static str,
    text: String,
}

/// A registry as it stands in an image's name: lower case, `:443` dropped, docker.io's aliases folded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// A repository path: the distribution specification's `<name>`, at most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Arc<str>);

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

/// What stands behind `/manifests/`: a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The exact content.
    Digest(Digest),
    /// Whatever the tag means now.
    Tag(Tag),
}

/// What policies match: the host an image is named by, and its repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// The host, as in the image's name (not where it is fetched from).
    pub host: Host,
    /// The repository on that host.
    pub repository: Repository,
}

impl FromStr for Host {
    type Err = NameError;

    /// Accepts a DNS name, an IPv4 address or a bracketed IPv6 address, with an optional port.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NameError { kind: "registry host", text: text.to_owned() };
        let lower = text.to_ascii_lowercase();
        let (name, port) = match lower.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or_else(refuse)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| refuse())?;
                (format!("[{address}]"), rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("") }))
            }
            None => match lower.split_once(':') {
                Some((name, port)) => (name.to_owned(), Some(port)),
                None => (lower.clone(), None),
            },
        };
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() > 253 || !(name.starts_with('[') || name.split('.').all(label)) {
            return Err(refuse());
        }
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                Some(port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(refuse)?)
            }
            Some(_) => return Err(refuse()),
        };
        let canonical = match port {
            None | Some(443) => name,
            Some(port) => format!("{name}:{port}"),
        };
        Ok(Self(match canonical.as_str() {
            "index.docker.io" | "registry-1.docker.io" => "docker.io".into(),
            other => other.into(),
        }))
    }
}

impl Host {
    /// Whether this is Docker Hub, whose one-segment names get `library/`.
    #[must_use]
    pub fn is_docker_hub(&self) -> bool {
        &*self.0 == "docker.io"
    }
}

impl FromStr for Repository {
    type Err = NameError;

    /// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= 255 && text.split('/').all(is_path_component) {
            Ok(Self(text.into()))
        } else {
            Err(NameError { kind: "repository name", text: text.to_owned() })
        }
    }
}

fn is_path_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|run| !run.is_empty());
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && separators.into_iter().all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

impl FromStr for Tag {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = text.as_bytes();
        if bytes.len() <= 128
            && bytes.first().is_some_and(|b| word(*b))
            && bytes.iter().all(|b| word(*b) || *b == b'.' || *b == b'-')
        {
            Ok(Self(text.into()))
        } else {
            Err(NameError { kind: "tag", text: text.to_owned() })
        }
    }
}

impl Tag {
    /// The digest whose attachments this tag names: `sha256-<hex>` (the referrers tag schema), or the same with
    /// cosign's `.sig`, `.att` or `.sbom`. `None` for an ordinary tag.
    #[must_use]
    pub fn attachment_of(&self) -> Option<Digest> {
        let stem = [".sig", ".att", ".sbom"].iter().find_map(|suffix| self.0.strip_suffix(suffix)).unwrap_or(&self.0);
        stem.replacen('-', ":", 1).parse().ok()
    }

    /// The referrers tag of `digest`: its digest with the colon replaced, truncated as the specification says
    /// (32 characters of algorithm, 64 of hash).
    #[must_use]
    pub fn referrers_of(digest: &Digest) -> Self {
        Self(format!("{}-{}", digest.algorithm().as_str(), &digest.to_hex()[..64]).into())
    }

    /// cosign's attachment tag of `digest`: `sha256-<hex>.<suffix>`.
    #[must_use]
    pub fn cosign(digest: &Digest, suffix: &str) -> Option<Self> {
        format!("{}-{}.{suffix}", digest.algorithm().as_str(), digest.to_hex()).parse().ok()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') {
            text.parse().map(Self::Digest).map_err(ReferenceError::Digest)
        } else {
            text.parse().map(Self::Tag).map_err(ReferenceError::Tag)
        }
    }
}

/// Why a string is neither a tag nor a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has a colon, so it was meant as a digest.
    #[error(transparent)]
    Digest(super::digest::DigestError),
    /// It was meant as a tag.
    #[error(transparent)]
    Tag(NameError),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl ImageName {
    /// The canonical name: a one-segment repository on docker.io is `library/…`.
    #[must_use]
    pub fn new(host: Host, repository: Repository) -> Self {
        let repository = if host.is_docker_hub() && !repository.0.contains('/') {
            Repository(format!("library/{}", repository.0).into())
        } else {
            repository
        };
        Self { host, repository }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text as it is written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text!(Host, Repository, Tag);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i16_hosts_have_one_spelling() {
        for (written, canonical) in [
            ("GHCR.io", "ghcr.io"),
            ("ghcr.io:443", "ghcr.io"),
            ("ghcr.io:5000", "ghcr.io:5000"),
            ("index.docker.io", "docker.io"),
            ("registry-1.docker.io:443", "docker.io"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(written.parse::<Host>().unwrap().as_str(), canonical);
        }
        for wrong in ["", ":5000", "a:b", "a:0", "a:70000", "a b", "a/b", "user@a", "a..b", "-a", "a_b", "[::1", "[x]", "[::1]x"]
        {
            assert!(wrong.parse::<Host>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn repositories_follow_the_specification() {
        for name in ["a", "acme/app", "a.b/c_d/e__f/g--h", "manifests/blobs/tags", "0"] {
            assert!(name.parse::<Repository>().is_ok(), "{name}");
        }
        for name in ["", "/", "a/", "/a", "a//b", "A", "a/../b", ".a", "a.", "a._b", "a___b", "a%2fb", "a b", &"a".repeat(256)] {
            assert!(name.parse::<Repository>().is_err(), "{name}");
        }
    }

    #[test]
    fn one_segment_names_on_docker_hub_are_library() {
        let name = |host: &str, repository: &str| ImageName::new(host.parse().unwrap(), repository.parse().unwrap()).to_string();
        assert_eq!(name("docker.io", "nginx"), "docker.io/library/nginx");
        assert_eq!(name("docker.io", "acme/app"), "docker.io/acme/app");
        assert_eq!(name("ghcr.io", "app"), "ghcr.io/app");
    }

    #[test]
    fn attachment_tags_are_recognised() {
        let digest = Digest::sha256(b"x");
        let stem = format!("sha256-{}", digest.to_hex());
        for tag in [stem.clone(), format!("{stem}.sig"), format!("{stem}.att"), format!("{stem}.sbom")] {
            assert_eq!(tag.parse::<Tag>().unwrap().attachment_of(), Some(digest), "{tag}");
        }
        assert_eq!(Tag::referrers_of(&digest).as_str(), stem);
        assert_eq!("v1".parse::<Tag>().unwrap().attachment_of(), None);
        assert_eq!("sha256-abc".parse::<Tag>().unwrap().attachment_of(), None);
    }
}
