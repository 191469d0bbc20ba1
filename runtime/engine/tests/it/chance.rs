//! Random fleets, policies and plugins, and what can happen to them.

use crate::minds::{GateMind, Strategy};
use crate::rng::Rng;
use crate::scenario::{ClusterDef, Scenario, SiteDef, WaveDef, single};
use crate::world::{InFlight, World};
use std::collections::BTreeMap;
use wavegate_engine::Verb;
use wavegate_engine::input::Approval;
use wavegate_model::approval::Starter;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{
    BudgetWindow, EndState, GateBudget, GateUse, OnAdded, OnRemoved, OnTimeLimit, OnUnavailable,
    OnUnreachable, PluginRef, TimeLimit,
};
use wavegate_model::release::Reversal;
use wavegate_model::{Amount, Approvers, DurationMs, Permille, SiteName, StageApproval};

pub(crate) fn one_of<T: Clone>(rng: &mut Rng, items: &[T]) -> T {
    let index = rng.below(u64::try_from(items.len()).unwrap());
    items[usize::try_from(index).unwrap()].clone()
}

pub(crate) fn amount(rng: &mut Rng, counts: u32) -> Amount {
    if rng.percent(30) {
        Amount::Percent(Permille(rng.small(1001)))
    } else {
        Amount::Count(rng.small(counts + 1))
    }
}

pub(crate) fn seconds(rng: &mut Rng, most: u64) -> DurationMs {
    DurationMs::secs(rng.below(most + 1))
}

pub(crate) fn site(rng: &mut Rng, name: &str) -> SiteDef {
    if rng.percent(75) {
        return single(name, 1 + rng.small(6));
    }
    let shares = one_of(rng, &[(1000, 0), (0, 1000), (500, 500), (900, 100)]);
    let cluster = |rng: &mut Rng, half: &str, share| ClusterDef {
        name: format!("{name}-{half}"),
        role: half.to_string(),
        nodes: 1 + rng.small(5),
        share,
    };
    SiteDef {
        name: name.to_string(),
        clusters: vec![cluster(rng, "l", shares.0), cluster(rng, "r", shares.1)],
    }
}

pub(crate) fn waves(rng: &mut Rng) -> Vec<WaveDef> {
    let mut number = 0;
    let count = 1 + rng.below(3);
    let mut waves = Vec::new();
    for index in 0..count {
        let sites = (0..1 + rng.below(3)).map(|_| {
            number += 1;
            site(rng, &format!("s{number}"))
        });
        let sites = sites.collect();
        let index = usize::try_from(index).unwrap();
        waves.push(WaveDef {
            name: format!("w{index}"),
            sites,
            parallel: 1 + rng.small(3),
            site_soak: seconds(rng, 20),
            soak: seconds(rng, 20),
            approval: rng.percent(20).then(|| "sure?".to_string()),
            approvers: approvers(rng),
            gates: rng.percent(20).then(|| vec!["g".into()]),
            after: index
                .checked_sub(1)
                .into_iter()
                .filter(|_| rng.percent(80))
                .collect(),
        });
    }
    waves
}

pub(crate) const PEOPLE: [&str; 3] = ["ann", "bob", "cat"];

/// Whom `PEOPLE` together can satisfy.
pub(crate) fn approvers(rng: &mut Rng) -> Approvers {
    let names = &PEOPLE[usize::try_from(rng.below(2)).unwrap()..];
    let by: Vec<String> = match rng.below(2) {
        0 => Vec::new(),
        _ => names.iter().map(ToString::to_string).collect(),
    };
    Approvers {
        by,
        count: 1 + rng.small(2),
        starter: one_of(rng, &[Starter::Counts, Starter::DoesNotCount]),
    }
}

/// Everybody approves whatever waits.
pub(crate) fn approve_all(world: &mut World) {
    for actor in PEOPLE {
        if !world.finished() {
            world.request_by(actor, Verb::Approve(Approval::All));
        }
    }
}

pub(crate) fn stage_approvals(rng: &mut Rng) -> Vec<StageApproval> {
    let stage = |rng: &mut Rng| StageApproval {
        stage: one_of(rng, &["100%", "50%", "switch", "up again", "whatever"]).to_string(),
        waves: Vec::new(),
        text: "sure?".to_string(),
        approvers: approvers(rng),
    };
    let count = if rng.percent(30) { 1 } else { 0 };
    (0..count).map(|_| stage(rng)).collect()
}

