//! `quickstart`: a working fleet of real processes here, rolled from 1.0 to 2.0, and removed.

use crate::args::{Manner, Quickstart};
use crate::commands::{down, init, run};
use crate::demo::{self, Visits};
use crate::exit::{Exit, Failure, Result};
use crate::follow::Seen;
use crate::host::{Host, StateDir};
use crate::output::{self, Format};
use crate::prepare::{self, Prepared};
use crate::requests;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use wavegate_conductor::Begin;
use wavegate_driver_local::Provision;
use wavegate_model::Cluster;

/// Twenty requests a second for each front door: enough for the gates to judge by within a second.
const VISIT_EVERY: Duration = Duration::from_millis(50);
/// Twelve small processes start in a second or two; a machine that is busy gets more time.
const FLEET_WAIT: Duration = Duration::from_secs(60);
const ROLLOUT: &str = "shop-2";
const BAD_ROLLOUT: &str = "shop-bad";
const BASELINE: &str = "shop-1.0";

pub(crate) async fn quickstart(args: Quickstart, state: &StateDir, format: Format) -> Result<Exit> {
    let dir = std::path::absolute(&args.dir)?;
    let ours = !dir.join("rollout.yaml").exists();
    if ours {
        init::must_be_empty(&dir)?;
        init::write(&dir, free_ports(args.port)?)?;
    }
    let mut files = vec![dir.clone()];
    if args.bad {
        files.push(dir.join("bad"));
    }
    let documents = prepare::load(&files)?;
    let mut host = Host::without_journal(state)?;
    let name = if args.bad { BAD_ROLLOUT } else { ROLLOUT };
    let prepared = prepare::prepare(&host, &documents, name).await?;
    host.open_journal(state)?;
    let clusters = prepared.spec.clusters.clone();

    let outcome = with_fleet(&args, &host, &documents, prepared, state, format).await;
    if args.keep || args.fleet_only {
        let how = if ours && args.dir == Path::new(".wavegate/quickstart") {
            String::new()
        } else {
            format!(" {}", args.dir.display())
        };
        output::say(&format!(
            "everything keeps running; stop it with `wavegate down{how}`"
        ));
        return outcome;
    }
    let service = wavegate_model::ServiceName::new("shop");
    let stopped = down::stop(&service, &clusters, Format::Auto).await?;
    remove(&dir, &clusters, ours)?;
    output::say(&format!(
        "stopped {stopped} processes and removed the fleet; the journal is kept in {}",
        state.path().display()
    ));
    outcome
}

async fn with_fleet(
    args: &Quickstart,
    host: &Host,
    documents: &wavegate_documents::Documents,
    prepared: Prepared,
    state: &StateDir,
    format: Format,
) -> Result<Exit> {
    let Some((mut baseline, folder)) = documents.release(BASELINE) else {
        return Err(Failure::usage(format!(
            "the documents have no release `{BASELINE}` to begin with"
        )));
    };
    prepare::release_absolute(&mut baseline, &folder)?;
    let spec = prepared.spec;
    let doors = doors(&spec.clusters)?;
    let nodes: u32 = spec.clusters.iter().map(|cluster| cluster.nodes).sum();
    output::say(&format!(
        "setting up {} clusters with {nodes} nodes on {} …",
        spec.clusters.len(),
        baseline.version
    ));
    let provision = Provision {
        service: spec.service.clone(),
        clusters: spec.clusters.clone(),
        sites: spec
            .plan
            .waves
            .iter()
            .flat_map(|wave| wave.sites.clone())
            .collect(),
        release: baseline,
        traffic: std::collections::BTreeMap::new(),
        within: FLEET_WAIT,
    };
    host.local.provision(provision).await.map_err(|error| {
        let hint =
            "stop an earlier quickstart with `wavegate down`, or choose other ports with --port";
        Failure::from(error).hint(hint)
    })?;
    let listed: Vec<String> = doors.iter().map(|door| format!("http://{door}/")).collect();
    output::say(&format!("the front doors are {}", listed.join(" ")));
    if args.fleet_only {
        return Ok(Exit::Done);
    }
    let visits = Arc::new(Visits::default());
    let visitors = (!args.no_visitors)
        .then(|| tokio::spawn(demo::visit(doors, VISIT_EVERY, Arc::clone(&visits))));
    let lock = state.lock(&spec.rollout, false)?;
    requests::note(&spec, state).await?;
    let ready = run::Ready {
        begin: Begin::Start(Box::new(spec.clone())),
        spec,
        lock,
        part: run::Part::Asked,
    };
    let manner = Manner {
        exit_on_hold: false,
    };
    let outcome = run::run_all(host, vec![ready], manner, format, Seen::new(), state).await;
    if let Some(visitors) = visitors {
        visitors.abort();
        let (total, failed) = (
            visits.total.load(Ordering::Relaxed),
            visits.failed.load(Ordering::Relaxed),
        );
        output::say(&format!(
            "the quickstart's own visitors sent {total} requests, {failed} of them had no good answer"
        ));
    }
    outcome.map(|(exit, _)| exit)
}

/// Where the front doors of clusters listen.
fn doors(clusters: &[Cluster]) -> Result<Vec<SocketAddr>> {
    let mut doors = Vec::new();
    for cluster in clusters {
        let connection: serde_json::Value = serde_json::from_str(&cluster.connection)?;
        if let Some(text) = connection.get("frontDoor").and_then(|door| door.as_str()) {
            doors.push(text.parse()?);
        }
    }
    doors.sort();
    doors.dedup();
    Ok(doors)
}

/// The first of three free ports, at or after the one that is wanted.
fn free_ports(wanted: u16) -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let bases = (0..100)
        .filter_map(|step| wanted.checked_add(step * 3))
        .filter(|base| *base < u16::MAX - 3);
    let mut found = bases.filter(|base| (0..3).all(|site| free(base + site)));
    found.next().ok_or_else(|| {
        Failure::usage(format!("no three free ports were found from {wanted} on"))
            .hint("choose others with --port")
    })
}

/// Removes the clusters' folders, and the documents if they are not the user's.
fn remove(dir: &Path, clusters: &[Cluster], ours: bool) -> Result<()> {
    for cluster in clusters {
        let connection: serde_json::Value = serde_json::from_str(&cluster.connection)?;
        if let Some(folder) = connection
            .get("dir")
            .and_then(|dir| dir.as_str())
            .map(PathBuf::from)
            && folder.starts_with(dir)
            && folder.exists()
        {
            std::fs::remove_dir_all(&folder)?;
        }
    }
    if ours {
        init::remove(dir);
    }
    Ok(())
}
