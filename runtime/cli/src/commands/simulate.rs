//! `simulate`: a rollout over simulated fleets, again and again.

use crate::args::Simulate;
use crate::commands::plugin::{self, named, refused};
use crate::exit::{Exit, Failure, Result};
use crate::host::{Host, StateDir};
use crate::output::{self, Format, JSON_VERSION};
use crate::prepare;
use crate::simulated::{Here, Simulated};
use crate::target::{Existing, Target};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wavegate_conductor::swap;
use wavegate_documents::Documents;
use wavegate_driver_sim::FIRST_DAY;
use wavegate_engine::Spec;
use wavegate_engine::swap::Part;
use wavegate_foresight::simulate::{
    Broken, Comparison, Options, Report, Run, Subject, Summary, page, simulate as runs_of, table,
};
use wavegate_model::Simulation;
use wavegate_plugin_host::CALLER_STACK_BYTES;

/// Simulates, and tells what came of it.
pub(crate) async fn simulate(args: Simulate, dir: &StateDir, format: Format) -> Result<Exit> {
    let documents = prepare::load(&args.files)?;
    let name = one_of("rollout", documents.rollouts(), args.rollout.as_deref())?;
    let name = name.ok_or_else(|| {
        Failure::usage("the documents have no `Rollout`").hint("name the file that has one, too")
    })?;
    let simulation = world(&documents, args.simulation.as_deref())?;
    let html = target(&args)?;
    let host = Host::without_journal(dir)?;
    let mut subjects = vec![(name.clone(), spec(&host, &documents, &name).await?)];
    if let Some(other) = &args.compare {
        let (first, config) = (&subjects[0].1, args.config.as_deref());
        subjects.push(self::other(&host, &documents, first, other, config).await?);
    }
    let options = Options {
        runs: args.runs,
        seed: args.seed,
        threads: threads(args.threads),
        stack: CALLER_STACK_BYTES,
        approve_after: simulation.approve_after,
        give_up_after: simulation.give_up_after,
    };
    let report = report(&host, subjects, simulation, &options, format)?;
    // The data comes first: it is there also when the disk is full.
    if format == Format::Json {
        output::json(&report);
    } else {
        output::data(table(&report).trim_end());
    }
    if let (Some(target), Some(path)) = (html, &args.html) {
        target.write(&page(&report))?;
        output::say(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Done)
}

/// Where the page goes.
fn target(args: &Simulate) -> Result<Option<Target>> {
    let compared = args.compare.iter().map(PathBuf::from);
    let read: Vec<PathBuf> = args
        .files
        .iter()
        .cloned()
        .chain(compared)
        .chain(args.config.clone())
        .collect();
    let check = |path: &PathBuf| Target::check("--html", path, Existing::Replace, &read);
    args.html.as_ref().map(check).transpose()
}

/// The one that was named, or the only one there is; none if there is none.
pub(crate) fn one_of<'a>(
    what: &str,
    all: impl Iterator<Item = &'a str>,
    wanted: Option<&str>,
) -> Result<Option<String>> {
    let all: Vec<&str> = all.collect();
    let listed = all.join(", ");
    match (wanted, all.as_slice()) {
        (Some(wanted), all) if all.contains(&wanted) => Ok(Some(wanted.to_owned())),
        (Some(wanted), []) => Err(Failure::usage(format!(
            "the documents have no {what} `{wanted}`"
        ))
        .hint(format!(
            "they have no {what} at all; name the file that has one, too"
        ))),
        (Some(wanted), _) => Err(Failure::usage(format!(
            "the documents have no {what} `{wanted}`"
        ))
        .hint(format!("they have: {listed}"))),
        (None, []) => Ok(None),
        (None, [one]) => Ok(Some((*one).to_owned())),
        (None, _) => Err(
            Failure::usage(format!("the documents have several {what}s"))
                .hint(format!("say --{what} NAME, one of: {listed}")),
        ),
    }
}

fn world(documents: &Documents, wanted: Option<&str>) -> Result<Simulation> {
    let name = one_of("simulation", documents.simulations(), wanted)?;
    let found = name.and_then(|name| documents.simulation(&name).cloned());
    Ok(found.unwrap_or_default())
}

fn threads(wanted: Option<u16>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    wanted.map_or_else(processors, usize::from)
}

/// The rollout as it would start on the first simulated day.
async fn spec(host: &Host, documents: &Documents, name: &str) -> Result<Spec> {
    let prepared = prepare::prepare(host, documents, name).await?;
    prepare::warn(&prepared);
    let mut spec = prepared.spec;
    let policy = &spec.policy;
    let wrong = |why| Failure::usage(format!("the windows of policy `{}`: {why}", policy.name));
    let windows = wavegate_documents::windows::expand(&policy.windows, FIRST_DAY);
    let own = wavegate_documents::windows::expand_waves(policy, FIRST_DAY);
    let (windows, own) = (windows.map_err(wrong)?, own.map_err(wrong)?);
    (spec.windows, spec.wave_windows) = (windows, own);
    Ok(spec)
}

