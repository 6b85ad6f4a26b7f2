//! `pullgate policy init`: a first policy, with an image it admits and one it refuses.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    parcel::Parcel,
    record::{self, Recorded},
    signer::signer,
    suite::Suite,
    test,
};
use crate::{
    command::{
        Exit,
        answer::Answer,
        flags::Flags,
        judge::{Basis, Judge, Unusable},
        reference::Image,
        report::Outcome,
        runtime,
        streams::{self, tell},
        text::{line, path},
    },
    evidence::Limits,
    oci::{Digest, media_type},
    policy::{PolicySet, Unmatched},
    verify::TrustRootSource,
};

/// Bytes of a policy's name.
const MAX_NAME: usize = 63;

/// Write a first policy for an image, from who signed it, with a test that has an image it admits and one it refuses.
///
/// DIR gets NAME.yaml and, where nobody takes them for policies, tests/NAME.yaml for `policy test` and tests/evidence/, an OCI
/// layout with the image's manifests and all evidence about it. The image that is refused is made here, and nobody signed it.
/// Flags may say who must sign; without them it must be plain from the image: one signer, who also attested, and the repository
/// built from where the workflow that signed is another's. What is written is tested first, and a policy that does not admit
/// the image is not written. Nothing is written over.
///
/// Exit codes: 0 written; 1 nobody signed the image, or several did and no flag says who counts, or what the flags ask for does
/// not admit it; 2 the image could not be read; 64 a command line or a file that cannot be used, or DIR has such files already,
/// or tests under another trust root.
#[derive(Debug, clap::Args)]
// These are refused here, with what to do instead.
#[command(
    mut_arg("config", |arg| arg.hide(true)),
    mut_arg("policy", |arg| arg.hide(true)),
    mut_arg("bundle", |arg| arg.hide(true))
)]
pub(in crate::command) struct Arguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: Image,
    /// Where to write.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The policy's name, and that of its files: letters, digits, `.`, `_` and `-`. The policy can be given another later.
    #[arg(long, value_name = "NAME", default_value = "policy", value_parser = file_name)]
    name: String,
    /// The images the policy is for. May be repeated. Default: the image's repository.
    #[arg(long, value_name = "PATTERN")]
    images: Vec<String>,
    /// Record the image under this name, as policies shall see it. Default: its own.
    #[arg(long = "as", value_name = "IMAGE", value_parser = record::name)]
    named: Option<Image>,
    #[command(flatten)]
    basis: Basis,
}

impl Arguments {
    /// Writes the files.
    pub(in crate::command) fn run(self) -> Exit {
        let done = runtime(self.done()).map_err(|error| Unusable::Failed(error.to_string())).flatten();
        done.unwrap_or_else(|error| error.tell())
    }

    async fn done(self) -> Result<Exit, Unusable> {
        let usage = |why: &dyn std::fmt::Display| Unusable::Usage(why.to_string());
        if self.basis.config.is_some() || !self.basis.policy.is_empty() {
            return Err(usage(&"a policy is there already; `policy test FILE --record IMAGE` records more images for it"));
        }
        if !self.basis.bundle.is_empty() {
            // Found beside the image by nobody, least of all by the gate the policy is for.
            return Err(usage(
                &"--bundle: evidence of a file is not recorded; push it to where the image is, and begin the policy then",
            ));
        }
        let tests = self.directory.join("tests");
        let (policy_file, layout) = (format!("{}.yaml", self.name), tests.join("evidence"));
        let (policy_path, test_path) = (self.directory.join(&policy_file), tests.join(&policy_file));
        let root_path = layout.join("trusted_root.json");
        let free = || {
            for file in [&policy_path, &test_path] {
                if std::fs::symlink_metadata(file).is_ok() {
                    return Err(usage(&format_args!("{} is there already; choose another --name", path(file))));
                }
            }
            // Tests that are there already rely on theirs.
            let root = self.basis.trusted_root.as_deref();
            root.map_or(Ok(None), |file| missing(file, &root_path).map_err(Unusable::Usage))
        };
        // Before anything is asked.
        free()?;
        // Who signed is asked of a gate that accepts anybody, whose answer is not used: only what it proved.
        let judge = Judge::by(Flags::anybody().map_err(|error| usage(&error))?, &self.basis).await?;
        // By the name that policies see: of a layout's image, with the host the command line says.
        let (found, _) = judge.find(&self.image)?;
        let named = self.named.clone().unwrap_or_else(|| Image { name: Some(found), ..self.image.clone() });
        let name = named.name.clone().ok_or_else(|| usage(&"the name to record it under names no image"))?;
        let images = if self.images.is_empty() { vec![name.to_string()] } else { self.images.clone() };
        let policy = if self.basis.flags.is_empty() {
            match signer(&judge, &self.image).await? {
                Ok(keyless) => json!({"name": self.name, "images": images, "signatures": [{"keyless": keyless}]}),
                Err((exit, why)) => {
                    tell(&line(&why));
                    return Ok(exit);
                }
            }
        } else {
            self.basis.flags.policy(&self.name, &images).map_err(|error| usage(&error))?
        };
        let text = written(&policy);
        let policies =
            PolicySet::from_text(Path::new(&policy_file), &text, Unmatched::Deny).map_err(|problems| usage(&problems))?;

        // Aside first: a pair that fails its own test is not written.
        let aside = tempfile::tempdir().map_err(|error| Unusable::Failed(format!("a temporary directory: {error}")))?;
        let recorded = match record::record(&judge, &self.image, &named, &Limits::default(), aside.path()).await {
            Ok(recorded) => recorded,
            Err(error) => return Ok(error.tell()),
        };
        let unsigned = unsigned(&recorded, aside.path()).map_err(Unusable::Failed)?;
        let at = record::now();
        let source = self.basis.trusted_root.clone().map_or(TrustRootSource::Sigstore, TrustRootSource::File);
        let suite = Suite::draft(policies, source, aside.path().to_owned());
        let (signed, unsigned) = (format!("{name}@{}", recorded.digest), format!("{name}@{unsigned}"));
        let answer = async |image: &str| {
            let image: Image = image.parse().map_err(|error| usage(&error))?;
            test::judge(&suite, &test::case(image, at)).await.map(|(answer, _)| answer)
        };
        let refused = answer(&unsigned).await?;
        if let Some((exit, why)) = fails(&named, &answer(&signed).await?, &refused) {
            tell(&line(&why));
            return Ok(exit);
        }

        let mut parcel = Parcel::open(&layout).map_err(Unusable::Failed)?;
        // Before anything is written, too: another may have begun one here since.
        let root = free()?;
        parcel.adopt(aside.path()).map_err(Unusable::Failed)?;
        let trust_root = if self.basis.trusted_root.is_some() { "evidence/trusted_root.json" } else { "sigstore" };
        let test = format!(
            "# pullgate policy test tests/{policy_file}\npolicies: [../{policy_file}]\ntrust_root: {trust_root}\nlayout: evidence\n\
             cases:\n{}{}",
            record::entry(&format!("{named} as it was signed"), &signed, at, Outcome::Admitted, ""),
            record::entry("an image that nobody signed", &unsigned, at, refused.outcome, &refused.code),
        );
        if let Some(root) = root {
            create(&root_path, &root)?;
        }
        create(&policy_path, text.as_bytes())?;
        create(&test_path, test.as_bytes())?;
        let names: String = [policy_path, test_path].map(|file| path(&file) + "\n").concat();
        streams::answer(&names)?;
        Ok(Exit::Done)
    }
}

