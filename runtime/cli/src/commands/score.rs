//! `replay FOLDER --with gate/NAME=…`: how a gate would have judged all rollouts of a folder of
//! journals.

mod folder;
mod labels;

use self::labels::Labels;
use crate::clock::utc;
use crate::commands::plugin::{named, read};
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, BAD, DIM, Format, GOOD, JSON_VERSION, STRONG, paint};
use crate::prepare::colour;
use crate::words::{plural, verdict_word};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wavegate_conductor::{Story, read_story};
use wavegate_documents::Configuration;
use wavegate_engine::State;
use wavegate_engine::swap::Part;
use wavegate_foresight::Other;
use wavegate_foresight::again::Remembers;
use wavegate_foresight::score::{Judged, Mark, Scored, Truth, Word, score, tally, truth};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::plugin::{PluginKind, Subject};
use wavegate_model::policy::GateUse;
use wavegate_model::{GateName, RolloutId, Timestamp};
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::{LoadedPlugin, Plugins};

/// A rollout that was looked at.
struct Found {
    journal: String,
    rollout: RolloutId,
    started: Timestamp,
    /// Why the truth is what it is.
    says: String,
    scored: Scored,
}

/// What could not be looked at, or has nothing to say.
#[derive(serde::Serialize)]
struct Passed {
    journal: String,
    rollout: Option<String>,
    why: String,
}

impl Passed {
    fn file((path, why): (PathBuf, String)) -> Self {
        Self {
            journal: path.display().to_string(),
            rollout: None,
            why,
        }
    }
}

#[derive(serde::Serialize)]
struct JsonScore<'a> {
    version: u32,
    verb: &'static str,
    gate: &'a str,
    component: String,
    plugin: &'a str,
    plugin_version: &'a str,
    rollouts: Vec<JsonRollout<'a>>,
    /// Rollouts whose policy has no such gate, or that never asked it.
    without: &'a [Passed],
    /// Journals and rollouts that cannot be read.
    unread: &'a [Passed],
    then: JsonTally,
    now: JsonTally,
}

#[derive(serde::Serialize, Default)]
struct JsonTally {
    caught: usize,
    missed: usize,
    false_alarms: usize,
    quiet: usize,
    cannot_tell: usize,
    no_truth: usize,
}

#[derive(serde::Serialize)]
struct JsonRollout<'a> {
    journal: &'a str,
    rollout: &'a str,
    started: String,
    /// `good`, `bad` or `unknown`.
    truth: &'static str,
    truth_by: &'a str,
    then: JsonJudged,
    now: JsonJudged,
    calls: Vec<JsonCall>,
}

#[derive(serde::Serialize)]
struct JsonJudged {
    mark: &'static str,
    /// Since the rollout started.
    acted_ms: Option<u64>,
    pass: usize,
    hold: usize,
    fail: usize,
    unavailable: usize,
    would_ask: usize,
}

#[derive(serde::Serialize)]
struct JsonCall {
    consultation: String,
    at: String,
    subject: String,
    phase: &'static str,
    then: JsonWord,
    now: JsonWord,
    same: bool,
}

#[derive(serde::Serialize)]
struct JsonWord {
    said: &'static str,
    reason: String,
}

/// Scores a gate over a folder, and tells what came of it.
pub(crate) async fn tell(
    folder: &Path,
    part: &str,
    config: Option<&Path>,
    labels: Option<&Path>,
    dir: &StateDir,
    format: Format,
) -> Result<Exit> {
    let (part, reference) = match part.starts_with("policy=") {
        true => return Err(only_gates()),
        false => named(part)?,
    };
    let Part::Gate(gate) = part else {
        return Err(only_gates());
    };
    let config = config.map(read).transpose()?;
    let labels = labels.map(Labels::read).transpose()?.unwrap_or_default();
    let looked = folder::journals(folder)?;
    let plugins: Arc<dyn Plugins> = plugin_host(dir)?;
    let base = std::env::current_dir()?;
    let loaded = plugins.load(&reference, PluginKind::Gate, &base).await;
    let loaded = loaded.map_err(|rejected| Failure::new(Exit::Plugin, rejected))?;
    let mut scoring = Scoring {
        plugins,
        gate,
        loaded,
        config,
        labels,
        checked: BTreeSet::new(),
        seen: BTreeMap::new(),
        found: Vec::new(),
        gates: BTreeSet::new(),
        without: looked.passed.into_iter().map(Passed::file).collect(),
        unread: looked.unread.into_iter().map(Passed::file).collect(),
    };
    for file in looked.journals {
        scoring.journal(&file).await?;
    }
    scoring.expect_gate()?;
    for label in scoring
        .labels
        .0
        .keys()
        .filter(|id| !scoring.seen.contains_key(*id))
    {
        output::say(&format!(
            "the labels name `{label}`, which no journal here has"
        ));
    }
    match format {
        Format::Json => output::json(&scoring.json()),
        Format::Auto | Format::Human => scoring.people(),
    }
    // A score that leaves something out because it cannot be read is not the one that was asked for.
    Ok(match scoring.unread.is_empty() {
        true => Exit::Done,
        false => Exit::Refused,
    })
}

