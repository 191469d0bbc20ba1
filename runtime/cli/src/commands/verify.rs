//! `replay --verify`: whether rollouts did what their journal says.

use crate::clock::{time_of_day, utc};
use crate::commands::replay::fact;
use crate::exit::{Exit, RESTORE, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, BAD, DIM, Format, GOOD, JSON_VERSION, paint};
use crate::swap_text::in_full;
use crate::words::plural;
use std::sync::Arc;
use wavegate_foresight::{Difference, Differs, Unchecked, Verified, VerifyError, verify};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;
use wavegate_plugin_host::{CALLER_STACK_BYTES, OnThisThread};
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::Plugins;

/// Differences that are told to people; the first says most.
const TOLD: usize = 10;

/// What came of a rollout, by how much it matters: what was tampered with is not hidden by a
/// plugin's file that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Verified,
    /// Nothing differs, but a component is not there.
    Unchecked,
    /// The records are of a later version, or the file cannot be read.
    Unreadable,
    Differs,
    /// The journal is not what was written.
    Damaged,
}

impl Outcome {
    fn of(found: &Verified) -> Self {
        match (found.differences.is_empty(), found.unchecked.is_empty()) {
            (true, true) => Self::Verified,
            (true, false) => Self::Unchecked,
            (false, _) => Self::Differs,
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Verified => Exit::Done,
            Self::Unchecked => Exit::Plugin,
            Self::Unreadable => Exit::Unexpected,
            Self::Differs | Self::Damaged => Exit::Refused,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
            Self::Unreadable => "unreadable",
            Self::Differs => "differs",
            Self::Damaged => "damaged",
        }
    }
}

/// A rollout that was run again, as JSON.
#[derive(serde::Serialize)]
struct JsonVerified<'a> {
    version: u32,
    rollout: &'a str,
    /// `verified`, `differs` or `unchecked`.
    result: &'static str,
    /// Whether it has ended by its last record.
    ended: bool,
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
    unchecked: Vec<JsonUnchecked<'a>>,
}

#[derive(serde::Serialize)]
struct JsonDifference {
    record: u64,
    at: String,
    consultation: Option<String>,
    text: String,
}

#[derive(serde::Serialize)]
struct JsonUnchecked<'a> {
    who: &'a str,
    component: String,
    answers: usize,
    why: &'a str,
}

/// A rollout that cannot be run again, as JSON.
#[derive(serde::Serialize)]
struct JsonUnread<'a> {
    version: u32,
    rollout: &'a str,
    /// `damaged` or `unreadable`.
    result: &'static str,
    /// The record that is not right, if one is.
    record: Option<u64>,
    why: String,
}

/// Verifies one rollout, or all of the journal.
pub(crate) async fn all(wanted: Option<&str>, dir: &StateDir, format: Format) -> Result<Exit> {
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
    let each = async move { each(&rollouts, &journal, &plugins, format).await };
    let thread = std::thread::Builder::new()
        .name("verify".to_owned())
        .stack_size(2 * CALLER_STACK_BYTES);
    let runtime = tokio::runtime::Handle::current();
    let running = thread.spawn(move || runtime.block_on(each))?;
    let ended = tokio::task::spawn_blocking(|| running.join()).await?;
    let outcomes = ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
    if outcomes.contains(&Outcome::Damaged) {
        hint(RESTORE);
    }
    if outcomes.contains(&Outcome::Unchecked) {
        hint(
            "put the plugin's file back into the store, or name the state folder that has it with --state",
        );
    }
    let worst = outcomes.into_iter().max();
    Ok(worst.map_or(Exit::Done, Outcome::exit))
}

/// One rollout after the other: what is wrong with one says nothing about the others.
async fn each(
    rollouts: &[RolloutId],
    journal: &SqliteJournal,
    plugins: &Arc<dyn Plugins>,
    format: Format,
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(rollouts.len());
    for rollout in rollouts {
        outcomes.push(match verify(journal, plugins, rollout).await {
            Ok(found) => told(rollout, &found, format),
            Err(error) => unread(rollout, error, format),
        });
    }
    outcomes
}

