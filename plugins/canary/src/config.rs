//! The configuration: what it says, what is wrong with it, and how it reads in words.

use serde::Deserialize;
use wavegate_sdk::units::{Amount, Millis, Percent};
use wavegate_sdk::{Problem, problem};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The stages that are written down.
    pub(crate) stages: Vec<StageConfig>,
}

/// A stage. What is left out has the meaning that the schema gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageConfig {
    pub(crate) nodes: Amount,
    #[serde(default)]
    pub(crate) traffic: Option<Percent>,
    #[serde(default)]
    pub(crate) wait: Option<Millis>,
    #[serde(default)]
    pub(crate) gates: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) approval: Option<String>,
}

/// The stage that follows the last one if that is not everything yet.
static ALL: StageConfig = StageConfig {
    nodes: Amount::Percent(Percent::WHOLE),
    traffic: None,
    wait: None,
    gates: None,
    approval: None,
};

impl Config {
    /// The stages of a site of so many nodes; the last one is everything.
    pub(crate) fn stages(&self, total: u32) -> impl Iterator<Item = &StageConfig> {
        let complete = self
            .stages
            .last()
            .is_some_and(|stage| stage.is_everything(total));
        self.stages.iter().chain((!complete).then_some(&ALL))
    }

    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.stages.is_empty() {
            problems.push(problem("/stages", "there must be at least one stage"));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let mut add = |field: &str, message: &str| {
                problems.push(problem(format!("/stages/{index}/{field}"), message));
            };
            stage.check(&mut add);
            if let Some(before) = index.checked_sub(1) {
                stage.check_order(&self.stages[before], &mut add);
            }
        }
        problems
    }
}

impl StageConfig {
    /// The name of the stage at this index of a site's stages.
    pub(crate) fn name(index: usize, count: usize) -> String {
        if index + 1 == count {
            "all".to_owned()
        } else {
            format!("stage {}", index + 1)
        }
    }

    /// What happens in the stage, in words.
    pub(crate) fn words(&self, total: u32, new_version: &str) -> String {
        let count = self.nodes.of(total);
        let mut text = format!("{count} of {total} nodes to {new_version}");
        if let Amount::Percent(percent) = self.nodes {
            text.push_str(&format!(" ({percent})"));
        }
        match self.traffic {
            Some(traffic) if count < total => text.push_str(&format!(", {traffic} of traffic")),
            _ => text.push_str(", traffic in proportion"),
        }
        if let Some(wait) = self.wait {
            text.push_str(&format!(", then wait {wait}"));
        }
        match self.gates.as_deref() {
            None => text.push_str(", then all gates"),
            Some([]) => {}
            Some([gate]) => text.push_str(&format!(", then gate {gate}")),
            Some(gates) => text.push_str(&format!(", then gates {}", gates.join(", "))),
        }
        if let Some(approval) = &self.approval {
            text.push_str(&format!(", then approval: {approval}"));
        }
        text
    }

    /// Whether nothing is left on the baseline after this stage.
    fn is_everything(&self, total: u32) -> bool {
        self.nodes.of(total) == total
    }

    /// The share of traffic, where it does not depend on the site.
    fn share(&self) -> Option<Percent> {
        match (self.traffic, self.nodes) {
            (Some(traffic), _) => Some(traffic),
            (None, Amount::Percent(nodes)) => Some(nodes),
            (None, Amount::Count(_)) => None,
        }
    }

    fn check(&self, add: &mut impl FnMut(&str, &str)) {
        if self.nodes.is_zero() {
            add("nodes", "a stage must have at least one node");
        }
        let all_nodes = self.nodes == Amount::Percent(Percent::WHOLE);
        let all_traffic = self.traffic.is_none_or(|traffic| traffic == Percent::WHOLE);
        if all_nodes && !all_traffic {
            let text =
                "with all nodes on the new release no node is left for the rest of the traffic";
            add("traffic", text);
        }
    }

    fn check_order(&self, before: &Self, add: &mut impl FnMut(&str, &str)) {
        let fewer = match (before.nodes, self.nodes) {
            (Amount::Count(before), Amount::Count(now)) => now < before,
            (Amount::Percent(before), Amount::Percent(now)) => now < before,
            // A count against a percentage depends on the site; `decide` never goes back.
            (Amount::Count(_), Amount::Percent(_)) | (Amount::Percent(_), Amount::Count(_)) => {
                false
            }
        };
        if fewer {
            add(
                "nodes",
                "a stage must not have fewer nodes than the stage before it",
            );
        }
        if let (Some(before), Some(now)) = (before.share(), self.share())
            && now < before
        {
            add(
                "traffic",
                "a stage must not have less traffic than the stage before it",
            );
        }
    }
}
