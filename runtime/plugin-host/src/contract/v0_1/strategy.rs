//! Strategies: the model's questions as the contract's, and its answers as the model's.

use super::answers::{self, at_most};
use super::strategy_world::exports::wavegate::plugin::strategy as wit;
use super::strategy_world::wavegate::plugin::types;
use crate::text::{clean, clean_to};
use wavegate_model::limits::CLUSTERS_PER_SITE_MAX;
use wavegate_model::plugin::{About, Outcome, PluginKind, Proposal, SiteSummary, SiteView, Stage};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{ClusterGoal, DurationMs, GateName, Goal, Permille, Unavailable};

/// Stages of an outline; one that people can read has a dozen.
const STAGES_MAX: usize = 200;
/// Gates that one decision can wait for; policies have a handful.
const GATES_MAX: usize = 64;

pub(super) fn about(about: types::About) -> Result<About, Unavailable> {
    answers::about(PluginKind::Strategy, about, Vec::new())
}

pub(super) fn summary(site: &SiteSummary) -> wit::SiteSummary {
    let cluster =
        |(name, role, desired): &(wavegate_model::ClusterName, String, u32)| wit::ClusterSummary {
            name: name.as_str().to_owned(),
            role: role.clone(),
            desired: *desired,
        };
    wit::SiteSummary {
        site: site.site.as_str().to_owned(),
        clusters: site.clusters.iter().map(cluster).collect(),
        extensions: Vec::new(),
    }
}

pub(super) fn view(view: &SiteView) -> wit::SiteView {
    let cluster = |c: &wavegate_model::plugin::ClusterView| wit::ClusterView {
        name: c.name.as_str().to_owned(),
        role: c.role.clone(),
        baseline: c.baseline.to_string(),
        desired: c.desired,
        new_ready: c.new_ready,
        new_unready: c.new_unready,
        baseline_ready: c.baseline_ready,
        baseline_unready: c.baseline_unready,
        other: c.other,
        failed: c.failed,
        new_permille: c.new_permille,
        baseline_permille: c.baseline_permille,
        batch_max: c.batch_max,
        unavailable_max: c.unavailable_max,
        surge_max: c.surge_max,
    };
    let gate = |g: &wavegate_model::plugin::GateView| wit::GateView {
        name: g.name.as_str().to_owned(),
        last: g.last.map(answers::verdict_to_guest),
        age_ms: g.age.as_u32(),
    };
    wit::SiteView {
        now: answers::instant(view.now),
        site: view.site.as_str().to_owned(),
        clusters: view.clusters.iter().map(cluster).collect(),
        splits_traffic: view.splits_traffic,
        release: answers::release(&view.release),
        stage: view.stage.clone(),
        stage_elapsed_ms: view.stage_elapsed.as_u32(),
        site_elapsed_ms: view.site_elapsed.as_u32(),
        time_left_ms: view.time_left.map(DurationMs::as_u32),
        completed: view.completed.as_str().to_owned(),
        gates: view.gates.iter().map(gate).collect(),
        position: wit::Position {
            wave_name: view.position.wave_name.as_str().to_owned(),
            wave: view.position.wave,
            waves: view.position.waves,
            site: view.position.site,
            sites: view.position.sites,
        },
        extensions: Vec::new(),
    }
}

pub(super) fn stages(stages: Vec<wit::Stage>) -> Result<Vec<Stage>, Unavailable> {
    let stages = at_most("its outline", stages, STAGES_MAX)?;
    let stage = |s: wit::Stage| Stage {
        name: clean_to(&s.name, answers::NAME_CHARS_MAX),
        text: clean(&s.text),
    };
    Ok(stages.into_iter().map(stage).collect())
}

pub(super) fn outcome(outcome: wit::Outcome) -> Result<Outcome, Unavailable> {
    Ok(Outcome {
        proposal: proposal(outcome.decision)?,
        stage: clean_to(&outcome.stage, answers::NAME_CHARS_MAX),
        reason: clean(&outcome.reason),
        state: answers::state(outcome.state)?,
    })
}

fn proposal(decision: wit::Decision) -> Result<Proposal, Unavailable> {
    Ok(match decision {
        wit::Decision::Go(goal) => Proposal::Go(self::goal(goal)?),
        wit::Decision::WaitGates(gates) => {
            let gates = at_most("its list of gates", gates, GATES_MAX)?;
            Proposal::WaitGates(
                gates
                    .iter()
                    .map(|name| gate(name))
                    .collect::<Result<_, _>>()?,
            )
        }
        wit::Decision::WaitMs(ms) => Proposal::Wait(DurationMs(u64::from(ms))),
        wit::Decision::WaitPerson(text) => Proposal::WaitPerson(clean(&text)),
        wit::Decision::Done => Proposal::Done,
        wit::Decision::Failed(reason) => Proposal::Failed(clean(&reason)),
    })
}

/// As for clusters: a name that needs cleaning names no gate.
fn gate(name: &str) -> Result<GateName, Unavailable> {
    let cleaned = clean(name);
    if cleaned == name {
        Ok(GateName::new(cleaned))
    } else {
        Err(Unavailable::BadAnswer(BadAnswer::UnknownGate(
            GateName::new(cleaned),
        )))
    }
}

/// Sorts the goal by cluster. Whether its clusters and numbers can be is for the engine to say,
/// which knows the site.
fn goal(goal: wit::Goal) -> Result<Goal, Unavailable> {
    let clusters = at_most("its goal", goal.clusters, CLUSTERS_PER_SITE_MAX)?;
    let cluster = |c: wit::ClusterGoal| -> Result<ClusterGoal, Unavailable> {
        Ok(ClusterGoal {
            cluster: answers::cluster(&c.cluster)?,
            new: c.new,
            baseline: c.baseline,
            new_share: Permille(c.new_permille),
            baseline_share: Permille(c.baseline_permille),
        })
    };
    let mut clusters: Vec<ClusterGoal> = clusters
        .into_iter()
        .map(cluster)
        .collect::<Result<_, _>>()?;
    clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
    Ok(Goal { clusters })
}