/// What is compared with: a rollout of the same documents, one of others, or another plugin.
async fn other(
    host: &Host,
    documents: &Documents,
    first: &Spec,
    text: &str,
    config: Option<&Path>,
) -> Result<(String, Spec)> {
    let rollout = documents.rollouts().any(|name| name == text);
    if text.contains('=') && !rollout {
        return Ok((text.to_owned(), swapped(host, first, text, config).await?));
    }
    if config.is_some() {
        return Err(Failure::usage("--config is that of another plugin")
            .hint("say which: --compare strategy=REF or gate/NAME=REF"));
    }
    if rollout {
        return Ok((text.to_owned(), spec(host, documents, text).await?));
    }
    let path = PathBuf::from(text);
    if !path.exists() {
        let listed: Vec<&str> = documents.rollouts().collect();
        return Err(
            Failure::usage(format!("there is nothing called `{text}` to compare with")).hint(
                format!(
                    "name a rollout of the documents ({}), a file or folder of other documents, or \
                 another plugin, as in strategy=rolling with its --config",
                    listed.join(", ")
                ),
            ),
        );
    }
    let others = prepare::load(&[path])?;
    let name = one_of("rollout", others.rollouts(), None)?;
    let name = name.ok_or_else(|| Failure::usage(format!("`{text}` has no `Rollout`")))?;
    Ok((text.to_owned(), spec(host, &others, &name).await?))
}

/// The same rollout with another plugin in a part of its policy.
async fn swapped(host: &Host, first: &Spec, text: &str, config: Option<&Path>) -> Result<Spec> {
    let (part, reference) = named(text)?;
    let config = config.map(plugin::read).transpose()?;
    let json = config.as_ref().map(|config| config.json().to_owned());
    let base = std::env::current_dir()?;
    let prepared = swap::prepare(&*host.plugins, first, part, reference, &base, json).await;
    let (swapped, _) = prepared.map_err(|obstacle| {
        let mut failure = refused(&obstacle, config.as_ref());
        // A simulation changes nothing anyway.
        failure.error = anyhow::anyhow!("{obstacle}");
        failure
    })?;
    let (mut spec, to) = (first.clone(), swapped.to);
    match swapped.part {
        Part::Strategy => {
            (spec.pins.strategy, spec.policy.strategy.config) = (to.digest, to.config);
            spec.pins.strategy_name = to.writes.plugin;
        }
        Part::Gate(gate) => {
            let mut known = spec.policy.gates.iter_mut();
            if let Some(known) = known.find(|known| known.name == gate) {
                known.config = to.config;
            }
            spec.pins.gates.insert(gate, to.digest);
        }
    }
    Ok(spec)
}

fn report(
    host: &Host,
    subjects: Vec<(String, Spec)>,
    simulation: Simulation,
    options: &Options,
    format: Format,
) -> Result<Report> {
    let started = Instant::now();
    let bar = progress(u64::from(options.runs) * subjects.len() as u64, format);
    let ask = Here(host.plugins.clone());
    let mut told = Vec::new();
    for (name, spec) in subjects {
        let worlds = Simulated::new(&spec, &simulation);
        let runs =
            tokio::task::block_in_place(|| runs_of(&spec, &worlds, &ask, options, &|| bar.inc(1)));
        told.push(subject(name, &spec, runs.map_err(broken)?));
    }
    bar.finish_and_clear();
    let updates: u64 = told
        .iter()
        .map(|subject| subject.summary.node_updates)
        .sum();
    if format != Format::Json {
        output::say(&format!(
            "simulated {updates} node updates in {:.1} s on {} threads",
            started.elapsed().as_secs_f64(),
            options.threads
        ));
    }
    let comparison = match told.as_slice() {
        [first, second] => Some(Comparison::of(&first.runs, &second.runs)),
        _ => None,
    };
    Ok(Report {
        version: JSON_VERSION,
        wavegate: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed.to_string(),
        runs: options.runs,
        simulation,
        subjects: told,
        comparison,
    })
}

fn broken(broken: Broken) -> Failure {
    match &broken {
        Broken::NoAnswer { .. } => Failure::new(Exit::Usage, broken).hint(
            "say what it is answered with, under `metrics` or `pages` of a `Simulation` document",
        ),
        Broken::World(_) => Failure::new(Exit::Usage, broken),
        Broken::Invariant { .. } | Broken::Thread(_) => Failure::new(Exit::Unexpected, broken),
    }
}

fn subject(name: String, spec: &Spec, runs: Vec<Run>) -> Subject {
    let gates = spec.pins.gates.iter();
    Subject {
        name,
        policy: spec.policy.name.to_string(),
        strategy: format!("{} {}", spec.pins.strategy_name, spec.pins.strategy),
        gates: gates
            .map(|(gate, digest)| (gate.to_string(), digest.to_string()))
            .collect(),
        clusters: spec.clusters.len() as u64,
        nodes: spec
            .clusters
            .iter()
            .map(|cluster| u64::from(cluster.nodes))
            .sum(),
        summary: Summary::of(&runs),
        runs,
    }
}

fn progress(runs: u64, format: Format) -> ProgressBar {
    let target = if output::live(format) {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left");
    ProgressBar::with_draw_target(Some(runs), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
