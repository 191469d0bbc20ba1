//! Requests: how many there are at an instant, how many of them fail, and what was counted.
//!
//! What is counted in a short stretch of time is a function of seed, cluster, cohort and stretch,
//! so that two questions about the same time get the same answer.

use crate::cluster::{Cohort, Serving};
use crate::fleet::Fleet;
use crate::rng::{Rng, as_f64, millis, within};
use wavegate_model::evidence::{ProbeSummary, Requests};
use wavegate_ports::world::Exposure;

/// Between two health checks of a node.
const CHECK_EVERY: u64 = 500;
/// Time in which the noise of the traffic stays the same.
const NOISE_FOR: u64 = 10_000;
const HOUR: f64 = 3_600_000.0;
/// Requests that are drawn one by one when a quantile of them is asked for.
const FEW: u64 = 64;
/// Latency from which a request counts as harmed, in percent of what is usual.
const MUCH_TOO_LONG: u32 = 200;

/// What a fault does to the requests of a cohort at an instant.
#[derive(Clone, Copy, Debug, Default)]
struct Harm {
    /// Share of its nodes that are affected.
    nodes: f64,
    /// Share of the requests that fail because of it.
    errors: f64,
}

/// What was counted in a window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) good: u64,
    pub(crate) failed: u64,
    /// Requests to affected nodes, by expectation.
    affected: f64,
    pub(crate) took: u64,
}

impl Counted {
    pub(crate) fn total(self) -> u64 {
        self.good + self.failed
    }
}

impl Fleet {
    /// Requests to a site in a millisecond, without noise.
    fn usual_rate(&self, site: usize, at: u64) -> f64 {
        let traffic = self.model.traffic;
        // Noon is the busiest hour.
        let hour = as_f64(at) / HOUR % 24.0;
        let wave = ((hour - 6.0) / 24.0 * std::f64::consts::TAU).sin();
        let day = 1.0 + f64::from(traffic.day.0) / 1000.0 * wave;
        f64::from(traffic.per_node) * f64::from(self.sites[site].nodes) * day.max(0.0) / 1000.0
    }

    fn noise(&self, site: usize, at: u64) -> f64 {
        let sigma = f64::from(self.model.traffic.noise.0) / 1000.0;
        if sigma == 0.0 {
            return 1.0;
        }
        let mut rng = Rng::new(within(self.sites[site].seed, at / NOISE_FOR));
        (1.0 + sigma * rng.normal()).max(0.0)
    }

    /// Part of its site's requests that a cohort of a cluster gets.
    fn part(&self, number: usize, cohort: Cohort, at: u64) -> f64 {
        let cluster = &self.clusters[number];
        if self.splits {
            return f64::from(cluster.share_at(at).of(cohort)) / 1000.0;
        }
        let of = |cohort| f64::from(cluster.serving(cohort, at, 0).nodes);
        let all = of(Cohort::New) + of(Cohort::Old);
        let weight = f64::from(cluster.desired) / f64::from(self.sites[cluster.site].nodes);
        if all > 0.0 {
            weight * of(cohort) / all
        } else {
            0.0
        }
    }

    fn harm(&self, number: usize, cohort: Cohort, serving: Serving, rate: f64) -> Harm {
        let (Some(fault), Cohort::New, true) = (&self.fault, cohort, self.clusters[number].hit)
        else {
            return Harm::default();
        };
        if serving.nodes == 0 {
            return Harm::default();
        }
        let nodes = f64::from(serving.nodes);
        let usual = nodes * f64::from(self.model.traffic.per_node) / 1000.0;
        if fault
            .load
            .is_some_and(|percent| rate * 100.0 <= usual * f64::from(percent))
        {
            return Harm::default();
        }
        let share = f64::from(serving.aged) / nodes;
        Harm {
            nodes: share,
            errors: share * f64::from(fault.errors.0) / 1000.0,
        }
    }

    /// How long a node serves before a fault affects it.
    pub(crate) fn fault_after(&self) -> u64 {
        self.fault.as_ref().map_or(0, |fault| fault.after.0)
    }

