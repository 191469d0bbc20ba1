//! Which waves and sites start, and when the rollout is over.

use crate::fact::{End, Fact, FailReason, HoldReason};
use crate::gates::{self, Judgement};
use crate::moving::{self, Known};
use crate::site::Next;
use crate::state::{RolloutPhase, SitePhase, SiteState, State, WavePhase};
use crate::waiting::WaitingOn;
use crate::{approvals, failure};
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{OnTimeLimit, OnUnreachable};
use wavegate_model::{Permille, SiteName, Timestamp, WaveName};

/// Pending sites that are looked at when the first of them cannot start, so that one cluster
/// does not hold up its wave; more would make each step cost as much as the wave is large.
const LOOK_AHEAD: usize = 32;

/// What the waves and the rollout as a whole do next, with what each wave waits for.
pub fn next(state: &State, now: Timestamp) -> (Next, Vec<(WaveName, WaitingOn)>) {
    match &state.phase {
        RolloutPhase::Finished(_) => return (Next::Idle, Vec::new()),
        RolloutPhase::Stopping { .. } => {
            let facts = failure::advance(state);
            return (
                if facts.is_empty() {
                    Next::Idle
                } else {
                    Next::Facts(facts)
                },
                Vec::new(),
            );
        }
        RolloutPhase::Running => {}
    }
    let mut waits = Vec::new();
    let mut until: Option<Timestamp> = None;
    if let Some(next) = rollout_limit(state, now, &mut until) {
        return (next, waits);
    }
    for (index, wave) in state.spec.plan.waves.iter().enumerate() {
        match wave_next(state, index, now) {
            Next::Facts(facts) => return (Next::Facts(facts), waits),
            Next::Wait(on, wake) => {
                until = earliest(until, wake);
                waits.push((wave.name.clone(), on));
            }
            Next::Idle => {}
        }
    }
    if state.waves.iter().all(|wave| wave.phase == WavePhase::Done) {
        return match finish(state) {
            Next::Wait(on, wake) => {
                let last = state.spec.plan.waves.last();
                waits.extend(last.map(|wave| (wave.name.clone(), on.clone())));
                // The limit of the rollout is reached while a person is waited for, too.
                (Next::Wait(on, earliest(until, wake)), waits)
            }
            next => (next, waits),
        };
    }
    let wait = match waits.first() {
        Some((_, on)) => Next::Wait(on.clone(), until),
        None => Next::Idle,
    };
    (wait, waits)
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn finish(state: &State) -> Next {
    // A late fail can send a site of a wave back that was done already.
    let in_flight: u32 = state.waves.iter().map(|wave| wave.in_flight).sum();
    if in_flight > 0 {
        let total = u32::try_from(state.sites.len()).unwrap_or(u32::MAX);
        return Next::Wait(
            WaitingOn::Sites {
                finished: total - in_flight,
                total,
            },
            None,
        );
    }
    // A person has said already that a site that was given up is not waited for.
    let given_up = |site: &SiteState| !site.given_up.is_empty();
    let lost = |(_, cluster): &(_, &crate::state::ClusterState)| {
        let site = cluster.site.as_ref().map(|name| state.site(name));
        let waited_for = !cluster.left && !site.is_some_and(given_up);
        cluster.touched && cluster.lost.is_some() && waited_for
    };
    let lost: Vec<_> = state
        .clusters
        .iter()
        .filter(lost)
        .map(|(name, _)| name.clone())
        .collect();
    let not_back = |site: &SiteState| site.phase == SitePhase::RollbackFailed;
    let end = if state.sites.values().any(not_back) {
        End::RollbackIncomplete
    } else if state.sites.values().any(given_up) {
        End::Incomplete
    } else {
        End::Done
    };
    if lost.is_empty() {
        Next::Facts(alloc::vec![Fact::Finished { end }])
    } else if lost.iter().all(|name| state.unreachable(name).is_some()) {
        Next::Wait(WaitingOn::Closing { clusters: lost }, None)
    } else {
        Next::Wait(WaitingOn::Observation { clusters: lost }, None)
    }
}

fn rollout_limit(state: &State, now: Timestamp, until: &mut Option<Timestamp>) -> Option<Next> {
    let limit = state
        .spec
        .policy
        .time_limits
        .rollout
        .filter(|_| state.may_advance())?;
    let end = state.limit_since.plus(limit.after);
    if state.clock.active(now) < end {
        *until = earliest(*until, state.clock.wall(end));
        return None;
    }
    let in_flight = state.sites.iter().find(|(_, site)| goes_on(site));
    Some(Next::Facts(match (limit.then, in_flight) {
        (OnTimeLimit::Fail, Some((site, _))) => {
            failure::site_failed(state, site, FailReason::RolloutTime(limit.after))
        }
        _ => alloc::vec![Fact::Held {
            reason: HoldReason::TimeLimit {
                site: None,
                wave: None,
                limit: limit.after
            }
        }],
    }))
}

/// Whether a site can still fail: those that failed or go back already cannot.
fn goes_on(site: &SiteState) -> bool {
    matches!(site.phase, SitePhase::Updating | SitePhase::Soaking)
}

fn wave_next(state: &State, index: usize, now: Timestamp) -> Next {
    let wave = &state.waves[index];
    match wave.phase {
        WavePhase::Done => Next::Idle,
        WavePhase::Waiting => start(state, index, now),
        WavePhase::Running | WavePhase::Soaking => match wave_limit(state, index, now) {
            Err(facts) => Next::Facts(facts),
            Ok(deadline) => {
                let next = if wave.phase == WavePhase::Running {
                    admit(state, index, now)
                } else {
                    end(state, index, now)
                };
                match next {
                    Next::Wait(on, until) => Next::Wait(on, earliest(until, deadline)),
                    next => next,
                }
            }
        },
    }
}

fn wave_limit(state: &State, index: usize, now: Timestamp) -> Result<Option<Timestamp>, Vec<Fact>> {
    let Some(limit) = state
        .spec
        .policy
        .time_limits
        .wave
        .filter(|_| state.may_advance_in(index))
    else {
        return Ok(None);
    };
    let end = state.waves[index].limit_since.plus(limit.after);
    if state.active_in(index, now) < end {
        return Ok(state.wall_in(index, end));
    }
    let mut in_wave = state
        .sites
        .iter()
        .filter(|(_, site)| site.wave == index && goes_on(site));
    let name = state.spec.plan.waves[index].name.clone();
    Err(match (limit.then, in_wave.next()) {
        (OnTimeLimit::Fail, Some((site, _))) => {
            failure::site_failed(state, site, FailReason::WaveTime(limit.after))
        }
        _ => alloc::vec![Fact::Held {
            reason: HoldReason::TimeLimit {
                site: None,
                wave: Some(name),
                limit: limit.after
            }
        }],
    })
}

/// A pause, or windows that are closed: the policy's, or the wave's own.
pub(crate) fn not_now(state: &State, wave: usize, now: Timestamp) -> Option<WaitingOn> {
    if state.clock.paused {
        return Some(WaitingOn::Paused);
    }
    if state.clock.queues() {
        let behind = state.clock.behind.clone().unwrap_or_default();
        return Some(WaitingOn::Rollouts { behind });
    }
    let own = state.waves[wave].clock.closed.as_ref();
    let shut = state.clock.closed.as_ref().or(own)?;
    Some(WaitingOn::Window {
        why: shut.why.clone(),
        left: shut.opens.map(|opens| opens.since(now)),
    })
}

fn blocked(state: &State, wave: usize, now: Timestamp) -> Option<WaitingOn> {
    match &state.held {
        Some(reason) => Some(WaitingOn::Held {
            why: reason.to_string(),
        }),
        None => not_now(state, wave, now),
    }
}

/// A wave that comes before this one, directly or not, and is not done. One that was done is not
/// any more when one of its sites is tried again.
fn before(state: &State, index: usize) -> Option<WaitingOn> {
    let waves = &state.spec.plan.waves;
    let open = |before: &usize| state.waves[*before].phase != WavePhase::Done;
    let mut found = waves[index].after.iter().copied().find(open);
    if found.is_none() && !waves[index].after.is_empty() && (0..index).any(|wave| open(&wave)) {
        let mut to_see = waves[index].after.clone();
        let mut seen = BTreeSet::new();
        while let Some(wave) = to_see.pop() {
            if seen.insert(wave) {
                found = found.or(Some(wave).filter(open));
                to_see.extend(&waves[wave].after);
            }
        }
    }
    let wave = waves[found?].name.clone();
    Some(WaitingOn::Wave { wave })
}

fn start(state: &State, index: usize, now: Timestamp) -> Next {
    let plan = &state.spec.plan.waves[index];
    if let Some(on) = before(state, index) {
        return Next::Wait(on, None);
    }
    if let Some(on) = blocked(state, index, now) {
        return Next::Wait(on, None);
    }
    // Its clusters have left the fleet: there is nothing to approve, and nothing to judge.
    if plan.sites.is_empty() {
        let wave = plan.name.clone();
        return Next::Facts(alloc::vec![Fact::WaveStarted { wave }]);
    }
    if let Some(on) = approvals::of_wave(state, index) {
        return Next::Wait(on, None);
    }
    let subject = Subject::Wave(plan.name.clone());
    let gates = gates::names(state, Phase::BeforeWave, index);
    judged(
        gates::judge(state, &subject, Phase::BeforeWave, &gates, now),
        Fact::WaveStarted {
            wave: plan.name.clone(),
        },
    )
}

fn judged(judgement: Judgement, passed: Fact) -> Next {
    match judgement {
        Judgement::Passed => Next::Facts(alloc::vec![passed]),
        Judgement::Ask(facts) => Next::Facts(facts),
        Judgement::Wait(on, until) => Next::Wait(on, until),
    }
}

/// Starts the next site, if there is a place for it.
fn admit(state: &State, index: usize, now: Timestamp) -> Next {
    let (wave, plan) = (&state.waves[index], &state.spec.plan.waves[index]);
    let total = u32::try_from(plan.sites.len()).unwrap_or(u32::MAX);
    if wave.finished == total {
        return Next::Facts(alloc::vec![Fact::WaveSoakStarted {
            wave: plan.name.clone()
        }]);
    }
    if wave.next_site >= plan.sites.len() {
        return Next::Wait(
            WaitingOn::Sites {
                finished: wave.finished,
                total,
            },
            None,
        );
    }
    if let Some(on) = before(state, index).or_else(|| blocked(state, index, now)) {
        return Next::Wait(on, None);
    }
    if wave.in_flight >= plan.max_parallel_sites {
        return Next::Wait(
            WaitingOn::Places {
                in_flight: wave.in_flight,
                limit: plan.max_parallel_sites,
            },
            None,
        );
    }
    if failure::budget_exceeded(state) {
        return Next::Wait(WaitingOn::Budget, None);
    }
    let mut first_wait = None;
    for site in plan.sites[wave.next_site..].iter().take(LOOK_AHEAD) {
        if state.site(&site.name).phase != SitePhase::Pending {
            continue;
        }
        match begin(state, &site.name) {
            Ok(facts) => return Next::Facts(facts),
            Err(on) => first_wait = first_wait.or(Some(on)),
        }
    }
    Next::Wait(
        first_wait.unwrap_or(WaitingOn::Sites {
            finished: wave.finished,
            total,
        }),
        None,
    )
}

/// Starts a site whose clusters are all known, owned and in a state that can be gone back to.
fn begin(state: &State, name: &SiteName) -> Result<Vec<Fact>, WaitingOn> {
    let site = state.site(name);
    if let Some((cluster, detail)) = lost(state, site) {
        return match state.spec.policy.membership.unreachable {
            // What runs in a touched one is not known: it is not dropped without a person.
            OnUnreachable::Skip if !site.touched => Ok(alloc::vec![Fact::SiteSkipped {
                site: name.clone(),
                why: alloc::format!("cluster {cluster} is unreachable: {detail}"),
            }]),
            OnUnreachable::Fail => Ok(failure::site_failed(
                state,
                name,
                FailReason::Unreachable(cluster),
            )),
            OnUnreachable::Wait | OnUnreachable::Skip => {
                Err(WaitingOn::Unreachable { cluster, detail })
            }
        };
    }
    let unclaimed: Vec<_> = site
        .clusters
        .iter()
        .filter(|c| state.cluster(c).epoch.is_none())
        .cloned()
        .collect();
    if !unclaimed.is_empty() {
        return Err(WaitingOn::Claim {
            clusters: unclaimed,
        });
    }
    let unseen: Vec<_> = site
        .clusters
        .iter()
        .filter(|c| {
            let seen = state.cluster(c).seen.as_ref();
            seen.is_none_or(|seen| seen.at < site.fresh_after)
        })
        .cloned()
        .collect();
    if !unseen.is_empty() {
        return Err(WaitingOn::Observation { clusters: unseen });
    }
    for cluster in &site.clusters {
        let found = state.cluster(cluster);
        if found.baseline.is_none() {
            let releases = found.seen.as_ref().map_or(0, |seen| seen.nodes.len());
            let releases = u32::try_from(releases).unwrap_or(u32::MAX);
            return Err(WaitingOn::AmbiguousBaseline {
                cluster: cluster.clone(),
                releases,
            });
        }
    }
    let Some(known) = moving::known(state, site) else {
        return Err(WaitingOn::Observation {
            clusters: site.clusters.clone(),
        });
    };
    if let Some(other) = known.iter().find(|known| known.other_nodes() > 0) {
        return Err(WaitingOn::OtherRelease {
            cluster: other.name.clone(),
            nodes: other.other_nodes(),
        });
    }
    let split = moving::seen_split(&known);
    // Less than all is what is left when a cluster of the site has gone.
    if split.total() > Permille::ALL {
        return Err(WaitingOn::TornSplit { seen: split });
    }
    let splits = state.spec.capabilities.splits_traffic;
    let serves = |known: &&Known<'_>| {
        !splits
            || split
                .shares()
                .iter()
                .any(|share| share.cluster == *known.name)
    };
    let demand = known
        .iter()
        .filter(serves)
        .map(|known| known.seen.desired)
        .sum();
    // What is to be carried was read before anything was changed.
    let demand = if site.touched { site.demand } else { demand };
    Ok(alloc::vec![Fact::SiteStarted {
        site: name.clone(),
        split,
        demand,
    }])
}

