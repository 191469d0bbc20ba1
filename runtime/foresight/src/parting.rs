//! What another policy would have decided: the recorded inputs go through the engine once more,
//! by that policy, until the histories part.
//!
//! Up to there nothing is guessed: clusters looked as they looked, because the same commands had
//! been given. Plugins that the policy configures otherwise are asked again, with the evidence of
//! then. From the first fact that differs on, what clusters would have looked like and what
//! sources would have said is not known, and nothing is said about it.

use crate::again::{Again, Other, Remembers};
use crate::recorded::{Recorded, Said};
use crate::verify::{To, VerifyError, derivable};
use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_conductor::Story;
use wavegate_conductor::record::{ConsultationRecord, STEP, StepRecord};
use wavegate_engine::{
    Answer as EngineAnswer, Engine, Fact, Input, Request, Spec, State, Step, Verb,
};
use wavegate_model::{ConsultationId, Policy, Query, Timestamp, Unavailable};
use wavegate_ports::encoding::AskedForm;
use wavegate_ports::journal::{Journal, StoredRecord};
use wavegate_ports::plugins::{Answer, Plugins, Question};

/// How far two policies agree about a recorded rollout.
#[derive(Debug)]
pub struct Parting {
    /// Recorded inputs that led both to the same.
    pub carried: usize,
    /// Recorded inputs in all.
    pub inputs: usize,
    /// Questions to plugins until then.
    pub asked: Asked,
    /// Where they part; none if they never do.
    pub at: Option<Parted>,
    /// What the other policy has made of the rollout by then.
    pub state: State,
}

/// How questions to plugins were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// By what was recorded, for the same component was asked the same.
    pub as_recorded: usize,
    /// By asking again, since the component, its configuration or the question is another.
    pub again: usize,
}

/// Where two histories part.
#[derive(Debug)]
pub struct Parted {
    /// The record whose input it was, or the one before which time alone decided.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: How,
    /// All that the other policy decides then.
    pub decides: Vec<Fact>,
    /// All that was decided then.
    pub decided: Vec<Fact>,
}

/// How two histories part.
#[derive(Debug)]
pub enum How {
    /// By the first fact that differs. None where one of them has nothing.
    Facts {
        /// What was recorded.
        recorded: Option<Box<Fact>>,
        /// What the other policy leads to.
        now: Option<Box<Fact>>,
    },
    /// The other policy needs an answer that nobody has.
    Unknown {
        /// Which question.
        consultation: ConsultationId,
        /// Who is asked.
        who: String,
        /// Why it is not known.
        why: NotKnown,
    },
    /// By the policy of then the engine of today does not decide what was recorded either.
    Version,
    /// The fleet changed, and the other policy chooses clusters otherwise: what it was told would
    /// have been something else.
    Fleet,
}

/// Why an answer is not known.
#[derive(Debug)]
pub enum NotKnown {
    /// It asks for evidence that nobody asked for.
    Evidence(Vec<Query>),
    /// What was recorded has no answer either: a source was silent, or time ran out.
    Silent(Unavailable),
    /// Its slots are bound to other sources.
    Sources,
    /// Something else was recorded than an answer to such a question.
    NotRecorded,
}

