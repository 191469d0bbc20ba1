//! What of a call is journaled: the question and the answer, in an encoding that stays the same.

use serde::Serialize;
use wavegate_model::SlotName;
use wavegate_model::plugin::{
    Evaluation, GateCall, Outcome, PluginState, ReleaseId, SiteSummary, SiteView, Stage,
};
use wavegate_ports::plugins::{Answer, Question};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Input<'a> {
    Outline {
        site: &'a SiteSummary,
        release: &'a ReleaseId,
    },
    Decide {
        view: &'a SiteView,
        state: &'a PluginState,
    },
    // Evidence is journaled apart, by digest.
    Evaluate {
        call: &'a GateCall,
        state: &'a PluginState,
        slots: Vec<&'a SlotName>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Output<'a> {
    Outline(&'a [Stage]),
    Decide(&'a Outcome),
    Evaluate(&'a Evaluation),
}

pub(crate) fn input(question: &Question) -> Vec<u8> {
    encode(&match question {
        Question::Outline { site, release } => Input::Outline { site, release },
        Question::Decide { view, state } => Input::Decide { view, state },
        Question::Evaluate {
            call, state, slots, ..
        } => Input::Evaluate {
            call,
            state,
            slots: slots.iter().collect(),
        },
    })
}

pub(crate) fn output(answer: &Answer) -> Vec<u8> {
    encode(&match answer {
        Answer::Outline(stages) => Output::Outline(stages),
        Answer::Decide(outcome) => Output::Decide(outcome),
        Answer::Evaluate(evaluation) => Output::Evaluate(evaluation),
    })
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    // These types have string keys and finite numbers only, which always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}
