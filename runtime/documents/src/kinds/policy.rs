//! `RolloutPolicy`: order, limits, strategy, gates, and what happens on failure.

use super::approvals::{self, StageSpots};
use super::gate::{self, GateSpots, StrategySpots};
use super::windows;
use crate::defaults;
use crate::diagnostic::{Code, Diagnostic};
use crate::fields::{Cx, Fields, Spot, list, spot};
use crate::node::{Node, Value};
use crate::shapes::policy as shapes;
use crate::source::Place;
use crate::suggest;
use crate::values;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::policy::{
    Batch, EndState, Failure, GateUse, Membership, OnAdded, OnRemoved, OnTimeLimit, OnUnreachable,
    Rollback, TimeLimit, TimeLimits, Wave, WhenBusy,
};
use wavegate_model::windows::WindowRules;
use wavegate_model::{
    Amount, ClusterName, GateName, Labels, Policy, PolicyName, Selector, WaveName,
};

/// Waves of a policy: one for each cluster of a large fleet.
const WAVES_MAX: usize = 3000;

pub(crate) const END_STATES: &[(&str, EndState)] = &[
    ("hold", EndState::Hold),
    ("rollBackSite", EndState::RollBackSite),
    ("rollBackWave", EndState::RollBackWave),
    ("rollBackTouched", EndState::RollBackTouched),
];
pub(crate) const ON_TIME_LIMIT: &[(&str, OnTimeLimit)] =
    &[("fail", OnTimeLimit::Fail), ("hold", OnTimeLimit::Hold)];
pub(crate) const ON_UNREACHABLE: &[(&str, OnUnreachable)] = &[
    ("wait", OnUnreachable::Wait),
    ("fail", OnUnreachable::Fail),
    ("skip", OnUnreachable::Skip),
];
pub(crate) const ON_ADDED: &[(&str, OnAdded)] = &[
    ("ignore", OnAdded::Ignore),
    ("append", OnAdded::Append),
    ("ownWave", OnAdded::OwnWave),
];
pub(crate) const ON_REMOVED: &[(&str, OnRemoved)] = &[
    ("skip", OnRemoved::Skip),
    ("hold", OnRemoved::Hold),
    ("fail", OnRemoved::Fail),
];
pub(crate) const WHEN_BUSY: &[(&str, WhenBusy)] = &[
    ("refuse", WhenBusy::Refuse),
    ("queue", WhenBusy::Queue),
    ("supersede", WhenBusy::Supersede),
];

#[derive(Debug)]
pub(crate) struct PolicyDoc {
    pub(crate) name: Spot<String>,
    pub(crate) policy: Policy,
    /// Of each wave, in the order of the document.
    pub(crate) waves: Vec<WaveSpots>,
    pub(crate) site_by: Option<Place>,
    pub(crate) role_by: Option<Place>,
    pub(crate) exclude: Option<SelectorSpots>,
    pub(crate) batch: Option<Place>,
    pub(crate) failure: Option<Place>,
    pub(crate) strategy: StrategySpots,
    /// Of each gate, in the order of the policy.
    pub(crate) gates: Vec<GateSpots>,
    /// Of each approval of a stage, in the order of the policy.
    pub(crate) approvals: Vec<StageSpots>,
}

/// The places of a wave.
#[derive(Debug)]
pub(crate) struct WaveSpots {
    pub(crate) name: Place,
    pub(crate) selector: SelectorSpots,
    pub(crate) after: Vec<Place>,
    /// Of each gate that it names.
    pub(crate) gates: Vec<Place>,
}

/// The places of a selector.
#[derive(Debug)]
pub(crate) struct SelectorSpots {
    pub(crate) place: Place,
    /// Of each name.
    pub(crate) names: Vec<Place>,
}