    /// Requests of the service's users in whole stretches of time within a window.
    pub(crate) fn counted(&self, number: usize, cohort: Cohort, from: u64, to: u64) -> Counted {
        let step = self.resolution;
        let (first, end) = (from.div_ceil(step), to.min(self.now) / step);
        let after = self.fault_after();
        let site = self.clusters[number].site;
        let mut counted = Counted {
            took: end.saturating_sub(first) * step,
            ..Counted::default()
        };
        let fails = match self.model.traffic.fails_one_in {
            0 => 0.0,
            many => 1.0 / f64::from(many),
        };
        let changes = self.clusters[number].changes(cohort, from, to, after);
        let mut changes = changes.into_iter().peekable();
        let mut known: Option<(f64, Serving)> = None;
        let seed = within(self.clusters[number].seed, 10 + cohort as u64);
        for stretch in first..end {
            let middle = stretch * step + step / 2;
            while changes.next_if(|at| *at <= middle).is_some() {
                known = None;
            }
            let (part, serving) = *known.get_or_insert_with(|| {
                let cluster = &self.clusters[number];
                (
                    self.part(number, cohort, middle),
                    cluster.serving(cohort, middle, after),
                )
            });
            if part == 0.0 || serving.nodes == 0 {
                continue;
            }
            let rate = self.usual_rate(site, middle) * self.noise(site, middle) * part;
            let harm = self.harm(number, cohort, serving, rate);
            let errors = (fails + harm.errors).min(1.0);
            let mean = rate * as_f64(step);
            let mut rng = Rng::new(within(seed, stretch));
            counted.good += u64::from(rng.poisson(mean * (1.0 - errors)));
            counted.failed += u64::from(rng.poisson(mean * errors));
            counted.affected += mean * harm.nodes;
        }
        counted
    }

    /// What was counted as a driver tells it.
    pub(crate) fn requests(&self, number: usize, cohort: Cohort, from: u64, to: u64) -> Requests {
        let counted = self.counted(number, cohort, from, to);
        let quantile = |which: Quantile| self.latency(number, cohort, counted, which, to);
        Requests {
            total: u32::try_from(counted.total()).unwrap_or(u32::MAX),
            failed: u32::try_from(counted.failed).unwrap_or(u32::MAX),
            p50_ms: quantile(Quantile::P50),
            p95_ms: quantile(Quantile::P95),
            p99_ms: quantile(Quantile::P99),
        }
    }

    /// A quantile of the latencies of what was counted. A fault shows in it as soon as it affects
    /// more requests than lie above it.
    pub(crate) fn latency(
        &self,
        number: usize,
        cohort: Cohort,
        counted: Counted,
        which: Quantile,
        at: u64,
    ) -> Option<f64> {
        let total = as_f64(counted.total());
        if total == 0.0 {
            return None;
        }
        let traffic = self.model.traffic;
        let (median, p95) = (as_f64(traffic.latency.0), as_f64(traffic.latency_p95.0));
        let sigma = (p95.max(1.0) / median.max(1.0)).ln().max(0.0) / 1.644_853_627;
        let usual = median * (sigma * which.deviation()).exp();
        let share = (counted.affected / total).min(1.0);
        let slower = self
            .fault
            .as_ref()
            .map_or(1.0, |fault| f64::from(fault.latency) / 100.0);
        let seed = within(self.clusters[number].seed, 20 + cohort as u64);
        let mut rng = Rng::new(within(within(seed, which as u64), at / self.resolution));
        if counted.total() <= FEW {
            // A quantile of a few is one of them: their largest, mostly.
            let mut one = || {
                let factor = if rng.unit() < share { slower } else { 1.0 };
                median * (sigma * rng.normal()).exp() * factor
            };
            let mut all: Vec<f64> = (0..counted.total()).map(|_| one()).collect();
            all.sort_by(f64::total_cmp);
            let above = millis(total * which.above()).min(counted.total() - 1);
            let rank = usize::try_from(counted.total() - 1 - above).unwrap_or(0);
            return all.get(rank).copied();
        }
        let factor = if share > which.above() { slower } else { 1.0 };
        // How far a quantile of so many requests is off.
        let scatter = sigma * which.scatter() / total.sqrt();
        Some(usual * factor * (scatter * rng.normal()).exp())
    }

