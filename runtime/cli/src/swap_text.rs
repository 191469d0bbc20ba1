//! Swaps of plugins, for people and as JSON: what is swapped, what the new one would have
//! answered, and what was swapped so far.

use crate::clock::{time_of_day, utc};
use crate::output::{self, BAD, DIM, Format, GOOD, JSON_VERSION, STRONG, paint};
use crate::words;
use std::collections::BTreeMap;
use wavegate_engine::State;
use wavegate_engine::explain::measurement_text;
use wavegate_engine::swap::{Component, Memory, Part, Swap, Swapped, memory, present, refusal};
use wavegate_foresight::{Compared, Said, WhatIf};
use wavegate_model::plugin::{Measurement, Proposal, Subject};
use wavegate_model::{Goal, Query};
use wavegate_ports::plugins::Answer;

/// Questions that a line tells; the rest is counted.
const QUERIES_TOLD: usize = 3;

/// The parts of a policy and what takes them.
#[derive(serde::Serialize)]
pub(crate) struct JsonPart<'a> {
    digest: String,
    /// None if it is as it was at the start.
    swapped: Option<JsonSwapped<'a>>,
}

/// The last swap of a part.
#[derive(serde::Serialize)]
struct JsonSwapped<'a> {
    from: String,
    plugin: &'a str,
    plugin_version: &'a str,
    state: &'static str,
    actor: &'a str,
    reason: &'a str,
    at: String,
}

/// What a swap would do.
#[derive(serde::Serialize)]
struct JsonDryRun<'a> {
    version: u32,
    rollout: &'a str,
    verb: &'static str,
    /// Of a swap `would-be-taken` or `would-be-refused`, of a replay `same` or `differs`.
    result: &'static str,
    why: Option<String>,
    part: String,
    from: Option<String>,
    to: String,
    plugin: &'a str,
    plugin_version: &'a str,
    /// `kept` or `dropped`.
    state: &'static str,
    calls: Vec<JsonCall>,
    differ: usize,
    /// Older calls that were not asked again.
    left_out: usize,
}

#[derive(serde::Serialize)]
struct JsonCall {
    consultation: String,
    at: String,
    subject: String,
    phase: Option<&'static str>,
    component: String,
    recorded: JsonSaid,
    now: JsonSaid,
    same: bool,
}

/// How a question ended: with one of the first four.
#[derive(serde::Serialize, Default)]
struct JsonSaid {
    verdict: Option<&'static str>,
    decision: Option<Proposal>,
    unavailable: Option<String>,
    would_ask: Option<Vec<Query>>,
    reason: String,
    clusters: BTreeMap<String, &'static str>,
    measurements: Vec<Measurement>,
}

pub(crate) fn memory_word(memory: Memory) -> &'static str {
    match memory {
        Memory::Kept => "kept",
        Memory::Dropped => "dropped",
    }
}

fn component(to: &Component) -> String {
    format!("{} {} ({})", to.writes.plugin, to.version, to.digest)
}

/// What is about to be swapped for what.
pub(crate) fn announcement(state: &State, swap: &Swap) -> String {
    let from = present(state, &swap.part).map(|(digest, ..)| digest.to_string());
    let from = from.unwrap_or_default();
    format!(
        "{}: {from} -> {}; the state of the plugin before is {}",
        swap.part,
        component(&swap.to),
        memory_word(memory(state, &swap.part, &swap.to))
    )
}

/// A line for each part that was swapped.
pub(crate) fn swapped(state: &State) -> impl Iterator<Item = String> {
    state.swaps.iter().map(|(part, swap)| {
        format!(
            "{part} is {} {} {}, since {} swapped {} out at {}{}",
            swap.to.writes.plugin,
            swap.to.version,
            swap.to.digest.text().short(),
            swap.actor,
            swap.from.text().short(),
            time_of_day(swap.at),
            words::because(&swap.reason)
        )
    })
}

/// What takes each part now.
pub(crate) fn parts(state: &State) -> BTreeMap<String, JsonPart<'_>> {
    let pins = &state.spec.pins;
    let strategy = (Part::Strategy, pins.strategy.to_string());
    let gates = pins.gates.iter();
    let gates = gates.map(|(name, digest)| (Part::Gate(name.clone()), digest.to_string()));
    let part = |(part, digest): (Part, String)| {
        let swapped = state.swaps.get(&part).map(json_swapped);
        (part.to_string(), JsonPart { digest, swapped })
    };
    std::iter::once(strategy).chain(gates).map(part).collect()
}

