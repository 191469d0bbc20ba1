//! `init`: the quickstart's documents as files to edit.

use crate::args::Init;
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format, JSON_VERSION};
use anyhow::Context as _;
use std::path::Path;

/// The documents, with marks that are filled in.
const DOCUMENTS: [(&str, &str); 6] = [
    ("fleet.yaml", include_str!("../../quickstart/fleet.yaml")),
    ("policy.yaml", include_str!("../../quickstart/policy.yaml")),
    (
        "releases.yaml",
        include_str!("../../quickstart/releases.yaml"),
    ),
    (
        "rollout.yaml",
        include_str!("../../quickstart/rollout.yaml"),
    ),
    ("bad/bad.yaml", include_str!("../../quickstart/bad.yaml")),
    (
        "sources.yaml",
        include_str!("../../quickstart/sources.yaml"),
    ),
];

pub(crate) fn init(args: &Init, format: Format) -> Result<Exit> {
    must_be_empty(&args.dir)?;
    write(&args.dir, args.port)?;
    let dir = args.dir.display();
    output::say(&format!(
        "wrote the documents of the quickstart to {dir}; edit them, then:"
    ));
    if format == Format::Json {
        let files: Vec<&str> = DOCUMENTS.iter().map(|(name, _)| *name).collect();
        output::json(
            &serde_json::json!({"version": JSON_VERSION, "dir": args.dir, "files": files}),
        );
    } else {
        output::data(&format!("wavegate plan {dir}\nwavegate quickstart {dir}"));
    }
    Ok(Exit::Done)
}

/// Documents are never mixed with what is there already.
pub(crate) fn must_be_empty(dir: &Path) -> Result<()> {
    let used = dir
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if used || dir.is_file() {
        let message = format!(
            "{} is there already, and is not an empty folder",
            dir.display()
        );
        return Err(Failure::usage(message).hint("name a folder that does not exist yet"));
    }
    Ok(())
}

/// Removes the documents again, and folders that are empty without them.
pub(crate) fn remove(dir: &Path) {
    for (name, _) in DOCUMENTS {
        // Whoever removed it already had the same in mind.
        let _ = std::fs::remove_file(dir.join(name));
    }
    for folder in [dir.join("bad"), dir.join("clusters"), dir.to_owned()] {
        // It stays if something else is in it.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Writes the documents into a folder.
pub(crate) fn write(dir: &Path, port: u16) -> Result<()> {
    std::fs::create_dir_all(dir.join("bad"))
        .with_context(|| format!("failed to make {}", dir.display()))?;
    let program = std::env::current_exe().context("failed to find the program's own file")?;
    let program = program
        .to_str()
        .context("the program's own path is not Unicode")?;
    for (name, text) in DOCUMENTS {
        let mut text = text.replace("@WAVEGATE@", program);
        for site in 0..3_u16 {
            text = text.replace(
                &format!("@PORT{site}@"),
                &port.saturating_add(site).to_string(),
            );
        }
        let path = dir.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}
