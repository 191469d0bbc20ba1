//! Facts change the state, and nothing else does. No decision is made here: the same facts give
//! the same state, today and in every later version.

use crate::command::{Change, Effect};
use crate::fact::{Fact, HoldReason};
use crate::input::CommandResult;
use crate::moving;
use crate::soak;
use crate::spec::Spec;
use crate::state::{
    Asked, BatchState, Clock, ClusterState, GateKey, Retry, Rising, RolloutPhase, Shut, SitePhase,
    SiteState, State, Step, WavePhase, WaveState,
};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use wavegate_model::limits::GATE_INTERVAL_MIN;
use wavegate_model::plugin::{Completed, Evaluation, Outcome, Phase, Proposal, Subject, Verdict};
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, DurationMs, GateName, SiteName, Split, Timestamp,
    Unavailable,
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
    State {
        spec: spec.clone(),
        phase: RolloutPhase::Running,
        held: None,
        clock: Clock {
            started: at,
            last: at,
            // Whether they are open is told by a fact of the first step.
            window_change: (!spec.windows.closed.is_empty()).then_some(at),
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
        gates: BTreeMap::new(),
        outstanding: BTreeMap::new(),
        consultations: BTreeMap::new(),
        resumed_at_command: CommandId(0),
        next_command: CommandId(1),
        next_consultation: ConsultationId(1),
        limit_since: DurationMs::ZERO,
        failed_sites: 0,
        inbox: 0,
    }
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
    }
    state.clock.settle(at, &state.phase);
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

/// Changes a site's phase and keeps its wave's counts in step.
fn set_phase(state: &mut State, name: &SiteName, phase: SitePhase) {
    let site = site_mut(state, name);
    let before = core::mem::replace(&mut site.phase, phase);
    let index = site.wave;
    let was_soaked = core::mem::take(&mut site.wave_soaked);
    let wave = &mut state.waves[index];
    let change = |count: &mut u32, was: bool, is: bool| match (was, is) {
        (false, true) => *count += 1,
        (true, false) => *count -= 1,
        (true, true) | (false, false) => {}
    };
    change(&mut wave.in_flight, before.in_flight(), phase.in_flight());
    change(&mut wave.finished, before.finished(), phase.finished());
    // Sites that ended without being done need no soak of the wave.
    let needs_no_soak = |p: SitePhase| p.finished() && p != SitePhase::Done;
    change(
        &mut wave.soaked,
        was_soaked || needs_no_soak(before),
        needs_no_soak(phase),
    );
    if before.finished() && !phase.finished() {
        reopened(state, index);
    }
    let sites = &state.spec.plan.waves[index].sites;
    let started = |i: usize| state.sites[&sites[i].name].phase != SitePhase::Pending;
    let mut next = state.waves[index].next_site;
    while next < sites.len() && started(next) {
        next += 1;
    }
    state.waves[index].next_site = next;
}

/// A site of a wave is no longer finished: what was judged after the wave is void.
fn reopened(state: &mut State, index: usize) {
    state.waves[index].evidence += 1;
    let wave = &state.spec.plan.waves[index].name;
    for (key, gate) in &mut state.gates {
        if key.phase == Phase::AfterWave && matches!(&key.subject, Subject::Wave(w) if w == wave) {
            gate.last = None;
        }
    }
}

fn resumed(state: &mut State, at: Timestamp, down: DurationMs) {
    // While the clock stands still this time does not count anyway.
    if !state.clock.stands_still() {
        state.clock.stopped = state.clock.stopped.plus(down);
    }
    state.resumed_at_command = state.next_command;
    state.consultations.clear();
    for cluster in state.clusters.values_mut() {
        cluster.epoch = None;
    }
    for gate in state.gates.values_mut() {
        gate.asked = None;
    }
    for site in state.sites.values_mut() {
        site.asked = None;
        site.fresh_after = at;
        for coverage in site.soak.values_mut() {
            soak::undecided(coverage);
        }
    }
}

