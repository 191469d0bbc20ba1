//! `replay --with policy=…`: where another policy would have decided otherwise.

use crate::clock::{time_of_day, utc};
use crate::commands::replay::fact;
use crate::exit::{Failure, Result};
use crate::host::{Host, StateDir};
use crate::output::{self, BAD, DIM, Format, GOOD, JSON_VERSION, paint};
use crate::prepare::{self, invalid};
use crate::words::{self, plural};
use std::path::Path;
use std::sync::Arc;
use wavegate_conductor::Story;
use wavegate_documents::{Documents, Recorded};
use wavegate_engine::explain::explain;
use wavegate_engine::{Fact, Spec, State};
use wavegate_foresight::parting::{How, NotKnown, Parted, Parting, part};
use wavegate_model::{Plan, RolloutId, Timestamp};
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::Plugins;

/// Facts of each side that people are told where histories part; more follow from the first.
const FACTS_TOLD: usize = 6;
/// Things that a rollout waits for that people are told.
const WAITING_TOLD: usize = 5;

#[derive(serde::Serialize)]
struct JsonParting<'a> {
    version: u32,
    rollout: &'a str,
    verb: &'static str,
    with: &'static str,
    policy: &'a str,
    /// `same` or `parts`.
    result: &'static str,
    /// Recorded inputs that led both to the same, and how many there are.
    carried: usize,
    inputs: usize,
    /// Answers of plugins that were taken as recorded, and those for which they were asked again.
    as_recorded: usize,
    asked_again: usize,
    plan_recorded: Vec<JsonWave<'a>>,
    plan_now: Vec<JsonWave<'a>>,
    parting: Option<JsonParted<'a>>,
    /// What the rollout waits for by the other policy where they part.
    waiting: Vec<String>,
}

#[derive(serde::Serialize, PartialEq)]
struct JsonWave<'a> {
    wave: &'a str,
    sites: Vec<&'a str>,
}

#[derive(serde::Serialize)]
struct JsonParted<'a> {
    record: u64,
    at: String,
    /// `facts`, `unknown`, `fleet` or `version`.
    how: &'static str,
    text: String,
    /// From the first fact that differs.
    recorded: &'a [Fact],
    now: &'a [Fact],
    /// Recorded inputs that say nothing about the other policy any more.
    not_known: usize,
}

/// Runs a rollout by another policy, and says how far they agree.
pub(crate) async fn tell(
    rollout: &str,
    documents: &Path,
    dir: &StateDir,
    format: Format,
) -> Result<()> {
    let journal = dir.read_journal()?;
    let rollout = dir.find(&journal, rollout).await?;
    let records = journal.read(&rollout, 0).await?;
    let mut story = Story::new(rollout.clone());
    story.extend(&records)?;
    let (started, spec) = started(&story)?;
    let host = Host::without_journal(dir)?;
    let other = other(&host, documents, spec, started).await?;
    let policy = other.policy.name.to_string();
    let plugins: Arc<dyn Plugins> = host.plugins.clone();
    let found = part(&journal, &plugins, &story, &records, other).await?;
    match format {
        Format::Json => output::json(&json(&rollout, &policy, spec, &found)),
        Format::Auto | Format::Human => people(&rollout, &policy, spec, &found),
    }
    Ok(())
}

fn started(story: &Story) -> Result<(Timestamp, &Spec)> {
    let rollout = &story.rollout;
    let none = || anyhow::anyhow!("the journal of rollout `{rollout}` has no start");
    Ok(story.started().ok_or_else(none)?)
}

/// The rollout as it would have started by the other policy, on that day.
async fn other(host: &Host, path: &Path, spec: &Spec, started: Timestamp) -> Result<Spec> {
    let documents = Documents::load_beside(&[path.to_owned()], &spec.sources).map_err(invalid)?;
    let name = chosen(&documents, spec)?;
    let recorded = Recorded {
        service: &spec.service,
        release: &spec.release,
        clusters: &spec.clusters,
        sources: &spec.sources,
    };
    let mut resolved = documents.over(&name, recorded).map_err(invalid)?;
    let (strategy, gates) = prepare::plugins(host, &documents, &mut resolved).await?;
    let wrong = |why| Failure::usage(format!("the windows of policy `{name}`: {why}"));
    let policy = &resolved.policy;
    let windows = wavegate_documents::windows::expand(&policy.windows, started).map_err(wrong)?;
    let wave_windows = wavegate_documents::windows::expand_waves(policy, started).map_err(wrong)?;
    Ok(Spec {
        policy: resolved.policy,
        plan: resolved.plan,
        clusters: resolved.clusters,
        sources: resolved.sources,
        windows,
        wave_windows,
        pins: prepare::pins(&strategy, &gates),
        ..spec.clone()
    })
}

/// The only policy of the documents, or the one of the recorded name.
fn chosen(documents: &Documents, spec: &Spec) -> Result<String> {
    let all: Vec<&str> = documents.policies().collect();
    let recorded = spec.policy.name.as_str();
    match all.as_slice() {
        [one] => Ok((*one).to_owned()),
        all if all.contains(&recorded) => Ok(recorded.to_owned()),
        [] => Err(Failure::usage("the documents have no `RolloutPolicy`")),
        several => Err(Failure::usage(format!(
            "the documents have several policies, and none is called `{recorded}`"
        ))
        .hint(format!("they have: {}", several.join(", ")))),
    }
}

