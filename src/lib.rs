//! pullgate: a streaming OCI registry proxy that serves a manifest only when its digest carries the signature and the
//! SBOM attestation a policy asks for.
//!
//! A request is a question about a digest. [`server`] accepts it, [`registry`] parses it once into an endpoint; if it
//! names a tag, the [`upstream`] is asked which digest the tag means now, and from there on only digests travel.
//! [`gate`] is asked to admit that digest for that repository. If the same digest was judged before under the same
//! policy and the same trust root, the answer is remembered; otherwise exactly one task gathers the [`evidence`]
//! published about it, [`verify`] says what that evidence proves, and [`policy`] says whether that is enough. The
//! outcome is a [`gate::Verdict`]: a [`gate::Permit`], the only value from which a manifest response can be built, or a
//! [`gate::Refusal`], which becomes a 403 that names its reason. If the evidence could not be had there is no verdict:
//! the client is told to come back, and nothing is remembered.
//!
//! ```text
//!  client ─► server ─► registry ─► gate ─► evidence ─► upstream ─► registry upstream
//!             │           │          ├───► verify   (what the bytes prove)
//!             │           │          └───► policy   (whether that is enough)
//!             │           ├─► store ◄─ body (hash while streaming) ◄─ upstream
//!             ▼           ▼
//!          response ◄── Permit + Manifest   |   Refusal → 403   |   Undecided → 503
//! ```
//!
//! The modules below are listed in the order a request meets them.

pub mod app;
pub mod command;
pub mod config;
pub mod stack;

pub mod evidence;
pub mod gate;
pub mod import;
pub mod policy;
pub mod registry;
pub mod server;
pub mod store;
pub mod upstream;
pub mod verify;

pub mod body;
pub mod flight;
pub mod telemetry;
pub mod yaml;

pub mod oci;