fn observed(state: &mut State, cluster: &ClusterName, active: DurationMs) {
    let Some(name) = state.cluster(cluster).site.clone() else {
        return;
    };
    let site = state.site(&name);
    let news =
        |c: &ClusterName| moving::Known::new(state, c).map_or(0, |known| known.new_nodes().total());
    let exposed = if site.touched {
        site.clusters.iter().map(news).sum()
    } else {
        0
    };
    let ready = site
        .batch
        .as_ref()
        .filter(|batch| batch.cluster == *cluster)
        .and_then(|batch| {
            let known = moving::Known::new(state, cluster)?;
            Some(match batch.rising {
                Rising::New => known.new_nodes().ready,
                Rising::Baseline => known.baseline_nodes().ready,
                Rising::Neither => 0,
            })
        });
    let rolls_back = site.phase == SitePhase::RollingBack;
    let site = site_mut(state, &name);
    site.exposed_nodes = site.exposed_nodes.max(exposed);
    if let (Some(batch), Some(ready)) = (&mut site.batch, ready)
        && ready > batch.best_ready
    {
        batch.best_ready = ready;
        batch.progress = active;
        if rolls_back {
            site.limit_since = active;
        }
    }
}

fn returned(state: &mut State, cluster: &ClusterName, at: Timestamp) {
    let found = cluster_mut(state, cluster);
    found.lost = None;
    let Some(name) = found.site.clone() else {
        return;
    };
    let active = state.clock.active(at);
    match state.site(&name).phase {
        SitePhase::Updating => {
            new_evidence(state, &name, at);
            let site = site_mut(state, &name);
            if site.outstanding.is_empty() && matches!(site.step, Step::Gates(_) | Step::Until(_)) {
                site.step = Step::Ask;
            }
        }
        SitePhase::Soaking | SitePhase::Done => {
            let as_wanted = moving::Known::new(state, cluster).is_some_and(|known| {
                known.new_nodes().ready >= known.seen.desired
                    || known.seen.traffic.as_ref().is_some_and(|t| t.is_empty())
            });
            new_evidence(state, &name, at);
            soak_anew(state, &name, active);
            if !as_wanted {
                set_phase(state, &name, SitePhase::Updating);
                let site = site_mut(state, &name);
                site.step = Step::Ask;
                site.goal = None;
                site.limit_since = active;
            }
        }
        SitePhase::Pending
        | SitePhase::Failed
        | SitePhase::RollingBack
        | SitePhase::RolledBack
        | SitePhase::RollbackFailed
        | SitePhase::Skipped => {}
    }
}

fn wave_soak_started(state: &mut State, wave: &wavegate_model::WaveName, active: DurationMs) {
    let index = state.spec.plan.waves.iter().position(|w| w.name == *wave);
    wave_mut(state, wave).phase = WavePhase::Soaking;
    let names: Vec<SiteName> = state
        .sites
        .iter()
        .filter(|(_, s)| Some(s.wave) == index)
        .map(|(n, _)| n.clone())
        .collect();
    for name in names {
        soak_anew(state, &name, active);
    }
}

/// Healthy time starts anew.
fn soak_anew(state: &mut State, name: &SiteName, active: DurationMs) {
    let site = site_mut(state, name);
    site.soak.clear();
    site.soak_since = active;
    let index = site.wave;
    if core::mem::take(&mut site.wave_soaked) {
        state.waves[index].soaked -= 1;
    }
}

fn site_started(
    state: &mut State,
    name: &SiteName,
    split: &Split,
    demand: u32,
    at: Timestamp,
    active: DurationMs,
) {
    set_phase(state, name, SitePhase::Updating);
    let site = site_mut(state, name);
    site.baseline_split = split.clone();
    site.split = split.clone();
    site.demand = demand;
    site.started = active;
    site.limit_since = active;
    site.stage_since = active;
    site.evidence_start = at;
    site.step = Step::Before;
}

