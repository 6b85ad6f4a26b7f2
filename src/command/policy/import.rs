//! `pullgate policy import`: policies of other systems as ours.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    command::{Exit, streams::tell, text::line},
    import::{self, Imported, Options},
    policy::AGES,
    yaml,
};

/// Make policies of those of another system, and say what could not be carried over.
///
/// Reads Kyverno's ClusterPolicy and Policy with verifyImages, its ImageValidatingPolicy, Sigstore's ClusterImagePolicy
/// and TrustRoot, OpenShift's image policies, and containers' policy.json, told apart by their apiVersion: several
/// documents a file, lists, JSON. With --gh, the flags of `gh attestation verify`, behind `--`.
///
/// The policies go to standard output, the report to standard error: what was lost, what means something else, and in
/// which direction. What cannot be said here refuses, rather than being left out.
///
/// Exit codes: 0 exact, with nothing but notes; 3 something was lost or changed its meaning; 64 the input cannot be read.
/// Exact is what is asked of an image. That evidence counts here in every form, and at every pull, where the source may look
/// at one form, or at some namespaces or containers, is a note.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    pullgate policy import kyverno.yaml --output-dir policies\n  \
    kubectl get clusterimagepolicies,trustroots -o yaml | pullgate policy import - --output-dir policies\n  \
    pullgate policy import --gh -- --owner acme --deny-self-hosted-runners oci://ghcr.io/acme/app")]
pub(in crate::command) struct Arguments {
    /// What to import; `-` for standard input.
    #[arg(required_unless_present = "gh", conflicts_with = "gh", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Import the flags behind `--`, as `gh attestation verify` takes them.
    #[arg(long)]
    gh: bool,
    /// With --gh: an image pattern the policy is for, such as `ghcr.io/acme/**`. May be repeated.
    #[arg(long = "image", value_name = "PATTERN", requires = "gh")]
    images: Vec<String>,
    /// Write files there instead of to standard output, trust roots beside the policies. Nothing is overwritten.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// What standard error has.
    #[arg(long, value_enum, default_value_t)]
    report: Form,
    /// How old a statement may be where every one of its type must satisfy a condition, such as `90d`. The sources have no
    /// such bound: an older one does not count here, and no longer refuses either. Without this, the longest that a policy
    /// takes is written, 3650d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<String>,
    /// For a policy.json: a file of registries.d, to see whether signatures are looked for there. May be repeated.
    #[arg(long, value_name = "FILE")]
    registries_d: Vec<PathBuf>,
    /// With --gh: its flags.
    #[arg(last = true, requires = "gh", value_name = "FLAGS")]
    flags: Vec<String>,
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Form {
    /// A line for each finding.
    #[default]
    Text,
    /// One object, as deploy/schemas/import-report.schema.json says.
    Json,
}

/// An age of evidence as policy files have it, where no capital stands for months.
fn age(text: &str) -> Result<String, String> {
    let age = humantime::parse_duration(text).ok().filter(|age| AGES.contains(age) && !text.contains('M'));
    age.map(|_| text.to_owned()).ok_or_else(|| format!("wants a time from 1m to 3650d, such as 90d, found `{text}`"))
}

impl Arguments {
    /// Imports, writes and reports.
    pub(in crate::command) fn run(self) -> Exit {
        let imported = match self.import() {
            Ok(imported) => imported,
            Err(why) => {
                why.lines().for_each(|why| tell(&line(why)));
                return Exit::Usage;
            }
        };
        if let Err(why) = self.write(&imported) {
            tell(&line(&why));
            return Exit::Usage;
        }
        let report: String = match self.report {
            Form::Text => imported.report.text().lines().map(|text| line(text) + "\n").collect(),
            Form::Json => imported.report.json() + "\n",
        };
        if !report.is_empty() {
            tell(&report);
        }
        if imported.report.exact { Exit::Done } else { Exit::Lossy }
    }

    fn import(&self) -> Result<Imported, String> {
        let registries_d: Result<Vec<String>, _> = self.registries_d.iter().map(|path| yaml::read_file(path)).collect();
        let options = Options {
            max_age: self.max_age.clone(),
            registries_d: registries_d.map_err(|problem| problem.to_string())?,
            files: self.output_dir.clone(),
        };
        let Some(file) = &self.file else { return import::import_gh(&self.flags, &self.images, &options) };
        let text =
            if file.as_os_str() == "-" { stdin()? } else { yaml::read_file(file).map_err(|problem| problem.to_string())? };
        let name = if file.as_os_str() == "-" { Path::new("stdin") } else { file };
        import::import(name, &text, &options).map_err(|problems| problems.to_string())
    }

    fn write(&self, imported: &Imported) -> Result<(), String> {
        let Some(directory) = &self.output_dir else {
            return std::io::stdout()
                .write_all(imported.policies.as_bytes())
                .map_err(|error| format!("standard output cannot be written: {error}"));
        };
        std::fs::create_dir_all(directory).map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
        let stem = match &self.file {
            Some(file) if file.as_os_str() != "-" => file.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
            _ => None,
        };
        let policies = (format!("{}.yaml", stem.unwrap_or_else(|| "imported".into())), imported.policies.clone());
        // A file without a policy would be none that `policy check` takes.
        let policies = Some(&policies).filter(|_| !imported.report.policies.is_empty());
        let files: Vec<_> =
            policies.into_iter().chain(&imported.trust_roots).map(|(name, text)| (directory.join(name), text)).collect();
        // A policy in force is not replaced by accident, nor half of the files written before that is seen.
        if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
            return Err(format!("{} is there already; nothing was written", path.display()));
        }
        for (path, text) in &files {
            std::fs::File::create_new(path)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        Ok(())
    }
}

/// Standard input, within the bound of a file.
fn stdin() -> Result<String, String> {
    let mut text = String::new();
    let read = std::io::stdin().take(yaml::MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| format!("stdin: cannot be read: {error}"))?;
    if text.len() as u64 > yaml::MAX_FILE {
        return Err(format!("stdin: larger than {} bytes", yaml::MAX_FILE));
    }
    Ok(text)
}