fn hint(text: &str) {
    // Nothing can be done about an error stream that is gone.
    let _ = output::hint_line(&mut anstream::stderr(), text);
}

fn unread(rollout: &RolloutId, error: VerifyError, format: Format) -> Outcome {
    let outcome = match error.is_damage() {
        true => Outcome::Damaged,
        false => Outcome::Unreadable,
    };
    let record = error.record();
    let why = format!("{:#}", anyhow::Error::new(error));
    if format == Format::Json {
        output::json(&JsonUnread {
            version: JSON_VERSION,
            rollout: rollout.as_str(),
            result: outcome.as_str(),
            record,
            why,
        });
        return outcome;
    }
    let word = match outcome {
        Outcome::Damaged => "damaged",
        _ => "not verified",
    };
    output::data(&format!("{rollout}: {}: {why}", paint(BAD, word)));
    outcome
}

fn told(rollout: &RolloutId, found: &Verified, format: Format) -> Outcome {
    let outcome = Outcome::of(found);
    match format {
        Format::Json => output::json(&json(rollout, found, outcome)),
        Format::Auto | Format::Human => people(rollout, found, outcome),
    }
    outcome
}

fn people(rollout: &RolloutId, found: &Verified, outcome: Outcome) {
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
    for lack in &found.unchecked {
        let line = format!("  {} cannot be checked: {}", answers_of(lack), lack.why);
        output::data(&line);
    }
    let open = match found.ended {
        true => "",
        false => "; it has not ended",
    };
    output::data(&match outcome {
        Outcome::Verified => format!("{rollout}: {}{open}", paint(GOOD, "verified")),
        Outcome::Unchecked => {
            let lacks: Vec<String> = found.unchecked.iter().map(answers_of).collect();
            let (word, lacks) = (paint(BAD, "not verified"), lacks.join(" and "));
            format!("{rollout}: {word}: {lacks} cannot be checked{open}")
        }
        Outcome::Differs | Outcome::Damaged | Outcome::Unreadable => {
            format!("{rollout}: {}{open}", paint(BAD, "it goes another way"))
        }
    });
}

/// `12 answers of gate success`.
fn answers_of(lack: &Unchecked) -> String {
    format!("{} of {}", plural(lack.answers, "answer"), lack.who)
}

fn json<'a>(rollout: &'a RolloutId, found: &'a Verified, outcome: Outcome) -> JsonVerified<'a> {
    let lacks = found.unchecked.iter().map(|lack| JsonUnchecked {
        who: &lack.who,
        component: lack.component.to_string(),
        answers: lack.answers,
        why: &lack.why,
    });
    JsonVerified {
        version: JSON_VERSION,
        rollout: rollout.as_str(),
        result: outcome.as_str(),
        ended: found.ended,
        records: found.records,
        hosts: found.hosts,
        steps: found.steps,
        facts: found.facts,
        same_answers: found.answers.same,
        same_fuel: found.answers.same_fuel,
        as_recorded: found.answers.as_recorded,
        differences: found.differences.iter().map(json_difference).collect(),
        more: found.more,
        unchecked: lacks.collect(),
    }
}

fn json_difference(difference: &Difference) -> JsonDifference {
    let consultation = match &difference.what {
        Differs::Facts { .. } | Differs::Invariant(_) => None,
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tampered_with_is_not_hidden_by_what_is_missing() {
        let worst = |outcomes: &[Outcome]| outcomes.iter().max().map(|worst| worst.exit() as u8);
        use Outcome::{Damaged, Differs, Unchecked, Unreadable, Verified};
        assert_eq!(worst(&[Differs, Unchecked, Verified]), Some(12));
        assert_eq!(worst(&[Unreadable, Damaged, Unchecked]), Some(12));
        assert_eq!(worst(&[Unreadable, Unchecked]), Some(1));
        assert_eq!(worst(&[Verified, Unchecked]), Some(20));
        assert_eq!(worst(&[Verified]), Some(0));
    }
}