/// Runs a recorded rollout by another policy, as far as what was recorded carries.
///
/// # Errors
/// If the journal cannot be read.
pub async fn part(
    journal: &dyn Journal,
    plugins: &Arc<dyn Plugins>,
    story: &Story,
    records: &[StoredRecord],
    other: Spec,
) -> Result<Parting, VerifyError> {
    let mut steps = Vec::new();
    for stored in records.iter().filter(|stored| stored.record.kind == STEP) {
        let seq = stored.seq;
        let step: StepRecord = serde_json::from_slice(&stored.record.body).map_err(|error| {
            let detail = error.to_string();
            VerifyError::Record { seq, detail }
        })?;
        steps.push((seq, stored.record.at, step));
    }
    let inputs = steps.len();
    let mut steps = steps.into_iter();
    let Some((_, at, first)) = steps.next() else {
        return Err(VerifyError::NoStart);
    };
    let Input::Request(Request {
        verb: Verb::Start(spec),
        ..
    }) = &first.input
    else {
        return Err(VerifyError::NoStart);
    };
    let (then, _) = Engine::start(at, (**spec).clone());
    let (now, step) = Engine::start(at, other);
    let mut run = Run {
        journal,
        plugins,
        recorded: story
            .consultations
            .iter()
            .map(|(at, record)| (record.consultation, (*at, record)))
            .collect(),
        questions: BTreeMap::new(),
        named: BTreeMap::new(),
        selects_alike: selects_alike(&spec.policy, &now.state().spec.policy),
        then: Side::new(then, at, &first.facts),
        now: Side::new(now, at, &step.facts),
        asked: Asked::default(),
    };
    run.remember(&step);
    // The start itself differs by the policy; what follows from it is compared.
    let mut parted = run.compare(1, at, first.facts.get(1..), step.facts.get(1..));
    let mut carried = usize::from(parted.is_none());
    for (seq, at, recorded) in steps {
        if parted.is_some() {
            break;
        }
        parted = run.step(seq, at, &recorded).await?;
        carried += usize::from(parted.is_none());
    }
    Ok(Parting {
        carried,
        inputs,
        asked: run.asked,
        at: parted,
        state: run.now.engine.state().clone(),
    })
}

/// Whether a change of the fleet is told to both in the same way.
fn selects_alike(one: &Policy, other: &Policy) -> bool {
    let waves = |policy: &Policy| -> Vec<_> {
        let waves = policy.waves.iter();
        waves
            .map(|wave| (wave.name.clone(), wave.clusters.clone()))
            .collect()
    };
    waves(one) == waves(other)
        && one.exclude == other.exclude
        && (&one.site_by, &one.role_by) == (&other.site_by, &other.role_by)
}

/// The rollout by one of the policies.
struct Side {
    engine: Engine,
    facts: Vec<(Timestamp, Fact)>,
}

impl Side {
    fn new(engine: Engine, at: Timestamp, facts: &[Fact]) -> Self {
        let facts = facts.iter().map(|fact| (at, fact.clone())).collect();
        Self { engine, facts }
    }

    /// Takes an input. A process that begins folds first, as every process does.
    fn step(&mut self, at: Timestamp, input: &Input) -> Result<Step, VerifyError> {
        if begins(input) {
            self.fold()?;
        }
        let step = self.engine.step(at, input);
        self.facts
            .extend(step.facts.iter().map(|fact| (at, fact.clone())));
        Ok(step)
    }

    fn fold(&mut self) -> Result<(), VerifyError> {
        let facts = self.facts.iter().map(|(at, fact)| (*at, fact));
        self.engine = Engine::fold(facts).map_err(|_| VerifyError::NoStart)?;
        Ok(())
    }
}

/// When something is due by time alone. Time goes forward, also where it was due long ago.
fn due_of(engine: &Engine) -> Option<Timestamp> {
    let last = engine.state().clock.last;
    engine.next_due().map(|due| due.max(last))
}

/// Whether a host process begins with it: until then nobody decided anything.
fn begins(input: &Input) -> bool {
    matches!(
        input,
        Input::Request(Request {
            verb: Verb::Resume | Verb::Undo,
            ..
        })
    )
}

struct Run<'a> {
    journal: &'a dyn Journal,
    plugins: &'a Arc<dyn Plugins>,
    recorded: BTreeMap<ConsultationId, (Timestamp, &'a ConsultationRecord)>,
    /// What the other policy asks.
    questions: BTreeMap<ConsultationId, (Question, To)>,
    /// Whom the policy of then names for its questions.
    named: BTreeMap<ConsultationId, To>,
    selects_alike: bool,
    then: Side,
    now: Side,
    asked: Asked,
}

/// An answer that is not known.
struct Missing(ConsultationId, String, NotKnown);