impl PolicyDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let mut fields = Fields::open(cx, spec, &shapes::POLICY)?;
        let waves = fields.required("waves", waves);
        let site_by = fields.optional("siteBy", spot(values::label_key));
        let role_by = fields.optional("roleBy", spot(values::label_key));
        let exclude = fields.optional("exclude", exclude);
        let batch = fields.optional("batch", spot(batch));
        let time_limits = fields.optional("timeLimits", time_limits);
        let failure = fields.optional("failure", spot(failure));
        let membership = fields.or("membership", defaults::MEMBERSHIP, membership);
        let when_busy = fields.or("whenBusy", defaults::WHEN_BUSY, values::choice(WHEN_BUSY));
        let windows = fields.optional("windows", windows::read);
        let freezes = fields.or("freezes", Vec::new(), windows::freezes);
        let strategy = fields.required("strategy", gate::strategy);
        let gates = fields.or("gates", Vec::new(), gate::gates);
        let approvals = fields.or("approvals", Vec::new(), approvals::of_stages);
        fields.finish()?;
        let (waves, wave_spots): (Vec<_>, Vec<_>) = waves?.into_iter().unzip();
        let (gates, gate_spots): (Vec<_>, Vec<_>) = gates?.into_iter().unzip();
        let approvals = approvals?;
        approvals::check(cx, &waves, &approvals)?;
        let (approvals, approval_spots): (Vec<_>, Vec<_>) = approvals.into_iter().unzip();
        let (strategy, strategy_spots) = strategy?;
        own_gates(cx, &waves, &wave_spots, &gates)?;
        awaited_on_trial(cx, strategy_spots.config.node.as_ref(), &gates)?;
        let (name, site_by, role_by, batch, failure) =
            (name?, site_by?, role_by?, batch?, failure?);
        let (exclude, exclude_spots) = exclude?.unzip();
        let batch_value = batch.as_ref().map_or(DEFAULT_BATCH, |spot| spot.value);
        let failure_value = failure
            .as_ref()
            .map_or_else(FailureWritten::default, |spot| spot.value);
        let policy = Policy {
            name: PolicyName::new(name.value.as_str()),
            waves,
            site_by: site_by.as_ref().map(|spot| spot.value.clone()),
            role_by: role_by.as_ref().map(|spot| spot.value.clone()),
            exclude,
            batch: batch_value,
            time_limits: time_limits?.unwrap_or(DEFAULT_TIME_LIMITS),
            failure: failure_value.complete(batch_value),
            membership: membership?,
            when_busy: when_busy?,
            windows: WindowRules {
                freezes: freezes?,
                ..windows?.unwrap_or_default()
            },
            strategy,
            gates,
            approvals,
        };
        Some(Self {
            name,
            policy,
            waves: wave_spots,
            site_by: site_by.map(|spot| spot.place),
            role_by: role_by.map(|spot| spot.place),
            exclude: exclude_spots,
            batch: batch.map(|spot| spot.place),
            failure: failure.map(|spot| spot.place),
            strategy: strategy_spots,
            gates: gate_spots,
            approvals: approval_spots,
        })
    }
}

/// The gates that waves name are gates of the policy.
fn own_gates(cx: Cx<'_>, waves: &[Wave], spots: &[WaveSpots], gates: &[GateUse]) -> Option<()> {
    let mut good = true;
    for (wave, spots) in waves.iter().zip(spots) {
        let mut seen = BTreeSet::new();
        for (name, place) in wave.gates.iter().flatten().zip(&spots.gates) {
            let problem = if !gates.iter().any(|gate| gate.name == *name) {
                let message = format!("the policy has no gate `{name}`");
                let names = gates.iter().map(|gate| gate.name.as_str());
                Diagnostic::error(Code::Dangling, message)
                    .maybe_hint(suggest::name_hint(name.as_str(), names))
            } else if !seen.insert(name) {
                Diagnostic::error(Code::Duplicate, format!("the gate `{name}` is there twice"))
            } else {
                continue;
            };
            good = false;
            cx.problems.push(problem.at(place.clone(), ""));
        }
    }
    good.then_some(())
}

