//! What will be, and what would have been: simulates rollouts, and asks the questions of a
//! recorded one again.
//!
//! **Owns:** simulation in virtual time and what it comes to; running a journal through engine and
//! components again; reading consultations back from a journal, asking a component the same with
//! the evidence that was recorded, and saying whether it decides otherwise. It needs neither a
//! cluster nor a source.
//!
//! **Does not own:** the rounds of evidence (they are the conductor's, so that what is asked
//! again goes the way that it went), nor calling plugins (they come through `ports`).
//!
//! **Start at** [`simulate::simulate`], [`what_if`] and [`verify()`]. [`recorded`] reads, [`again`]
//! asks, [`mod@verify`] runs a whole journal again.

pub mod again;
pub mod parting;
pub mod recorded;
pub mod score;
pub mod simulate;
#[cfg(test)]
mod tests;
pub mod verify;

use std::sync::Arc;
use wavegate_conductor::Story;
use wavegate_engine::swap::Part;
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::Plugins;

pub use again::{Again, Other, Remembers, Reply};
pub use recorded::{Recorded, Said, Unreadable};
pub use verify::{Difference, Differs, Unchecked, Verified, VerifyError, verify};

/// A recorded question with what was answered, and what another component answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The question, and what was answered.
    pub recorded: Recorded,
    /// What the other component answers.
    pub now: Said,
}

impl Compared {
    /// Whether both lead to the same: the same verdicts, or the same decision. Reasons and
    /// measurements may differ.
    pub fn same(&self) -> bool {
        self.recorded.said.decides_as(&self.now)
    }
}

/// What another component would have answered.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// The newest recorded questions of the part, oldest first.
    pub calls: Vec<Compared>,
    /// How many older ones were left out.
    pub left_out: usize,
}

impl WhatIf {
    /// Those that it answers otherwise.
    pub fn differing(&self) -> impl Iterator<Item = &Compared> {
        self.calls.iter().filter(|call| !call.same())
    }
}

/// Asks another component the newest questions that a part of a rollout was asked, at most so
/// many, and changes nothing.
///
/// # Errors
/// If the journal does not have what its records name.
pub async fn what_if(
    journal: &dyn Journal,
    plugins: &Arc<dyn Plugins>,
    story: &Story,
    part: &Part,
    other: Other,
    most: usize,
) -> Result<WhatIf, Unreadable> {
    let all = recorded::of_part(story, part);
    let left_out = all.len().saturating_sub(most);
    let mut again = Again::new(Arc::clone(plugins), story.rollout.clone(), other);
    let mut calls = Vec::new();
    for (at, record) in &all[left_out..] {
        let recorded = Recorded::read(journal, *at, record).await?;
        let now = again.ask(&recorded).await;
        calls.push(Compared { recorded, now });
    }
    Ok(WhatIf { calls, left_out })
}