fn json_swapped(swap: &Swapped) -> JsonSwapped<'_> {
    JsonSwapped {
        from: swap.from.to_string(),
        plugin: &swap.to.writes.plugin,
        plugin_version: &swap.to.version,
        state: memory_word(swap.memory),
        actor: &swap.actor,
        reason: &swap.reason,
        at: utc(swap.at),
    }
}

/// Why recorded questions are asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see what a swap would do.
    Swap,
    /// To see what would have been.
    Replay,
}

/// Tells what another component would have answered, and what a swap would do.
pub(crate) fn tell(state: &State, swap: &Swap, found: &WhatIf, purpose: Purpose, format: Format) {
    let why = match state.end() {
        Some(end) => Some(format!("the rollout has ended: {end}")),
        None => refusal(state, swap),
    };
    if format == Format::Json {
        let mut dry_run = json(state, swap, found, why);
        if purpose == Purpose::Replay {
            let same = dry_run.differ == 0;
            dry_run.result = if same { "same" } else { "differs" };
            (dry_run.verb, dry_run.why) = ("replay", None);
        }
        output::json(&dry_run);
        return;
    }
    for line in table(found) {
        output::data(&line);
    }
    let (calls, differ) = (found.calls.len(), found.differing().count());
    let older = match found.left_out {
        0 => String::new(),
        count => format!("; {count} older ones were not asked again"),
    };
    output::data(&format!(
        "{}, {} differ{older}",
        words::plural(calls, "recorded call"),
        paint(if differ == 0 { GOOD } else { BAD }, &differ.to_string())
    ));
    if let Some(first) = found.differing().next() {
        output::data(&format!(
            "the first that differs, call {}:",
            first.recorded.consultation
        ));
        output::data(&format!("  recorded  {}", in_full(&first.recorded.said)));
        output::data(&format!("  now       {}", in_full(&first.now)));
    }
    if purpose == Purpose::Replay {
        return;
    }
    let rollout = &state.spec.rollout;
    output::data(&match why {
        Some(why) => format!("swap {rollout}: would be refused: {why}"),
        None => format!("swap {rollout}: would be taken"),
    });
}

fn table(found: &WhatIf) -> Vec<String> {
    const HEAD: [&str; 6] = ["CALL", "TIME", "SUBJECT", "PHASE", "RECORDED", "NOW"];
    let row = |call: &Compared| {
        let (subject, phase) = call.recorded.subject();
        [
            call.recorded.consultation.to_string(),
            time_of_day(call.recorded.at),
            subject_words(&subject),
            phase.unwrap_or("-").to_owned(),
            in_short(&call.recorded.said),
            in_short(&call.now),
        ]
    };
    let rows: Vec<([String; 6], bool)> = found.calls.iter().map(|c| (row(c), c.same())).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|(row, _)| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |cells: [&str; 6]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let gap = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(gap))
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let head = paint(STRONG, line(HEAD).trim_end());
    let body = rows.iter().map(|(row, same)| {
        let cells = line(std::array::from_fn(|at| row[at].as_str()));
        match same {
            true => format!("{cells}  {}", paint(DIM, "same")),
            false => format!("{cells}  {}", paint(BAD, "differs")),
        }
    });
    std::iter::once(head).chain(body).collect()
}

fn subject_words(subject: &Subject) -> String {
    match subject {
        Subject::Site(site) => format!("site {site}"),
        Subject::Wave(wave) => format!("wave {wave}"),
    }
}

/// A word or a few.
fn in_short(said: &Said) -> String {
    match said {
        Said::Answer(Answer::Evaluate(evaluation)) => {
            words::verdict_word(evaluation.verdict).to_owned()
        }
        Said::Answer(Answer::Decide(outcome)) => match &outcome.proposal {
            Proposal::Go(goal) => format!("go to {}", goal_words(goal)),
            Proposal::WaitGates(gates) => {
                let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
                format!("wait for gates {}", names.join(", "))
            }
            Proposal::Wait(time) => format!("wait {time}"),
            Proposal::WaitPerson(_) => "wait for a person".to_owned(),
            Proposal::Done => "done".to_owned(),
            Proposal::Failed(_) => "failed".to_owned(),
        },
        Said::Answer(Answer::Outline(_)) => "an outline".to_owned(),
        Said::Unavailable(_) => "unavailable".to_owned(),
        Said::WouldAsk(_) => "would ask more".to_owned(),
    }
}

