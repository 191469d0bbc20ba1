//! What gates said, and whether it is about what is there now.

use super::Violation;
use super::book::Book;
use crate::state::GateKey;
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::policy::GateUse;
use wavegate_model::{GateName, Timestamp};

/// A question to a gate.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) gate: GateKey,
    pub(super) evidence: u64,
    /// How often what it is about had changed.
    pub(super) changes: u64,
    pub(super) at: Timestamp,
}

/// What a gate said last.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) evidence: u64,
    /// When it was asked for.
    pub(super) at: Timestamp,
    /// Passes about this evidence in a row.
    pub(super) passes: u32,
}

/// What each gate that was asked said last.
pub(super) type Verdicts = Vec<(Phase, GateName, Said)>;

impl Book {
    pub(super) fn evidence_of(&self, key: &GateKey) -> u64 {
        match key.phase {
            Phase::BeforeSite | Phase::BeforeWave => 0,
            _ => self.changes_of(&key.subject),
        }
    }

    /// How often a subject has changed, or has gone and come back.
    pub(super) fn changes_of(&self, subject: &Subject) -> u64 {
        match subject {
            Subject::Site(site) => self.site(site).evidence,
            Subject::Wave(wave) => self.waves[self.wave_index(wave)].evidence,
        }
    }

    /// The policy's part of a gate.
    pub(super) fn gate(&self, name: &GateName) -> Option<&GateUse> {
        self.spec
            .policy
            .gates
            .iter()
            .find(|gate| gate.name == *name)
    }

    /// Whether a gate is asked in a wave.
    pub(super) fn asks(&self, wave: usize, gate: &GateName) -> bool {
        let own = self.spec.plan.waves[wave].gates.as_ref();
        own.is_none_or(|own| own.iter().any(|name| name == gate))
    }

    /// The gates that decide in a phase of a wave.
    pub(super) fn deciding(&self, wave: usize, phase: Phase) -> impl Iterator<Item = &GateUse> {
        let gates = self.spec.policy.gates.iter();
        gates.filter(move |gate| {
            gate.phases.contains(&phase) && !gate.trial && self.asks(wave, &gate.name)
        })
    }

    fn wave_of(&self, subject: &Subject) -> usize {
        match subject {
            Subject::Site(site) => self.site(site).wave,
            Subject::Wave(wave) => self.wave_index(wave),
        }
    }

    /// A verdict about what is there now.
    pub(super) fn judged(
        &mut self,
        key: &GateKey,
        verdict: Verdict,
        evidence: u64,
        asked: Timestamp,
        at: Timestamp,
    ) {
        let limit = self.gate(&key.gate).and_then(|gate| gate.fresh_for);
        let before = self.said(key).filter(|said| {
            let gone = limit.is_some_and(|limit| at.since(said.at) > limit);
            said.verdict == Verdict::Pass && said.evidence == evidence && !gone
        });
        let before = before.map_or(0, |said| said.passes);
        let said = Said {
            verdict,
            evidence,
            at: asked,
            passes: if verdict == Verdict::Pass {
                before.saturating_add(1)
            } else {
                0
            },
        };
        self.verdict(key, Some(said));
    }

    fn said(&self, key: &GateKey) -> Option<&Said> {
        let verdicts = match &key.subject {
            Subject::Site(site) => &self.site(site).verdicts,
            Subject::Wave(wave) => &self.waves[self.wave_index(wave)].verdicts,
        };
        let mut verdicts = verdicts.iter();
        let found = verdicts.find(|(phase, gate, _)| *phase == key.phase && *gate == key.gate);
        found.map(|(_, _, said)| said)
    }

    /// Writes down what a gate said last; none forgets it.
    pub(super) fn verdict(&mut self, key: &GateKey, said: Option<Said>) {
        let verdicts = match &key.subject {
            Subject::Site(site) => &mut self.site_mut(site).verdicts,
            Subject::Wave(wave) => {
                let index = self.wave_index(wave);
                &mut self.waves[index].verdicts
            }
        };
        verdicts.retain(|(phase, gate, _)| *phase != key.phase || *gate != key.gate);
        verdicts.extend(said.map(|said| (key.phase, key.gate.clone(), said)));
    }

    /// Whether a gate has passed, for what is there now and lately, so many times in a row.
    pub(super) fn passed(&self, key: &GateKey, at: Timestamp, times: u32) -> bool {
        let now = self.evidence_of(key);
        let limit = self.gate(&key.gate).and_then(|gate| gate.fresh_for);
        self.said(key).is_some_and(|said| {
            let fresh = limit.is_none_or(|limit| at.since(said.at) <= limit);
            said.verdict == Verdict::Pass && said.evidence == now && fresh && said.passes >= times
        })
    }

    /// All gates that decide in a phase have passed for what is there now.
    pub(super) fn all_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
        at: Timestamp,
    ) -> Result<(), Violation> {
        for gate in self.deciding(self.wave_of(subject), phase) {
            self.has_passed(what, subject, phase, &gate.name, at)?;
        }
        Ok(())
    }

    pub(super) fn has_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
        gate: &GateName,
        at: Timestamp,
    ) -> Result<(), Violation> {
        let key = GateKey {
            subject: subject.clone(),
            phase,
            gate: gate.clone(),
        };
        let times = self.gate(gate).map_or(1, |gate| gate.passes);
        if self.passed(&key, at, times) {
            return Ok(());
        }
        Err(Violation::NotPassed {
            what,
            gate: gate.clone(),
            phase,
        })
    }
}
