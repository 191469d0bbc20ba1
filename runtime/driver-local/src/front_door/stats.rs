//! Counts and latencies of requests, by (cluster, release).
//!
//! A request is counted in the bucket in which it ended or was given up, not in which it began:
//! a release that hangs must show in a short window.
//!
//! Latencies are kept in classes of equal ratio, 16 to the doubling, so a quantile is off by at
//! most half a class: 2.2 %. Only classes that occur take memory, so a series costs at most 8
//! bytes a request, and at most the number of classes in each bucket.
//!
//! Beside that, each series has counts from the start of the process, for whoever collects them:
//! by class of status, and by duration.

use super::Totals;
use hyper::StatusCode;
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

/// Upper ends of the durations that are counted from the start, in seconds: what Prometheus'
/// own libraries take, two more for services that are faster, and the longest wait for an answer.
pub(super) const DURATIONS_S: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Names of the classes of status. A request without a whole answer has none.
pub(super) const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

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

/// What a series counted since the process started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// In the order of [`STATUSES`].
    pub(super) statuses: [u64; STATUSES.len()],
    /// Not cumulative, in the order of [`DURATIONS_S`]; the last is for all that took longer.
    pub(super) durations: [u64; DURATIONS_S.len() + 1],
    /// Of all requests.
    pub(super) seconds: f64,
}

#[derive(Default)]
struct Series {
    total: u64,
    failed: u64,
    counts: Counts,
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
        status: Option<StatusCode>,
    ) {
        if !self.series.contains_key(target) {
            self.make_room();
            self.series.insert(target.clone(), Series::default());
        }
        if let Some(series) = self.series.get_mut(target) {
            series.record(now, class_of(latency), outcome);
            series.counts.add(latency, status);
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

    /// The counts of every series.
    pub(super) fn counts(&self) -> BTreeMap<(ClusterName, Digest), Counts> {
        let counts = self.series.iter();
        counts
            .map(|(target, series)| (target.clone(), series.counts.clone()))
            .collect()
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

impl Counts {
    fn add(&mut self, latency: Duration, status: Option<StatusCode>) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        // A node may answer with a status that is none; the line is closed to it then.
        self.statuses[if class < STATUSES.len() { class } else { 0 }] += 1;
        let seconds = latency.as_secs_f64();
        let duration = DURATIONS_S.partition_point(|end| *end < seconds);
        self.durations[duration] += 1;
        self.seconds += seconds;
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
                Some(StatusCode::OK),
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
    fn counts_from_the_start_are_by_status_and_by_duration() {
        let mut stats = Stats::default();
        for (ms, status) in [(1, 200), (2, 404), (30_001, 599), (40, 999)] {
            let latency = Duration::from_millis(ms);
            let status = StatusCode::from_u16(status).ok();
            stats.record(&target(), Timestamp(0), latency, Outcome::Good, status);
        }
        let at = Timestamp(3_600_000);
        stats.record(&target(), at, Duration::ZERO, Outcome::Failed, None);
        let counts = stats.counts().remove(&target()).unwrap();
        assert_eq!(counts.statuses, [2, 0, 1, 0, 1, 1]);
        let mut durations = [0; DURATIONS_S.len() + 1];
        durations[0] = 2;
        durations[1] = 1;
        durations[5] = 1;
        durations[DURATIONS_S.len()] = 1;
        assert_eq!(counts.durations, durations);
        assert!((counts.seconds - 30.044).abs() < 1e-9);
    }

    #[test]
    fn nothing_from_before_the_window_counts() {
        let mut stats = Stats::default();
        let mut at = |ms, outcome| {
            let latency = Duration::from_millis(5);
            stats.record(&target(), Timestamp(ms), latency, outcome, None);
        };
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
                None,
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
            let at = Timestamp(4_000_000);
            stats.record(&target, at, Duration::ZERO, Outcome::Good, None);
        }
        assert_eq!(stats.totals().len(), SERIES_MAX);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_buckets_sorted() {
        let mut stats = Stats::default();
        for at in [Timestamp(100_000), Timestamp(50_000)] {
            stats.record(&target(), at, Duration::ZERO, Outcome::Good, None);
        }
        assert_eq!(stats.since(&target(), Timestamp(90_000)).total, 2);
    }
}
