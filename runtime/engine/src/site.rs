//! What a site does next.

use crate::command::{Change, Effect};
use crate::fact::{Fact, FailReason, HoldReason};
use crate::gates::{self, Judgement};
use crate::moving::{self, Direction, Known, NextMove};
use crate::state::{
    BatchState, Rising, RolloutPhase, SitePhase, SiteState, State, Step, Waits, WavePhase,
};
use crate::waiting::WaitingOn;
use crate::wave;
use crate::{approvals, demand, failure, guard, soak};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{OnTimeLimit, OnUnreachable, TimeLimit};
use wavegate_model::{ClusterName, CommandId, DurationMs, NodeCounts, SiteName, Split, Timestamp};

/// What a site does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These facts; then ask again.
    Facts(Vec<Fact>),
    /// It waits; nothing can change before `until` unless something arrives.
    Wait(WaitingOn, Option<Timestamp>),
    /// Nothing is to be done.
    Idle,
}

impl Next {
    fn fact(fact: Fact) -> Self {
        Self::Facts(alloc::vec![fact])
    }

    fn wait(on: WaitingOn) -> Self {
        Self::Wait(on, None)
    }
}

/// What a site does next, gates that watch it included.
pub fn next(state: &State, name: &SiteName, now: Timestamp) -> Next {
    let site = state.site(name);
    if state.end().is_some() {
        return Next::Idle;
    }
    let (asks, watch_until) = gates::background(state, name, site, now);
    if !asks.is_empty() {
        return Next::Facts(asks);
    }
    let next = unwatched(state, name, now);
    match (next, watch_until) {
        (Next::Wait(on, until), Some(watch)) => {
            Next::Wait(on, Some(until.map_or(watch, |u| u.min(watch))))
        }
        (Next::Idle, Some(watch)) => Next::Wait(
            WaitingOn::Sites {
                finished: 0,
                total: 0,
            },
            Some(watch),
        ),
        (next, _) => next,
    }
}

/// What a site does next, apart from the gates that watch it.
pub fn unwatched(state: &State, name: &SiteName, now: Timestamp) -> Next {
    let site = state.site(name);
    match site.phase {
        SitePhase::Pending
        | SitePhase::RolledBack
        | SitePhase::RollbackFailed
        | SitePhase::Skipped => Next::Idle,
        SitePhase::Updating => updating(state, name, site, now),
        SitePhase::Soaking => soaking(state, name, site, now),
        SitePhase::Done => done(state, name, site, now),
        SitePhase::Failed => Next::wait(WaitingOn::Failed),
        SitePhase::RollingBack => rolling_back(state, name, site, now),
    }
}

fn updating(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    let deadline = match site_limit(state, name, site, now) {
        Ok(deadline) => deadline,
        Err(fact) => return Next::Facts(fact),
    };
    let deadline = match (deadline, batch_deadline(state, site, now)) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let next = unsettled(state, name, site, now, Direction::Forward)
        .or_else(|| advancing_is_blocked(state, site, now).map(Next::wait))
        .unwrap_or_else(|| step(state, name, site, now));
    match (next, deadline) {
        (Next::Wait(on, until), Some(at)) => Next::Wait(on, Some(until.map_or(at, |u| u.min(at)))),
        (next, _) => next,
    }
}

/// When the batch of a site has made no progress for too long.
fn batch_deadline(state: &State, site: &SiteState, now: Timestamp) -> Option<Timestamp> {
    let limit = state.spec.policy.time_limits.batch_progress?;
    let batch = site.batch.as_ref()?;
    let counts = state.may_advance_in(site.wave) && site.outstanding.is_empty();
    let at = state.wall_in(site.wave, batch.progress.plus(limit.after))?;
    // One that has passed already is acted on as soon as the site can be judged again.
    (counts && at > now).then_some(at)
}

/// The site's own time limit and its wave's: the instant at which the first is reached, or what
/// happens now.
fn site_limit(
    state: &State,
    name: &SiteName,
    site: &SiteState,
    now: Timestamp,
) -> Result<Option<Timestamp>, Vec<Fact>> {
    if !state.may_advance_in(site.wave) {
        return Ok(None);
    }
    let Some(limit) = state.spec.policy.time_limits.cluster else {
        return Ok(None);
    };
    let end = site.limit_since.plus(limit.after);
    if state.active_in(site.wave, now) < end {
        return Ok(state.wall_in(site.wave, end));
    }
    Err(at_limit(
        state,
        name,
        limit,
        FailReason::SiteTime(limit.after),
    ))
}

