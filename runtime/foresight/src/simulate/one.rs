//! One run: the engine's turns in virtual time.

use super::tally::{Exposed, Outcome, Run, Tally, told};
use super::{Ask, Broken, Opened, Options, Worlds, people, seed_of};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use wavegate_conductor::consult::scope;
use wavegate_conductor::evidence::{Round, Rounds};
use wavegate_engine::audit::Auditor;
use wavegate_engine::command;
use wavegate_engine::fact::End;
use wavegate_engine::input::CommandResult;
use wavegate_engine::{
    Answer, Command, Effect, Engine, Fact, Input, Observation, Spec, Step, WaitingOn, explain,
};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::observation::Stamp;
use wavegate_model::plugin::{Evaluation, GateCall, Outcome as Decided, PluginState, Proposal};
use wavegate_model::policy::GateUse;
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{DurationMs, Evidence, GateName, Query, Timestamp, Unavailable};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::DriverError;
use wavegate_ports::plugins::{self, CallEnd, PluginCall, Question};
use wavegate_ports::sources::SourceError;
use wavegate_ports::world::{Arrival, Change, Order};

/// How long a strategy takes to answer, with the way through the host.
const STRATEGY_TAKES: DurationMs = DurationMs(5);
/// The same of a gate, whose evidence is fetched besides.
const GATE_TAKES: DurationMs = DurationMs(25);
/// Inputs of one run: a thousand for each cluster of the largest fleet.
const STEPS_MAX: u64 = 20_000_000;

/// A run that goes on.
struct Going<'a> {
    spec: &'a Spec,
    ask: &'a dyn Ask,
    options: &'a Options,
    run: u32,
    opened: Opened,
    engine: Engine,
    auditor: Auditor,
    tally: Tally,
    now: Timestamp,
    /// Answers of plugins, and of people, on their way.
    coming: BTreeMap<(Timestamp, u64), Input>,
    number: u64,
    people: bool,
    asked_people: Option<Timestamp>,
    before_stop: Option<Exposed>,
}

/// Runs one rollout to its end.
pub(super) fn run(
    spec: &Spec,
    worlds: &dyn Worlds,
    ask: &dyn Ask,
    options: &Options,
    run: u32,
) -> Result<Run, Broken> {
    let opened = worlds
        .open(seed_of(options.seed, run))
        .map_err(Broken::World)?;
    let now = opened.start;
    let (engine, step) = Engine::start(now, spec.clone());
    let people = people::are_asked(engine.state());
    let mut going = Going {
        spec,
        ask,
        options,
        run,
        opened,
        auditor: Auditor::new(spec),
        engine,
        tally: Tally::default(),
        now,
        coming: BTreeMap::new(),
        number: 0,
        people,
        asked_people: None,
        before_stop: None,
    };
    going.take(step)?;
    // As a host process begins.
    going.input(&people::request(wavegate_engine::Verb::Resume, "host", ""))?;
    while !going.ended() && going.go_on()? {}
    Ok(going.finish())
}

