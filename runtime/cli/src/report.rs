//! What is told at the end of a run.

use crate::host::StateDir;
use crate::output::{self, BAD, Format, GOOD, JSON_VERSION, STRONG, paint};
use crate::requests::{Requests, requests};
use crate::words::plural;
use crate::{follow, leftovers, swap_text, verdicts, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use wavegate_conductor::Outcome;
use wavegate_engine::explain::{Waiting, measurement_text};
use wavegate_engine::fact::FailReason;
use wavegate_engine::{End, State, WaitingOn};
use wavegate_model::plugin::{Measurement, Subject};
use wavegate_model::{GateName, SiteName};

/// Lines about what made sites fail, at most: a screen full.
const BROKEN_MAX: usize = 20;

/// Clusters that came or went, at most: the status lists more.
const MEMBERS_MAX: usize = 30;

/// The report of a rollout as JSON.
#[derive(serde::Serialize)]
struct Report<'a> {
    version: u32,
    rollout: &'a str,
    outcome: String,
    release: &'a str,
    /// The beginning of the release's digest, as in the front door's header `x-wavegate-release`.
    digest: String,
    seconds: f64,
    sites: BTreeMap<&'a str, &'static str>,
    failures: BTreeMap<&'a str, String>,
    /// Measurements that broke their limits, and so made a site fail.
    broken: Vec<Broken<'a>>,
    /// Sites that could not go back.
    not_back: Vec<leftovers::NotBack<'a>>,
    /// Touched clusters that did not answer in the end.
    unreachable: Vec<&'a str>,
    /// Verdicts that people gave in place of gates', in words.
    overridden: Vec<String>,
    /// What was approved and by whom, in words.
    approved: Vec<String>,
    /// What became of clusters that came or went while it ran.
    members: BTreeMap<&'a str, String>,
    /// Largest number of nodes on the new release at once, summed over sites.
    exposed_nodes: u32,
    /// All answers of each gate, those on trial with what they would have decided.
    gates: BTreeMap<String, verdicts::GateSum>,
    /// None where no front door answers.
    requests: Option<Requests>,
    /// What decided and judged in the end.
    plugins: BTreeMap<String, swap_text::JsonPart<'a>>,
}

/// A measurement that broke its limit.
#[derive(serde::Serialize)]
struct Broken<'a> {
    site: &'a str,
    gate: &'a str,
    measurement: &'a str,
    /// Empty for all clusters of the site.
    cluster: &'a str,
    value: Option<f64>,
    unit: &'a str,
    limit: &'a str,
    samples: u32,
}

/// Tells how a run ended: a report on standard output, or as JSON.
pub(crate) async fn tell(outcome: &Outcome, state: Option<&State>, format: Format, dir: &StateDir) {
    let Some(state) = state else { return };
    let requests = requests(state, dir).await;
    if format == Format::Json {
        output::json(&json(outcome, state, requests));
    } else {
        output::data(text(outcome, state, requests.as_ref(), dir).trim_end());
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ended(end) => end.to_string(),
        Outcome::Held(waiting) if waiting.iter().any(is_for_clusters) => {
            "held, a cluster does not answer".to_owned()
        }
        Outcome::Held(_) => "held, a person is needed".to_owned(),
        Outcome::Interrupted => "interrupted".to_owned(),
    }
}

/// Whether somebody waits for clusters that do not answer.
pub(crate) fn is_for_clusters(waiting: &Waiting) -> bool {
    matches!(
        waiting.on,
        WaitingOn::Unreachable { .. } | WaitingOn::Closing { .. }
    )
}

fn seconds(state: &State) -> f64 {
    // Milliseconds of a rollout are far below 2^53.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a duration of a rollout is far below 2^53 ms"
    )]
    let ms = state.clock.last.since(state.clock.started).0 as f64;
    ms / 1000.0
}

fn json<'a>(outcome: &Outcome, state: &'a State, requests: Option<Requests>) -> Report<'a> {
    let failure = |(name, site): (
        &'a wavegate_model::SiteName,
        &wavegate_engine::state::SiteState,
    )| { Some((name.as_str(), site.failure.as_ref()?.to_string())) };
    Report {
        version: JSON_VERSION,
        rollout: state.spec.rollout.as_str(),
        outcome: word(outcome),
        release: &state.spec.release.version,
        digest: state.spec.release.digest.text().short().to_owned(),
        seconds: seconds(state),
        sites: state
            .sites
            .iter()
            .map(|(name, site)| (name.as_str(), follow::phase(site.phase)))
            .collect(),
        failures: state.sites.iter().filter_map(failure).collect(),
        broken: broken(state)
            .map(|(site, gate, measurement)| Broken {
                site: site.as_str(),
                gate: gate.as_str(),
                measurement: &measurement.name,
                cluster: &measurement.cluster,
                value: measurement.value,
                unit: &measurement.unit,
                limit: &measurement.limit,
                samples: measurement.samples,
            })
            .collect(),
        not_back: leftovers::not_back(state),
        unreachable: leftovers::unreachable(state),
        overridden: words::overrides(state),
        approved: words::approvals(state),
        members: state
            .members
            .iter()
            .map(|(name, outcome)| (name.as_str(), words::member(name, outcome)))
            .collect(),
        exposed_nodes: exposed(state),
        gates: verdicts::sums(state, |_, _| true)
            .into_iter()
            .map(|(gate, sum)| (gate.to_string(), sum))
            .collect(),
        requests,
        plugins: swap_text::parts(state),
    }
}

