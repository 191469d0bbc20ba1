//! From a rollout's name to everything that a run needs.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Problems, quoted};
use crate::documents::Documents;
use crate::kinds::{FleetDoc, PolicyDoc, ReleaseDoc, SourceDoc};
use crate::plan::{self, Placement};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{
    Amount, Cluster, FleetView, Plan, Policy, Release, ServiceName, SourceName, SourceSpec,
};

/// A rollout with everything it refers to.
#[derive(Clone, Debug)]
pub struct ResolvedRollout {
    /// Name of the document.
    pub name: String,
    /// What is rolled out.
    pub service: ServiceName,
    /// All defaults filled in.
    pub policy: Policy,
    /// Name of the fleet.
    pub fleet: String,
    /// Clusters that take part, sorted by name; those that are excluded are not here.
    pub clusters: Vec<Cluster>,
    /// Name of the release document.
    pub release_name: String,
    /// What is rolled out.
    pub release: Release,
    /// Waves and sites.
    pub plan: Plan,
    /// Of every cluster of the fleet, sorted by name: where it is, and why.
    pub placements: Vec<Placement>,
    /// Sources that gates are bound to.
    pub sources: Vec<SourceSpec>,
    /// Against what relative paths are meant.
    pub folders: Folders,
    /// What `validate` warns about.
    pub warnings: Diagnostics,
}

/// Folders of the documents: a relative path is meant against the folder of its document.
#[derive(Clone, Debug)]
pub struct Folders {
    /// For plugins.
    pub policy: PathBuf,
    /// For connections of clusters.
    pub fleet: PathBuf,
    /// For artifacts.
    pub release: PathBuf,
    /// For credentials and certificates, by source.
    pub sources: BTreeMap<SourceName, PathBuf>,
}

/// What a rollout's documents say now, to be compared with what they said.
#[derive(Clone, Debug)]
pub struct Reread {
    /// The fleet, as a policy that was read before sees it.
    pub fleet: FleetView,
    /// Name of the fleet.
    pub fleet_name: String,
    /// All defaults filled in.
    pub policy: Policy,
    /// Name of the release document.
    pub release_name: String,
    /// What would be rolled out.
    pub release: Release,
    /// Sources that gates of the policy are bound to.
    pub sources: Vec<SourceSpec>,
    /// Against what relative paths are meant.
    pub folders: Folders,
}

impl Documents {
    /// Looks at a rollout again, with the policy that it goes by.
    pub fn reread(&self, rollout: &str, by: &Policy) -> Result<Reread, Diagnostics> {
        let problems = Problems::default();
        match self.reread_into(rollout, by, &problems) {
            Some(reread) if !problems.has_errors() => Ok(reread),
            _ => Err(problems.into_diagnostics()),
        }
    }

    fn reread_into(&self, name: &str, by: &Policy, problems: &Problems) -> Option<Reread> {
        let Some(rollout) = self.rollouts.get(name) else {
            let message = format!("there is no rollout {} any more", quoted(name));
            problems.push(Diagnostic::error(Code::Dangling, message));
            return None;
        };
        let policy = self.policies.get(&rollout.policy.value)?;
        let fleet = self.fleets.get(&rollout.fleet.value)?;
        let release = self.releases.get(&rollout.release.value)?;
        Some(Reread {
            fleet: plan::view(by, fleet, problems)?,
            fleet_name: rollout.fleet.value.clone(),
            policy: policy.policy.clone(),
            release_name: rollout.release.value.clone(),
            release: release.release.clone(),
            sources: self.used(policy).map(|s| s.spec.clone()).collect(),
            folders: self.folders(policy, fleet, release),
        })
    }

    /// Sources that gates of a policy are bound to.
    fn used(&self, policy: &PolicyDoc) -> impl Iterator<Item = &SourceDoc> + Clone {
        let gates = policy.policy.gates.iter();
        let used: BTreeSet<SourceName> = gates.flat_map(|g| g.slots.values().cloned()).collect();
        let found = used.into_iter();
        let found: Vec<&SourceDoc> = found.filter_map(|n| self.sources.get(n.as_str())).collect();
        found.into_iter()
    }

    fn folders(&self, policy: &PolicyDoc, fleet: &FleetDoc, release: &ReleaseDoc) -> Folders {
        let folder = |place: &crate::source::Place| place.source.folder().to_path_buf();
        let sources = self.used(policy);
        Folders {
            policy: folder(&policy.name.place),
            fleet: folder(&fleet.name.place),
            release: folder(&release.name.place),
            sources: sources
                .map(|s| (s.spec.name.clone(), folder(&s.name.place)))
                .collect(),
        }
    }

