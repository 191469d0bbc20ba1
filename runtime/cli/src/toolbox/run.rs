//! Asking a plugin what a case says, and holding its answer against what is expected.

use super::cases::{Ask, Case, Step};
use super::{compare, words};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use wavegate_model::limits::{CallLimits, EVIDENCE_ROUNDS_MAX};
use wavegate_model::plugin::{PluginState, Problem};
use wavegate_model::{Evidence, Query, SlotName, Unavailable};
use wavegate_plugin_host::{Tried, Workbench};
use wavegate_ports::plugins::{Answer, CallEnd, Question};

/// A plugin on the bench, and what its calls may use.
pub(crate) struct Subject<'a> {
    pub(crate) bench: &'a Workbench,
    pub(crate) limits: CallLimits,
}

/// A question with everything that it needs, and what came of it.
pub(crate) struct Sample {
    pub(crate) question: Question,
    pub(crate) config: String,
    pub(crate) tried: Tried,
}

/// What came of a case.
pub(crate) struct CaseResult {
    /// What was expected and did not come, for people; none if it passed.
    pub(crate) difference: Option<String>,
    /// The answer to the last call, in the words of the contract.
    pub(crate) answer: Map<String, Value>,
    /// The calls that were made, but for the first rounds of evidence.
    pub(crate) samples: Vec<Sample>,
}

/// What came of one call.
struct Came {
    answer: Map<String, Value>,
    sample: Option<Sample>,
    /// Questions that the case has no answer to.
    missing: Vec<Query>,
}

impl Subject<'_> {
    /// Plays a case through, up to the first difference.
    pub(crate) fn play(&self, case: &Case) -> CaseResult {
        let mut state = PluginState::default();
        let mut result = CaseResult {
            difference: None,
            answer: Map::new(),
            samples: Vec::new(),
        };
        for (place, step) in case.steps.iter().enumerate() {
            let given = step.state.clone().unwrap_or_else(|| state.clone());
            let came = self.call(step, given);
            let differs = match step.expect.is_empty() {
                true => Some(nothing_expected(&came.answer)),
                false => compare::differs(&step.expect, &came.answer),
            };
            let failed = !came.missing.is_empty() || differs.is_some();
            if failed {
                let number = match case.steps.len() {
                    1 => String::new(),
                    of => format!("  in step {} of {of}\n", place + 1),
                };
                result.difference = Some(number + &self.told(&came, differs));
            }
            result.answer = came.answer;
            if let Some(sample) = came.sample {
                state = state_of(&sample.tried).unwrap_or(state);
                result.samples.push(sample);
            }
            if failed {
                break;
            }
        }
        result
    }

    fn told(&self, came: &Came, differs: Option<String>) -> String {
        let mut lines = Vec::new();
        for query in &came.missing {
            lines.push(format!(
                "  it asks for what the case has no answer to; add to its evidence:\n  - {}",
                words::entry(query)
            ));
        }
        if came.missing.is_empty() {
            lines.extend(differs);
        }
        if let Some(sample) = &came.sample
            && let CallEnd::Unavailable(why) = &sample.tried.end
        {
            lines.push(trouble(why, &sample.tried, &self.limits));
        }
        lines.join("\n")
    }

    fn call(&self, step: &Step, state: PluginState) -> Came {
        let question = match &step.ask {
            Ask::Decide(view) => Question::Decide {
                view: view.clone(),
                state,
            },
            Ask::Outline(site, release) => Question::Outline {
                site: site.clone(),
                release: release.clone(),
            },
            Ask::Evaluate(call) => Question::Evaluate {
                call: call.clone(),
                state,
                evidence: Vec::new(),
                slots: step.slots.clone().unwrap_or_else(|| self.slots()),
            },
            Ask::ValidateConfig => return self.validated(&step.config),
            Ask::Describe => return self.described(),
        };
        let find = |query: &Query| {
            let entry = step.evidence.iter().find(|entry| entry.answers(query));
            entry.map(|entry| entry.answer.clone())
        };
        let (question, tried, rounds, missing) = self.rounds(question, &step.config, find);
        let answer = match &tried.end {
            CallEnd::Answered(Answer::Decide(outcome)) => words::outcome(outcome),
            CallEnd::Answered(Answer::Outline(stages)) => words::stages(stages),
            CallEnd::Answered(Answer::Evaluate(evaluation)) => {
                words::evaluation(evaluation, rounds)
            }
            CallEnd::NeedsEvidence(_) => Map::new(),
            CallEnd::Unavailable(why) => words::unavailable(why),
        };
        let config = step.config.clone();
        let sample = Sample {
            question,
            config,
            tried,
        };
        Came {
            answer,
            sample: Some(sample),
            missing,
        }
    }

    fn slots(&self) -> BTreeSet<SlotName> {
        let slots = &self.bench.loaded().about.slots;
        slots.iter().map(|slot| slot.name.clone()).collect()
    }

    /// Asks until there is an answer or no evidence: the question with all its evidence, what
    /// came of it, how often evidence was fetched, and what there was no answer to.
    pub(crate) fn rounds(
        &self,
        mut question: Question,
        config: &str,
        find: impl Fn(&Query) -> Option<Evidence>,
    ) -> (Question, Tried, u32, Vec<Query>) {
        let mut rounds = 0;
        loop {
            let mut tried = self.bench.ask(&question, config, &self.limits);
            let (CallEnd::NeedsEvidence(queries), Question::Evaluate { evidence, .. }) =
                (&tried.end, &mut question)
            else {
                return (question, tried, rounds, Vec::new());
            };
            rounds += 1;
            if rounds > EVIDENCE_ROUNDS_MAX {
                let limit = EVIDENCE_ROUNDS_MAX;
                tried.end = CallEnd::Unavailable(Unavailable::TooManyRounds { limit });
                return (question, tried, rounds, Vec::new());
            }
            let found: Vec<_> = queries
                .iter()
                .map(|query| (query.clone(), find(query)))
                .collect();
            let missing: Vec<Query> = found
                .iter()
                .filter(|(_, answer)| answer.is_none())
                .map(|(query, _)| query.clone())
                .collect();
            if !missing.is_empty() {
                return (question, tried, rounds, missing);
            }
            let found = found.into_iter();
            evidence.extend(found.filter_map(|(query, answer)| Some((query, answer?))));
        }
    }

    fn validated(&self, config: &str) -> Came {
        let checked = self.bench.validate_config(config, &self.limits);
        let answer = match checked {
            Ok(problems) => words::problems(&problems),
            Err(why) => words::unavailable(&why),
        };
        Came {
            answer,
            sample: None,
            missing: Vec::new(),
        }
    }

    fn described(&self) -> Came {
        let loaded = self.bench.loaded();
        Came {
            answer: words::about(&loaded.about, &loaded.contract),
            sample: None,
            missing: Vec::new(),
        }
    }

    /// What is wrong with a configuration; a plugin that cannot say is a problem, too.
    pub(super) fn problems(&self, config: &str) -> Vec<Problem> {
        let checked = self.bench.validate_config(config, &self.limits);
        checked.unwrap_or_else(|why| {
            vec![Problem {
                pointer: String::new(),
                message: why.to_string(),
            }]
        })
    }
}

