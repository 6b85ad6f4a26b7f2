//! SLSA provenance 0.2 and 1.0: who built, how, and from which source repository.
//!
//! The source is where the build's instructions came from, as the builder says: `invocation.configSource.uri` in 0.2; in 1.0
//! what `externalParameters` name (GitHub's `workflow.repository`, slsa-github-generator's `source`, BuildKit's
//! `configSource`, Google's `buildConfigSource` and `sourceToBuild`), and where they name none, every git repository among
//! `resolvedDependencies`. Materials of 0.2 are not sources: a dependency is no place a build comes from. Nor does one stand in
//! for a source that is named in a form that is not read.

use super::{DocumentError, Json, Kind, object};
use crate::verify::Predicate;

/// The predicate type of version 0.2.
pub(crate) const TYPE_0_2: &str = "https://slsa.dev/provenance/v0.2";
/// The predicate type of version 1.
pub(crate) const TYPE_1: &str = "https://slsa.dev/provenance/v1";
/// [`TYPE_1`] and the spelling with a minor version, which the specification's pages have.
pub(crate) const TYPES_1: [&str; 2] = [TYPE_1, "https://slsa.dev/provenance/v1.0"];

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0.2.
    V0_2,
    /// 1.0 and later 1.x.
    V1,
}

/// What provenance says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// `builder.id`.
    pub(crate) builder: String,
    /// `buildType`.
    pub(crate) build_type: String,
    /// Source repositories, as written.
    pub(crate) sources: Vec<String>,
    /// Another source is named, in a form that is not read: it may be any.
    pub(crate) unread_source: bool,
}

/// Reads `predicate`.
///
/// # Errors
/// Why it is no provenance of this version.
pub(crate) fn read(predicate: &Predicate, version: Version) -> Result<Provenance, DocumentError> {
    let mut said = Said::default();
    match version {
        Version::V0_2 => object(predicate, &["builder", "buildType", "invocation"], |json, key| match key {
            "builder" => said.builder(json),
            "buildType" => keep(json, &mut said.build_type),
            _ => said.invocation(json),
        })?,
        Version::V1 => object(predicate, &["buildDefinition", "runDetails"], |json, key| match key {
            "buildDefinition" => said.definition(json),
            _ => json.object(&["builder"], |json, _| said.builder(json)),
        })?,
    }
    Ok(Provenance {
        builder: said.builder.ok_or(DocumentError::Missing("builder id"))?,
        build_type: said.build_type.ok_or(DocumentError::Missing("buildType"))?,
        sources: if said.named.is_empty() && !said.unread { said.resolved } else { said.named },
        unread_source: said.unread,
    })
}

#[derive(Default)]
struct Said {
    builder: Option<String>,
    build_type: Option<String>,
    /// Sources that the parameters name.
    named: Vec<String>,
    /// They name one in a form that is not read.
    unread: bool,
    /// Git repositories among the dependencies.
    resolved: Vec<String>,
}

impl Said {
    /// The id may be empty: BuildKit leaves it so unless told, and no list of builders has an empty one.
    fn builder(&mut self, json: &mut Json<'_>) -> Result<(), DocumentError> {
        json.object(&["id"], |json, _| {
            self.builder = Some(json.text_or_null()?.unwrap_or_default());
            Ok(())
        })
    }

    fn invocation(&mut self, json: &mut Json<'_>) -> Result<(), DocumentError> {
        json.object(&["configSource"], |json, _| self.source(json))
    }

    fn definition(&mut self, json: &mut Json<'_>) -> Result<(), DocumentError> {
        json.object(&["buildType", "externalParameters", "resolvedDependencies"], |json, key| match key {
            "buildType" => keep(json, &mut self.build_type),
            "externalParameters" if json.kind()? == Kind::Object => json.object(PARAMETERS, |json, _| self.source(json)),
            "externalParameters" => {
                self.unread |= json.kind()? != Kind::Null;
                json.skip()
            }
            _ => json.list(|json| {
                let mut uri = None;
                json.object(&["uri"], |json, _| keep(json, &mut uri))?;
                self.resolved.extend(uri.filter(|uri| uri.starts_with("git+")));
                Ok(())
            }),
        })
    }

    /// A source: a URI, or an object with `uri` or `repository`. `null` and `{}` name none.
    fn source(&mut self, json: &mut Json<'_>) -> Result<(), DocumentError> {
        if json.kind()? != Kind::Object {
            return self.name(json).map(drop);
        }
        let (mut empty, mut named) = (true, false);
        json.every(
            &["uri", "repository"],
            |_| Ok(()),
            |json, key| {
                empty = false;
                match key {
                    Some(_) => self.name(json).map(|name| named |= name),
                    None => json.skip(),
                }
            },
        )?;
        self.unread |= !empty && !named;
        Ok(())
    }

    /// A source's name; says whether there is one.
    fn name(&mut self, json: &mut Json<'_>) -> Result<bool, DocumentError> {
        let kind = json.kind()?;
        self.unread |= !matches!(kind, Kind::Text | Kind::Null);
        let name = json.text_if_any()?;
        let named = name.is_some();
        self.named.extend(name);
        Ok(named)
    }
}

const PARAMETERS: &[&str] = &["workflow", "source", "configSource", "buildConfigSource", "sourceToBuild"];

fn keep(json: &mut Json<'_>, slot: &mut Option<String>) -> Result<(), DocumentError> {
    *slot = json.text_or_null()?;
    Ok(())
}

/// The repository that a source URI is of: without `git+`, user, ref (`@refs/…`, `#ref`, `?…`), `.git` and a closing slash.
///
/// `git+https://github.com/acme/app@refs/tags/v1` and `https://github.com/acme/app.git#main` are both
/// `https://github.com/acme/app`. A path that leads back (`acme/../mallory/app`) is followed, as whoever fetches it does, who takes
/// `%2e` for a dot.
pub(crate) fn repository(uri: &str) -> String {
    let uri = uri.strip_prefix("git+").unwrap_or(uri);
    let uri = uri.split(['#', '?']).next().unwrap_or_default();
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    let path = path.split('@').next().unwrap_or_default().trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match &*step.to_ascii_lowercase().replace("%2e", ".") {
            "." => {}
            ".." => _ = steps.pop(),
            _ => steps.push(step),
        }
    }
    let path = steps.join("/");
    let scheme = if scheme.is_empty() { "" } else { &format!("{scheme}://") };
    if path.is_empty() { format!("{scheme}{host}") } else { format!("{scheme}{host}/{path}") }
}
