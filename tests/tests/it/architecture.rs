//! The rules about the shape of the code, each a test that names the rule it found broken.
//!
//! Start at [`arrows::ARROWS`]: who may import whom.

mod arrows;
mod claims;
mod manifests;
mod sources;
mod text;

use std::fmt::Write as _;
use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};

/// The top folder of the checkout.
fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the folder above tests").to_owned()
}

/// What cargo knows about the packages of a workspace, by the folder of its manifest.
fn workspace(folder: &str) -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join(folder).join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

/// Fails with everything that breaks a rule, not only with the first.
#[track_caller]
fn assert_kept(rule: &str, broken: &[String]) {
    let mut message = format!("rule: {rule}\n");
    for one in broken {
        writeln!(message, "  broken by {one}").expect("a string takes all");
    }
    assert!(broken.is_empty(), "{message}");
}
