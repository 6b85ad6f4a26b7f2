//! The file as a user writes it: what is read, and everything that is said about a wrong one.

mod files;
mod problems;
mod roots;
mod shipped;
mod weaknesses;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    policy::Unmatched,
    upstream::Location,
    verify::{Relaxed, trust_root::TrustRootSource},
};

const POLICY: &str =
    "name: acme\nimages: [\"ghcr.io/acme/**\"]\nsignatures: [{keyless: {issuer: https://i, subject: https://s}}]\n";
const SMALL: &str = "upstreams: [{host: ghcr.io, url: https://ghcr.io}]\npolicies: [policies/*.yaml]\n";

/// A directory with `pullgate.yaml` and one policy.
fn directory(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    fs::write(directory.path().join("policies/acme.yaml"), POLICY).unwrap();
    fs::write(directory.path().join("pullgate.yaml"), text).unwrap();
    directory
}

fn load(text: &str) -> Config {
    let directory = directory(text);
    Config::load(&directory.path().join("pullgate.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every problem, the directory's name left out.
fn problems_in(directory: &TempDir) -> Vec<String> {
    let prefix = format!("{}/", directory.path().display());
    let problems = Config::load(&directory.path().join("pullgate.yaml")).unwrap_err();
    problems.0.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

fn problems(text: &str) -> Vec<String> {
    problems_in(&directory(text))
}

fn roots(config: &Config) -> Vec<(&str, &TrustRootSource, Relaxed)> {
    config.trust_roots.iter().map(|(name, root)| (&**name, &root.source, root.relaxed)).collect()
}
