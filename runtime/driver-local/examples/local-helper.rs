//! The processes that the tests of this crate need: supervisor, front door, a tiny service, and
//! a host that changes a cluster and can be killed or stopped in the middle.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use wavegate_driver_local::{Helpers, LocalDriver, Options, front_door, supervisor_main};
use wavegate_model::observation::Stamp;
use wavegate_model::{
    Cluster, CommandId, Generation, PlannedSite, Release, RolloutId, ServiceName, Split,
};
use wavegate_ports::driver::{Driver, DriverScope, NodesTarget};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    match command.as_str() {
        "supervisor" => supervisor_main(args),
        "front-door" => front_door::main(args),
        "service" => report(Service::read(args).and_then(Service::run)),
        "host" => report(Host::read(args).and_then(Host::run)),
        other => report(Err(format!("unknown command `{other}`").into())),
    }
}

fn report(result: Result<ExitCode, AnyError>) -> ExitCode {
    result.unwrap_or_else(|error| {
        drop(writeln!(io::stderr(), "{error}"));
        ExitCode::FAILURE
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// A service: answers its version, notes each of its starts in a file, ends on SIGTERM.
struct Service {
    port: u16,
    version: String,
    starts: PathBuf,
    manner: String,
}

impl Service {
    fn read(args: impl Iterator<Item = String>) -> Result<Self, AnyError> {
        let args: Vec<String> = args.collect();
        let [port, version, starts, manner] = args.as_slice() else {
            return Err("service PORT VERSION STARTS-FILE MANNER".into());
        };
        let (version, manner) = (version.clone(), manner.clone());
        Ok(Self {
            port: port.parse()?,
            version,
            starts: PathBuf::from(starts),
            manner,
        })
    }

    fn run(self) -> Result<ExitCode, AnyError> {
        let mut starts = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.starts)?;
        writeln!(starts, "{} {}", self.version, std::process::id())?;
        if self.manner == "ends" {
            return Ok(ExitCode::from(7));
        }
        if self.manner == "parent" {
            // A child that would outlive it, if nobody ended its group.
            std::process::Command::new("sleep").arg("1000").spawn()?;
        }
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<ExitCode, AnyError> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port)).await?;
        let mut terminate = signal(SignalKind::terminate())?;
        let service = Arc::new(self);
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => if service.manner != "stubborn" { return Ok(ExitCode::SUCCESS) },
                accepted = listener.accept() => {
                    let stream = TokioIo::new(accepted?.0);
                    let service = Arc::clone(&service);
                    let answer = service_fn(move |request| answer(Arc::clone(&service), request));
                    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, answer));
                }
            }
        }
    }
}

async fn answer(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut response = Response::new(Full::new(Bytes::from(service.version.clone())));
    if request.uri().path() == "/healthz" {
        let late = || !service.starts.with_file_name("ready").exists();
        if service.manner == "red" || (service.manner == "late" && late()) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    } else {
        // Long enough that draining has requests to wait for.
        let _ = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    }
    Ok(response)
}

/// A host that claims the clusters, sets nodes and traffic, and stops itself at a moment.
struct Host {
    plan: Plan,
    moment: String,
    signal: String,
}

/// What the test hands over, as JSON.
#[derive(serde::Deserialize)]
struct Plan {
    rollout: RolloutId,
    service: ServiceName,
    clusters: Vec<Cluster>,
    sites: Vec<PlannedSite>,
    nodes: Vec<(Release, u32)>,
    split: Split,
}

impl Host {
    fn read(args: impl Iterator<Item = String>) -> Result<Self, AnyError> {
        let args: Vec<String> = args.collect();
        let [plan, moment, signal] = args.as_slice() else {
            return Err("host PLAN-FILE MOMENT STOP|KILL|NONE".into());
        };
        let plan = serde_json::from_slice(&std::fs::read(Path::new(plan))?)?;
        Ok(Self {
            plan,
            moment: moment.clone(),
            signal: signal.clone(),
        })
    }

    fn run(self) -> Result<ExitCode, AnyError> {
        let Self {
            plan,
            moment,
            signal,
        } = self;
        let word = |text: &str| vec![text.to_owned()];
        let helpers = Helpers {
            program: std::env::current_exe()?,
            supervisor_args: word("supervisor"),
            front_door_args: word("front-door"),
        };
        let struck = std::sync::atomic::AtomicBool::new(false);
        let crash_point = move |name: &str| {
            let signal = match signal.as_str() {
                "STOP" => rustix::process::Signal::STOP,
                "KILL" => rustix::process::Signal::KILL,
                _ => return,
            };
            // Once: nodes are changed at the same time, and another may come to the same moment later.
            if name == moment && !struck.swap(true, std::sync::atomic::Ordering::SeqCst) {
                // The process is its own; there is nobody to tell of a failure.
                let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
            }
        };
        let driver = LocalDriver::new(Options {
            crash_point: Arc::new(crash_point),
            ..Options::new(helpers, "/")
        });
        tokio::runtime::Runtime::new()?.block_on(carry_out(&driver, plan))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn carry_out(driver: &LocalDriver, plan: Plan) -> Result<(), AnyError> {
    let Some((release, _)) = plan.nodes.first().cloned() else {
        return Err("no release".into());
    };
    let scope = DriverScope {
        rollout: plan.rollout.clone(),
        service: plan.service.clone(),
        clusters: plan.clusters.clone(),
        sites: plan.sites.clone(),
        release,
    };
    driver.attach(scope).await?;
    for site in &plan.sites {
        let mut stamps = std::collections::BTreeMap::new();
        for cluster in &site.clusters {
            let epoch = driver
                .claim(&plan.rollout, &plan.service, &cluster.name)
                .await?;
            let stamp = Stamp {
                epoch,
                generation: Generation(1),
                command: CommandId(1),
            };
            stamps.insert(cluster.name.clone(), stamp);
            let desired = driver.observe(&plan.rollout, &cluster.name).await?.desired;
            let target = NodesTarget {
                desired,
                nodes: plan.nodes.clone(),
            };
            driver
                .set_nodes(&plan.rollout, &cluster.name, stamp, target)
                .await?;
        }
        if !plan.split.is_empty() {
            driver
                .set_traffic(&plan.rollout, &site.name, stamps, plan.split.clone())
                .await?;
        }
    }
    Ok(())
}
