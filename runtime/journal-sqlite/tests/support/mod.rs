//! A disk that tells what reached it, preloaded into a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the disk. SQLite was compiled from C too, so there is a compiler.
pub(crate) fn compile_disk(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk.c");
    let library = folder.join("disk.so");
    let compiled = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-O2", "-Wall", "-shared", "-fPIC", "-pthread", "-o"])
        .args([&library, &source])
        .output()
        .expect("the C compiler runs");
    assert!(
        compiled.status.success(),
        "disk.c: {}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    library
}

/// This program again, with the disk under `folder`.
pub(crate) fn again_on(library: &Path, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.env("LD_PRELOAD", library).env(
        "DISK_FOLDER",
        folder.canonicalize().expect("the folder exists"),
    );
    command
}
