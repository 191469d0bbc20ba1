//! `undo`: an ended rollout goes back, by a host of its own in the foreground.

use super::run::{self, Part, Ready};
use super::steer::{refusal, tell, with_reason};
use crate::args::Undo;
use crate::clock::SystemClock;
use crate::exit::{Exit, Result};
use crate::follow::Seen;
use crate::host::{Host, StateDir, actor};
use crate::output::Format;
use crate::preflight;
use std::collections::BTreeMap;
use wavegate_conductor::{Begin, read_story};
use wavegate_engine::input::Request;
use wavegate_engine::{Engine, Input, State, Verb};
use wavegate_model::{ClusterName, RolloutId};
use wavegate_ports::clock::Clock as _;
use wavegate_ports::journal::Journal;

pub(crate) async fn undo(args: Undo, dir: &StateDir, format: Format) -> Result<Exit> {
    with_reason(&args.reason)?;
    // Reading first, so that a wrong folder is not made into a journal.
    let reader = dir.read_journal()?;
    let rollout = dir.find(&reader, &args.rollout).await?;
    let story = read_story(&reader, &rollout).await?;
    let facts = story.facts.iter().map(|(at, fact)| (*at, fact));
    let mut engine = Engine::fold(facts)?;
    let known = engine.state().clone();
    let request = Request {
        verb: Verb::Undo,
        actor: actor(),
        reason: args.reason.clone(),
        inbox: None,
    };
    let would = engine.step(SystemClock.now(), &Input::Request(request));
    let mut why = refusal(&would.facts);
    if why.is_none() {
        why = touched_since(&reader, &known).await?;
    }
    let host = Host::open(dir)?;
    if why.is_none() {
        why = preflight::at_work(&host, &known.spec).await;
    }
    if let Some(why) = why {
        tell(format, rollout.as_str(), "undo", "refused", Some(why));
        return Ok(Exit::Refused);
    }
    if args.dry_run {
        tell(format, rollout.as_str(), "undo", "would-be-taken", None);
        return Ok(Exit::Done);
    }
    let lock = dir.lock(&rollout, false)?;
    let ready = Ready {
        begin: Begin::Undo {
            rollout: rollout.clone(),
            reason: args.reason,
        },
        spec: known.spec.clone(),
        lock,
        part: Part::Asked,
    };
    let seen = Seen::from([(rollout, known)]);
    run::run_all(&host, vec![ready], args.manner, format, seen, dir)
        .await
        .map(|(exit, _)| exit)
}

/// A later rollout of the same service that has changed a cluster which this one has: going back
/// would undo the other one, too.
async fn touched_since(journal: &dyn Journal, known: &State) -> Result<Option<String>> {
    let spec = &known.spec;
    let later = journal.rollouts().await?.into_iter();
    let later =
        later.filter(|entry| entry.started >= known.clock.started && entry.rollout != spec.rollout);
    let mut found: Vec<(RolloutId, Vec<ClusterName>)> = Vec::new();
    for entry in later {
        let story = read_story(journal, &entry.rollout).await?;
        let Some(other) = story
            .state()
            .filter(|other| other.spec.service == spec.service)
        else {
            continue;
        };
        let both: BTreeMap<_, _> = other
            .clusters
            .iter()
            .filter(|(name, cluster)| cluster.touched && same_cluster(known, &other, name))
            .collect();
        if !both.is_empty() {
            found.push((entry.rollout, both.into_keys().cloned().collect()));
        }
    }
    let Some((other, clusters)) = found.pop() else {
        return Ok(None);
    };
    let names: Vec<&str> = clusters.iter().map(|name| name.as_str()).take(5).collect();
    Ok(Some(format!(
        "rollout {other} has changed {} since; undo that one first, or roll out what you want there",
        names.join(", ")
    )))
}

/// Whether two rollouts mean the same cluster by a name, and both may have touched it.
fn same_cluster(known: &State, other: &State, name: &ClusterName) -> bool {
    let connection = |state: &State| {
        let mut clusters = state.spec.clusters.iter();
        let found = clusters.find(|cluster| cluster.name == *name);
        found.map(|cluster| (cluster.driver.clone(), cluster.connection.clone()))
    };
    let touched = known
        .clusters
        .get(name)
        .is_some_and(|cluster| cluster.touched);
    touched && connection(known) == connection(other)
}
