//! `replay`: runs a recorded rollout again, without a cluster and without a source.

use crate::args::Replay;
use crate::clock::{time_of_day, utc};
use crate::commands::{parting, plugin, score};
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, BAD, DIM, Format, GOOD, JSON_VERSION, paint};
use crate::swap_text::in_full;
use crate::words::plural;
use std::path::Path;
use std::sync::Arc;
use wavegate_engine::Fact;
use wavegate_foresight::{Difference, Differs, Verified, verify};
use wavegate_model::RolloutId;
use wavegate_plugin_host::{CALLER_STACK_BYTES, OnThisThread};
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::Plugins;

/// Differences that are told to people; the first says most.
const TOLD: usize = 10;
/// Characters of a fact that a line tells.
const FACT_CHARS: usize = 300;

/// A verified rollout, as JSON.
#[derive(serde::Serialize)]
struct JsonVerified {
    version: u32,
    rollout: String,
    /// `verified` or `differs`.
    result: &'static str,
    records: usize,
    hosts: usize,
    steps: usize,
    facts: usize,
    /// Answers of components that came out byte for byte.
    same_answers: usize,
    /// Of these, with the same fuel on a host of the same kind.
    same_fuel: usize,
    /// What cannot be derived again: time limits, memory, sources that did not answer.
    as_recorded: usize,
    differences: Vec<JsonDifference>,
    /// How many more there are.
    more: usize,
}

#[derive(serde::Serialize)]
struct JsonDifference {
    record: u64,
    at: String,
    consultation: Option<String>,
    text: String,
}

