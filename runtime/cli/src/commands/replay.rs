//! `replay`: runs a recorded rollout again, without a cluster and without a source.

use crate::args::Replay;
use crate::commands::{parting, plugin, score, verify};
use crate::exit::{Exit, Failure, Result};
use crate::host::StateDir;
use crate::output::Format;
use std::path::Path;
use wavegate_engine::Fact;

/// Characters of a fact that a line tells.
const FACT_CHARS: usize = 300;

pub(crate) async fn replay(args: Replay, dir: &StateDir, format: Format) -> Result<Exit> {
    if !args.verify && args.with.is_empty() {
        return Err(Failure::usage("nothing is asked of the replay").hint(
            "--verify checks that the journal leads to the same again; \
             --with PART=REF shows what another plugin would have answered, or another policy decided",
        ));
    }
    args.with.iter().try_for_each(|part| expect_part(part))?;
    if let Some(folder) = args.rollout.as_deref().filter(|text| is_folder(text)) {
        return over_folder(&args, Path::new(folder), dir, format).await;
    }
    if args.labels.is_some() {
        return Err(Failure::usage("--labels is about a folder of journals")
            .hint("name one, as in `wavegate replay ./journals --with gate/probe=./mine.wasm`"));
    }
    let mut exit = Exit::Done;
    if args.verify {
        exit = verify::all(args.rollout.as_deref(), dir, format).await?;
    }
    for part in args.with {
        let rollout = args.rollout.clone().ok_or_else(|| {
            Failure::usage("--with needs a rollout")
                .hint("name one, as in `wavegate replay last --with gate/probe=./mine.wasm`")
        })?;
        match part.strip_prefix("policy=") {
            Some(documents) => {
                parting::tell(&rollout, Path::new(documents), dir, format).await?;
            }
            None => {
                let config = args.config.as_deref();
                plugin::instead(&rollout, &part, config, dir, format).await?;
            }
        }
    }
    Ok(exit)
}

/// What is wrong with one of several parts is said before anything is run again.
fn expect_part(part: &str) -> Result<()> {
    let is_good = match part.strip_prefix("policy=") {
        Some(file) => !file.is_empty(),
        None => plugin::named(part).is_ok(),
    };
    if is_good {
        return Ok(());
    }
    let unclear = format!("`{part}` does not say what takes the place of which part");
    Err(Failure::usage(unclear).hint(
        "write strategy=REF or gate/NAME=REF, where REF is a shipped plugin or a file, or policy=FILE",
    ))
}

/// Ids of rollouts have no `/`.
fn is_folder(text: &str) -> bool {
    text.contains('/') || text == "." || text == ".."
}

async fn over_folder(args: &Replay, folder: &Path, dir: &StateDir, format: Format) -> Result<Exit> {
    if args.verify {
        return Err(
            Failure::usage("--verify is about the journal of a state folder")
                .hint("the components of a journal lie beside it: name its folder with --state"),
        );
    }
    let mut exit = Exit::Done;
    for part in &args.with {
        let (config, labels) = (args.config.as_deref(), args.labels.as_deref());
        exit = exit.max(score::tell(folder, part, config, labels, dir, format).await?);
    }
    Ok(exit)
}

pub(crate) fn fact(fact: Option<&Fact>) -> String {
    let Some(fact) = fact else {
        return "nothing".to_owned();
    };
    let text = serde_json::to_string(fact).expect("facts are made of types that JSON can say");
    match text.char_indices().nth(FACT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
