//! From a policy and a fleet to waves and sites. A pure function: the same documents give the
//! same plan, whatever the order of the clusters in the file.

mod order;
mod view;

use self::order::Ordered;
pub(crate) use self::view::view;
use crate::diagnostic::{Code, Diagnostic, Problems};
use crate::kinds::{FleetDoc, PolicyDoc};
use crate::selection::{Index, why};
use crate::source::Place;
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::limits::CLUSTERS_PER_SITE_MAX;
use wavegate_model::plan::{PlannedCluster, WaveOrigin};
use wavegate_model::{ClusterName, Generation, Plan, PlannedSite, PlannedWave, SiteName, WaveName};

/// Names of clusters that one message lists.
const LISTED_MAX: usize = 5;

/// Where a cluster is in a plan, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Placement {
    /// Which cluster.
    pub cluster: ClusterName,
    /// Its wave; none if it is excluded.
    pub wave: Option<WaveName>,
    /// Its site; none if it is excluded.
    pub site: Option<SiteName>,
    /// For people: which rule of the policy put it there.
    pub why: String,
}

/// A plan and the reasons for it, sorted by cluster.
pub(crate) type Planned = (Plan, Vec<Placement>);

/// Resolves a policy over a fleet. Nothing if a problem was reported.
pub(crate) fn resolve(
    policy: &PolicyDoc,
    fleet: &FleetDoc,
    problems: &Problems,
) -> Option<Planned> {
    let planner = Planner {
        policy,
        fleet,
        index: Index::new(fleet),
        problems,
    };
    let order = planner.order();
    let chosen = planner.choose();
    let sites = planner.sites(chosen.as_ref()?);
    Some(planner.plan(&order?, &chosen?, &sites?))
}

/// `a`, `b`, `c` and 7 more.
fn listed(clusters: &[&ClusterName]) -> String {
    let names: Vec<String> = clusters
        .iter()
        .take(LISTED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    match clusters.len().saturating_sub(LISTED_MAX) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

struct Planner<'a> {
    policy: &'a PolicyDoc,
    fleet: &'a FleetDoc,
    index: Index<'a>,
    problems: &'a Problems,
}

/// What happens to a cluster, by its index in the fleet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chosen {
    Wave(usize),
    Excluded,
}

/// Of each wave, in the order of the document: sites with indices of clusters, sorted by name.
type Sites = Vec<BTreeMap<SiteName, Vec<usize>>>;