/// `eu-1 2 new, 2 old at 50%`.
fn goal_words(goal: &Goal) -> String {
    let cluster = |c: &wavegate_model::ClusterGoal| {
        format!(
            "{} {} new {} old at {}",
            c.cluster, c.new, c.baseline, c.new_share
        )
    };
    let all: Vec<String> = goal.clusters.iter().map(cluster).collect();
    all.join(", ")
}

pub(crate) fn in_full(said: &Said) -> String {
    match said {
        Said::Answer(Answer::Evaluate(evaluation)) => {
            let measured = evaluation.measurements.iter().map(measurement_text);
            let parts: Vec<String> = [evaluation.reason.clone()]
                .into_iter()
                .chain(measured)
                .collect();
            format!("{}: {}", in_short(said), parts.join("; "))
        }
        Said::Answer(Answer::Decide(outcome)) => {
            let stage = words::stage_words(&outcome.stage);
            let text = match &outcome.proposal {
                Proposal::WaitPerson(text) | Proposal::Failed(text) => format!(": {text}"),
                _ => String::new(),
            };
            format!("{}{text}, in {stage} ({})", in_short(said), outcome.reason)
        }
        Said::Answer(Answer::Outline(_)) => in_short(said),
        Said::Unavailable(why) => format!("unavailable: {why}"),
        Said::WouldAsk(queries) => {
            let told: Vec<String> = queries.iter().take(QUERIES_TOLD).map(query).collect();
            let more = match queries.len().saturating_sub(QUERIES_TOLD) {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            format!(
                "would have asked for {}{more}, which was not recorded",
                told.join("; ")
            )
        }
    }
}

fn query(query: &Query) -> String {
    match query {
        Query::Instant { slot, query } => format!("`{query}` of slot {slot}"),
        Query::Range {
            slot,
            query,
            window,
            ..
        } => format!("`{query}` over {window} of slot {slot}"),
        Query::HttpGet { slot, path } => format!("{path} of slot {slot}"),
        Query::Probe {
            slot,
            cluster,
            cohort,
            window,
        } => format!("the {cohort} nodes of {cluster} over {window} of slot {slot}"),
    }
}

fn json<'a>(
    state: &'a State,
    swap: &'a Swap,
    found: &WhatIf,
    why: Option<String>,
) -> JsonDryRun<'a> {
    let call = |call: &Compared| {
        let (subject, phase) = call.recorded.subject();
        JsonCall {
            consultation: call.recorded.consultation.to_string(),
            at: utc(call.recorded.at),
            subject: subject_words(&subject),
            phase,
            component: call.recorded.component.to_string(),
            recorded: json_said(&call.recorded.said),
            now: json_said(&call.now),
            same: call.same(),
        }
    };
    JsonDryRun {
        version: JSON_VERSION,
        rollout: state.spec.rollout.as_str(),
        verb: "swap",
        result: if why.is_some() {
            "would-be-refused"
        } else {
            "would-be-taken"
        },
        why,
        part: swap.part.to_string(),
        from: present(state, &swap.part).map(|(digest, ..)| digest.to_string()),
        to: swap.to.digest.to_string(),
        plugin: &swap.to.writes.plugin,
        plugin_version: &swap.to.version,
        state: memory_word(memory(state, &swap.part, &swap.to)),
        calls: found.calls.iter().map(call).collect(),
        differ: found.differing().count(),
        left_out: found.left_out,
    }
}

fn json_said(said: &Said) -> JsonSaid {
    match said {
        Said::Answer(Answer::Evaluate(evaluation)) => {
            let clusters = evaluation.clusters.iter();
            JsonSaid {
                verdict: Some(words::verdict_word(evaluation.verdict)),
                reason: evaluation.reason.clone(),
                clusters: clusters
                    .map(|(name, verdict)| (name.to_string(), words::verdict_word(*verdict)))
                    .collect(),
                measurements: evaluation.measurements.clone(),
                ..JsonSaid::default()
            }
        }
        Said::Answer(Answer::Decide(outcome)) => JsonSaid {
            decision: Some(outcome.proposal.clone()),
            reason: outcome.reason.clone(),
            ..JsonSaid::default()
        },
        Said::Answer(Answer::Outline(_)) => JsonSaid::default(),
        Said::Unavailable(why) => JsonSaid {
            unavailable: Some(why.to_string()),
            ..JsonSaid::default()
        },
        Said::WouldAsk(queries) => JsonSaid {
            would_ask: Some(queries.clone()),
            ..JsonSaid::default()
        },
    }
}
