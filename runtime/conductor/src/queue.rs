//! Waits for other rollouts that are at work in the clusters of this one, before it begins.

use crate::fleet::scopes;
use crate::runner::{Arrival, Turns, stopped};
use crate::{Outcome, Ports, RunError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch as signal;
use tokio::time::Interval;
use wavegate_engine::state::SitePhase;
use wavegate_engine::{Input, Observation, Spec, State};
use wavegate_model::policy::WhenBusy;
use wavegate_model::{ClusterName, RolloutId};

/// Between two looks at who owns the clusters: rollouts take minutes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whether a rollout waits for others: not if its policy refuses, and not once it has begun.
pub(crate) fn may_wait(state: &State) -> bool {
    let begun = |phase: SitePhase| phase != SitePhase::Pending;
    state.spec.policy.when_busy != WhenBusy::Refuse
        && !state.sites.values().any(|site| begun(site.phase))
}

/// Waits until nobody else owns a cluster of the plan. Gives how the run ended, if it did.
pub(crate) async fn wait(
    turns: &mut Turns,
    inbox: &mut Interval,
    stop: &mut signal::Receiver<bool>,
) -> Result<Option<Outcome>, RunError> {
    while may_wait(turns.engine.state()) {
        let behind = owners(&turns.ports, &turns.engine.state().spec).await;
        let free = behind.is_empty();
        let busy = Input::Observation(Observation::Busy { behind });
        turns.take(vec![Arrival::input(busy)]).await?;
        if free {
            return Ok(None);
        }
        let look = tokio::time::Instant::now() + LOOK_EVERY;
        while tokio::time::Instant::now() < look {
            let arrivals = tokio::select! {
                biased;
                () = stopped(stop) => return Ok(Some(Outcome::Interrupted)),
                _ = inbox.tick() => turns.inbox().await?,
            };
            turns.take(arrivals).await?;
            if let Some(end) = turns.engine.state().end() {
                return Ok(Some(Outcome::Ended(end)));
            }
        }
    }
    Ok(None)
}

/// Other rollouts that own clusters of the plan. A cluster that does not answer has no owner that
/// could be known; the claim decides.
async fn owners(ports: &Ports, spec: &Spec) -> BTreeMap<RolloutId, Vec<ClusterName>> {
    let mut owners: BTreeMap<RolloutId, Vec<ClusterName>> = BTreeMap::new();
    for (name, scope) in scopes(spec) {
        let Some(driver) = ports.drivers.get(name) else {
            continue;
        };
        for (cluster, found) in driver.inspect(scope).await {
            let owner = found.ok().and_then(|found| found.owner);
            if let Some(owner) = owner.filter(|owner| *owner != spec.rollout) {
                owners.entry(owner).or_default().push(cluster);
            }
        }
    }
    owners
}