impl Going<'_> {
    fn ended(&self) -> bool {
        self.tally.end.is_some() || self.tally.held || self.tally.steps >= STEPS_MAX
    }

    /// Whether anything more can happen.
    fn go_on(&mut self) -> Result<bool, Broken> {
        let of_world = self.opened.world.next();
        let coming = self.coming.keys().next().map(|(at, _)| *at);
        let due = self.engine.next_due().map(|at| at.max(self.now));
        let Some(next) = [of_world, coming, due].into_iter().flatten().min() else {
            return Ok(self.ask_people());
        };
        if self.people && next > self.now.plus(DurationMs::secs(1)) {
            self.ask_people();
            if self.coming.keys().next().is_some_and(|(at, _)| *at < next) {
                return Ok(true);
            }
        }
        if next.since(self.opened.start) > self.options.give_up_after {
            return Ok(false);
        }
        self.now = self.now.max(next);
        // The world is told the time whatever is next: evidence is counted up to it.
        if let Some((at, arrival)) = self.opened.world.arrival(next) {
            self.now = self.now.max(at);
            self.input(&input(arrival))?;
        } else if coming == Some(next) {
            if let Some((_, input)) = self.coming.pop_first() {
                self.input(&input)?;
            }
        } else if due == Some(next) {
            self.input(&Input::Elapsed)?;
        }
        Ok(true)
    }

    /// Has people approve what waits for them. Whether anything does.
    fn ask_people(&mut self) -> bool {
        if self.asked_people.is_some_and(|until| until > self.now) {
            return false;
        }
        let approvals = people::approvals(self.engine.state(), self.now);
        let any = !approvals.is_empty();
        let at = self.now.plus(self.options.approve_after);
        if any {
            self.asked_people = Some(at.plus(DurationMs(1)));
        }
        for input in approvals {
            self.later(at, input);
        }
        any
    }

    fn later(&mut self, at: Timestamp, input: Input) {
        self.number += 1;
        self.coming.insert((at, self.number), input);
    }

    fn input(&mut self, input: &Input) -> Result<(), Broken> {
        let step = self.engine.step(self.now, input);
        self.take(step)
    }

    fn take(&mut self, step: Step) -> Result<(), Broken> {
        self.tally.steps += 1;
        for fact in &step.facts {
            let audited = self.auditor.observe(self.now, fact);
            audited.map_err(|violation| Broken::Invariant {
                run: self.run,
                seed: self.options.seed,
                violation: violation.to_string(),
            })?;
            self.tally.take(self.now, fact);
            if let Fact::StrategyAnswered { outcome, .. } = fact {
                self.people |= matches!(outcome.proposal, Proposal::WaitPerson(_));
            }
        }
        if self.tally.stopped.is_some() && self.before_stop.is_none() {
            self.before_stop = Some(self.opened.world.exposure(self.now).into());
        }
        for command in step.commands {
            self.carry_out(command)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, command: Command) -> Result<(), Broken> {
        match command {
            Command::Effect(effect) => self.opened.world.order(self.now, order(effect)),
            Command::AskStrategy {
                consultation,
                generation,
                view,
                state,
            } => {
                let result = self.strategy(Question::Decide { view, state });
                let answer = Answer::Strategy {
                    consultation,
                    generation,
                    result,
                };
                self.later(self.now.plus(STRATEGY_TAKES), Input::Answer(answer));
            }
            Command::AskGate {
                consultation,
                generation,
                gate,
                call,
                state,
            } => {
                let result = self.gate(&gate, call, state)?;
                let answer = Answer::Gate {
                    consultation,
                    generation,
                    result,
                };
                self.later(self.now.plus(GATE_TAKES), Input::Answer(answer));
            }
        }
        Ok(())
    }

    fn strategy(&mut self, question: Question) -> Result<Decided, Unavailable> {
        let strategy = &self.spec.policy.strategy;
        let call = PluginCall {
            rollout: self.spec.rollout.clone(),
            digest: self.spec.pins.strategy.clone(),
            config: strategy.config.clone(),
            limits: strategy.limits,
            question,
        };
        self.tally.calls += 1;
        match self.ask.ask(&call) {
            CallEnd::Answered(plugins::Answer::Decide(outcome)) => Ok(outcome),
            CallEnd::Unavailable(why) => Err(why),
            CallEnd::Answered(_) | CallEnd::NeedsEvidence(_) => {
                Err(Unavailable::BadAnswer(BadAnswer::WrongKind))
            }
        }
    }

    /// The rounds of an evaluation, as the conductor makes them.
    fn gate(
        &mut self,
        name: &GateName,
        call: GateCall,
        state: PluginState,
    ) -> Result<Result<Evaluation, Unavailable>, Broken> {
        let spec = self.spec;
        let gate = spec.policy.gates.iter().find(|gate| gate.name == *name);
        let (Some(gate), Some(digest)) = (gate, spec.pins.gates.get(name)) else {
            // The engine asks gates of the policy, and all of them are pinned.
            return Ok(Err(Unavailable::BadAnswer(BadAnswer::WrongKind)));
        };
        let scope = scope(&call, gate.fresh_for);
        let mut call = PluginCall {
            rollout: spec.rollout.clone(),
            digest: digest.clone(),
            config: gate.config.clone(),
            limits: gate.limits,
            question: Question::Evaluate {
                call,
                state,
                evidence: Vec::new(),
                slots: gate.slots.keys().cloned().collect(),
            },
        };
        let mut rounds = Rounds::default();
        loop {
            self.tally.calls += 1;
            let queries = match rounds.ended(self.ask.ask(&call)) {
                Round::Over(result) => return Ok(result),
                Round::Fetch(queries) => queries,
            };
            for query in queries {
                match self.fetch(gate, &query, &scope)? {
                    Ok(evidence) => rounds.learned(&mut call.question, query, evidence),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
    }

    fn fetch(
        &self,
        gate: &GateUse,
        query: &Query,
        scope: &EvidenceScope,
    ) -> Result<Result<Evidence, Unavailable>, Broken> {
        let slot = query.slot();
        let Some(source) = gate.slots.get(slot) else {
            return Ok(Err(Unavailable::NotGranted { slot: slot.clone() }));
        };
        match now(self.opened.sources.fetch(source, query, scope)) {
            Some(Ok(evidence)) => Ok(Ok(evidence)),
            // Simulated sources are always there: one that does not answer was not described.
            Some(Err(SourceError::Unavailable { detail, .. })) => Err(Broken::NoAnswer {
                run: self.run,
                question: detail,
            }),
            Some(Err(error)) => Ok(Err(Unavailable::Source {
                slot: slot.clone(),
                message: error.to_string(),
            })),
            None => Err(Broken::NoAnswer {
                run: self.run,
                question: format!("source `{source}` waits for something outside"),
            }),
        }
    }

    fn finish(self) -> Run {
        let exposure = self.opened.world.exposure(self.now);
        let outcome = match self.tally.end {
            Some(End::Done) => Outcome::Done,
            Some(End::RolledBack) => Outcome::RolledBack,
            Some(End::RollbackIncomplete) => Outcome::RollbackIncomplete,
            Some(End::Aborted | End::Incomplete | End::Superseded | End::Replaced) => Outcome::Held,
            None if self.tally.held => Outcome::Held,
            None => Outcome::Unfinished,
        };
        let stopped = self.tally.stopped;
        let mut acted = self.tally.acted;
        if outcome == Outcome::Unfinished && acted.is_none() {
            let waiting = explain::explain(self.engine.state(), self.now);
            let what = waiting
                .first()
                .map(|w| format!("waits for {}", kind(&w.on)));
            acted = what.map(|what| (self.now, what));
        }
        let fault = self.opened.fault;
        let in_all = Exposed::from(exposure);
        Run {
            run: self.run,
            told: told(
                fault.as_deref(),
                outcome,
                self.tally.failed_sites,
                exposure.harmful,
            ),
            fault,
            outcome,
            took_ms: self.now.since(self.opened.start).0,
            acted_ms: acted.as_ref().map(|(at, _)| at.since(self.opened.start).0),
            stopped_ms: stopped.map(|at| at.since(self.opened.start).0),
            acted: acted.map(|(_, what)| what),
            failed_sites: self.tally.failed_sites,
            before_stop: self.before_stop.unwrap_or(in_all),
            in_all,
            steps: self.tally.steps,
            facts: self.tally.facts,
            calls: self.tally.calls,
        }
    }
}

/// What a rollout waits for, without names and numbers that differ from run to run.
fn kind(on: &WaitingOn) -> String {
    use WaitingOn as W;
    match on {
        W::Gate { gate, .. }
        | W::GateUnavailable { gate, .. }
        | W::GatePasses { gate, .. }
        | W::GateStale { gate, .. } => format!("gate {gate}"),
        W::Settling { .. } => "nodes to serve".to_owned(),
        W::Soak { .. } => "a soak".to_owned(),
        W::Window { .. } => "a window".to_owned(),
        W::Unreachable { .. } => "a cluster that does not answer".to_owned(),
        W::StrategyUnavailable { .. } => "the strategy, which is unavailable".to_owned(),
        W::Capacity { .. } => "ready capacity".to_owned(),
        on if on.needs_person() => "a person".to_owned(),
        _ => "something else".to_owned(),
    }
}

/// The answer of a port that has it at once.
fn now<T>(mut answer: BoxFuture<'_, T>) -> Option<T> {
    match answer
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn order(effect: Effect) -> Order {
    let (id, generation) = (effect.id, effect.generation);
    let stamp = |epoch| Stamp {
        epoch,
        generation,
        command: id,
    };
    let change = match effect.change {
        command::Change::Nodes(change) => Change::Nodes {
            stamp: stamp(change.epoch),
            cluster: change.cluster,
            desired: change.desired,
            nodes: change.nodes,
        },
        command::Change::Traffic { epochs, split } => Change::Traffic {
            site: effect.site,
            stamps: epochs
                .into_iter()
                .map(|(name, epoch)| (name, stamp(epoch)))
                .collect(),
            split,
        },
    };
    Order {
        id,
        generation,
        change,
    }
}

fn input(arrival: Arrival) -> Input {
    match arrival {
        Arrival::Claimed { cluster, epoch } => {
            Input::Observation(Observation::Claimed { cluster, epoch })
        }
        Arrival::Seen { cluster, seen } => Input::Observation(Observation::Seen {
            cluster,
            seen: seen.into(),
        }),
        Arrival::Lost { cluster, answered } => Input::Observation(Observation::Lost {
            cluster,
            detail: "no answer".to_owned(),
            answered: Some(answered),
        }),
        Arrival::Answered {
            id,
            generation,
            result,
        } => Input::Answer(Answer::Command {
            command: id,
            generation,
            result: match result {
                Ok(()) => CommandResult::Accepted,
                Err(error @ (DriverError::Stale { .. } | DriverError::Owned { .. })) => {
                    CommandResult::Superseded(error.to_string())
                }
                Err(DriverError::DesiredChanged { .. }) => CommandResult::DesiredChanged,
                Err(error) => CommandResult::Failed(error.to_string()),
            },
        }),
    }
}
