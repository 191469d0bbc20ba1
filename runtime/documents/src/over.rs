//! A policy over the clusters of a rollout that was recorded: what it would have planned there.

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Problems, quoted};
use crate::documents::Documents;
use crate::fields::Spot;
use crate::kinds::{ClusterSpot, ConfigSpot, FleetDoc, PolicyDoc};
use crate::plan;
use crate::resolve::{Folders, ResolvedRollout};
use crate::source::{Place, SourceFile};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use wavegate_model::{Cluster, Release, ServiceName, SourceName, SourceSpec};

/// What diagnostics call the clusters that no document names.
const FLEET: &str = "the recorded fleet";

/// What a journal knows of a rollout when it started.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// What was rolled out.
    pub service: &'a ServiceName,
    /// The release.
    pub release: &'a Release,
    /// All clusters of its plan.
    pub clusters: &'a [Cluster],
    /// Sources that its gates were bound to.
    pub sources: &'a [SourceSpec],
}

impl Documents {
    /// Resolves a policy over what was recorded. A source of a recorded name is the recorded one.
    pub fn over(
        &self,
        policy: &str,
        recorded: Recorded<'_>,
    ) -> Result<ResolvedRollout, Diagnostics> {
        let problems = Problems::default();
        match self.over_into(policy, recorded, &problems) {
            Some(mut resolved) if !problems.has_errors() => {
                resolved.warnings = problems.into_diagnostics();
                Ok(resolved)
            }
            _ => Err(problems.into_diagnostics()),
        }
    }

    fn over_into(
        &self,
        name: &str,
        recorded: Recorded<'_>,
        problems: &Problems,
    ) -> Option<ResolvedRollout> {
        let Some(policy) = self.policies.get(name) else {
            let message = format!("there is no policy {}", quoted(name));
            let hint = suggest::name_hint(name, self.policies());
            problems.push(Diagnostic::error(Code::Dangling, message).maybe_hint(hint));
            return None;
        };
        let fleet = fleet(recorded.clusters);
        let (plan, placements) = plan::resolve(policy, &fleet, problems)?;
        let taken: BTreeSet<_> = placements
            .iter()
            .filter(|place| place.wave.is_some())
            .map(|place| &place.cluster)
            .collect();
        let clusters = fleet.clusters.iter().map(|spot| spot.cluster.clone());
        let (sources, folders) = self.sources_over(policy, recorded.sources);
        Some(ResolvedRollout {
            name: name.to_owned(),
            service: recorded.service.clone(),
            policy: policy.policy.clone(),
            fleet: FLEET.to_owned(),
            clusters: clusters.filter(|c| taken.contains(&c.name)).collect(),
            release_name: String::new(),
            release: recorded.release.clone(),
            plan,
            placements,
            sources,
            folders: Folders {
                policy: policy.name.place.source.folder().to_path_buf(),
                fleet: PathBuf::new(),
                release: PathBuf::new(),
                sources: folders,
            },
            warnings: Diagnostics::default(),
        })
    }

    fn sources_over(
        &self,
        policy: &PolicyDoc,
        recorded: &[SourceSpec],
    ) -> (Vec<SourceSpec>, BTreeMap<SourceName, PathBuf>) {
        let gates = policy.policy.gates.iter();
        let used: BTreeSet<&SourceName> = gates.flat_map(|gate| gate.slots.values()).collect();
        let mut folders = BTreeMap::new();
        let source = |name: &SourceName| {
            if let Some(known) = recorded.iter().find(|known| known.name == *name) {
                return Some(known.clone());
            }
            let found = self.sources.get(name.as_str())?;
            let folder = found.name.place.source.folder().to_path_buf();
            folders.insert(name.clone(), folder);
            Some(found.spec.clone())
        };
        let sources = used.into_iter().filter_map(source).collect();
        (sources, folders)
    }
}

