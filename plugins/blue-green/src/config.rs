//! The configuration: what it says, what is wrong with it, and how it reads in words.

use serde::Deserialize;
use wavegate_sdk::units::{Millis, Percent};
use wavegate_sdk::{ClusterSummary, Problem, problem};

/// The configuration. What is left out has the meaning that the schema gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The shares that are written down.
    #[serde(default = "at_once")]
    pub(crate) traffic: Vec<Percent>,
    #[serde(default)]
    pub(crate) wait: Option<Millis>,
    /// Asked while the new nodes have no traffic.
    #[serde(default, rename = "previewGates")]
    preview_gates: Option<Vec<String>>,
    /// Asked once they have some; before, too, where nothing else is said.
    #[serde(default)]
    gates: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) approval: Option<String>,
    #[serde(default)]
    pub(crate) delay: Option<Millis>,
    #[serde(default)]
    pub(crate) afterwards: Afterwards,
}

fn at_once() -> Vec<Percent> {
    vec![Percent::WHOLE]
}

/// What becomes of the nodes that had the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Afterwards {
    /// They stay as they are.
    #[default]
    Keep,
    /// They take the release too.
    Update,
    /// They are removed.
    ScaleToZero,
}

/// A stage of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StageKind {
    /// The second set of nodes takes the release.
    Prepare,
    /// It gets this share of the traffic.
    Traffic(Percent),
    /// Something happens to the old nodes.
    Old,
}

impl StageKind {
    /// Its name, for people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Prepare => "prepare".to_owned(),
            Self::Traffic(share) => format!("traffic {share}"),
            Self::Old => "old".to_owned(),
        }
    }
}

impl Config {
    /// The stages of every site; the last share of traffic is everything.
    pub(crate) fn stages(&self) -> Vec<StageKind> {
        let complete = self.traffic.last() == Some(&Percent::WHOLE);
        let shares = self.traffic.iter().copied();
        let shares = shares.chain((!complete).then_some(Percent::WHOLE));
        let old = (self.afterwards != Afterwards::Keep).then_some(StageKind::Old);
        core::iter::once(StageKind::Prepare)
            .chain(shares.map(StageKind::Traffic))
            .chain(old)
            .collect()
    }

    /// How long a stage is watched before the gates are asked.
    pub(crate) fn watch(&self, kind: StageKind) -> Option<Millis> {
        let time = match kind {
            StageKind::Traffic(Percent::WHOLE) => self.delay,
            StageKind::Traffic(_) => self.wait,
            StageKind::Prepare | StageKind::Old => None,
        };
        time.filter(|time| time.get() > 0)
    }

    /// The gates that a stage asks; none means all of them.
    pub(crate) fn gates(&self, kind: StageKind) -> Option<&[String]> {
        let gates = match kind {
            StageKind::Prepare => self.preview_gates.as_ref().or(self.gates.as_ref()),
            StageKind::Traffic(_) => self.gates.as_ref(),
            // Whether the old nodes are as they should be is not theirs to judge: all traffic
            // has left them.
            StageKind::Old => return Some(&[]),
        };
        gates.map(Vec::as_slice)
    }

    /// The approval that a stage needs before the next one.
    pub(crate) fn approval(&self, kind: StageKind) -> Option<&str> {
        self.approval
            .as_deref()
            .filter(|_| kind == StageKind::Prepare)
    }

    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.traffic.is_empty() {
            problems.push(problem("/traffic", "there must be at least one share"));
        }
        for (index, share) in self.traffic.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| self.traffic[before]);
            let text = match before {
                None if share.permille() == 0 => "a share must be more than nothing",
                Some(before) if *share <= before => {
                    "a share must be larger than the share before it"
                }
                None | Some(_) => continue,
            };
            problems.push(problem(format!("/traffic/{index}"), text));
        }
        if self.wait.is_some() && matches!(self.traffic[..], [Percent::WHOLE]) {
            let text = "all traffic moves at once, so nothing is waited for between shares; \
                        `delay` is the time after it";
            problems.push(problem("/wait", text));
        }
        problems
    }

    /// What happens in a stage of a site of these clusters, one or two, in words.
    pub(crate) fn words(
        &self,
        kind: StageKind,
        clusters: &[ClusterSummary],
        new_version: &str,
    ) -> String {
        let mut text = match (kind, clusters) {
            (StageKind::Prepare, [one, two]) => format!(
                "the cluster of {} and {} that has no traffic takes {new_version} on all nodes",
                label(&one.name, &one.role),
                label(&two.name, &two.role)
            ),
            (StageKind::Prepare, _) => {
                let nodes = clusters.iter().map(|c| c.desired).max().unwrap_or(0);
                format!("{nodes} more nodes with {new_version}, without traffic")
            }
            (StageKind::Traffic(share), _) => format!("{share} of traffic to {new_version}"),
            (StageKind::Old, _) => return self.old_words(clusters).to_owned(),
        };
        if let Some(time) = self.watch(kind) {
            text.push_str(&format!(", then wait {time}"));
        }
        match self.gates(kind) {
            None => text.push_str(", then all gates"),
            Some([]) => {}
            Some([gate]) => text.push_str(&format!(", then gate {gate}")),
            Some(gates) => text.push_str(&format!(", then gates {}", gates.join(", "))),
        }
        if let Some(approval) = self.approval(kind) {
            text.push_str(&format!(", then approval: {approval}"));
        }
        let ends = kind == StageKind::Traffic(Percent::WHOLE);
        if ends && self.afterwards == Afterwards::Keep {
            text.push_str(&format!(", then {}", self.old_words(clusters)));
        }
        text
    }

    fn old_words(&self, clusters: &[ClusterSummary]) -> &'static str {
        match (self.afterwards, clusters) {
            (Afterwards::Keep, [_, _]) => "the old cluster stays as it is",
            (Afterwards::Keep, _) => "the old nodes stay as they are",
            (Afterwards::Update, _) => "the old cluster takes the release too",
            (Afterwards::ScaleToZero, [_, _]) => "the old cluster is scaled to zero",
            (Afterwards::ScaleToZero, _) => "the old nodes are removed",
        }
    }
}

/// A cluster's name, with its role if that says more.
pub(crate) fn label(name: &str, role: &str) -> String {
    if role.is_empty() || role == name {
        name.to_owned()
    } else {
        format!("{name} ({role})")
    }
}
