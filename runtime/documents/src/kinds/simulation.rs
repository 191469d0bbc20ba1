//! `Simulation`: a world to simulate rollouts in.

use super::policy::selector;
use crate::diagnostic::{Code, Diagnostic};
use crate::fields::{Cx, Fields, Spot, list, spot};
use crate::node::Node;
use crate::shapes::simulation as shapes;
use crate::source::Place;
use crate::values;
use std::collections::BTreeMap;
use wavegate_model::simulation::{
    Answer, Fault, LatencyUnit, Metric, Network, Nodes, Page, Simulation, Traffic, Value,
};
use wavegate_model::{Selector, SourceName};

#[derive(Debug)]
pub(crate) struct SimulationDoc {
    pub(crate) name: Spot<String>,
    pub(crate) simulation: Simulation,
    /// Sources that it answers for, by the field that says so.
    pub(crate) metrics: Vec<Spot<String>>,
    pub(crate) pages: Vec<Spot<String>>,
}

/// What a simulated metric can say.
pub(crate) const METRIC_VALUES: &[(&str, Value)] = &[
    ("requests", Value::Requests),
    ("failed", Value::Failed),
    ("succeeded", Value::Succeeded),
    ("requestRate", Value::RequestRate),
    ("failureRate", Value::FailureRate),
    ("errorRatio", Value::ErrorRatio),
    ("successRatio", Value::SuccessRatio),
    ("p50", Value::P50),
    ("p95", Value::P95),
    ("p99", Value::P99),
    ("nodes", Value::Nodes),
];

/// What latencies are told in.
pub(crate) const LATENCY_UNITS: &[(&str, LatencyUnit)] = &[
    ("s", LatencyUnit::Seconds),
    ("ms", LatencyUnit::Milliseconds),
];

impl SimulationDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let usual = Simulation::default();
        let mut fields = Fields::open(cx, spec, &shapes::SIMULATION)?;
        let bad = fields.or("bad", usual.bad, values::share);
        let faults = fields.optional("faults", list(spot(fault)));
        let nodes = fields.or("nodes", usual.nodes, nodes);
        let traffic = fields.or("traffic", usual.traffic, traffic);
        let network = fields.or("network", usual.network, network);
        let metrics = fields.or("metrics", Vec::new(), list(metric));
        let pages = fields.or("pages", Vec::new(), list(page));
        let approve_after = fields.or("approveAfter", usual.approve_after, values::duration);
        let give_up_after = fields.or(
            "giveUpAfter",
            usual.give_up_after,
            values::duration_above_zero,
        );
        fields.finish()?;
        let faults = match faults? {
            Some(faults) => named_once(cx, faults)?,
            None => usual.faults,
        };
        let (metrics, metrics_of): (Vec<_>, Vec<_>) = metrics?.into_iter().unzip();
        let (pages, pages_of): (Vec<_>, Vec<_>) = pages?.into_iter().unzip();
        if faults.is_empty() {
            let hint = "leave `faults` out for common ones, or say `bad: 0%`";
            return cx.bad_value(spec, "no bad release could be drawn", Some(hint.into()));
        }
        Some(Self {
            name: name?,
            simulation: Simulation {
                bad: bad?,
                faults,
                nodes: nodes?,
                traffic: traffic?,
                network: network?,
                metrics,
                pages,
                approve_after: approve_after?,
                give_up_after: give_up_after?,
            },
            metrics: metrics_of,
            pages: pages_of,
        })
    }
}

/// Reports tell faults apart by their names.
fn named_once(cx: Cx<'_>, faults: Vec<Spot<Fault>>) -> Option<Vec<Fault>> {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut good = true;
    for fault in &faults {
        if let Some(first) = seen.insert(&fault.value.name, &fault.place) {
            good = false;
            let message = format!("two faults are called `{}`", fault.value.name);
            let problem = Diagnostic::error(Code::Duplicate, message);
            let problem = problem.at(fault.place.clone(), "again");
            cx.problems.push(problem.see(first.clone(), "first"));
        }
    }
    good.then(|| faults.into_iter().map(|fault| fault.value).collect())
}

fn fault(cx: Cx<'_>, node: &Node) -> Option<Fault> {
    let mut fields = Fields::open(cx, node, &shapes::FAULT)?;
    let usual = Fault::named("");
    let name = fields.required("name", values::name::<wavegate_model::GateName>);
    let weight = fields.or("weight", usual.weight, values::whole(1, 1000));
    let errors = fields.or("errors", usual.errors, values::share);
    let slower = fields.or("slower", 1, values::whole(1, 1000));
    let start = fields.or("failedStarts", usual.start, values::share);
    let checks = fields.or("failedChecks", usual.checks, values::share);
    let after = fields.or("after", usual.after, values::duration);
    let load = fields.optional("underLoad", values::whole(1, 10_000));
    let clusters = fields.or("clusters", Selector::default(), |cx, node| {
        selector(cx, node).map(|(selector, _)| selector)
    });
    let share = fields.or("share", usual.share, values::share);
    fields.finish()?;
    let fault = Fault {
        name: name?.to_string(),
        weight: weight?,
        errors: errors?,
        latency: slower? * 100,
        start: start?,
        checks: checks?,
        after: after?,
        load: load?,
        clusters: clusters?,
        share: share?,
    };
    let harmless = fault.errors.0 + fault.start.0 + fault.checks.0 == 0 && fault.latency == 100;
    if harmless {
        let hint = "say `errors`, `slower`, `failedStarts` or `failedChecks`";
        return cx.bad_value(
            node,
            "nothing is wrong with such a release",
            Some(hint.into()),
        );
    }
    Some(fault)
}

