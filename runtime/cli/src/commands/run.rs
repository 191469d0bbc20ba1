//! `run` and `resume`.

use crate::args::{Manner, Resume, Run};
use crate::exit::{Exit, Failure, Result};
use crate::follow::{self, Seen};
use crate::host::{Host, StateDir, actor};
use crate::membership::{self, FirstLook};
use crate::output::{self, Format};
use crate::{busy, crash, preflight, prepare, rehearse, report, requests};
use std::collections::HashMap;
use std::fs::File;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use wavegate_conductor::{Begin, Event, OnHold, Options, Outcome, RunError, read_story};
use wavegate_engine::Spec;
use wavegate_engine::state::RolloutPhase;
use wavegate_model::RolloutId;
use wavegate_model::plugin::PluginKind;
use wavegate_ports::driver::DriverError;
use wavegate_ports::plugins::{PluginRejected, Plugins};

/// A rollout that is about to be run, with its lock.
pub(crate) struct Ready {
    pub(crate) begin: Begin,
    pub(crate) spec: Spec,
    pub(crate) lock: File,
    pub(crate) part: Part,
}

/// Whether a run is about a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It is what was asked for: how it ends is how the command ends.
    Asked,
    /// It is brought to its end, so that another one can begin.
    Aside,
}

pub(crate) async fn run(args: Run, state: &StateDir, format: Format) -> Result<Exit> {
    let documents = prepare::load(&args.files)?;
    let names = prepare::names(&documents, &args.rollout)?;
    if args.dry_run {
        return crate::commands::plan::plan_of(&documents, &names, state, format).await;
    }
    let mut host = Host::without_journal(state)?;
    let mut all = Vec::new();
    for name in names {
        all.push(prepare::prepare(&host, &documents, &name).await?);
    }
    for prepared in &all {
        prepare::warn(prepared);
        rehearse::warn(&host, &prepared.spec).await;
        if !args.skip_preflight {
            preflight::check(&host, &prepared.spec).await?;
        }
    }
    host.open_journal(state)?;
    let mut ready = Vec::new();
    let mut known = Seen::new();
    for prepared in all {
        for (aside, state_of) in busy::make_room(&host, &prepared.spec, state).await? {
            known.insert(aside.spec.rollout.clone(), state_of);
            ready.push(aside);
        }
        let lock = state.lock(&prepared.spec.rollout, false)?;
        requests::note(&prepared.spec, state).await?;
        let spec = prepared.spec;
        ready.push(Ready {
            begin: Begin::Start(Box::new(spec.clone())),
            spec,
            lock,
            part: Part::Asked,
        });
    }
    run_all(&host, ready, args.manner, format, known, state)
        .await
        .map(|(exit, _)| exit)
}

pub(crate) async fn resume(args: Resume, state: &StateDir, format: Format) -> Result<Exit> {
    let host = Host::open(state)?;
    let rollout = state.find(&**host.journal(), &args.rollout).await?;
    let lock = state.lock(&rollout, args.take_over)?;
    let story = read_story(&**host.journal(), &rollout).await?;
    let known = story
        .state()
        .ok_or_else(|| anyhow::anyhow!("the journal of rollout `{rollout}` has no start"))?;
    if let Some(end) = known.end() {
        output::say(&format!("rollout {rollout} has ended already: {end}"));
        return Ok(end.into());
    }
    // Going back asks no plugin: one that cannot be loaded must not keep a bad release in place.
    if !matches!(known.phase, RolloutPhase::Stopping { .. }) {
        load_pinned(&host, &known.spec).await?;
    }
    let spec = known.spec.clone();
    let mut ready = Vec::new();
    let mut seen = Seen::new();
    if busy::may_wait(&known) {
        for (aside, state_of) in busy::make_room(&host, &spec, state).await? {
            seen.insert(aside.spec.rollout.clone(), state_of);
            ready.push(aside);
        }
    }
    ready.push(Ready {
        begin: Begin::Resume(rollout.clone()),
        spec,
        lock,
        part: Part::Asked,
    });
    seen.insert(rollout, known);
    run_all(&host, ready, args.manner, format, seen, state)
        .await
        .map(|(exit, _)| exit)
}

/// A resume uses the components that the rollout started with, from the store, and no others.
pub(crate) async fn load_pinned(host: &Host, spec: &Spec) -> Result<()> {
    host.plugins
        .load_stored(&spec.pins.strategy, PluginKind::Strategy)
        .await
        .map_err(rejected)?;
    for digest in spec.pins.gates.values() {
        host.plugins
            .load_stored(digest, PluginKind::Gate)
            .await
            .map_err(rejected)?;
    }
    Ok(())
}

fn rejected(error: PluginRejected) -> Failure {
    Failure::new(Exit::Plugin, error)
}

