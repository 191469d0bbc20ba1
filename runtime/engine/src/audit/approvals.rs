//! Counts approvals by itself: different people, each allowed.

use super::Violation;
use super::book::Book;
use alloc::string::String;
use alloc::vec::Vec;
use wavegate_model::approval::Starter;
use wavegate_model::{Approvers, SiteName};

/// Whether enough different people have approved, of those who may.
pub(super) fn enough<'a>(
    book: &Book,
    rule: &Approvers,
    given: impl Iterator<Item = &'a String>,
) -> bool {
    let mut counted: Vec<&String> = Vec::new();
    for actor in given {
        let listed = rule.by.is_empty() || rule.by.contains(actor);
        let started = rule.starter == Starter::DoesNotCount && *actor == book.spec.started_by;
        if listed && !started && !counted.contains(&actor) {
            counted.push(actor);
        }
    }
    u32::try_from(counted.len()).unwrap_or(u32::MAX) >= rule.count
}

/// Nothing is done for a stage before those whom the policy names have agreed.
pub(super) fn of_stage(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let site = book.site(name);
    let wave = &book.spec.plan.waves[site.wave].name;
    for rule in &book.spec.policy.approvals {
        let in_wave = rule.waves.is_empty() || rule.waves.iter().any(|found| found == wave);
        if rule.stage != site.stage || !in_wave {
            continue;
        }
        let given = site
            .approved
            .iter()
            .filter(|(stage, _)| *stage == rule.stage);
        if !enough(book, &rule.approvers, given.map(|(_, actor)| actor)) {
            return Err(Violation::StageNotApproved {
                site: name.clone(),
                stage: rule.stage.clone(),
            });
        }
        // The first rule that concerns a stage is the one that counts.
        break;
    }
    Ok(())
}
