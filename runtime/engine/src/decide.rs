//! From an input to facts and commands.

use crate::agenda::Agenda;
use crate::apply::{apply, begin};
use crate::command::{Change, Command};
use crate::fact::{End, Fact};
use crate::gates;
use crate::input::{Answer, Approval, CommandResult, Input, Observation, Request, Verb};
use crate::question;
use crate::site::{self, Next};
use crate::state::{self, Asked, RolloutPhase, SitePhase, State, WavePhase};
use crate::{failure, guard, wave};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use wavegate_model::plugin::{Outcome, Proposal};
use wavegate_model::{
    ClusterName, ClusterObservation, CommandId, ConsultationId, DurationMs, Epoch, Generation,
    Seen, SiteName, Timestamp, Unavailable,
};

/// Facts in one step, at most. A step of a working engine has a few for each site it moves; the
/// rest of what is due waits for the next step.
const FACTS_PER_STEP_MAX: usize = 20_000;
/// An observation that shows nothing new is journaled this often, so that a reader can tell how
/// old a state is.
const SEEN_AGAIN_AFTER: DurationMs = DurationMs::secs(10);

/// What one input led to. The state has changed already; whoever cannot make the facts durable
/// must drop the engine and fold again.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "facts are to be journaled, then commands are to be carried out"]
pub struct Step {
    /// What was decided, in order.
    pub facts: Vec<Fact>,
    /// What is to be done once the facts are durable.
    pub commands: Vec<Command>,
}

/// The state of a rollout and what is due in it.
#[derive(Clone, Debug)]
pub struct Engine {
    state: State,
    agenda: Agenda,
}

/// A journal does not begin as it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The first fact is not the start.
    #[error("the first fact of a rollout must be its start")]
    NoStart,
}

impl Engine {
    /// Begins a rollout. The step holds its first fact.
    pub fn start(now: Timestamp, spec: crate::Spec) -> (Self, Step) {
        let state = begin(now, &spec);
        let mut engine = Self {
            state,
            agenda: Agenda::default(),
        };
        let mut step = Step {
            facts: alloc::vec![Fact::Started {
                spec: Box::new(spec)
            }],
            commands: Vec::new(),
        };
        engine.look_at_windows(now, &mut step);
        engine.touch_all();
        engine.advance(now, &mut step);
        (engine, step)
    }

    /// Rebuilds a rollout from its facts.
    pub fn fold<'a>(
        facts: impl IntoIterator<Item = (Timestamp, &'a Fact)>,
    ) -> Result<Self, FoldError> {
        let mut facts = facts.into_iter();
        let Some((at, Fact::Started { spec })) = facts.next() else {
            return Err(FoldError::NoStart);
        };
        let mut state = begin(at, spec);
        for (at, fact) in facts {
            apply(&mut state, at, fact);
        }
        let mut engine = Self {
            state,
            agenda: Agenda::default(),
        };
        engine.touch_all();
        Ok(engine)
    }

