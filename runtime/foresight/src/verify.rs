//! Runs a recorded rollout again, and says where it would go another way.
//!
//! Four things are compared, and together they leave no gap. Each recorded input goes through
//! the engine and must lead to the recorded facts. Each question that the engine asks must be the
//! one that was recorded. Each recorded question goes, with its evidence, to the component that
//! answered it, and must get the recorded bytes; and the answer must be the input that the engine
//! took. The auditor looks at every fact, too.
//!
//! A process that starts again folds the facts before it goes on, and so does this.

mod found;

pub use found::{Answers, Difference, Differs, Unchecked, Verified, VerifyError};

use crate::again::{Again, Other, Remembers};
use crate::recorded::{Bytes, Recorded, Said};
use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_conductor::record::{
    CONSULTATION, ConsultationRecord, STEP, StepRecord, VERSION, blob,
};
use wavegate_engine::audit::Auditor;
use wavegate_engine::{Answer as EngineAnswer, Command, Engine, Fact, Input, Spec, Step, Verb};
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::PluginKind;
use wavegate_model::{ConsultationId, Digest, RolloutId, Timestamp, Unavailable};
use wavegate_ports::encoding::AskedForm;
use wavegate_ports::journal::{Journal, StoredRecord};
use wavegate_ports::plugins::{Answer, PluginRejected, Plugins, Question};

/// Differences that are kept; more are counted. After the first few the others mostly follow.
const DIFFERENCES_MAX: usize = 100;

/// Records whose questions and answers are read at once: reading them one by one would take
/// longer than asking again, and more would be a lot of evidence in memory.
const AHEAD: usize = 64;

/// Runs a rollout again by its journal.
///
/// # Errors
/// If the journal cannot be read. What went another way is no error but an answer.
pub async fn verify(
    journal: &dyn Journal,
    plugins: &Arc<dyn Plugins>,
    rollout: &RolloutId,
) -> Result<Verified, VerifyError> {
    let records = journal.read(rollout, 0).await;
    let records = records.map_err(|source| VerifyError::Journal {
        rollout: rollout.clone(),
        source,
    })?;
    let mut run = Run {
        journal,
        plugins,
        rollout: rollout.clone(),
        again: None,
        asked: BTreeMap::new(),
        answered: BTreeMap::new(),
        components: BTreeMap::new(),
        found: Verified::default(),
    };
    for some in records.chunks(AHEAD) {
        run.records(some).await?;
    }
    let Some(again) = &run.again else {
        return Err(VerifyError::NoStart);
    };
    run.found.ended = again.engine.state().end().is_some();
    Ok(run.found)
}

/// A question that the engine asked, with what its policy said then.
struct Asked {
    question: Question,
    to: To,
}

/// Who is to be asked, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct To {
    pub(crate) component: Digest,
    pub(crate) config: String,
    pub(crate) limits: CallLimits,
}

impl To {
    /// What a command asks, and whom the policy names for it. None if it asks nobody.
    pub(crate) fn asked(
        spec: &Spec,
        command: &Command,
    ) -> Option<(ConsultationId, Question, Self)> {
        match command {
            Command::Effect(_) => None,
            Command::AskStrategy {
                consultation,
                view,
                state,
                ..
            } => {
                let question = Question::Decide {
                    view: view.clone(),
                    state: state.clone(),
                };
                let to = Self {
                    component: spec.pins.strategy.clone(),
                    config: spec.policy.strategy.config.clone(),
                    limits: spec.policy.strategy.limits,
                };
                Some((*consultation, question, to))
            }
            Command::AskGate {
                consultation,
                gate,
                call,
                state,
                ..
            } => {
                let policy = spec.policy.gates.iter().find(|known| known.name == *gate)?;
                let question = Question::Evaluate {
                    call: call.clone(),
                    state: state.clone(),
                    evidence: Vec::new(),
                    slots: policy.slots.keys().cloned().collect(),
                };
                let to = Self {
                    component: spec.pins.gates.get(gate)?.clone(),
                    config: policy.config.clone(),
                    limits: policy.limits,
                };
                Some((*consultation, question, to))
            }
        }
    }
}

/// A record as it is read.
enum Read {
    Step(Box<StepRecord>),
    Consultation(Box<ConsultationRecord>),
    /// Of a kind that this version does not know.
    Other,
}

