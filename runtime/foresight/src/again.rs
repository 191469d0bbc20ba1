//! Asks a component what another one was asked, with the evidence that was recorded then.

use crate::recorded::{Recorded, Said};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wavegate_conductor::consult::scope;
use wavegate_conductor::evidence::{Asking, rounds};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{Phase, PluginState, Subject};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{Digest, Evidence, Query, RolloutId, SourceName, Unavailable};
use wavegate_ports::BoxFuture;
use wavegate_ports::plugins::{Answer, CallEnd, PluginCall, Plugins, Question};
use wavegate_ports::sources::{SourceError, Sources};

/// The component that is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// Which bytes.
    pub digest: Digest,
    /// Its configuration, as JSON.
    pub config: String,
    /// What a call may use.
    pub limits: CallLimits,
    /// What it remembers.
    pub remembers: Remembers,
}

/// What a component remembers from call to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembers {
    /// At each call what was recorded: it reads the state of the component that was asked then.
    AsRecorded,
    /// What it returned itself at the call before, and nothing at the first.
    Itself,
}

/// An answer, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The answer.
    pub said: Said,
    /// Its bytes as they would be recorded; empty if there is none.
    pub output: Vec<u8>,
    /// Units of fuel of the last round.
    pub fuel: u64,
}

/// For what a plugin keeps a state of its own.
type Key = (Subject, Option<Phase>);

/// Asks one component, question by question in their order.
pub struct Again {
    plugins: Arc<dyn Plugins>,
    rollout: RolloutId,
    other: Other,
    states: BTreeMap<Key, PluginState>,
}

impl Again {
    /// Asks this component about this rollout.
    pub fn new(plugins: Arc<dyn Plugins>, rollout: RolloutId, other: Other) -> Self {
        Self {
            plugins,
            rollout,
            other,
            states: BTreeMap::new(),
        }
    }

    /// What it answers to a recorded question.
    pub async fn ask(&mut self, recorded: &Recorded) -> Said {
        self.reply(recorded).await.said
    }

    /// What it answers to a recorded question, and what that took.
    pub async fn reply(&mut self, recorded: &Recorded) -> Reply {
        let mut question = recorded.question.clone();
        let key = self.remember(&mut question);
        let evidence = match &mut question {
            Question::Evaluate { evidence, .. } => std::mem::take(evidence),
            Question::Outline { .. } | Question::Decide { .. } => Vec::new(),
        };
        let call = PluginCall {
            rollout: self.rollout.clone(),
            digest: self.other.digest.clone(),
            config: self.other.config.clone(),
            limits: self.other.limits,
            question,
        };
        let reply = match &call.question {
            Question::Evaluate { .. } => self.evaluate(call, evidence).await,
            Question::Outline { .. } | Question::Decide { .. } => self.decide(call).await,
        };
        let state = match &reply.said {
            Said::Answer(Answer::Decide(outcome)) => Some(&outcome.state),
            Said::Answer(Answer::Evaluate(evaluation)) => Some(&evaluation.state),
            Said::Answer(Answer::Outline(_)) | Said::Unavailable(_) | Said::WouldAsk(_) => None,
        };
        if let (Some(key), Some(state)) = (key, state) {
            self.states.insert(key, state.clone());
        }
        reply
    }

    /// Puts in the state that the component is to get. Gives the key of the one that it returns.
    fn remember(&self, question: &mut Question) -> Option<Key> {
        let (key, state) = match question {
            Question::Outline { .. } => return None,
            Question::Decide { view, state } => ((Subject::Site(view.site.clone()), None), state),
            Question::Evaluate { call, state, .. } => {
                ((call.subject.clone(), Some(call.phase)), state)
            }
        };
        if self.other.remembers == Remembers::Itself {
            *state = self.states.get(&key).cloned().unwrap_or_default();
        }
        Some(key)
    }

    async fn decide(&self, call: PluginCall) -> Reply {
        let report = self.plugins.call(call).await;
        let said = match report.end {
            CallEnd::Answered(answer @ (Answer::Decide(_) | Answer::Outline(_))) => {
                Said::Answer(answer)
            }
            CallEnd::Answered(Answer::Evaluate(_)) | CallEnd::NeedsEvidence(_) => {
                Said::Unavailable(Unavailable::BadAnswer(BadAnswer::WrongKind))
            }
            CallEnd::Unavailable(why) => Said::Unavailable(why),
        };
        Reply {
            said,
            output: report.output,
            fuel: report.fuel,
        }
    }

    /// In the rounds of a running rollout, but for where the evidence comes from.
    async fn evaluate(&self, call: PluginCall, evidence: Vec<(Query, Evidence)>) -> Reply {
        let Question::Evaluate {
            call: asked, slots, ..
        } = &call.question
        else {
            return Reply {
                said: Said::Unavailable(Unavailable::BadAnswer(BadAnswer::WrongKind)),
                output: Vec::new(),
                fuel: 0,
            };
        };
        let sources = Arc::new(FromRecord {
            known: evidence,
            missing: Mutex::default(),
        });
        let asking = Asking {
            plugins: Arc::clone(&self.plugins),
            sources: Arc::clone(&sources) as Arc<dyn Sources>,
            slots: slots
                .iter()
                .map(|slot| (slot.clone(), SourceName::new("recorded")))
                .collect(),
            // What was recorded is as old as it was.
            scope: scope(asked, None),
        };
        // Nothing is recorded of what is only tried.
        let mut blobs = Vec::new();
        let (report, _, result) = rounds(asking, call, &mut blobs).await;
        let mut missing = std::mem::take(&mut *sources.missing());
        missing.sort();
        missing.dedup();
        let said = match result {
            Ok(evaluation) => Said::Answer(Answer::Evaluate(evaluation)),
            Err(_) if !missing.is_empty() => Said::WouldAsk(missing),
            Err(why) => Said::Unavailable(why),
        };
        Reply {
            said,
            output: report.output,
            fuel: report.fuel,
        }
    }
}

/// Answers from what was recorded for one question. The same query was asked at one instant, so
/// that its first answer is as good as any other.
struct FromRecord {
    known: Vec<(Query, Evidence)>,
    missing: Mutex<Vec<Query>>,
}

impl FromRecord {
    fn missing(&self) -> MutexGuard<'_, Vec<Query>> {
        // Nothing that holds the lock panics half-way through a change.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources for FromRecord {
    fn check(&self, _: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        _: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        let found = self.known.iter().find(|(known, _)| known == query);
        let answer = match found {
            Some((_, evidence)) => Ok(evidence.clone()),
            None => {
                self.missing().push(query.clone());
                Err(SourceError::Unavailable {
                    source_name: source.clone(),
                    detail: "it was not asked then".to_owned(),
                })
            }
        };
        Box::pin(async { answer })
    }
}