fn only_gates() -> Failure {
    Failure::usage("only gates are scored over a folder")
        .hint("write --with gate/NAME=REF; for a strategy or a policy name one rollout")
}

struct Scoring {
    plugins: Arc<dyn Plugins>,
    gate: GateName,
    loaded: LoadedPlugin,
    config: Option<Configuration>,
    labels: Labels,
    /// Configurations that the component takes.
    checked: BTreeSet<String>,
    /// Ids of rollouts, with the journal that had them first.
    seen: BTreeMap<String, String>,
    found: Vec<Found>,
    /// Names of all gates of all policies.
    gates: BTreeSet<String>,
    without: Vec<Passed>,
    unread: Vec<Passed>,
}

impl Scoring {
    /// A name that no policy has is most likely mistyped: a score over nothing would not say so.
    fn expect_gate(&self) -> Result<()> {
        let nothing_was_read = self.found.is_empty() && self.without.is_empty();
        if nothing_was_read || self.gates.contains(self.gate.as_str()) {
            return Ok(());
        }
        tell_passed(&self.unread, "not read", output::say);
        let names: Vec<&str> = self.gates.iter().map(String::as_str).collect();
        let none = format!("no policy of these rollouts has a gate `{}`", self.gate);
        let hint = match names.is_empty() {
            true => "they have no gates at all".to_owned(),
            false => format!("their gates are: {}", names.join(", ")),
        };
        Err(Failure::usage(none).hint(hint))
    }

    async fn journal(&mut self, file: &Path) -> Result<()> {
        let name = file.display().to_string();
        let entries = match SqliteJournal::open_read_only(file) {
            Ok(journal) => journal.rollouts().await.map(|entries| (journal, entries)),
            Err(error) => Err(error),
        };
        let (journal, entries) = match entries {
            Ok(found) => found,
            Err(error) => {
                self.unread.push(Passed {
                    journal: name,
                    rollout: None,
                    why: format!("{:#}", anyhow::Error::new(error)),
                });
                return Ok(());
            }
        };
        for entry in entries {
            self.rollout(&journal, &name, &entry.rollout).await?;
        }
        Ok(())
    }

    async fn rollout(
        &mut self,
        journal: &SqliteJournal,
        name: &str,
        rollout: &RolloutId,
    ) -> Result<()> {
        let passed = |why: String| Passed {
            journal: name.to_owned(),
            rollout: Some(rollout.to_string()),
            why,
        };
        if let Some(first) = self.seen.get(rollout.as_str()) {
            let why = format!("it is in {first}, too, and counts once");
            self.without.push(passed(why));
            return Ok(());
        }
        let story = match read_story(journal, rollout).await {
            Ok(story) => story,
            Err(error) => {
                self.unread
                    .push(passed(format!("{:#}", anyhow::Error::new(error))));
                return Ok(());
            }
        };
        let state = match story.engine() {
            Ok(engine) => engine.state().clone(),
            Err(error) => {
                self.unread
                    .push(passed(format!("{:#}", anyhow::Error::new(error))));
                return Ok(());
            }
        };
        self.seen.insert(rollout.to_string(), name.to_owned());
        let gates = state.spec.policy.gates.iter();
        let names = gates.clone().map(|gate| gate.name.to_string());
        self.gates.extend(names);
        let Some(policy) = gates.clone().find(|gate| gate.name == self.gate) else {
            let why = format!("its policy has no gate `{}`", self.gate);
            self.without.push(passed(why));
            return Ok(());
        };
        let other = self.other(policy).await?;
        let (truth, says) = self.truth(&state);
        let gate = (&self.gate, policy);
        match score(journal, &self.plugins, &story, gate, other, truth).await {
            Ok(scored) if scored.calls.is_empty() => {
                self.without
                    .push(passed("it never had an answer of the gate".to_owned()));
            }
            Ok(scored) => self.found.push(Found {
                journal: name.to_owned(),
                rollout: rollout.clone(),
                started: started(&story),
                says,
                scored,
            }),
            Err(error) => self
                .unread
                .push(passed(format!("{:#}", anyhow::Error::new(error)))),
        }
        Ok(())
    }