impl Read {
    fn of(stored: &StoredRecord) -> Result<Self, VerifyError> {
        let (seq, record) = (stored.seq, &stored.record);
        let unreadable = |detail: String| VerifyError::Record { seq, detail };
        if record.version > VERSION {
            return Err(VerifyError::TooNew {
                seq,
                found: record.version,
                known: VERSION,
            });
        }
        let bad = |error: serde_json::Error| unreadable(error.to_string());
        Ok(match record.kind.as_str() {
            STEP => Self::Step(serde_json::from_slice(&record.body).map_err(bad)?),
            CONSULTATION => Self::Consultation(serde_json::from_slice(&record.body).map_err(bad)?),
            _ => Self::Other,
        })
    }
}

struct Run<'a> {
    journal: &'a dyn Journal,
    plugins: &'a Arc<dyn Plugins>,
    rollout: RolloutId,
    again: Option<Rollout>,
    asked: BTreeMap<ConsultationId, Asked>,
    /// What consultations brought, until the engine takes it.
    answered: BTreeMap<ConsultationId, Said>,
    /// Components that were looked for, with why one is not to be had.
    components: BTreeMap<Digest, Option<String>>,
    found: Verified,
}

/// The rollout as it goes again.
struct Rollout {
    engine: Engine,
    auditor: Auditor,
    facts: Vec<(Timestamp, Fact)>,
}

