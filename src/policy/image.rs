//! Patterns over `host/repository`, the names policies are about. Never a tag or a digest: a policy holds for whatever
//! digest a tag means.

use std::fmt;

use globset::GlobMatcher;

use super::pattern::{Glob, MAX_PATTERN, PatternError, compile, debug_as_written};
use crate::oci::{Host, ImageName};

/// A glob over `host/repository`.
#[derive(Clone)]
pub struct ImagePattern {
    canonical: String,
    /// The host as it must be, or a pattern for it.
    host: HostPattern,
    repository: GlobMatcher,
}

#[derive(Clone)]
enum HostPattern {
    Exact(Host),
    Glob(Glob),
}

impl ImagePattern {
    /// Reads a pattern. Its host becomes canonical as an image's does: lower case, without `:443`, Docker Hub's aliases
    /// folded, and one segment behind `docker.io` gets `library/`.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::TooLong);
        }
        let (head, rest) = text.split_once('/').unwrap_or((text, ""));
        // As `docker pull` decides: only a dot, a colon or `localhost` makes a host of the first segment.
        let is_host = head.contains(['.', ':']) || head.eq_ignore_ascii_case("localhost") || head == "*";
        if head.is_empty() {
            return Err(PatternError::Empty);
        }
        if !is_host || head.contains('@') {
            compile(text)?;
            return Err(PatternError::NoHost(text.to_owned()));
        }
        if rest.is_empty() {
            return Err(PatternError::NoRepository(head.to_owned()));
        }
        let host = host(head)?;
        let rest = match &host {
            HostPattern::Exact(host) if host.is_docker_hub() && !rest.contains('/') && rest != "**" => format!("library/{rest}"),
            HostPattern::Exact(_) | HostPattern::Glob(_) => rest.to_owned(),
        };
        if let HostPattern::Glob(glob) = &host
            && head.contains('{')
            && glob.matches("docker.io")
            && !rest.contains('/')
            && rest != "**"
        {
            // Named among others, Docker Hub's images would silently not be meant.
            return Err(PatternError::Library(rest));
        }
        let repository = compile(&rest)?;
        if rest.contains([':', '@']) {
            return Err(PatternError::Tag);
        }
        if rest.split('/').any(str::is_empty) {
            return Err(PatternError::Empty);
        }
        let of_repositories =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/') || is_wildcard(c);
        if let Some(wrong) = rest.chars().find(|c| !of_repositories(*c)) {
            return Err(PatternError::Repository(wrong));
        }
        Ok(Self { canonical: format!("{host}/{rest}"), host, repository })
    }

    /// Whether it names `image`.
    #[must_use]
    pub fn matches(&self, image: &ImageName) -> bool {
        self.names_host(&image.host) && self.repository.is_match(image.repository.as_str())
    }

    /// Whether it can name any image of `host`.
    #[must_use]
    pub fn names_host(&self, host: &Host) -> bool {
        match &self.host {
            HostPattern::Exact(exact) => exact == host,
            HostPattern::Glob(glob) => glob.matches(host.as_str()),
        }
    }

    /// Its canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.canonical
    }
}

const fn is_wildcard(c: char) -> bool {
    matches!(c, '*' | '?' | '{' | ',' | '}')
}

fn host(text: &str) -> Result<HostPattern, PatternError> {
    if let Ok(host) = text.parse() {
        return Ok(HostPattern::Exact(host));
    }
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix(":443").unwrap_or(&lower);
    let glob = Glob::new(lower)?;
    if let Some(wrong) = lower.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':') || is_wildcard(*c))) {
        return Err(PatternError::Host(wrong));
    }
    if !lower.contains(is_wildcard) {
        // Not a host, and no wildcard to make one: `a..b`.
        return Err(PatternError::NoHost(text.to_owned()));
    }
    // `*.docker.io` reads as if it named Docker Hub, and would never match.
    if !glob.matches("docker.io") && (glob.matches("index.docker.io") || glob.matches("registry-1.docker.io")) {
        return Err(PatternError::DockerAlias(text.to_owned()));
    }
    Ok(HostPattern::Glob(glob))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Glob(glob) => f.write_str(glob.as_str()),
        }
    }
}

