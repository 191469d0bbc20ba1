//! `status`, `explain` and `history`: reading a journal without touching anything.

use crate::args::{History, One, Status};
use crate::clock::{SystemClock, time_of_day, utc};
use crate::exit::{Exit, Failure, Result};
use crate::follow;
use crate::host::StateDir;
use crate::output::{self, BAD, DIM, Format, JSON_VERSION, STRONG, paint};
use crate::{swap_text, verdicts, words};
use std::collections::BTreeMap;
use wavegate_conductor::{Story, read_story};
use wavegate_engine::apply::{apply, begin};
use wavegate_engine::explain::{Waiting, explain, needs_person};
use wavegate_engine::state::{RolloutPhase, Waits};
use wavegate_engine::{Fact, State};
use wavegate_ports::clock::Clock;
use wavegate_ports::journal::{Journal, JournalEntry};

/// Rollouts that are looked at for whether they wait: who waits was started lately.
const NEWEST: usize = 20;

/// Where a rollout is, as JSON.
#[derive(serde::Serialize)]
struct JsonStatus<'a> {
    version: u32,
    rollout: &'a str,
    service: &'a str,
    release: &'a str,
    strategy: &'a str,
    plugins: BTreeMap<String, swap_text::JsonPart<'a>>,
    phase: String,
    held: Option<String>,
    paused: bool,
    needs_person: bool,
    started: String,
    last: String,
    /// Version of the plan: rises with each change of the fleet.
    generation: u64,
    /// What became of clusters that came or went while it ran.
    members: BTreeMap<&'a str, String>,
    waves: Vec<JsonWave<'a>>,
    sites: BTreeMap<&'a str, JsonSite<'a>>,
    gates: BTreeMap<String, verdicts::GateSum>,
    waiting: Vec<JsonWaiting>,
    /// What people decided that is still in force, in words: promotions, overrides, approvals,
    /// sites that were given up.
    steered: Vec<String>,
}

#[derive(serde::Serialize)]
struct JsonWave<'a> {
    name: &'a str,
    phase: String,
    in_flight: u32,
    finished: u32,
    sites: usize,
}

#[derive(serde::Serialize)]
struct JsonSite<'a> {
    phase: &'static str,
    stage: &'a str,
    ready: u32,
    desired: u32,
    traffic_permille: u32,
    failure: Option<String>,
}

#[derive(serde::Serialize)]
struct JsonWaiting {
    who: String,
    on: wavegate_engine::WaitingOn,
    text: String,
    needs_person: bool,
}

async fn story(dir: &StateDir, wanted: &str) -> Result<Story> {
    let journal = dir.read_journal()?;
    let id = dir.find(&journal, wanted).await?;
    Ok(read_story(&journal, &id).await?)
}

fn state_of(story: &Story) -> Result<State> {
    let state = story.state();
    state.ok_or_else(|| {
        anyhow::anyhow!("the journal of rollout `{}` has no start", story.rollout).into()
    })
}

pub(crate) async fn status(args: Status, dir: &StateDir, format: Format) -> Result<Exit> {
    let Some(wanted) = args.rollout.as_deref() else {
        return status_of_all(dir, format).await;
    };
    let state = state_of(&story(dir, wanted).await?)?;
    if format == Format::Json {
        output::json(&json_status(&state));
    } else {
        print_status(&state);
        print_queue(&state, dir).await?;
    }
    Ok(Exit::Done)
}

/// A line for each rollout. One that cannot be read does not hide the others.
async fn status_of_all(dir: &StateDir, format: Format) -> Result<Exit> {
    let journal = dir.read_journal()?;
    let entries = journal.rollouts().await?;
    if entries.is_empty() {
        output::say("the journal has no rollouts");
    }
    let mut unread = None;
    for entry in entries {
        let read = read_story(&journal, &entry.rollout).await;
        let read = read.map_err(Failure::from);
        match read.and_then(|story| state_of(&story)) {
            Ok(state) if format == Format::Json => output::json(&json_status(&state)),
            Ok(state) => print_line(&state),
            Err(failure) => {
                print_unread(&entry, &failure, format);
                unread.get_or_insert(failure);
            }
        }
    }
    match unread {
        None => Ok(Exit::Done),
        Some(failure) => Err(failure),
    }
}

