//! Answers belong to the plan and to the pace of the questions.

use crate::minds::GateMind;
use crate::scenario::{Scenario, WaveDef, single};
use crate::world::{START, World};
use std::collections::BTreeMap;
use wavegate_engine::input::CommandResult;
use wavegate_engine::state::Asked;
use wavegate_engine::{Answer, Fact, Input};
use wavegate_model::limits::{CallLimits, GATE_INTERVAL_MIN};
use wavegate_model::plugin::Phase;
use wavegate_model::policy::{GateBudget, GateUse, OnUnavailable, PluginRef};
use wavegate_model::{DurationMs, Generation, Timestamp, Unavailable};

/// A site of three nodes, and one gate after each batch.
fn one_site(interval: DurationMs, mind: GateMind) -> Scenario {
    let mut scenario = Scenario {
        waves: vec![WaveDef {
            name: "all".to_string(),
            sites: vec![single("a", 3)],
            parallel: 1,
            site_soak: DurationMs::ZERO,
            soak: DurationMs::ZERO,
            approval: None,
            after: Vec::new(),
        }],
        ..Scenario::default()
    };
    scenario.minds.insert("g".into(), mind);
    scenario.gates.push(GateUse {
        name: "g".into(),
        plugin: PluginRef::Shipped("g".to_string()),
        config: "{}".to_string(),
        phases: [Phase::AfterBatch].into(),
        interval,
        slots: BTreeMap::new(),
        budget: GateBudget::default(),
        min_samples: 1,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
    });
    scenario
}

/// The answer as it would come for a question of a later plan.
fn answers_of_another_plan(world: &World) -> Vec<Answer> {
    let generation = Generation(world.engine.state().generation().0 + 1);
    let state = world.engine.state();
    let questions = state.consultations.iter().map(|(id, asked)| match asked {
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
    });
    let commands = state.outstanding.keys().map(|id| Answer::Command {
        command: *id,
        generation,
        result: CommandResult::Accepted,
    });
    questions.chain(commands).collect()
}

#[test]
fn an_answer_of_another_plan_is_discarded() {
    let mut world = World::new(one_site(DurationMs::secs(1), GateMind::Pass), 1);
    let (mut strategies, mut gates, mut commands) = (0, 0, 0);
    for at in (START..START + 60_000).step_by(20) {
        world.run_until(at);
        if world.finished() {
            break;
        }
        for answer in answers_of_another_plan(&world) {
            match &answer {
                Answer::Strategy { .. } => strategies += 1,
                Answer::Gate { .. } => gates += 1,
                Answer::Command { .. } => commands += 1,
            }
            let mut engine = world.engine.clone();
            let step = engine.step(Timestamp(world.now), &Input::Answer(answer.clone()));
            assert!(
                matches!(step.facts[..], [Fact::AnswerDiscarded { .. }]),
                "the answer of another plan was taken: {answer:?}"
            );
        }
    }
    assert!(
        strategies > 0 && gates > 0 && commands > 0,
        "each kind of answer was tried"
    );
}

#[test]
fn a_gate_without_an_interval_is_not_asked_without_end() {
    let mut world = World::new(one_site(DurationMs::ZERO, GateMind::Hold), 1);
    world.run_until(START + 20_000);
    let asked = |(_, fact): &&(Timestamp, Fact)| matches!(fact, Fact::GateAsked { .. });
    let asked = u64::try_from(world.facts.iter().filter(asked).count()).unwrap();
    assert!(asked > 10, "it is asked again: {asked} times");
    // An answer takes a tenth of a second.
    assert!(
        asked <= 20_000 / (100 + GATE_INTERVAL_MIN.0),
        "asked {asked} times in 20 s"
    );
}
