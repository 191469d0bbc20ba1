//! A rollout whose first site is about to be updated, and what plugins are asked about it.

use std::sync::LazyLock;
use wavegate_documents::{Documents, ResolvedRollout};
use wavegate_engine::{Answer, Capabilities, Command, Engine, Input, Observation, Pins, Spec};
use wavegate_model::plugin::{
    Evaluation, GateCall, Measurement, PluginState, ReleaseId, SiteSummary, SiteView, Verdict,
};
use wavegate_model::release::Reversal;
use wavegate_model::{
    ClusterName, ClusterObservation, ConsultationId, Digest, Epoch, Generation, NodeCounts,
    Permille, Release, Timestamp,
};
use wavegate_ports::plugins::Question;

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp(1_792_000_000_000);

/// An engine that waits for an answer, and what was asked.
#[derive(Clone)]
pub(crate) struct Waiting<Q> {
    pub(crate) engine: Engine,
    /// Every fact so far.
    pub(crate) facts: Vec<wavegate_engine::Fact>,
    pub(crate) consultation: ConsultationId,
    pub(crate) generation: Generation,
    pub(crate) question: Q,
}

/// The gate before the site is asked.
pub(crate) static GATE: LazyLock<Waiting<GateCall>> = LazyLock::new(|| {
    let (mut engine, first) = Engine::start(NOW, spec());
    let mut facts = first.facts;
    let mut asked = None;
    let mut take = |engine: &mut Engine, input: Input| {
        let step = engine.step(NOW, &input);
        facts.extend(step.facts);
        for command in step.commands {
            if let Command::AskGate {
                consultation,
                generation,
                call,
                ..
            } = command
            {
                asked.get_or_insert((consultation, generation, call));
            }
        }
    };
    for cluster in ["eu-1", "eu-2", "us-1"] {
        for observation in [claimed(cluster), seen(cluster)] {
            take(&mut engine, Input::Observation(observation));
        }
    }
    take(&mut engine, Input::Elapsed);
    let (consultation, generation, question) = asked.expect("the gate is asked first");
    Waiting {
        engine,
        facts,
        consultation,
        generation,
        question,
    }
});

/// The gate has passed, and the strategy is asked.
pub(crate) static STRATEGY: LazyLock<Waiting<SiteView>> = LazyLock::new(|| {
    let Waiting {
        mut engine,
        mut facts,
        consultation,
        generation,
        ..
    } = GATE.clone();
    let answer = Answer::Gate {
        consultation,
        generation,
        result: Ok(passed(NOW)),
    };
    let step = engine.step(NOW, &Input::Answer(answer));
    facts.extend(step.facts);
    let mut commands = step.commands;
    let later = engine.step(NOW, &Input::Elapsed);
    facts.extend(later.facts);
    commands.extend(later.commands);
    let asked = commands.into_iter().find_map(|command| match command {
        Command::AskStrategy {
            consultation,
            generation,
            view,
            ..
        } => Some((consultation, generation, view)),
        _ => None,
    });
    let (consultation, generation, question) = asked.expect("the strategy is asked");
    Waiting {
        engine,
        facts,
        consultation,
        generation,
        question,
    }
});

/// A gate's answer that is worth something.
pub(crate) fn passed(now: Timestamp) -> Evaluation {
    let measurement = Measurement {
        name: "success-ratio".into(),
        cluster: String::new(),
        value: Some(1.0),
        unit: "ratio".into(),
        limit: ">= 0.99".into(),
        verdict: Verdict::Pass,
        samples: 100,
    };
    Evaluation {
        verdict: Verdict::Pass,
        reason: "all is well".into(),
        clusters: Default::default(),
        measurements: vec![measurement],
        state: PluginState::default(),
        newest: Some(now),
    }
}

/// To a strategy: what next?
pub(crate) fn decide(state: Vec<u8>) -> Question {
    Question::Decide {
        view: STRATEGY.question.clone(),
        state: PluginState(state),
    }
}

/// To a strategy: what will it come to?
pub(crate) fn outline() -> Question {
    let clusters = STRATEGY.question.clusters.iter();
    Question::Outline {
        site: SiteSummary {
            site: STRATEGY.question.site.clone(),
            clusters: clusters
                .map(|it| (it.name.clone(), it.role.clone(), it.desired))
                .collect(),
        },
        release: ReleaseId {
            version: "2".into(),
            digest: digest(2),
        },
    }
}

/// To a gate: is it healthy?
pub(crate) fn evaluate(state: Vec<u8>) -> Question {
    Question::Evaluate {
        call: GATE.question.clone(),
        state: PluginState(state),
        evidence: Vec::new(),
        slots: ["probes".into()].into(),
    }
}

pub(crate) fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

pub(crate) fn claimed(cluster: &str) -> Observation {
    Observation::Claimed {
        cluster: cluster.into(),
        epoch: Epoch(1),
    }
}

fn seen(cluster: &str) -> Observation {
    Observation::Seen {
        cluster: ClusterName::from(cluster),
        seen: observation(cluster).into(),
    }
}

/// Four nodes of the old release serve everything.
pub(crate) fn observation(cluster: &str) -> ClusterObservation {
    let old = Release {
        version: "1".into(),
        digest: digest(1),
        artifacts: [("local".to_owned(), "{}".to_owned())].into(),
        reversal: Reversal::Possible,
    };
    let counts = NodeCounts {
        ready: 4,
        ..NodeCounts::default()
    };
    // Two clusters share a site's traffic, one has its site's alone.
    let share = if cluster == "us-1" { 1000 } else { 500 };
    ClusterObservation {
        at: NOW,
        desired: 4,
        nodes: [(digest(1), counts)].into(),
        releases: [(digest(1), old)].into(),
        traffic: Some([(digest(1), Permille(share))].into()),
        busy: false,
        last_nodes: None,
        last_traffic: None,
    }
}

/// What a start would record of the documents beside this file.
pub(crate) fn spec() -> Spec {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("scene.yaml");
    std::fs::write(&path, include_str!("scene.yaml")).expect("a file can be written");
    let documents = Documents::load(&[path]).expect("the scene is good");
    let resolved = documents.resolve("shop").expect("the scene is whole");
    let ResolvedRollout {
        service,
        policy,
        clusters,
        mut release,
        plan,
        sources,
        ..
    } = resolved;
    release.digest = digest(2);
    let gates = policy.gates.iter().map(|gate| gate.name.clone());
    Spec {
        rollout: "shop-2".into(),
        service,
        release,
        plan,
        clusters,
        sources,
        capabilities: Capabilities {
            splits_traffic: true,
            surges: true,
        },
        pins: Pins {
            strategy: digest(9),
            strategy_name: "echo".to_owned(),
            gates: gates.map(|name| (name, digest(8))).collect(),
            strategy_state: None,
            gate_states: Default::default(),
        },
        policy,
        windows: Default::default(),
        started_by: "ann".to_owned(),
        wave_windows: Default::default(),
        origin: None,
    }
}
