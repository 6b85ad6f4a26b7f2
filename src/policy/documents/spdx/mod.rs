//! SPDX documents: JSON of 2.2 and 2.3, and 3.0's JSON-LD.
//!
//! A document is one or the other: what has `spdxVersion` and `@graph` would be two. Files are counted apart; a document
//! that describes files only has no package.

mod element;
mod graph;
mod join;
mod package;

use self::{
    graph::Graph,
    join::{Gathered, Join, beyond},
};
use super::{
    DocumentError, Json, Kind,
    sbom::{self, EachPackage, Format, Package, Sbom},
};
use crate::verify::Predicate;

/// The predicate type without a version.
pub const TYPE: &str = "https://spdx.dev/Document";
/// The predicate type of version 2.2.
pub const TYPE_2_2: &str = "https://spdx.dev/Document/v2.2";
/// The predicate type of version 2.3.
pub const TYPE_2_3: &str = "https://spdx.dev/Document/v2.3";
/// The predicate type of version 3, as in-toto names it.
pub const TYPE_3: &str = "https://spdx.dev/Document/v3";
/// Other spellings of [`TYPE_3`] that are in use.
pub(crate) const TYPES_3: [&str; 3] = [TYPE_3, "https://spdx.dev/Document/v3.0", "https://spdx.dev/Document/v3.0.1"];

/// A version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// SPDX-2.2.
    V2_2,
    /// SPDX-2.3.
    V2_3,
    /// 3.0 and its patch releases.
    V3_0,
}

impl Version {
    /// As `spdxVersion` has it; 3.0 has no such key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2_2 => "SPDX-2.2",
            Self::V2_3 => "SPDX-2.3",
            Self::V3_0 => "SPDX-3.0",
        }
    }
}

/// Whether a reader of packages asks for what SPDX keeps elsewhere in the document: licences, their and suppliers' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Names, versions and package URLs suffice. One pass, and two more where SPDX 3 has package URLs elsewhere.
    Shallow,
    /// Licences and suppliers too: SPDX 3 takes a second pass, and SPDX 2 where a package has a `LicenseRef-…`.
    Deep,
}

const SUPPORTED: &str = "SPDX-2.2, SPDX-2.3 and SPDX 3.0 are supported";

/// Reads `predicate`; `each` sees every package.
///
/// # Errors
/// Why it is no document of this format. A document without packages is none of these.
pub(crate) fn read(predicate: &Predicate, depth: Depth, each: EachPackage<'_>) -> Result<(Version, Sbom), DocumentError> {
    let mut join = if depth == Depth::Deep { Join::Gather(Gathered::default()) } else { Join::Without };
    loop {
        // What the one before it knew of the graph is gathered anew.
        let mut document = Document::new(&mut *each, join);
        sbom::read(predicate, &mut document)?;
        join = match document.again() {
            Some(join) => join,
            None => return document.judge(),
        };
    }
}

/// What is kept of a document: enough to say that it is one.
struct Document<'p> {
    each: EachPackage<'p>,
    join: Join,
    version: Option<String>,
    id: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    creation: bool,
    packages: usize,
    files: usize,
    /// Packages wait for the second pass, because their licences may be described further on.
    deferred: bool,
    context: Option<bool>,
    graph: Option<Graph>,
    /// A key that a 3.0 document has no use for: of 2.x, or of an element beside the graph, as JSON-LD allows.
    beside: Option<String>,
}

