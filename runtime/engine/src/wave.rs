//! Which waves and sites start, and when the rollout is over.

use crate::fact::{End, Fact, FailReason, HoldReason};
use crate::failure;
use crate::gates::{self, Judgement};
use crate::moving::{self, Known};
use crate::site::Next;
use crate::state::{RolloutPhase, SitePhase, SiteState, State, WavePhase};
use crate::waiting::WaitingOn;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{OnTimeLimit, OnUnreachable};
use wavegate_model::{SiteName, Timestamp, WaveName};

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
    let lost = |(_, c): &(_, &crate::state::ClusterState)| c.touched && c.lost.is_some() && !c.left;
    let lost: Vec<_> = state
        .clusters
        .iter()
        .filter(lost)
        .map(|(name, _)| name.clone())
        .collect();
    let not_back = |site: &SiteState| site.phase == SitePhase::RollbackFailed;
    let end = if state.sites.values().any(not_back) {
        End::RollbackIncomplete
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
        .filter(|_| state.may_advance())
    else {
        return Ok(None);
    };
    let end = state.waves[index].limit_since.plus(limit.after);
    if state.clock.active(now) < end {
        return Ok(state.clock.wall(end));
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

/// A pause, or windows that are closed.
pub(crate) fn not_now(state: &State, now: Timestamp) -> Option<WaitingOn> {
    if state.clock.paused {
        return Some(WaitingOn::Paused);
    }
    if state.clock.queues() {
        let behind = state.clock.behind.clone().unwrap_or_default();
        return Some(WaitingOn::Rollouts { behind });
    }
    let shut = state.clock.closed.as_ref()?;
    Some(WaitingOn::Window {
        why: shut.why.clone(),
        left: shut.opens.map(|opens| opens.since(now)),
    })
}

fn blocked(state: &State, now: Timestamp) -> Option<WaitingOn> {
    match &state.held {
        Some(reason) => Some(WaitingOn::Held {
            why: reason.to_string(),
        }),
        None => not_now(state, now),
    }
}

fn start(state: &State, index: usize, now: Timestamp) -> Next {
    let plan = &state.spec.plan.waves[index];
    let before = plan
        .after
        .iter()
        .find(|before| state.waves[**before].phase != WavePhase::Done);
    if let Some(before) = before {
        return Next::Wait(
            WaitingOn::Wave {
                wave: state.spec.plan.waves[*before].name.clone(),
            },
            None,
        );
    }
    if let Some(on) = blocked(state, now) {
        return Next::Wait(on, None);
    }
    // Its clusters have left the fleet: there is nothing to approve, and nothing to judge.
    if plan.sites.is_empty() {
        let wave = plan.name.clone();
        return Next::Facts(alloc::vec![Fact::WaveStarted { wave }]);
    }
    if let Some(text) = &plan.approval
        && !state.waves[index].approved
    {
        return Next::Wait(
            WaitingOn::Approval {
                wave: plan.name.clone(),
                text: text.clone(),
            },
            None,
        );
    }
    let subject = Subject::Wave(plan.name.clone());
    let gates = gates::names(state, Phase::BeforeWave);
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
    if let Some(on) = blocked(state, now) {
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
            OnUnreachable::Skip => Ok(alloc::vec![Fact::SiteSkipped {
                site: name.clone(),
                why: alloc::format!("cluster {cluster} is unreachable: {detail}"),
            }]),
            OnUnreachable::Fail => Ok(failure::site_failed(
                state,
                name,
                FailReason::Unreachable(cluster),
            )),
            OnUnreachable::Wait => Err(WaitingOn::Unreachable { cluster, detail }),
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
    if let Some(on) = blocked(state, now) {
        return Next::Wait(on, None);
    }
    let subject = Subject::Wave(plan.name.clone());
    let gates = if plan.sites.is_empty() {
        Vec::new()
    } else {
        gates::names(state, Phase::AfterWave)
    };
    judged(
        gates::judge(state, &subject, Phase::AfterWave, &gates, now),
        Fact::WaveDone {
            wave: plan.name.clone(),
        },
    )
}