/// A strategy's configuration is its own, but lists of gates are called so in all of them: a gate
/// that decides nothing is not one to wait for.
fn awaited_on_trial(cx: Cx<'_>, config: Option<&Node>, gates: &[GateUse]) -> Option<()> {
    let mut listed = Vec::new();
    config
        .into_iter()
        .for_each(|config| lists_of_gates(config, &mut listed));
    let mut good = true;
    for (node, name) in listed {
        let on_trial = |gate: &&GateUse| gate.trial && gate.name.as_str() == name;
        if gates.iter().any(|gate| on_trial(&gate)) {
            good = false;
            let message = format!("the strategy would wait for `{name}`, which is on trial");
            let problem = Diagnostic::error(Code::Mismatch, message).at(cx.place(node), "");
            let hint = "a gate on trial decides nothing: leave it out here, it is asked anyway";
            cx.problems.push(problem.hint(hint));
        }
    }
    good.then_some(())
}

/// The texts in lists that are called `gates`, or something that ends so. Documents are nested
/// a few dozen deep at most, so this ends.
fn lists_of_gates<'a>(node: &'a Node, out: &mut Vec<(&'a Node, &'a str)>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let named =
                    matches!(&key.value, Value::Text(key) if key.to_lowercase().ends_with("gates"));
                if let (true, Value::List(items)) = (named, &value.value) {
                    out.extend(items.iter().filter_map(|item| match &item.value {
                        Value::Text(text) => Some((item, text.as_str())),
                        _ => None,
                    }));
                } else {
                    lists_of_gates(value, out);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| lists_of_gates(item, out)),
        _ => {}
    }
}

fn waves(cx: Cx<'_>, node: &Node) -> Option<Vec<(Wave, WaveSpots)>> {
    let waves = list(wave)(cx, node)?;
    if waves.is_empty() {
        return cx.bad_value(node, "a policy has at least one wave", None);
    }
    if waves.len() > WAVES_MAX {
        let message = format!(
            "the policy has {} waves, more than {WAVES_MAX}",
            waves.len()
        );
        return cx.fail(Diagnostic::error(Code::TooLarge, message).at(cx.place(node), ""));
    }
    let mut seen: BTreeMap<&WaveName, &Place> = BTreeMap::new();
    let mut good = true;
    for (wave, spots) in &waves {
        if let Some(first) = seen.insert(&wave.name, &spots.name) {
            good = false;
            let problem = Diagnostic::error(
                Code::Duplicate,
                format!("two waves are called `{}`", wave.name),
            );
            cx.problems.push(
                problem
                    .at(spots.name.clone(), "again")
                    .see(first.clone(), "first"),
            );
        }
    }
    good.then_some(waves)
}

fn wave(cx: Cx<'_>, node: &Node) -> Option<(Wave, WaveSpots)> {
    let mut fields = Fields::open(cx, node, &shapes::WAVE)?;
    let name = fields.required("name", spot(values::name::<WaveName>));
    let clusters = fields.required("clusters", selector);
    let after = fields.optional("after", list(spot(values::name::<WaveName>)));
    let max_parallel_sites = fields.or(
        "maxParallelSites",
        defaults::MAX_PARALLEL_SITES,
        values::amount_above_zero,
    );
    let site_soak = fields.or("siteSoak", defaults::SOAK, values::duration);
    let soak = fields.or("soak", defaults::SOAK, values::duration);
    let approval = fields.optional("approval", approvals::of_wave);
    let gates = fields.optional("gates", list(spot(values::name::<GateName>)));
    let own_windows = fields.optional("windows", windows::read);
    fields.finish()?;
    let (name, after, (clusters, selector)) = (name?, after?, clusters?);
    let (approval, approvers) = approval?.unzip();
    let gates = gates?;
    let spots = WaveSpots {
        name: name.place,
        selector,
        after: after
            .iter()
            .flatten()
            .map(|spot| spot.place.clone())
            .collect(),
        gates: gates
            .iter()
            .flatten()
            .map(|spot| spot.place.clone())
            .collect(),
    };
    let wave = Wave {
        name: name.value,
        clusters,
        after: after.map(|after| after.into_iter().map(|spot| spot.value).collect()),
        max_parallel_sites: max_parallel_sites?,
        site_soak: site_soak?,
        soak: soak?,
        approval,
        approvers: approvers.unwrap_or_default(),
        gates: gates.map(|gates| gates.into_iter().map(|spot| spot.value).collect()),
        windows: own_windows?,
    };
    Some((wave, spots))
}