/// A name that is a file's as it stands, in this directory, and an item of a YAML list.
fn file_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(plain) && !text.starts_with(['.', '-']);
    let why =
        || format!("wants the name of a file: at most {MAX_NAME} letters, digits, `.`, `_` and `-`, the first no `.` or `-`");
    if is_name { Ok(text.to_owned()) } else { Err(why()) }
}

/// The bytes of the trust root in `file`, unless `kept` has them already.
///
/// # Errors
/// It cannot be read, or `kept` is another: the tests that rely on that one would be judged under this one.
fn missing(file: &Path, kept: &Path) -> Result<Option<Vec<u8>>, String> {
    let root = std::fs::read(file).map_err(|error| format!("{}: {error}", path(file)))?;
    match std::fs::read(kept) {
        Ok(there) if there == root => Ok(None),
        Ok(_) => Err(format!(
            "{} is another trust root than {}, and tests beside it rely on it: begin this policy in another DIR",
            path(kept),
            path(file)
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(root)),
        Err(error) => Err(format!("{}: {error}", path(kept))),
    }
}

/// Writes a file that is not there yet.
fn create(file: &Path, bytes: &[u8]) -> Result<(), Unusable> {
    let written = std::fs::File::create_new(file).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| Unusable::Failed(format!("{}: {error}", path(file))))
}

/// Why a pair fails its own test, if it does, and how the command ends then.
fn fails(image: &Image, signed: &Answer, unsigned: &Answer) -> Option<(Exit, String)> {
    let exit = match (signed.outcome, unsigned.outcome) {
        (Outcome::Admitted, Outcome::Refused) => return None,
        (Outcome::Undecided, _) | (Outcome::Admitted, Outcome::Undecided) => Exit::Undecided,
        (Outcome::Refused, _) | (Outcome::Admitted, Outcome::Admitted) => Exit::Refused,
    };
    let (what, answer) = match signed.outcome {
        Outcome::Admitted => ("an image that nobody signed".to_owned(), unsigned),
        Outcome::Refused | Outcome::Undecided => (image.to_string(), signed),
    };
    let Answer { outcome, code, message, .. } = answer;
    Some((exit, format!("nothing is written: by this policy {what} is {} [{code}]: {message}", outcome.as_str())))
}

/// The policy as a person would write it.
fn written(policy: &Value) -> String {
    let mut out = String::new();
    for (key, value) in policy.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) if items.iter().all(Value::is_object) => {
                out.push_str(&format!("{key}:\n"));
                for item in items {
                    for (at, (key, value)) in item.as_object().into_iter().flatten().enumerate() {
                        let dash = if at == 0 { "-" } else { " " };
                        match value.as_object() {
                            None => out.push_str(&format!("  {dash} {key}: {value}\n")),
                            Some(fields) => {
                                out.push_str(&format!("  {dash} {key}:\n"));
                                for (key, value) in fields {
                                    out.push_str(&format!("      {key}: {value}\n"));
                                }
                            }
                        }
                    }
                }
            }
            _ => out.push_str(&format!("{key}: {value}\n")),
        }
    }
    out
}

/// Adds an image that nobody signed to the layout, beside the one that was recorded.
fn unsigned(recorded: &Recorded, layout: &Path) -> Result<Digest, String> {
    let config = Bytes::from_static(b"{}");
    let manifest: Bytes = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": Digest::sha256(&config), "size": config.len()},
        "layers": [],
        "annotations": {"dev.pullgate.test": format!("in place of {}, signed by nobody", recorded.manifest.digest())},
    })
    .to_string()
    .into();
    let digest = Digest::sha256(&manifest);
    let mut parcel = Parcel::open(layout)?;
    parcel.blob(&Digest::sha256(&config), &config)?;
    parcel.blob(&digest, &manifest)?;
    parcel.name(&recorded.name, None, &digest, media_type::OCI_MANIFEST, manifest.len());
    parcel.finish()?;
    Ok(digest)
}
