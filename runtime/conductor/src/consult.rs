//! Asks plugins, and brings their answers back as inputs.
//!
//! What gates want to know is fetched in `evidence`.

use crate::Ports;
use crate::evidence::{Asking, Recorded, rounds};
use crate::record::{CONSULTATION, ConsultationRecord, blob, record};
use crate::runner::Arrival;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wavegate_engine::{Answer as EngineAnswer, Input, Spec};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::plugin::{GateCall, PluginState, SiteView};
use wavegate_model::{ConsultationId, DurationMs, GateName, Generation, Unavailable};
use wavegate_ports::journal::Blob;
use wavegate_ports::plugins::{Answer, CallEnd, CallReport, PluginCall, Question};

/// A question that is on its way: who is asked, for which generation.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) consultation: ConsultationId,
    pub(crate) generation: Generation,
}

/// Asks the strategy.
pub(crate) fn strategy(
    ports: &Ports,
    spec: &Spec,
    asked: Asked,
    view: SiteView,
    state: PluginState,
    inputs: &mpsc::Sender<Arrival>,
) -> impl Future<Output = ()> + Send + use<> {
    let call = PluginCall {
        rollout: spec.rollout.clone(),
        digest: spec.pins.strategy.clone(),
        config: spec.policy.strategy.config.clone(),
        limits: spec.policy.strategy.limits,
        question: Question::Decide { view, state },
    };
    let (ports, inputs) = (ports.clone(), inputs.clone());
    let since = Instant::now();
    async move {
        let mut blobs = Vec::new();
        let report = ports.plugins.call(call.clone()).await;
        let result = match report.end.clone() {
            CallEnd::Answered(Answer::Decide(outcome)) => Ok(outcome),
            CallEnd::Answered(Answer::Outline(_) | Answer::Evaluate(_))
            | CallEnd::NeedsEvidence(_) => Err(Unavailable::BadAnswer(
                wavegate_model::unavailable::BadAnswer::WrongKind,
            )),
            CallEnd::Unavailable(why) => Err(why),
        };
        let told = told(
            &ports,
            "strategy".to_owned(),
            &asked,
            &call,
            &report,
            since.elapsed(),
            Vec::new(),
            result.as_ref().err(),
            &mut blobs,
        );
        let input = Input::Answer(EngineAnswer::Strategy {
            consultation: asked.consultation,
            generation: asked.generation,
            result,
        });
        let _ = inputs
            .send(Arrival {
                input,
                consultation: Some(told),
                blobs,
            })
            .await;
    }
}

/// Asks a gate, with as many rounds of evidence as it needs.
pub(crate) fn gate(
    ports: &Ports,
    spec: &Spec,
    asked: Asked,
    gate: &GateName,
    call: GateCall,
    state: PluginState,
    inputs: &mpsc::Sender<Arrival>,
) -> impl Future<Output = ()> + Send + use<> {
    let policy = spec
        .policy
        .gates
        .iter()
        .find(|g| g.name == *gate)
        .expect("the engine asks gates of the policy")
        .clone();
    let scope = scope(&call, policy.fresh_for);
    let question = PluginCall {
        rollout: spec.rollout.clone(),
        digest: spec
            .pins
            .gates
            .get(gate)
            .expect("every gate of the policy is pinned")
            .clone(),
        config: policy.config.clone(),
        limits: policy.limits,
        question: Question::Evaluate {
            call,
            state,
            evidence: Vec::new(),
            slots: policy.slots.keys().cloned().collect(),
        },
    };
    let (ports, inputs, who) = (ports.clone(), inputs.clone(), format!("gate {gate}"));
    let since = Instant::now();
    async move {
        let mut blobs = Vec::new();
        let asking = Asking {
            plugins: Arc::clone(&ports.plugins),
            sources: Arc::clone(&ports.sources),
            slots: policy.slots,
            scope,
        };
        let (report, evidence, result) = rounds(asking, question.clone(), &mut blobs).await;
        let told = told(
            &ports,
            who,
            &asked,
            &question,
            &report,
            since.elapsed(),
            evidence,
            result.as_ref().err(),
            &mut blobs,
        );
        let input = Input::Answer(EngineAnswer::Gate {
            consultation: asked.consultation,
            generation: asked.generation,
            result,
        });
        let _ = inputs
            .send(Arrival {
                input,
                consultation: Some(told),
                blobs,
            })
            .await;
    }
}

/// What the questions of an evaluation are about.
pub fn scope(call: &GateCall, fresh_for: Option<DurationMs>) -> EvidenceScope {
    let clusters = call.updated.iter().chain(&call.untouched);
    EvidenceScope {
        now: call.now,
        start: call.evidence_start,
        release: call.release.digest.clone(),
        baselines: clusters
            .map(|cluster| (cluster.name.clone(), cluster.baseline.clone()))
            .collect(),
        fresh_for,
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a record of everything that a consultation had"
)]
fn told(
    ports: &Ports,
    who: String,
    asked: &Asked,
    call: &PluginCall,
    report: &CallReport,
    took: Duration,
    evidence: Recorded,
    unavailable: Option<&Unavailable>,
    blobs: &mut Vec<Blob>,
) -> wavegate_ports::journal::NewRecord {
    let input = blob(report.input.clone());
    let output = (!report.output.is_empty()).then(|| blob(report.output.clone()));
    let told = ConsultationRecord {
        consultation: asked.consultation,
        who,
        component: call.digest.clone(),
        host_key: ports.plugins.host_key(),
        input: input.digest.clone(),
        config: call.config.clone(),
        evidence,
        output: output.as_ref().map(|blob| blob.digest.clone()),
        unavailable: unavailable.cloned(),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        fuel: report.fuel,
        memory_bytes: report.memory_bytes,
        log: report.log.clone(),
    };
    blobs.push(input);
    blobs.extend(output);
    record(ports.clock.now(), CONSULTATION, &told)
}