    /// Resolves a rollout by its name.
    pub fn resolve(&self, rollout: &str) -> Result<ResolvedRollout, Diagnostics> {
        let problems = Problems::default();
        let resolved = self.resolve_into(rollout, &problems);
        match resolved {
            Some(mut resolved) if !problems.has_errors() => {
                resolved.warnings = problems.into_diagnostics();
                Ok(resolved)
            }
            _ => Err(problems.into_diagnostics()),
        }
    }

    /// All problems that resolving each rollout shows, warnings included.
    pub fn check(&self) -> Diagnostics {
        let mut seen = BTreeSet::new();
        let mut all = Vec::new();
        if self.rollouts.is_empty() {
            let problem = Diagnostic::warning(Code::Suspicious, "no `Rollout` was loaded");
            all.push(
                problem.hint("waves are only checked against the clusters of a rollout's fleet"),
            );
        }
        for name in self.rollouts.keys() {
            let problems = Problems::default();
            self.resolve_into(name, &problems);
            for problem in problems.into_diagnostics() {
                // Two rollouts by one policy have the same problems.
                if seen.insert((
                    problem.message.clone(),
                    problem.file.clone(),
                    problem.line,
                    problem.column,
                )) {
                    all.push(problem);
                }
            }
        }
        Diagnostics::new(all)
    }

    fn resolve_into(&self, name: &str, problems: &Problems) -> Option<ResolvedRollout> {
        let Some(rollout) = self.rollouts.get(name) else {
            let message = format!("there is no rollout {}", quoted(name));
            let hint = suggest::name_hint(name, self.rollouts());
            problems.push(Diagnostic::error(Code::Dangling, message).maybe_hint(hint));
            return None;
        };
        let policy = self.policies.get(&rollout.policy.value)?;
        let fleet = self.fleets.get(&rollout.fleet.value)?;
        let release = self.releases.get(&rollout.release.value)?;
        let (plan, placements) = plan::resolve(policy, fleet, problems)?;
        let takes_part = fleet
            .clusters
            .iter()
            .zip(&placements)
            .filter(|(_, place)| place.wave.is_some());
        let clusters: Vec<Cluster> = takes_part.map(|(spot, _)| spot.cluster.clone()).collect();
        check_artifacts(release, fleet, &clusters, problems);
        warn(policy, release, &plan, &clusters, problems);
        Some(ResolvedRollout {
            name: name.to_owned(),
            service: rollout.service.value.clone(),
            policy: policy.policy.clone(),
            fleet: rollout.fleet.value.clone(),
            clusters,
            release_name: rollout.release.value.clone(),
            release: release.release.clone(),
            plan,
            placements,
            sources: self.used(policy).map(|s| s.spec.clone()).collect(),
            folders: self.folders(policy, fleet, release),
            warnings: Diagnostics::default(),
        })
    }
}

/// The release has an artifact for every driver that is used.
fn check_artifacts(
    release: &ReleaseDoc,
    fleet: &FleetDoc,
    clusters: &[Cluster],
    problems: &Problems,
) {
    let mut missing: BTreeMap<&str, &Cluster> = BTreeMap::new();
    for cluster in clusters
        .iter()
        .filter(|c| !release.artifacts.contains_key(&c.driver))
    {
        missing.entry(&cluster.driver).or_insert(cluster);
    }
    for (driver, cluster) in missing {
        let message = format!(
            "the release `{}` has no artifact for the driver `{driver}`",
            release.name.value
        );
        let mut problem = Diagnostic::error(Code::Mismatch, message)
            .at(release.name.place.clone(), "this release");
        if let Some(spot) = fleet.cluster(&cluster.name) {
            problem = problem.see(
                spot.place.clone(),
                format!("a cluster of the driver `{driver}`"),
            );
        }
        problems.push(problem.hint(format!("add `{driver}` to `artifacts`")));
    }
}

