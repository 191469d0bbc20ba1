//! Swapped plugins: an answer counts only if it comes from the component that has the part now.

use super::Violation;
use super::book::Book;
use super::verdicts::Said;
use crate::fact::Fact;
use crate::swap::{Component, Memory, Part, StateTag};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use wavegate_model::plugin::Phase;
use wavegate_model::{ConsultationId, Digest, GateName};

/// What the auditor knows of the components.
#[derive(Clone, Debug, Default)]
pub(super) struct Components {
    /// The last question that was asked.
    last_asked: ConsultationId,
    /// The last question that the component before was asked.
    former: BTreeMap<Part, ConsultationId>,
    /// Who can read the state of a part.
    tags: BTreeMap<Part, StateTag>,
}

impl Book {
    pub(super) fn check_component(&self, fact: &Fact) -> Result<(), Violation> {
        match fact {
            Fact::StrategyAnswered { consultation, .. }
            | Fact::StrategyUnavailable { consultation, .. } => {
                self.in_force(&Part::Strategy, *consultation)
            }
            Fact::GateAnswered {
                consultation, gate, ..
            }
            | Fact::GateUnavailable {
                consultation, gate, ..
            } => self.in_force(&Part::Gate(gate.gate.clone()), *consultation),
            Fact::PluginSwapped {
                part, to, memory, ..
            } => self.may_swap(part, to, *memory),
            _ => Ok(()),
        }
    }

    pub(super) fn note_component(&mut self, fact: &Fact) {
        let components = &mut self.components;
        match fact {
            Fact::StrategyAsked { consultation, .. } | Fact::GateAsked { consultation, .. } => {
                components.last_asked = components.last_asked.max(*consultation);
            }
            Fact::PluginSwapped { part, to, .. } => {
                components
                    .former
                    .insert(part.clone(), components.last_asked);
                components.tags.insert(part.clone(), to.writes.clone());
                if let Part::Gate(name) = part {
                    self.forget_gate(name);
                }
            }
            _ => {}
        }
    }

    fn in_force(&self, part: &Part, consultation: ConsultationId) -> Result<(), Violation> {
        match self.components.former.get(part) {
            Some(last) if consultation <= *last => Err(Violation::NotInForce {
                part: part.clone(),
                consultation,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn may_swap(&self, part: &Part, to: &Component, memory: Memory) -> Result<(), Violation> {
        if self.end.is_some() {
            return Err(Violation::AfterEnd {
                what: "a swap of a plugin",
            });
        }
        if let Part::Gate(name) = part {
            self.granted(name, &to.digest)?;
        }
        let pins = &self.spec.pins;
        let before = self.components.tags.get(part).or(match part {
            Part::Strategy => pins.strategy_state.as_ref(),
            Part::Gate(name) => pins.gate_states.get(name),
        });
        if memory == Memory::Kept && before != Some(&to.writes) {
            return Err(Violation::ForeignState { part: part.clone() });
        }
        Ok(())
    }

    /// Every source that the gate can ask lists the component and the policy.
    fn granted(&self, name: &GateName, digest: &Digest) -> Result<(), Violation> {
        let policy = &self.spec.policy;
        let gate = policy.gates.iter().find(|gate| gate.name == *name);
        for source in gate.into_iter().flat_map(|gate| gate.slots.values()) {
            let listed = self.spec.sources.iter().any(|spec| {
                spec.name == *source
                    && spec.plugins.allows(digest)
                    && spec.policies.allows(&policy.name)
            });
            if !listed {
                return Err(Violation::NotGranted {
                    gate: name.clone(),
                    source_name: source.clone(),
                    component: Box::new(digest.clone()),
                });
            }
        }
        Ok(())
    }

    /// What another component judged neither passes nor covers.
    fn forget_gate(&mut self, name: &GateName) {
        let others = |(_, gate, _): &(Phase, GateName, Said)| gate != name;
        for site in self.sites.values_mut() {
            site.verdicts.retain(others);
            site.covered.remove(name);
        }
        for wave in &mut self.waves {
            wave.verdicts.retain(others);
        }
    }
}