fn lost(
    state: &State,
    site: &SiteState,
) -> Option<(wavegate_model::ClusterName, alloc::string::String)> {
    site.clusters.iter().find_map(|name| {
        let detail = state.unreachable(name)?;
        Some((name.clone(), detail.into()))
    })
}

/// All sites are done: they soak together, then the gates after the wave are asked.
fn end(state: &State, index: usize, now: Timestamp) -> Next {
    let (wave, plan) = (&state.waves[index], &state.spec.plan.waves[index]);
    let total = u32::try_from(plan.sites.len()).unwrap_or(u32::MAX);
    if wave.finished < total {
        // A late fail reopened a site.
        return Next::Wait(
            WaitingOn::Sites {
                finished: wave.finished,
                total,
            },
            None,
        );
    }
    if wave.soaked < total {
        return Next::Wait(
            WaitingOn::Sites {
                finished: wave.soaked,
                total,
            },
            None,
        );
    }
    if let Some(on) = blocked(state, index, now) {
        return Next::Wait(on, None);
    }
    let subject = Subject::Wave(plan.name.clone());
    let gates = if plan.sites.is_empty() {
        Vec::new()
    } else {
        gates::names(state, Phase::AfterWave, index)
    };
    judged(
        gates::judge(state, &subject, Phase::AfterWave, &gates, now),
        Fact::WaveDone {
            wave: plan.name.clone(),
        },
    )
}