/// What is possible and seldom meant.
fn warn(
    policy: &PolicyDoc,
    release: &ReleaseDoc,
    plan: &Plan,
    clusters: &[Cluster],
    problems: &Problems,
) {
    let suspicious = |message: String| Diagnostic::warning(Code::Suspicious, message);
    if policy.policy.gates.is_empty() {
        let problem = suspicious(format!("the policy `{}` has no gates", policy.policy.name));
        let hint = "without a gate a release goes on as long as its nodes become ready";
        problems.push(
            problem
                .at(policy.name.place.clone(), "nothing judges the release")
                .hint(hint),
        );
    }
    let earlier: BTreeSet<usize> = plan
        .waves
        .iter()
        .flat_map(|wave| wave.after.iter().copied())
        .collect();
    for (number, wave) in plan.waves.iter().enumerate() {
        if earlier.contains(&number) || wave.soak.0 > 0 || wave.site_soak.0 > 0 {
            continue;
        }
        let written = policy
            .policy
            .waves
            .iter()
            .position(|other| other.name == wave.name);
        let place = written.map_or(&policy.name.place, |at| &policy.waves[at].name);
        let problem = suspicious(format!("the last wave `{}` has no soak", wave.name));
        let hint =
            "the rollout ends with its last batch; a `soak` lets the gates watch for a while";
        problems.push(
            problem
                .at(place.clone(), "no wave comes after it")
                .hint(hint),
        );
    }
    warn_stuck(policy, clusters, problems);
    warn_stuck_on_the_way_back(policy, release, clusters, problems);
    if release.release.reversal == Reversal::Irreversible
        && policy.policy.failure.then != EndState::Hold
    {
        let place = policy.failure.as_ref().unwrap_or(&policy.name.place);
        let problem = suspicious("the policy rolls back, and the release is irreversible".into());
        let problem = problem
            .at(place.clone(), "")
            .see(release.name.place.clone(), "this release can only hold");
        problems.push(problem.hint("on failure the rollout will hold and ask for a person"));
    }
}

/// Limits that round to nothing leave no node that may be replaced.
fn warn_stuck(policy: &PolicyDoc, clusters: &[Cluster], problems: &Problems) {
    let batch = policy.policy.batch;
    let stuck = |cluster: &&Cluster| {
        batch.max_unavailable.rounded_down(cluster.nodes) == 0
            && batch.max_surge.rounded_down(cluster.nodes) == 0
    };
    let Some(cluster) = clusters.iter().find(stuck) else {
        return;
    };
    let place = policy.batch.as_ref().unwrap_or(&policy.name.place);
    let message = format!(
        "no node of the cluster `{}` may be replaced in place: `maxUnavailable` and `maxSurge` are 0{}",
        cluster.name,
        match batch.max_unavailable {
            Amount::Count(_) => String::new(),
            Amount::Percent(_) => format!(" of its {} nodes, rounded down", cluster.nodes),
        }
    );
    let problem = Diagnostic::warning(Code::Suspicious, message).at(place.clone(), "");
    problems.push(
        problem.hint("give one of the two at least 1, unless only idle clusters are updated"),
    );
}

/// The same of the way back, which would end as *rollback incomplete* in the middle of a failure.
fn warn_stuck_on_the_way_back(
    policy: &PolicyDoc,
    release: &ReleaseDoc,
    clusters: &[Cluster],
    problems: &Problems,
) {
    let (batch, failure) = (policy.policy.batch, policy.policy.failure);
    let goes_back =
        failure.then != EndState::Hold && release.release.reversal == Reversal::Possible;
    let forward = |cluster: &&Cluster| batch.max_unavailable.rounded_down(cluster.nodes) > 0;
    let stuck = |cluster: &&Cluster| {
        failure.rollback.max_unavailable.rounded_down(cluster.nodes) == 0
            && batch.max_surge.rounded_down(cluster.nodes) == 0
    };
    let found = clusters.iter().filter(forward).find(stuck);
    let Some(cluster) = found.filter(|_| goes_back) else {
        return;
    };
    let place = policy.failure.as_ref().unwrap_or(&policy.name.place);
    let message = format!(
        "no node of the cluster `{}` may be replaced in place on the way back: `maxUnavailable` of \
         `rollback` is 0{}",
        cluster.name,
        match failure.rollback.max_unavailable {
            Amount::Count(_) => String::new(),
            Amount::Percent(_) => format!(" of its {} nodes, rounded down", cluster.nodes),
        }
    );
    let problem = Diagnostic::warning(Code::Suspicious, message).at(place.clone(), "");
    let hint = "give it at least 1, or a failure ends with the cluster half-way back";
    problems.push(problem.hint(hint));
}
