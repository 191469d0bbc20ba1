//! What a user knows about rollouts better than their end says.

use crate::exit::{Failure, Result};
use crate::output;
use crate::prepare::colour;
use std::collections::BTreeMap;
use std::path::Path;
use wavegate_documents::Configuration;
use wavegate_foresight::score::Truth;
use wavegate_model::plugin::Problem;

/// What a user says about rollouts.
#[derive(Default)]
pub(super) struct Labels(pub(super) BTreeMap<String, Truth>);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelsForm {
    #[serde(default)]
    good: Vec<String>,
    #[serde(default)]
    bad: Vec<String>,
}

impl Labels {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        let wrong = |problems: wavegate_documents::Diagnostics| {
            output::say(problems.render(colour()).trim_end());
            Failure::usage("the labels cannot be read")
        };
        let read = Configuration::read(path.to_owned(), text).map_err(wrong)?;
        let form: LabelsForm = serde_json::from_str(read.json()).map_err(|error| {
            let problem = Problem {
                pointer: String::new(),
                message: format!("labels are the lists `good` and `bad` of ids: {error}"),
            };
            wrong(read.problems(&[problem]))
        })?;
        let good = form.good.into_iter().map(|id| (id, Truth::Good));
        let mut labels: BTreeMap<String, Truth> = good.collect();
        for id in form.bad {
            if labels.insert(id.clone(), Truth::Bad) == Some(Truth::Good) {
                return Err(Failure::usage(format!(
                    "the labels say that `{id}` was good, and that it was bad"
                )));
            }
        }
        Ok(Self(labels))
    }
}
