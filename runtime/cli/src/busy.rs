//! A newer rollout comes while an earlier one is at work in its clusters: the earlier one is asked
//! to make room, and is brought to its end here if nobody else runs it.

use crate::clock::SystemClock;
use crate::commands::run::{Part, Ready, load_pinned};
use crate::exit::{Exit, Failure, Result};
use crate::host::{Host, StateDir, actor};
use crate::output;
use crate::preflight;
use wavegate_conductor::{Begin, read_story};
use wavegate_engine::input::Request;
use wavegate_engine::state::{RolloutPhase, SitePhase};
use wavegate_engine::{Engine, Fact, Input, Spec, State, Verb};
use wavegate_model::RolloutId;
use wavegate_model::policy::WhenBusy;
use wavegate_ports::clock::Clock as _;
use wavegate_ports::journal::Journal as _;

/// Asks what is in the way to make room, if the policy wants that. Gives the rollouts that nobody
/// runs, to be run beside the newer one, with their states.
pub(crate) async fn make_room(
    host: &Host,
    spec: &Spec,
    dir: &StateDir,
) -> Result<Vec<(Ready, State)>> {
    let mut aside = Vec::new();
    if spec.policy.when_busy != WhenBusy::Supersede {
        return Ok(aside);
    }
    for owner in preflight::in_the_way(host, spec).await {
        aside.extend(supersede(host, spec, &owner, dir).await?);
    }
    Ok(aside)
}

async fn supersede(
    host: &Host,
    spec: &Spec,
    owner: &RolloutId,
    dir: &StateDir,
) -> Result<Option<(Ready, State)>> {
    let journal = host.journal();
    let Ok(story) = read_story(&**journal, owner).await else {
        let error = anyhow::anyhow!(
            "rollout `{owner}` is in the way, and the journal in {} does not have it",
            dir.path().display()
        );
        let hint = "end it where its journal is, or let the policy say `whenBusy: queue`";
        return Err(Failure::new(Exit::Refused, error).hint(hint));
    };
    let mut engine = Engine::fold(story.facts.iter().map(|(at, fact)| (*at, fact)))?;
    let known = engine.state().clone();
    // One that has ended gives its clusters up in a moment.
    if known.end().is_some() {
        return Ok(None);
    }
    let verb = Verb::Supersede {
        by: spec.rollout.clone(),
    };
    let reason = format!("{} {} is rolled out", spec.service, spec.release.version);
    let request = Request {
        verb: verb.clone(),
        actor: actor(),
        reason: reason.clone(),
        inbox: None,
    };
    let step = engine.step(SystemClock.now(), &Input::Request(request));
    let refused = step.facts.iter().find_map(|fact| match fact {
        Fact::RequestRefused { why, .. } => Some(why),
        _ => None,
    });
    // What goes back already ends by itself.
    let goes_back = matches!(known.phase, RolloutPhase::Stopping { .. });
    match refused {
        Some(_) if goes_back => {}
        Some(why) => {
            let error = anyhow::anyhow!("rollout `{owner}` does not make room: {why}");
            return Err(Failure::new(Exit::Refused, error));
        }
        None => {
            let text = serde_json::to_string(&verb)?;
            let now = SystemClock.now();
            let put = journal.put_inbox(owner, now, actor(), reason, text);
            put.await?;
            output::say(&format!("rollout {owner} makes room for {}", spec.rollout));
        }
    }
    let Ok(lock) = dir.lock(owner, false) else {
        return Ok(None);
    };
    load_pinned(host, &known.spec).await?;
    let ready = Ready {
        begin: Begin::Resume(owner.clone()),
        spec: known.spec.clone(),
        lock,
        part: Part::Aside,
    };
    Ok(Some((ready, known)))
}

/// Whether a rollout that is resumed may still be waiting for others.
pub(crate) fn may_wait(state: &State) -> bool {
    let pending = |phase: SitePhase| phase == SitePhase::Pending;
    state.sites.values().all(|site| pending(site.phase))
}
