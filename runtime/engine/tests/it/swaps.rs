//! What a swap needs, and what becomes of the questions that are open.

use crate::minds::GateMind;
use crate::scenario::{Scenario, WaveDef, digest, single, swap};
use crate::world::{START, World};
use std::collections::{BTreeMap, BTreeSet};
use wavegate_engine::state::Asked;
use wavegate_engine::swap::{Memory, Part};
use wavegate_engine::{Answer, Engine, Fact, Input, Request, Spec, Verb};
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::Phase;
use wavegate_model::policy::{GateBudget, GateUse, OnUnavailable, PluginRef};
use wavegate_model::source::{Grant, SourceKind};
use wavegate_model::{DurationMs, SourceSpec, Timestamp, Unavailable};

/// A site of three nodes, and one gate after each batch.
fn one_site() -> Scenario {
    let mut scenario = Scenario {
        waves: vec![WaveDef {
            name: "all".to_string(),
            sites: vec![single("a", 3)],
            parallel: 1,
            site_soak: DurationMs::ZERO,
            soak: DurationMs::ZERO,
            approval: None,
            gates: None,
            approvers: Default::default(),
            after: Vec::new(),
        }],
        ..Scenario::default()
    };
    scenario.minds.insert("g".into(), GateMind::Pass);
    scenario.gates.push(GateUse {
        name: "g".into(),
        plugin: PluginRef::Shipped("g".to_string()),
        config: "{}".to_string(),
        phases: [Phase::AfterBatch].into(),
        interval: DurationMs::secs(1),
        slots: BTreeMap::new(),
        budget: GateBudget::default(),
        min_samples: 1,
        passes: 1,
        fresh_for: None,
        trial: false,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
        class: None,
    });
    scenario
}

fn request(n: u8, version: u32) -> Input {
    Input::Request(Request {
        verb: Verb::Swap(Box::new(swap(Part::Gate("g".into()), n, version))),
        actor: "ann".to_string(),
        reason: "as told".to_string(),
        inbox: None,
    })
}

/// What came of a swap: what became of the state, or why it was refused.
fn outcome(engine: &mut Engine, input: &Input) -> Result<Memory, String> {
    let step = engine.step(Timestamp(START + 1000), input);
    let told = step.facts.into_iter().find_map(|fact| match fact {
        Fact::PluginSwapped { memory, .. } => Some(Ok(memory)),
        Fact::RequestRefused { why, .. } => Some(Err(why)),
        _ => None,
    });
    told.expect("a swap is taken or refused")
}

fn start(spec: Spec) -> Engine {
    Engine::start(Timestamp(START), spec).0
}

#[test]
fn a_gate_gets_no_source_that_is_not_granted_to_it() {
    let mut spec = one_site().spec();
    spec.policy.gates[0].slots.insert("m".into(), "prom".into());
    spec.sources.push(SourceSpec {
        name: "prom".into(),
        kind: SourceKind::Probe,
        policies: Grant::Any,
        plugins: Grant::Only(BTreeSet::from([digest(101), digest(7)])),
    });
    let refused = outcome(&mut start(spec.clone()), &request(8, 1));
    let why = refused.expect_err("NotGranted: component 8 is not listed");
    assert!(why.contains("source `prom` is not granted"), "{why}");
    assert_eq!(outcome(&mut start(spec), &request(7, 1)), Ok(Memory::Kept));
}

#[test]
fn a_state_goes_on_only_with_who_can_read_it() {
    let mut engine = start(one_site().spec());
    assert_eq!(outcome(&mut engine, &request(7, 1)), Ok(Memory::Kept));
    assert_eq!(outcome(&mut engine, &request(8, 2)), Ok(Memory::Dropped));
    assert_eq!(outcome(&mut engine, &request(7, 1)), Ok(Memory::Dropped));
    let again = outcome(&mut engine, &request(7, 1)).unwrap_err();
    assert!(again.contains("with this configuration already"), "{again}");
    // A journal from before swaps does not say whose the state is.
    let mut spec = one_site().spec();
    spec.pins.gate_states.clear();
    assert_eq!(
        outcome(&mut start(spec), &request(7, 1)),
        Ok(Memory::Dropped)
    );
}

#[test]
fn a_host_that_cannot_use_it_says_so() {
    let mut wanted = swap(Part::Strategy, 7, 1);
    wanted.obstacle = Some("it is gone".to_string());
    let Input::Request(mut asked) = request(7, 1) else {
        unreachable!("it was made as one")
    };
    asked.verb = Verb::Swap(Box::new(wanted));
    let refused = outcome(&mut start(one_site().spec()), &Input::Request(asked));
    assert_eq!(refused, Err("it is gone".to_string()));
}

/// The answers that the open questions would get.
fn answers(world: &World) -> Vec<Answer> {
    let state = world.engine.state();
    let generation = state.generation();
    let open = state.consultations.iter();
    open.map(|(id, asked)| match asked {
        Asked::Strategy(_) => Answer::Strategy {
            consultation: *id,
            generation,
            result: Err(Unavailable::HostStopped),
        },
        Asked::Gate(..) => Answer::Gate {
            consultation: *id,
            generation,
            result: Err(Unavailable::HostStopped),
        },
    })
    .collect()
}

#[test]
fn an_answer_of_a_component_that_was_swapped_out_is_discarded() {
    let mut world = World::new(one_site(), 1);
    let (mut strategies, mut gates) = (0, 0);
    for at in (START..START + 60_000).step_by(20) {
        world.run_until(at);
        for answer in answers(&world) {
            let part = match &answer {
                Answer::Strategy { .. } => {
                    strategies += 1;
                    Part::Strategy
                }
                _ => {
                    gates += 1;
                    Part::Gate("g".into())
                }
            };
            let mut engine = world.engine.clone();
            let Input::Request(mut asked) = request(7, 1) else {
                unreachable!("it was made as one")
            };
            asked.verb = Verb::Swap(Box::new(swap(part, 7, 1)));
            let now = Timestamp(world.now);
            let _swapped = engine.step(now, &Input::Request(asked));
            let step = engine.step(now, &Input::Answer(answer.clone()));
            let discarded = matches!(step.facts[..], [Fact::AnswerDiscarded { .. }]);
            assert!(discarded, "NotInForce: taken: {answer:?}: {:?}", step.facts);
        }
        if world.finished() {
            break;
        }
    }
    assert!(strategies > 0 && gates > 0, "each kind of answer was tried");
}
