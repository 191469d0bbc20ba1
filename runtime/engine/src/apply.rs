//! Facts change the state, and nothing else does. No decision is made here: the same facts give
//! the same state, today and in every later version.

mod clusters;
mod commands;
mod gates;
mod members;
mod sites;
mod steering;
mod swap;
mod verbs;
mod windows;

use crate::fact::Fact;
use crate::spec::Spec;
use crate::state::{
    Asked, Clock, ClusterState, Doubt, Retry, RolloutPhase, Shut, SitePhase, SiteState, State,
    Step, Waits, WavePhase, WaveState,
};
use crate::swap::Swapped;
use alloc::collections::BTreeMap;
use clusters::{observed, returned};
use commands::{command_issued, confirmed, refused, voided};
pub(crate) use gates::evidence;
use gates::{
    failed_again, gate_answered, gate_asked, gate_cancelled, gate_unavailable, new_evidence,
};
use sites::{
    completed, reopen, rollback_started, set_phase, site_started, soak_anew, strategy_answered,
    strategy_cancelled, wait_ended, wave_soak_started, wave_started,
};
use steering::{approved, continued, resumed};
use swap::swapped;
use wavegate_model::plugin::Completed;
use wavegate_model::policy::WhenBusy;
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, DurationMs, Seen, SiteName, Timestamp, WaveName,
};
use windows::{wave_closed, wave_opened, waves_go_on};

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
            .map(|plan| wave(at, spec, &plan.name))
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
        waits: Waits::Kept,
        undone: false,
        swaps: BTreeMap::new(),
    };
    members::count_sites(&mut state);
    state
}

fn wave(at: Timestamp, spec: &Spec, name: &WaveName) -> WaveState {
    let mut wave = WaveState::default();
    let own = spec.wave_windows.get(name);
    wave.clock.window_change = own.is_some_and(|own| !own.closed.is_empty()).then_some(at);
    wave
}

/// Changes the state by one fact.
pub fn apply(state: &mut State, at: Timestamp, fact: &Fact) {
    state.clock.last = state.clock.last.max(at);
    match fact {
        Fact::Started { .. }
        | Fact::AnswerDiscarded { .. }
        | Fact::RequestRefused { .. }
        | Fact::EndAsked { .. } => {}
        Fact::Resumed { down } => resumed(state, at, *down),
        Fact::Claimed { cluster, epoch } => {
            let cluster = cluster_mut(state, cluster);
            cluster.epoch = Some(*epoch);
            cluster.epochs.push(*epoch);
            cluster.in_doubt = None;
        }
        Fact::Observed { cluster, seen } => {
            let found = cluster_mut(state, cluster);
            found.news = news(found, seen);
            found.seen = Some(seen.clone());
            let later = |doubt: &mut Doubt| seen.last_nodes >= Some(doubt.newest);
            let _carried_out = found.in_doubt.take_if(later);
            observed(state, cluster, at);
        }
        Fact::ClusterLost { cluster, detail } => {
            cluster_mut(state, cluster).lost = Some((at, detail.clone()))
        }
        Fact::ClusterReturned { cluster } => returned(state, cluster, at),
        Fact::BaselineTaken {
            cluster,
            release,
            remainder,
            ..
        } => {
            let found = cluster_mut(state, cluster);
            found.baseline = Some(release.clone());
            found.remainder = remainder.clone();
        }
        Fact::WaveStarted { wave } => wave_started(state, wave, at),
        Fact::WaveSoakStarted { wave } => wave_soak_started(state, wave, at),
        Fact::WaveDone { wave } => wave_mut(state, wave).phase = WavePhase::Done,
        Fact::SiteStarted {
            site,
            split,
            demand,
        } => site_started(state, site, split, *demand, at),
        Fact::SiteSkipped { site, .. } => verbs::left_out(state, site),
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
            strategy_answered(state, site, outcome, at);
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
        Fact::GateAsked { consultation, gate } => gate_asked(state, *consultation, gate, at),
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
        Fact::CommandVoided { command } => voided(state, *command, at),
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
            soak_anew(state, site, at);
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
        Fact::SiteRollbackStarted { site } => rollback_started(state, site, at),
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
        Fact::Approved {
            wave,
            site,
            actor,
            stage,
            ..
        } => approved(state, wave.as_ref(), site.as_ref(), stage.as_deref(), actor),
        Fact::InboxTaken { id } => state.inbox = state.inbox.max(*id),
        Fact::Held { reason } => state.held = Some(reason.clone()),
        Fact::Stopped { reason, sites } => {
            // Going back waits for no window.
            waves_go_on(state, at);
            verbs::stopped(state, reason.clone(), sites);
        }
        Fact::Finished { end } => {
            waves_go_on(state, at);
            state.phase = RolloutPhase::Finished(*end);
        }
        Fact::Promoted { site: None, .. } => state.waits = Waits::Waived,
        Fact::Promoted {
            site: Some(site), ..
        } => site_mut(state, site).waits = Waits::Waived,
        Fact::RetryAsked { site, .. } => verbs::back_offs_ended(state, site.as_ref(), at),
        Fact::SiteRetried { site } => verbs::site_retried(state, site, at),
        Fact::SkipAsked { .. } => {}
        Fact::SiteGivenUp { site, clusters } => {
            verbs::left_out(state, site);
            site_mut(state, site).given_up = clusters.clone();
        }
        Fact::GateOverridden {
            gate,
            actor,
            reason,
        } => verbs::gate_overridden(state, gate, actor, reason, at),
        Fact::Undone {
            actor,
            reason,
            sites,
        } => verbs::undone(state, actor, reason, sites),
        Fact::PluginSwapped {
            part,
            from,
            to,
            memory,
            actor,
            reason,
        } => {
            let swap = Swapped {
                from: from.clone(),
                to: (**to).clone(),
                memory: *memory,
                actor: actor.clone(),
                reason: reason.clone(),
                at,
            };
            swapped(state, part, swap);
        }
        Fact::WaveWindowClosed { wave, why, opens } => {
            wave_closed(state, wave, why, *opens, at);
        }
        Fact::WaveWindowOpened { wave, closes } => wave_opened(state, wave, *closes, at),
        Fact::GateCancelled {
            consultation,
            gate,
            why,
        } => gate_cancelled(state, *consultation, gate, *why, at),
        Fact::StrategyCancelled {
            consultation,
            site,
            why,
        } => strategy_cancelled(state, *consultation, site, *why, at),
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
            let active = state.active_in(state.site(site).wave, at);
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
fn wave_mut<'a>(state: &'a mut State, name: &WaveName) -> &'a mut WaveState {
    let index = state
        .spec
        .plan
        .waves
        .iter()
        .position(|wave| wave.name == *name);
    &mut state.waves[index.expect("facts name waves of the plan")]
}
