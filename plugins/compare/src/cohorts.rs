//! What is asked for, and which samples stand against which.

use std::collections::BTreeMap;

use wavegate_sdk::{Evidence, Failure, GateCall, GateCluster, Series, query};

use crate::SLOT;
use crate::config::{Against, Config, WithoutControl};
use crate::ranks::Sorted;

/// What a cluster is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Its own nodes on the baseline.
    Baseline,
    /// The untouched clusters.
    Untouched,
    /// Nothing; the last comparison counts on.
    Last,
    /// Nothing.
    None,
}

impl Control {
    pub(crate) fn of(config: &Config, call: &GateCall, cluster: &GateCluster) -> Self {
        let untouched = !call.untouched.is_empty();
        match config.against {
            Against::Baseline if cluster.baseline_ready > 0 => Self::Baseline,
            Against::Untouched if untouched => Self::Untouched,
            Against::Baseline | Against::Untouched => match config.without_control {
                WithoutControl::Untouched if untouched => Self::Untouched,
                WithoutControl::Last => Self::Last,
                WithoutControl::Untouched | WithoutControl::Hold => Self::None,
            },
        }
    }
}

/// Clusters in one question: with the longest names they take half of the bytes that a query
/// may have.
const CLUSTERS_AT_ONCE: usize = 64;

/// Series by cluster.
type ByCluster = BTreeMap<String, Vec<Series>>;

/// All answers of an evaluation.
pub(crate) struct Answers {
    new: ByCluster,
    baseline: ByCluster,
    untouched: ByCluster,
    /// From before the rollout, if that is asked for.
    before: Option<ByCluster>,
}

/// Which nodes of a cluster a query is about.
#[derive(Clone, Copy)]
enum Cohort {
    New,
    Baseline,
}

impl Answers {
    /// Asks for everything at once.
    pub(crate) fn ask(
        call: &GateCall,
        config: &Config,
        evidence: &impl Evidence,
    ) -> Result<Self, Failure> {
        let with = |control: Control| -> Vec<&GateCluster> {
            let updated = call.updated.iter();
            updated
                .filter(|cluster| Control::of(config, call, cluster) == control)
                .collect()
        };
        let (beside, across) = (with(Control::Baseline), with(Control::Untouched));
        let compared: Vec<_> = beside.iter().chain(&across).copied().collect();
        let untouched: Vec<_> = match across.is_empty() {
            true => Vec::new(),
            false => call.untouched.iter().collect(),
        };
        let baseline_query = config.baseline_query.as_ref().unwrap_or(&config.query);
        let mut questions = Questions {
            call,
            queries: Vec::new(),
        };
        let new = questions.group(&config.query, compared, Cohort::New);
        let baseline = questions.group(baseline_query, beside, Cohort::Baseline);
        let before = config.before.as_ref().map(|before| {
            let all = across.iter().chain(&untouched).copied().collect();
            questions.group(before, all, Cohort::Baseline)
        });
        let untouched = questions.group(baseline_query, untouched, Cohort::Baseline);
        // All at once, in one round of evidence.
        let (window, step) = (config.window.get(), config.step_ms());
        let mut answers = match questions.queries.is_empty() {
            true => Vec::new(),
            false => evidence.ranges(SLOT, &questions.queries, window, step)?,
        }
        .into_iter();
        let label = &config.cluster_label;
        // In the order in which they were asked.
        let (new, baseline) = (
            new.take(&mut answers, label),
            baseline.take(&mut answers, label),
        );
        let before = before.map(|group| group.take(&mut answers, label));
        Ok(Self {
            new,
            baseline,
            untouched: untouched.take(&mut answers, label),
            before,
        })
    }

    /// The samples of a cluster and of its control.
    pub(crate) fn sides(&self, cluster: &str, control: Control) -> Sides {
        let new = self.side(cluster, self.new.get(cluster));
        let control = match control {
            Control::Baseline => self.side(cluster, self.baseline.get(cluster)),
            Control::Untouched => {
                let all = self.untouched.iter();
                all.flat_map(|(name, series)| self.side(name, Some(series)))
                    .collect()
            }
            Control::Last | Control::None => Vec::new(),
        };
        Sides::new(new, control)
    }

    /// The samples of a cluster, without what was usual in it before.
    fn side(&self, cluster: &str, series: Option<&Vec<Series>>) -> Vec<Samples> {
        let list = series.map_or(&[][..], Vec::as_slice);
        let Some(before) = &self.before else {
            return list.iter().map(|series| samples(series, 0.0)).collect();
        };
        let usual = before.get(cluster).and_then(|series| {
            let values = series.iter().flat_map(|series| &series.samples);
            Sorted::new(values.map(|sample| sample.value)).median()
        });
        // Without a level of its own a cluster cannot be compared by its change.
        let Some(usual) = usual else {
            return Vec::new();
        };
        list.iter().map(|series| samples(series, usual)).collect()
    }
}

struct Questions<'a> {
    call: &'a GateCall,
    queries: Vec<String>,
}

/// The clusters that a part of the questions is about.
struct Group<'a> {
    clusters: Vec<&'a GateCluster>,
    /// They share questions.
    at_once: bool,
    questions: usize,
}