fn nothing_expected(answer: &Map<String, Value>) -> String {
    let answer = Value::Object(answer.clone());
    format!("  it expects nothing, so it could not fail; what came is\n  expect: {answer}")
}

/// The state that an answer brings.
pub(crate) fn state_of(tried: &Tried) -> Option<PluginState> {
    match &tried.end {
        CallEnd::Answered(Answer::Decide(outcome)) => Some(outcome.state.clone()),
        CallEnd::Answered(Answer::Evaluate(evaluation)) => Some(evaluation.state.clone()),
        _ => None,
    }
}

/// Lines of a log that are shown with a failure.
const LOG_LINES: usize = 10;

/// Everything that helps an author when a call has no answer.
pub(crate) fn trouble(why: &Unavailable, tried: &Tried, limits: &CallLimits) -> String {
    let mut lines = vec![format!("  {why}")];
    if !tried.log.is_empty() {
        let left_out = tried.log.len().saturating_sub(LOG_LINES);
        lines.push(match left_out {
            0 => "  its log".to_owned(),
            left_out => format!("  the end of its log, after {left_out} other lines"),
        });
        let last = tried.log.iter().skip(left_out);
        lines.extend(last.map(|(level, text)| format!("    {level:<5} {text}")));
    }
    if !tried.frames.is_empty() {
        lines.push("  where it was, innermost first".to_owned());
        lines.extend(tried.frames.iter().map(|frame| format!("    {frame}")));
    }
    lines.push(format!("  {}", used(tried, limits)));
    lines.join("\n")
}

/// What a call used, of what it may.
pub(crate) fn used(tried: &Tried, limits: &CallLimits) -> String {
    format!(
        "used {} of {} units of fuel, {} of {} of memory, {:.1} of {} ms",
        grouped(tried.fuel),
        grouped(limits.fuel),
        mebibytes(tried.memory_bytes),
        mebibytes(limits.memory_bytes),
        as_f64(tried.micros) / 1e3,
        grouped(limits.time.0),
    )
}

/// A number with its digits in groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in mebibytes.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", as_f64(bytes) / 1_048_576.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for people, who read three digits of it"
)]
pub(crate) fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(200_000_000), "200,000,000");
        assert_eq!(mebibytes(1_572_864), "1.5 MiB");
    }
}
