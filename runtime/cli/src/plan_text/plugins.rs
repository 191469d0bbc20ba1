//! What a plan says of plugins: which gates are asked when, and what a call of each may use.

use super::{Page, listed, reference, when};
use crate::toolbox::run::{grouped, mebibytes};
use crate::words::plural;
use wavegate_model::limits::{CallLimits, ResourceClass};
use wavegate_model::policy::{BudgetWindow, GateUse, OnUnavailable};
use wavegate_ports::plugins::LoadedPlugin;

impl Page<'_> {
    pub(super) fn gates(&mut self) {
        let gates = &self.prepared.spec.policy.gates;
        if gates.is_empty() {
            self.title(
                "gates",
                ": none; only nodes that become ready are waited for",
            );
            return;
        }
        self.title("gates", ", all of which have to pass");
        for gate in gates {
            self.gate(gate);
        }
    }

    fn gate(&mut self, gate: &GateUse) {
        let plugin = self.prepared.gates.get(&gate.name).map_or_else(
            || reference(&gate.plugin),
            |plugin| format!("{} {}", plugin.about.name, plugin.about.version),
        );
        let sources: Vec<&str> = gate.slots.values().map(|source| source.as_str()).collect();
        let from = if sources.is_empty() {
            String::new()
        } else {
            format!(" with evidence from {}", listed(&sources))
        };
        let phases: Vec<&str> = gate.phases.iter().map(|phase| when(*phase)).collect();
        let counts = match (
            gate.budget.window,
            gate.budget.consecutive,
            gate.budget.total,
        ) {
            (Some(BudgetWindow { fails, of }), row, _) => format!(
                "{} in a row and {fails} of {of} are tolerated",
                plural(row, "fail")
            ),
            (None, _, 0) => "the first fail counts".to_owned(),
            (None, row, all) => format!(
                "{} in a row and {all} in all are tolerated",
                plural(row, "fail")
            ),
        };
        let trial = if gate.trial {
            "; on trial, so it decides nothing"
        } else {
            ""
        };
        let silent = match gate.on_unavailable {
            OnUnavailable::Hold => "no answer holds",
            OnUnavailable::Fail => "no answer counts as a fail",
        };
        let times = match gate.passes {
            0 | 1 => String::new(),
            times => format!(", {times} times in a row"),
        };
        let fresh = gate
            .fresh_for
            .map_or_else(String::new, |limit| format!(" and counts for {limit}"));
        let samples = format!("{}{times}{fresh}", plural(gate.min_samples, "sample"));
        self.line(&format!("  {}: {plugin}{from}{trial}", gate.name));
        let asked = format!("{}, every {}", listed(&phases), gate.interval);
        self.line(&format!("    asked {asked}"));
        let counts = format!("a pass needs {samples}; {counts}; {silent}");
        self.line(&format!("    {counts}"));
    }

    /// What a call of each plugin may use: its class, and what the policy tightens of it.
    pub(super) fn plugins(&mut self) {
        self.title("plugins", ", and what one call of each may use");
        let policy = &self.prepared.spec.policy;
        let used = &policy.strategy;
        let strategy = may_use(used.class, used.limits, Some(&self.prepared.strategy));
        self.line(&format!("  strategy: {strategy}"));
        for gate in &policy.gates {
            let plugin = self.prepared.gates.get(&gate.name);
            let words = may_use(gate.class, gate.limits, plugin);
            self.line(&format!("  {}: {words}", gate.name));
        }
    }
}

/// A class and its limits; also what the component says that it needs, where that is another.
fn may_use(
    class: Option<ResourceClass>,
    limits: CallLimits,
    plugin: Option<&LoadedPlugin>,
) -> String {
    let class = class.unwrap_or_default();
    let needs = match plugin {
        Some(plugin) if plugin.class != class => format!(" (it asks for {})", plugin.class),
        Some(_) | None => String::new(),
    };
    format!(
        "{class}{needs}: {} units of fuel, {}, {} of memory",
        grouped(limits.fuel),
        limits.time,
        mebibytes(limits.memory_bytes)
    )
}
