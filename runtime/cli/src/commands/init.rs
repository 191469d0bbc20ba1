//! `init`: the quickstart's documents as files to edit.

use crate::args::Init;
use crate::exit::{Exit, Failure, Result};
use crate::output;
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

pub(crate) fn init(args: &Init) -> Result<Exit> {
    let used = args
        .dir
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if used {
        let message = format!("the folder {} is not empty", args.dir.display());
        return Err(Failure::usage(message).hint("name a folder that does not exist yet"));
    }
    write(&args.dir, args.port)?;
    let dir = args.dir.display();
    output::say(&format!(
        "wrote the documents of the quickstart to {dir}; edit them, then:"
    ));
    output::data(&format!("wavegate plan {dir}\nwavegate quickstart {dir}"));
    Ok(Exit::Done)
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