debug_as_written!(ImagePattern);

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageName {
        let (host, repository) = text.split_once('/').unwrap();
        ImageName::new(host.parse().unwrap(), repository.parse().unwrap())
    }

    #[test]
    fn image_patterns_match_as_documented() {
        for (pattern, yes, no) in [
            ("ghcr.io/acme/**", &["ghcr.io/acme/app", "ghcr.io/acme/a/b"][..], &["ghcr.io/acme", "ghcr.io/acme-evil/app"][..]),
            ("ghcr.io/acme/*", &["ghcr.io/acme/app"], &["ghcr.io/acme/a/b", "ghcr.io/acme", "ghcr.io.evil/acme/app"]),
            ("ghcr.io/acme/app", &["ghcr.io/acme/app"], &["ghcr.io/acme/app2", "ghcr.io/acme/xapp", "ghcr.io/acme/app/x"]),
            ("ghcr.io/**/app", &["ghcr.io/app", "ghcr.io/a/b/app"], &["ghcr.io/xapp", "ghcr.io/app/x"]),
            ("ghcr.io/a/**/z", &["ghcr.io/a/z", "ghcr.io/a/b/c/z"], &["ghcr.io/az", "ghcr.io/a/bz"]),
            ("ghcr.io/**", &["ghcr.io/a", "ghcr.io/a/b"], &["ghcr.io:5000/a"]),
            ("ghcr.io/**/**", &["ghcr.io/a", "ghcr.io/a/b"], &["quay.io/a"]),
            ("ghcr.io/app-*", &["ghcr.io/app-a"], &["ghcr.io/app-a/b", "ghcr.io/app"]),
            ("*/acme/app", &["quay.io/acme/app", "localhost:5000/acme/app"], &["quay.io/x/acme/app", "quay.io/acme/app/x"]),
            ("*.acme.test/**", &["r.acme.test/a", "x.y.acme.test/a"], &["acme.test/a", "acme.test.evil/a", "r.acme.test:5000/a"]),
            ("a.b/c", &["a.b/c"], &["axb/c"]),
            ("ghcr.io/acme/app?", &["ghcr.io/acme/app2"], &["ghcr.io/acme/app", "ghcr.io/acme/app12", "ghcr.io/acme/app/2"]),
            ("ghcr.io/{acme,apex}/**", &["ghcr.io/acme/a", "ghcr.io/apex/b/c"], &["ghcr.io/acme", "ghcr.io/other/a"]),
            ("{ghcr,quay}.io/acme/app", &["ghcr.io/acme/app", "quay.io/acme/app"], &["gcr.io/acme/app", "ghcr.io:5000/acme/app"]),
            ("gh?r.io/a", &["ghcr.io/a"], &["ghccr.io/a", "ghr.io/a"]),
        ] {
            let pattern = ImagePattern::new(pattern).unwrap();
            for text in yes {
                assert!(pattern.matches(&image(text)), "{pattern:?} {text}");
            }
            for text in no {
                assert!(!pattern.matches(&image(text)), "{pattern:?} {text}");
            }
        }
    }

    #[test]
    fn i16_a_pattern_has_the_canonical_name_an_image_has() {
        for (written, canonical) in [
            ("GHCR.io:443/acme/**", "ghcr.io/acme/**"),
            ("index.docker.io/nginx", "docker.io/library/nginx"),
            ("registry-1.docker.io/*", "docker.io/library/*"),
            ("docker.io/**", "docker.io/**"),
            ("docker.io/acme/app", "docker.io/acme/app"),
            ("*.ACME.test:443/x", "*.acme.test/x"),
        ] {
            assert_eq!(ImagePattern::new(written).unwrap().as_str(), canonical);
        }
        assert!(ImagePattern::new("docker.io/nginx").unwrap().matches(&image("index.docker.io/nginx")));
        let ipv6 = ImagePattern::new("[::1]:5000/**").unwrap();
        assert!(ipv6.matches(&image("[::1]:5000/app")) && !ipv6.matches(&image("[::2]:5000/app")));
    }

    #[test]
    fn i16_policy_of_a_name_is_the_policy_of_its_canonical_name() {
        let spellings = ["docker.io/nginx", "docker.io/library/nginx", "index.docker.io/nginx", "Docker.IO:443/library/nginx"];
        for pattern in spellings {
            for name in spellings {
                assert!(ImagePattern::new(pattern).unwrap().matches(&image(name)), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_says_what_to_write() {
        for (text, message) in [
            ("acme/**", "begins with no host; write `ghcr.io/acme/**` or `*/acme/**`"),
            ("nginx", "begins with no host; write `ghcr.io/nginx` or `*/nginx`"),
            ("**", "begins with no host; write `ghcr.io/**` or `*/**`"),
            ("ghcr.io", "names no repository; write `ghcr.io/**` for all of them"),
            ("ghcr.io/", "names no repository; write `ghcr.io/**` for all of them"),
            ("ghcr.io/acme**", "`**` must be a whole segment between slashes; write `acme*/**`"),
            ("acme**", "`**` must be a whole segment between slashes; write `acme*/**`"),
            ("ghcr.io/***", "`**` must be a whole segment between slashes; write `**`"),
            ("ghcr.io//a", "has an empty segment"),
            ("/a", "has an empty segment"),
            ("ghcr.io/a/", "has an empty segment"),
            ("ghcr.io/app:v1", "names a tag or a digest; policies match host/repository only"),
            ("ghcr.io/app@sha256:00", "names a tag or a digest; policies match host/repository only"),
            ("*.docker.io/**", "images of Docker Hub are called docker.io/…; write docker.io instead of `*.docker.io`"),
        ] {
            assert_eq!(ImagePattern::new(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(matches!(ImagePattern::new("ghcr.io/Acme/app"), Err(PatternError::Repository('A'))));
        assert!(matches!(ImagePattern::new("*.acme_2.test/app"), Err(PatternError::Host('_'))));
        assert!(matches!(ImagePattern::new("ghcr.io/a\\b"), Err(PatternError::Repository('\\'))));
        assert!(matches!(ImagePattern::new("a..b/c"), Err(PatternError::NoHost(_))));
        assert!(matches!(ImagePattern::new("user@ghcr.io/c"), Err(PatternError::NoHost(_))));
        for class in ["ghcr.io/[ab]", "gh[ab]r.io/a"] {
            assert!(ImagePattern::new(class).unwrap_err().to_string().contains("is not supported in patterns"), "{class}");
        }
        for braces in ["ghcr.io/{a}", "{ghcr.io,}/a", "{ghcr.io/a,quay.io/b}"] {
            assert_eq!(ImagePattern::new(braces).unwrap_err(), PatternError::Alternatives, "{braces}");
        }
        assert_eq!(
            ImagePattern::new("{docker.io,quay.io}/nginx").unwrap_err().to_string(),
            "on Docker Hub `nginx` is library/nginx; write docker.io/nginx as a pattern of its own"
        );
        assert!(matches!(ImagePattern::new("{index.docker.io,quay.io}/a/b"), Err(PatternError::DockerAlias(_))));
        let of_bytes = |bytes: usize| ImagePattern::new(&format!("ghcr.io/{}", "a".repeat(bytes - "ghcr.io/".len())));
        assert!(of_bytes(1024).is_ok() && matches!(of_bytes(1025), Err(PatternError::TooLong)));
    }
}
