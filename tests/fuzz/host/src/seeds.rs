//! Inputs to start from that are made rather than found.

use std::path::Path;

/// Writes what a target makes into the folder that the task runner names, if it names one.
///
/// # Panics
/// If the folder cannot be written: a search without a start finds nothing.
pub fn write(make: fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os("WAVEGATE_FUZZ_SEEDS") else {
        return;
    };
    for (number, seed) in make().into_iter().enumerate() {
        let path = Path::new(&folder).join(format!("made-{number:03}"));
        std::fs::write(path, seed).expect("a seed can be written");
    }
}
