//! Facts change the state, and nothing else does. No decision is made here: the same facts give
//! the same state, today and in every later version.

mod clusters;
mod commands;
mod gates;
mod members;
mod sites;
mod steering;

use crate::fact::Fact;
use crate::spec::Spec;
use crate::state::{
    Asked, Clock, ClusterState, Retry, RolloutPhase, Shut, SitePhase, SiteState, State, Step,
    WavePhase, WaveState,
};
use alloc::collections::{BTreeMap, BTreeSet};
use clusters::{observed, returned};
use commands::{command_issued, confirmed, refused, take_command};
use gates::{failed_again, gate_answered, gate_asked, gate_unavailable, new_evidence};
use sites::{
    completed, reopen, rollback_started, set_phase, site_started, soak_anew, strategy_answered,
    wait_ended, wave_soak_started,
};
use steering::{approved, continued, resumed};
use wavegate_model::plugin::Completed;
use wavegate_model::policy::WhenBusy;
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, DurationMs, Seen, SiteName, Timestamp,
};

/// The state after a rollout's first fact.
pub fn begin(at: Timestamp, spec: &Spec) -> State {
    let mut sites = BTreeMap::new();
    let mut clusters: BTreeMap<ClusterName, ClusterState> = BTreeMap::new();
    let mut number = 0;
    for (wave, planned) in spec.plan.waves.iter().enumerate() {
        for site in &planned.sites {
            number += 1;
            for cluster in &site.clusters {
                let found = clusters.entry(cluster.name.clone()).or_default();
                found.site = Some(site.name.clone());
                found.role = cluster.role.clone();
            }
            let names = site
                .clusters
                .iter()
                .map(|cluster| cluster.name.clone())
                .collect();
            sites.insert(
                site.name.clone(),
                SiteState {
                    wave,
                    number,
                    clusters: names,
                    ..SiteState::default()
                },
            );
        }
    }
    let mut state = State {
        spec: spec.clone(),
        phase: RolloutPhase::Running,
        held: None,
        clock: Clock {
            started: at,
            last: at,
            // Whether they are open is told by a fact of the first step.
            window_change: (!spec.windows.closed.is_empty()).then_some(at),
            // One that may wait for others begins once somebody has looked for them.
            behind: (spec.policy.when_busy == WhenBusy::Refuse).then(BTreeMap::new),
            still_since: (spec.policy.when_busy != WhenBusy::Refuse).then_some(at),
            ..Clock::default()
        },
        waves: spec
            .plan
            .waves
            .iter()
            .map(|_| WaveState::default())
            .collect(),
        sites: sites.into_iter().collect(),
        clusters: clusters.into_iter().collect(),
        outstanding: BTreeMap::new(),
        consultations: BTreeMap::new(),
        resumed_at_command: CommandId(0),
        next_command: CommandId(1),
        next_consultation: ConsultationId(1),
        limit_since: DurationMs::ZERO,
        failed_sites: 0,
        sites_most: 0,
        members: BTreeMap::new(),
        inbox: 0,
    };
    members::count_sites(&mut state);
    state
}
/// Changes the state by one fact.
pub fn apply(state: &mut State, at: Timestamp, fact: &Fact) {
    state.clock.last = state.clock.last.max(at);
    let active = state.clock.active(at);
    match fact {
        Fact::Started { .. }
        | Fact::AnswerDiscarded { .. }
        | Fact::RequestRefused { .. }
        | Fact::EndAsked { .. } => {}
        Fact::Resumed { down } => resumed(state, at, *down),
        Fact::Claimed { cluster, epoch } => cluster_mut(state, cluster).epoch = Some(*epoch),
        Fact::Observed { cluster, seen } => {
            let found = cluster_mut(state, cluster);
            found.news = news(found, seen);
            found.seen = Some(seen.clone());
            observed(state, cluster, active);
        }
        Fact::ClusterLost { cluster, detail } => {
            cluster_mut(state, cluster).lost = Some((at, detail.clone()))
        }
        Fact::ClusterReturned { cluster } => returned(state, cluster, at),
        Fact::BaselineTaken {
            cluster, release, ..
        } => cluster_mut(state, cluster).baseline = Some(release.clone()),
        Fact::WaveStarted { wave } => {
            let wave = wave_mut(state, wave);
            wave.phase = WavePhase::Running;
            wave.limit_since = active;
        }
        Fact::WaveSoakStarted { wave } => wave_soak_started(state, wave, active),
        Fact::WaveDone { wave } => wave_mut(state, wave).phase = WavePhase::Done,
        Fact::SiteStarted {
            site,
            split,
            demand,
        } => site_started(state, site, split, *demand, at, active),
        Fact::SiteSkipped { site, .. } => set_phase(state, site, SitePhase::Skipped),
        Fact::StrategyAsked { consultation, site } => {
            state.next_consultation = consultation.next();
            state
                .consultations
                .insert(*consultation, Asked::Strategy(site.clone()));
            site_mut(state, site).asked = Some(*consultation);
        }
        Fact::StrategyAnswered {
            consultation,
            site,
            outcome,
        } => {
            state.consultations.remove(consultation);
            strategy_answered(state, site, outcome, active);
        }
        Fact::StrategyUnavailable {
            consultation,
            site,
            why,
        } => {
            state.consultations.remove(consultation);
            let site = site_mut(state, site);
            site.asked = None;
            failed_again(&mut site.retry, at, why);
        }
        Fact::GateAsked { consultation, gate } => gate_asked(state, *consultation, gate),
        Fact::GateAnswered {
            consultation,
            gate,
            evaluation,
        } => gate_answered(state, *consultation, gate, evaluation, at),
        Fact::GateUnavailable {
            consultation,
            gate,
            why,
        } => gate_unavailable(state, *consultation, gate, why, at),
        Fact::CommandIssued { effect } => command_issued(state, effect, at),
        Fact::CommandConfirmed { command } => confirmed(state, *command, at),
        Fact::CommandRefused { command, result } => refused(state, *command, result, at),
        // The split that was intended stays known: it may be in effect.
        Fact::CommandVoided { command } => {
            take_command(state, *command, at);
        }
        Fact::BatchSettled { site } => {
            let found = site_mut(state, site);
            found.batch = None;
            found.command_retry = Retry::default();
            new_evidence(state, site, at);
        }
        Fact::BatchPassed { site } => site_mut(state, site).batch_unjudged = false,
        Fact::GoalReached { site } => completed(state, site, Completed::Goal),
        Fact::GoalDropped { site } => {
            let site = site_mut(state, site);
            site.goal = None;
            site.step = Step::Ask;
        }
        Fact::WaitEnded { site } => wait_ended(state, site),
        Fact::SiteSoakStarted { site } => {
            set_phase(state, site, SitePhase::Soaking);
            soak_anew(state, site, active);
        }
        Fact::SiteDone { site } => set_phase(state, site, SitePhase::Done),
        Fact::SiteSoaked { site } => {
            site_mut(state, site).wave_soaked = true;
            let wave = state.site(site).wave;
            state.waves[wave].soaked += 1;
        }
        Fact::SiteFailed { site, reason } => {
            set_phase(state, site, SitePhase::Failed);
            let found = site_mut(state, site);
            found.failure = Some(reason.clone());
            let wave = found.wave;
            state.failed_sites += 1;
            state.waves[wave].failed += 1;
        }
        Fact::SiteRollbackStarted { site } => rollback_started(state, site, active),
        Fact::SiteRolledBack { site } => set_phase(state, site, SitePhase::RolledBack),
        Fact::SiteRollbackFailed { site, why } => {
            set_phase(state, site, SitePhase::RollbackFailed);
            site_mut(state, site).not_back = Some(why.clone());
        }
        Fact::Paused { .. } => state.clock.paused = true,
        Fact::WindowClosed { why, opens } => {
            state.clock.closed = Some(Shut {
                why: why.clone(),
                opens: *opens,
            });
            state.clock.window_change = *opens;
        }
        Fact::WindowOpened { closes } => {
            state.clock.closed = None;
            state.clock.window_change = *closes;
        }
        Fact::Continued { .. } => continued(state, at),
        Fact::Approved { wave, site, .. } => approved(state, wave.as_ref(), site.as_ref()),
        Fact::InboxTaken { id } => state.inbox = state.inbox.max(*id),
        Fact::Held { reason } => state.held = Some(reason.clone()),
        Fact::Stopped { reason, sites } => {
            let sites: BTreeSet<SiteName> = sites.iter().cloned().collect();
            state.held = None;
            // Going back does not wait for the end of a pause.
            state.clock.paused = false;
            // A new attempt for those that could not go back before.
            for name in &sites {
                if state.site(name).phase == SitePhase::RollbackFailed {
                    set_phase(state, name, SitePhase::Failed);
                }
            }
            state.phase = RolloutPhase::Stopping {
                reason: reason.clone(),
                sites,
            };
        }
        Fact::Finished { end } => state.phase = RolloutPhase::Finished(*end),
        Fact::Replanned {
            plan,
            clusters,
            changes,
            ..
        } => members::replanned(state, plan, clusters, changes),
        Fact::Queued { behind } => state.clock.behind = Some(behind.clone()),
        Fact::DemandChanged { site, demand } => site_mut(state, site).demand = *demand,
        Fact::SiteReopened { site } => {
            set_phase(state, site, SitePhase::Updating);
            reopen(state, site, active);
        }
    }
    state.clock.settle(at, &state.phase);
}
/// Since when a cluster has looked as it does now. It is told again within ten seconds only if
/// something is new, so that most looks need not be compared.
fn news(cluster: &ClusterState, seen: &Seen) -> Timestamp {
    let old = cluster
        .seen
        .as_ref()
        .is_some_and(|last| seen.at.since(last.at) >= DurationMs::secs(10) && seen.same_as(last));
    if old { cluster.news } else { seen.at }
}

fn site_mut<'a>(state: &'a mut State, name: &SiteName) -> &'a mut SiteState {
    state
        .sites
        .get_mut(name)
        .expect("facts name sites of the plan")
}
fn cluster_mut<'a>(state: &'a mut State, name: &ClusterName) -> &'a mut ClusterState {
    state
        .clusters
        .get_mut(name)
        .expect("facts name clusters of the plan")
}
fn wave_mut<'a>(state: &'a mut State, name: &wavegate_model::WaveName) -> &'a mut WaveState {
    let index = state
        .spec
        .plan
        .waves
        .iter()
        .position(|wave| wave.name == *name);
    &mut state.waves[index.expect("facts name waves of the plan")]
}