    /// The state as it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When the next [`Input::Elapsed`] is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        let change = self.state.clock.window_change;
        match (self.agenda.next_due(), change) {
            (Some(due), Some(change)) => Some(due.min(change)),
            (due, change) => due.or(change),
        }
    }

    /// Takes an input: facts from it, then everything that follows from those.
    pub fn step(&mut self, now: Timestamp, input: &Input) -> Step {
        let mut step = Step::default();
        for fact in decide(&self.state, now, input) {
            self.apply(now, fact, &mut step);
        }
        self.look_at_windows(now, &mut step);
        self.agenda.due(now);
        self.advance(now, &mut step);
        step
    }

    /// Windows open and close by time alone; a fact says so, and everything after it goes by that.
    fn look_at_windows(&mut self, now: Timestamp, step: &mut Step) {
        let change = self.state.clock.window_change;
        if change.is_none_or(|at| at > now) || self.state.end().is_some() {
            return;
        }
        let windows = &self.state.spec.windows;
        let fact = match windows.closed_at(now) {
            Some(closed) => Fact::WindowClosed {
                why: closed.why.clone(),
                opens: windows.next_change(now),
            },
            None => Fact::WindowOpened {
                closes: windows.next_change(now),
            },
        };
        self.apply(now, fact, step);
    }

    fn advance(&mut self, now: Timestamp, step: &mut Step) {
        while step.facts.len() < FACTS_PER_STEP_MAX {
            if let Some(name) = self.agenda.next_site() {
                match site::next(&self.state, &name, now) {
                    Next::Facts(facts) => self.apply_all(now, facts, step, Some(&name)),
                    Next::Wait(_, until) => self.agenda.sleep(&name, until),
                    Next::Idle => self.agenda.sleep(&name, None),
                }
            } else if self.agenda.take_waves() {
                match wave::next(&self.state, now).0 {
                    Next::Facts(facts) => {
                        self.agenda.touch_waves();
                        self.apply_all(now, facts, step, None);
                    }
                    Next::Wait(_, until) => self.agenda.sleep_waves(until),
                    Next::Idle => self.agenda.sleep_waves(None),
                }
            } else {
                break;
            }
        }
        // Questions show the state as it is after everything that was decided with them.
        let asked = step.facts.iter().filter_map(|fact| match fact {
            Fact::StrategyAsked { consultation, site } => {
                Some(question::to_strategy(&self.state, *consultation, site, now))
            }
            Fact::GateAsked { consultation, gate } => {
                Some(question::to_gate(&self.state, *consultation, gate, now))
            }
            Fact::CommandIssued { effect } => Some(Command::Effect((**effect).clone())),
            _ => None,
        });
        step.commands = asked.collect();
    }

    fn apply_all(
        &mut self,
        now: Timestamp,
        facts: Vec<Fact>,
        step: &mut Step,
        site: Option<&SiteName>,
    ) {
        if let Some(site) = site {
            self.agenda.touch(site);
        }
        for fact in facts {
            self.apply(now, fact, step);
        }
    }

    fn apply(&mut self, now: Timestamp, fact: Fact, step: &mut Step) {
        apply(&mut self.state, now, &fact);
        self.mark(&fact);
        step.facts.push(fact);
    }

    /// Notes whom a fact concerns.
    fn mark(&mut self, fact: &Fact) {
        match fact {
            Fact::Observed { cluster, .. }
            | Fact::Claimed { cluster, .. }
            | Fact::ClusterLost { cluster, .. }
            | Fact::ClusterReturned { cluster }
            | Fact::BaselineTaken { cluster, .. } => {
                let found = self.state.cluster(cluster);
                if let Some(site) = &found.site {
                    let pending = self.state.site(site).phase == SitePhase::Pending;
                    self.agenda.touch(site);
                    if pending || found.lost.is_some() {
                        self.agenda.touch_waves();
                    }
                }
            }
            Fact::StrategyAsked { site, .. }
            | Fact::StrategyAnswered { site, .. }
            | Fact::StrategyUnavailable { site, .. }
            | Fact::BatchSettled { site }
            | Fact::BatchPassed { site }
            | Fact::GoalReached { site }
            | Fact::GoalDropped { site }
            | Fact::WaitEnded { site }
            | Fact::SiteSoakStarted { site } => self.agenda.touch(site),
            Fact::SiteStarted { site, .. }
            | Fact::SiteSkipped { site, .. }
            | Fact::SiteDone { site }
            | Fact::SiteSoaked { site }
            | Fact::SiteFailed { site, .. }
            | Fact::SiteRollbackStarted { site }
            | Fact::SiteRolledBack { site }
            | Fact::SiteRollbackFailed { site, .. } => {
                self.agenda.touch(site);
                self.agenda.touch_waves();
            }
            Fact::GateAsked { gate, .. }
            | Fact::GateAnswered { gate, .. }
            | Fact::GateUnavailable { gate, .. } => match &gate.subject {
                wavegate_model::plugin::Subject::Site(site) => self.agenda.touch(site),
                wavegate_model::plugin::Subject::Wave(_) => self.agenda.touch_waves(),
            },
            Fact::CommandIssued { effect } => self.agenda.touch(&effect.site),
            Fact::CommandConfirmed { .. }
            | Fact::CommandRefused { .. }
            | Fact::CommandVoided { .. } => {}
            Fact::WaveStarted { .. } | Fact::WaveDone { .. } => self.agenda.touch_waves(),
            Fact::Started { .. }
            | Fact::Resumed { .. }
            | Fact::WaveSoakStarted { .. }
            | Fact::Paused { .. }
            | Fact::Continued { .. }
            | Fact::WindowClosed { .. }
            | Fact::WindowOpened { .. }
            | Fact::Approved { .. }
            | Fact::Held { .. }
            | Fact::Stopped { .. }
            | Fact::Finished { .. } => self.touch_all(),
            Fact::AnswerDiscarded { .. }
            | Fact::RequestRefused { .. }
            | Fact::EndAsked { .. }
            | Fact::InboxTaken { .. } => {}
        }
    }

    fn touch_all(&mut self) {
        self.agenda.touch_waves();
        for (name, site) in &self.state.sites {
            if site.phase != SitePhase::Pending {
                self.agenda.touch(name);
            }
        }
    }
}