impl Run<'_> {
    async fn step(
        &mut self,
        seq: u64,
        at: Timestamp,
        recorded: &StepRecord,
    ) -> Result<Option<Parted>, VerifyError> {
        if !begins(&recorded.input)
            && let Some(parted) = self.time_alone(seq, at)?
        {
            return Ok(Some(parted));
        }
        let nothing = |how| Parted {
            seq,
            at,
            how,
            decides: Vec::new(),
            decided: recorded.facts.clone(),
        };
        let replans = matches!(
            &recorded.input,
            Input::Request(Request {
                verb: Verb::Replan(_),
                ..
            })
        );
        if replans && !self.selects_alike {
            return Ok(Some(nothing(How::Fleet)));
        }
        let input = match self.answered(&recorded.input).await? {
            Ok(input) => input,
            Err(Missing(consultation, who, why)) => {
                let how = How::Unknown {
                    consultation,
                    who,
                    why,
                };
                return Ok(Some(nothing(how)));
            }
        };
        let then = self.then.step(at, &recorded.input)?;
        if then.facts != recorded.facts {
            return Ok(Some(nothing(How::Version)));
        }
        for command in &then.commands {
            let spec = &self.then.engine.state().spec;
            if let Some((consultation, _, to)) = To::asked(spec, command) {
                self.named.insert(consultation, to);
            }
        }
        let step = self.now.step(at, &input)?;
        self.remember(&step);
        Ok(self.compare(seq, at, Some(&recorded.facts), Some(&step.facts)))
    }

    /// What time alone decides by the other policy before the next recorded input, where nothing
    /// was due by the one of then. What is due by both comes with the recorded input.
    fn time_alone(&mut self, seq: u64, next: Timestamp) -> Result<Option<Parted>, VerifyError> {
        loop {
            let due = due_of(&self.now.engine);
            let Some(due) = due.filter(|due| *due < next) else {
                return Ok(None);
            };
            if let Some(then) = due_of(&self.then.engine).filter(|then| *then <= due) {
                let mut engine = self.then.engine.clone();
                if engine.step(then, &Input::Elapsed).facts.is_empty()
                    && due_of(&engine) != Some(then)
                {
                    // It looked, and there was nothing to do: that is not recorded.
                    self.then.engine = engine;
                    continue;
                }
                return Ok(None);
            }
            let step = self.now.step(due, &Input::Elapsed)?;
            if !step.facts.is_empty() {
                return Ok(self.compare(seq, due, None, Some(&step.facts)));
            }
            if due_of(&self.now.engine) == Some(due) {
                return Ok(None);
            }
        }
    }

    fn compare(
        &self,
        seq: u64,
        at: Timestamp,
        recorded: Option<&[Fact]>,
        now: Option<&[Fact]>,
    ) -> Option<Parted> {
        let (recorded, now) = (recorded.unwrap_or_default(), now.unwrap_or_default());
        let mut places = 0..recorded.len().max(now.len());
        let place = places.find(|place| match (recorded.get(*place), now.get(*place)) {
            (Some(recorded), Some(now)) => !alike(recorded, now),
            (recorded, now) => recorded.is_some() || now.is_some(),
        })?;
        let fact = |facts: &[Fact]| facts.get(place).cloned().map(Box::new);
        Some(Parted {
            seq,
            at,
            how: How::Facts {
                recorded: fact(recorded),
                now: fact(now),
            },
            decides: now[place.min(now.len())..].to_vec(),
            decided: recorded[place.min(recorded.len())..].to_vec(),
        })
    }

    /// The questions of a step, with whom the other policy names for them.
    fn remember(&mut self, step: &Step) {
        let spec = &self.now.engine.state().spec;
        for command in &step.commands {
            if let Some((consultation, question, to)) = To::asked(spec, command) {
                self.questions.insert(consultation, (question, to));
            }
        }
    }

    /// The input as the other policy gets it: with the answer to what it has asked.
    async fn answered(&mut self, input: &Input) -> Result<Result<Input, Missing>, VerifyError> {
        let Input::Answer(answer) = input else {
            return Ok(Ok(input.clone()));
        };
        let consultation = match answer {
            EngineAnswer::Command { .. } => return Ok(Ok(input.clone())),
            EngineAnswer::Strategy { consultation, .. }
            | EngineAnswer::Gate { consultation, .. } => *consultation,
        };
        let Some((question, to)) = self.questions.remove(&consultation) else {
            // Nobody waits for it on either side, or the host said that it stopped.
            return Ok(Ok(input.clone()));
        };
        let Some((at, record)) = self.recorded.get(&consultation) else {
            // A host's own word, as when it stopped: that has nothing to do with the policy.
            return Ok(Ok(input.clone()));
        };
        let recorded = Recorded::read(self.journal, *at, record).await?;
        let same_question = AskedForm::from(&recorded.question) == AskedForm::from(&question);
        let same_plugin = self.named.remove(&consultation).as_ref() == Some(&to);
        let missing = |why| Ok(Err(Missing(consultation, record.who.clone(), why)));
        if !self.binds_alike(&record.who) {
            return missing(NotKnown::Sources);
        }
        if same_question && same_plugin {
            self.asked.as_recorded += 1;
            return Ok(Ok(input.clone()));
        }
        self.asked.again += 1;
        if let Said::Unavailable(why) = &recorded.said
            && !derivable(&recorded.said, false)
        {
            return missing(NotKnown::Silent(why.clone()));
        }
        let said = self.ask(recorded, question, to).await;
        let said = match said {
            Said::WouldAsk(queries) => return missing(NotKnown::Evidence(queries)),
            said => said,
        };
        Ok(taken(answer, said)
            .map(Input::Answer)
            .ok_or_else(|| Missing(consultation, record.who.clone(), NotKnown::NotRecorded)))
    }

    /// Whether both policies bind the slots of a gate to the same sources.
    fn binds_alike(&self, who: &str) -> bool {
        let slots = |side: &Side| {
            let gates = side.engine.state().spec.policy.gates.iter();
            let mut gates =
                gates.filter(|gate| who.strip_prefix("gate ") == Some(gate.name.as_str()));
            gates.next().map(|gate| gate.slots.clone())
        };
        slots(&self.then) == slots(&self.now)
    }

    async fn ask(&self, mut recorded: Recorded, mut question: Question, to: To) -> Said {
        if let (
            Question::Evaluate { evidence, .. },
            Question::Evaluate {
                evidence: known, ..
            },
        ) = (&mut question, &mut recorded.question)
        {
            *evidence = std::mem::take(known);
        }
        recorded.question = question;
        let other = Other {
            digest: to.component,
            config: to.config,
            limits: to.limits,
            // The question has the state that this component returned under the other policy.
            remembers: Remembers::AsRecorded,
        };
        let rollout = self.now.engine.state().spec.rollout.clone();
        let mut again = Again::new(Arc::clone(self.plugins), rollout, other);
        again.ask(&recorded).await
    }
}

