//! The commands that judge without a server, as the built binary, over the recorded images.

mod explain;
mod policy;
mod record;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::support::layout::{cases, fixtures};

/// Runs the binary, in an empty home, and waits for it without holding up a registry in this process.
pub async fn pullgate(arguments: &[&str]) -> Output {
    pullgate_in(Path::new("."), arguments).await
}

/// The same in a directory.
pub async fn pullgate_in(directory: &Path, arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_pullgate"));
    command.args(arguments).current_dir(directory).env_clear().env("HOME", home.path()).stdin(Stdio::null());
    command.output().await.unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// The recorded layout as an image reference's beginning.
pub fn layout() -> String {
    format!("oci:{}", fixtures().join("registry").display())
}

/// A layout in `folder` that has the recorded images under other names; an entry without a name has none.
pub fn renamed(folder: &Path, entries: &[(&str, Option<&str>)]) -> String {
    let root = fixtures().join("registry");
    // Links are followed but for the files themselves.
    let _ = std::os::unix::fs::symlink(root.join("blobs"), folder.join("blobs"));
    std::fs::copy(root.join("oci-layout"), folder.join("oci-layout")).unwrap();
    let entry = |(digest, name): &(&str, Option<&str>)| {
        let size = std::fs::metadata(folder.join("blobs").join(digest.replace(':', "/"))).unwrap().len();
        let annotations = name.map(|name| serde_json::json!({"org.opencontainers.image.ref.name": name}));
        serde_json::json!({"mediaType": pullgate::oci::media_type::OCI_MANIFEST, "digest": digest, "size": size, "annotations": annotations})
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    format!("oci:{}", folder.display())
}

/// A store in `folder` as a gate leaves one that has seen nothing yet.
pub fn begun_store(folder: &Path) -> PathBuf {
    let store = folder.join("store");
    std::fs::create_dir_all(store.join("facts")).unwrap();
    std::fs::write(store.join("lock"), "").unwrap();
    store
}

/// The flags that ask for what the recorded cases are about.
pub fn identity() -> Vec<String> {
    let cases = cases();
    let root = fixtures().join("trusted_root.json").display().to_string();
    ["--certificate-identity", &cases.identity, "--certificate-oidc-issuer", &cases.issuer, "--trusted-root", &root]
        .map(str::to_owned)
        .to_vec()
}

/// `pullgate COMMAND` with those flags and others.
pub async fn ask(command: &str, others: &[&str]) -> Output {
    let identity = identity();
    let mut arguments = vec![command];
    arguments.extend(identity.iter().map(String::as_str));
    arguments.extend(others);
    pullgate(&arguments).await
}
