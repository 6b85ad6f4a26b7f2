//! The gate in a world of its own: every rule, each proved by asking.

mod answers;
mod attacks;
mod attestation_manifests;
mod cooldown;
mod counted;
mod denied;
mod denied_packages;
mod exceptions;
mod explained;
mod kept;
mod large;
mod limits;
mod lineage;
mod lives;
mod overload;
mod platforms;
mod pointers;
mod policies;
mod recorded;
mod rooted;
mod searching;
mod tag_policies;
mod tag_signers;
mod tag_unseen;
mod tags;
mod unread;