impl Run<'_> {
    async fn records(&mut self, some: &[StoredRecord]) -> Result<(), VerifyError> {
        let read: Vec<Read> = some.iter().map(Read::of).collect::<Result<_, _>>()?;
        let bytes = self.bytes(some, &read).await?;
        for (stored, read) in some.iter().zip(read) {
            let (seq, at) = (stored.seq, stored.record.at);
            self.found.records += 1;
            match read {
                Read::Step(step) => self.step(seq, at, *step)?,
                Read::Consultation(told) => {
                    let recorded = bytes.of(at, &told);
                    let recorded = recorded.map_err(|source| VerifyError::Named { seq, source })?;
                    self.consultation(seq, at, &told, recorded).await;
                }
                Read::Other => {}
            }
        }
        Ok(())
    }

    /// What some records name, read at once. If that fails, the record whose bytes are at fault is
    /// found by reading one by one.
    async fn bytes(&self, some: &[StoredRecord], read: &[Read]) -> Result<Bytes, VerifyError> {
        let told = || {
            let pairs = some.iter().zip(read);
            pairs.filter_map(|(stored, read)| match read {
                Read::Consultation(told) => Some((stored.seq, &**told)),
                Read::Step(_) | Read::Other => None,
            })
        };
        let all = Bytes::read(self.journal, told().map(|(_, told)| told)).await;
        let source = match all {
            Ok(bytes) => return Ok(bytes),
            Err(source) => source,
        };
        for (seq, told) in told() {
            let one = Bytes::read(self.journal, [told]).await;
            one.map_err(|source| VerifyError::Named { seq, source })?;
        }
        // Reading failed, and did not when it was tried again.
        let seq = told().next_back().map_or(0, |(seq, _)| seq);
        Err(VerifyError::Named { seq, source })
    }

    fn step(&mut self, seq: u64, at: Timestamp, recorded: StepRecord) -> Result<(), VerifyError> {
        self.found.steps += 1;
        self.found.facts += recorded.facts.len();
        self.taken(seq, at, &recorded.input);
        let step = self.decide(at, &recorded.input)?;
        let differs = self.compare(&recorded.facts, &step);
        self.remember(&step);
        let again = self.again.as_mut().ok_or(VerifyError::NoStart)?;
        for fact in &recorded.facts {
            if let Err(violation) = again.auditor.observe(at, fact) {
                let what = Differs::Invariant(violation.to_string());
                note(&mut self.found, Difference { seq, at, what });
            }
        }
        let facts = recorded.facts.into_iter().map(|fact| (at, fact));
        again.facts.extend(facts);
        if let Some(what) = differs {
            note(&mut self.found, Difference { seq, at, what });
            // What follows is judged by what was recorded.
            again.engine = fold(&again.facts)?;
        }
        Ok(())
    }

    /// What the engine decides on an input today.
    fn decide(&mut self, at: Timestamp, input: &Input) -> Result<Step, VerifyError> {
        let verb = match input {
            Input::Request(request) => Some(&request.verb),
            Input::Observation(_) | Input::Answer(_) | Input::Elapsed => None,
        };
        match (&mut self.again, verb) {
            (None, Some(Verb::Start(spec))) => {
                let (engine, step) = Engine::start(at, (**spec).clone());
                self.again = Some(Rollout {
                    engine,
                    auditor: Auditor::new(spec),
                    facts: Vec::new(),
                });
                Ok(step)
            }
            (None, _) => Err(VerifyError::NoStart),
            (Some(again), Some(Verb::Resume | Verb::Undo)) => {
                self.found.hosts += 1;
                again.engine = fold(&again.facts)?;
                Ok(again.engine.step(at, input))
            }
            (Some(again), _) => Ok(again.engine.step(at, input)),
        }
    }

    fn compare(&self, recorded: &[Fact], step: &Step) -> Option<Differs> {
        let places = 0..recorded.len().max(step.facts.len());
        let mut pairs = places.map(|place| (place, recorded.get(place), step.facts.get(place)));
        let (place, recorded, now) = pairs.find(|(_, recorded, now)| recorded != now)?;
        Some(Differs::Facts {
            place,
            recorded: recorded.cloned().map(Box::new),
            now: now.cloned().map(Box::new),
        })
    }

    /// The questions of a step, with whom the policy names for them.
    fn remember(&mut self, step: &Step) {
        let Some(again) = &self.again else {
            return;
        };
        let spec = &again.engine.state().spec;
        for command in &step.commands {
            if let Some((consultation, question, to)) = To::asked(spec, command) {
                self.asked.insert(consultation, Asked { question, to });
            }
        }
    }

    /// The answer that the engine takes is the one that was recorded.
    fn taken(&mut self, seq: u64, at: Timestamp, input: &Input) {
        let (consultation, said) = match input {
            Input::Answer(EngineAnswer::Strategy {
                consultation,
                result,
                ..
            }) => (*consultation, said(result.clone().map(Answer::Decide))),
            Input::Answer(EngineAnswer::Gate {
                consultation,
                result,
                ..
            }) => (*consultation, said(result.clone().map(Answer::Evaluate))),
            Input::Answer(EngineAnswer::Command { .. })
            | Input::Request(_)
            | Input::Observation(_)
            | Input::Elapsed => return,
        };
        let what = match self.answered.remove(&consultation) {
            None => Differs::Unheard { consultation },
            Some(recorded) if recorded != said => Differs::Taken { consultation },
            Some(_) => return,
        };
        note(&mut self.found, Difference { seq, at, what });
    }

    async fn consultation(
        &mut self,
        seq: u64,
        at: Timestamp,
        told: &ConsultationRecord,
        recorded: Recorded,
    ) {
        let consultation = told.consultation;
        let Some(asked) = self.asked.remove(&consultation) else {
            let what = Differs::NotAsked { consultation };
            self.answered.insert(consultation, recorded.said);
            note(&mut self.found, Difference { seq, at, what });
            return;
        };
        if let Some(what) = self.other_question(told, &recorded, &asked) {
            self.answered.insert(consultation, recorded.said);
            let what = Differs::Question {
                consultation,
                who: told.who.clone(),
                what,
            };
            note(&mut self.found, Difference { seq, at, what });
            return;
        }
        if let Some(what) = self.other_answer(told, &recorded, asked.to.limits).await {
            note(&mut self.found, Difference { seq, at, what });
        }
    }

    /// What of a recorded question is not what the engine asked.
    fn other_question(
        &self,
        told: &ConsultationRecord,
        recorded: &Recorded,
        asked: &Asked,
    ) -> Option<&'static str> {
        // A swap that is taken in the same turn as the question decides who gets it.
        let same_turn = self.again.as_ref().map(|again| {
            let spec = &again.engine.state().spec;
            match &asked.question {
                Question::Evaluate { .. } => {
                    let name = told.who.strip_prefix("gate ").unwrap_or_default();
                    spec.pins.gates.get(&name.into()).cloned()
                }
                Question::Decide { .. } | Question::Outline { .. } => {
                    Some(spec.pins.strategy.clone())
                }
            }
        });
        let swapped = same_turn.flatten() == Some(told.component.clone());
        if told.component != asked.to.component && !swapped {
            return Some("the component");
        }
        if told.config != asked.to.config && !swapped {
            return Some("the configuration");
        }
        let (then, now) = (
            AskedForm::from(&recorded.question),
            AskedForm::from(&asked.question),
        );
        (then != now).then_some("the question")
    }

    async fn other_answer(
        &mut self,
        told: &ConsultationRecord,
        recorded: &Recorded,
        limits: CallLimits,
    ) -> Option<Differs> {
        let (consultation, who) = (told.consultation, told.who.clone());
        let same_host = recorded.host_key == self.plugins.host_key();
        if !derivable(&recorded.said, same_host) {
            self.found.answers.as_recorded += 1;
            self.answered.insert(consultation, recorded.said.clone());
            return None;
        }
        if let Some(why) = self.lacks(told).await {
            self.unchecked(told, why);
            self.answered.insert(consultation, recorded.said.clone());
            return None;
        }
        let other = Other {
            digest: told.component.clone(),
            config: told.config.clone(),
            limits,
            remembers: Remembers::AsRecorded,
        };
        let mut again = Again::new(Arc::clone(self.plugins), self.rollout.clone(), other);
        let reply = again.reply(recorded).await;
        // The bytes are those of the last round; what the host adds to an answer is compared
        // when the engine takes it.
        let bytes = blob(reply.output).digest;
        let same = match &told.output {
            Some(digest) => bytes == *digest,
            None => reply.said == recorded.said,
        };
        self.answered.insert(consultation, reply.said.clone());
        if !same {
            return Some(Differs::Answer {
                consultation,
                who,
                recorded: Box::new(recorded.said.clone()),
                now: Box::new(reply.said),
            });
        }
        self.found.answers.same += 1;
        if same_host && reply.fuel != recorded.fuel {
            return Some(Differs::Fuel {
                consultation,
                who,
                recorded: recorded.fuel,
                now: reply.fuel,
            });
        }
        self.found.answers.same_fuel += usize::from(same_host);
        None
    }

    /// Loads a component, once. Why, if it is not to be had.
    async fn lacks(&mut self, told: &ConsultationRecord) -> Option<String> {
        if let Some(known) = self.components.get(&told.component) {
            return known.clone();
        }
        let kind = if told.who == "strategy" {
            PluginKind::Strategy
        } else {
            PluginKind::Gate
        };
        let loaded = self.plugins.load_stored(&told.component, kind).await;
        let lacks = loaded.err().map(|why| match why {
            // It was looked for by its digest, which the detail names again.
            PluginRejected::NotFound { detail, .. } => detail,
            other => other.to_string(),
        });
        self.components
            .insert(told.component.clone(), lacks.clone());
        lacks
    }

    fn unchecked(&mut self, told: &ConsultationRecord, why: String) {
        let mut known = self.found.unchecked.iter_mut();
        match known.find(|known| known.component == told.component && known.who == told.who) {
            Some(known) => known.answers += 1,
            None => self.found.unchecked.push(Unchecked {
                component: told.component.clone(),
                who: told.who.clone(),
                why,
                answers: 1,
            }),
        }
    }
}