fn print_line(state: &State) {
    let spec = &state.spec;
    let what = format!(
        "{} {} by {}",
        spec.service, spec.release.version, spec.pins.strategy_name
    );
    output::data(&format!(
        "{}  {}  {what}  {}",
        paint(STRONG, spec.rollout.as_str()),
        utc(state.clock.started),
        phase(state)
    ));
}

/// A rollout of which nothing is known but that there are records of it.
#[derive(serde::Serialize)]
struct JsonUnread<'a> {
    version: u32,
    rollout: &'a str,
    started: String,
    /// Always `unreadable`.
    phase: &'static str,
    why: String,
}

fn print_unread(entry: &JournalEntry, failure: &Failure, format: Format) {
    let (rollout, started) = (entry.rollout.as_str(), utc(entry.started));
    let why = format!("{:#}", failure.error);
    if format == Format::Json {
        output::json(&JsonUnread {
            version: JSON_VERSION,
            rollout,
            started,
            phase: "unreadable",
            why,
        });
        return;
    }
    let word = paint(BAD, "cannot be read");
    output::data(&format!(
        "{}  {started}  {word}: {why}",
        paint(STRONG, rollout)
    ));
}

/// The rollout's phase in words.
fn phase(state: &State) -> String {
    match &state.phase {
        RolloutPhase::Finished(end) => end.to_string(),
        RolloutPhase::Stopping { reason, .. } => format!("going back: {reason}"),
        RolloutPhase::Running => match (&state.held, state.clock.paused) {
            (Some(reason), _) => format!("held: {reason}"),
            (None, true) => "paused".to_owned(),
            (None, false) if state.clock.queues() => "queued".to_owned(),
            (None, false) => "running".to_owned(),
        },
    }
}

fn print_status(state: &State) {
    let spec = &state.spec;
    output::data(&format!(
        "{}: {} {} by {}",
        paint(STRONG, spec.rollout.as_str()),
        spec.service,
        spec.release.version,
        spec.pins.strategy_name
    ));
    output::data(&format!("  phase    {}", phase(state)));
    output::data(&format!(
        "  started  {}, last fact {}",
        utc(state.clock.started),
        utc(state.clock.last)
    ));
    for line in swap_text::swapped(state) {
        output::data(&format!("  swapped  {line}"));
    }
    for (index, (plan, wave)) in spec.plan.waves.iter().zip(&state.waves).enumerate() {
        output::data(&format!(
            "  wave {}: {}; {} of {} sites finished, {} in flight",
            plan.name,
            wave.phase,
            wave.finished,
            plan.sites.len(),
            wave.in_flight
        ));
        for site in plan
            .sites
            .iter()
            .filter(|site| state.site(&site.name).wave == index)
            .take(50)
        {
            let found = state.site(&site.name);
            let (ready, total, share) = follow::nodes(state, &site.name);
            let stage = if found.stage.is_empty() {
                String::new()
            } else {
                format!(", {}", words::stage_words(&found.stage))
            };
            output::data(&format!(
                "    {}: {}{stage}; {ready}/{total} nodes and {}% of traffic on the release",
                site.name,
                follow::phase(found.phase),
                share / 10
            ));
            if let Some(reason) = &found.failure {
                output::data(&format!("      failed: {reason}"));
            }
        }
    }
    print_steered(state);
    for (gate, sum) in verdicts::sums(state, |key, _| verdicts::is_on_trial(state, &key.gate)) {
        output::data(&format!("  gate {}", verdicts::line(&gate, &sum)));
    }
    print_members(state);
    print_waiting(&explain(state, SystemClock.now()));
}

/// What people decided that is still in force.
fn print_steered(state: &State) {
    for text in steered(state) {
        output::data(&format!("  {text}"));
    }
}

