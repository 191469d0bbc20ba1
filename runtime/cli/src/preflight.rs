//! A look at what a rollout will need, before anything is recorded or touched: its clusters answer
//! and run the service, nobody else is at work there, and its sources take the credentials.
//!
//! Plugins, their configuration and their grants were checked when the rollout was prepared.

use crate::exit::{Exit, Failure, Result};
use crate::host::Host;
use crate::output;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_engine::Spec;
use wavegate_model::policy::WhenBusy;
use wavegate_model::{ClusterName, RolloutId, SourceName};
use wavegate_ports::driver::{DriverError, Inspection};
use wavegate_ports::sources::Sources;

/// What the clusters said.
type Inspected = BTreeMap<ClusterName, std::result::Result<Inspection, DriverError>>;

/// Something that would keep the rollout from going well.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    exit: Exit,
    text: String,
}

/// Looks at everything, tells all problems, and fails if there is one.
pub(crate) async fn check(host: &Host, spec: &Spec) -> Result<()> {
    let inspected = inspect(host, spec).await;
    let mut problems = of_clusters(spec, &inspected);
    let sources = host.sources(spec)?;
    let mut asked = 0;
    for source in bound(spec) {
        asked += 1;
        if let Err(error) = sources.check(source).await {
            let text = format!("{error}; gates that ask it could not pass");
            let exit = Exit::Refused;
            problems.push(Problem { exit, text });
        }
    }
    let name = &spec.rollout;
    if problems.is_empty() {
        let clusters = inspected.len();
        output::say(&format!(
            "{name}: pre-flight: {clusters} clusters and {asked} sources answer"
        ));
        return Ok(());
    }
    for problem in &problems {
        output::say(&format!("{name}: pre-flight: {}", problem.text));
    }
    let worst = problems.iter().map(|problem| problem.exit).max();
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let failure = Failure::new(
        worst.unwrap_or(Exit::Refused),
        anyhow::anyhow!("the pre-flight found {count}; nothing was touched"),
    );
    Err(failure.hint(
        "mend what is named; to start all the same, and hold until it is there, give --skip-preflight",
    ))
}

/// Other rollouts that are at work in the clusters of this one.
pub(crate) async fn in_the_way(host: &Host, spec: &Spec) -> Vec<RolloutId> {
    let inspected = inspect(host, spec).await;
    owners(spec, &inspected).into_keys().cloned().collect()
}

async fn inspect(host: &Host, spec: &Spec) -> Inspected {
    let mut inspected = Inspected::new();
    for (name, scope) in wavegate_conductor::scopes(spec) {
        // A driver that this host does not have was refused before.
        let Some(driver) = host.driver(name) else {
            continue;
        };
        inspected.extend(driver.inspect(scope).await);
    }
    inspected
}

fn of_clusters(spec: &Spec, inspected: &Inspected) -> Vec<Problem> {
    let mut problems = Vec::new();
    for error in inspected.values().filter_map(|found| found.as_ref().err()) {
        let exit = match error {
            DriverError::Unreachable { .. } => Exit::Unreachable,
            _ => Exit::Refused,
        };
        let text = error.to_string();
        problems.push(Problem { exit, text });
    }
    // The claim decides; this only tells it before anything starts.
    let refuses = spec.policy.when_busy == WhenBusy::Refuse;
    for (owner, clusters) in owners(spec, inspected).into_iter().filter(|_| refuses) {
        let (service, clusters) = (&spec.service, clusters.join(", "));
        problems.push(Problem {
            exit: Exit::Refused,
            text: format!(
                "rollout `{owner}` of service {service} is unfinished in {clusters}; let it end, \
                 or end it with abort or rollback"
            ),
        });
    }
    for site in spec.plan.waves.iter().flat_map(|wave| &wave.sites) {
        let members = site.clusters.iter().map(|planned| &planned.name);
        let nodes: Vec<u32> = members
            .filter_map(|name| inspected.get(name)?.as_ref().ok())
            .map(|inspection| inspection.nodes)
            .collect();
        // One cluster of a pair may stand empty; nobody can tell what an empty site ran.
        if !nodes.is_empty() && nodes.len() == site.clusters.len() && nodes.iter().all(|n| *n == 0)
        {
            let (site, service) = (&site.name, &spec.service);
            problems.push(Problem {
                exit: Exit::Refused,
                text: format!(
                    "site {site} runs no node of service {service}, so there is nothing to roll \
                     from: set it up first (for documents of a quickstart: \
                     `wavegate quickstart --fleet-only DIR`)"
                ),
            });
        }
    }
    problems
}

/// Another unfinished rollout at work in a rollout's clusters, in words.
pub(crate) async fn at_work(host: &Host, spec: &Spec) -> Option<String> {
    let inspected = inspect(host, spec).await;
    let (owner, clusters) = owners(spec, &inspected).into_iter().next()?;
    let clusters = clusters.join(", ");
    Some(format!(
        "rollout {owner} of service {} is unfinished in {clusters}",
        spec.service
    ))
}

/// Other rollouts that own clusters, and which.
fn owners<'a>(spec: &Spec, inspected: &'a Inspected) -> BTreeMap<&'a RolloutId, Vec<&'a str>> {
    let mut owners: BTreeMap<&RolloutId, Vec<&str>> = BTreeMap::new();
    for (cluster, found) in inspected {
        let owner = found.as_ref().ok().and_then(|found| found.owner.as_ref());
        if let Some(owner) = owner.filter(|owner| **owner != spec.rollout) {
            owners.entry(owner).or_default().push(cluster.as_str());
        }
    }
    owners
}

/// Sources that gates are bound to, each once.
fn bound(spec: &Spec) -> BTreeSet<&SourceName> {
    let gates = spec.policy.gates.iter();
    gates.flat_map(|gate| gate.slots.values()).collect()
}
