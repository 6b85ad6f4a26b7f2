//! Descriptors: what a manifest says of the content it lists.

use std::collections::BTreeMap;

use oci_spec::image::Platform;
use serde_json::Value;

use super::Digest;

/// A descriptor, as far as the gate acts on it. `urls` are never followed (CVE-2020-15157) and `data` is inside the
/// judged bytes, so neither is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// `mediaType`, as written.
    pub media_type: String,
    /// `digest`.
    pub digest: Digest,
    /// `size` in bytes.
    pub size: u64,
    /// `artifactType`, where it is given.
    pub artifact_type: Option<String>,
    /// `annotations`; null and absent are empty.
    pub annotations: BTreeMap<String, String>,
    /// `platform` as `os/architecture[/variant]`, where one can be read.
    pub platform: Option<String>,
}

impl Descriptor {
    /// Reads a descriptor from a strictly parsed value.
    ///
    /// # Errors
    /// Says which field is missing or wrong.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("is not an object")?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let digest = text("digest").ok_or("has no `digest`")?.parse().map_err(|error| format!("{error}"))?;
        let size = object.get("size").and_then(Value::as_u64).ok_or("has no `size`")?;
        let annotations = match object.get("annotations") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.as_str().ok_or("has an annotation that is no string")?.to_owned())))
                .collect::<Result<_, String>>()?,
            Some(_) => return Err("has `annotations` that are no object".into()),
        };
        // Read for hints only; one that cannot be read says nothing.
        let platform = object.get("platform").and_then(|value| serde_json::from_value::<Platform>(value.clone()).ok());
        let platform = platform.map(|platform| {
            let base = format!("{}/{}", platform.os(), platform.architecture());
            platform.variant().as_ref().map_or_else(|| base.clone(), |variant| format!("{base}/{variant}"))
        });
        Ok(Self {
            media_type: text("mediaType").ok_or("has no `mediaType`")?.to_owned(),
            digest,
            size,
            artifact_type: text("artifactType").map(str::to_owned),
            annotations,
            platform,
        })
    }

    /// About what its texts take in memory, in bytes.
    pub(super) fn texts(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| ALLOCATION + text.len());
        ALLOCATION + self.media_type.len() + text(&self.artifact_type) + text(&self.platform) + weight_of(&self.annotations)
    }
}

/// What an allocation takes beside what was asked for: the allocator's head, and rounding.
pub(super) const ALLOCATION: usize = 24;

/// About what annotations take in memory, in bytes.
pub(super) fn weight_of(annotations: &BTreeMap<String, String>) -> usize {
    annotations.iter().map(|(key, value)| 2 * (size_of::<String>() + ALLOCATION) + key.len() + value.len()).sum()
}
