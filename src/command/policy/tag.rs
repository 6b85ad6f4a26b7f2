//! `pullgate policy tag …`: what an operator says of a tag that moved.

use std::path::PathBuf;

use crate::{
    command::{
        Exit,
        judge::Unusable,
        reference::{Image, Place},
        runtime,
        streams::{answer, tell},
        text,
    },
    config::Config,
    gate::tags::{self, Before},
    oci::{Digest, Host, Tag},
    store::{FactFiles, StoreError},
};

/// Say what a tag may mean.
#[derive(Debug, clap::Subcommand)]
pub(in crate::command) enum Command {
    Accept(Accept),
}

/// Accept that a tag means this digest from now on, where a policy's `tag_guard` refuses it: a rollback, or a new signer.
///
/// Written into the gate's store, beside a gate that may be running and obeys at the next request. It holds for this one
/// change, and changes no policy: the digest must still be signed.
///
/// Run as root, what it writes belongs to the gate's user, as under systemd's DynamicUser; otherwise be that user.
///
/// Exit codes: 0 accepted; 1 the store cannot be written; 64 a command line or a configuration that cannot be used.
#[derive(Debug, clap::Args)]
pub(in crate::command) struct Accept {
    /// The tag and the digest it may mean: HOST/REPOSITORY:TAG@DIGEST. The host as policies call it, written out.
    #[arg(value_name = "IMAGE:TAG@DIGEST")]
    reference: String,
    /// The gate's configuration, which says where its store is.
    #[arg(long, value_name = "FILE", required_unless_present = "store")]
    config: Option<PathBuf>,
    /// The gate's store itself (`store.path`).
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    store: Option<PathBuf>,
}

impl Command {
    /// Does what was asked.
    pub(in crate::command) fn run(self) -> Exit {
        let Self::Accept(accept) = self;
        let done = runtime(accept.done()).map_err(|error| Unusable::Failed(error.to_string())).flatten();
        done.unwrap_or_else(|error| error.tell())
    }
}

impl Accept {
    async fn done(self) -> Result<Exit, Unusable> {
        let usage = |why: &dyn std::fmt::Display| Unusable::Usage(why.to_string());
        let (image, tag, digest) = read(&self.reference).map_err(|error| usage(&error))?;
        let name = image.name.ok_or_else(|| usage(&"it names no image"))?;
        let store = match (&self.store, &self.config) {
            (Some(store), _) => store.clone(),
            (None, Some(file)) => {
                let config = Config::elsewhere(file).map_err(|problems| usage(&problems))?;
                if config.upstreams.iter().all(|upstream| upstream.host != name.host) {
                    let hosts: Vec<_> = config.upstreams.iter().map(|upstream| upstream.host.to_string()).collect();
                    let hosts = hosts.join(", ");
                    return Err(usage(&format_args!("{} is no upstream of {}: {hosts}", name.host, text::path(file))));
                }
                config.store.path
            }
            (None, None) => return Err(usage(&"say where the store is: --config FILE or --store DIR")),
        };
        let failed = |error: StoreError| match error {
            none @ StoreError::NoStore { .. } => usage(&none),
            other => Unusable::Failed(other.to_string()),
        };
        let facts = FactFiles::beside(&store).map_err(failed)?;
        let was = tags::accept(&facts, &name, &tag, &digest).await.map_err(failed)?;
        let was = match was {
            Before::Meant(was) => format!("it meant {was}"),
            Before::Nothing => {
                let why = "so nothing was refused: is it the tag that was meant?";
                tell(&format_args!("no gate on this store has answered for {name}:{tag}, {why}"));
                "it had no history".to_owned()
            }
            Before::Unreadable => "what it meant could not be read".to_owned(),
        };
        answer(&format!("{name}:{tag} may mean {digest} from now on; {was}\n"))?;
        Ok(Exit::Done)
    }
}

/// The image, the tag and the digest. All three: which change is accepted must stand there.
fn read(text: &str) -> Result<(Image, Tag, Digest), String> {
    let wants = || format!("`{text}`: wants HOST/REPOSITORY:TAG@DIGEST");
    let (rest, digest) = text.split_once('@').ok_or_else(wants)?;
    let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
    let (_, tag) = rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or_else(wants)?;
    let tag: Tag = tag.parse().map_err(|error| format!("{error}"))?;
    let image: Image = rest.parse().map_err(|error| format!("{error}"))?;
    // Left out, it would be Docker Hub's, and the tag that was meant stays refused.
    let first: Option<Host> = rest.split_once('/').and_then(|(first, _)| first.parse().ok());
    let names_host = image.name.as_ref().is_some_and(|name| first.is_some_and(|first| first == name.host));
    if image.place == Place::Registry && names_host { Ok((image, tag, digest)) } else { Err(wants()) }
}