/// A document of the recorded clusters, with a line for each.
fn fleet(clusters: &[Cluster]) -> FleetDoc {
    let mut clusters = clusters.to_vec();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    let lines = clusters.iter().map(|cluster| format!("{}\n", cluster.name));
    let source = Arc::new(SourceFile::new(PathBuf::from(FLEET), lines.collect()));
    let mut start = 0;
    let spots = clusters.into_iter().map(|cluster| {
        let end = start + cluster.name.as_str().len();
        let place = Place::new(&source, start..end);
        start = end + 1;
        ClusterSpot {
            connection: ConfigSpot {
                place: place.clone(),
                node: None,
                what: "connection",
            },
            cluster,
            place,
        }
    });
    let clusters = spots.collect();
    FleetDoc {
        name: Spot {
            value: FLEET.to_owned(),
            place: Place::new(&source, 0..0),
        },
        clusters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Colour;
    use wavegate_model::release::Reversal;
    use wavegate_model::source::Grant;
    use wavegate_model::{ClusterName, Digest, Labels};

    fn cluster(name: &str, tier: &str) -> Cluster {
        Cluster {
            name: ClusterName::from(name),
            labels: Labels::from([("tier".to_owned(), tier.to_owned())]),
            nodes: 2,
            driver: "local".to_owned(),
            connection: "{}".to_owned(),
        }
    }

    fn over(policy: &str, clusters: &[Cluster]) -> Result<ResolvedRollout, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        std::fs::write(&file, policy).unwrap();
        let source = SourceSpec {
            name: "nodes".into(),
            kind: wavegate_model::source::SourceKind::Probe,
            policies: Grant::Any,
            plugins: Grant::Any,
        };
        let sources = [source];
        let told = |problems: Diagnostics| problems.render(Colour::Never);
        let documents = Documents::load_beside(&[file], &sources).map_err(told)?;
        let release = Release {
            version: "2.0".to_owned(),
            digest: Digest::from_sha256(&[2; 32]),
            artifacts: BTreeMap::new(),
            reversal: Reversal::Possible,
        };
        let recorded = Recorded {
            service: &"shop".into(),
            release: &release,
            clusters,
            sources: &sources,
        };
        documents.over("careful", recorded).map_err(told)
    }

    const POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - {name: first, clusters: {labels: {tier: main}}, siteSoak: 1s}
    - {name: rest, clusters: {labels: {tier: canary}}, siteSoak: 1s}
  strategy: {plugin: {shipped: rolling}, config: {}}
  gates:
    - {name: ok, plugin: {shipped: probe}, config: {}, phases: [soak], slots: {probe: nodes}}
";

    #[test]
    fn a_policy_plans_anew_over_recorded_clusters_and_sources() {
        let clusters = [cluster("b", "canary"), cluster("a", "main")];
        let resolved = over(POLICY, &clusters).unwrap();
        let waves = resolved.plan.waves.iter();
        let sites: Vec<&str> = waves
            .flat_map(|w| &w.sites)
            .map(|s| s.name.as_str())
            .collect();
        assert_eq!(sites, ["a", "b"], "in the order of the new waves");
        assert_eq!(resolved.sources[0].name.as_str(), "nodes");
    }

    #[test]
    fn what_does_not_fit_what_was_recorded_is_told_with_places() {
        let told = over(POLICY, &[cluster("a", "main")]).unwrap_err();
        assert!(told.contains("`rest` matches no cluster"), "{told}");
        let clusters = [
            cluster("a", "main"),
            cluster("b", "canary"),
            cluster("c", "odd"),
        ];
        let told = over(POLICY, &clusters).unwrap_err();
        assert!(told.contains("the cluster `c` is in no wave"), "{told}");
        assert!(told.contains("the recorded fleet:3"), "{told}");
        let unknown = POLICY.replace("nodes}", "others}");
        let told = over(&unknown, &clusters).unwrap_err();
        assert!(told.contains("`others`"), "{told}");
    }
}
