//! Which clusters a selector chooses. Indexed by label and name: a policy may have a wave for
//! each of thousands of clusters.

use crate::diagnostic::{Code, Diagnostic, Problems};
use crate::kinds::{FleetDoc, SelectorSpots};
use crate::suggest;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::{Cluster, Selector};

/// Unknown names of a selector for which a close one is searched.
const HINTS_MAX: usize = 8;
/// Values of a label that a hint lists.
const VALUES_MAX: usize = 8;

pub(crate) struct Index<'a> {
    fleet: &'a FleetDoc,
    /// Indices of clusters, rising, by label and value.
    by_label: BTreeMap<&'a str, BTreeMap<&'a str, Vec<usize>>>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(fleet: &'a FleetDoc) -> Self {
        let mut by_label: BTreeMap<&str, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
        for (at, spot) in fleet.clusters.iter().enumerate() {
            for (key, value) in &spot.cluster.labels {
                by_label
                    .entry(key)
                    .or_default()
                    .entry(value)
                    .or_default()
                    .push(at);
            }
        }
        Self { fleet, by_label }
    }

    /// Keys of labels in the fleet.
    pub(crate) fn keys(&self) -> Vec<&'a str> {
        self.by_label.keys().copied().collect()
    }

    /// Indices of the chosen clusters, rising.
    pub(crate) fn choose(&self, selector: &Selector) -> Vec<usize> {
        let fits = |at: &usize| {
            let labels = &self.fleet.clusters[*at].cluster.labels;
            selector
                .labels
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        };
        if !selector.names.is_empty() {
            let named = selector.names.iter().filter_map(|name| {
                self.fleet
                    .clusters
                    .binary_search_by(|spot| spot.cluster.name.cmp(name))
                    .ok()
            });
            let named: BTreeSet<usize> = named.filter(fits).collect();
            return named.into_iter().collect();
        }
        let lists = selector.labels.iter().map(|(key, value)| {
            self.by_label
                .get(key.as_str())
                .and_then(|values| values.get(value.as_str()))
        });
        // The rarest label first; none at all means that nothing fits, no label that all do.
        match lists.collect::<Option<Vec<_>>>() {
            None => Vec::new(),
            Some(lists) => match lists.iter().min_by_key(|list| list.len()) {
                None => (0..self.fleet.clusters.len()).collect(),
                Some(rarest) => rarest.iter().copied().filter(fits).collect(),
            },
        }
    }

    /// Whether the fleet has every cluster that a selector names. Reports those that it has not.
    pub(crate) fn check_names(
        &self,
        selector: &Selector,
        spots: &SelectorSpots,
        problems: &Problems,
    ) -> bool {
        let mut good = true;
        let mut unknown = 0;
        let mut seen = BTreeMap::new();
        for (name, place) in selector.names.iter().zip(&spots.names) {
            if let Some(first) = seen.insert(name, place) {
                good = false;
                let problem =
                    Diagnostic::error(Code::Duplicate, format!("`{name}` is there twice"));
                problems.push(
                    problem
                        .at(place.clone(), "again")
                        .see(first.clone(), "first"),
                );
            }
            if self.fleet.cluster(name).is_some() {
                continue;
            }
            good = false;
            if problems.full() {
                break;
            }
            let message = format!(
                "the fleet `{}` has no cluster `{name}`",
                self.fleet.name.value
            );
            unknown += 1;
            // Comparing with all names is the costly part, and nobody reads a hundred hints.
            let searched = if unknown <= HINTS_MAX {
                self.fleet.clusters.as_slice()
            } else {
                &[]
            };
            let names = searched.iter().map(|spot| spot.cluster.name.as_str());

            let problem = Diagnostic::error(Code::Dangling, message).at(place.clone(), "");
            problems.push(problem.maybe_hint(suggest::name_hint(name.as_str(), names)));
        }
        good
    }

    /// Why a selector matches nothing, if a label explains it.
    pub(crate) fn why_nothing(&self, selector: &Selector) -> Option<String> {
        for (key, value) in &selector.labels {
            let Some(values) = self.by_label.get(key.as_str()) else {
                let hint = suggest::name_hint(key, self.by_label.keys().copied());
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                return Some(format!("no cluster has the label `{key}`{hint}"));
            };
            if !values.contains_key(value.as_str()) {
                let known: Vec<&str> = values.keys().copied().take(VALUES_MAX).collect();
                let more = if values.len() > VALUES_MAX {
                    " and others"
                } else {
                    ""
                };
                return Some(format!(
                    "`{key}` is {}{more} in this fleet",
                    suggest::one_of(&known)
                ));
            }
        }
        None
    }
}

/// Why a selector chooses a cluster.
pub(crate) fn why(selector: &Selector, cluster: &Cluster) -> String {
    let labels: Vec<String> = selector
        .labels
        .iter()
        .map(|(key, value)| format!("`{key}={value}`"))
        .collect();
    let labels = match labels.as_slice() {
        [] => None,
        [one] => Some(format!("label {one} matches")),
        many => Some(format!("labels {} match", many.join(", "))),
    };
    let named = (!selector.names.is_empty()).then(|| format!("`{}` is named", cluster.name));
    match (named, labels) {
        (None, None) => "it takes every cluster".into(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(named), Some(labels)) => format!("{named}, and {labels}"),
    }
}
