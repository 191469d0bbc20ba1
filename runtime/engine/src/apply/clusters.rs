//! What was seen of clusters, and what is void when one comes back.

use super::gates::new_evidence;
use super::sites::{reopen, set_phase, soak_anew};
use super::{cluster_mut, site_mut};
use crate::moving;
use crate::state::{Rising, SitePhase, State, Step};
use wavegate_model::{ClusterName, Timestamp};

pub(super) fn observed(state: &mut State, cluster: &ClusterName, at: Timestamp) {
    let Some(name) = state.cluster(cluster).site.clone() else {
        return;
    };
    let site = state.site(&name);
    let news =
        |c: &ClusterName| moving::Known::new(state, c).map_or(0, |known| known.new_nodes().total());
    let exposed = if site.touched {
        site.clusters.iter().map(news).sum()
    } else {
        0
    };
    let ready = site
        .batch
        .as_ref()
        .filter(|batch| batch.cluster == *cluster)
        .and_then(|batch| {
            let known = moving::Known::new(state, cluster)?;
            Some(match batch.rising {
                Rising::New => known.new_nodes().ready,
                Rising::Baseline => known.baseline_nodes().ready,
                Rising::Neither => 0,
            })
        });
    let active = state.active_in(site.wave, at);
    let rolls_back = site.phase == SitePhase::RollingBack;
    let site = site_mut(state, &name);
    site.exposed_nodes = site.exposed_nodes.max(exposed);
    if let (Some(batch), Some(ready)) = (&mut site.batch, ready)
        && ready > batch.best_ready
    {
        batch.best_ready = ready;
        batch.progress = active;
        if rolls_back {
            site.limit_since = active;
        }
    }
}

pub(super) fn returned(state: &mut State, cluster: &ClusterName, at: Timestamp) {
    let found = cluster_mut(state, cluster);
    found.lost = None;
    let Some(name) = found.site.clone() else {
        return;
    };
    let active = state.active_in(state.site(&name).wave, at);
    match state.site(&name).phase {
        SitePhase::Updating => {
            new_evidence(state, &name, at);
            let site = site_mut(state, &name);
            if site.outstanding.is_empty() && matches!(site.step, Step::Gates(_) | Step::Until(_)) {
                site.step = Step::Ask;
            }
        }
        SitePhase::Soaking | SitePhase::Done => {
            let as_wanted = moving::Known::new(state, cluster).is_some_and(|known| {
                known.new_nodes().ready >= known.seen.desired
                    || known.seen.traffic.as_ref().is_some_and(|t| t.is_empty())
            });
            new_evidence(state, &name, at);
            soak_anew(state, &name, at);
            if !as_wanted {
                set_phase(state, &name, SitePhase::Updating);
                reopen(state, &name, active);
            }
        }
        SitePhase::Pending
        | SitePhase::Failed
        | SitePhase::RollingBack
        | SitePhase::RolledBack
        | SitePhase::RollbackFailed
        | SitePhase::Skipped => {}
    }
}
