//! What an image is called on a command line: `ghcr.io/acme/app:v1`, or an image of an OCI layout on disk.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::oci::{Digest, Host, ImageName, Reference, Repository};

/// What images of a layout are called where the layout does not say: podman's name for what came from no registry.
pub(super) const LAYOUT_HOST: &str = "localhost";

/// Where an image of a command line is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An OCI layout in this directory.
    Layout(PathBuf),
    /// At the registry it is named by.
    Registry,
}

/// An image as somebody typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// As typed.
    pub(super) text: String,
    /// Where it is.
    pub(super) place: Place,
    /// What policies match; `None` for all of a layout.
    pub(super) name: Option<ImageName>,
    /// What stands before the repository in the layout's own names: `ghcr.io/`, or nothing.
    pub(super) prefix: String,
    /// Which of its manifests.
    pub(super) reference: Option<Reference>,
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no image: {why}", .text.escape_default().take(160).collect::<String>())]
pub(super) struct ReferenceError {
    text: String,
    why: String,
}

impl FromStr for Image {
    type Err = ReferenceError;

    /// `[HOST/]REPOSITORY[:TAG][@DIGEST]` as Docker reads it: without a host it is docker.io, without a tag `latest`, and
    /// beside a digest a tag means nothing; gh's `oci://` may stand before it. Or
    /// `oci:DIRECTORY[:REPOSITORY:TAG|:REPOSITORY@DIGEST]`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why: String| ReferenceError { text: text.to_owned(), why };
        // What gh and Helm write before what is at a registry.
        let at_registry = text.strip_prefix("oci://").filter(|rest| !rest.starts_with('/'));
        if let (None, Some(rest)) = (at_registry, text.strip_prefix("oci:")) {
            return in_layout(text, rest).map_err(refuse);
        }
        let plain = at_registry.unwrap_or(text);
        if let Some((scheme, _)) = plain.split_once("://") {
            return Err(refuse(format!("leave out `{scheme}://`")));
        }
        let (name, reference) = split(plain).map_err(refuse)?;
        let (host, repository) = match name.split_once('/') {
            // As Docker decides: only a dot, a colon or `localhost` makes a host of the first segment.
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => ("docker.io", name),
        };
        let host: Host = host.parse().map_err(|error| refuse(format!("{error}")))?;
        let repository: Repository = repository.parse().map_err(|error| refuse(format!("{error}")))?;
        let name = Some(ImageName::new(host, repository));
        Ok(Self { text: text.to_owned(), place: Place::Registry, name, prefix: String::new(), reference: Some(reference) })
    }
}

/// An image of a layout. The directory ends at the first colon.
fn in_layout(text: &str, rest: &str) -> Result<Image, String> {
    let (directory, image) = rest.split_once(':').map_or((rest, None), |(directory, image)| (directory, Some(image)));
    if directory.is_empty() {
        return Err("wants a directory behind `oci:`".into());
    }
    let all = Image {
        text: text.to_owned(),
        place: Place::Layout(directory.into()),
        name: None,
        prefix: String::new(),
        reference: None,
    };
    let Some(image) = image else { return Ok(all) };
    let (name, reference) = split(image)?;
    let repository: Repository = name.parse().map_err(|error| format!("{error}"))?;
    let (name, prefix) = layout_name(&repository)?;
    Ok(Image { name: Some(name), prefix, reference: Some(reference), ..all })
}

/// What a layout's names begin with for images of `host`. A port's colon is written `_`: a layout's names have none before
/// the tag's.
pub(super) fn layout_prefix(host: &Host) -> String {
    let plain: String = host.as_str().chars().map(|c| if matches!(c, ':' | '[' | ']') { '_' } else { c }).collect();
    format!("{}/", plain.trim_matches('_'))
}

/// The host that a layout's name begins with, as it is or as [`layout_prefix`] writes it. As with Docker only a dot or `localhost`
/// makes a host of the first segment: `team_2024/app` is a repository.
fn layout_host(segment: &str) -> Option<Host> {
    let is_named = |name: &str| name.contains('.') || name == LAYOUT_HOST;
    if let Some(host) = segment.parse().ok().filter(|_| is_named(segment)) {
        return Some(host);
    }
    let (name, port) = segment.rsplit_once('_')?;
    let named = is_named(name).then(|| format!("{name}:{port}"));
    // `[::1]:5000` is written `1__5000`.
    let address = name.strip_suffix('_').map(|address| address.replace('_', ":"));
    let addresses = address.into_iter().flat_map(|address| [format!("[{address}]:{port}"), format!("[::{address}]:{port}")]);
    let hosts = named.into_iter().chain(addresses).filter_map(|text| text.parse::<Host>().ok());
    hosts.into_iter().find(|host| layout_prefix(host).strip_suffix('/') == Some(segment))
}

/// What policies match of a layout's repository, and what stands before it there. Layouts made by copying from registries
/// have the host in their names; others have none.
pub(super) fn layout_name(repository: &Repository) -> Result<(ImageName, String), String> {
    let text = repository.as_str();
    let named = text.split_once('/').and_then(|(first, rest)| Some((layout_host(first)?, rest, format!("{first}/"))));
    let (host, rest, prefix) = match named {
        Some(named) => named,
        None => (LAYOUT_HOST.parse().map_err(|error| format!("{error}"))?, text, String::new()),
    };
    let repository: Repository = rest.parse().map_err(|error| format!("{error}"))?;
    // As it stands there: a one-segment name of docker.io is `library/…` only where the layout says so.
    Ok((ImageName { host, repository }, prefix))
}