pub(super) fn selector(cx: Cx<'_>, node: &Node) -> Option<(Selector, SelectorSpots)> {
    let mut fields = Fields::open(cx, node, &shapes::SELECTOR)?;
    let labels = fields.or("labels", Labels::new(), values::labels);
    let names = fields.optional("names", list(spot(values::name::<ClusterName>)));
    fields.finish()?;
    let (labels, names) = (labels?, names?);
    if names.as_ref().is_some_and(Vec::is_empty) {
        // An empty list means "any" in the model; here somebody has written that it is nobody.
        let hint = "leave `names` out to choose by labels alone";
        return cx.bad_value(node, "the list of names is empty", Some(hint.into()));
    }
    let names = names.unwrap_or_default();
    let spots = SelectorSpots {
        place: cx.range(node.range()),
        names: names.iter().map(|spot| spot.place.clone()).collect(),
    };
    Some((
        Selector {
            labels,
            names: names.into_iter().map(|spot| spot.value).collect(),
        },
        spots,
    ))
}

fn exclude(cx: Cx<'_>, node: &Node) -> Option<(Selector, SelectorSpots)> {
    let (selector, spots) = selector(cx, node)?;
    if selector == Selector::default() {
        let hint = "say `labels` or `names`";
        return cx.bad_value(node, "this would exclude every cluster", Some(hint.into()));
    }
    Some((selector, spots))
}

const DEFAULT_BATCH: Batch = Batch {
    size: defaults::BATCH_SIZE,
    max_unavailable: defaults::MAX_UNAVAILABLE,
    max_surge: defaults::MAX_SURGE,
};

fn batch(cx: Cx<'_>, node: &Node) -> Option<Batch> {
    let mut fields = Fields::open(cx, node, &shapes::BATCH)?;
    let size = fields.or("size", DEFAULT_BATCH.size, values::amount_above_zero);
    let max_unavailable = fields.or(
        "maxUnavailable",
        DEFAULT_BATCH.max_unavailable,
        values::amount,
    );
    let max_surge = fields.or("maxSurge", DEFAULT_BATCH.max_surge, values::amount);
    fields.finish()?;
    Some(Batch {
        size: size?,
        max_unavailable: max_unavailable?,
        max_surge: max_surge?,
    })
}

const DEFAULT_TIME_LIMITS: TimeLimits = TimeLimits {
    batch_progress: defaults::BATCH_PROGRESS,
    cluster: None,
    wave: None,
    rollout: None,
};

fn time_limits(cx: Cx<'_>, node: &Node) -> Option<TimeLimits> {
    let sites = |cx: Cx<'_>, node: &Node| time_limit(cx, node, defaults::THEN_OF_SITES);
    let waves = |cx: Cx<'_>, node: &Node| time_limit(cx, node, defaults::THEN_OF_WAVES);
    let mut fields = Fields::open(cx, node, &shapes::TIME_LIMITS)?;
    let batch_progress = fields.or("batchProgress", DEFAULT_TIME_LIMITS.batch_progress, sites);
    let cluster = fields.or("cluster", DEFAULT_TIME_LIMITS.cluster, sites);
    let wave = fields.or("wave", DEFAULT_TIME_LIMITS.wave, waves);
    let rollout = fields.or("rollout", DEFAULT_TIME_LIMITS.rollout, waves);
    fields.finish()?;
    Some(TimeLimits {
        batch_progress: batch_progress?,
        cluster: cluster?,
        wave: wave?,
        rollout: rollout?,
    })
}

/// `{after: 5m, then: fail}`, or `none` for no limit.
fn time_limit(cx: Cx<'_>, node: &Node, then: OnTimeLimit) -> Option<Option<TimeLimit>> {
    match &node.value {
        Value::Text(text) if text == "none" => return Some(None),
        Value::Text(text) => {
            let hint = format!("write `{{after: {text}}}`, or `none` for no limit");
            return cx.wrong_type(node, "a map (the fields of a time limit)", Some(hint));
        }
        _ => {}
    }
    let mut fields = Fields::open(cx, node, &shapes::TIME_LIMIT)?;
    let after = fields.required("after", values::duration_above_zero);
    let then = fields.or("then", then, values::choice(ON_TIME_LIMIT));
    fields.finish()?;
    Some(Some(TimeLimit {
        after: after?,
        then: then?,
    }))
}