/// The facts that follow from an input directly.
fn decide(state: &State, now: Timestamp, input: &Input) -> Vec<Fact> {
    if state.end().is_some() && !matches!(input, Input::Request(_)) {
        // What comes after the end changes nothing.
        return Vec::new();
    }
    match input {
        Input::Request(request) => requested(state, now, request),
        Input::Observation(observation) => observed(state, now, observation),
        Input::Answer(answer) => answered(state, answer),
        Input::Elapsed => Vec::new(),
    }
}

fn requested(state: &State, now: Timestamp, request: &Request) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(id) = request.inbox {
        if id <= state.inbox {
            return facts;
        }
        facts.push(Fact::InboxTaken { id });
    }
    let (actor, reason) = (request.actor.clone(), request.reason.clone());
    let refuse = |verb: &str, why: &str| {
        alloc::vec![Fact::RequestRefused {
            verb: verb.to_string(),
            actor: actor.clone(),
            why: why.to_string()
        }]
    };
    if let Some(end) = state.end() {
        facts.extend(refuse(
            verb_name(&request.verb),
            &alloc::format!("the rollout has ended: {end:?}"),
        ));
        return facts;
    }
    facts.extend(match &request.verb {
        Verb::Start(_) => refuse("start", "the rollout has started already"),
        Verb::Resume => alloc::vec![Fact::Resumed {
            down: now.since(state.clock.last)
        }],
        Verb::Pause if state.clock.paused => refuse("pause", "the rollout is paused already"),
        Verb::Pause => alloc::vec![Fact::Paused { actor, reason }],
        Verb::Continue if state.clock.paused || state.held.is_some() => {
            alloc::vec![Fact::Continued { actor, reason }]
        }
        Verb::Continue => refuse("continue", "the rollout is neither paused nor held"),
        Verb::Approve(what) => {
            let approved = approvals(state, what, &actor, &reason);
            if approved.is_empty() {
                refuse("approve", "nothing of that name waits for a person")
            } else {
                approved
            }
        }
        Verb::Abort => ended(request, End::Aborted),
        Verb::Rollback
            if state.spec.release.reversal == wavegate_model::release::Reversal::Irreversible =>
        {
            refuse("rollback", "the release says that it cannot be rolled back")
        }
        Verb::Rollback if goes_back_already(state) => refuse("rollback", "it goes back already"),
        Verb::Rollback => alloc::vec![failure::requested(state, &actor, &reason)],
        Verb::Close => {
            let lost = state
                .clusters
                .values()
                .any(|cluster| cluster.touched && cluster.lost.is_some());
            if lost {
                ended(request, End::Incomplete)
            } else {
                refuse("close", "no touched cluster is unreachable")
            }
        }
    });
    facts
}

/// An end that somebody asked for, and who.
fn ended(request: &Request, end: End) -> Vec<Fact> {
    alloc::vec![
        Fact::EndAsked {
            verb: verb_name(&request.verb).to_string(),
            actor: request.actor.clone(),
            reason: request.reason.clone(),
        },
        Fact::Finished { end },
    ]
}

/// Whether everything that was touched is on its way back. A failure may have sent back less.
fn goes_back_already(state: &State) -> bool {
    let RolloutPhase::Stopping { sites, .. } = &state.phase else {
        return false;
    };
    state.touched().all(|(name, _)| sites.contains(name))
}

fn verb_name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Start(_) => "start",
        Verb::Resume => "resume",
        Verb::Pause => "pause",
        Verb::Continue => "continue",
        Verb::Approve(_) => "approve",
        Verb::Abort => "abort",
        Verb::Rollback => "rollback",
        Verb::Close => "close",
    }
}