fn strategy_answered(state: &mut State, name: &SiteName, outcome: &Outcome, active: DurationMs) {
    let goal_desired = crate::site::desired_total(state, state.site(name));
    let site = site_mut(state, name);
    site.asked = None;
    site.retry = Retry::default();
    site.idle_decisions += 1;
    if site.stage != outcome.stage {
        site.stage = outcome.stage.clone();
        site.stage_since = active;
    }
    site.reason = outcome.reason.clone();
    site.strategy = outcome.state.clone();
    match &outcome.proposal {
        Proposal::Go(goal) => {
            let mut goal = goal.clone();
            goal.clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
            site.goal = Some(goal);
            site.goal_desired = goal_desired;
            site.step = Step::Move;
        }
        Proposal::WaitGates(gates) => {
            // After time has passed, a verdict from before says nothing about it.
            site.step = Step::Gates(gates.clone());
            if site.completed == Completed::Time {
                ask_again(state, name, gates);
            }
        }
        Proposal::Wait(time) => {
            // Shorter waits would let a strategy be asked without end.
            if *time >= DurationMs::secs(1) {
                site.idle_decisions = 0;
            }
            site.step = Step::Until(active.plus(*time));
        }
        Proposal::WaitPerson(text) => {
            site.idle_decisions = 0;
            site.step = Step::Person(text.clone());
        }
        // A fact of its own follows.
        Proposal::Done | Proposal::Failed(_) => {}
    }
}

fn failed_again(retry: &mut Retry, at: Timestamp, why: &Unavailable) {
    retry.failures += 1;
    retry.not_before = at.plus(Retry::delay(retry.failures));
    retry.why = Some(Box::new(why.clone()));
}

fn gate_asked(state: &mut State, consultation: ConsultationId, key: &GateKey) {
    state.next_consultation = consultation.next();
    let evidence = evidence(state, key);
    state
        .consultations
        .insert(consultation, Asked::Gate(key.clone(), evidence));
    state.gates.entry(key.clone()).or_default().asked = Some(consultation);
}

/// Number of the evidence that a gate's answer now would be about. It rises when a site changes,
/// and for a wave when one of its sites is no longer finished.
fn evidence(state: &State, key: &GateKey) -> u64 {
    match &key.subject {
        Subject::Site(site) => state.site(site).evidence,
        Subject::Wave(wave) => {
            let waves = state.spec.plan.waves.iter().zip(&state.waves);
            let found = waves.into_iter().find(|(plan, _)| plan.name == *wave);
            found.map_or(0, |(_, wave)| wave.evidence)
        }
    }
}

fn gate_answered(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    evaluation: &Evaluation,
    at: Timestamp,
) {
    let asked = state.consultations.remove(&consultation);
    let current = matches!(asked, Some(Asked::Gate(_, asked)) if asked == evidence(state, key));
    let policy = crate::gates::policy_of(state, &key.gate);
    let interval = policy.interval.max(GATE_INTERVAL_MIN);
    let active = state.clock.active(at);
    let gate = state.gates.entry(key.clone()).or_default();
    gate.asked = None;
    gate.attempts += 1;
    gate.answers += 1;
    gate.retry = Retry::default();
    gate.state = evaluation.state.clone();
    gate.evaluation = Some(Box::new(evaluation.clone()));
    gate.due = if current { at.plus(interval) } else { at };
    match evaluation.verdict {
        Verdict::Fail => {
            gate.fails_in_row += 1;
            gate.fails += 1;
        }
        Verdict::Pass => gate.fails_in_row = 0,
        Verdict::Hold => {}
    }
    if current {
        gate.last = Some((evaluation.verdict, at));
    }
    let Subject::Site(name) = &key.subject else {
        return;
    };
    let site = site_mut(state, name);
    if key.phase == Phase::AfterBatch {
        site.idle_decisions = 0;
    }
    if key.phase != Phase::Soak && key.phase != Phase::Continuous {
        return;
    }
    match evaluation.verdict {
        Verdict::Pass if current => {
            soak::passed(site.soak.entry(key.clone()).or_default(), active, interval)
        }
        // A pass on evidence that is void by now says nothing.
        Verdict::Pass | Verdict::Hold => soak::undecided(site.soak.entry(key.clone()).or_default()),
        Verdict::Fail => soak_anew(state, name, active),
    }
}