/// Runs rollouts side by side until all have ended, and tells how. The exit code is that of the
/// one that went worst.
pub(crate) async fn run_all(
    host: &Host,
    ready: Vec<Ready>,
    manner: Manner,
    format: Format,
    known: Seen,
    state: &StateDir,
) -> Result<(Exit, Seen)> {
    let (stop, stopped) = watch::channel(false);
    let (events, seen) = mpsc::unbounded_channel::<Event>();
    let follower = tokio::spawn(follow::follow(seen, format, known));
    let on_hold = if manner.exit_on_hold {
        OnHold::Exit
    } else {
        OnHold::Wait
    };
    let (mut runs, mut tasks) = (JoinSet::new(), HashMap::new());
    let mut followers = JoinSet::new();
    for Ready {
        begin,
        spec,
        lock,
        part,
    } in ready
    {
        let first = match &begin {
            Begin::Start(_) => Some(FirstLook::Known),
            Begin::Resume(_) => Some(FirstLook::AtOnce),
            // What only goes back follows no fleet.
            Begin::Undo { .. } => None,
        };
        if let Some(first) = first.filter(|_| part == Part::Asked) {
            let journal = host.journal().clone();
            followers.spawn(membership::follow(spec.clone(), journal, first));
        }
        let options = Options {
            on_hold,
            crash_point: crash::point(),
            ..Options::default()
        };
        let (ports, events, stopped) = (host.ports(&spec)?, events.clone(), stopped.clone());
        let rollout = spec.rollout.clone();
        let task = runs.spawn(async move {
            let outcome =
                wavegate_conductor::run(ports, begin, actor(), options, events, stopped).await;
            drop(lock);
            (spec.rollout, part, outcome)
        });
        tasks.insert(task.id(), rollout);
    }
    drop(events);
    let interrupts = tokio::spawn(interrupted(stop));
    let mut outcomes = Vec::new();
    let mut bugs = Vec::new();
    while let Some(run) = runs.join_next().await {
        match run {
            Ok(run) => outcomes.push(run),
            // The others go on.
            Err(panicked) => bugs.push(ended_by_a_bug(tasks.get(&panicked.id()), panicked)),
        }
    }
    interrupts.abort();
    followers.shutdown().await;
    let seen = follower.await?;
    let (mut worst, mut failures) = (Exit::Done, Vec::new());
    for (rollout, part, outcome) in outcomes {
        match outcome {
            Ok(outcome) => {
                report::tell(&outcome, seen.get(&rollout), format, state).await;
                if part == Part::Asked {
                    worst = worst.max(exit_of(&outcome));
                }
            }
            Err(error) => failures.push(failed(&rollout, error)),
        }
    }
    // The last one is told by whoever gets it, and gives the exit code.
    failures.append(&mut bugs);
    let last = failures.pop();
    failures.iter().for_each(Failure::tell);
    last.map_or(Ok((worst, seen)), Err)
}

/// A run that panicked. Its rollout stands where its journal ends.
fn ended_by_a_bug(rollout: Option<&RolloutId>, panicked: JoinError) -> Failure {
    let rollout = rollout.map_or("last", RolloutId::as_str);
    let error = anyhow::Error::new(panicked).context(format!("the run of `{rollout}` broke off"));
    Failure::new(Exit::Unexpected, error).hint(format!(
        "nothing that is recorded is lost: go on with `wavegate resume {rollout}`, and report it"
    ))
}

async fn interrupted(stop: watch::Sender<bool>) {
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
    // Nobody listens when all runs are over.
    let _ = stop.send(true);
}

fn exit_of(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Ended(end) => (*end).into(),
        Outcome::Held(waiting) if waiting.iter().any(report::is_for_clusters) => Exit::Unreachable,
        Outcome::Held(_) | Outcome::Interrupted => Exit::Held,
    }
}

fn failed(rollout: &RolloutId, error: RunError) -> Failure {
    let exit = match &error {
        RunError::Begun { .. } | RunError::Owned { .. } => Exit::Refused,
        RunError::NoDriver { .. } => Exit::Usage,
        error if wavegate_conductor::runner::taken_over(error) => Exit::Refused,
        RunError::Attach {
            source: DriverError::Unreachable { .. },
            ..
        } => Exit::Unreachable,
        RunError::Journal { .. }
        | RunError::Attach { .. }
        | RunError::Unreadable { .. }
        | RunError::Invariant { .. } => Exit::Unexpected,
    };
    let hint = match &error {
        RunError::Owned { .. } => {
            Some("let the other rollout end, or end it with abort or rollback".to_owned())
        }
        RunError::Begun { .. } => Some(format!("go on with it: `wavegate resume {rollout}`")),
        RunError::Journal { .. } if exit == Exit::Refused => {
            Some("this host has no more say in it; see `wavegate status`".to_owned())
        }
        RunError::Invariant { .. } => Some(format!(
            "nothing of that step took effect; keep the journal and report it, then steer with `wavegate rollback {rollout}`"
        )),
        _ => None,
    };
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
