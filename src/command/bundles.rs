//! Bundles from files, in place of what a registry has.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use base64::Engine as _;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::text::path;
use crate::oci::{Digest, media_type};

/// A file of bundles: what a search for evidence reads at most.
const MAX_FILE: u64 = 128 << 20;
/// The media type that newer bundles carry in a registry.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Bundles from files, as the manifests and layers a registry would have of them: so they take the way all evidence takes.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    /// How many bundles there are, each once.
    count: usize,
    /// Their descriptors, by what they are about: a file may have those of a whole release.
    about: HashMap<Digest, Vec<Value>>,
    /// Those that do not say what they are about so that it can be read before they are verified. They may be about anything.
    about_any: Vec<Value>,
    pub(super) manifests: HashMap<Digest, Bytes>,
    pub(super) layers: HashMap<Digest, Bytes>,
}

impl Bundles {
    /// Reads `files`, each with one bundle, or with one a line as `gh attestation download` writes them.
    ///
    /// # Errors
    /// Which file cannot be read, and why.
    pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Self, String> {
        use std::io::Read as _;
        let mut bundles = Self::default();
        for file in files {
            let shown = path(file.as_ref());
            let mut text = String::new();
            std::fs::File::open(file)
                .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
                .map_err(|error| format!("{shown} cannot be read: {error}"))?;
            if text.len() as u64 > MAX_FILE {
                return Err(format!("{shown} is larger than {MAX_FILE} bytes"));
            }
            let is_object = |text: &str| serde_json::from_str::<HashMap<&str, &serde_json::value::RawValue>>(text).is_ok();
            let lines: Vec<&str> = if is_object(&text) {
                vec![text.trim()]
            } else {
                text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
            };
            if lines.is_empty() || !lines.iter().all(|line| is_object(line)) {
                return Err(format!("{shown} is neither a bundle nor one bundle a line"));
            }
            lines.into_iter().for_each(|line| bundles.add(line));
        }
        Ok(bundles)
    }

    /// The index of those that are about `subject`, or may be. No other is of use to it, and a search reads so many and no more.
    pub(super) fn index_of(&self, subject: &Digest) -> Bytes {
        let listed: Vec<_> = self.about.get(subject).into_iter().flatten().chain(&self.about_any).collect();
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed}).to_string().into()
    }

    /// How many there are and how many of them are about `subject`, for who misses one.
    pub(super) fn note(&self, subject: &Digest) -> String {
        let about = self.about.get(subject).map_or(0, Vec::len);
        let any = match self.about_any.len() {
            0 => String::new(),
            any => format!(", and {any} do not say what they are about"),
        };
        format!("--bundle: {about} of {} bundles are about {subject}{any}; nobody else was asked", self.count)
    }

    /// Adds a bundle, unless it is there.
    fn add(&mut self, bundle: &str) {
        let layer = Bytes::copy_from_slice(bundle.as_bytes());
        let (digest, size) = (Digest::sha256(&layer), layer.len());
        if self.layers.insert(digest, layer).is_some() {
            return;
        }
        self.count += 1;
        let empty = json!({"mediaType": media_type::OCI_EMPTY, "digest": Digest::sha256(b"{}"), "size": 2});
        let manifest: Bytes = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": BUNDLE, "config": empty,
            "layers": [{"mediaType": BUNDLE, "digest": digest, "size": size}],
        })
        .to_string()
        .into();
        let (digest, size) = (Digest::sha256(&manifest), manifest.len());
        self.manifests.insert(digest, manifest);
        let descriptor = json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": size, "artifactType": BUNDLE});
        match subjects(bundle) {
            Some(subjects) => {
                subjects.into_iter().for_each(|subject| self.about.entry(subject).or_default().push(descriptor.clone()));
            }
            None => self.about_any.push(descriptor),
        }
    }
}