impl Format for Document<'_> {
    const KEYS: &'static [&'static str] = &[
        "Data",
        "spdxVersion",
        "SPDXID",
        "name",
        "documentNamespace",
        "creationInfo",
        "packages",
        "files",
        "hasExtractedLicensingInfos",
        "@context",
        "@graph",
    ];

    fn field(&mut self, key: &'static str, json: &mut Json<'_>) -> Result<(), DocumentError> {
        match key {
            "@context" => self.context = Some(graph::context(json)?),
            "@graph" => self.graph = Some(graph::read(json, &mut self.join, &mut *self.each)?),
            "spdxVersion" => self.version = json.text_or_null()?,
            "SPDXID" => self.id = json.text_or_null()?,
            "name" => self.name = json.text_or_null()?,
            "documentNamespace" => self.namespace = json.text_or_null()?,
            "creationInfo" => {
                json.object(&[], |_, _| Ok(()))?;
                self.creation = true;
            }
            "packages" => json.items(|json| {
                let (package, has_id) = package::read(json)?;
                self.packages += usize::from(!package.is_frame && (has_id || !package.name.is_empty()));
                self.hand_out(package);
                Ok(())
            })?,
            "hasExtractedLicensingInfos" => match &mut self.join {
                Join::Gather(gathered) => json.items(|json| package::extracted(json, gathered))?,
                Join::With(_) | Join::Without => json.skip()?,
            },
            _ => json.items(|json| {
                self.files += usize::from(package::file(json)?);
                Ok(())
            })?,
        }
        if !key.starts_with('@') {
            self.other(key.to_owned());
        }
        Ok(())
    }

    fn other(&mut self, key: String) {
        // `$schema` is an editor's, and no term of anything.
        if !key.starts_with('$') {
            self.beside.get_or_insert(key);
        }
    }
}

impl<'p> Document<'p> {
    fn new(each: EachPackage<'p>, join: Join) -> Self {
        Self {
            each,
            join,
            version: None,
            id: None,
            name: None,
            namespace: None,
            creation: false,
            packages: 0,
            files: 0,
            deferred: false,
            context: None,
            graph: None,
            beside: None,
        }
    }

    /// How the next pass is, if packages wait for one.
    fn again(&mut self) -> Option<Join> {
        match std::mem::replace(&mut self.join, Join::Without) {
            Join::Gather(gathered) if self.graph.is_some() || self.deferred => Some(Join::With(gathered.sorted())),
            Join::Without if self.graph.as_ref().is_some_and(|graph| graph.deferred) => {
                Some(Join::Gather(Gathered::for_identifiers()))
            }
            Join::Gather(_) | Join::With(_) | Join::Without => None,
        }
    }

    /// Hands out a package of SPDX 2, each in one of the passes.
    fn hand_out(&mut self, mut package: Package) {
        let references = package::references(&package);
        match &self.join {
            Join::Gather(_) if !references.is_empty() => {
                self.deferred = true;
                return;
            }
            Join::With(_) if references.is_empty() => return,
            Join::With(gathered) => match gathered.described(references) {
                Some(foreign) => package.foreign = foreign,
                // What it is called may be denied.
                None => package.licenses = vec![beyond()],
            },
            Join::Gather(_) | Join::Without => {}
        }
        (self.each)(&package);
    }

    fn judge(self) -> Result<(Version, Sbom), DocumentError> {
        if let Some(graph) = self.graph {
            return match (self.context, self.beside) {
                (None, _) => Err(DocumentError::Missing("@context")),
                (Some(false), _) => Err(DocumentError::Malformed("has an @context that is not SPDX 3.0's alone".into())),
                (Some(true), Some(key)) => {
                    Err(DocumentError::Malformed(format!("has `{key}` beside `@graph`, which all of it must be in")))
                }
                (Some(true), None) => graph.judge().map(|sbom| (Version::V3_0, sbom)),
            };
        }
        let version = match self.version.as_deref() {
            Some("SPDX-2.2") => Version::V2_2,
            Some("SPDX-2.3") => Version::V2_3,
            Some(other) => return Err(DocumentError::version("spdxVersion", other, SUPPORTED)),
            None if self.context.is_some() => return Err(DocumentError::Missing("@graph")),
            None => return Err(DocumentError::Missing("spdxVersion")),
        };
        for (value, key) in [(&self.id, "SPDXID"), (&self.name, "name"), (&self.namespace, "documentNamespace")] {
            if value.is_none() {
                return Err(DocumentError::Missing(key));
            }
        }
        if !self.creation {
            return Err(DocumentError::Missing("creationInfo"));
        }
        Ok((version, Sbom { version: version.as_str(), packages: self.packages, files: self.files }))
    }
}

#[cfg(test)]
mod tests;