fn steered(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    if state.waits == Waits::Waived {
        lines.push("promoted: no timed wait is waited for".to_owned());
    }
    for (name, site) in &state.sites {
        if site.waits == Waits::Waived && state.waits == Waits::Kept {
            lines.push(format!(
                "promoted: no timed wait of site {name} is waited for"
            ));
        }
        if !site.given_up.is_empty() {
            let clusters: Vec<&str> = site.given_up.iter().map(|name| name.as_str()).collect();
            let clusters = clusters.join(", ");
            lines.push(format!(
                "given up: site {name}; nobody knows what runs in {clusters}"
            ));
        }
    }
    lines.extend(words::overrides(state));
    let approved = words::approvals(state).into_iter();
    lines.extend(approved.map(|text| format!("approved: {text}")));
    lines
}

/// How the fleet has changed while the rollout ran.
fn print_members(state: &State) {
    if state.members.is_empty() {
        return;
    }
    output::data(&format!("  plan     generation {}", state.generation()));
    for (name, outcome) in state.members.iter().take(50) {
        output::data(&format!("    {}", words::member(name, outcome)));
    }
}

/// Rollouts of the journal that wait for this one.
async fn queue_behind(state: &State, dir: &StateDir) -> Result<Vec<String>> {
    if state.end().is_some() {
        return Ok(Vec::new());
    }
    let journal = dir.read_journal()?;
    let mut waiting = Vec::new();
    for entry in journal.rollouts().await?.into_iter().rev().take(NEWEST) {
        if entry.started < state.clock.started || entry.rollout == state.spec.rollout {
            continue;
        }
        // One that is damaged says nothing about this one; `status` without a name tells of it.
        let other = read_story(&journal, &entry.rollout).await.ok();
        let Some(other) = other.and_then(|story| story.state()) else {
            continue;
        };
        let behind = other.clock.behind.as_ref();
        let waits = behind.is_some_and(|behind| behind.contains_key(&state.spec.rollout));
        if waits && other.end().is_none() {
            waiting.push(entry.rollout.to_string());
        }
    }
    Ok(waiting)
}

async fn print_queue(state: &State, dir: &StateDir) -> Result<()> {
    for rollout in queue_behind(state, dir).await? {
        output::data(&format!(
            "  rollout {rollout} waits until this one has ended"
        ));
    }
    Ok(())
}

fn print_waiting(waiting: &[Waiting]) {
    for waiting in waiting.iter().take(50) {
        output::data(&format!("  {} waits for {}", waiting.who, waiting.on));
    }
}

/// The last call that failed by the plugin's own doing, if the rollout still waits for an answer.
fn print_failed_call(story: &Story, state: &State) {
    let asked = story.facts.iter().rev().find_map(|(_, fact)| match fact {
        Fact::StrategyUnavailable {
            consultation, why, ..
        }
        | Fact::GateUnavailable {
            consultation, why, ..
        } => Some(words::again(state, *consultation, why)),
        Fact::StrategyAnswered { .. } | Fact::GateAnswered { .. } => Some(String::new()),
        _ => None,
    });
    let hint = asked.unwrap_or_default();
    if !hint.is_empty() && state.end().is_none() {
        output::data(&format!("  the last answer was none{hint}"));
    }
}

fn json_status(state: &State) -> JsonStatus<'_> {
    let spec = &state.spec;
    let now = SystemClock.now();
    let wave = |(plan, wave): (
        &wavegate_model::PlannedWave,
        &wavegate_engine::state::WaveState,
    )| {
        (
            plan.name.to_string(),
            wave.phase.to_string(),
            wave.in_flight,
            wave.finished,
            plan.sites.len(),
        )
    };
    let waves: Vec<_> = spec.plan.waves.iter().zip(&state.waves).map(wave).collect();
    let names = spec.plan.waves.iter().map(|plan| plan.name.as_str());
    JsonStatus {
        version: JSON_VERSION,
        rollout: spec.rollout.as_str(),
        service: spec.service.as_str(),
        release: &spec.release.version,
        strategy: &spec.pins.strategy_name,
        plugins: swap_text::parts(state),
        phase: phase(state),
        held: state.held.as_ref().map(ToString::to_string),
        paused: state.clock.paused,
        needs_person: needs_person(state, now),
        started: utc(state.clock.started),
        last: utc(state.clock.last),
        generation: state.generation().0,
        members: state
            .members
            .iter()
            .map(|(name, outcome)| (name.as_str(), words::member(name, outcome)))
            .collect(),
        waves: names
            .zip(waves)
            .map(|(name, (_, phase, in_flight, finished, sites))| JsonWave {
                name,
                phase: phase.to_lowercase(),
                in_flight,
                finished,
                sites,
            })
            .collect(),
        sites: state
            .sites
            .iter()
            .map(|(name, site)| (name.as_str(), json_site(state, name, site)))
            .collect(),
        gates: verdicts::sums(state, |_, _| true)
            .into_iter()
            .map(|(gate, sum)| (gate.to_string(), sum))
            .collect(),
        waiting: explain(state, now).into_iter().map(json_waiting).collect(),
        steered: steered(state),
    }
}