pub(crate) fn gates(rng: &mut Rng) -> Vec<GateUse> {
    let phases = [
        Phase::BeforeWave,
        Phase::BeforeSite,
        Phase::AfterBatch,
        Phase::Soak,
        Phase::AfterWave,
        Phase::Continuous,
    ];
    let names = ["g", "h"];
    let gate = |rng: &mut Rng, name: &str| GateUse {
        name: name.into(),
        plugin: PluginRef::Shipped("story".to_string()),
        config: "{}".to_string(),
        phases: phases.into_iter().filter(|_| rng.percent(40)).collect(),
        interval: DurationMs(500 + rng.below(6000)),
        slots: BTreeMap::new(),
        budget: GateBudget {
            consecutive: rng.small(2),
            total: rng.small(4),
            window: rng.percent(30).then(|| BudgetWindow {
                fails: rng.small(3),
                of: 2 + rng.small(9),
            }),
        },
        min_samples: 1,
        passes: one_of(rng, &[1, 1, 2, 3]),
        fresh_for: rng
            .percent(60)
            .then(|| DurationMs(10_000 + rng.below(20_000))),
        trial: rng.percent(20),
        on_unavailable: if rng.percent(20) {
            OnUnavailable::Fail
        } else {
            OnUnavailable::Hold
        },
        limits: CallLimits::SMALL,
        class: None,
    };
    let count = usize::try_from(rng.below(3)).unwrap();
    names[..count].iter().map(|name| gate(rng, name)).collect()
}

pub(crate) fn limit(rng: &mut Rng) -> Option<TimeLimit> {
    rng.percent(40).then(|| TimeLimit {
        after: DurationMs::secs(20 + rng.below(300)),
        then: one_of(rng, &[OnTimeLimit::Fail, OnTimeLimit::Hold]),
    })
}

/// Anything that documents allow, and a world to run it in.
pub(crate) fn scenario(rng: &mut Rng, strategies: &[Strategy]) -> Scenario {
    let mut scenario = Scenario {
        waves: waves(rng),
        gates: gates(rng),
        splits: rng.percent(70),
        surges: rng.percent(50),
        strategy: one_of(rng, strategies),
        start_ms: (500 + rng.below(4000), 500 + rng.below(4000)),
        stamps: rng.percent(70),
        ..Scenario::default()
    };
    if rng.percent(30) {
        let (from, length) = (rng.below(40_000), 1 + rng.below(60_000));
        scenario.closed = vec![(DurationMs(from), Some(DurationMs(from + length)))];
    }
    scenario.approvals = stage_approvals(rng);
    if rng.percent(30) {
        let (from, length) = (rng.below(40_000), 1 + rng.below(60_000));
        let wave = one_of(rng, &scenario.waves).name;
        let to = Some(DurationMs(from + length));
        scenario.wave_closed = vec![(wave, DurationMs(from), to)];
    }
    // Only where the traffic shows what serves.
    let serving: Vec<String> = scenario
        .clusters()
        .filter(|def| def.share > 0)
        .map(|def| def.name.clone())
        .collect();
    for name in serving {
        if scenario.splits && rng.percent(10) {
            let left = 1 + rng.small(3);
            scenario.remainder.insert(name.as_str().into(), left);
        }
    }
    let names: Vec<String> = scenario.clusters().map(|def| def.name.clone()).collect();
    for name in names {
        if rng.percent(10) {
            scenario.updated.insert(name.as_str().into());
        }
    }
    scenario.batch.size = amount(rng, 4);
    scenario.batch.max_unavailable = amount(rng, 2);
    scenario.batch.max_surge = amount(rng, 2);
    scenario.limits.batch_progress = limit(rng);
    scenario.limits.cluster = limit(rng);
    scenario.limits.wave = limit(rng);
    scenario.limits.rollout = limit(rng);
    scenario.failure.tolerate = amount(rng, 3);
    scenario.failure.tolerate_per_wave = amount(rng, 2);
    scenario.failure.then = one_of(
        rng,
        &[
            EndState::Hold,
            EndState::RollBackSite,
            EndState::RollBackWave,
            EndState::RollBackTouched,
        ],
    );
    scenario.failure.rollback.batch = amount(rng, 4);
    scenario.failure.rollback.max_unavailable = amount(rng, 2);
    scenario.membership.unreachable = one_of(
        rng,
        &[
            OnUnreachable::Wait,
            OnUnreachable::Fail,
            OnUnreachable::Skip,
        ],
    );
    // A short one makes clusters come and go while questions are open.
    scenario.membership.unreachable_after = DurationMs::secs(one_of(rng, &[1, 1, 10]));
    scenario.membership.added = one_of(rng, &[OnAdded::Ignore, OnAdded::Append, OnAdded::OwnWave]);
    scenario.membership.removed = one_of(rng, &[OnRemoved::Skip, OnRemoved::Hold, OnRemoved::Fail]);
    if rng.percent(10) {
        scenario.reversal = Reversal::Irreversible;
    }
    for gate in &scenario.gates {
        let mind = match rng.below(8) {
            0..4 => GateMind::Pass,
            4 => GateMind::Aged(DurationMs(rng.below(30_000))),
            _ => GateMind::Moody,
        };
        scenario.minds.insert(gate.name.clone(), mind);
    }
    scenario
}

/// Another component takes a part, or the one that has it already.
pub(crate) fn swap(world: &mut World, rng: &mut Rng) {
    let strategies = [
        Strategy::OneAtATime,
        Strategy::Staged(vec![250, 1000]),
        Strategy::Hostile,
        Strategy::Switch,
    ];
    let minds = [GateMind::Pass, GateMind::Hold, GateMind::Moody];
    swap_for(world, rng, &strategies, &minds);
}