/// `failure` as written; some of its defaults depend on other fields.
#[derive(Clone, Copy, Debug, Default)]
struct FailureWritten {
    tolerate: Option<Amount>,
    tolerate_per_wave: Option<Amount>,
    then: Option<EndState>,
    rollback: RollbackWritten,
}

#[derive(Clone, Copy, Debug, Default)]
struct RollbackWritten {
    batch: Option<Amount>,
    max_unavailable: Option<Amount>,
    max_parallel_sites: Option<u32>,
    progress: Option<wavegate_model::DurationMs>,
}

impl FailureWritten {
    fn complete(self, batch: Batch) -> Failure {
        let tolerate = self.tolerate.unwrap_or(defaults::TOLERATE);
        let back = self.rollback;
        Failure {
            tolerate,
            // One wave may use up the whole budget unless it is told less.
            tolerate_per_wave: self.tolerate_per_wave.unwrap_or(tolerate),
            then: self.then.unwrap_or(defaults::THEN),
            rollback: Rollback {
                batch: back.batch.unwrap_or(defaults::ROLLBACK_BATCH),
                // What the service can do without on the way forward, it can on the way back.
                max_unavailable: back.max_unavailable.unwrap_or(batch.max_unavailable),
                max_parallel_sites: back
                    .max_parallel_sites
                    .unwrap_or(defaults::ROLLBACK_MAX_PARALLEL_SITES),
                progress: back.progress.unwrap_or(defaults::ROLLBACK_PROGRESS),
            },
        }
    }
}

fn failure(cx: Cx<'_>, node: &Node) -> Option<FailureWritten> {
    let mut fields = Fields::open(cx, node, &shapes::FAILURE)?;
    let tolerate = fields.optional("tolerate", values::amount);
    let tolerate_per_wave = fields.optional("toleratePerWave", values::amount);
    let then = fields.optional("then", values::choice(END_STATES));
    let rollback = fields.or("rollback", RollbackWritten::default(), rollback);
    fields.finish()?;
    Some(FailureWritten {
        tolerate: tolerate?,
        tolerate_per_wave: tolerate_per_wave?,
        then: then?,
        rollback: rollback?,
    })
}

fn rollback(cx: Cx<'_>, node: &Node) -> Option<RollbackWritten> {
    let mut fields = Fields::open(cx, node, &shapes::ROLLBACK)?;
    let batch = fields.optional("batch", values::amount_above_zero);
    let max_unavailable = fields.optional("maxUnavailable", values::amount);
    let max_parallel_sites = fields.optional("maxParallelSites", values::whole(1, 1000));
    let progress = fields.optional("progress", values::duration_above_zero);
    fields.finish()?;
    Some(RollbackWritten {
        batch: batch?,
        max_unavailable: max_unavailable?,
        max_parallel_sites: max_parallel_sites?,
        progress: progress?,
    })
}

fn membership(cx: Cx<'_>, node: &Node) -> Option<Membership> {
    let mut fields = Fields::open(cx, node, &shapes::MEMBERSHIP)?;
    let unreachable_after = fields.or(
        "unreachableAfter",
        defaults::MEMBERSHIP.unreachable_after,
        values::duration_above_zero,
    );
    let unreachable = fields.or(
        "unreachable",
        defaults::MEMBERSHIP.unreachable,
        values::choice(ON_UNREACHABLE),
    );
    let added = fields.or(
        "added",
        defaults::MEMBERSHIP.added,
        values::choice(ON_ADDED),
    );
    let removed = fields.or(
        "removed",
        defaults::MEMBERSHIP.removed,
        values::choice(ON_REMOVED),
    );
    fields.finish()?;
    Some(Membership {
        unreachable_after: unreachable_after?,
        unreachable: unreachable?,
        added: added?,
        removed: removed?,
    })
}
