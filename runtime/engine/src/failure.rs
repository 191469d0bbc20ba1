//! What happens when a site fails, and the way to the declared end state.

use crate::fact::{End, Fact, FailReason, HoldReason, StopReason};
use crate::state::{RolloutPhase, SitePhase, SiteState, State};
use alloc::vec::Vec;
use wavegate_model::SiteName;
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;

/// A site failed: within the budget it alone goes back, else the rollout goes to its end state.
pub fn site_failed(state: &State, site: &SiteName, reason: FailReason) -> Vec<Fact> {
    let mut facts = alloc::vec![Fact::SiteFailed {
        site: site.clone(),
        reason
    }];
    if !matches!(state.phase, RolloutPhase::Running) {
        return facts;
    }
    let failure = &state.spec.policy.failure;
    let wave = state.site(site).wave;
    let sites_in_wave = state.spec.plan.waves[wave].sites.len();
    let in_all = state.failed_sites + 1;
    let in_wave = state.waves[wave].failed + 1;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let tolerated = in_all <= failure.tolerate.rounded_down(count(state.sites.len()))
        && in_wave <= failure.tolerate_per_wave.rounded_down(count(sites_in_wave));

    let hold = Fact::Held {
        reason: HoldReason::Failure { site: site.clone() },
    };
    if state.spec.release.reversal == Reversal::Irreversible {
        facts.push(hold);
    } else if tolerated {
        facts.push(Fact::SiteRollbackStarted { site: site.clone() });
    } else if failure.then == EndState::Hold {
        facts.push(hold);
    } else {
        let in_scope = |(name, other): &(&SiteName, &SiteState)| match failure.then {
            EndState::RollBackTouched => other.touched,
            EndState::RollBackWave => other.touched && other.wave == wave,
            EndState::RollBackSite | EndState::Hold => {
                *name == site || other.phase == SitePhase::Failed
            }
        };
        let sites = state
            .sites
            .iter()
            .filter(in_scope)
            .map(|(name, _)| name.clone())
            .collect();
        facts.push(Fact::Stopped {
            reason: StopReason::Failure { site: site.clone() },
            sites,
        });
    }
    facts
}

/// Everything touched goes back, because somebody asked for it.
pub fn requested(state: &State, actor: &str, reason: &str) -> Fact {
    let sites = state.touched().map(|(name, _)| name.clone()).collect();
    Fact::Stopped {
        reason: StopReason::Requested {
            actor: actor.into(),
            reason: reason.into(),
        },
        sites,
    }
}

/// What the way back needs next: sites that start to go back, or the end.
pub fn advance(state: &State) -> Vec<Fact> {
    let RolloutPhase::Stopping { sites, .. } = &state.phase else {
        return Vec::new();
    };
    let mut waiting: Vec<(&SiteName, u32)> = Vec::new();
    let (mut in_flight, mut failed) = (0, 0);
    for name in sites {
        let site = state.site(name);
        match site.phase {
            SitePhase::RollingBack => in_flight += 1,
            SitePhase::RollbackFailed => failed += 1,
            SitePhase::RolledBack | SitePhase::Skipped => {}
            SitePhase::Pending
            | SitePhase::Updating
            | SitePhase::Soaking
            | SitePhase::Done
            | SitePhase::Failed => {
                waiting.push((name, site.number));
            }
        }
    }
    if in_flight == 0 && waiting.is_empty() {
        // Sites that went back within the budget count too: their rollback may have failed before.
        let earlier = state
            .sites
            .values()
            .any(|site| site.phase == SitePhase::RollbackFailed);
        let end = if failed > 0 || earlier {
            End::RollbackIncomplete
        } else {
            End::RolledBack
        };
        return alloc::vec![Fact::Finished { end }];
    }
    // What was touched last goes back first.
    waiting.sort_by_key(|(_, number)| core::cmp::Reverse(*number));
    let places = state
        .spec
        .policy
        .failure
        .rollback
        .max_parallel_sites
        .max(1)
        .saturating_sub(in_flight);
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    waiting
        .into_iter()
        .take(places)
        .map(|(name, _)| Fact::SiteRollbackStarted { site: name.clone() })
        .collect()
}
