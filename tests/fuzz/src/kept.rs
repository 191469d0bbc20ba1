//! Inputs that were kept: what reaches code that nothing else reaches, and what was once wrong.

use std::path::{Path, PathBuf};

/// An input, and the file that it is kept in.
#[derive(Debug)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// The input.
    pub bytes: Vec<u8>,
}

/// The folder of this crate.
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Everything in a folder of this crate, sorted by name; nothing if it is not there, because a
/// target in which nothing was found has none.
///
/// # Errors
/// What the file system says.
pub fn read(folder: &str) -> std::io::Result<Vec<Kept>> {
    let folder = home().join(folder);
    let mut paths = Vec::new();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path)?;
        Ok(Kept { path, bytes })
    };
    paths.into_iter().map(read).collect()
}