impl Planner<'_> {
    fn name(&self, cluster: usize) -> &ClusterName {
        &self.fleet.clusters[cluster].cluster.name
    }

    fn report<T>(&self, problem: Diagnostic) -> Option<T> {
        self.problems.push(problem);
        None
    }

    fn listed(&self, clusters: &[usize]) -> String {
        let names: Vec<&ClusterName> = clusters.iter().map(|c| self.name(*c)).collect();
        listed(&names)
    }

    /// Puts every cluster into one wave, or leaves it out.
    fn choose(&self) -> Option<Vec<Chosen>> {
        let policy = &self.policy.policy;
        let mut good = true;
        let mut chosen: Vec<Option<Chosen>> = vec![None; self.fleet.clusters.len()];
        if let (Some(selector), Some(spots)) = (&policy.exclude, &self.policy.exclude) {
            good &= self.index.check_names(selector, spots, self.problems);
            let excluded = self.index.choose(selector);
            if excluded.is_empty() && good {
                let problem = Diagnostic::warning(Code::Suspicious, "`exclude` matches no cluster");
                let hint = self.index.why_nothing(selector);
                self.problems
                    .push(problem.at(spots.place.clone(), "").maybe_hint(hint));
            }
            for cluster in excluded {
                chosen[cluster] = Some(Chosen::Excluded);
            }
        }
        // Clusters that two waves want, by the two waves.
        let mut twice: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (number, (wave, spots)) in policy.waves.iter().zip(&self.policy.waves).enumerate() {
            let names_known =
                self.index
                    .check_names(&wave.clusters, &spots.selector, self.problems);
            good &= names_known;
            let matched = self.index.choose(&wave.clusters);
            let mut kept = 0;
            for &cluster in &matched {
                match chosen[cluster] {
                    Some(Chosen::Excluded) => {}
                    Some(Chosen::Wave(first)) => {
                        twice.entry((first, number)).or_default().push(cluster);
                        kept += 1;
                    }
                    None => {
                        chosen[cluster] = Some(Chosen::Wave(number));
                        kept += 1;
                    }
                }
            }
            if kept == 0 && names_known {
                good = false;
                self.report_empty(number, &matched);
            }
        }
        good &= twice.is_empty();
        self.report_twice(&twice);
        let complete: Option<Vec<Chosen>> = chosen.iter().copied().collect();
        if complete.is_none() && good {
            self.report_unplaced(&chosen);
        }
        complete.filter(|_| good)
    }

    fn report_empty(&self, wave: usize, matched: &[usize]) {
        let (written, spots) = (&self.policy.policy.waves[wave], &self.policy.waves[wave]);
        let problem = if matched.is_empty() {
            let message = format!("the wave `{}` matches no cluster", written.name);
            Diagnostic::error(Code::Plan, message)
                .maybe_hint(self.index.why_nothing(&written.clusters))
        } else {
            let message = format!("every cluster of the wave `{}` is excluded", written.name);
            Diagnostic::error(Code::Plan, message).hint("remove the wave, or narrow `exclude`")
        };
        self.problems
            .push(problem.at(spots.selector.place.clone(), "no cluster"));
    }

    fn report_twice(&self, twice: &BTreeMap<(usize, usize), Vec<usize>>) {
        for ((first, second), clusters) in twice {
            let waves = &self.policy.policy.waves;
            let subject = match clusters.as_slice() {
                [one] => format!("the cluster `{}` is", self.name(*one)),
                _ => format!("{} clusters are", clusters.len()),
            };
            let message = format!(
                "{subject} in two waves, `{}` and `{}`",
                waves[*first].name, waves[*second].name
            );
            let example = self.name(clusters[0]);
            let label = |wave: usize| {
                let cluster = &self.fleet.clusters[clusters[0]].cluster;
                format!("`{example}`: {}", why(&waves[wave].clusters, cluster))
            };
            let problem = Diagnostic::error(Code::Plan, message)
                .at(
                    self.policy.waves[*second].selector.place.clone(),
                    label(*second),
                )
                .see(
                    self.policy.waves[*first].selector.place.clone(),
                    label(*first),
                )
                .hint(format!(
                    "narrow one of the two: they share {}",
                    self.listed(clusters)
                ));
            self.problems.push(problem);
        }
    }

    fn report_unplaced(&self, chosen: &[Option<Chosen>]) {
        let unplaced: Vec<usize> = chosen
            .iter()
            .enumerate()
            .filter(|(_, chosen)| chosen.is_none())
            .map(|(at, _)| at)
            .collect();
        let message = match unplaced.as_slice() {
            [one] => format!("the cluster `{}` is in no wave", self.name(*one)),
            many => format!(
                "{} clusters are in no wave: {}",
                many.len(),
                self.listed(many)
            ),
        };
        let policy = &self.policy.name;
        let hint = "let a wave select it, or name it in `exclude`: no cluster is left out silently";
        let problem = Diagnostic::error(Code::Plan, message)
            .at(
                self.fleet.clusters[unplaced[0]].place.clone(),
                "no wave selects it",
            )
            .see(policy.place.clone(), "this policy")
            .hint(hint);
        self.problems.push(problem);
    }

    /// Groups the clusters of each wave into sites.
    fn sites(&self, chosen: &[Chosen]) -> Option<Sites> {
        let mut sites: Sites = vec![BTreeMap::new(); self.policy.policy.waves.len()];
        let mut home: BTreeMap<SiteName, (usize, usize)> = BTreeMap::new();
        let mut spanning: BTreeSet<SiteName> = BTreeSet::new();
        let mut good = true;
        for (cluster, chosen) in chosen.iter().enumerate() {
            let Chosen::Wave(wave) = *chosen else {
                continue;
            };
            let Some(site) = self.site_of(cluster) else {
                good = false;
                continue;
            };
            let (first_wave, first) = *home.entry(site.clone()).or_insert((wave, cluster));
            if first_wave != wave {
                good = false;
                if spanning.insert(site) {
                    self.report_spanning((first_wave, first), (wave, cluster));
                }
                continue;
            }
            sites[wave].entry(site).or_default().push(cluster);
        }
        good &= self.check_labels(
            self.policy.policy.role_by.as_deref(),
            self.policy.role_by.as_ref(),
            chosen,
        );
        for (site, clusters) in sites.iter().flatten() {
            good &= self.check_site(site, clusters);
        }
        if self.policy.policy.site_by.is_some() {
            self.warn_halved_sites(&sites, chosen);
        }
        good.then_some(sites)
    }

    fn site_of(&self, cluster: usize) -> Option<SiteName> {
        let spot = &self.fleet.clusters[cluster];
        let Some(label) = &self.policy.policy.site_by else {
            return Some(SiteName::new(spot.cluster.name.as_str()));
        };
        match spot.cluster.labels.get(label) {
            Some(value) => Some(SiteName::new(value.as_str())),
            None => {
                let place = self.policy.site_by.as_ref()?;
                self.report(self.label_missing(
                    label,
                    cluster,
                    place,
                    "`siteBy` makes sites by this label",
                ))
            }
        }
    }

    /// Every cluster that is not excluded has the label, if one is named.
    fn check_labels(&self, label: Option<&str>, place: Option<&Place>, chosen: &[Chosen]) -> bool {
        let (Some(label), Some(place)) = (label, place) else {
            return true;
        };
        let missing = self
            .fleet
            .clusters
            .iter()
            .zip(chosen)
            .position(|(spot, chosen)| {
                matches!(chosen, Chosen::Wave(_)) && !spot.cluster.labels.contains_key(label)
            });
        if let Some(cluster) = missing {
            self.problems.push(self.label_missing(
                label,
                cluster,
                place,
                "`roleBy` tells roles by this label",
            ));
        }
        missing.is_none()
    }

    fn label_missing(&self, label: &str, cluster: usize, place: &Place, says: &str) -> Diagnostic {
        let spot = &self.fleet.clusters[cluster];
        let message = format!("the cluster `{}` has no label `{label}`", spot.cluster.name);
        let close = suggest::closest(label, &self.index.keys());
        let hint = match close {
            Some(close) if close != label => format!("did you mean `{close}`?"),
            _ => format!("add the label `{label}` to the cluster, or exclude it"),
        };
        Diagnostic::error(Code::Plan, message)
            .at(place.clone(), says)
            .see(spot.place.clone(), format!("has no `{label}`"))
            .hint(hint)
    }

    fn report_spanning(&self, first: (usize, usize), second: (usize, usize)) {
        let waves = &self.policy.policy.waves;
        let label = self.policy.policy.site_by.as_deref().unwrap_or_default();
        let value = self.site_of(first.1);
        let value = value.as_ref().map_or("", SiteName::as_str);
        let message = format!(
            "the site `{value}` spans the waves `{}` and `{}`",
            waves[first.0].name, waves[second.0].name
        );
        let note = |(wave, cluster): (usize, usize)| {
            let wave = &waves[wave].name;
            (
                self.fleet.clusters[cluster].place.clone(),
                format!("`{label}={value}`, in wave `{wave}`"),
            )
        };
        let ((place, says), (other, other_says)) = (note(second), note(first));
        let problem = Diagnostic::error(Code::Plan, message)
            .at(place, says)
            .see(other, other_says);
        self.problems
            .push(problem.hint("clusters of a site are updated together: put them into one wave"));
    }

    fn check_site(&self, site: &SiteName, clusters: &[usize]) -> bool {
        let first = &self.fleet.clusters[clusters[0]];
        if clusters.len() > CLUSTERS_PER_SITE_MAX {
            let message = format!(
                "the site `{site}` has {} clusters, more than {CLUSTERS_PER_SITE_MAX}",
                clusters.len()
            );
            let problem = Diagnostic::error(Code::TooLarge, message)
                .at(first.place.clone(), "the first of them");
            let hint = "a site is what a strategy steers at once; choose a label with more values for `siteBy`";
            self.problems.push(problem.hint(hint));
            return false;
        }
        let other = clusters
            .iter()
            .map(|c| &self.fleet.clusters[*c])
            .find(|c| c.cluster.driver != first.cluster.driver);
        let Some(other) = other else { return true };
        let message = format!("the site `{site}` has clusters of two drivers");
        let problem = Diagnostic::error(Code::Plan, message)
            .at(
                other.place.clone(),
                format!("driver `{}`", other.cluster.driver),
            )
            .see(
                first.place.clone(),
                format!("driver `{}`", first.cluster.driver),
            )
            .hint("traffic is split within a site, and one driver has to do it");
        self.problems.push(problem);
        false
    }

    /// A pair of which only one cluster takes part is seldom meant.
    fn warn_halved_sites(&self, sites: &Sites, chosen: &[Chosen]) {
        let in_plan: BTreeMap<&SiteName, usize> = sites
            .iter()
            .flatten()
            .map(|(site, clusters)| (site, clusters[0]))
            .collect();
        for (cluster, chosen) in chosen.iter().enumerate() {
            let spot = &self.fleet.clusters[cluster];
            let label = self.policy.policy.site_by.as_ref();
            let value = label.and_then(|label| spot.cluster.labels.get(label));
            let (Chosen::Excluded, Some(value)) = (chosen, value) else {
                continue;
            };
            let site = SiteName::new(value.as_str());
            if let Some(kept) = in_plan.get(&site) {
                let message = format!("a part of the site `{site}` is excluded");
                let problem = Diagnostic::warning(Code::Suspicious, message)
                    .at(spot.place.clone(), "excluded")
                    .see(self.fleet.clusters[*kept].place.clone(), "not excluded");
                self.problems
                    .push(problem.hint("a strategy for pairs sees only what is not excluded"));
            }
        }
    }

    fn plan(&self, ordered: &Ordered, chosen: &[Chosen], sites: &Sites) -> Planned {
        let mut position = vec![0; ordered.order.len()];
        for (at, wave) in ordered.order.iter().enumerate() {
            position[*wave] = at;
        }
        let waves = ordered
            .order
            .iter()
            .map(|wave| self.planned_wave(*wave, ordered, &position, &sites[*wave]));
        let policy = &self.policy.policy;
        let mut excluded = Vec::new();
        let mut placements = Vec::with_capacity(chosen.len());
        for (spot, chosen) in self.fleet.clusters.iter().zip(chosen) {
            let name = spot.cluster.name.clone();
            placements.push(match chosen {
                Chosen::Excluded => {
                    let selector = policy.exclude.clone().unwrap_or_default();
                    let why = format!("excluded: {}", why(&selector, &spot.cluster));
                    excluded.push((name.clone(), why.clone()));
                    Placement {
                        cluster: name,
                        wave: None,
                        site: None,
                        why,
                    }
                }
                Chosen::Wave(wave) => {
                    let wave = &policy.waves[*wave];
                    let label = policy.site_by.as_ref();
                    let value = label.and_then(|label| spot.cluster.labels.get(label));
                    let site = SiteName::new(value.map_or(name.as_str(), String::as_str));
                    let why = format!(
                        "wave `{}`: {}",
                        wave.name,
                        why(&wave.clusters, &spot.cluster)
                    );
                    Placement {
                        cluster: name,
                        wave: Some(wave.name.clone()),
                        site: Some(site),
                        why,
                    }
                }
            });
        }
        let plan = Plan {
            generation: Generation(1),
            parent: None,
            waves: waves.collect(),
            excluded,
        };
        (plan, placements)
    }

    fn planned_wave(
        &self,
        number: usize,
        ordered: &Ordered,
        position: &[usize],
        sites: &BTreeMap<SiteName, Vec<usize>>,
    ) -> PlannedWave {
        let wave = &self.policy.policy.waves[number];
        let mut after: Vec<usize> = ordered.after[number]
            .iter()
            .map(|earlier| position[*earlier])
            .collect();
        after.sort_unstable();
        let count = u32::try_from(sites.len()).unwrap_or(u32::MAX);
        let sites = sites.iter().map(|(name, clusters)| PlannedSite {
            name: name.clone(),
            clusters: clusters
                .iter()
                .map(|cluster| self.planned_cluster(*cluster))
                .collect(),
        });
        PlannedWave {
            name: wave.name.clone(),
            after,
            sites: sites.collect(),
            // A limit, so it rounds down; at least one, or the wave would never start.
            max_parallel_sites: wave.max_parallel_sites.rounded_down(count).max(1),
            site_soak: wave.site_soak,
            soak: wave.soak,
            approval: wave.approval.clone(),
            approvers: wave.approvers.clone(),
            gates: wave.gates.clone(),
            origin: WaveOrigin::Policy,
        }
    }

    fn planned_cluster(&self, cluster: usize) -> PlannedCluster {
        let cluster = &self.fleet.clusters[cluster].cluster;
        let label = self.policy.policy.role_by.as_ref();
        let role = label
            .and_then(|label| cluster.labels.get(label))
            .cloned()
            .unwrap_or_default();
        PlannedCluster {
            name: cluster.name.clone(),
            role,
        }
    }
}