fn nodes(cx: Cx<'_>, node: &Node) -> Option<Nodes> {
    let mut fields = Fields::open(cx, node, &shapes::NODES)?;
    let usual = Nodes::default();
    let start = fields.or("start", usual.start, values::duration_above_zero);
    let start_p95 = fields.optional("startP95", values::duration_above_zero);
    let stop = fields.or("stop", usual.stop, values::duration);
    let slow = fields.or("slow", usual.slow, values::share);
    let flapping = fields.or("flapping", usual.flapping, values::share);
    let flap_every = fields.or("flapEvery", usual.flap_every, values::duration_above_zero);
    let flap_for = fields.or("flapFor", usual.flap_for, values::duration_above_zero);
    fields.finish()?;
    let start = start?;
    let start_p95 = start_p95?.unwrap_or(usual.start_p95.max(start));
    if start_p95 < start {
        let message = "`startP95` is shorter than `start`, the median";
        return cx.bad_value(node, message, None);
    }
    Some(Nodes {
        start,
        start_p95,
        stop: stop?,
        slow: slow?,
        flapping: flapping?,
        flap_every: flap_every?,
        flap_for: flap_for?,
    })
}

fn traffic(cx: Cx<'_>, node: &Node) -> Option<Traffic> {
    let mut fields = Fields::open(cx, node, &shapes::TRAFFIC)?;
    let usual = Traffic::default();
    let per_node = fields.or("perNode", usual.per_node, values::whole(0, 1_000_000));
    let day = fields.or("day", usual.day, values::share);
    let noise = fields.or("noise", usual.noise, values::share);
    let fails = fields.or(
        "failsOneIn",
        usual.fails_one_in,
        values::whole(0, 1_000_000_000),
    );
    let latency = fields.or("latency", usual.latency, values::duration_above_zero);
    let p95 = fields.optional("latencyP95", values::duration_above_zero);
    fields.finish()?;
    let latency = latency?;
    let latency_p95 = p95?.unwrap_or(usual.latency_p95.max(latency));
    if latency_p95 < latency {
        let message = "`latencyP95` is shorter than `latency`, the median";
        return cx.bad_value(node, message, None);
    }
    Some(Traffic {
        per_node: per_node?,
        day: day?,
        noise: noise?,
        fails_one_in: fails?,
        latency,
        latency_p95,
    })
}

fn network(cx: Cx<'_>, node: &Node) -> Option<Network> {
    let mut fields = Fields::open(cx, node, &shapes::NETWORK)?;
    let usual = Network::default();
    let delay = fields.or("delay", usual.delay, values::duration);
    let late = fields.or("late", usual.late, values::share);
    let late_by = fields.or("lateBy", usual.late_by, values::duration);
    let twice = fields.or("twice", usual.twice, values::share);
    let fails = fields.or("fails", usual.fails, values::share);
    let skew = fields.or("skew", usual.skew, values::duration);
    let lost_every = fields.or("lostEvery", usual.lost_every, values::duration);
    let lost_for = fields.or("lostFor", usual.lost_for, values::duration_above_zero);
    fields.finish()?;
    Some(Network {
        delay: delay?,
        late: late?,
        late_by: late_by?,
        twice: twice?,
        fails: fails?,
        skew: skew?,
        lost_every: lost_every?,
        lost_for: lost_for?,
    })
}

fn source(cx: Cx<'_>, node: &Node) -> Option<Spot<String>> {
    spot(values::document_name)(cx, node)
}

fn metric(cx: Cx<'_>, node: &Node) -> Option<(Metric, Spot<String>)> {
    let mut fields = Fields::open(cx, node, &shapes::METRIC)?;
    let source = fields.required("source", source);
    let contains = fields.or("contains", String::new(), values::text);
    let value = fields.required("value", values::choice(METRIC_VALUES));
    let unit = fields.optional("unit", spot(values::choice(LATENCY_UNITS)));
    let cluster_label = fields.optional("clusterLabel", values::text);
    fields.finish()?;
    let (source, value, unit) = (source?, value?, unit?);
    if let Some(unit) = unit.as_ref().filter(|_| !value.is_latency()) {
        let problem = Diagnostic::error(Code::BadValue, "only `p50`, `p95` and `p99` have a unit");
        return cx.fail(problem.at(unit.place.clone(), "").hint("leave `unit` out"));
    }
    let metric = Metric {
        source: SourceName::new(source.value.clone()),
        contains: contains?,
        value,
        unit: unit.map_or_else(Default::default, |unit| unit.value),
        cluster_label: cluster_label?,
    };
    Some((metric, source))
}

fn page(cx: Cx<'_>, node: &Node) -> Option<(Page, Spot<String>)> {
    let mut fields = Fields::open(cx, node, &shapes::PAGE)?;
    let source = fields.required("source", source);
    let contains = fields.or("contains", String::new(), values::text);
    let healthy = fields.required("healthy", answer);
    let failing = fields.required("failing", answer);
    fields.finish()?;
    let source = source?;
    let page = Page {
        source: SourceName::new(source.value.clone()),
        contains: contains?,
        healthy: healthy?,
        failing: failing?,
    };
    Some((page, source))
}

fn answer(cx: Cx<'_>, node: &Node) -> Option<Answer> {
    let mut fields = Fields::open(cx, node, &shapes::ANSWER)?;
    let status = fields.or("status", 200, values::whole(100, 599));
    let body = fields.or("body", String::new(), values::text);
    fields.finish()?;
    Some(Answer {
        status: status?,
        body: body?,
    })
}