    /// The component as this rollout's policy would have it.
    async fn other(&mut self, policy: &GateUse) -> Result<Other> {
        let config = match &self.config {
            Some(config) => config.json().to_owned(),
            None => policy.config.clone(),
        };
        if !self.checked.contains(&config) {
            self.check(&config).await?;
            self.checked.insert(config.clone());
        }
        let granted = policy.class.unwrap_or_default();
        let limits = match self.loaded.class > granted {
            // A rollout with it would have had to grant it that.
            true => self.loaded.class.limits(),
            false => policy.limits,
        };
        Ok(Other {
            digest: self.loaded.digest.clone(),
            config,
            limits,
            remembers: Remembers::Itself,
        })
    }

    async fn check(&self, config: &str) -> Result<()> {
        let digest = &self.loaded.digest;
        let problems = self.plugins.validate_config(digest, config).await;
        let problems = problems.map_err(|why| Failure::new(Exit::Plugin, why))?;
        if problems.is_empty() {
            return Ok(());
        }
        let plugin = &self.loaded.about.name;
        match &self.config {
            Some(read) => output::say(read.problems(&problems).render(colour()).trim_end()),
            None => {
                for problem in problems {
                    output::say(&format!("{}: {}", problem.pointer, problem.message));
                }
            }
        }
        let refused = anyhow::anyhow!("the configuration is not one for plugin {plugin}");
        Err(Failure::new(Exit::Plugin, refused)
            .hint("without --config it is that of the gate of then, rollout by rollout"))
    }

    fn truth(&self, state: &State) -> (Truth, String) {
        match self.labels.0.get(state.spec.rollout.as_str()) {
            Some(label) => (*label, "labelled".to_owned()),
            None => truth(state),
        }
    }

    fn tallies(&self) -> (BTreeMap<Mark, usize>, BTreeMap<Mark, usize>) {
        let found = self.found.iter();
        let then: Vec<Mark> = found.clone().map(|one| one.scored.mark_then()).collect();
        let now: Vec<Mark> = found.map(|one| one.scored.mark_now()).collect();
        (tally(&then), tally(&now))
    }

    fn json(&self) -> JsonScore<'_> {
        let (then, now) = self.tallies();
        JsonScore {
            version: JSON_VERSION,
            verb: "score",
            gate: self.gate.as_str(),
            component: self.loaded.digest.to_string(),
            plugin: &self.loaded.about.name,
            plugin_version: &self.loaded.about.version,
            rollouts: self.found.iter().map(json_rollout).collect(),
            without: &self.without,
            unread: &self.unread,
            then: json_tally(&then),
            now: json_tally(&now),
        }
    }

    fn people(&self) {
        table(&self.found)
            .iter()
            .for_each(|line| output::data(line));
        let about = &self.loaded.about;
        output::data(&format!(
            "gate {} over {}: then, and now with {} {}",
            self.gate,
            plural(self.found.len(), "rollout"),
            about.name,
            about.version,
        ));
        let (then, now) = self.tallies();
        output::data(&format!("  then  {}", tally_words(&then)));
        output::data(&format!("  now   {}", tally_words(&now)));
        let calls = self.found.iter().flat_map(|one| &one.scored.calls);
        for ((then, now), count) in changes(calls) {
            let line = format!("  {then} then, {now} now: {}", plural(count, "answer"));
            output::data(&paint(DIM, &line));
        }
        tell_passed(&self.without, "not scored", output::data);
        tell_passed(&self.unread, "not read", output::data);
    }
}

fn tell_passed(list: &[Passed], word: &str, tell: fn(&str)) {
    for one in list {
        let rollout = one.rollout.as_ref().map(|id| format!(", {id}"));
        let rollout = rollout.unwrap_or_default();
        tell(&format!("{word}: {}{rollout}: {}", one.journal, one.why));
    }
}

fn started(story: &Story) -> Timestamp {
    story.started().map_or(Timestamp(0), |(at, _)| at)
}

/// How often which answer became which other.
fn changes<'a>(
    calls: impl Iterator<Item = &'a wavegate_foresight::score::Call>,
) -> BTreeMap<(&'static str, &'static str), usize> {
    let mut changes = BTreeMap::new();
    for call in calls.filter(|call| !call.then.counts_as(&call.now)) {
        *changes
            .entry((said(&call.then), said(&call.now)))
            .or_default() += 1;
    }
    changes
}

fn said(word: &Word) -> &'static str {
    match word {
        Word::Verdict(verdict, _) => verdict_word(*verdict),
        Word::Unavailable(_) => "unavailable",
        Word::WouldAsk(_) => "would ask more",
    }
}

