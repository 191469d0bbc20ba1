//! Counts and latencies of requests, by (cluster, release).
//!
//! A request is counted in the bucket in which it ended or was given up, not in which it began:
//! a release that hangs must show in a short window.
//!
//! Latencies are kept in classes of equal ratio, 16 to the doubling, so a quantile is off by at
//! most half a class: 2.2 %. Only classes that occur take memory, so a series costs at most 8
//! bytes a request, and at most the number of classes in each bucket.

use super::Totals;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use wavegate_model::evidence::Requests;
use wavegate_model::{ClusterName, Digest, Timestamp};

/// Short enough that a window of a few seconds is sharp, long enough that 15 minutes are few.
const BUCKET_MS: u64 = 250;
/// 15 minutes: longer windows are for a metrics store.
const BUCKETS_MAX: u64 = 15 * 60 * 1000 / BUCKET_MS;
/// A site has 256 clusters at most, each with two releases, and the next rollout's again.
const SERIES_MAX: usize = 1024;
/// Classes per doubling.
const CLASSES: f64 = 16.0;
/// The lowest class begins here; what is faster counts as this.
const LOWEST_MS: f64 = 0.05;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Failed,
}

#[derive(Default)]
pub(super) struct Stats {
    series: BTreeMap<(ClusterName, Digest), Series>,
}

#[derive(Default)]
struct Series {
    total: u64,
    failed: u64,
    last: Timestamp,
    buckets: VecDeque<Bucket>,
}

struct Bucket {
    /// Number since the epoch.
    index: u64,
    failed: u32,
    /// (class, requests), sorted.
    classes: Vec<(u16, u32)>,
}

impl Stats {
    pub(super) fn record(
        &mut self,
        target: &(ClusterName, Digest),
        now: Timestamp,
        latency: Duration,
        outcome: Outcome,
    ) {
        if !self.series.contains_key(target) {
            self.make_room();
            self.series.insert(target.clone(), Series::default());
        }
        if let Some(series) = self.series.get_mut(target) {
            series.record(now, class_of(latency), outcome);
        }
    }

    /// Forgets the series that was quiet for longest, if there are too many.
    fn make_room(&mut self) {
        if self.series.len() < SERIES_MAX {
            return;
        }
        let quietest = self.series.iter().min_by_key(|(_, series)| series.last);
        if let Some(target) = quietest.map(|(target, _)| target.clone()) {
            self.series.remove(&target);
        }
    }

    /// Drops what is older than the window, also of series that get no requests any more.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for series in self.series.values_mut() {
            series.expire(now.0 / BUCKET_MS);
        }
    }

    pub(super) fn since(&self, target: &(ClusterName, Digest), since: Timestamp) -> Requests {
        self.series
            .get(target)
            .map(|series| series.since(since))
            .unwrap_or_default()
    }

    pub(super) fn totals(&self) -> Vec<Totals> {
        let totals = self
            .series
            .iter()
            .map(|((cluster, release), series)| Totals {
                cluster: cluster.clone(),
                release: release.clone(),
                total: series.total,
                failed: series.failed,
            });
        totals.collect()
    }
}

impl Series {
    fn record(&mut self, now: Timestamp, class: u16, outcome: Outcome) {
        let failed = u32::from(outcome == Outcome::Failed);
        self.total += 1;
        self.failed += u64::from(failed);
        self.last = now;
        let index = now.0 / BUCKET_MS;
        self.expire(index);
        // A clock that was set back goes on in the newest bucket, so that they stay sorted.
        if self
            .buckets
            .back()
            .is_none_or(|newest| newest.index < index)
        {
            self.buckets.push_back(Bucket {
                index,
                failed: 0,
                classes: Vec::new(),
            });
        }
        let Some(bucket) = self.buckets.back_mut() else {
            return;
        };
        bucket.failed = bucket.failed.saturating_add(failed);
        match bucket
            .classes
            .binary_search_by_key(&class, |(class, _)| *class)
        {
            Ok(at) => bucket.classes[at].1 = bucket.classes[at].1.saturating_add(1),
            Err(at) => bucket.classes.insert(at, (class, 1)),
        }
    }

    fn expire(&mut self, index: u64) {
        while self
            .buckets
            .front()
            .is_some_and(|oldest| oldest.index + BUCKETS_MAX <= index)
        {
            self.buckets.pop_front();
        }
    }

