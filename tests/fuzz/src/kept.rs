//! Inputs that were kept: what reaches code that nothing else reaches, and what was once wrong.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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

/// The bounds of a check are those of the process: what another check takes meanwhile would count.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Checks what was found and the corpus of a target. More memory than allowed ends the process
/// without a word, so that the input is named where nothing is captured.
///
/// # Panics
/// If there are fewer inputs than there should be, or one of them is a finding.
pub fn replay(target: &str, check: fn(&[u8]), at_least: usize) {
    // One that failed leaves nothing behind that the next could mind.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut inputs = read(&format!("found/{target}")).expect("what was found");
    inputs.extend(read(&format!("corpus/{target}")).expect("the corpus"));
    assert!(inputs.len() >= at_least, "only {} inputs", inputs.len());
    for input in inputs {
        let run = std::panic::catch_unwind(|| check(&input.bytes));
        if run.is_err() {
            let name = input.path.display();
            let _ = writeln!(std::io::stderr(), "the input is {name}");
            panic!("{name} is a finding");
        }
    }
}
