//! What a simulation tells: the same figures as JSON, as a table and as a page.

use super::compare::{Comparison, Difference, PAIRS_MIN};
use super::stats::{Quantiles, Share};
use super::summary::Summary;
use super::tally::Run;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use wavegate_model::{DurationMs, Simulation};

/// A simulation. What is in it depends on documents, components, version and seed alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Of the shape.
    pub version: u32,
    /// Version of Wavegate.
    pub wavegate: String,
    /// What everything was drawn from. A text, because not every reader has whole numbers so large.
    pub seed: String,
    /// Runs of each subject.
    pub runs: u32,
    /// The world, all defaults filled in.
    pub simulation: Simulation,
    /// What was simulated: one rollout, or two that are compared.
    pub subjects: Vec<Subject>,
    /// How the second differs from the first.
    pub comparison: Option<Comparison>,
}

/// A rollout that was simulated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Name of the policy.
    pub policy: String,
    /// The strategy, with its digest.
    pub strategy: String,
    /// The gates by name, with their digests.
    pub gates: Vec<(String, String)>,
    /// Clusters of the plan.
    pub clusters: u64,
    /// Their nodes.
    pub nodes: u64,
    /// What the runs come to.
    pub summary: Summary,
    /// All runs.
    pub runs: Vec<Run>,
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn share(share: &Share) -> String {
    if share.of == 0 {
        return "none of none".to_owned();
    }
    format!(
        "{} ({} of {}; 95 %: {} to {})",
        percent(share.share),
        share.count,
        share.of,
        percent(share.low),
        percent(share.high)
    )
}

pub(super) fn times(q: &Quantiles) -> String {
    if q.of == 0 {
        return "–".to_owned();
    }
    let time = |ms| DurationMs(ms).to_string();
    format!(
        "p50 {}, p90 {}, p99 {}",
        time(q.p50),
        time(q.p90),
        time(q.p99)
    )
}

pub(super) fn counts(q: &Quantiles) -> String {
    if q.of == 0 {
        return "–".to_owned();
    }
    format!(
        "p50 {}, p90 {}, p99 {}, most {}",
        q.p50, q.p90, q.p99, q.max
    )
}

/// The figures of a subject, with what they are called.
pub(super) fn rows(subject: &Subject) -> Vec<(&'static str, String)> {
    let s = &subject.summary;
    let mut rows = vec![
        (
            "runs",
            format!("{}: {} good releases, {} bad", s.runs, s.good, s.bad),
        ),
        ("time to done", times(&s.done_ms)),
        ("false alarms", share(&s.false_alarms)),
        ("bad caught", share(&s.caught)),
        ("before any harm", share(&s.caught_unharmed)),
        ("bad contained", share(&s.contained)),
        ("bad missed", share(&s.missed)),
        ("time to catch", times(&s.caught_ms)),
        ("clusters exposed", counts(&s.clusters_exposed)),
        (
            "nodes exposed",
            format!("{} of {}", counts(&s.nodes_exposed), subject.nodes),
        ),
        ("requests exposed", counts(&s.requests_exposed)),
        ("requests spoiled", counts(&s.requests_harmed)),
    ];
    if s.unfinished.count + s.open.count > 0 {
        let count = s.unfinished.count + s.open.count;
        rows.push(("unfinished", format!("{count} runs")));
    }
    rows
}

/// The report for a terminal.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let out = &mut text;
    for subject in &report.subjects {
        let _ = writeln!(
            out,
            "{}: policy {}, {} clusters, {} nodes",
            subject.name, subject.policy, subject.clusters, subject.nodes
        );
        for (what, figure) in rows(subject) {
            let _ = writeln!(out, "  {what:<18}{figure}");
        }
        faults(out, &subject.summary);
        acted(out, &subject.summary);
        out.push('\n');
    }
    if let Some(comparison) = &report.comparison {
        let _ = writeln!(
            out,
            "{} against {}, over the same worlds",
            report.subjects[1].name, report.subjects[0].name
        );
        for difference in &comparison.differences {
            let _ = writeln!(out, "  {:<38}{}", difference.figure, says(difference));
        }
        out.push('\n');
    }
    let facts: u64 = report.subjects.iter().map(|s| s.summary.facts).sum();
    let _ = writeln!(
        out,
        "seed {}, wavegate {}; the auditor checked {facts} facts",
        report.seed, report.wavegate
    );
    text
}

fn faults(out: &mut String, summary: &Summary) {
    if summary.by_fault.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "  {:<18}{:>6}{:>8}{:>11}{:>8}  {:<12}{:<14}spoiled p50",
        "fault", "runs", "caught", "contained", "missed", "caught p50", "nodes p50/p99"
    );
    for f in &summary.by_fault {
        let caught = if f.caught_ms.of == 0 {
            "–".to_owned()
        } else {
            DurationMs(f.caught_ms.p50).to_string()
        };
        let nodes = format!("{}/{}", f.nodes_exposed.p50, f.nodes_exposed.p99);
        let _ = writeln!(
            out,
            "  {:<18}{:>6}{:>8}{:>11}{:>8}  {caught:<12}{nodes:<14}{}",
            f.fault,
            f.runs,
            f.caught.count,
            f.contained.count,
            f.missed.count,
            f.requests_harmed.p50
        );
    }
}

fn acted(out: &mut String, summary: &Summary) {
    for (place, acted) in summary.acted.iter().enumerate() {
        let head = if place == 0 { "acted first" } else { "" };
        let _ = writeln!(
            out,
            "  {head:<18}{}: on {} bad releases, on {} good ones",
            acted.what, acted.bad, acted.good
        );
    }
}

/// A difference in words.
pub(super) fn says(d: &Difference) -> String {
    let value = |value: f64| match d.unit.as_str() {
        "share" => percent(value),
        "ms" => format!("{:.1} s", value / 1000.0),
        _ => format!("{value:.1}"),
    };
    if d.pairs < PAIRS_MIN as u64 {
        return format!("too few runs to compare ({} pairs)", d.pairs);
    }
    let verdict = if d.noise {
        "noise"
    } else if d.difference > 0.0 {
        "more"
    } else {
        "less"
    };
    format!(
        "{} -> {}: {verdict} ({}; 95 %: {} to {})",
        value(d.first),
        value(d.second),
        value(d.difference),
        value(d.low),
        value(d.high)
    )
}