fn fold(facts: &[(Timestamp, Fact)]) -> Result<Engine, VerifyError> {
    let facts = facts.iter().map(|(at, fact)| (*at, fact));
    Engine::fold(facts).map_err(|_| VerifyError::NoStart)
}

fn note(found: &mut Verified, difference: Difference) {
    if found.differences.len() < DIFFERENCES_MAX {
        found.differences.push(difference);
    } else {
        found.more += 1;
    }
}

fn said(result: Result<Answer, Unavailable>) -> Said {
    match result {
        Ok(answer) => Said::Answer(answer),
        Err(why) => Said::Unavailable(why),
    }
}

/// Whether asking again must lead to the same. What a clock, the machine's memory or a source
/// decided is taken as it was recorded; so is fuel that ran out on another kind of host.
pub(crate) fn derivable(said: &Said, same_host: bool) -> bool {
    let Said::Unavailable(why) = said else {
        return true;
    };
    match why {
        Unavailable::Failed { .. }
        | Unavailable::BadAnswer(_)
        | Unavailable::NotGranted { .. }
        | Unavailable::TooManyRounds { .. }
        | Unavailable::TooManyQueries { .. } => true,
        Unavailable::Trap { .. } | Unavailable::OutOfFuel { .. } => same_host,
        Unavailable::TimedOut { .. }
        | Unavailable::LimitExceeded { .. }
        | Unavailable::NonDeterministic { .. }
        | Unavailable::Source { .. }
        | Unavailable::Busy { .. }
        | Unavailable::NotLoaded { .. }
        | Unavailable::HostStopped => false,
    }
}