fn gate_unavailable(
    state: &mut State,
    consultation: ConsultationId,
    key: &GateKey,
    why: &Unavailable,
    at: Timestamp,
) {
    state.consultations.remove(&consultation);
    let counts = crate::gates::policy_of(state, &key.gate).on_unavailable
        == wavegate_model::policy::OnUnavailable::Fail
        && *why != Unavailable::HostStopped;
    let gate = state.gates.entry(key.clone()).or_default();
    gate.asked = None;
    gate.attempts += 1;
    gate.answers += 1;
    if counts {
        gate.fails_in_row += 1;
        gate.fails += 1;
    }
    failed_again(&mut gate.retry, at, why);
    gate.due = gate.retry.not_before;
    gate.last = None;
    if let Subject::Site(name) = &key.subject
        && matches!(key.phase, Phase::Soak | Phase::Continuous)
    {
        soak::undecided(site_mut(state, name).soak.entry(key.clone()).or_default());
    }
}

/// What was measured so far was measured of something else.
fn new_evidence(state: &mut State, name: &SiteName, at: Timestamp) {
    let site = site_mut(state, name);
    site.evidence_start = at;
    site.evidence += 1;
    // Only this site's: a step must not cost as much as the fleet is large.
    let first = GateKey {
        subject: Subject::Site(name.clone()),
        phase: Phase::AfterBatch,
        gate: GateName::new(""),
    };
    let subject = first.subject.clone();
    let mine = |key: &GateKey| key.phase == Phase::AfterBatch && key.subject == subject;
    for (_, gate) in state
        .gates
        .range_mut(first..)
        .take_while(|(key, _)| mine(key))
    {
        gate.last = None;
        gate.attempts = 0;
        gate.due = at;
    }
}

/// These gates have to judge the site once more, by the evidence since its last batch settled.
fn ask_again(state: &mut State, name: &SiteName, gates: &[GateName]) {
    for gate in gates {
        let key = GateKey {
            subject: Subject::Site(name.clone()),
            phase: Phase::AfterBatch,
            gate: gate.clone(),
        };
        if let Some(gate) = state.gates.get_mut(&key) {
            gate.last = None;
        }
    }
}

fn command_issued(state: &mut State, effect: &Effect, at: Timestamp) {
    let active = state.clock.active(at);
    state.next_command = effect.id.next();
    state.outstanding.insert(effect.id, effect.clone());
    let batch = match &effect.change {
        Change::Nodes(change) => {
            let known = moving::Known::new(state, &change.cluster);
            let (new, baseline) = known.map_or((0, 0), |k| {
                (k.new_nodes().total(), k.baseline_nodes().total())
            });
            let ready = |counts: fn(&moving::Known<'_>) -> u32| {
                moving::Known::new(state, &change.cluster).map_or(0, |k| counts(&k))
            };
            let (rising, best_ready) = if change.new > new {
                (Rising::New, ready(|k| k.new_nodes().ready))
            } else if change.baseline > baseline {
                (Rising::Baseline, ready(|k| k.baseline_nodes().ready))
            } else {
                (Rising::Neither, 0)
            };
            Some(BatchState {
                cluster: change.cluster.clone(),
                new: change.new,
                baseline: change.baseline,
                rising,
                best_ready,
                progress: active,
            })
        }
        Change::Traffic { .. } => None,
    };
    let clusters: Vec<ClusterName> = match &effect.change {
        Change::Nodes(change) => alloc::vec![change.cluster.clone()],
        Change::Traffic { .. } => state.site(&effect.site).clusters.clone(),
    };
    for cluster in clusters {
        cluster_mut(state, &cluster).touched = true;
    }
    let site = site_mut(state, &effect.site);
    site.touched = true;
    site.idle_decisions = 0;
    site.outstanding.insert(effect.id);
    match &effect.change {
        Change::Nodes(_) => {
            // A batch that is decided again goes on from the progress of the first.
            let progress = site.batch.as_ref().map(|b| b.progress);
            site.batch = batch.map(|b| BatchState {
                progress: progress.unwrap_or(b.progress),
                ..b
            });
            site.batch_unjudged = site.phase == SitePhase::Updating;
            // Verdicts so far are about the nodes before this batch.
            new_evidence(state, &effect.site, at);
        }
        Change::Traffic { split, .. } => site.intended_split = Some(split.clone()),
    }
}

