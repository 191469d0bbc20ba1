//! What survives a front door that was killed: the split, its stamps, and the nodes.

use super::Backend;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Epoch, Split};

const VERSION: u32 = 1;

/// The file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// Of this format.
    pub(super) version: u32,
    /// Where it listened last; none before the first start.
    pub(super) listen: Option<SocketAddr>,
    /// Where it gives its metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metrics: Option<SocketAddr>,
    /// Empty before the first split.
    pub(super) split: Split,
    /// The last stamp per cluster.
    pub(super) stamps: BTreeMap<ClusterName, Stamp>,
    /// The lowest epoch per cluster whose splits are accepted.
    pub(super) fences: BTreeMap<ClusterName, Epoch>,
    /// The nodes that get requests.
    pub(super) backends: BTreeMap<ClusterName, Vec<Backend>>,
}

impl Default for Stored {
    fn default() -> Self {
        let (split, stamps, fences, backends) = Default::default();
        Self {
            version: VERSION,
            listen: None,
            metrics: None,
            split,
            stamps,
            fences,
            backends,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    #[error("failed to read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not the state of a front door: {detail}", .path.display())]
    Garbled { path: PathBuf, detail: String },
    #[error("failed to write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

fn state_path(dir: &Path) -> PathBuf {
    dir.join("state.json")
}

/// Reads the file; a missing one is a new front door, a bad one is an error: to guess a split
/// could send everything to the wrong release.
pub(super) fn load(dir: &Path) -> Result<Stored, StateError> {
    let path = state_path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
        Err(source) => return Err(StateError::Read { path, source }),
    };
    let stored: Stored = match serde_json::from_slice(&bytes) {
        Ok(stored) => stored,
        Err(error) => {
            return Err(StateError::Garbled {
                path,
                detail: error.to_string(),
            });
        }
    };
    if stored.version == VERSION {
        Ok(stored)
    } else {
        let detail = format!(
            "it has version {}, this program reads version {VERSION}",
            stored.version
        );
        Err(StateError::Garbled { path, detail })
    }
}

/// Replaces the file; it is on disk when this returns.
pub(super) fn store(dir: &Path, stored: &Stored) -> Result<(), StateError> {
    let path = state_path(dir);
    let write = || -> io::Result<()> {
        let fresh = dir.join("state.json.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(stored)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        // The rename itself is durable once the folder is.
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| StateError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_again_and_garbage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), Stored::default());
        let listen = Some("127.0.0.1:8080".parse().unwrap());
        let stored = Stored {
            listen,
            ..Stored::default()
        };
        store(dir.path(), &stored).unwrap();
        assert_eq!(load(dir.path()).unwrap(), stored);
        fs::write(dir.path().join("state.json"), b"{\"version\":1").unwrap();
        assert!(matches!(load(dir.path()), Err(StateError::Garbled { .. })));
        store(
            dir.path(),
            &Stored {
                version: 2,
                ..Stored::default()
            },
        )
        .unwrap();
        assert!(
            load(dir.path())
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
    }
}
