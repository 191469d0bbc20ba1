//! `down`: stops what runs of a fleet on this machine.

use crate::args::Down;
use crate::exit::{Exit, Failure, Result};
use crate::host::LOCAL;
use crate::output::{self, Format, JSON_VERSION};
use crate::prepare;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wavegate_driver_local::{Stopped, teardown};
use wavegate_model::{Cluster, ServiceName};

pub(crate) async fn down(args: Down, format: Format) -> Result<Exit> {
    if let [dir] = args.paths.as_slice()
        && !dir.exists()
    {
        output::say(&format!("there is no {}; nothing to stop", dir.display()));
        return Ok(Exit::Done);
    }
    let fleets = fleets(&args.paths)?;
    if args.dry_run {
        for (service, clusters) in &fleets {
            for cluster in clusters.values() {
                if format == Format::Json {
                    output::json(&serde_json::json!({
                        "version": JSON_VERSION, "would_stop": service, "cluster": cluster.name
                    }));
                } else {
                    output::data(&format!("would stop {service} in cluster {}", cluster.name));
                }
            }
        }
        return Ok(Exit::Done);
    }
    let mut count = 0;
    for (service, clusters) in fleets {
        let clusters: Vec<Cluster> = clusters.into_values().collect();
        count += stop(&service, &clusters, format).await?;
    }
    if format != Format::Json {
        output::data(&format!("stopped {count} processes"));
    }
    Ok(Exit::Done)
}

type Fleets = BTreeMap<ServiceName, BTreeMap<String, Cluster>>;

/// The local clusters of all rollouts in the documents, by service.
fn fleets(paths: &[PathBuf]) -> Result<Fleets> {
    let documents = prepare::load(paths)?;
    let mut fleets = Fleets::new();
    for name in documents.rollouts() {
        let mut resolved = documents.resolve(name).map_err(prepare::invalid)?;
        prepare::make_absolute(&mut resolved)?;
        let clusters = fleets.entry(resolved.service).or_default();
        let local = resolved
            .clusters
            .into_iter()
            .filter(|cluster| cluster.driver == LOCAL);
        clusters.extend(local.map(|cluster| (cluster.name.to_string(), cluster)));
    }
    if fleets.values().all(BTreeMap::is_empty) {
        return Err(Failure::usage(
            "the documents have no rollout over clusters on this machine",
        ));
    }
    Ok(fleets)
}

/// Stops the nodes and front doors of a service, and says how many processes that were.
pub(crate) async fn stop(
    service: &ServiceName,
    clusters: &[Cluster],
    format: Format,
) -> Result<usize> {
    let stopped = teardown(Path::new("/"), service, clusters).await?;
    for stopped in &stopped {
        let (what, pid) = match stopped {
            Stopped::Node { cluster, node, pid } => {
                (format!("node {node} of cluster {cluster}"), *pid)
            }
            Stopped::FrontDoor { dir } => (format!("front door {}", dir.display()), None),
        };
        if format == Format::Json {
            output::json(
                &serde_json::json!({"version": JSON_VERSION, "stopped": what, "pid": pid}),
            );
        } else {
            tracing::info!(pid, "stopped {what}");
        }
    }
    Ok(stopped.len())
}
