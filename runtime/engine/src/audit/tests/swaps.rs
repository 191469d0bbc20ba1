//! Bad swaps of plugins, and answers of components that were swapped out.

use super::Violation;
use super::hands::*;
use crate::fact::{End, Fact};
use crate::spec::Spec;
use crate::swap::{Component, Memory, Part, StateTag};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use wavegate_model::plugin::{Evaluation, Phase, PluginState, Proposal, Verdict};
use wavegate_model::policy::PluginRef;
use wavegate_model::source::{Grant, SourceKind};
use wavegate_model::{ConsultationId, Digest, SourceSpec, Unavailable};

fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

fn tag(version: u32) -> StateTag {
    StateTag {
        plugin: String::from("g"),
        version,
    }
}

fn swap(part: Part, n: u8, version: u32, memory: Memory) -> Fact {
    Fact::PluginSwapped {
        part,
        from: digest(9),
        to: Box::new(Component {
            plugin: PluginRef::Shipped(String::from("g")),
            digest: digest(n),
            version: String::from("1"),
            writes: tag(version),
            config: String::from("{}"),
        }),
        memory,
        actor: String::from("ann"),
        reason: String::from("as told"),
    }
}

fn gate() -> Part {
    Part::Gate("g".into())
}

/// The gate asks a source that knows components 9 and 10.
fn with_source() -> Spec {
    let mut spec = with_gate(Phase::AfterBatch);
    spec.policy.gates[0].slots.insert("m".into(), "prom".into());
    spec.sources.push(SourceSpec {
        name: "prom".into(),
        kind: SourceKind::Probe,
        policies: Grant::Any,
        plugins: Grant::Only(BTreeSet::from([digest(9), digest(10)])),
    });
    spec
}

fn verdict(consultation: u64) -> Fact {
    Fact::GateAnswered {
        consultation: ConsultationId(consultation),
        gate: gate_of("a", Phase::AfterBatch),
        evaluation: Box::new(Evaluation {
            verdict: Verdict::Pass,
            reason: String::new(),
            clusters: BTreeMap::new(),
            measurements: alloc::vec::Vec::new(),
            state: PluginState::default(),
            newest: None,
        }),
    }
}

#[test]
fn what_was_swapped_out_has_no_say() {
    let mut tale = Tale::updating(&with_gate(Phase::AfterBatch));
    let key = gate_of("a", Phase::AfterBatch);
    tale.ask(&key);
    tale.ok(swap(gate(), 10, 1, Memory::Dropped));
    let late = tale.bad(verdict(1));
    assert!(matches!(late, Violation::NotInForce { .. }), "{late}");
    let silent = tale.bad(Fact::GateUnavailable {
        consultation: ConsultationId(1),
        gate: key.clone(),
        why: Unavailable::HostStopped,
    });
    assert!(matches!(silent, Violation::NotInForce { .. }), "{silent}");
    tale.ask(&key);
    tale.ok(verdict(2));

    tale.ok(Fact::StrategyAsked {
        consultation: ConsultationId(99),
        site: "a".into(),
    });
    tale.ok(swap(Part::Strategy, 10, 1, Memory::Dropped));
    let late = tale.bad(answered(Proposal::Done));
    assert!(matches!(late, Violation::NotInForce { .. }), "{late}");
    // The gate's own questions are as they were.
    tale.ok(verdict(2));
}

#[test]
fn a_pass_of_the_component_before_does_not_count() {
    let mut tale = Tale::updating(&with_gate(Phase::AfterBatch));
    let key = gate_of("a", Phase::AfterBatch);
    let nodes = tale.nodes("a", 1, 3);
    tale.carry_out(nodes);
    tale.see("a", 1, 3, 0);
    tale.ok(Fact::BatchSettled { site: "a".into() });
    tale.ask(&key);
    tale.answer(&key, Verdict::Pass);
    tale.ok(swap(gate(), 10, 1, Memory::Dropped));
    let early = tale.bad(Fact::BatchPassed { site: "a".into() });
    assert!(matches!(early, Violation::NotPassed { .. }), "{early}");
    tale.ask(&key);
    tale.answer(&key, Verdict::Pass);
    tale.ok(Fact::BatchPassed { site: "a".into() });
}

#[test]
fn a_component_is_granted_what_it_can_ask() {
    let mut tale = Tale::updating(&with_source());
    let foreign = tale.bad(swap(gate(), 11, 1, Memory::Dropped));
    assert!(matches!(foreign, Violation::NotGranted { .. }), "{foreign}");
    tale.ok(swap(gate(), 10, 1, Memory::Dropped));
    let foreign = tale.bad(swap(gate(), 11, 1, Memory::Dropped));
    assert!(matches!(foreign, Violation::NotGranted { .. }), "{foreign}");
}

#[test]
fn a_state_is_read_by_who_wrote_it() {
    let mut spec = with_gate(Phase::AfterBatch);
    let mut tale = Tale::updating(&spec);
    // A journal of an earlier version does not say who wrote it.
    let unknown = tale.bad(swap(gate(), 10, 1, Memory::Kept));
    assert!(
        matches!(unknown, Violation::ForeignState { .. }),
        "{unknown}"
    );
    spec.pins.gate_states.insert("g".into(), tag(1));
    let mut tale = Tale::updating(&spec);
    let newer = tale.bad(swap(gate(), 10, 2, Memory::Kept));
    assert!(matches!(newer, Violation::ForeignState { .. }), "{newer}");
    tale.ok(swap(gate(), 10, 1, Memory::Kept));
    tale.ok(swap(gate(), 11, 2, Memory::Dropped));
    let older = tale.bad(swap(gate(), 10, 1, Memory::Kept));
    assert!(matches!(older, Violation::ForeignState { .. }), "{older}");
    tale.ok(swap(gate(), 12, 2, Memory::Kept));
    tale.ok(Fact::Finished { end: End::Aborted });
    let late = tale.bad(swap(gate(), 10, 2, Memory::Kept));
    assert!(matches!(late, Violation::AfterEnd { .. }), "{late}");
}
