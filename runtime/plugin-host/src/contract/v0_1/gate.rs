//! Gates: the model's questions as the contract's, and its answers as the model's.

use super::answers::{self, at_most};
use super::gate_world::exports::wavegate::plugin::gate as wit;
use crate::text::{clean, clean_to};
use std::collections::BTreeMap;
use wavegate_model::plugin::{
    About, Evaluation, GateCall, GateCluster, Measurement, PluginKind, Slot, Subject,
};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{SlotName, Unavailable};

/// Slots of a gate; one that needs more is several gates.
const SLOTS_MAX: usize = 16;
/// Measurements of one evaluation: a few for each cluster of a large wave.
const MEASUREMENTS_MAX: usize = 2000;
/// Kinds of source that a slot can ask for.
const SLOT_KINDS: [&str; 3] = ["metrics", "http", "probes"];

pub(super) fn about(about: wit::GateAbout) -> Result<About, Unavailable> {
    let slots = at_most("its list of slots", about.slots, SLOTS_MAX)?;
    let slots = slots.into_iter().map(slot).collect::<Result<_, _>>()?;
    answers::about(PluginKind::Gate, about.about, slots)
}

fn slot(slot: wit::Slot) -> Result<Slot, Unavailable> {
    let (name, kind) = (
        clean_to(&slot.name, answers::NAME_CHARS_MAX),
        clean_to(&slot.kind, answers::NAME_CHARS_MAX),
    );
    let bad = |message| Unavailable::Failed {
        code: "bad-slot".into(),
        message,
    };
    if name != slot.name || name.is_empty() {
        return Err(bad(format!("`{name}` is not a name for a slot")));
    }
    if !SLOT_KINDS.contains(&kind.as_str()) {
        return Err(bad(format!(
            "slot `{name}` is of kind `{kind}`; known kinds are metrics, http and probes"
        )));
    }
    Ok(Slot {
        name: SlotName::new(name),
        kind,
        text: clean(&slot.text),
    })
}

pub(super) fn call(call: &GateCall) -> wit::GateCall {
    let (kind, name) = match &call.subject {
        Subject::Site(site) => ("site", site.as_str()),
        Subject::Wave(wave) => ("wave", wave.as_str()),
    };
    wit::GateCall {
        now: answers::instant(call.now),
        subject: wit::Subject {
            kind: kind.into(),
            name: name.into(),
        },
        phase: call.phase.as_str().into(),
        attempt: call.attempt,
        evidence_start: answers::instant(call.evidence_start),
        release: answers::release(&call.release),
        updated: call.updated.iter().map(cluster).collect(),
        untouched: call.untouched.iter().map(cluster).collect(),
        extensions: Vec::new(),
    }
}

fn cluster(cluster: &GateCluster) -> wit::GateCluster {
    wit::GateCluster {
        name: cluster.name.as_str().to_owned(),
        role: cluster.role.clone(),
        baseline: cluster.baseline.to_string(),
        new_ready: cluster.new_ready,
        baseline_ready: cluster.baseline_ready,
    }
}

/// The verdict is the worst of the gate's own and those for clusters, whatever it says itself.
pub(super) fn evaluation(
    evaluation: wit::Evaluation,
    call: &GateCall,
) -> Result<Evaluation, Unavailable> {
    let known = || call.updated.iter().chain(&call.untouched).map(|c| &c.name);
    let verdicts = at_most("its list of verdicts", evaluation.clusters, known().count())?;
    let mut clusters = BTreeMap::new();
    for given in verdicts {
        let name = answers::cluster(&given.cluster)?;
        if !known().any(|known| *known == name) {
            return Err(Unavailable::BadAnswer(BadAnswer::UnknownCluster(name)));
        }
        let verdict = answers::verdict(given.verdict);
        let worst = clusters.entry(name).or_insert(verdict);
        *worst = verdict.max(*worst);
    }
    let own = answers::verdict(evaluation.verdict);
    let measurements = at_most(
        "its list of measurements",
        evaluation.measurements,
        MEASUREMENTS_MAX,
    )?;
    Ok(Evaluation {
        verdict: clusters.values().copied().fold(own, Ord::max),
        reason: clean(&evaluation.reason),
        clusters,
        measurements: measurements
            .into_iter()
            .map(measurement)
            .collect::<Result<_, _>>()?,
        state: answers::state(evaluation.state)?,
        // Who fetched the evidence knows.
        newest: None,
    })
}

fn measurement(measured: wit::Measurement) -> Result<Measurement, Unavailable> {
    let name = clean_to(&measured.name, answers::NAME_CHARS_MAX);
    if measured.value.is_some_and(|value| !value.is_finite()) {
        return Err(Unavailable::BadAnswer(BadAnswer::NotFinite(name)));
    }
    Ok(Measurement {
        name,
        cluster: clean(&measured.cluster),
        value: measured.value,
        unit: clean_to(&measured.unit, answers::NAME_CHARS_MAX),
        limit: clean_to(&measured.limit, answers::NAME_CHARS_MAX),
        verdict: answers::verdict(measured.verdict),
        samples: measured.samples,
    })
}
