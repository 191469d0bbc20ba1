//! From an input to facts and commands.

mod answers;
mod observations;
mod requests;
mod verbs;

use crate::agenda::Agenda;
use crate::apply::{apply, begin};
use crate::command::Command;
use crate::fact::Fact;
use crate::fits::{self, Misfit};
use crate::input::Input;
use crate::site::{self, Next};
use crate::state::{SitePhase, State};
use crate::{question, wave};
use alloc::boxed::Box;
use alloc::vec::Vec;
use answers::answered;
use observations::observed;
use requests::requested;
use wavegate_model::{SiteName, Timestamp};

/// Facts in one step, at most. A step of a working engine has a few for each site it moves; the
/// rest of what is due waits for the next step.
const FACTS_PER_STEP_MAX: usize = 20_000;

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
    /// A fact is about another rollout, or about none.
    #[error("fact {number} does not belong there: {why}")]
    Misfit {
        /// Its number among the facts, from 0.
        number: usize,
        /// What is wrong with it.
        #[source]
        why: Misfit,
    },
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
        let misfit = |number: usize| move |why| FoldError::Misfit { number, why };
        fits::start(spec).map_err(misfit(0))?;
        let mut state = begin(at, spec);
        for (index, (at, fact)) in facts.enumerate() {
            fits::fits(&state, fact).map_err(misfit(index + 1))?;
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
        let of_waves = self.state.next_wave_window();
        let all = [self.agenda.next_due(), change, of_waves];
        all.into_iter().flatten().min()
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
        if self.state.end().is_some() {
            return;
        }
        self.look_at_own_windows(now, step);
        let change = self.state.clock.window_change;
        if change.is_none_or(|at| at > now) {
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

    /// The same for waves with windows of their own.
    fn look_at_own_windows(&mut self, now: Timestamp, step: &mut Step) {
        let mut facts = Vec::new();
        for (wave, windows) in &self.state.spec.wave_windows {
            let index = self.state.wave_index(wave);
            let change = index.and_then(|i| self.state.waves[i].clock.window_change);
            if change.is_none_or(|at| at > now) {
                continue;
            }
            let next = windows.next_change(now);
            facts.push(match windows.closed_at(now) {
                Some(closed) => Fact::WaveWindowClosed {
                    wave: wave.clone(),
                    why: closed.why.clone(),
                    opens: next,
                },
                None => Fact::WaveWindowOpened {
                    wave: wave.clone(),
                    closes: next,
                },
            });
        }
        for fact in facts {
            self.apply(now, fact, step);
        }
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
        for command in asked {
            // Most steps have one; room for four would be a kilobyte.
            step.commands.reserve_exact(1);
            step.commands.push(command);
        }
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
                    if pending || found.lost.is_some() || self.state.undone {
                        self.agenda.touch_waves();
                    }
                }
            }
            Fact::StrategyAsked { site, .. }
            | Fact::StrategyAnswered { site, .. }
            | Fact::StrategyUnavailable { site, .. }
            | Fact::StrategyCancelled { site, .. }
            | Fact::BatchSettled { site }
            | Fact::BatchPassed { site }
            | Fact::GoalReached { site }
            | Fact::GoalDropped { site }
            | Fact::WaitEnded { site }
            | Fact::SiteSoakStarted { site } => self.agenda.touch(site),
            Fact::SiteRetried { site } | Fact::SiteGivenUp { site, .. } => {
                self.agenda.touch(site);
                self.agenda.touch_waves();
            }
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
            | Fact::GateOverridden { gate, .. }
            | Fact::GateUnavailable { gate, .. }
            | Fact::GateCancelled { gate, .. } => match &gate.subject {
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
            | Fact::WaveWindowClosed { .. }
            | Fact::WaveWindowOpened { .. }
            | Fact::Approved { .. }
            | Fact::Held { .. }
            | Fact::Stopped { .. }
            | Fact::Finished { .. }
            | Fact::Promoted { .. }
            | Fact::RetryAsked { .. }
            | Fact::Undone { .. }
            | Fact::PluginSwapped { .. } => self.touch_all(),
            Fact::AnswerDiscarded { .. }
            | Fact::RequestRefused { .. }
            | Fact::EndAsked { .. }
            | Fact::SkipAsked { .. }
            | Fact::InboxTaken { .. } => {}
            // Sites of the older plan may be gone.
            Fact::Replanned { .. } => {
                self.agenda = Agenda::default();
                self.touch_all();
            }
            Fact::Queued { .. } => self.touch_all(),
            Fact::DemandChanged { site, .. } => self.agenda.touch(site),
            Fact::SiteReopened { site } => {
                self.agenda.touch(site);
                self.agenda.touch_waves();
            }
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
        Input::Answer(answer) => answered(state, now, answer),
        Input::Elapsed => Vec::new(),
    }
}
