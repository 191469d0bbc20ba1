//! What many runs come to.

use super::stats::{Quantiles, Share};
use super::tally::{Exposed, Run, Told};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What many runs come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Runs of good releases.
    pub good: u64,
    /// Runs of bad releases.
    pub bad: u64,
    /// Milliseconds from start to end, of good releases that are done.
    pub done_ms: Quantiles,
    /// Good releases of which a site failed, or that went back or held.
    pub false_alarms: Share,
    /// Good releases that were not done when the simulation gave up waiting.
    pub unfinished: Share,
    /// Bad releases that were stopped.
    pub caught: Share,
    /// Of these, the ones that had spoiled no request when they were stopped.
    pub caught_unharmed: Share,
    /// Bad releases that went on to the end, and are not where they are bad.
    pub contained: Share,
    /// Bad releases that are where they are bad.
    pub missed: Share,
    /// Bad releases that were neither done nor stopped.
    pub open: Share,
    /// Milliseconds from start to the stop, of bad releases that were caught.
    pub caught_ms: Quantiles,
    /// Clusters in which a bad release served before it was stopped.
    pub clusters_exposed: Quantiles,
    /// Nodes that served with a bad release before it was stopped.
    pub nodes_exposed: Quantiles,
    /// Requests that a bad release got before it was stopped.
    pub requests_exposed: Quantiles,
    /// Requests that a bad release spoiled, until it was gone or the rollout had ended.
    pub requests_harmed: Quantiles,
    /// By fault, in the order of their names.
    pub by_fault: Vec<ByFault>,
    /// Which gate or limit acted first, by how often.
    pub acted: Vec<Acted>,
    /// By how they ended.
    pub outcomes: BTreeMap<String, u64>,
    /// Inputs that the engine took in all runs.
    pub steps: u64,
    /// Facts that the auditor has checked in all runs.
    pub facts: u64,
    /// Calls of components in all runs.
    pub calls: u64,
    /// Nodes that were updated in all runs.
    pub node_updates: u64,
}

/// What runs with one fault come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByFault {
    /// The fault.
    pub fault: String,
    /// Runs with it.
    pub runs: u64,
    /// Stopped.
    pub caught: Share,
    /// Contained.
    pub contained: Share,
    /// Missed.
    pub missed: Share,
    /// Milliseconds to the stop.
    pub caught_ms: Quantiles,
    /// Nodes that served with it before it was stopped.
    pub nodes_exposed: Quantiles,
    /// Requests that it spoiled.
    pub requests_harmed: Quantiles,
}

/// A gate or limit, and how often it was the first to act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Which.
    pub what: String,
    /// On bad releases.
    pub bad: u64,
    /// On good ones.
    pub good: u64,
}

impl Summary {
    /// Of these runs.
    pub fn of(runs: &[Run]) -> Self {
        let (bad, good): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|r| r.fault.is_some());
        let count = |runs: &[&Run], told| runs.iter().filter(|run| run.told == told).count();
        let share = |runs: &[&Run], told| Share::of(count(runs, told), runs.len());
        let before =
            |what: fn(&Exposed) -> u64| Quantiles::of(bad.iter().map(|r| what(&r.before_stop)));
        let mut outcomes = BTreeMap::new();
        for run in runs {
            *outcomes.entry(run.outcome.as_str().to_owned()).or_default() += 1;
        }
        Self {
            runs: runs.len() as u64,
            good: good.len() as u64,
            bad: bad.len() as u64,
            done_ms: Quantiles::of(told(&good, Told::Good).map(|run| run.took_ms)),
            false_alarms: share(&good, Told::FalseAlarm),
            unfinished: share(&good, Told::Open),
            caught: share(&bad, Told::Caught),
            caught_unharmed: unharmed(&bad),
            contained: share(&bad, Told::Contained),
            missed: share(&bad, Told::Missed),
            open: share(&bad, Told::Open),
            caught_ms: caught_ms(&bad),
            clusters_exposed: before(|e| u64::from(e.clusters)),
            nodes_exposed: before(|e| u64::from(e.nodes)),
            requests_exposed: before(|e| e.requests),
            requests_harmed: Quantiles::of(bad.iter().map(|run| run.in_all.harmed)),
            by_fault: by_fault(&bad),
            acted: acted(runs),
            outcomes,
            steps: runs.iter().map(|run| run.steps).sum(),
            facts: runs.iter().map(|run| run.facts).sum(),
            calls: runs.iter().map(|run| run.calls).sum(),
            node_updates: runs.iter().map(|run| u64::from(run.in_all.nodes)).sum(),
        }
    }
}

fn told<'a>(runs: &'a [&Run], told: Told) -> impl Iterator<Item = &'a Run> {
    runs.iter().copied().filter(move |run| run.told == told)
}

fn caught_ms(bad: &[&Run]) -> Quantiles {
    Quantiles::of(told(bad, Told::Caught).filter_map(|run| run.stopped_ms))
}

/// Of those that were caught: what chance would have stopped as well is among them, and what shows
/// in no request.
fn unharmed(bad: &[&Run]) -> Share {
    let unharmed = told(bad, Told::Caught).filter(|run| run.before_stop.harmed == 0);
    Share::of(unharmed.count(), told(bad, Told::Caught).count())
}

fn by_fault(bad: &[&Run]) -> Vec<ByFault> {
    let faults: BTreeSet<&str> = bad.iter().filter_map(|run| run.fault.as_deref()).collect();
    let one = |fault: &str| {
        let of = bad
            .iter()
            .copied()
            .filter(|run| run.fault.as_deref() == Some(fault));
        let runs: Vec<&Run> = of.collect();
        let share = |is| Share::of(told(&runs, is).count(), runs.len());
        ByFault {
            fault: fault.to_owned(),
            runs: runs.len() as u64,
            caught: share(Told::Caught),
            contained: share(Told::Contained),
            missed: share(Told::Missed),
            caught_ms: caught_ms(&runs),
            nodes_exposed: Quantiles::of(runs.iter().map(|r| u64::from(r.before_stop.nodes))),
            requests_harmed: Quantiles::of(runs.iter().map(|run| run.in_all.harmed)),
        }
    };
    faults.into_iter().map(one).collect()
}

fn acted(runs: &[Run]) -> Vec<Acted> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for run in runs {
        let Some(what) = &run.acted else { continue };
        let (bad, good) = counts.entry(what).or_default();
        *if run.fault.is_some() { bad } else { good } += 1;
    }
    let mut all: Vec<Acted> = counts
        .into_iter()
        .map(|(what, (bad, good))| Acted {
            what: what.to_owned(),
            bad,
            good,
        })
        .collect();
    all.sort_by(|a, b| {
        (b.bad + b.good)
            .cmp(&(a.bad + a.good))
            .then_with(|| a.what.cmp(&b.what))
    });
    all
}
