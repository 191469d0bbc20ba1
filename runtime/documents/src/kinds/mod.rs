//! The kinds of document, one module each.

mod approvals;
mod fleet;
mod gate;
mod policy;
mod release;
mod rollout;
mod simulation;
mod source;
mod windows;

pub(crate) use approvals::STARTER;
pub(crate) use fleet::{ClusterSpot, FleetDoc, NODES_MAX};
pub(crate) use gate::{CLASSES, ConfigSpot, GateSpots, ON_UNAVAILABLE, PHASES};
pub(crate) use policy::{
    END_STATES, ON_ADDED, ON_REMOVED, ON_TIME_LIMIT, ON_UNREACHABLE, PolicyDoc, SelectorSpots,
    WHEN_BUSY,
};
pub(crate) use release::ReleaseDoc;
pub(crate) use rollout::RolloutDoc;
pub(crate) use simulation::{LATENCY_UNITS, METRIC_VALUES, SimulationDoc};
pub(crate) use source::SourceDoc;

use crate::diagnostic::{Code, Diagnostic, quoted};
use crate::fields::{Cx, Fields, Spot, spot};
use crate::node::{Node, Value};
use crate::shape::Shape;
use crate::{shapes, suggest, values};

/// The version of the documents.
pub(crate) const API_VERSION: &str = "wavegate.dev/v1alpha1";

/// Drivers that this version has. A cluster's connection and a release's artifact stand in a
/// block that is named after the driver.
pub(crate) const DRIVERS: &[&str] = &["local"];
/// Drivers of the design that this version has not.
pub(crate) const DRIVERS_NOT_BUILT: &[&str] = &["kubernetes", "sim"];

/// A document of any kind.
#[derive(Debug)]
pub(crate) enum Doc {
    Fleet(FleetDoc),
    Policy(Box<PolicyDoc>),
    Release(ReleaseDoc),
    Rollout(RolloutDoc),
    Simulation(Box<SimulationDoc>),
    Source(SourceDoc),
}

#[derive(Clone, Copy)]
enum Kind {
    Fleet,
    Policy,
    Release,
    Rollout,
    Simulation,
    Source,
}

const KINDS: &[(&str, Kind, &Shape)] = &[
    ("Fleet", Kind::Fleet, &shapes::fleet::FLEET),
    ("Release", Kind::Release, &shapes::fleet::RELEASE),
    ("Rollout", Kind::Rollout, &shapes::ROLLOUT),
    ("RolloutPolicy", Kind::Policy, &shapes::policy::POLICY),
    (
        "Simulation",
        Kind::Simulation,
        &shapes::simulation::SIMULATION,
    ),
    ("Source", Kind::Source, &shapes::source::SOURCE),
];

/// Names of the kinds, and what their `spec` may hold.
pub(crate) fn kinds() -> impl Iterator<Item = (&'static str, &'static Shape)> {
    KINDS.iter().map(|(name, _, spec)| (*name, *spec))
}

/// Reads one document. Nothing if it has a problem.
pub(crate) fn read(cx: Cx<'_>, node: &Node) -> Option<Doc> {
    let mut fields = Fields::open(cx, node, &shapes::DOCUMENT)?;
    let version = fields.required("apiVersion", api_version);
    let kind = fields.required("kind", kind);
    let name = fields.required("metadata", metadata);
    let spec = fields.entry("spec");
    if spec.is_none() {
        let problem = Diagnostic::error(Code::MissingField, "this document has no `spec`");
        cx.problems
            .push(problem.at(fields.place(), "`spec` is missing here"));
    }
    let finished = fields.finish();
    // The specification is read even if the name is bad, to show all problems at once.
    let doc = match (kind?, spec?.1) {
        (Kind::Fleet, spec) => FleetDoc::read(cx, name, spec).map(Doc::Fleet),
        (Kind::Policy, spec) => {
            PolicyDoc::read(cx, name, spec).map(|doc| Doc::Policy(Box::new(doc)))
        }
        (Kind::Release, spec) => ReleaseDoc::read(cx, name, spec).map(Doc::Release),
        (Kind::Rollout, spec) => RolloutDoc::read(cx, name, spec).map(Doc::Rollout),
        (Kind::Simulation, spec) => {
            SimulationDoc::read(cx, name, spec).map(|doc| Doc::Simulation(Box::new(doc)))
        }
        (Kind::Source, spec) => SourceDoc::read(cx, name, spec).map(Doc::Source),
    };
    version?;
    finished?;
    doc
}

fn api_version(cx: Cx<'_>, node: &Node) -> Option<()> {
    match &node.value {
        Value::Text(text) if text == API_VERSION => Some(()),
        Value::Text(text) => {
            let problem = Diagnostic::error(
                Code::UnknownKind,
                format!("unknown version {}", quoted(text)),
            );
            cx.fail(
                problem
                    .at(cx.place(node), "")
                    .hint(format!("this host knows `{API_VERSION}`")),
            )
        }
        _ => cx.wrong_type(
            node,
            "a text",
            Some(format!("this host knows `{API_VERSION}`")),
        ),
    }
}

fn kind(cx: Cx<'_>, node: &Node) -> Option<Kind> {
    let Value::Text(text) = &node.value else {
        return cx.wrong_type(node, "the name of a kind", None);
    };
    match KINDS.iter().find(|(name, _, _)| name == text) {
        Some((_, kind, _)) => Some(*kind),
        None => {
            let problem =
                Diagnostic::error(Code::UnknownKind, format!("unknown kind {}", quoted(text)));
            let hint = suggest::hint(text, kinds().map(|(name, _)| name));
            cx.fail(problem.at(cx.place(node), "").maybe_hint(hint))
        }
    }
}

fn metadata(cx: Cx<'_>, node: &Node) -> Option<Spot<String>> {
    let mut fields = Fields::open(cx, node, &shapes::METADATA)?;
    let name = fields.required("name", spot(values::document_name));
    fields.finish()?;
    name
}

/// The name of a driver.
fn driver(cx: Cx<'_>, node: &Node) -> Option<String> {
    let name = values::text(cx, node)?;
    check_driver(cx, node, &name).then_some(name)
}

fn check_driver(cx: Cx<'_>, node: &Node, name: &str) -> bool {
    if DRIVERS.contains(&name) {
        return true;
    }
    if DRIVERS_NOT_BUILT.contains(&name) {
        let what = format!("the driver `{name}`");
        let problem = crate::fields::not_built(&what, cx.place(node));
        cx.problems
            .push(problem.hint(format!("this version has {}", suggest::one_of(DRIVERS))));
        return false;
    }
    let problem = Diagnostic::error(
        Code::Dangling,
        format!("there is no driver {}", quoted(name)),
    );
    cx.problems.push(
        problem
            .at(cx.place(node), "")
            .maybe_hint(suggest::hint(name, DRIVERS.iter().copied())),
    );
    false
}