/// The name, and the digest or the tag behind it.
fn split(text: &str) -> Result<(&str, Reference), String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    // A colon before the last slash is a port's.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (rest, None),
    };
    let tag = tag.map(str::parse).transpose().map_err(|error| format!("{error}"))?;
    if name.is_empty() {
        return Err("it has no repository".into());
    }
    let reference = match (digest, tag) {
        (Some(digest), _) => Reference::Digest(digest),
        (None, Some(tag)) => Reference::Tag(tag),
        (None, None) => Reference::Tag("latest".parse().map_err(|error| format!("{error}"))?),
    };
    Ok((name, reference))
}

impl Image {
    /// Whether it is named by a tag under which evidence is attached to another.
    pub(super) fn is_attachment(&self) -> bool {
        matches!(&self.reference, Some(Reference::Tag(tag)) if tag.attachment_of().is_some())
    }

    /// How the image with `digest` is written, to be used again: `ghcr.io/acme/app@sha256:…`, `oci:DIR:acme/app@sha256:…`.
    pub(super) fn pinned(&self, name: &ImageName, digest: &Digest) -> String {
        match &self.place {
            Place::Layout(directory) => format!("oci:{}:{}{}@{digest}", directory.display(), self.prefix, name.repository),
            Place::Registry => format!("{name}@{digest}"),
        }
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(text: &str) -> (String, String) {
        let image: Image = text.parse().unwrap();
        assert_eq!(image.place, Place::Registry);
        (image.name.unwrap().to_string(), image.reference.unwrap().to_string())
    }

    #[test]
    fn images_are_named_as_docker_names_them() {
        for (text, name, reference) in [
            ("nginx", "docker.io/library/nginx", "latest"),
            ("acme/app:v1", "docker.io/acme/app", "v1"),
            ("index.docker.io/nginx:1", "docker.io/library/nginx", "1"),
            ("ghcr.io/acme/app", "ghcr.io/acme/app", "latest"),
            ("GHCR.io:443/acme/app:v1", "ghcr.io/acme/app", "v1"),
            ("localhost/app", "localhost/app", "latest"),
            ("localhost:5000/app:v1", "localhost:5000/app", "v1"),
            ("[::1]:5000/app:v1", "[::1]:5000/app", "v1"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "latest"),
            // As gh has it.
            ("oci://ghcr.io/acme/app:v1", "ghcr.io/acme/app", "v1"),
        ] {
            assert_eq!(read(text), (name.into(), reference.into()), "{text}");
        }
        // Beside a digest a tag means nothing.
        for text in [format!("ghcr.io/a/b@{DIGEST}"), format!("ghcr.io/a/b:v1@{DIGEST}")] {
            assert_eq!(read(&text), ("ghcr.io/a/b".into(), DIGEST.into()));
        }
    }

    #[test]
    fn images_of_a_layout_are_named_by_its_own_names() {
        let image: Image = format!("oci:/srv/parcel:ghcr.io/acme/app@{DIGEST}").parse().unwrap();
        assert_eq!(image.place, Place::Layout("/srv/parcel".into()));
        let name = image.name.clone().unwrap();
        assert_eq!((name.to_string().as_str(), image.prefix.as_str()), ("ghcr.io/acme/app", "ghcr.io/"));
        assert_eq!(image.pinned(&name, &DIGEST.parse().unwrap()), image.text);
        let image: Image = "oci:parcel:acme/app:v1".parse().unwrap();
        assert_eq!(image.reference.unwrap().to_string(), "v1");
        assert_eq!((image.name.unwrap().to_string().as_str(), image.prefix.as_str()), ("localhost/acme/app", ""));
        assert_eq!("oci:///srv/parcel".parse::<Image>().unwrap().place, Place::Layout("///srv/parcel".into()));
        let image: Image = "oci:parcel".parse().unwrap();
        assert_eq!((image.name, image.reference), (None, None));
    }

    #[test]
    fn a_port_is_no_tag_in_a_layouts_names_and_is_read_back() {
        for (host, prefix) in [
            ("ghcr.io", "ghcr.io/"),
            ("localhost:5000", "localhost_5000/"),
            ("registry.example.com:5000", "registry.example.com_5000/"),
            ("127.0.0.1:5000", "127.0.0.1_5000/"),
            ("[::1]:5000", "1__5000/"),
            ("[2001:db8::1]:5000", "2001_db8__1__5000/"),
        ] {
            let host: Host = host.parse().unwrap();
            assert_eq!(layout_prefix(&host), prefix);
            let image: Image = format!("oci:parcel:{prefix}acme/app@{DIGEST}").parse().unwrap();
            let name = image.name.clone().unwrap();
            assert_eq!((name.to_string(), image.prefix.as_str()), (format!("{host}/acme/app"), prefix));
            assert_eq!(image.pinned(&name, &DIGEST.parse().unwrap()), image.text);
        }
        // No host, and so of the repository.
        for repository in ["team_2024/app", "v1.2_x/app", "v1.2__3/app", "a.b_c/app", "a.b_70000/app", "1__2"] {
            let image: Image = format!("oci:parcel:{repository}:v1").parse().unwrap();
            assert_eq!((image.name.unwrap().to_string(), image.prefix.as_str()), (format!("localhost/{repository}"), ""));
        }
    }

    #[test]
    fn what_names_no_image_says_why() {
        for (text, why) in [
            ("https://ghcr.io/acme/app", "leave out `https://`"),
            ("oci://docker://ghcr.io/acme/app", "leave out `docker://`"),
            ("ghcr.io/Acme/app", "repository name"),
            ("ghcr.io/acme/app@sha256:00", "digest"),
            ("ghcr.io/acme/app:", "is not a tag"),
            ("", "no repository"),
            ("oci:", "wants a directory"),
            ("oci:dir:app:v 1", "is not a tag"),
            ("bad_host.io/app", "registry host"),
        ] {
            let error = text.parse::<Image>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