fn take_command(state: &mut State, id: CommandId, at: Timestamp) -> Option<Effect> {
    let effect = state.outstanding.remove(&id)?;
    let active = state.clock.active(at);
    let site = site_mut(state, &effect.site);
    site.outstanding.remove(&id);
    site.fresh_after = at;
    if site.phase == SitePhase::RollingBack {
        site.limit_since = active;
    }
    Some(effect)
}

fn confirmed(state: &mut State, id: CommandId, at: Timestamp) {
    let Some(effect) = take_command(state, id, at) else {
        return;
    };
    if let Change::Traffic { split, .. } = effect.change {
        let site = site_mut(state, &effect.site);
        site.split = split;
        site.intended_split = None;
        site.command_retry = Retry::default();
        new_evidence(state, &effect.site, at);
    }
}

fn refused(state: &mut State, id: CommandId, result: &CommandResult, at: Timestamp) {
    let limit_since = state
        .outstanding
        .get(&id)
        .map(|effect| state.site(&effect.site).limit_since);
    let Some(effect) = take_command(state, id, at) else {
        return;
    };
    let site = site_mut(state, &effect.site);
    // A refusal is no progress.
    site.limit_since = limit_since.unwrap_or(site.limit_since);
    // A command that failed may have changed the traffic all the same.
    if *result == CommandResult::DesiredChanged {
        site.intended_split = None;
    }
    site.command_retry.failures += 1;
    site.command_retry.not_before = at.plus(Retry::delay(site.command_retry.failures));
    site.command_retry.detail = alloc::format!("{result:?}");
}

fn completed(state: &mut State, name: &SiteName, what: Completed) {
    let site = site_mut(state, name);
    site.completed = what;
    site.step = Step::Ask;
}

fn wait_ended(state: &mut State, name: &SiteName) {
    let site = site_mut(state, name);
    site.completed = match &site.step {
        Step::Before | Step::Ask => Completed::Nothing,
        Step::Move => Completed::Goal,
        Step::Gates(_) => Completed::Gates,
        Step::Until(_) => Completed::Time,
        Step::Person(_) => Completed::Person,
    };
    site.step = Step::Ask;
}

fn rollback_started(state: &mut State, name: &SiteName, active: DurationMs) {
    set_phase(state, name, SitePhase::RollingBack);
    let site = site_mut(state, name);
    site.goal = None;
    site.batch = None;
    site.batch_unjudged = false;
    site.asked = None;
    site.limit_since = active;
    site.command_retry = Retry::default();
    site.not_back = None;
}

fn continued(state: &mut State, at: Timestamp) {
    state.clock.paused = false;
    if let Some(HoldReason::TimeLimit { site, wave, .. }) = state.held.take() {
        // The limit counts anew from here.
        let active = state.clock.active(at);
        match &wave {
            Some(wave) => wave_mut(state, wave).limit_since = active,
            None if site.is_none() => state.limit_since = active,
            None => {}
        }
        if let Some(site) = site.as_ref().and_then(|name| state.sites.get_mut(name)) {
            site.limit_since = active;
            if let Some(batch) = &mut site.batch {
                batch.progress = active;
            }
        }
    }
}

fn approved(state: &mut State, wave: Option<&wavegate_model::WaveName>, site: Option<&SiteName>) {
    if let Some(wave) = wave {
        wave_mut(state, wave).approved = true;
    }
    if let Some(site) = site {
        wait_ended(state, site);
    }
}
