//! What of a question to a plugin and of its answer is journaled. The encoding stays the same:
//! whoever asks the same again, today or in a later version, compares with these bytes.

use crate::plugins::{Answer, Question};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use wavegate_model::plugin::{
    Evaluation, GateCall, Outcome, PluginState, ReleaseId, SiteSummary, SiteView, Stage,
};
use wavegate_model::{Evidence, Query, SlotName};

/// A question. Evidence is journaled apart, by digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are those of the question")]
pub enum AskedForm<'a> {
    /// [`Question::Outline`].
    Outline {
        site: Cow<'a, SiteSummary>,
        release: Cow<'a, ReleaseId>,
    },
    /// [`Question::Decide`].
    Decide {
        view: Cow<'a, SiteView>,
        state: Cow<'a, PluginState>,
    },
    /// [`Question::Evaluate`].
    Evaluate {
        call: Cow<'a, GateCall>,
        state: Cow<'a, PluginState>,
        slots: Vec<Cow<'a, SlotName>>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnsweredForm<'a> {
    /// [`Answer::Outline`].
    Outline(Cow<'a, [Stage]>),
    /// [`Answer::Decide`].
    Decide(Cow<'a, Outcome>),
    /// [`Answer::Evaluate`].
    Evaluate(Cow<'a, Evaluation>),
}

impl<'a> From<&'a Question> for AskedForm<'a> {
    fn from(question: &'a Question) -> Self {
        match question {
            Question::Outline { site, release } => Self::Outline {
                site: Cow::Borrowed(site),
                release: Cow::Borrowed(release),
            },
            Question::Decide { view, state } => Self::Decide {
                view: Cow::Borrowed(view),
                state: Cow::Borrowed(state),
            },
            Question::Evaluate {
                call, state, slots, ..
            } => Self::Evaluate {
                call: Cow::Borrowed(call),
                state: Cow::Borrowed(state),
                slots: slots.iter().map(Cow::Borrowed).collect(),
            },
        }
    }
}

impl AskedForm<'_> {
    /// The question, with the evidence that was recorded for it.
    pub fn with(self, evidence: Vec<(Query, Evidence)>) -> Question {
        match self {
            Self::Outline { site, release } => Question::Outline {
                site: site.into_owned(),
                release: release.into_owned(),
            },
            Self::Decide { view, state } => Question::Decide {
                view: view.into_owned(),
                state: state.into_owned(),
            },
            Self::Evaluate { call, state, slots } => Question::Evaluate {
                call: call.into_owned(),
                state: state.into_owned(),
                evidence,
                slots: slots.into_iter().map(Cow::into_owned).collect(),
            },
        }
    }
}

impl<'a> From<&'a Answer> for AnsweredForm<'a> {
    fn from(answer: &'a Answer) -> Self {
        match answer {
            Answer::Outline(stages) => Self::Outline(Cow::Borrowed(stages)),
            Answer::Decide(outcome) => Self::Decide(Cow::Borrowed(outcome)),
            Answer::Evaluate(evaluation) => Self::Evaluate(Cow::Borrowed(evaluation)),
        }
    }
}

impl From<AnsweredForm<'_>> for Answer {
    fn from(form: AnsweredForm<'_>) -> Self {
        match form {
            AnsweredForm::Outline(stages) => Self::Outline(stages.into_owned()),
            AnsweredForm::Decide(outcome) => Self::Decide(outcome.into_owned()),
            AnsweredForm::Evaluate(evaluation) => Self::Evaluate(evaluation.into_owned()),
        }
    }
}
