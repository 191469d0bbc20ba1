//! The evidence that gates ask for, in rounds.
//!
//! Evidence is never fetched inside a guest. A gate that asks for something it has not got ends
//! its call; the answers are fetched and recorded here, and the gate runs again from the start
//! with all answers so far.

use crate::guarded::{PANICKED, unless_it_panics};
use crate::record::blob;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::limits::EVIDENCE_ROUNDS_MAX;
use wavegate_model::plugin::Evaluation;
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{Digest, Evidence, Query, SlotName, SourceName, Timestamp, Unavailable};
use wavegate_ports::journal::Blob;
use wavegate_ports::plugins::{Answer, CallEnd, CallReport, PluginCall, Plugins, Question};
use wavegate_ports::sources::Sources;

/// Questions of one gate that a source has at once: what a server answers without noticing, and
/// a thousand of them still take no time that shows.
const FETCHES_MAX: usize = 16;

/// Who is asked, and what holds for all questions of one evaluation.
pub struct Asking {
    /// Who calls the gate.
    pub plugins: Arc<dyn Plugins>,
    /// Who answers it.
    pub sources: Arc<dyn Sources>,
    /// Which source answers for a slot.
    pub slots: BTreeMap<SlotName, SourceName>,
    /// What the questions are about.
    pub scope: EvidenceScope,
}

/// The questions of an evaluation, each with the digest of its answer.
pub type Recorded = Vec<(Query, Digest)>;

/// What goes on from round to round, whoever calls the gate and fetches the answers.
#[derive(Debug, Default)]
pub struct Rounds {
    fetched: u32,
    /// Of each answer that has samples, the newest counts, and of these the oldest: a gate rests
    /// on all of them.
    newest: Option<Timestamp>,
}

/// What follows from a round.
#[derive(Debug)]
pub enum Round {
    /// The gate has answered, or cannot.
    Over(Result<Evaluation, Unavailable>),
    /// It wants to know this first.
    Fetch(Vec<Query>),
}

impl Rounds {
    /// Takes how a call ended.
    pub fn ended(&mut self, end: CallEnd) -> Round {
        Round::Over(match end {
            CallEnd::Answered(Answer::Evaluate(evaluation)) => Ok(Evaluation {
                newest: self.newest,
                ..evaluation
            }),
            CallEnd::Answered(Answer::Outline(_) | Answer::Decide(_)) => {
                Err(Unavailable::BadAnswer(BadAnswer::WrongKind))
            }
            CallEnd::Unavailable(why) => Err(why),
            CallEnd::NeedsEvidence(_) if self.fetched == EVIDENCE_ROUNDS_MAX => {
                let limit = EVIDENCE_ROUNDS_MAX;
                Err(Unavailable::TooManyRounds { limit })
            }
            CallEnd::NeedsEvidence(queries) => {
                self.fetched += 1;
                return Round::Fetch(queries);
            }
        })
    }

    /// Puts an answer into the question of the next round.
    pub fn learned(&mut self, question: &mut Question, query: Query, evidence: Evidence) {
        self.newest = self.newest.into_iter().chain(evidence.newest()).min();
        if let Question::Evaluate {
            evidence: known, ..
        } = question
        {
            known.push((query, evidence));
        }
    }
}

/// Asks a gate until it answers, or cannot. The bytes of all evidence go to `blobs`.
pub async fn rounds(
    asking: Asking,
    mut question: PluginCall,
    blobs: &mut Vec<Blob>,
) -> (CallReport, Recorded, Result<Evaluation, Unavailable>) {
    let asking = Arc::new(asking);
    let (mut recorded, mut rounds) = (Recorded::new(), Rounds::default());
    loop {
        let report = asking.plugins.call(question.clone()).await;
        let queries = match rounds.ended(report.end.clone()) {
            Round::Over(result) => return (report, recorded, result),
            Round::Fetch(queries) => queries,
        };
        let answers = match fetch_all(&asking, &queries).await {
            Ok(answers) => answers,
            Err(why) => return (report, recorded, Err(why)),
        };
        for (query, evidence) in queries.into_iter().zip(answers) {
            let bytes =
                serde_json::to_vec(&evidence).expect("evidence is made of types that JSON can say");
            let blob = blob(bytes);
            recorded.push((query.clone(), blob.digest.clone()));
            blobs.push(blob);
            rounds.learned(&mut question.question, query, evidence);
        }
    }
}

/// Fetches the answers of one round, in the order of the questions. Of several that cannot be
/// had, the first one's reason counts.
async fn fetch_all(asking: &Arc<Asking>, queries: &[Query]) -> Result<Vec<Evidence>, Unavailable> {
    if let [query] = queries {
        return Ok(vec![fetch(asking, query).await?]);
    }
    let mut all = Vec::with_capacity(queries.len());
    for some in queries.chunks(FETCHES_MAX) {
        let mut tasks = JoinSet::new();
        for (place, query) in some.iter().cloned().enumerate() {
            let asking = Arc::clone(asking);
            tasks.spawn(async move { (place, fetch(&asking, &query).await) });
        }
        let mut answers = tasks.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        for (_, answer) in answers {
            all.push(answer?);
        }
    }
    Ok(all)
}

