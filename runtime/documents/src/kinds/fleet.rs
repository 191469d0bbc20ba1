//! `Fleet`: the clusters.

use super::gate::ConfigSpot;
use crate::diagnostic::{Code, Diagnostic};
use crate::fields::{Cx, Fields, Spot, list};
use crate::node::Node;
use crate::shapes::fleet as shapes;
use crate::source::Place;
use crate::values;
use std::collections::BTreeMap;
use wavegate_model::{Cluster, ClusterName, Labels};

/// Nodes of one cluster: Kubernetes stops at half of it, and counters in views are far larger.
pub(crate) const NODES_MAX: u32 = 10_000;
/// Clusters of a fleet: ten times what Wavegate is made for.
const CLUSTERS_MAX: usize = 30_000;

#[derive(Debug)]
pub(crate) struct FleetDoc {
    pub(crate) name: Spot<String>,
    /// Sorted by name.
    pub(crate) clusters: Vec<ClusterSpot>,
}

#[derive(Debug)]
pub(crate) struct ClusterSpot {
    pub(crate) cluster: Cluster,
    pub(crate) place: Place,
    pub(crate) connection: ConfigSpot,
}

impl FleetDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let mut fields = Fields::open(cx, spec, &shapes::FLEET)?;
        let clusters = fields.required("clusters", clusters);
        fields.finish()?;
        Some(Self {
            name: name?,
            clusters: clusters?,
        })
    }

    /// The cluster of a name.
    pub(crate) fn cluster(&self, name: &ClusterName) -> Option<&ClusterSpot> {
        let found = self
            .clusters
            .binary_search_by(|spot| spot.cluster.name.cmp(name));
        found.ok().map(|index| &self.clusters[index])
    }
}

fn clusters(cx: Cx<'_>, node: &Node) -> Option<Vec<ClusterSpot>> {
    let clusters = list(cluster)(cx, node)?;
    if clusters.is_empty() {
        return cx.bad_value(node, "a fleet has at least one cluster", None);
    }
    if clusters.len() > CLUSTERS_MAX {
        let message = format!(
            "the fleet has {} clusters, more than {CLUSTERS_MAX}",
            clusters.len()
        );
        return cx.fail(Diagnostic::error(Code::TooLarge, message).at(cx.place(node), ""));
    }
    let mut sorted: BTreeMap<ClusterName, ClusterSpot> = BTreeMap::new();
    let mut good = true;
    for spot in clusters {
        if let Some(first) = sorted.get(&spot.cluster.name) {
            good = false;
            let message = format!("two clusters are called `{}`", spot.cluster.name);
            let problem = Diagnostic::error(Code::Duplicate, message);
            cx.problems.push(
                problem
                    .at(spot.place, "again")
                    .see(first.place.clone(), "first"),
            );
        } else {
            sorted.insert(spot.cluster.name.clone(), spot);
        }
    }
    good.then(|| sorted.into_values().collect())
}

fn cluster(cx: Cx<'_>, node: &Node) -> Option<ClusterSpot> {
    let mut fields = Fields::open(cx, node, &shapes::CLUSTER)?;
    let name = fields.required("name", |cx, node| {
        Some((values::name::<ClusterName>(cx, node)?, cx.place(node)))
    });
    let labels = fields.or("labels", Labels::new(), values::labels);
    let nodes = fields.required("nodes", values::whole(1, NODES_MAX));
    let driver = fields.required("driver", super::driver);
    let connection = connection(cx, &mut fields, driver.as_deref());
    fields.finish()?;
    let (name, place) = name?;
    let (json, connection) = connection?;
    let cluster = Cluster {
        name,
        labels: labels?,
        nodes: nodes?,
        driver: driver?,
        connection: json,
    };
    Some(ClusterSpot {
        cluster,
        place,
        connection,
    })
}

/// The block that is named after the driver. Blocks of other drivers would be ignored: refused.
fn connection(
    cx: Cx<'_>,
    fields: &mut Fields<'_, '_>,
    driver: Option<&str>,
) -> Option<(String, ConfigSpot)> {
    let mut found = None;
    for name in super::DRIVERS.iter().chain(super::DRIVERS_NOT_BUILT) {
        let Some((key, block)) = fields.entry(name) else {
            continue;
        };
        match driver {
            Some(driver) if driver == *name => {
                let spot = ConfigSpot {
                    place: cx.place(key),
                    node: Some(block.clone()),
                    what: "connection",
                };
                found = Some(values::json_map(cx, block).map(|json| (json, spot)));
            }
            Some(driver) => {
                let message = format!("a block for `{name}` in a cluster of the driver `{driver}`");
                let problem = Diagnostic::error(Code::Mismatch, message).at(cx.place(key), "");
                cx.problems
                    .push(problem.hint(format!("the connection stands in a block `{driver}`")));
            }
            None => {}
        }
    }
    if let (None, Some(driver)) = (&found, driver) {
        let message = format!("this cluster has no block `{driver}` with its connection");
        let problem = Diagnostic::error(Code::MissingField, message);
        cx.problems
            .push(problem.at(fields.place(), format!("`{driver}` is missing here")));
    }
    found?
}