/// The measurements that made sites fail.
fn broken(state: &State) -> impl Iterator<Item = (&SiteName, &GateName, &Measurement)> {
    state.sites.iter().flat_map(|(name, site)| {
        let (gate, measurements) = match &site.failure {
            Some(FailReason::Gate {
                gate, measurements, ..
            }) => (Some(gate), measurements.as_slice()),
            Some(_) | None => (None, [].as_slice()),
        };
        let of_site = move |m| gate.map(|gate| (name, gate, m));
        measurements.iter().filter_map(of_site)
    })
}

fn exposed(state: &State) -> u32 {
    state.sites.values().map(|site| site.exposed_nodes).sum()
}

fn text(outcome: &Outcome, state: &State, requests: Option<&Requests>, dir: &StateDir) -> String {
    let spec = &state.spec;
    let good = matches!(outcome, Outcome::Ended(End::Done));
    let mut out = String::new();
    let headline = format!(
        "{} {}: {}",
        spec.service,
        spec.release.version,
        word(outcome)
    );
    let line = |out: &mut String, text: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{text}");
    };
    line(&mut out, &paint(if good { GOOD } else { BAD }, &headline));
    line(
        &mut out,
        &format!("  rollout   {} in {:.1} s", spec.rollout, seconds(state)),
    );
    for (site, gate, measurement) in broken(state).take(BROKEN_MAX) {
        let text = format!(
            "  broken    {}, measured by gate {gate} in site {site}",
            measurement_text(measurement)
        );
        line(&mut out, &paint(BAD, &text));
    }
    let mut sites: Vec<_> = state.sites.iter().collect();
    sites.sort_by_key(|(_, site)| site.number);
    for (name, site) in sites.iter().take(30) {
        let (ready, total, share) = follow::nodes(state, name);
        let wave = &spec.plan.waves[site.wave].name;
        let phase = follow::phase(site.phase);
        line(
            &mut out,
            &format!(
                "  site      {name} (wave {wave}): {phase}; {ready}/{total} nodes and {}% of traffic on {}",
                share / 10,
                spec.release.version
            ),
        );
        match &site.failure {
            // Its measurements have lines of their own.
            Some(FailReason::Gate { gate, reason, .. }) => {
                let text = format!("failed: gate {gate}: {reason}");
                line(&mut out, &format!("            {}", paint(BAD, &text)));
            }
            Some(reason) => {
                let text = format!("failed: {reason}");
                line(&mut out, &format!("            {}", paint(BAD, &text)));
            }
            None => {}
        }
    }
    if sites.len() > 30 {
        line(
            &mut out,
            &format!(
                "  …         and {} more sites; see `wavegate status`",
                sites.len() - 30
            ),
        );
    }
    for (name, outcome) in state.members.iter().take(MEMBERS_MAX) {
        let text = words::member(name, outcome);
        line(&mut out, &format!("  fleet     {text}"));
    }
    for text in leftovers::lines(state) {
        line(&mut out, &paint(BAD, &text));
    }
    gates(state).iter().for_each(|text| line(&mut out, text));
    for text in words::approvals(state) {
        line(&mut out, &format!("  approved  {text}"));
    }
    for text in words::overrides(state) {
        line(&mut out, &paint(BAD, &format!("            {text}")));
    }
    for text in swap_text::swapped(state) {
        line(&mut out, &format!("  swapped   {text}"));
    }
    line(
        &mut out,
        &format!(
            "  exposed   {} at once ran {}",
            plural(exposed(state), "node"),
            spec.release.version
        ),
    );
    if let Some(r) = requests {
        line(
            &mut out,
            &format!(
                "            {} went to {}, {} of them without a good answer",
                plural(r.new, "request"),
                spec.release.version,
                r.new_failed
            ),
        );
        line(
            &mut out,
            &format!(
                "            {} went to other releases, {} of them without a good answer",
                plural(r.other, "request"),
                r.other_failed
            ),
        );
    }
    match outcome {
        Outcome::Ended(_) => {}
        Outcome::Held(waiting) => {
            for waiting in waiting {
                line(
                    &mut out,
                    &format!("  waits     {} for {}", waiting.who, waiting.on),
                );
            }
        }
        Outcome::Interrupted => {
            let how = format!(
                "wavegate --state {} resume {}",
                dir.path().display(),
                spec.rollout
            );
            line(&mut out, &format!("  go on     {}", paint(STRONG, &how)));
        }
    }
    line(
        &mut out,
        &format!(
            "  history   wavegate --state {} history {}",
            dir.path().display(),
            spec.rollout
        ),
    );
    out
}

/// A line for each gate; of sites that failed, the last verdicts one by one.
fn gates(state: &State) -> Vec<String> {
    let failed = |site: &SiteName| state.sites.get(site).is_some_and(|s| s.failure.is_some());
    let mut lines = Vec::new();
    let mut alone = BTreeSet::new();
    for (key, gate) in state.gates() {
        let Some(evaluation) = &gate.evaluation else {
            continue;
        };
        if let Subject::Site(site) = &key.subject
            && failed(site)
            && lines.len() < BROKEN_MAX
        {
            alone.insert(key.clone());
            lines.push(format!(
                "  gate      {} ({}) in {site}, asked {}; last {}",
                key.gate,
                key.phase.as_str(),
                plural(gate.answers, "time"),
                words::verdict(evaluation)
            ));
        }
    }
    let sums = verdicts::sums(state, |key, _| !alone.contains(key));
    lines.extend(
        sums.iter()
            .map(|(gate, sum)| format!("  gate      {}", verdicts::line(gate, sum))),
    );
    lines
}
