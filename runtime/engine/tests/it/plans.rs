//! Answers belong to the plan and to the pace of the questions.

use crate::minds::GateMind;
use crate::rng::Rng;
use crate::scenario::{Scenario, WaveDef, new_release, single};
use crate::world::{START, World};
use std::collections::BTreeMap;
use wavegate_engine::fact::Withdrawn;
use wavegate_engine::input::CommandResult;
use wavegate_engine::state::Asked;
use wavegate_engine::{Answer, Fact, Input, Observation};
use wavegate_model::limits::{CallLimits, GATE_INTERVAL_MIN};
use wavegate_model::plugin::{GateCall, Phase, ReleaseId, Subject, Verdict};
use wavegate_model::policy::{GateBudget, GateUse, OnUnavailable, PluginRef};
use wavegate_model::{
    Approvers, ClusterName, ClusterObservation, ConsultationId, DurationMs, Generation, Timestamp,
    Unavailable,
};

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
            approvers: Approvers::default(),
            gates: None,
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
        passes: 1,
        fresh_for: None,
        trial: false,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
        class: None,
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

/// The question to the gate after a batch that is open, if one is.
fn open_question(world: &World) -> Option<ConsultationId> {
    let mut open = world.engine.state().consultations.iter();
    let (id, _) = open.find(
        |(_, asked)| matches!(asked, Asked::Gate(key, _) if key.phase == Phase::AfterBatch),
    )?;
    Some(*id)
}

/// A question, then the cluster goes and comes back, then the answer to the question: whatever it
/// is, it is about a site that was another one.
fn answer_to_what_has_changed(mind: &GateMind) -> (World, Vec<Fact>) {
    let mut scenario = one_site(DurationMs::secs(1), GateMind::Pass);
    scenario.gates[0].on_unavailable = OnUnavailable::Fail;
    let mut world = World::new(scenario, 1);
    let mut now = START;
    let consultation = loop {
        now += 10;
        world.run_until(now);
        assert!(!world.finished(), "a gate is asked");
        if let Some(open) = open_question(&world) {
            break open;
        }
    };
    let generation = world.engine.state().generation();
    let cluster: ClusterName = "a".into();
    let lost = Observation::Lost {
        cluster: cluster.clone(),
        detail: "no route".to_string(),
        answered: None,
    };
    let (gone, back) = (Timestamp(now + 60_000), Timestamp(now + 61_000));
    let step = world.engine.step(gone, &Input::Observation(lost));
    assert!(
        step.facts
            .iter()
            .any(|f| matches!(f, Fact::ClusterLost { .. }))
    );
    let seen = ClusterObservation {
        at: back,
        ..world.see(&cluster)
    };
    let seen = seen.into();
    let step = world.engine.step(
        back,
        &Input::Observation(Observation::Seen { cluster, seen }),
    );
    let returned = |f: &Fact| matches!(f, Fact::ClusterReturned { .. });
    assert!(step.facts.iter().any(returned));
    let answer = Answer::Gate {
        consultation,
        generation,
        result: mind.evaluate(&empty_call(back), &mut Rng::new(1)),
    };
    let facts = world.engine.step(back, &Input::Answer(answer)).facts;
    (world, facts)
}

#[test]
fn a_verdict_about_evidence_that_is_void_does_not_count() {
    for mind in [GateMind::Pass, GateMind::Fail, GateMind::Unavailable] {
        let (world, facts) = answer_to_what_has_changed(&mind);
        let asks = |f: &Fact| matches!(f, Fact::GateAsked { .. });
        let withdrawn = |f: &Fact| {
            let why = Withdrawn::SubjectChanged;
            matches!(f, Fact::GateCancelled { why: said, .. } if *said == why)
        };
        assert!(
            facts.iter().any(withdrawn) && facts.iter().any(asks) && facts.len() == 2,
            "a verdict about evidence that is void was taken: {facts:?}"
        );
        let (_, gate) = world.engine.state().gates().next().expect("it was asked");
        assert_eq!((gate.fails, gate.answers, gate.cancelled), (0, 0, 1));
        assert_eq!(
            (gate.last, gate.passes_in_row, gate.retry.failures),
            (None, 0, 0)
        );
    }
}

/// The question of a host that stops was nobody's failure, also where no answer counts as a fail.
#[test]
fn a_host_that_stops_withdraws_its_questions() {
    let mut scenario = one_site(DurationMs::secs(1), GateMind::Pass);
    scenario.gates[0].on_unavailable = OnUnavailable::Fail;
    let mut world = World::new(scenario, 1);
    let mut now = START;
    let consultation = loop {
        now += 10;
        world.run_until(now);
        if let Some(open) = open_question(&world) {
            break open;
        }
    };
    let generation = world.engine.state().generation();
    let answer = Answer::Gate {
        consultation,
        generation,
        result: Err(Unavailable::HostStopped),
    };
    let facts = world
        .engine
        .step(Timestamp(now), &Input::Answer(answer))
        .facts;
    assert!(
        matches!(
            facts[..],
            [Fact::GateCancelled {
                why: Withdrawn::HostStopped,
                ..
            }]
        ),
        "{facts:?}"
    );
    let (_, gate) = world.engine.state().gates().next().expect("it was asked");
    assert_eq!((gate.fails, gate.retry.failures, gate.cancelled), (0, 0, 1));
    assert_eq!(
        gate.due,
        Timestamp(now + 1000),
        "soon again, without a back-off"
    );
}

/// A pass that took so long to come that it says nothing about now.
#[test]
fn a_pass_that_comes_late_decides_nothing() {
    let mut scenario = one_site(DurationMs::secs(1), GateMind::Pass);
    scenario.gates[0].fresh_for = Some(DurationMs::secs(30));
    for (late, verdict) in [(30_000, Verdict::Pass), (30_001, Verdict::Hold)] {
        let mut world = World::new(scenario.clone(), 1);
        let mut now = START;
        let consultation = loop {
            now += 10;
            world.run_until(now);
            if let Some(open) = open_question(&world) {
                break open;
            }
        };
        let (_, gate) = world.engine.state().gates().next().expect("it was asked");
        let at = gate.asked_at.plus(DurationMs(late));
        let answer = Answer::Gate {
            consultation,
            generation: world.engine.state().generation(),
            result: GateMind::Pass.evaluate(&empty_call(at), &mut Rng::new(1)),
        };
        let facts = world.engine.step(at, &Input::Answer(answer)).facts;
        let said = facts.iter().find_map(|fact| match fact {
            Fact::GateAnswered { evaluation, .. } => Some(evaluation.verdict),
            _ => None,
        });
        assert_eq!(said, Some(verdict), "{late} ms late");
    }
}

/// A call of which the scripted gate looks at nothing.
fn empty_call(now: Timestamp) -> GateCall {
    GateCall {
        now,
        subject: Subject::Site("a".into()),
        phase: Phase::AfterBatch,
        attempt: 0,
        evidence_start: now,
        release: ReleaseId {
            version: "2.0".to_string(),
            digest: new_release(),
        },
        updated: Vec::new(),
        untouched: Vec::new(),
    }
}
