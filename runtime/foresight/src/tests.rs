//! A gate that asks one question and counts its calls, asked again by what a journal would have.

use crate::{Again, Compared, Other, Recorded, Remembers, Said};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{
    Evaluation, GateCall, Phase, PluginKind, PluginState, Problem, ReleaseId, Subject, Verdict,
};
use wavegate_model::policy::PluginRef;
use wavegate_model::{ConsultationId, Digest, Evidence, Query, RolloutId, Timestamp, Unavailable};
use wavegate_ports::BoxFuture;
use wavegate_ports::encoding::{AnsweredForm, AskedForm};
use wavegate_ports::plugins::{
    Answer, CallEnd, CallReport, LoadedPlugin, PluginCall, PluginRejected, Plugins, Question,
};

/// Asks what its configuration says, passes if there is an answer, and returns how many calls it
/// has had. Its second call holds.
struct Gate;

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
        let Question::Evaluate {
            state, evidence, ..
        } = call.question
        else {
            unreachable!("it is a gate")
        };
        let calls = state.0.first().copied().unwrap_or(0) + 1;
        let end = if evidence.is_empty() {
            CallEnd::NeedsEvidence(vec![query(&call.config)])
        } else {
            CallEnd::Answered(Answer::Evaluate(evaluation(calls)))
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
        Box::pin(async { report })
    }

    fn host_key(&self) -> String {
        String::new()
    }
}

fn query(text: &str) -> Query {
    Query::Instant {
        slot: "m".into(),
        query: text.to_owned(),
    }
}

fn evaluation(calls: u8) -> Evaluation {
    Evaluation {
        newest: None,
        verdict: if calls == 2 {
            Verdict::Hold
        } else {
            Verdict::Pass
        },
        reason: format!("call {calls}"),
        clusters: BTreeMap::new(),
        measurements: Vec::new(),
        state: PluginState(vec![calls]),
    }
}

/// A question about a site, at which the component before remembered so many calls.
fn recorded(site: &str, remembered: u8) -> Recorded {
    let call = GateCall {
        now: Timestamp(1),
        subject: Subject::Site(site.into()),
        phase: Phase::AfterBatch,
        attempt: 0,
        evidence_start: Timestamp(0),
        release: ReleaseId {
            version: "1".to_owned(),
            digest: Digest::from_sha256(&[1; 32]),
        },
        updated: Vec::new(),
        untouched: Vec::new(),
    };
    Recorded {
        at: Timestamp(2),
        consultation: ConsultationId(3),
        component: Digest::from_sha256(&[2; 32]),
        config: "known".to_owned(),
        host_key: String::new(),
        fuel: 0,
        question: Question::Evaluate {
            call,
            state: PluginState(vec![remembered]),
            evidence: vec![(query("known"), Evidence::Series(Vec::new()))],
            slots: ["m".into()].into(),
        },
        said: Said::Answer(Answer::Evaluate(evaluation(1))),
        output: None,
    }
}

fn again(config: &str, remembers: Remembers) -> Again {
    let other = Other {
        digest: Digest::from_sha256(&[9; 32]),
        config: config.to_owned(),
        limits: CallLimits::SMALL,
        remembers,
    };
    Again::new(Arc::new(Gate), RolloutId::new("r"), other)
}

fn calls(said: &Said) -> u8 {
    match said {
        Said::Answer(Answer::Evaluate(evaluation)) => evaluation.state.0[0],
        other => panic!("it answers: {other:?}"),
    }
}

#[tokio::test]
async fn it_remembers_what_was_recorded_or_what_it_said_itself() {
    let mut reads = again("known", Remembers::AsRecorded);
    assert_eq!(calls(&reads.ask(&recorded("a", 7)).await), 8);
    assert_eq!(calls(&reads.ask(&recorded("a", 3)).await), 4);
    let mut own = again("known", Remembers::Itself);
    assert_eq!(calls(&own.ask(&recorded("a", 7)).await), 1);
    assert_eq!(calls(&own.ask(&recorded("b", 7)).await), 1, "by subject");
    assert_eq!(calls(&own.ask(&recorded("a", 7)).await), 2);
}

#[tokio::test]
async fn what_was_not_recorded_is_named_and_remembered_by_nobody() {
    let mut other = again("unheard", Remembers::Itself);
    for _ in 0..2 {
        let said = other.ask(&recorded("a", 0)).await;
        assert_eq!(said, Said::WouldAsk(vec![query("unheard")]));
    }
}

#[tokio::test]
async fn a_verdict_makes_the_difference_and_a_reason_does_not() {
    let mut other = again("known", Remembers::AsRecorded);
    for (remembered, same) in [(0, true), (1, false), (2, true)] {
        let recorded = recorded("a", remembered);
        let now = other.ask(&recorded).await;
        let compared = Compared { recorded, now };
        assert_eq!(compared.same(), same, "{compared:?}");
    }
}

#[test]
fn questions_and_answers_come_back_from_their_bytes() {
    let question = recorded("a", 1).question;
    let bytes = serde_json::to_vec(&AskedForm::from(&question)).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(
        text.starts_with(r#"{"evaluate":{"call":{"now":1,"#),
        "{text}"
    );
    assert!(text.ends_with(r#""state":"01","slots":["m"]}}"#), "{text}");
    let form: AskedForm<'static> = serde_json::from_slice(&bytes).unwrap();
    let evidence = vec![(query("known"), Evidence::Series(Vec::new()))];
    assert_eq!(form.with(evidence), question);
    let answer = Answer::Evaluate(evaluation(4));
    let bytes = serde_json::to_vec(&AnsweredForm::from(&answer)).unwrap();
    let form: AnsweredForm<'static> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(Answer::from(form), answer);
}