pub(crate) async fn replay(args: Replay, dir: &StateDir, format: Format) -> Result<Exit> {
    if !args.verify && args.with.is_empty() {
        return Err(Failure::usage("nothing is asked of the replay").hint(
            "--verify checks that the journal leads to the same again; \
             --with PART=REF shows what another plugin would have answered, or another policy decided",
        ));
    }
    if let Some(folder) = args.rollout.as_deref().filter(|text| is_folder(text)) {
        return over_folder(&args, Path::new(folder), dir, format).await;
    }
    if args.labels.is_some() {
        return Err(Failure::usage("--labels is about a folder of journals")
            .hint("name one, as in `wavegate replay ./journals --with gate/probe=./mine.wasm`"));
    }
    let mut exit = Exit::Done;
    if args.verify {
        exit = verify_all(args.rollout.as_deref(), dir, format).await?;
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
    for part in &args.with {
        let (config, labels) = (args.config.as_deref(), args.labels.as_deref());
        score::tell(folder, part, config, labels, dir, format).await?;
    }
    Ok(Exit::Done)
}

/// Verifies one rollout, or all of the journal.
async fn verify_all(wanted: Option<&str>, dir: &StateDir, format: Format) -> Result<Exit> {
    let journal = dir.read_journal()?;
    let rollouts: Vec<RolloutId> = match wanted {
        Some(text) => vec![dir.find(&journal, text).await?],
        None => {
            let known = journal.rollouts().await?;
            known.into_iter().map(|entry| entry.rollout).collect()
        }
    };
    if rollouts.is_empty() {
        output::say("the journal has no rollouts");
    }
    let plugins: Arc<dyn Plugins> = Arc::new(OnThisThread(plugin_host(dir)?));
    // Components are asked on a thread that has the stack for it, and does nothing else.
    let all = async move {
        let mut exit = Exit::Done;
        for rollout in rollouts {
            let found = verify(&journal, &plugins, &rollout).await?;
            exit = exit.max(told(&rollout, &found, format));
        }
        Ok(exit)
    };
    let thread = std::thread::Builder::new()
        .name("verify".to_owned())
        .stack_size(2 * CALLER_STACK_BYTES);
    let runtime = tokio::runtime::Handle::current();
    let running = thread.spawn(move || runtime.block_on(all))?;
    let ended = tokio::task::spawn_blocking(|| running.join()).await?;
    ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}

fn told(rollout: &RolloutId, found: &Verified, format: Format) -> Exit {
    let same = found.differences.is_empty();
    let lacks_plugin = |d: &Difference| matches!(d.what, Differs::NoComponent { .. });
    let exit = match (same, found.differences.iter().all(lacks_plugin)) {
        (true, _) => Exit::Done,
        (false, true) => Exit::Plugin,
        (false, false) => Exit::Refused,
    };
    if format == Format::Json {
        output::json(&JsonVerified {
            version: JSON_VERSION,
            rollout: rollout.to_string(),
            result: if same { "verified" } else { "differs" },
            records: found.records,
            hosts: found.hosts,
            steps: found.steps,
            facts: found.facts,
            same_answers: found.answers.same,
            same_fuel: found.answers.same_fuel,
            as_recorded: found.answers.as_recorded,
            differences: found.differences.iter().map(json).collect(),
            more: found.more,
        });
        return exit;
    }
    let answers = found.answers;
    output::data(&format!(
        "{rollout}: {} of {}: {} led to {}; {} the same byte for byte, {} with the same fuel, {} taken as recorded",
        plural(found.records, "record"),
        plural(found.hosts, "host"),
        plural(found.steps, "input"),
        plural(found.facts, "fact"),
        plural(answers.same, "answer"),
        answers.same_fuel,
        answers.as_recorded,
    ));
    for difference in found.differences.iter().take(TOLD) {
        let (seq, at) = (difference.seq, time_of_day(difference.at));
        let place = paint(DIM, &format!("record {seq}, {at}:"));
        output::data(&format!("  {place} {}", text(&difference.what)));
    }
    let untold = found.differences.len().saturating_sub(TOLD) + found.more;
    if untold > 0 {
        output::data(&format!("  and {untold} more"));
    }
    output::data(&match same {
        true => format!("{rollout}: {}", paint(GOOD, "verified")),
        false => format!("{rollout}: {}", paint(BAD, "it goes another way")),
    });
    exit
}

fn json(difference: &Difference) -> JsonDifference {
    let consultation = match &difference.what {
        Differs::Facts { .. } | Differs::Invariant(_) | Differs::NoComponent { .. } => None,
        Differs::NotAsked { consultation }
        | Differs::Question { consultation, .. }
        | Differs::Answer { consultation, .. }
        | Differs::Fuel { consultation, .. }
        | Differs::Taken { consultation }
        | Differs::Unheard { consultation } => Some(consultation.to_string()),
    };
    JsonDifference {
        record: difference.seq,
        at: utc(difference.at),
        consultation,
        text: text(&difference.what),
    }
}

fn text(what: &Differs) -> String {
    match what {
        Differs::Facts {
            place,
            recorded,
            now,
        } => format!(
            "fact {} was {}, and the engine decides {}",
            place + 1,
            fact(recorded.as_deref()),
            fact(now.as_deref())
        ),
        Differs::Invariant(violation) => format!("it breaks an invariant: {violation}"),
        Differs::NotAsked { consultation } => {
            format!("consultation {consultation} has an answer, and nobody asked")
        }
        Differs::Question {
            consultation,
            who,
            what,
        } => format!("{what} of consultation {consultation} ({who}) is not what the engine asks"),
        Differs::Answer {
            consultation,
            who,
            recorded,
            now,
        } => format!(
            "{who} answered consultation {consultation} with {}, and now with {}",
            in_full(recorded),
            in_full(now)
        ),
        Differs::Fuel {
            consultation,
            who,
            recorded,
            now,
        } => format!(
            "{who} used {recorded} units of fuel for consultation {consultation}, and now {now}, on a host of the same kind"
        ),
        Differs::Taken { consultation } => format!(
            "the answer that was taken for consultation {consultation} is not the one that was recorded"
        ),
        Differs::Unheard { consultation } => {
            format!("an answer was taken for consultation {consultation}, and none is recorded")
        }
        Differs::NoComponent {
            component,
            who,
            why,
        } => format!("the answers of {who} cannot be checked without {component}: {why}"),
    }
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