fn json_site<'a>(
    state: &State,
    name: &wavegate_model::SiteName,
    site: &'a wavegate_engine::state::SiteState,
) -> JsonSite<'a> {
    let (ready, desired, traffic_permille) = follow::nodes(state, name);
    JsonSite {
        phase: follow::phase(site.phase),
        stage: &site.stage,
        ready,
        desired,
        traffic_permille,
        failure: site.failure.as_ref().map(ToString::to_string),
    }
}

fn json_waiting(waiting: Waiting) -> JsonWaiting {
    let (text, needs_person) = (waiting.on.to_string(), waiting.on.needs_person());
    JsonWaiting {
        who: waiting.who.to_string(),
        on: waiting.on,
        text,
        needs_person,
    }
}

pub(crate) async fn explain_one(args: One, dir: &StateDir, format: Format) -> Result<Exit> {
    let story = story(dir, &args.rollout).await?;
    let state = state_of(&story)?;
    if format == Format::Json {
        output::json(&json_status(&state));
        return Ok(Exit::Done);
    }
    let now = SystemClock.now();
    let ended = state.end().is_some();
    let hosted = !ended && dir.lock(&state.spec.rollout, false).is_err();
    let by_whom = if ended || hosted {
        ""
    } else {
        ", and no host runs it"
    };
    let phase = match phase(&state).as_str() {
        "running" if !hosted => "unfinished".to_owned(),
        phase => phase.to_owned(),
    };
    output::data(&format!(
        "rollout {} is {phase}{by_whom}",
        state.spec.rollout,
    ));
    print_steered(&state);
    for line in swap_text::swapped(&state) {
        output::data(&format!("  {line}"));
    }
    let waiting = explain(&state, now);
    print_members(&state);
    print_waiting(&waiting);
    print_failed_call(&story, &state);
    print_queue(&state, dir).await?;
    for (name, site) in &state.sites {
        if let Some(reason) = &site.failure {
            output::data(&format!("  site {name} failed: {reason}"));
        }
    }
    if !ended {
        let hint = match (needs_person(&state, now), hosted) {
            (_, false) => format!("go on with `wavegate resume {}`", state.spec.rollout),
            (true, true) => {
                "only a person can move it on: continue, approve, retry, skip, rollback or abort"
                    .to_owned()
            }
            (false, true) => "it goes on by itself when that is there".to_owned(),
        };
        output::data(&format!("  {hint}"));
    }
    Ok(Exit::Done)
}

pub(crate) async fn history(args: History, dir: &StateDir, format: Format) -> Result<Exit> {
    let story = story(dir, &args.rollout).await?;
    let mut state: Option<State> = None;
    for (at, fact) in &story.facts {
        match (&mut state, fact) {
            (None, Fact::Started { spec }) => state = Some(begin(*at, spec)),
            (None, _) => continue,
            (Some(state), fact) => apply(state, *at, fact),
        }
        let Some(state) = &state else { continue };
        if format == Format::Json {
            follow::json_line(&story.rollout, *at, fact);
            continue;
        }
        if words::repeats(fact) && !args.all {
            continue;
        }
        let line = words::line(fact, state);
        let line = if args.all {
            line.or_else(|| Some(format!("{fact:?}")))
        } else {
            line
        };
        if let Some(line) = line {
            output::data(&format!("{} {line}", paint(DIM, &time_of_day(*at))));
        }
    }
    Ok(Exit::Done)
}
