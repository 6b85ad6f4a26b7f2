//! The vocabulary: digests, names, references, descriptors and manifests, all parsed, none constructible invalid.
//!
//! Everything here is pure. A value of one of these types was checked once, at the edge, against the
//! [distribution](https://github.com/opencontainers/distribution-spec/blob/main/spec.md) or
//! [image](https://github.com/opencontainers/image-spec/blob/main/spec.md) specification; inside the project no `&str`
//! stands for a digest or a name.

pub mod descriptor;
pub mod digest;
pub mod json;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod scan;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher};
pub use manifest::{Manifest, ManifestError, ManifestKind};
pub use name::{Host, ImageName, NameError, Reference, Repository, Tag};
