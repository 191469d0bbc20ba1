//! Answers that no toolchain would let a guest give: they end as *unavailable*, or the engine
//! believes of them what it may.

use crate::scene::{GATE, NOW, STRATEGY};
use crate::{guests, memory, plugins, scene, words};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use wavegate_engine::audit::Auditor;
use wavegate_engine::{Answer, Engine, Fact, Input};
use wavegate_fuzz::bounds::Bounds;
use wavegate_model::limits::STATE_BYTES_MAX;
use wavegate_model::plugin::{Evaluation, Outcome, PluginKind};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, Unavailable};
use wavegate_ports::plugins::{self as ports, CallEnd, PluginCall, Plugins, Question};

/// An answer is at most 256 KiB, and is held a few times while it is read.
const BOUNDS: Bounds = Bounds {
    bytes: 64 << 20,
    time: Duration::from_secs(20),
};

/// Lets a strategy and a gate answer with what the bytes come to.
///
/// # Panics
/// If an answer gets further than it may.
pub fn check(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    BOUNDS.hold(|| {
        if first % 2 == 0 {
            let image = memory::outcome(rest);
            strategy(ask(PluginKind::Strategy, scene::decide(image)));
        } else {
            let image = memory::evaluation(rest);
            gate(ask(PluginKind::Gate, scene::evaluate(image)));
        }
    });
}

/// Some of each kind of answer.
pub fn seeds() -> Vec<Vec<u8>> {
    let counting = |first: u8| {
        (0..64)
            .map(move |step| first.wrapping_add(step).wrapping_mul(7))
            .collect()
    };
    (0..32).map(counting).collect()
}

fn ask(kind: PluginKind, question: Question) -> CallEnd {
    plugins::with(|host| {
        let call = PluginCall {
            rollout: "fuzz".into(),
            digest: echo(host, kind),
            config: "{}".to_owned(),
            limits: plugins::limits(),
            question,
        };
        plugins::block_on(host.host.call(call)).end
    })
}

/// The guest that answers with its state, loaded.
fn echo(host: &plugins::Host, kind: PluginKind) -> Digest {
    use std::sync::LazyLock;
    static STRATEGY: LazyLock<Vec<u8>> = LazyLock::new(|| guests::build("echo-strategy"));
    static GATE: LazyLock<Vec<u8>> = LazyLock::new(|| guests::build("echo-gate"));
    let bytes = match kind {
        PluginKind::Strategy => &STRATEGY,
        PluginKind::Gate => &GATE,
    };
    host.file(bytes);
    let file = PluginRef::File("input.wasm".to_owned());
    let load = host.host.load(&file, kind, host.folder.path());
    plugins::block_on(load)
        .expect("the guest is a plugin")
        .digest
}

fn strategy(end: CallEnd) {
    let waiting = STRATEGY.clone();
    let result = match end {
        CallEnd::Answered(ports::Answer::Decide(outcome)) => {
            outcome_of_a_guest(&outcome);
            Ok(outcome)
        }
        CallEnd::Unavailable(why) => Err(unavailable(why)),
        other => panic!("a strategy's call ends with {other:?}"),
    };
    let answer = Answer::Strategy {
        consultation: waiting.consultation,
        generation: waiting.generation,
        result,
    };
    taken(waiting.engine, &waiting.facts, answer);
}

fn gate(end: CallEnd) {
    let waiting = GATE.clone();
    let result = match end {
        CallEnd::Answered(ports::Answer::Evaluate(evaluation)) => {
            evaluation_of_a_guest(&evaluation);
            Ok(evaluation)
        }
        CallEnd::Unavailable(why) => Err(unavailable(why)),
        other => panic!("a gate's call ends with {other:?}"),
    };
    let answer = Answer::Gate {
        consultation: waiting.consultation,
        generation: waiting.generation,
        result,
    };
    taken(waiting.engine, &waiting.facts, answer);
}

fn unavailable(why: Unavailable) -> Unavailable {
    words::shown("an answer that is none", &why.to_string());
    same_again(&why);
    why
}

fn outcome_of_a_guest(outcome: &Outcome) {
    words::safe("a stage", &outcome.stage);
    words::safe("a reason", &outcome.reason);
    assert!(outcome.state.0.len() <= STATE_BYTES_MAX);
    same_again(outcome);
}

fn evaluation_of_a_guest(evaluation: &Evaluation) {
    words::safe("a reason", &evaluation.reason);
    assert!(evaluation.state.0.len() <= STATE_BYTES_MAX);
    for measurement in &evaluation.measurements {
        words::safe("a name", &measurement.name);
        let finite = measurement.value.is_none_or(f64::is_finite);
        assert!(finite, "{measurement:?}");
    }
    same_again(evaluation);
}

/// What goes into a journal comes out as it was.
fn same_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("it can be written");
    let again: T = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(*value, again);
}

/// The engine takes the answer, and what it decides is allowed.
fn taken(mut engine: Engine, before: &[Fact], answer: Answer) {
    let mut auditor = Auditor::new(&engine.state().spec);
    for fact in before {
        auditor.observe(NOW, fact).expect("the scene is allowed");
    }
    for input in [Input::Answer(answer), Input::Elapsed] {
        for fact in engine.step(NOW, &input).facts {
            if let Err(violation) = auditor.observe(NOW, &fact) {
                panic!("{violation}: {fact:?}");
            }
            if let Fact::StrategyUnavailable { why, .. } | Fact::GateUnavailable { why, .. } = &fact
            {
                words::shown("a refusal", &why.to_string());
            }
            same_again(&fact);
        }
    }
}