impl Questions<'_> {
    /// One question for all clusters if the query can say so, else one for each.
    fn group<'a>(
        &mut self,
        text: &str,
        clusters: Vec<&'a GateCluster>,
        cohort: Cohort,
    ) -> Group<'a> {
        let at_once = query::has(text, "clusters");
        let size = if at_once { CLUSTERS_AT_ONCE } else { 1 };
        let before = self.queries.len();
        let queries = clusters.chunks(size);
        self.queries
            .extend(queries.map(|clusters| filled(self.call, text, clusters, cohort)));
        Group {
            clusters,
            at_once,
            questions: self.queries.len() - before,
        }
    }
}

impl Group<'_> {
    /// Its answers, the next ones of all.
    fn take(self, answers: &mut impl Iterator<Item = Vec<Series>>, label: &str) -> ByCluster {
        if self.at_once {
            return query::by_label(label, answers.take(self.questions).flatten());
        }
        let names = self.clusters.iter().map(|cluster| cluster.name.clone());
        names.zip(answers).collect()
    }
}

fn filled(call: &GateCall, text: &str, clusters: &[&GateCluster], cohort: Cohort) -> String {
    let release = &call.release;
    let names = query::any_of(clusters.iter().map(|cluster| cluster.name.as_str()));
    let baselines = query::any_of(clusters.iter().map(|cluster| cluster.baseline.as_str()));
    let first = clusters.first().map_or("", |cluster| &cluster.name);
    let (running, cohort) = match cohort {
        Cohort::New => (&release.digest, "new"),
        Cohort::Baseline => (&baselines, "baseline"),
    };
    query::fill(
        text,
        &[
            ("cluster", first),
            ("clusters", &names),
            ("running", running),
            ("cohort", cohort),
            ("release", &release.digest),
            ("version", &release.version),
            ("baseline", &baselines),
        ],
    )
}

/// Instants and values of a series, sorted by time.
type Samples = Vec<(f64, f64)>;

fn samples(series: &Series, usual: f64) -> Samples {
    let samples = series.samples.iter();
    samples
        .map(|sample| (sample.at, sample.value - usual))
        // The host promises it; a gate that believed it and were wrong would judge nonsense.
        .filter(|(at, value)| at.is_finite() && value.is_finite())
        .collect()
}

/// Both sides of a comparison, at the moments at which both have samples: what happens to all
/// clusters at once, such as the load of an hour, then happens to both.
pub(crate) struct Sides {
    new: Vec<Samples>,
    control: Vec<Samples>,
    /// Sorted, each once.
    moments: Vec<f64>,
}

impl Sides {
    fn new(new: Vec<Samples>, control: Vec<Samples>) -> Self {
        let (left, right) = (moments(&new), moments(&control));
        let moments = if left == right {
            left
        } else {
            let mut right = right.into_iter().peekable();
            let both = left.into_iter().filter(|at| {
                while right.next_if(|other| other < at).is_some() {}
                right.peek() == Some(at)
            });
            both.collect()
        };
        Self {
            new,
            control,
            moments,
        }
    }

    /// The newest moment.
    pub(crate) fn newest(&self) -> Option<f64> {
        self.moments.last().copied()
    }

    /// Whether one of the sides has no sample at all, and how it is called.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let none = |side: &[Samples]| side.iter().all(Vec::is_empty);
        match (none(&self.new), none(&self.control)) {
            (true, true) => Some("both sides"),
            (true, false) => Some("the new side"),
            (false, true) => Some("the side it is compared with"),
            (false, false) => None,
        }
    }

    /// Whether the new side has samples since an instant, and the other has none.
    pub(crate) fn only_new_since(&self, instant: f64) -> bool {
        let since = |side: &[Samples]| {
            let newest = side.iter().filter_map(|samples| samples.last());
            newest.map(|(at, _)| *at).any(|at| at >= instant)
        };
        since(&self.new) && !since(&self.control)
    }

    /// All samples of both sides at the common moments.
    pub(crate) fn pooled(&self) -> (Sorted, Sorted) {
        let side = |side: &[Samples]| {
            let kept = side.iter().flat_map(|samples| self.kept(samples));
            Sorted::new(kept.map(|(_, value)| value))
        };
        (side(&self.new), side(&self.control))
    }

    /// For each common moment the mean of each side.
    pub(crate) fn pairs(&self) -> Vec<(f64, f64, f64)> {
        let means = |side: &[Samples]| {
            let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
            for (at, value) in side.iter().flat_map(|samples| self.kept(samples)) {
                let sum = sums.entry(at.to_bits()).or_default();
                *sum = (sum.0 + value, sum.1 + 1.0);
            }
            sums
        };
        let (new, control) = (means(&self.new), means(&self.control));
        let pair = |at: &f64| {
            let (new, control) = (new.get(&at.to_bits())?, control.get(&at.to_bits())?);
            Some((*at, new.0 / new.1, control.0 / control.1))
        };
        self.moments.iter().filter_map(pair).collect()
    }

    fn kept<'a>(&'a self, samples: &'a Samples) -> impl Iterator<Item = (f64, f64)> + 'a {
        let mut moments = self.moments.iter().copied().peekable();
        samples.iter().copied().filter(move |(at, _)| {
            while moments.next_if(|moment| moment < at).is_some() {}
            moments.peek() == Some(at)
        })
    }
}

fn moments(side: &[Samples]) -> Vec<f64> {
    let mut moments: Vec<f64> = side.iter().flatten().map(|(at, _)| *at).collect();
    if side.len() > 1 {
        moments.sort_unstable_by(f64::total_cmp);
    }
    moments.dedup();
    moments
}