fn at_limit(state: &State, name: &SiteName, limit: TimeLimit, reason: FailReason) -> Vec<Fact> {
    match limit.then {
        OnTimeLimit::Fail => failure::site_failed(state, name, reason),
        OnTimeLimit::Hold => {
            let reason = HoldReason::TimeLimit {
                site: Some(name.clone()),
                wave: None,
                limit: limit.after,
            };
            alloc::vec![Fact::Held { reason }]
        }
    }
}

/// Why nothing new may start, if so.
fn advancing_is_blocked(state: &State, site: &SiteState, now: Timestamp) -> Option<WaitingOn> {
    if let Some(reason) = &state.held {
        return Some(WaitingOn::Held {
            why: reason.to_string(),
        });
    }
    match state.phase {
        RolloutPhase::Stopping { .. } => Some(WaitingOn::Held {
            why: "other sites go back".to_string(),
        }),
        RolloutPhase::Running | RolloutPhase::Finished(_) => wave::not_now(state, site.wave, now),
    }
}

/// Everything that must be settled before a site may be moved on, in either direction.
fn unsettled(
    state: &State,
    name: &SiteName,
    site: &SiteState,
    now: Timestamp,
    direction: Direction,
) -> Option<Next> {
    if let Some((cluster, detail)) = lost(state, site) {
        let fails = state.spec.policy.membership.unreachable == OnUnreachable::Fail;
        if fails && direction == Direction::Forward && state.may_advance_in(site.wave) {
            return Some(Next::Facts(failure::site_failed(
                state,
                name,
                FailReason::Unreachable(cluster),
            )));
        }
        return Some(Next::wait(WaitingOn::Unreachable { cluster, detail }));
    }
    if let Some(command) = site.outstanding.first() {
        return Some(Next::wait(WaitingOn::Command { command: *command }));
    }
    let stale = not_fresh(state, site);
    if !stale.is_empty() {
        return Some(Next::wait(WaitingOn::Observation { clusters: stale }));
    }
    let clusters = moving::known(state, site)?;
    // Long after a rollout has ended, what it does not know was put there by others.
    if (direction == Direction::Forward || state.undone)
        && let Some(known) = clusters.iter().find(|known| known.other_nodes() > 0)
    {
        let on = WaitingOn::OtherRelease {
            cluster: known.name.clone(),
            nodes: known.other_nodes(),
        };
        return Some(Next::wait(on));
    }
    let demand = demand::now(state, site, &clusters);
    if demand != site.demand {
        return Some(Next::fact(Fact::DemandChanged {
            site: name.clone(),
            demand,
        }));
    }
    if direction == Direction::Forward {
        let seen = moving::seen_split(&clusters);
        let expected = seen == site.split || site.intended_splits.contains(&seen);
        if state.spec.capabilities.splits_traffic && !expected {
            return Some(Next::wait(WaitingOn::Drift {
                seen,
                confirmed: site.split.clone(),
            }));
        }
    }
    if let Some(batch) = &site.batch
        && let Some(next) = settling(state, name, batch, &clusters, now, direction)
    {
        return Some(next);
    }
    if site.command_retry.not_before > now {
        let retry = &site.command_retry;
        let on = WaitingOn::CommandRetry {
            failures: retry.failures,
            detail: retry.detail.clone(),
        };
        return Some(Next::Wait(on, Some(retry.not_before)));
    }
    None
}

fn lost(state: &State, site: &SiteState) -> Option<(ClusterName, alloc::string::String)> {
    site.clusters.iter().find_map(|name| {
        let detail = state.unreachable(name)?;
        Some((name.clone(), detail.into()))
    })
}

fn not_fresh(state: &State, site: &SiteState) -> Vec<ClusterName> {
    let stale = |name: &&ClusterName| {
        state
            .cluster(name)
            .seen
            .as_ref()
            .is_none_or(|seen| seen.at < site.fresh_after)
    };
    site.clusters.iter().filter(stale).cloned().collect()
}