/// The answer with another one's content.
fn taken(answer: &EngineAnswer, said: Said) -> Option<EngineAnswer> {
    let mut answer = answer.clone();
    match (&mut answer, said) {
        (EngineAnswer::Strategy { result, .. }, Said::Answer(Answer::Decide(outcome))) => {
            *result = Ok(outcome);
        }
        (EngineAnswer::Gate { result, .. }, Said::Answer(Answer::Evaluate(evaluation))) => {
            *result = Ok(evaluation);
        }
        (EngineAnswer::Strategy { result, .. }, Said::Unavailable(why)) => *result = Err(why),
        (EngineAnswer::Gate { result, .. }, Said::Unavailable(why)) => *result = Err(why),
        _ => return None,
    }
    Some(answer)
}

/// Whether two facts lead to the same: reasons and measurements may differ, and so may what
/// plugins remember.
fn alike(one: &Fact, other: &Fact) -> bool {
    match (one, other) {
        (
            Fact::GateAnswered {
                consultation,
                gate,
                evaluation,
            },
            Fact::GateAnswered {
                consultation: other_consultation,
                gate: other_gate,
                evaluation: other,
            },
        ) => {
            (consultation, gate) == (other_consultation, other_gate)
                && (evaluation.verdict, &evaluation.clusters) == (other.verdict, &other.clusters)
        }
        (
            Fact::StrategyAnswered {
                consultation,
                site,
                outcome,
            },
            Fact::StrategyAnswered {
                consultation: other_consultation,
                site: other_site,
                outcome: other,
            },
        ) => {
            (consultation, site) == (other_consultation, other_site)
                && (&outcome.proposal, &outcome.stage) == (&other.proposal, &other.stage)
        }
        // The plans differ by what the policies say about waves.
        (Fact::Replanned { changes, .. }, Fact::Replanned { changes: other, .. }) => {
            changes == other
        }
        (one, other) => one == other,
    }
}
