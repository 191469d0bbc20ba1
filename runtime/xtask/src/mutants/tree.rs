//! A copy of the checkout in which guards may be taken out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::project::Project;
use crate::run;

/// The copy, and where it is built.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) build: PathBuf,
}

impl Tree {
    /// Copies what differs since the last time, so that cargo builds only that anew.
    pub(crate) fn copy(project: &Project) -> Result<Tree> {
        let tree = Tree {
            root: project.target.join("mutants/tree"),
            build: project.target.join("mutants/build"),
        };
        fs::create_dir_all(&tree.root).context("failed to make a folder for the copy")?;
        fs::create_dir_all(&tree.build).context("failed to make a folder for builds")?;
        let mut list = project.command("git");
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let listed = run::output(&mut list).context("failed to list the files of the checkout")?;
        let mut kept = BTreeSet::new();
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            let from = project.root.join(file);
            // Removed and not yet committed.
            let Ok(bytes) = fs::read(&from) else {
                continue;
            };
            let to = tree.root.join(file);
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                let folder = to.parent().unwrap_or(&tree.root);
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&to, &bytes))
                    .with_context(|| format!("failed to copy {file}"))?;
            }
            kept.insert(to);
        }
        remove_others(&tree.root, &kept).context("failed to clear the copy")?;
        Ok(tree)
    }
}

fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