    /// The host's own checks in a window.
    fn checks(&self, number: usize, cohort: Cohort, from: u64, to: u64) -> Requests {
        let to = to.min(self.now);
        let cluster = &self.clusters[number];
        let serving = cluster.serving(cohort, to, self.fault_after());
        let broken = cluster.broken(cohort);
        let rounds = u32::try_from(to.saturating_sub(from) / CHECK_EVERY).unwrap_or(u32::MAX);
        let total = rounds.saturating_mul(serving.nodes + broken);
        let share = match &self.fault {
            Some(fault) if cohort == Cohort::New && cluster.hit => fault.checks.0,
            Some(_) | None => 0,
        };
        let affected = f64::from(rounds.saturating_mul(serving.aged));
        let mut rng = Rng::new(within(within(cluster.seed, 30 + cohort as u64), to));
        let failed = rng.poisson(affected * f64::from(share) / 1000.0);
        let failed = failed
            .saturating_add(rounds.saturating_mul(broken))
            .min(total);
        let some = (total > 0).then_some(2.0);
        Requests {
            total,
            failed,
            p50_ms: some,
            p95_ms: some,
            p99_ms: some,
        }
    }

    /// What the driver knows of the nodes of a cohort.
    pub(crate) fn probe(&self, number: usize, cohort: Cohort, since: u64) -> ProbeSummary {
        ProbeSummary {
            checks: self.checks(number, cohort, since, self.now),
            traffic: self.requests(number, cohort, since, self.now),
        }
    }

    /// Whether a node of the release is affected in a cluster now.
    pub(crate) fn affected(&self, number: usize) -> bool {
        let at = self.now;
        let serving = self.clusters[number].serving(Cohort::New, at, self.fault_after());
        let site = self.clusters[number].site;
        let part = self.part(number, Cohort::New, at);
        let rate = self.usual_rate(site, at) * self.noise(site, at) * part;
        self.harm(number, Cohort::New, serving, rate).nodes > 0.0
    }

    /// Takes the requests since the last change into account. Called before each change.
    pub(crate) fn count(&mut self, number: usize) {
        let cluster = &self.clusters[number];
        let (from, to) = (cluster.counted, self.now);
        if from >= to {
            return;
        }
        let middle = from + (to - from) / 2;
        let site = cluster.site;
        let rate = self.usual_rate(site, middle);
        let new = self.part(number, Cohort::New, from.max(to - 1));
        let old = self.part(number, Cohort::Old, from.max(to - 1));
        let time = as_f64(to - from);
        let exposed = rate * new * time;
        let mut harmed = 0.0;
        if let (true, Some(fault)) = (cluster.hit && exposed > 0.0, &self.fault) {
            let serving = cluster.serving(Cohort::New, middle, 0);
            let harm = self.harm(
                number,
                Cohort::New,
                Serving {
                    aged: serving.nodes,
                    ..serving
                },
                rate * new,
            );
            if harm.nodes > 0.0 {
                let bad = if fault.latency >= MUCH_TOO_LONG {
                    1.0
                } else {
                    f64::from(fault.errors.0) / 1000.0
                };
                let affected = as_f64(cluster.affected_for(from, to, fault.after.0));
                let nodes = f64::from(serving.nodes.max(1));
                harmed = rate * new * (affected / nodes).min(time) * bad;
            }
        }
        self.requests += rate * (new + old) * time;
        self.exposed += exposed;
        self.harmed += harmed;
        self.clusters[number].counted = to;
    }

    /// What the release had to do with nodes and requests so far.
    pub(crate) fn exposure(&mut self, now: u64) -> Exposure {
        self.now = self.now.max(now);
        for number in 0..self.clusters.len() {
            self.count(number);
        }
        let touched = self.clusters.iter().filter(|cluster| cluster.ever_new > 0);
        Exposure {
            clusters: u32::try_from(touched.clone().count()).unwrap_or(u32::MAX),
            nodes: touched.map(|cluster| cluster.ever_new).sum(),
            harmful: self.harmful(),
            requests: self.requests,
            exposed: self.exposed,
            harmed: self.harmed,
        }
    }
}

/// A quantile of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantile {
    P50,
    P95,
    P99,
}

impl Quantile {
    /// In standard deviations of the normal distribution.
    fn deviation(self) -> f64 {
        match self {
            Self::P50 => 0.0,
            Self::P95 => 1.644_853_627,
            Self::P99 => 2.326_347_874,
        }
    }

    /// Share of the requests above it.
    fn above(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P95 => 0.05,
            Self::P99 => 0.01,
        }
    }

    /// Standard error of the quantile of one normal sample: sqrt(p(1-p)) over the density there.
    fn scatter(self) -> f64 {
        match self {
            Self::P50 => 1.253,
            Self::P95 => 2.113,
            Self::P99 => 3.734,
        }
    }
}