/// A part is taken by one of these.
pub(crate) fn swap_for(
    world: &mut World,
    rng: &mut Rng,
    strategies: &[Strategy],
    minds: &[GateMind],
) {
    let (n, version) = (one_of(rng, &[110, 111, 112]), one_of(rng, &[1, 1, 2]));
    let gates: Vec<_> = world.scenario.minds.keys().cloned().collect();
    if gates.is_empty() || rng.percent(50) {
        return world.swap_strategy(one_of(rng, strategies), n, version);
    }
    let gate = one_of(rng, &gates);
    let mind = one_of(rng, minds);
    world.swap_gate(gate, mind, n, version);
}

/// Something that happens to a rollout from outside.
pub(crate) fn disturb(world: &mut World, rng: &mut Rng) {
    if rng.percent(12) {
        return swap(world, rng);
    }
    let names: Vec<String> = world.clusters.keys().map(ToString::to_string).collect();
    let name = one_of(rng, &names);
    let sites: Vec<SiteName> = world.engine.state().sites.keys().cloned().collect();
    if sites.is_empty() {
        // Every cluster has left the fleet.
        return;
    }
    let site = one_of(rng, &sites);
    match rng.below(29) {
        0..4 => {
            let down = rng.below(30_000);
            world.restart(InFlight::ByChance, down);
        }
        4 => world.request(Verb::Pause),
        5 => world.request(Verb::Continue),
        6 => world.request_by(one_of(rng, &PEOPLE), Verb::Approve(Approval::All)),
        7 => approve_all(world),
        8 => world.set_reachable(&name, false),
        9 => world.set_reachable(&name, true),
        10 => {
            let desired = 1 + rng.small(7);
            world.scale(&name, desired);
        }
        11 if rng.percent(20) => world.request(Verb::Rollback),
        12 if rng.percent(10) => world.request(Verb::Abort),
        13 => {
            world.scenario.bad_new.insert(name.as_str().into());
        }
        14 => world.scenario.bad_new.clear(),
        15 => {
            let site = Some(site).filter(|_| rng.percent(50));
            world.request(Verb::Retry(site));
        }
        16 => world.request(Verb::Skip(site)),
        17 if rng.percent(30) => {
            let site = Some(site).filter(|_| rng.percent(70));
            world.request(Verb::Promote(site));
        }
        18 | 19 => {
            let waves = world.engine.state().spec.plan.waves.iter();
            let waves: Vec<_> = waves.map(|wave| wave.name.clone()).collect();
            let subject = match rng.below(3) {
                0 => None,
                1 => Some(Subject::Site(site)),
                _ => Some(Subject::Wave(one_of(rng, &waves))),
            };
            let gate = one_of(rng, &["g", "h"]).into();
            world.request(Verb::OverrideGate { gate, subject });
        }
        20..23 => change_fleet(world, rng, Gone::Clusters),
        23 if rng.percent(30) => world.request(Verb::Supersede { by: "newer".into() }),
        25 | 26 => {
            let actor = one_of(rng, &PEOPLE);
            world.request_by(actor, Verb::Approve(Approval::Site(site)));
        }
        24 => world.busy("other", if rng.percent(30) { &["s1"] } else { &[] }),
        _ => {}
    }
}

/// Who leaves the fleet.
#[derive(Clone, Copy)]
pub(crate) enum Gone {
    Clusters,
    Sites,
}

/// Clusters come into the fleet, alone or into a site that is there, or leave it.
pub(crate) fn change_fleet(world: &mut World, rng: &mut Rng, gone: Gone) {
    let wave = format!(
        "w{}",
        rng.below(u64::try_from(world.scenario.waves.len()).unwrap())
    );
    let number = world.clusters.len() + 10;
    let mut added = Vec::new();
    if rng.percent(60) {
        added.push((site(rng, &format!("n{number}")), wave.as_str()));
    }
    if rng.percent(20) && matches!(gone, Gone::Clusters) {
        let home = world.scenario.waves[0].sites[0].name.clone();
        let mut late = single(&format!("late{number}"), 1 + rng.small(4));
        late.name = home;
        late.clusters[0].share = 0;
        added.push((late, "w0"));
    }
    let mut names: Vec<(String, String)> = world
        .fleet
        .iter()
        .map(|m| (m.cluster.name.to_string(), m.site.to_string()))
        .collect();
    match gone {
        Gone::Clusters => names.retain(|_| rng.percent(15)),
        // What is left of a pair may have no traffic, and then no strategy can split it.
        Gone::Sites if names.is_empty() => {}
        Gone::Sites => {
            let sites: Vec<String> = names.iter().map(|(_, site)| site.clone()).collect();
            let chosen = one_of(rng, &sites);
            names.retain(|(_, site)| *site == chosen);
        }
    }
    let gone: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    world.change_fleet(&added, &gone);
}