async fn fetch(asking: &Asking, query: &Query) -> Result<Evidence, Unavailable> {
    let slot = query.slot();
    let source = asking
        .slots
        .get(slot)
        .ok_or_else(|| Unavailable::NotGranted { slot: slot.clone() })?;
    let fetching = async { asking.sources.fetch(source, query, &asking.scope).await };
    // A source with a defect is one without an answer: its gate would wait for ever.
    let message = match unless_it_panics(fetching).await {
        Some(Ok(evidence)) => return Ok(evidence),
        Some(Err(error)) => error.to_string(),
        None => PANICKED.to_owned(),
    };
    Err(Unavailable::Source {
        slot: slot.clone(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wavegate_model::RolloutId;
    use wavegate_model::evidence::Series;
    use wavegate_model::limits::CallLimits;
    use wavegate_model::plugin::{PluginKind, PluginState, Problem, Verdict};
    use wavegate_model::policy::PluginRef;
    use wavegate_ports::BoxFuture;
    use wavegate_ports::plugins::{LoadedPlugin, PluginRejected};
    use wavegate_ports::sources::SourceError;

    fn query(text: String) -> Query {
        Query::Instant {
            slot: "metrics".into(),
            query: text,
        }
    }

    /// A gate that asks for so many answers in each round, and then passes.
    struct Gate {
        rounds: Vec<usize>,
        seen: Mutex<Vec<Vec<(Query, Evidence)>>>,
    }

    impl Plugins for Gate {
        fn load(
            &self,
            _: &PluginRef,
            _: PluginKind,
            _: &Path,
        ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
            unreachable!("it is loaded")
        }

        fn load_stored(
            &self,
            _: &Digest,
            _: PluginKind,
        ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
            unreachable!("it is loaded")
        }

        fn validate_config(
            &self,
            _: &Digest,
            _: &str,
        ) -> BoxFuture<'_, Result<Vec<Problem>, Unavailable>> {
            unreachable!("it is configured")
        }

        fn call(&self, call: PluginCall) -> BoxFuture<'_, CallReport> {
            let Question::Evaluate { evidence, .. } = call.question else {
                unreachable!("it is a gate")
            };
            let mut seen = self.seen.lock().unwrap();
            let round = seen.len();
            seen.push(evidence);
            let end = match self.rounds.get(round) {
                Some(count) => {
                    let queries = (0..*count).map(|n| query(format!("{round}/{n}")));
                    CallEnd::NeedsEvidence(queries.collect())
                }
                None => CallEnd::Answered(Answer::Evaluate(Evaluation {
                    verdict: Verdict::Pass,
                    reason: String::new(),
                    clusters: BTreeMap::new(),
                    measurements: Vec::new(),
                    state: PluginState::default(),
                    newest: None,
                })),
            };
            let report = CallReport {
                end,
                input: Vec::new(),
                output: Vec::new(),
                fuel: 0,
                memory_bytes: 0,
                log: Vec::new(),
                micros: 0,
            };
            Box::pin(async move { report })
        }

        fn host_key(&self) -> String {
            String::new()
        }
    }

    /// Answers later questions sooner, has no answer to some, and a defect that others show.
    #[derive(Default)]
    struct Source {
        silent: Vec<&'static str>,
        panics: Vec<&'static str>,
        open: AtomicUsize,
        most: AtomicUsize,
    }

    fn answer(text: &str) -> Evidence {
        let (_, number) = text.split_once('/').unwrap();
        let number: f64 = number.parse().unwrap();
        Evidence::Series(vec![Series {
            labels: vec![("question".to_owned(), text.to_owned())],
            // The first question of a round has no samples.
            samples: (0..u8::from(number > 0.0) * 2)
                .map(|n| (1000.0 * number + f64::from(n), 1.0))
                .collect(),
        }])
    }

    impl Sources for Source {
        fn check(&self, _: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
            unreachable!("it was checked")
        }

        fn fetch(
            &self,
            source: &SourceName,
            query: &Query,
            _: &EvidenceScope,
        ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
            let Query::Instant { query, .. } = query.clone() else {
                unreachable!("it asks for nothing else")
            };
            let source_name = source.clone();
            Box::pin(async move {
                let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(open, Ordering::SeqCst);
                let (_, number) = query.split_once('/').unwrap();
                for _ in 0..100 - number.parse::<usize>().unwrap() % 100 {
                    tokio::task::yield_now().await;
                }
                self.open.fetch_sub(1, Ordering::SeqCst);
                assert!(!self.panics.contains(&query.as_str()), "a defect");
                if self.silent.contains(&query.as_str()) {
                    let detail = format!("nothing to say to {query}");
                    return Err(SourceError::Unavailable {
                        source_name,
                        detail,
                    });
                }
                Ok(answer(&query))
            })
        }
    }

    type Outcome = (Recorded, Result<Evaluation, Unavailable>, usize);

    async fn ask(gate: &Arc<Gate>, source: &Arc<Source>) -> Outcome {
        let asking = Asking {
            plugins: Arc::clone(gate) as Arc<dyn Plugins>,
            sources: Arc::clone(source) as Arc<dyn Sources>,
            slots: [("metrics".into(), "s".into())].into(),
            scope: EvidenceScope {
                now: Timestamp(1),
                start: Timestamp(0),
                release: Digest::from_sha256(&[1; 32]),
                baselines: BTreeMap::new(),
                fresh_for: None,
            },
        };
        let call = PluginCall {
            rollout: RolloutId::new("r"),
            digest: Digest::from_sha256(&[2; 32]),
            config: String::new(),
            limits: CallLimits::SMALL,
            question: Question::Evaluate {
                call: wavegate_model::plugin::GateCall {
                    now: Timestamp(1),
                    subject: wavegate_model::plugin::Subject::Site("a".into()),
                    phase: wavegate_model::plugin::Phase::AfterBatch,
                    attempt: 0,
                    evidence_start: Timestamp(0),
                    release: wavegate_model::plugin::ReleaseId {
                        version: "1".into(),
                        digest: Digest::from_sha256(&[1; 32]),
                    },
                    updated: Vec::new(),
                    untouched: Vec::new(),
                },
                state: PluginState::default(),
                evidence: Vec::new(),
                slots: ["metrics".into()].into(),
            },
        };
        let mut blobs = Vec::new();
        let (_, recorded, result) = rounds(asking, call, &mut blobs).await;
        (recorded, result, blobs.len())
    }

    fn gate(rounds: &[usize]) -> Arc<Gate> {
        Arc::new(Gate {
            rounds: rounds.to_vec(),
            seen: Mutex::default(),
        })
    }

    #[tokio::test]
    async fn questions_of_a_round_are_fetched_together_and_answered_in_their_order() {
        let (gate, source) = (gate(&[100, 1]), Arc::new(Source::default()));
        let (recorded, result, blobs) = ask(&gate, &source).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!((recorded.len(), blobs), (101, 101));
        let seen = gate.seen.lock().unwrap();
        let counts: Vec<usize> = seen.iter().map(Vec::len).collect();
        assert_eq!(counts, [0, 100, 101]);
        let texts = (0..100).map(|n| format!("0/{n}")).chain(["1/0".to_owned()]);
        let expected: Vec<_> = texts
            .map(|text| (query(text.clone()), answer(&text)))
            .collect();
        assert_eq!(seen[2], expected);
        assert_eq!(source.most.load(Ordering::SeqCst), FETCHES_MAX);
        // The newest sample of the answer whose newest is the oldest; one without samples says
        // nothing.
        assert_eq!(result.unwrap().newest, Some(Timestamp(1001)));
    }

    #[tokio::test]
    async fn of_several_answers_that_cannot_be_had_the_first_one_counts() {
        let source = Source {
            silent: vec!["0/90", "0/9"],
            ..Source::default()
        };
        let (recorded, result, _) = ask(&gate(&[100]), &Arc::new(source)).await;
        assert!(recorded.is_empty());
        let why = result.unwrap_err().to_string();
        assert!(why.contains("`metrics`") && why.contains("`s`"), "{why}");
        assert!(why.ends_with("nothing to say to 0/9"), "{why}");
    }

    #[tokio::test]
    async fn a_source_that_panics_has_no_answer() {
        for asked in [1, 3] {
            let source = Arc::new(Source {
                panics: vec!["0/0"],
                ..Source::default()
            });
            let (_, result, _) = ask(&gate(&[asked]), &source).await;
            let why = result.unwrap_err();
            assert!(!why.is_of_the_plugin(), "{why}");
            assert!(why.to_string().contains("the host panicked"), "{why}");
        }
    }

    #[tokio::test]
    async fn rounds_have_an_end() {
        let most = usize::try_from(EVIDENCE_ROUNDS_MAX).unwrap();
        let source = Arc::new(Source::default());
        let (_, result, _) = ask(&gate(&vec![3; most]), &source).await;
        assert!(result.is_ok(), "{result:?}");
        let (recorded, result, _) = ask(&gate(&vec![3; most + 1]), &source).await;
        assert_eq!(recorded.len(), 3 * most);
        assert_eq!(
            result.unwrap_err(),
            Unavailable::TooManyRounds {
                limit: EVIDENCE_ROUNDS_MAX
            }
        );
    }
}
