//! Approvals: who may agree to what, and how many have to.

use crate::ids::WaveName;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Who may approve, and how many have to. Anybody and one if nothing was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvers {
    /// Who may, by the names that requests carry; anybody if empty.
    pub by: Vec<String>,
    /// How many different people have to; at least 1.
    pub count: u32,
    /// Whether whoever started the rollout counts.
    pub starter: Starter,
}

/// Whether whoever started the rollout counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starter {
    /// As everybody else.
    #[default]
    Counts,
    /// Others have to agree.
    DoesNotCount,
}

impl Default for Approvers {
    fn default() -> Self {
        Self {
            by: Vec::new(),
            count: 1,
            starter: Starter::Counts,
        }
    }
}

impl Approvers {
    /// Whether a person may approve what `started_by` has started.
    pub fn may(&self, actor: &str, started_by: &str) -> bool {
        let named = self.by.is_empty() || self.by.iter().any(|name| name == actor);
        named && (self.starter == Starter::Counts || actor != started_by)
    }

    /// How many more people have to approve.
    pub fn missing(&self, given: &BTreeSet<String>) -> u32 {
        let given = u32::try_from(given.len()).unwrap_or(u32::MAX);
        self.count.saturating_sub(given)
    }
}

/// An approval that a site needs before it does what a stage wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageApproval {
    /// The stage, as the strategy names it.
    pub stage: String,
    /// In which waves; in all if empty.
    pub waves: Vec<WaveName>,
    /// What is asked of the person.
    pub text: String,
    /// Who may, and how many have to.
    pub approvers: Approvers,
}

impl StageApproval {
    /// Whether it is about this stage in this wave.
    pub fn concerns(&self, stage: &str, wave: &WaveName) -> bool {
        self.stage == stage && (self.waves.is_empty() || self.waves.contains(wave))
    }
}
