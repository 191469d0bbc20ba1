//! The questions to plugins: what they get to see of the state.

use crate::command::Command;
use crate::moving::{self, Direction, Known};
use crate::state::{GateKey, SitePhase, SiteState, State};
use alloc::vec::Vec;
use wavegate_model::plugin::{
    ClusterView, GateCall, GateCluster, GateView, Phase, Position, ReleaseId, SiteView, Subject,
};
use wavegate_model::{ClusterName, ConsultationId, DurationMs, SiteName, Split, Timestamp};

/// Untouched clusters that a gate gets to see. Comparing with more adds little, and a call must
/// not grow with the fleet.
const UNTOUCHED_MAX: usize = 64;

fn release(state: &State) -> ReleaseId {
    ReleaseId {
        version: state.spec.release.version.clone(),
        digest: state.spec.release.digest.clone(),
    }
}

/// The question to the strategy about a site.
pub fn to_strategy(
    state: &State,
    consultation: ConsultationId,
    name: &SiteName,
    now: Timestamp,
) -> Command {
    let site = state.site(name);
    let active = state.active_in(site.wave, now);
    let clusters = moving::known(state, site).unwrap_or_default();
    let split = moving::seen_split(&clusters);
    let limit = state.spec.policy.time_limits.cluster;
    let view = SiteView {
        now,
        site: name.clone(),
        clusters: clusters
            .iter()
            .map(|known| cluster_view(state, &split, known))
            .collect(),
        splits_traffic: state.spec.capabilities.splits_traffic,
        release: release(state),
        stage: site.stage.clone(),
        stage_elapsed: active.minus(site.stage_since),
        site_elapsed: active.minus(site.started),
        time_left: limit.map(|limit| site.limit_since.plus(limit.after).minus(active)),
        completed: site.completed,
        gates: gate_views(state, name, now),
        position: position(state, site),
    };
    Command::AskStrategy {
        consultation,
        generation: state.generation(),
        view,
        state: site.strategy.clone(),
    }
}

fn cluster_view(state: &State, split: &Split, known: &Known<'_>) -> ClusterView {
    let (new, baseline) = (known.new_nodes(), known.baseline_nodes());
    let limits = known.limits(&state.spec, Direction::Forward);
    let same = known.baseline == known.release;
    ClusterView {
        name: known.name.clone(),
        role: known.cluster.role.clone(),
        baseline: known.baseline.clone(),
        desired: known.seen.desired,
        new_ready: new.ready,
        new_unready: new.unready,
        baseline_ready: baseline.ready,
        baseline_unready: baseline.unready,
        other: known.other_nodes(),
        failed: new.failed + baseline.failed,
        new_permille: split.of(known.name, known.release).0,
        baseline_permille: if same {
            0
        } else {
            split.of(known.name, known.baseline).0
        },
        batch_max: limits.batch,
        unavailable_max: limits.unavailable,
        surge_max: limits.surge,
    }
}

fn gate_views(state: &State, name: &SiteName, now: Timestamp) -> Vec<GateView> {
    let view = |gate: &wavegate_model::policy::GateUse| {
        let key = GateKey {
            subject: Subject::Site(name.clone()),
            phase: Phase::AfterBatch,
            gate: gate.name.clone(),
        };
        let last = state.gate(&key).and_then(|g| g.last);
        GateView {
            name: gate.name.clone(),
            last: last.map(|(verdict, _)| verdict),
            age: last.map_or(DurationMs::ZERO, |(_, at)| now.since(at)),
        }
    };
    // A strategy waits for nothing that decides nothing.
    let gates = state.spec.policy.gates.iter();
    gates.filter(|gate| !gate.trial).map(view).collect()
}

fn position(state: &State, site: &SiteState) -> Position {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        wave_name: state.spec.plan.waves[site.wave].name.clone(),
        wave: count(site.wave + 1),
        waves: count(state.waves.len()),
        site: site.number,
        sites: count(state.sites.len()),
    }
}

/// The question to a gate.
pub fn to_gate(
    state: &State,
    consultation: ConsultationId,
    key: &GateKey,
    now: Timestamp,
) -> Command {
    let found = state.gate(key);
    let sites: Vec<&SiteState> = match &key.subject {
        Subject::Site(site) => alloc::vec![state.site(site)],
        Subject::Wave(wave) => {
            let index = state.spec.plan.waves.iter().position(|w| w.name == *wave);
            let planned = index
                .map(|index| state.spec.plan.waves[index].sites.as_slice())
                .unwrap_or_default();
            planned.iter().map(|site| state.site(&site.name)).collect()
        }
    };
    let start = sites
        .iter()
        .map(|site| site.evidence_start)
        .max()
        .unwrap_or(now);
    let updated = sites
        .iter()
        .flat_map(|site| &site.clusters)
        .filter_map(|name| {
            // One whose new nodes have all died is to be judged too.
            let updated = Known::new(state, name)?.new_nodes().total() > 0;
            gate_cluster(state, name).filter(|_| updated)
        });
    // From the sites whose turn comes next, so that a question costs the same in a large fleet.
    let waves = state.spec.plan.waves.iter().zip(&state.waves);
    let to_come = waves.flat_map(|(plan, wave)| &plan.sites[wave.next_site..]);
    let untouched = to_come
        .map(|planned| state.site(&planned.name))
        .filter(|site| site.phase == SitePhase::Pending)
        .flat_map(|site| &site.clusters)
        .filter_map(|name| gate_cluster(state, name));
    // Made for all of them at once, not grown step by step.
    let mut shown = Vec::with_capacity(UNTOUCHED_MAX.min(state.clusters.len()));
    shown.extend(untouched.take(UNTOUCHED_MAX));
    let call = GateCall {
        now,
        subject: key.subject.clone(),
        phase: key.phase,
        attempt: found.map_or(0, |g| g.attempts),
        evidence_start: start,
        release: release(state),
        updated: updated.collect(),
        untouched: shown,
    };
    Command::AskGate {
        consultation,
        generation: state.generation(),
        gate: key.gate.clone(),
        call,
        state: found.map(|g| g.state.clone()).unwrap_or_default(),
    }
}

fn gate_cluster(state: &State, name: &ClusterName) -> Option<GateCluster> {
    let known = Known::new(state, name)?;
    Some(GateCluster {
        name: name.clone(),
        role: known.cluster.role.clone(),
        baseline: known.baseline.clone(),
        new_ready: known.new_nodes().ready,
        baseline_ready: known.baseline_nodes().ready,
    })
}
