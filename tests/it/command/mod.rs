//! The commands that judge without a server, as the built binary, over the recorded images.

mod explain;
mod policy;
mod verify;

use std::{
    path::Path,
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
