//! The gates that were asked about one site or wave. They stand with it: one tree of all gates of
//! a fleet would be searched through names that are far apart in memory.

use super::{GateKey, GateState, State};
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::{GateName, WaveName};

/// Gates that were asked, in the order of phases and names. A policy has a handful.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Gates(Vec<Row>);

#[derive(Clone, Debug, PartialEq)]
struct Row {
    phase: Phase,
    gate: GateName,
    state: GateState,
}

impl Gates {
    /// What is known of a gate, if it was asked in this phase.
    pub fn get(&self, phase: Phase, gate: &GateName) -> Option<&GateState> {
        let mut rows = self.0.iter();
        let found = rows.find(|row| row.phase == phase && row.gate == *gate);
        found.map(|row| &row.state)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, phase: Phase, gate: &GateName) -> Option<&mut GateState> {
        let mut rows = self.0.iter_mut();
        let found = rows.find(|row| row.phase == phase && row.gate == *gate);
        found.map(|row| &mut row.state)
    }

    /// The gates of a phase, to be changed.
    pub(crate) fn of_phase_mut(&mut self, phase: Phase) -> impl Iterator<Item = &mut GateState> {
        let rows = self.0.iter_mut().filter(move |row| row.phase == phase);
        rows.map(|row| &mut row.state)
    }

    /// A gate in all its phases, to be changed.
    pub(crate) fn of_gate_mut<'a>(
        &'a mut self,
        gate: &'a GateName,
    ) -> impl Iterator<Item = &'a mut GateState> {
        let rows = self.0.iter_mut().filter(move |row| row.gate == *gate);
        rows.map(|row| &mut row.state)
    }

    /// All gates, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut GateState> {
        self.0.iter_mut().map(|row| &mut row.state)
    }

    fn entry(&mut self, phase: Phase, gate: &GateName) -> &mut GateState {
        let order = |row: &Row| (row.phase, &row.gate).cmp(&(phase, gate));
        let place = self.0.binary_search_by(order).unwrap_or_else(|place| {
            let row = Row {
                phase,
                gate: gate.clone(),
                state: GateState::default(),
            };
            self.0.insert(place, row);
            place
        });
        &mut self.0[place].state
    }
}

impl State {
    /// What is known of a gate, if it was asked.
    pub fn gate(&self, key: &GateKey) -> Option<&GateState> {
        let gates = match &key.subject {
            Subject::Site(site) => &self.sites.get(site)?.gates,
            Subject::Wave(wave) => &self.waves[self.wave_index(wave)?].gates,
        };
        gates.get(key.phase, &key.gate)
    }

    /// All gates that were asked: those of sites, then those of waves.
    pub fn gates(&self) -> impl Iterator<Item = (GateKey, &GateState)> {
        let of_sites = self
            .sites
            .iter()
            .map(|(site, found)| (Subject::Site(site.clone()), &found.gates));
        let waves = self.spec.plan.waves.iter().zip(&self.waves);
        let of_waves = waves.map(|(plan, wave)| (Subject::Wave(plan.name.clone()), &wave.gates));
        of_sites.chain(of_waves).flat_map(|(subject, gates)| {
            gates.0.iter().map(move |row| {
                let key = GateKey {
                    subject: subject.clone(),
                    phase: row.phase,
                    gate: row.gate.clone(),
                };
                (key, &row.state)
            })
        })
    }

    /// A gate's place in the state; made when it is asked first.
    pub(crate) fn gate_mut(&mut self, key: &GateKey) -> &mut GateState {
        let gates = match &key.subject {
            Subject::Site(site) => {
                let site = self.sites.get_mut(site);
                &mut site.expect("facts name sites of the plan").gates
            }
            Subject::Wave(wave) => {
                let index = self.wave_index(wave);
                &mut self.waves[index.expect("facts name waves of the plan")].gates
            }
        };
        gates.entry(key.phase, &key.gate)
    }

    /// Number of a wave in the plan.
    pub fn wave_index(&self, name: &WaveName) -> Option<usize> {
        let waves = &self.spec.plan.waves;
        waves.iter().position(|wave| wave.name == *name)
    }
}
