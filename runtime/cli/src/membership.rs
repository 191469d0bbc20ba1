//! Looks at the documents of a rollout again while it runs: clusters that come into the fleet or
//! leave it are told to the rollout through its inbox. Nothing else of the documents is followed,
//! and what has changed besides is said.

use crate::clock::SystemClock;
use crate::exit::Result;
use crate::host::{LOCAL, actor};
use crate::output;
use crate::prepare;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wavegate_conductor::{Story, read_story};
use wavegate_documents::{Documents, Reread};
use wavegate_driver_local::artifact::Connection;
use wavegate_engine::input::Request;
use wavegate_engine::{Engine, Fact, Input, Origin, Spec, Verb};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::policy::Policy;
use wavegate_model::{Cluster, FleetView};
use wavegate_ports::clock::Clock as _;
use wavegate_ports::journal::Journal as _;

/// Between two looks at the files: a fleet changes a few times a day.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is in the history as the reason.
const REASON: &str = "the fleet's document has changed";

/// Follows the documents of a rollout until the task is ended.
pub(crate) async fn follow(spec: Spec, journal: Arc<SqliteJournal>, first: FirstLook) {
    let Some(origin) = spec.origin.clone() else {
        return;
    };
    let mut seen = match first {
        FirstLook::Known => marks(&origin),
        FirstLook::AtOnce => Vec::new(),
    };
    loop {
        let now = marks(&origin);
        if now != seen {
            seen = now;
            if let Err(failure) = look(&spec, &origin, &journal).await {
                failure.tell();
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether the files are as the rollout knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstLook {
    /// They were just read.
    Known,
    /// They may have changed while no host ran.
    AtOnce,
}

/// By which a change of the files is seen.
type Mark = (PathBuf, u64, Option<SystemTime>);

fn marks(origin: &Origin) -> Vec<Mark> {
    let mut marks = Vec::new();
    for path in origin.files.iter().map(Path::new) {
        let inside = std::fs::read_dir(path).into_iter().flatten();
        let inside = inside.filter_map(|entry| Some(entry.ok()?.path()));
        let yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        let mut files: Vec<PathBuf> = inside.filter(yaml).collect();
        files.sort();
        if files.is_empty() {
            files.push(path.to_path_buf());
        }
        marks.extend(files.into_iter().map(|file| {
            let about = std::fs::metadata(&file);
            let length = about.as_ref().map_or(0, std::fs::Metadata::len);
            (file, length, about.and_then(|about| about.modified()).ok())
        }));
    }
    marks
}

async fn look(spec: &Spec, origin: &Origin, journal: &SqliteJournal) -> Result<()> {
    let rollout = &spec.rollout;
    let files: Vec<PathBuf> = origin.files.iter().map(PathBuf::from).collect();
    let read = Documents::load(&files);
    let reread = read.and_then(|documents| documents.reread(&origin.rollout, &spec.policy));
    let mut reread = match reread {
        Ok(reread) => reread,
        Err(problems) => {
            output::say(problems.render(prepare::colour()).trim_end());
            output::say(&format!(
                "{rollout}: its documents have changed and have problems; it goes on with the \
                 fleet as it was"
            ));
            return Ok(());
        }
    };
    let story = read_story(journal, rollout).await?;
    let policy = story
        .started()
        .map_or(&spec.policy, |(_, spec)| &spec.policy);
    tell_what_is_not_followed(spec, policy, &mut reread)?;
    for member in &mut reread.fleet.members {
        prepare::connection_absolute(&mut member.cluster, &reread.folders.fleet)?;
    }
    if let Some(problem) = cannot_take(spec, &reread.fleet) {
        output::say(&format!(
            "{rollout}: {problem}; it goes on with the fleet as it was"
        ));
        return Ok(());
    }
    tell_new_descriptions(spec, &reread.fleet);
    let verb = Verb::Replan(Box::new(reread.fleet));
    if !is_news(&story, &verb)? {
        return Ok(());
    }
    let text = serde_json::to_string(&verb)?;
    let now = SystemClock.now();
    journal
        .put_inbox(rollout, now, actor(), REASON.to_owned(), text)
        .await?;
    Ok(())
}

/// Whether the rollout would do anything about it.
fn is_news(story: &Story, verb: &Verb) -> Result<bool> {
    let facts = story.facts.iter().map(|(at, fact)| (*at, fact));
    let mut engine = Engine::fold(facts)?;
    let request = Request {
        verb: verb.clone(),
        actor: actor(),
        reason: REASON.to_owned(),
        inbox: None,
    };
    let step = engine.step(SystemClock.now(), &Input::Request(request));
    let replanned = |fact: &Fact| matches!(fact, Fact::Replanned { .. });
    Ok(step.facts.iter().any(replanned))
}

/// A running rollout keeps its policy, release and sources. The policy is compared with the one of
/// the start: a swap has changed that of now.
fn tell_what_is_not_followed(spec: &Spec, started: &Policy, reread: &mut Reread) -> Result<()> {
    let mut changed = Vec::new();
    class_as_started(&mut reread.policy, started);
    if reread.policy != *started {
        changed.push(format!("policy `{}`", reread.policy.name));
    }
    prepare::release_absolute(&mut reread.release, &reread.folders.release)?;
    if reread.release != spec.release {
        changed.push(format!("release `{}`", reread.release_name));
    }
    for source in &mut reread.sources {
        if let Some(folder) = reread.folders.sources.get(&source.name) {
            prepare::source_absolute(source, folder)?;
        }
        let known = spec.sources.iter().find(|known| known.name == source.name);
        if known.is_some_and(|known| known != source) {
            changed.push(format!("source `{}`", source.name));
        }
    }
    for what in changed {
        output::say(&format!(
            "{}: the {what} has changed; a rollout that runs keeps the one that it started with",
            spec.rollout
        ));
    }
    Ok(())
}

/// Where a policy names no class, a rollout starts with the component's. The component of then is
/// what the rollout keeps, so its class is no change of the policy.
fn class_as_started(policy: &mut Policy, started: &Policy) {
    let strategy = (&mut policy.strategy.class, &mut policy.strategy.limits);
    let mut parts = vec![(strategy, started.strategy.class)];
    for gate in &mut policy.gates {
        let known = started.gates.iter().find(|known| known.name == gate.name);
        let class = known.and_then(|known| known.class);
        parts.push(((&mut gate.class, &mut gate.limits), class));
    }
    for ((class, limits), started) in parts {
        if let (None, Some(started)) = (*class, started) {
            *class = Some(started);
            *limits = limits.tightened(started.limits());
        }
    }
}

/// Why this host could not roll out in a cluster that came, if one came.
fn cannot_take(spec: &Spec, fleet: &FleetView) -> Option<String> {
    let known = |cluster: &Cluster| spec.clusters.iter().any(|k| k.name == cluster.name);
    for member in &fleet.members {
        let cluster = &member.cluster;
        if known(cluster) {
            continue;
        }
        if cluster.driver == LOCAL
            && let Err(error) = Connection::of(cluster)
        {
            return Some(error.to_string());
        }
        if !spec.release.artifacts.contains_key(&cluster.driver) {
            return Some(format!(
                "the release has no artifact for the driver `{}` of cluster `{}`",
                cluster.driver, cluster.name
            ));
        }
        let mut site = fleet.members.iter().filter(|m| m.site == member.site);
        let door = site.any(|m| m.cluster.connection.contains("\"frontDoor\""));
        if spec.capabilities.splits_traffic && !door {
            return Some(format!(
                "the rollout splits traffic, and site `{}` of cluster `{}` has no front door",
                member.site, cluster.name
            ));
        }
    }
    None
}

fn tell_new_descriptions(spec: &Spec, fleet: &FleetView) {
    for member in &fleet.members {
        let known = spec.clusters.iter().find(|k| k.name == member.cluster.name);
        if known.is_some_and(|known| *known != member.cluster) {
            output::say(&format!(
                "{}: cluster `{}` is described otherwise now; a rollout that runs keeps to what \
                 it knows of a cluster",
                spec.rollout, member.cluster.name
            ));
        }
    }
}
