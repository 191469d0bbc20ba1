//! From what a plugin, a driver or the command line finds wrong to line and column.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, clean, quoted};
use crate::documents::Documents;
use crate::kinds::ConfigSpot;
use crate::node::{Node, Value};
use crate::source::Place;
use std::ops::Range;
use wavegate_model::plugin::Problem;
use wavegate_model::{ClusterName, GateName, PolicyName, SlotName, SourceName};

/// Problems of one plugin that are shown: it is not the host's text.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Something in a document that others than this crate check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `strategy.config` of a policy.
    StrategyConfig(PolicyName),
    /// `strategy.plugin` of a policy.
    StrategyPlugin(PolicyName),
    /// `config` of a gate.
    GateConfig(PolicyName, GateName),
    /// `plugin` of a gate.
    GatePlugin(PolicyName, GateName),
    /// A slot of a gate; the gate, if it does not bind the slot.
    GateSlot(PolicyName, GateName, SlotName),
    /// The driver's block of a cluster, by fleet.
    Connection(String, ClusterName),
    /// The block of a driver in a release.
    Artifact(String, String),
    /// An approval of a stage in a policy, by its number.
    StageApproval(PolicyName, usize),
    /// A source.
    Source(SourceName),
    /// A rollout, by name.
    Rollout(String),
}

impl Documents {
    /// Maps problems with JSON pointers into a configuration to places in its document. A pointer
    /// to something that is not there gives the deepest part that is.
    pub fn map_plugin_problems(&self, location: &Location, problems: &[Problem]) -> Diagnostics {
        let found = problems.iter().take(PROBLEMS_MAX).map(|problem| {
            let message = clean(&problem.message);
            match self.config(location) {
                Some(config) => mapped(config, &problem.pointer, message),
                None => self.problem_at(location, message, None),
            }
        });
        Diagnostics::new(found.collect())
    }

    /// A problem with something in a document, such as a plugin that cannot be loaded.
    pub fn problem_at(
        &self,
        location: &Location,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        let problem = Diagnostic::error(Code::Config, message).maybe_hint(hint);
        match self.place(location) {
            Some(place) => problem.at(place, ""),
            None => problem,
        }
    }

    fn config(&self, location: &Location) -> Option<&ConfigSpot> {
        match location {
            Location::StrategyConfig(policy) => {
                Some(&self.policies.get(policy.as_str())?.strategy.config)
            }
            Location::GateConfig(policy, gate) => Some(&self.gate(policy, gate)?.config),
            Location::Connection(fleet, cluster) => {
                Some(&self.fleets.get(fleet)?.cluster(cluster)?.connection)
            }
            Location::Artifact(release, driver) => {
                self.releases.get(release)?.artifacts.get(driver)
            }
            Location::StrategyPlugin(_)
            | Location::GatePlugin(..)
            | Location::GateSlot(..)
            | Location::StageApproval(..)
            | Location::Source(_)
            | Location::Rollout(_) => None,
        }
    }

    fn gate(&self, policy: &PolicyName, gate: &GateName) -> Option<&crate::kinds::GateSpots> {
        let doc = self.policies.get(policy.as_str())?;
        let at = doc
            .policy
            .gates
            .iter()
            .position(|used| used.name == *gate)?;
        doc.gates.get(at)
    }

    fn place(&self, location: &Location) -> Option<Place> {
        if let Some(config) = self.config(location) {
            return Some(config.place.clone());
        }
        match location {
            Location::StrategyPlugin(policy) => {
                Some(self.policies.get(policy.as_str())?.strategy.plugin.clone())
            }
            Location::GatePlugin(policy, gate) => Some(self.gate(policy, gate)?.plugin.clone()),
            Location::GateSlot(policy, gate, slot) => {
                let spots = self.gate(policy, gate)?;
                Some(spots.slots.get(slot).unwrap_or(&spots.name).clone())
            }
            Location::StageApproval(policy, at) => {
                let spots = self.policies.get(policy.as_str())?.approvals.get(*at)?;
                Some(spots.stage.clone())
            }
            Location::Source(source) => Some(self.sources.get(source.as_str())?.name.place.clone()),
            Location::Rollout(rollout) => Some(self.rollouts.get(rollout)?.name.place.clone()),
            Location::StrategyConfig(_)
            | Location::GateConfig(..)
            | Location::Connection(..)
            | Location::Artifact(..) => None,
        }
    }
}

pub(crate) fn mapped(config: &ConfigSpot, pointer: &str, message: String) -> Diagnostic {
    let problem = Diagnostic::error(Code::Config, message);
    let Some(root) = &config.node else {
        let label = format!("no `{}` is written here; it is `{{}}`", config.what);
        return problem.at(config.place.clone(), label);
    };
    let whole = config.place.range.clone();
    let (range, rest) = walk(root, whole, pointer);
    let label = match rest {
        None => String::new(),
        Some(rest) => format!("{} is not here", quoted(&rest)),
    };
    problem.at(Place::new(&config.place.source, range), label)
}

/// Follows a pointer as far as it goes. Gives the range of the last part and the rest.
fn walk(root: &Node, whole: Range<usize>, pointer: &str) -> (Range<usize>, Option<String>) {
    let (mut node, mut range) = (root, whole);
    let mut parts = pointer.split('/').skip(1);
    while let Some(part) = parts.next() {
        let key = part.replace("~1", "/").replace("~0", "~");
        let next = match &node.value {
            Value::Map(_) => node.entry(&key).map(|(key, value)| match value.value {
                // The key says more than the first line of what is below it.
                Value::Map(_) | Value::List(_) => (key.range(), value),
                _ => (value.range(), value),
            }),
            Value::List(items) => key
                .parse::<usize>()
                .ok()
                .and_then(|at| items.get(at))
                .map(|item| (item.range(), item)),
            _ => None,
        };
        let Some((at, value)) = next else {
            let rest = std::iter::once(key).chain(parts.map(str::to_owned));
            return (range, Some(rest.collect::<Vec<_>>().join("/")));
        };
        (range, node) = (at, value);
    }
    (range, None)
}
