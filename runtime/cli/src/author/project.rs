//! The file `plugin.json` of a project: what `plugin build` has to know.

use super::language::{Kind, Language};
use crate::exit::{Failure, Result};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Its name in a project's folder.
pub(crate) const FILE: &str = "plugin.json";
/// The component that a build gives, in the project's folder.
pub(crate) const COMPONENT: &str = "plugin.wasm";

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) language: Language,
    /// Folder of the SDK, from the project's.
    pub(crate) sdk: PathBuf,
    /// Folder of the contract, from the project's.
    pub(crate) wit: PathBuf,
}

/// A project and where it lies.
#[derive(Debug)]
pub(crate) struct Project {
    /// Absolute, so that tools can run anywhere.
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Project {
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", path.display()))
                .hint("name the folder of a project; `wavegate plugin new` makes one")
        })?;
        let manifest = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{} is not valid: {error}", path.display())))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("failed to follow {}", dir.display()))?;
        Ok(Self { dir, manifest })
    }

    pub(crate) fn sdk(&self) -> PathBuf {
        self.dir.join(&self.manifest.sdk)
    }

    pub(crate) fn wit(&self) -> PathBuf {
        self.dir.join(&self.manifest.wit)
    }

    /// A folder for what tools write on the way; version control ignores it.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let scratch = self.dir.join("build");
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("failed to make {}", scratch.display()))?;
        Ok(scratch)
    }
}
