//! What is rolled out.

use crate::ids::Digest;
use alloc::collections::BTreeMap;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A version of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The version that people say.
    pub version: String,
    /// What is compared. Two releases with one digest are the same release.
    pub digest: Digest,
    /// For each driver, by its name, the artifact as JSON: command, image, manifest.
    pub artifacts: BTreeMap<String, String>,
    /// Whether going back is possible.
    pub reversal: Reversal,
}

/// Whether a release can be rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversal {
    /// It can.
    #[default]
    Possible,
    /// It cannot; a rollout of it may only hold.
    Irreversible,
}
