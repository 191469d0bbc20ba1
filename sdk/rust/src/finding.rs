//! Findings: what a gate measured, with the sentence that says so.

use crate::{ClusterVerdict, Evaluation, Measurement, Verdict, worst};

/// A measurement, and the sentence that says how it stands to its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was measured.
    pub measurement: Measurement,
    /// The sentence.
    pub text: String,
}

/// The verdict of a cluster by its findings; undecided without any.
pub fn cluster_verdict(cluster: &str, findings: &[Finding]) -> ClusterVerdict {
    ClusterVerdict {
        cluster: cluster.to_owned(),
        verdict: verdict(findings),
    }
}

impl<S> Evaluation<S> {
    /// The worst of the findings, with the sentence of the first that says so; undecided
    /// without any.
    pub fn of(findings: Vec<Finding>, clusters: Vec<ClusterVerdict>, state: S) -> Self {
        let verdict = verdict(&findings);
        let mut evaluation = Self::new(verdict, reason(verdict, &findings), state);
        evaluation.clusters = clusters;
        evaluation.measurements = findings.into_iter().map(|f| f.measurement).collect();
        evaluation
    }
}

fn verdict(findings: &[Finding]) -> Verdict {
    worst(findings.iter().map(|finding| finding.measurement.verdict)).unwrap_or(Verdict::Hold)
}

/// The sentence of the first finding that explains the verdict.
fn reason(verdict: Verdict, findings: &[Finding]) -> String {
    let mut same = findings
        .iter()
        .filter(|finding| finding.measurement.verdict == verdict);
    let Some(first) = same.next() else {
        return "nothing was measured".to_owned();
    };
    match same.count() {
        0 => first.text.clone(),
        more => format!("{}, and {more} more", first.text),
    }
}