fn approvals(state: &State, what: &Approval, actor: &str, reason: &str) -> Vec<Fact> {
    let fact = |wave, site| Fact::Approved {
        wave,
        site,
        actor: actor.to_string(),
        reason: reason.to_string(),
    };
    let waves = state
        .spec
        .plan
        .waves
        .iter()
        .zip(&state.waves)
        .filter(|(plan, wave)| {
            let waits =
                plan.approval.is_some() && !wave.approved && wave.phase == WavePhase::Waiting;
            waits
                && (matches!(what, Approval::All)
                    || matches!(what, Approval::Wave(name) if *name == plan.name))
        });
    let sites = state.sites.iter().filter(|(name, site)| {
        let waits =
            site.phase == SitePhase::Updating && matches!(site.step, state::Step::Person(_));
        waits
            && (matches!(what, Approval::All)
                || matches!(what, Approval::Site(wanted) if wanted == *name))
    });
    let waves = waves.map(|(plan, _)| fact(Some(plan.name.clone()), None));
    waves
        .chain(sites.map(|(name, _)| fact(None, Some(name.clone()))))
        .collect()
}

fn observed(state: &State, now: Timestamp, observation: &Observation) -> Vec<Fact> {
    match observation {
        Observation::Claimed { cluster, epoch } => match state.clusters.get(cluster) {
            // Epochs rise; a lower one is an answer that came late.
            Some(found) if found.epoch.is_none_or(|known| known < *epoch) => {
                alloc::vec![Fact::Claimed {
                    cluster: cluster.clone(),
                    epoch: *epoch
                }]
            }
            _ => Vec::new(),
        },
        Observation::Lost { cluster, detail } => lost(state, now, cluster, detail),
        Observation::Seen { cluster, seen } => seen_facts(state, cluster, seen),
    }
}

fn lost(state: &State, now: Timestamp, name: &ClusterName, detail: &str) -> Vec<Fact> {
    let Some(cluster) = state.clusters.get(name) else {
        return Vec::new();
    };
    if state.unreachable(name).is_some() {
        return Vec::new();
    }
    let last = cluster
        .seen
        .as_ref()
        .map_or(state.clock.started, |seen| seen.at);
    if now.since(last) < state.spec.policy.membership.unreachable_after {
        return Vec::new();
    }
    alloc::vec![Fact::ClusterLost {
        cluster: name.clone(),
        detail: detail.to_string()
    }]
}

fn seen_facts(state: &State, name: &ClusterName, seen: &Seen) -> Vec<Fact> {
    let Some(cluster) = state.clusters.get(name) else {
        return Vec::new();
    };
    let fresh_after = cluster
        .site
        .as_ref()
        .map_or(Timestamp(0), |site| state.site(site).fresh_after);
    let worth = cluster.seen.as_ref().is_none_or(|last| {
        let wanted = last.at < fresh_after && seen.at >= fresh_after;
        let news = cluster.lost.is_some() || !seen.same_as(last);
        seen.at > last.at && (wanted || news || seen.at.since(last.at) >= SEEN_AGAIN_AFTER)
    });
    if !worth {
        return Vec::new();
    }
    let mut facts = alloc::vec![Fact::Observed {
        cluster: name.clone(),
        seen: seen.clone()
    }];
    if cluster.lost.is_some() {
        facts.push(Fact::ClusterReturned {
            cluster: name.clone(),
        });
    }
    if cluster.baseline.is_none()
        && let Some(release) = baseline(seen)
    {
        facts.push(Fact::BaselineTaken {
            cluster: name.clone(),
            release: Box::new(release),
            desired: seen.desired,
        });
    }
    if let Some(own) = cluster.epoch
        && later_host(seen).is_some_and(|other| other > own)
    {
        // Somebody else has carried out a command there: whatever this host still wants is void.
        facts.push(Fact::Finished {
            end: End::Superseded,
        });
        return facts;
    }
    facts.extend(left_by_earlier_host(state, name, seen));
    facts
}

/// The latest host whose command left its stamp in a cluster.
fn later_host(seen: &ClusterObservation) -> Option<Epoch> {
    let stamps = [seen.last_nodes, seen.last_traffic];
    stamps.into_iter().flatten().map(|stamp| stamp.epoch).max()
}

/// The one release that runs in a cluster, if it is one.
fn baseline(seen: &ClusterObservation) -> Option<wavegate_model::Release> {
    let mut running = seen.nodes.iter().filter(|(_, counts)| counts.total() > 0);
    let (digest, _) = running.next()?;
    if running.next().is_some() {
        return None;
    }
    seen.releases.get(digest).cloned()
}