fn table(found: &[Found]) -> Vec<String> {
    const HEAD: [&str; 6] = ["ROLLOUT", "RELEASE WAS", "BY", "CALLS", "THEN", "NOW"];
    let row = |one: &Found| {
        let scored = &one.scored;
        [
            one.rollout.to_string(),
            scored.truth.as_str().to_owned(),
            one.says.clone(),
            scored.calls.len().to_string(),
            mark_words(scored.mark_then(), &scored.then),
            mark_words(scored.mark_now(), &scored.now),
        ]
    };
    let rows: Vec<[String; 6]> = found.iter().map(row).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |cells: [&str; 6]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let gap = width.saturating_sub(cell.chars().count());
            format!("{cell}{}", " ".repeat(gap))
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = paint(STRONG, &line(HEAD));
    let body = rows.iter().zip(found).map(|(row, one)| {
        let text = line(std::array::from_fn(|at| row[at].as_str()));
        match one.scored.mark_now() {
            Mark::Missed | Mark::FalseAlarm => paint(BAD, &text),
            Mark::Caught | Mark::Quiet => paint(GOOD, &text),
            Mark::Untold | Mark::NoTruth => text,
        }
    });
    std::iter::once(head).chain(body).collect()
}

/// `caught after 4 s`, and where nobody knows the truth what it did.
fn mark_words(mark: Mark, judged: &Judged) -> String {
    let when = judged.acted.map(|after| format!(" after {after}"));
    match (mark, when) {
        (Mark::NoTruth, Some(when)) => format!("acted{when}"),
        (Mark::NoTruth, None) => "did not act".to_owned(),
        (mark, when) => format!("{}{}", mark.as_str(), when.unwrap_or_default()),
    }
}

fn tally_words(tally: &BTreeMap<Mark, usize>) -> String {
    let count = |mark: Mark| tally.get(&mark).copied().unwrap_or_default();
    let (caught, missed) = (count(Mark::Caught), count(Mark::Missed));
    let (alarms, quiet) = (count(Mark::FalseAlarm), count(Mark::Quiet));
    let mut text = format!(
        "caught {caught} and missed {missed} of {} bad; {} among {} good",
        caught + missed,
        plural(alarms, "false alarm"),
        alarms + quiet,
    );
    for (mark, words) in [
        (Mark::Untold, "cannot be told for want of evidence"),
        (Mark::NoTruth, "of which nobody knows what they were"),
    ] {
        if count(mark) > 0 {
            text += &format!("; {} {words}", count(mark));
        }
    }
    text
}

fn json_tally(tally: &BTreeMap<Mark, usize>) -> JsonTally {
    let count = |mark: Mark| tally.get(&mark).copied().unwrap_or_default();
    JsonTally {
        caught: count(Mark::Caught),
        missed: count(Mark::Missed),
        false_alarms: count(Mark::FalseAlarm),
        quiet: count(Mark::Quiet),
        cannot_tell: count(Mark::Untold),
        no_truth: count(Mark::NoTruth),
    }
}

fn json_rollout(one: &Found) -> JsonRollout<'_> {
    let scored = &one.scored;
    JsonRollout {
        journal: &one.journal,
        rollout: one.rollout.as_str(),
        started: utc(one.started),
        truth: scored.truth.as_str(),
        truth_by: &one.says,
        then: json_judged(scored.mark_then(), &scored.then),
        now: json_judged(scored.mark_now(), &scored.now),
        calls: scored.calls.iter().map(json_call).collect(),
    }
}

fn json_judged(mark: Mark, judged: &Judged) -> JsonJudged {
    JsonJudged {
        mark: mark.as_str(),
        acted_ms: judged.acted.map(|after| after.0),
        pass: judged.pass,
        hold: judged.hold,
        fail: judged.fail,
        unavailable: judged.unavailable,
        would_ask: judged.would_ask,
    }
}

fn json_call(call: &wavegate_foresight::score::Call) -> JsonCall {
    JsonCall {
        consultation: call.consultation.to_string(),
        at: utc(call.at),
        subject: match &call.subject {
            Subject::Site(site) => format!("site {site}"),
            Subject::Wave(wave) => format!("wave {wave}"),
        },
        phase: call.phase.as_str(),
        then: json_word(&call.then),
        now: json_word(&call.now),
        same: call.then.counts_as(&call.now),
    }
}

fn json_word(word: &Word) -> JsonWord {
    let reason = match word {
        Word::Verdict(_, reason) => reason.clone(),
        Word::Unavailable(why) => why.to_string(),
        Word::WouldAsk(queries) => plural(queries.len(), "question"),
    };
    JsonWord {
        said: said(word),
        reason,
    }
}