    fn since(&self, since: Timestamp) -> Requests {
        let first = since.0.div_ceil(BUCKET_MS);
        let mut classes: BTreeMap<u16, u64> = BTreeMap::new();
        let mut failed: u64 = 0;
        for bucket in self
            .buckets
            .iter()
            .rev()
            .take_while(|bucket| bucket.index >= first)
        {
            failed += u64::from(bucket.failed);
            for (class, count) in &bucket.classes {
                *classes.entry(*class).or_default() += u64::from(*count);
            }
        }
        let total = classes.values().sum();
        let quantile = |permille: u64| quantile(&classes, total, permille);
        Requests {
            total: u32::try_from(total).unwrap_or(u32::MAX),
            failed: u32::try_from(failed).unwrap_or(u32::MAX),
            p50_ms: quantile(500),
            p95_ms: quantile(950),
            p99_ms: quantile(990),
        }
    }
}

/// The smallest class that so many permille of the requests do not exceed.
fn quantile(classes: &BTreeMap<u16, u64>, total: u64, permille: u64) -> Option<f64> {
    let rank = (total * permille).div_ceil(1000);
    let mut seen = 0;
    let found = classes.iter().find(|(_, count)| {
        seen += **count;
        seen >= rank
    });
    found.map(|(class, _)| middle_ms(*class))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded between 0 and u16::MAX just before"
)]
fn class_of(latency: Duration) -> u16 {
    let ratio = latency.as_secs_f64() * 1000.0 / LOWEST_MS;
    let class = (ratio.max(1.0).log2() * CLASSES).floor();
    class.min(f64::from(u16::MAX)) as u16
}

/// The middle of a class, in ratio, rounded to a microsecond so that it reads well.
fn middle_ms(class: u16) -> f64 {
    let exact = LOWEST_MS * ((f64::from(class) + 0.5) / CLASSES).exp2();
    (exact * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> (ClusterName, Digest) {
        (ClusterName::from("a"), Digest::from_sha256(&[1; 32]))
    }

    #[test]
    fn a_quantile_is_within_the_stated_precision() {
        let mut stats = Stats::default();
        for ms in 1..=1000_u64 {
            stats.record(
                &target(),
                Timestamp(10_000),
                Duration::from_millis(ms),
                Outcome::Good,
            );
        }
        let found = stats.since(&target(), Timestamp(0));
        assert_eq!((found.total, found.failed), (1000, 0));
        for (found, exact) in [
            (found.p50_ms, 500.0),
            (found.p95_ms, 950.0),
            (found.p99_ms, 990.0),
        ] {
            let ratio = found.unwrap() / exact;
            assert!((0.978..1.023).contains(&ratio), "{found:?} for {exact}");
        }
    }

    #[test]
    fn nothing_from_before_the_window_counts() {
        let mut stats = Stats::default();
        let mut at =
            |ms, outcome| stats.record(&target(), Timestamp(ms), Duration::from_millis(5), outcome);
        at(1000, Outcome::Failed);
        at(1249, Outcome::Failed);
        at(1250, Outcome::Failed);
        at(2000, Outcome::Good);
        let counts = |since| {
            let found = stats.since(&target(), Timestamp(since));
            (found.total, found.failed)
        };
        assert_eq!(counts(1000), (4, 3));
        assert_eq!(
            counts(1001),
            (2, 1),
            "the bucket that 1001 is in began before"
        );
        assert_eq!(counts(1251), (1, 0));
        assert_eq!(counts(2001), (0, 0));
        assert_eq!(stats.since(&target(), Timestamp(9000)).p50_ms, None);
    }

    #[test]
    fn memory_is_bounded_in_time_and_in_series() {
        let mut stats = Stats::default();
        for second in 0..3600 {
            stats.record(
                &target(),
                Timestamp(second * 1000),
                Duration::from_millis(5),
                Outcome::Good,
            );
        }
        assert_eq!(stats.since(&target(), Timestamp(0)).total, 15 * 60);
        assert_eq!(stats.totals()[0].total, 3600);
        stats.expire(Timestamp(3_600_000 + 15 * 60 * 1000));
        assert_eq!(stats.since(&target(), Timestamp(0)).total, 0);
        for n in 0..SERIES_MAX + 10 {
            let target = (
                ClusterName::new(format!("c{n}")),
                Digest::from_sha256(&[1; 32]),
            );
            stats.record(&target, Timestamp(4_000_000), Duration::ZERO, Outcome::Good);
        }
        assert_eq!(stats.totals().len(), SERIES_MAX);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_buckets_sorted() {
        let mut stats = Stats::default();
        stats.record(&target(), Timestamp(100_000), Duration::ZERO, Outcome::Good);
        stats.record(
            &target(),
            Timestamp(50_000),
            Duration::ZERO,
            Outcome::Failed,
        );
        assert_eq!(stats.since(&target(), Timestamp(90_000)).total, 2);
    }
}