fn waves(plan: &Plan) -> Vec<JsonWave<'_>> {
    let waves = plan.waves.iter().map(|wave| JsonWave {
        wave: wave.name.as_str(),
        sites: wave.sites.iter().map(|site| site.name.as_str()).collect(),
    });
    waves.collect()
}

fn json<'a>(
    rollout: &'a RolloutId,
    policy: &'a str,
    spec: &'a Spec,
    found: &'a Parting,
) -> JsonParting<'a> {
    JsonParting {
        version: JSON_VERSION,
        rollout: rollout.as_str(),
        verb: "replay",
        with: "policy",
        policy,
        result: if found.at.is_some() { "parts" } else { "same" },
        carried: found.carried,
        inputs: found.inputs,
        as_recorded: found.asked.as_recorded,
        asked_again: found.asked.again,
        plan_recorded: waves(&spec.plan),
        plan_now: waves(&found.state.spec.plan),
        parting: found.at.as_ref().map(|parted| JsonParted {
            record: parted.seq,
            at: utc(parted.at),
            how: match parted.how {
                How::Facts { .. } => "facts",
                How::Unknown { .. } => "unknown",
                How::Version => "version",
                How::Fleet => "fleet",
            },
            text: text(parted),
            recorded: &parted.decided,
            now: &parted.decides,
            not_known: found.inputs - found.carried,
        }),
        waiting: waiting(found).collect(),
    }
}

fn waiting(found: &Parting) -> impl Iterator<Item = String> {
    let at = found.at.as_ref().map(|parted| parted.at);
    let waiting = at.map(|at| explain(&found.state, at));
    let lines = waiting.into_iter().flatten();
    lines.map(|waiting| format!("{} waits for {}", waiting.who, waiting.on))
}

/// What differs, in a line.
fn text(parted: &Parted) -> String {
    match &parted.how {
        How::Facts { recorded, now } => format!(
            "what was recorded is {}, and by this policy it is {}",
            fact(recorded.as_deref()),
            fact(now.as_deref())
        ),
        How::Unknown {
            consultation,
            who,
            why,
        } => {
            let why = match why {
                NotKnown::Evidence(queries) => format!(
                    "it asks for evidence that nobody asked for then ({})",
                    plural(queries.len(), "question")
                ),
                NotKnown::Silent(why) => format!("there was no answer then either: {why}"),
                NotKnown::Sources => "its slots are bound to other sources".to_owned(),
                NotKnown::NotRecorded => "nothing was recorded that answers it".to_owned(),
            };
            format!("what {who} says to question {consultation} is not known: {why}")
        }
        How::Version => {
            "this version decides otherwise than the one that recorded it, by its own policy, too"
                .to_owned()
        }
        How::Fleet => {
            "the fleet changed, and this policy chooses clusters otherwise: what it would have \
             been told is not known"
                .to_owned()
        }
    }
}

fn people(rollout: &RolloutId, policy: &str, spec: &Spec, found: &Parting) {
    if waves(&spec.plan) != waves(&found.state.spec.plan) {
        for (word, plan) in [("then", &spec.plan), ("now", &found.state.spec.plan)] {
            let waves = waves(plan);
            let waves = waves.iter();
            let told: Vec<String> = waves
                .map(|wave| format!("{} ({})", wave.wave, wave.sites.join(", ")))
                .collect();
            output::data(&format!("plan {word:<5} {}", told.join(", then ")));
        }
    }
    let asked = found.asked;
    output::data(&format!(
        "{rollout} by policy {policy}: {} of {} lead to the same; {} of plugins as recorded, {} asked again",
        found.carried,
        plural(found.inputs, "recorded input"),
        plural(asked.as_recorded, "answer"),
        asked.again,
    ));
    let Some(parted) = &found.at else {
        let same = paint(GOOD, "decides the same to the end of the record");
        output::data(&format!("{rollout}: {same}"));
        return;
    };
    let parts = paint(BAD, "the histories part");
    let place = format!("at {}, record {}", time_of_day(parted.at), parted.seq);
    output::data(&format!("{rollout}: {parts} {place}"));
    match &parted.how {
        How::Facts { .. } => {
            side("then", &parted.decided, &found.state);
            side("now", &parted.decides, &found.state);
        }
        How::Unknown { .. } | How::Fleet | How::Version => {
            output::data(&format!("  {}", text(parted)));
        }
    }
    for line in waiting(found).take(WAITING_TOLD) {
        output::data(&format!("  now   {line}"));
    }
    let left = found.inputs - found.carried;
    output::data(&paint(
        DIM,
        &format!(
            "what clusters would have looked like from there on, and what sources would have said, \
             is not known: {} of the other history",
            plural(left, "recorded input")
        ),
    ));
}

fn side(word: &str, facts: &[Fact], state: &State) {
    if facts.is_empty() {
        output::data(&format!("  {word:<5} nothing"));
    }
    for told in facts.iter().take(FACTS_TOLD) {
        let line = words::line(told, state).unwrap_or_else(|| fact(Some(told)));
        output::data(&format!("  {word:<5} {line}"));
    }
    let more = facts.len().saturating_sub(FACTS_TOLD);
    if more > 0 {
        output::data(&format!("  {word:<5} and {more} more"));
    }
}
