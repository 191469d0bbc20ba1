//! Digests of files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// `sha256:` and the hex digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Digest of all that a plugin's component is made from: its crate, the SDK, the contract,
/// and the manifests and the lock file of the workspace.
pub(super) fn digest_of_plugin(project: &Path, name: &str) -> Result<String> {
    let mut files: Vec<PathBuf> = [
        "plugins/Cargo.toml",
        "plugins/Cargo.lock",
        "sdk/rust/Cargo.toml",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    for folder in [&format!("plugins/{name}"), "sdk/rust/src", "wit"] {
        list(project, Path::new(folder), &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let path = project.join(&file);
        let bytes =
            std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        // Name and length keep two files from passing for one.
        hasher.update(file.display().to_string().as_bytes());
        hasher.update([0]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    Ok(hex(&hasher.finalize()))
}

fn list(project: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = project.join(folder);
    let context = || format!("failed to list {}", path.display());
    for entry in std::fs::read_dir(&path).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = folder.join(entry.file_name());
        // What editors leave behind is hidden; a target folder is not a source.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || entry.file_name() == "target" {
            continue;
        }
        if entry.file_type().with_context(context)?.is_dir() {
            list(project, &name, files)?;
        } else {
            files.push(name);
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("sha256:");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