/// What a bundle says it is about, before anybody has verified that: by this it is shown to fewer, and to nobody as anything else.
/// `None` where it cannot be told.
fn subjects(bundle: &str) -> Option<HashSet<Digest>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bundle {
        dsse_envelope: Option<Envelope>,
        message_signature: Option<Message>,
    }
    #[derive(Deserialize)]
    struct Envelope {
        payload: String,
    }
    #[derive(Deserialize)]
    struct Statement {
        subject: Vec<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: HashMap<String, String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Message {
        message_digest: MessageDigest,
    }
    #[derive(Deserialize)]
    struct MessageDigest {
        algorithm: String,
        digest: String,
    }
    let decoded = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let of_hex = |algorithm: &str, hex: &str| format!("{algorithm}:{hex}").parse::<Digest>().ok();
    match serde_json::from_str(bundle).ok()? {
        Bundle { dsse_envelope: Some(envelope), message_signature: None } => {
            let statement: Statement = serde_json::from_slice(&decoded(&envelope.payload)?).ok()?;
            let digests = statement.subject.iter().flat_map(|subject| &subject.digest);
            Some(digests.filter_map(|(algorithm, hex)| of_hex(algorithm, hex)).collect())
        }
        Bundle {
            dsse_envelope: None,
            message_signature: Some(Message { message_digest: MessageDigest { algorithm, digest } }),
        } => {
            let algorithm = match algorithm.as_str() {
                "SHA2_256" => "sha256",
                "SHA2_512" => "sha512",
                _ => return None,
            };
            Some(HashSet::from([of_hex(algorithm, &hex::encode(decoded(&digest)?))?]))
        }
        Bundle { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &str) -> Result<Bundles, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Bundles::read(&[file.path()])
    }

    #[test]
    fn a_file_has_one_bundle_or_one_a_line() {
        assert_eq!(read("{\n \"a\": 1\n}\n").unwrap().layers.len(), 1);
        let two = read("{\"a\": 1}\n\n{\"a\": 2}\n").unwrap();
        assert_eq!((two.layers.len(), two.manifests.len()), (2, 2));
        for wrong in ["", "[]", "{\"a\": 1}\nnonsense", "\u{1}"] {
            assert!(read(wrong).unwrap_err().contains("neither a bundle nor one bundle a line"), "{wrong}");
        }
        assert!(Bundles::read(&["/nonexistent"]).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_bundle_is_listed_for_what_it_is_about_and_for_anything_where_that_cannot_be_told() {
        let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let [one, other] = ["one", "other"].map(|text| Digest::sha256(text.as_bytes()));
        let long = Digest::of(crate::oci::Algorithm::Sha512, b"one");
        let statement = |subject: Value| {
            let payload = json!({"_type": "any", "subject": subject, "predicate": {"subject": 1}}).to_string();
            json!({"dsseEnvelope": {"payload": encoded(payload.as_bytes())}}).to_string()
        };
        let message = |algorithm: &str, digest: &[u8]| {
            json!({"messageSignature": {"messageDigest": {"algorithm": algorithm, "digest": encoded(digest)}}}).to_string()
        };
        let hex = |hex: String| hex::decode(hex).unwrap();
        let both = json!([{"digest": {"sha256": one.to_hex(), "sha512": long.to_hex()}}, {"digest": {"sha256": other.to_hex()}}]);
        let of_none = json!([{"digest": {"gitCommit": "aa", "sha256": one.to_hex().to_uppercase()}}]);
        let told = [
            (statement(both), vec![one, long, other]),
            (statement(of_none), vec![]),
            (statement(json!([])), vec![]),
            (message("SHA2_256", &hex(one.to_hex())), vec![one]),
            (message("SHA2_512", &hex(long.to_hex())), vec![long]),
        ];
        let untold = [
            "{}".to_owned(),
            message("SHA2_384", &[1; 48]),
            message("SHA2_256", &[1; 31]),
            json!({"messageSignature": {"signature": "AA=="}}).to_string(),
            json!({"dsseEnvelope": {"payload": "?"}}).to_string(),
            json!({"dsseEnvelope": {"payload": encoded(b"{}")}}).to_string(),
            json!({"dsseEnvelope": {"payload": encoded(b"{\"subject\": []}")}, "messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": encoded(&[1; 32])}}}).to_string(),
        ];
        for (bundle, about) in &told {
            assert_eq!(subjects(bundle), Some(about.iter().copied().collect()), "{bundle}");
        }
        for bundle in &untold {
            assert_eq!(subjects(bundle), None, "{bundle}");
        }
        let all: Vec<String> = told.iter().map(|(bundle, _)| bundle.clone()).chain(untold).collect();
        // One that is there twice is one.
        let bundles = read(&[all.join("\n"), all.join("\n")].join("\n")).unwrap();
        let listed = |subject: &Digest| {
            serde_json::from_slice::<Value>(&bundles.index_of(subject)).unwrap()["manifests"].as_array().unwrap().len()
        };
        assert_eq!((listed(&one), listed(&long), listed(&other), listed(&Digest::sha256(b"third"))), (9, 9, 8, 7));
        assert_eq!(
            bundles.note(&one),
            format!("--bundle: 2 of 12 bundles are about {one}, and 7 do not say what they are about; nobody else was asked")
        );
        let third = Digest::sha256(b"third");
        let silent = read(&told[0].0).unwrap().note(&third);
        assert_eq!(silent, format!("--bundle: 0 of 1 bundles are about {third}; nobody else was asked"));
    }
}