/// Commands of an earlier host process are confirmed by the stamp that they left in the cluster,
/// or decided again. They are never sent again blindly.
fn left_by_earlier_host(state: &State, name: &ClusterName, seen: &ClusterObservation) -> Vec<Fact> {
    let earlier = state.outstanding.range(..state.resumed_at_command);
    let concerned = earlier.filter_map(|(id, effect)| {
        let stamp = match &effect.change {
            Change::Nodes(change) if change.cluster == *name => seen.last_nodes,
            Change::Traffic { epochs, .. } if epochs.contains_key(name) => seen.last_traffic,
            Change::Nodes(_) | Change::Traffic { .. } => return None,
        };
        if seen.at < state.site(&effect.site).fresh_after {
            return None;
        }
        let done = stamp.is_some_and(|s| s.command == *id && s.generation == effect.generation);
        Some(if done {
            Fact::CommandConfirmed { command: *id }
        } else {
            Fact::CommandVoided { command: *id }
        })
    });
    concerned.collect()
}

fn answered(state: &State, answer: &Answer) -> Vec<Fact> {
    match answer {
        Answer::Command {
            command,
            generation,
            result,
        } => command_answered(state, *command, *generation, result),
        Answer::Strategy {
            consultation,
            generation,
            result,
        } => match state.consultations.get(consultation) {
            Some(Asked::Strategy(site)) if *generation == state.generation() => {
                strategy_answered(state, *consultation, site, result)
            }
            Some(Asked::Strategy(_) | Asked::Gate(..)) | None => {
                discarded(Some(*consultation), None)
            }
        },
        Answer::Gate {
            consultation,
            generation,
            result,
        } => match state.consultations.get(consultation) {
            Some(Asked::Gate(key, _)) if *generation == state.generation() => {
                gates::answered(state, key, *consultation, result)
            }
            Some(Asked::Strategy(_) | Asked::Gate(..)) | None => {
                discarded(Some(*consultation), None)
            }
        },
    }
}

fn discarded(consultation: Option<ConsultationId>, command: Option<CommandId>) -> Vec<Fact> {
    alloc::vec![Fact::AnswerDiscarded {
        consultation,
        command
    }]
}

fn command_answered(
    state: &State,
    command: CommandId,
    generation: Generation,
    result: &CommandResult,
) -> Vec<Fact> {
    let expected = state
        .outstanding
        .get(&command)
        .is_some_and(|effect| effect.generation == generation);
    if !expected {
        return discarded(None, Some(command));
    }
    match result {
        CommandResult::Accepted => alloc::vec![Fact::CommandConfirmed { command }],
        CommandResult::DesiredChanged | CommandResult::Failed(_) => {
            alloc::vec![Fact::CommandRefused {
                command,
                result: result.clone()
            }]
        }
        CommandResult::Superseded(_) => {
            let refused = Fact::CommandRefused {
                command,
                result: result.clone(),
            };
            alloc::vec![
                refused,
                Fact::Finished {
                    end: End::Superseded
                }
            ]
        }
    }
}

fn strategy_answered(
    state: &State,
    consultation: ConsultationId,
    site: &SiteName,
    result: &Result<Outcome, Unavailable>,
) -> Vec<Fact> {
    let unavailable = |why: Unavailable| {
        alloc::vec![Fact::StrategyUnavailable {
            consultation,
            site: site.clone(),
            why
        }]
    };
    if state.site(site).phase != SitePhase::Updating {
        // The site went another way while the strategy was thinking.
        return unavailable(Unavailable::HostStopped);
    }
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(why) => return unavailable(why.clone()),
    };
    if let Err(bad) = guard::check(state, site, outcome) {
        return unavailable(Unavailable::BadAnswer(bad));
    }
    let mut facts = alloc::vec![Fact::StrategyAnswered {
        consultation,
        site: site.clone(),
        outcome: Box::new(outcome.clone())
    }];
    match &outcome.proposal {
        Proposal::Done => facts.push(Fact::SiteSoakStarted { site: site.clone() }),
        Proposal::Failed(why) => {
            let reason = crate::fact::FailReason::Strategy(String::from(why.as_str()));
            facts.extend(failure::site_failed(state, site, reason));
        }
        Proposal::Go(_) | Proposal::WaitGates(_) | Proposal::Wait(_) | Proposal::WaitPerson(_) => {}
    }
    facts
}