/// Whether a batch has settled; none means that it is over and the next move may be decided.
fn settling(
    state: &State,
    name: &SiteName,
    batch: &BatchState,
    clusters: &[Known<'_>],
    now: Timestamp,
    direction: Direction,
) -> Option<Next> {
    let wave = state.site(name).wave;
    let known = clusters.iter().find(|known| known.name == &batch.cluster)?;
    let (new, baseline) = (known.new_nodes(), known.baseline_nodes());
    let (rising, wanted) = match batch.rising {
        Rising::New => (new, batch.new),
        Rising::Baseline => (baseline, batch.baseline),
        Rising::Neither => (Default::default(), 0),
    };
    let counts_match = new.total() == batch.new && baseline.total() == batch.baseline;
    if counts_match && rising.unready == 0 && !known.seen.busy {
        return Some(Next::fact(Fact::BatchSettled { site: name.clone() }));
    }
    let limit = match direction {
        Direction::Forward => state
            .spec
            .policy
            .time_limits
            .batch_progress
            .filter(|_| state.may_advance_in(wave)),
        // The way back has a limit of its own.
        Direction::Back => None,
    };
    let mut until = None;
    let mut left = None;
    if let Some(limit) = limit {
        let end = batch.progress.plus(limit.after);
        let active = state.active_in(wave, now);
        if active >= end {
            return Some(Next::Facts(at_limit(
                state,
                name,
                limit,
                FailReason::BatchTime(limit.after),
            )));
        }
        until = state.wall_in(wave, end);
        left = Some(end.minus(active));
    }
    if !counts_match && !known.seen.busy {
        // The command left less than it should, as after a crash: decide again from what is there.
        return None;
    }
    let on = WaitingOn::Settling {
        cluster: batch.cluster.clone(),
        ready: rising.ready,
        wanted,
        left,
    };
    Some(Next::Wait(on, until))
}

fn step(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    let subject = Subject::Site(name.clone());
    match &site.step {
        Step::Before => {
            let before = gates::names(state, Phase::BeforeSite, site.wave);
            after_gates(
                gates::judge(state, &subject, Phase::BeforeSite, &before, now),
                Fact::WaitEnded { site: name.clone() },
            )
        }
        Step::Ask => ask(state, name, site, now),
        Step::Move => advance_move(state, name, site, now),
        Step::Gates(list) => after_gates(
            gates::judge(state, &subject, Phase::AfterBatch, list, now),
            Fact::WaitEnded { site: name.clone() },
        ),
        Step::Until(end) => {
            let active = state.active_in(site.wave, now);
            if active >= *end || state.waits(site) == Waits::Waived {
                Next::fact(Fact::WaitEnded { site: name.clone() })
            } else {
                Next::Wait(
                    WaitingOn::Time {
                        left: end.minus(active),
                    },
                    state.wall_in(site.wave, *end),
                )
            }
        }
        Step::Person(text) => Next::wait(WaitingOn::Person { text: text.clone() }),
    }
}

fn after_gates(judgement: Judgement, passed: Fact) -> Next {
    match judgement {
        Judgement::Passed => Next::fact(passed),
        Judgement::Ask(facts) => Next::Facts(facts),
        Judgement::Wait(on, until) => Next::Wait(on, until),
    }
}

fn ask(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    if let Some(consultation) = site.asked {
        return Next::wait(WaitingOn::Strategy { consultation });
    }
    // A batch that was refused, or cut short, is judged by the nodes that it left.
    if site
        .batch
        .as_ref()
        .is_some_and(|batch| rising(state, batch).unready == 0)
    {
        return Next::fact(Fact::BatchSettled { site: name.clone() });
    }
    // After a return, or a change of traffic, gates pass anew before the strategy goes on.
    if let Some(next) = unjudged(state, name, site, now) {
        return next;
    }
    // The goal of the last batch may have been dropped before the gates judged it.
    if site.batch_unjudged && site.batch.is_none() {
        return Next::fact(Fact::BatchPassed { site: name.clone() });
    }
    if site.retry.not_before > now
        && let Some(why) = &site.retry.why
    {
        let on = WaitingOn::StrategyUnavailable {
            why: (**why).clone(),
            failures: site.retry.failures,
        };
        return Next::Wait(on, Some(site.retry.not_before));
    }
    Next::fact(Fact::StrategyAsked {
        consultation: state.next_consultation,
        site: name.clone(),
    })
}

fn advance_move(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    if desired_totals(state, site) != site.goal_desired {
        return Next::fact(Fact::GoalDropped { site: name.clone() });
    }
    if let Some(on) = approvals::of_stage(state, site) {
        return Next::wait(on);
    }
    match moving::next(state, site, Direction::Forward) {
        NextMove::Traffic(split) => traffic(state, name, site, split),
        NextMove::Wait(on) => Next::wait(on),
        // The last batch is judged before the next one. One that was cut short is not judged but
        // decided again.
        NextMove::Nodes(change)
            if site.batch_unjudged && site.batch.is_none() && !moving::is_same(state, &change) =>
        {
            unjudged(state, name, site, now)
                .unwrap_or_else(|| Next::fact(Fact::BatchPassed { site: name.clone() }))
        }
        NextMove::Nodes(change) => command(state, name, Change::Nodes(change)),
        NextMove::Reached => reached(state, name, site, now),
    }
}

/// Nodes and traffic are as the goal says: they serve and are judged before the strategy goes on.
fn reached(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    if let Some(batch) = &site.batch {
        let rising = rising(state, batch);
        if rising.unready == 0 {
            return Next::fact(Fact::BatchSettled { site: name.clone() });
        }
        return Next::wait(WaitingOn::Settling {
            cluster: batch.cluster.clone(),
            ready: rising.ready,
            wanted: rising.total(),
            left: None,
        });
    }
    unjudged(state, name, site, now).unwrap_or_else(|| {
        Next::fact(if site.batch_unjudged {
            Fact::BatchPassed { site: name.clone() }
        } else {
            Fact::GoalReached { site: name.clone() }
        })
    })
}

/// Nodes of the release that gains nodes by a batch.
fn rising(state: &State, batch: &BatchState) -> NodeCounts {
    let known = Known::new(state, &batch.cluster);
    let counts = known.map(|known| (known.new_nodes(), known.baseline_nodes()));
    let (new, baseline) = counts.unwrap_or_default();
    match batch.rising {
        Rising::New => new,
        Rising::Baseline => baseline,
        Rising::Neither => NodeCounts::default(),
    }
}

/// The gates after a batch that have not passed for the site as it is now. None if all have, or
/// if no node runs the release, so that there is nothing to judge.
fn unjudged(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Option<Next> {
    let news = |cluster: &ClusterName| {
        Known::new(state, cluster).map_or(0, |known| known.new_nodes().total())
    };
    if !site.touched || site.batch.is_some() || site.clusters.iter().map(news).sum::<u32>() == 0 {
        return None;
    }
    let subject = Subject::Site(name.clone());
    let after = gates::names(state, Phase::AfterBatch, site.wave);
    match gates::judge(state, &subject, Phase::AfterBatch, &after, now) {
        Judgement::Passed => None,
        Judgement::Ask(facts) => Some(Next::Facts(facts)),
        Judgement::Wait(on, until) => Some(Next::Wait(on, until)),
    }
}

/// Desired totals of a site's clusters as they are now.
pub fn desired_totals(state: &State, site: &SiteState) -> Vec<u32> {
    let desired = |name: &ClusterName| {
        let seen = state.cluster(name).seen.as_ref();
        seen.map_or(0, |seen| seen.desired)
    };
    site.clusters.iter().map(desired).collect()
}

fn traffic(state: &State, name: &SiteName, site: &SiteState, split: Split) -> Next {
    let epochs = site
        .clusters
        .iter()
        .map(|cluster| (cluster.clone(), state.cluster(cluster).epoch));
    let unclaimed: Vec<ClusterName> = epochs
        .clone()
        .filter(|(_, epoch)| epoch.is_none())
        .map(|(c, _)| c)
        .collect();
    if !unclaimed.is_empty() {
        return Next::wait(WaitingOn::Claim {
            clusters: unclaimed,
        });
    }
    let epochs = epochs
        .filter_map(|(cluster, epoch)| Some((cluster, epoch?)))
        .collect();
    command(state, name, Change::Traffic { epochs, split })
}

fn command(state: &State, name: &SiteName, change: Change) -> Next {
    let id: CommandId = state.next_command;
    let effect = Effect {
        id,
        generation: state.generation(),
        site: name.clone(),
        change,
    };
    Next::fact(Fact::CommandIssued {
        effect: Box::new(effect),
    })
}

fn soaking(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    if let Some((cluster, detail)) = lost(state, site) {
        return Next::wait(WaitingOn::Unreachable { cluster, detail });
    }
    let stale = not_fresh(state, site);
    if !stale.is_empty() {
        return Next::wait(WaitingOn::Observation { clusters: stale });
    }
    if may_reopen(state, site, now) {
        return Next::fact(Fact::SiteReopened { site: name.clone() });
    }
    let wanted = state.spec.plan.waves[site.wave].site_soak;
    soak_until(
        state,
        name,
        site,
        now,
        wanted,
        Fact::SiteDone { site: name.clone() },
    )
}

fn soak_until(
    state: &State,
    name: &SiteName,
    site: &SiteState,
    now: Timestamp,
    wanted: DurationMs,
    covered_fact: Fact,
) -> Next {
    let covered = soak::covered(state, name, site, now);
    if let Some((cluster, ready, wanted)) = guard::short(state, site) {
        return Next::wait(WaitingOn::Settling {
            cluster,
            ready,
            wanted,
            left: None,
        });
    }
    if let Some(on) = advancing_is_blocked(state, site, now) {
        return Next::wait(on);
    }
    if covered >= wanted {
        return match soak::unvouched(state, name, now) {
            Some(key) if wanted > DurationMs::ZERO => Next::wait(gates::pending(state, &key, now)),
            Some(_) | None => Next::fact(covered_fact),
        };
    }
    if state.waits(site) == Waits::Waived {
        // The time is waived, the gates are not.
        let mut covering = soak::covering(state, name).into_iter();
        return match covering.find(|key| !soak::has_passed(site, key)) {
            None => Next::fact(covered_fact),
            Some(key) => Next::wait(gates::pending(state, &key, now)),
        };
    }
    let by_evidence = !soak::covering(state, name).is_empty();
    // Evidence wakes the site when it comes; bare time has to be waited for.
    let soaked = site.soak_since.plus(wanted);
    let until = (!by_evidence)
        .then(|| state.wall_in(site.wave, soaked))
        .flatten();
    Next::Wait(WaitingOn::Soak { covered, wanted }, until)
}

/// A site that is done soaks once more together with its wave.
fn done(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    let wave = &state.waves[site.wave];
    let running = matches!(state.phase, RolloutPhase::Running);
    if wave.phase != WavePhase::Soaking || site.wave_soaked || !running {
        return Next::Idle;
    }
    if let Some((cluster, detail)) = lost(state, site) {
        return Next::wait(WaitingOn::Unreachable { cluster, detail });
    }
    if not_fresh(state, site).is_empty() && may_reopen(state, site, now) {
        return Next::fact(Fact::SiteReopened { site: name.clone() });
    }
    let wanted = state.spec.plan.waves[site.wave].soak;
    soak_until(
        state,
        name,
        site,
        now,
        wanted,
        Fact::SiteSoaked { site: name.clone() },
    )
}

/// Whether a site that soaks misses nodes, as when its total has risen, and may be decided again.
fn may_reopen(state: &State, site: &SiteState, now: Timestamp) -> bool {
    let (wave, plan) = (&state.waves[site.wave], &state.spec.plan.waves[site.wave]);
    let place = site.phase.in_flight() || wave.in_flight < plan.max_parallel_sites;
    place
        && advancing_is_blocked(state, site, now).is_none()
        && !failure::budget_exceeded(state)
        && guard::missing(state, site)
}

/// The way back: traffic and nodes by the same rules and its own limits, without gates.
fn rolling_back(state: &State, name: &SiteName, site: &SiteState, now: Timestamp) -> Next {
    if !site.touched {
        return Next::fact(Fact::SiteRolledBack { site: name.clone() });
    }
    if state.clock.paused {
        return Next::wait(WaitingOn::Paused);
    }
    let progress = state.spec.policy.failure.rollback.progress;
    let end = site.limit_since.plus(progress);
    if state.active_in(site.wave, now) >= end {
        let why = match unsettled(state, name, site, now, Direction::Back) {
            Some(Next::Wait(on, _)) => on.to_string(),
            Some(Next::Facts(_) | Next::Idle) | None => {
                alloc::format!("no progress for {progress}")
            }
        };
        return Next::fact(Fact::SiteRollbackFailed {
            site: name.clone(),
            why,
        });
    }
    let next = unsettled(state, name, site, now, Direction::Back).unwrap_or_else(|| {
        match moving::next(state, site, Direction::Back) {
            NextMove::Traffic(split) => traffic(state, name, site, split),
            NextMove::Nodes(change) => command(state, name, Change::Nodes(change)),
            NextMove::Reached => back(state, name, site),
            NextMove::Wait(on) => Next::wait(on),
        }
    });
    let deadline = state.wall_in(site.wave, end);
    match (next, deadline) {
        (Next::Wait(on, until), Some(at)) => Next::Wait(on, Some(until.map_or(at, |u| u.min(at)))),
        (next, _) => next,
    }
}

/// A site is back when the nodes of its baseline serve, not only when they were started.
fn back(state: &State, name: &SiteName, site: &SiteState) -> Next {
    let clusters = moving::known(state, site).unwrap_or_default();
    let serving = |known: &Known<'_>| {
        if known.baseline == known.release {
            known.new_nodes().ready
        } else {
            known.baseline_nodes().ready
        }
    };
    let short = clusters
        .iter()
        .find(|known| known.cluster.touched && serving(known) < known.seen.desired);
    match short {
        Some(known) => Next::wait(WaitingOn::Settling {
            cluster: known.name.clone(),
            ready: serving(known),
            wanted: known.seen.desired,
            left: None,
        }),
        None => Next::fact(Fact::SiteRolledBack { site: name.clone() }),
    }
}
