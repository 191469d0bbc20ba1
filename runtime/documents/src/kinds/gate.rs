//! The parts of a policy that name plugins: the strategy and the gates.

use crate::defaults;
use crate::diagnostic::{Code, Diagnostic, clean, quoted};
use crate::fields::{Cx, Fields, Spot, entries, list, spot};
use crate::node::{Node, Value};
use crate::shapes::policy as shapes;
use crate::source::Place;
use crate::values;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::limits::{BUDGET_WINDOW_MAX, CallLimits, GATE_INTERVAL_MIN, ResourceClass};
use wavegate_model::plugin::Phase;
use wavegate_model::policy::{
    BudgetWindow, GateBudget, GateUse, OnUnavailable, PluginRef, StrategyUse,
};
use wavegate_model::{DurationMs, GateName, SlotName, SourceName};

pub(crate) const PHASES: &[(&str, Phase)] = &[
    ("beforeWave", Phase::BeforeWave),
    ("beforeSite", Phase::BeforeSite),
    ("afterBatch", Phase::AfterBatch),
    ("soak", Phase::Soak),
    ("afterWave", Phase::AfterWave),
    ("continuous", Phase::Continuous),
];
pub(crate) const CLASSES: &[(&str, ResourceClass)] = &[
    ("small", ResourceClass::Small),
    ("medium", ResourceClass::Medium),
    ("large", ResourceClass::Large),
];
pub(crate) const ON_UNAVAILABLE: &[(&str, OnUnavailable)] =
    &[("hold", OnUnavailable::Hold), ("fail", OnUnavailable::Fail)];

/// Where something that a plugin or driver checks stands, and the part that it sees.
#[derive(Clone, Debug)]
pub(crate) struct ConfigSpot {
    /// Its key.
    pub(crate) place: Place,
    /// None if it was left out, and the default `{}` is meant.
    pub(crate) node: Option<Node>,
    /// `config`, `connection` or `artifact`.
    pub(crate) what: &'static str,
}

/// The places of a gate.
#[derive(Debug)]
pub(crate) struct GateSpots {
    pub(crate) name: Place,
    pub(crate) slots: BTreeMap<SlotName, Place>,
    pub(crate) config: ConfigSpot,
    pub(crate) plugin: Place,
}

/// The places of a strategy.
#[derive(Debug)]
pub(crate) struct StrategySpots {
    pub(crate) config: ConfigSpot,
    pub(crate) plugin: Place,
}

pub(super) fn strategy(cx: Cx<'_>, node: &Node) -> Option<(StrategyUse, StrategySpots)> {
    if let Value::Text(text) = &node.value {
        let hint = format!("write `{{plugin: {{shipped: {}}}}}`", clean(text));
        return cx.wrong_type(node, "a map (the fields of a strategy)", Some(hint));
    }
    let mut fields = Fields::open(cx, node, &shapes::STRATEGY)?;
    let plugin = fields.required("plugin", spot(plugin));
    let config = config(cx, &mut fields);
    let class = plugin.as_ref().and_then(|plugin| plugin.value.1);
    let limits = fields.or("limits", unless_named(class), limits(class));
    fields.finish()?;
    let (plugin, (json, config)) = (plugin?, config?);
    let used = StrategyUse {
        plugin: plugin.value.0,
        config: json,
        limits: limits?,
        class,
    };
    Some((
        used,
        StrategySpots {
            config,
            plugin: plugin.place,
        },
    ))
}

/// Gates, sorted by name.
pub(super) fn gates(cx: Cx<'_>, node: &Node) -> Option<Vec<(GateUse, GateSpots)>> {
    let mut sorted: BTreeMap<GateName, (GateUse, GateSpots)> = BTreeMap::new();
    let mut good = true;
    for (gate, spots) in list(gate)(cx, node)? {
        if let Some((_, first)) = sorted.get(&gate.name) {
            good = false;
            let message = format!("two gates are called `{}`", gate.name);
            let problem = Diagnostic::error(Code::Duplicate, message).at(spots.name, "again");
            cx.problems.push(problem.see(first.name.clone(), "first"));
        } else {
            sorted.insert(gate.name.clone(), (gate, spots));
        }
    }
    good.then(|| sorted.into_values().collect())
}

fn gate(cx: Cx<'_>, node: &Node) -> Option<(GateUse, GateSpots)> {
    let mut fields = Fields::open(cx, node, &shapes::GATE)?;
    let name = fields.required("name", spot(values::name::<GateName>));
    let plugin = fields.required("plugin", spot(plugin));
    let config = config(cx, &mut fields);
    let phases = fields.required("phases", phases);
    let interval = fields.or("interval", defaults::GATE_INTERVAL, interval);
    let slots = fields.or("slots", BTreeMap::new(), slots);
    let budget = fields.or("budget", defaults::GATE_BUDGET, budget);
    let min_samples = fields.or(
        "minSamples",
        defaults::GATE_MIN_SAMPLES,
        values::whole(0, 1_000_000),
    );
    let passes = fields.or("passes", defaults::GATE_PASSES, values::whole(1, 100));
    let fresh_for = fields.optional("freshFor", spot(values::duration_above_zero));
    let trial = fields.or("trial", false, values::boolean);
    let on_unavailable = fields.or(
        "onUnavailable",
        defaults::GATE_ON_UNAVAILABLE,
        values::choice(ON_UNAVAILABLE),
    );
    let class = plugin.as_ref().and_then(|plugin| plugin.value.1);
    let limits = fields.or("limits", unless_named(class), limits(class));
    fields.finish()?;
    let (name, plugin, (json, config), slots) = (name?, plugin?, config?, slots?);
    let interval = interval?;
    let fresh_for = match fresh_for? {
        None => defaults::gate_fresh_for(interval),
        Some(written) => fresh_for_at_least(cx, written, interval)?,
    };
    let gate = GateUse {
        name: name.value,
        plugin: plugin.value.0,
        config: json,
        phases: phases?,
        interval,
        slots: slots
            .iter()
            .map(|(slot, source)| (slot.clone(), source.value.clone()))
            .collect(),
        budget: budget?,
        min_samples: min_samples?,
        passes: passes?,
        fresh_for: Some(fresh_for),
        trial: trial?,
        on_unavailable: on_unavailable?,
        limits: limits?,
        class,
    };
    let slots = slots
        .into_iter()
        .map(|(slot, source)| (slot, source.place))
        .collect();
    Some((
        gate,
        GateSpots {
            name: name.place,
            slots,
            config,
            plugin: plugin.place,
        },
    ))
}

fn config(cx: Cx<'_>, fields: &mut Fields<'_, '_>) -> Option<(String, ConfigSpot)> {
    let place = fields.place();
    match fields.entry("config") {
        None => Some((
            "{}".into(),
            ConfigSpot {
                place,
                node: None,
                what: "config",
            },
        )),
        Some((key, block)) => {
            let spot = ConfigSpot {
                place: cx.place(key),
                node: Some(block.clone()),
                what: "config",
            };
            Some((values::json_map(cx, block)?, spot))
        }
    }
}

fn plugin(cx: Cx<'_>, node: &Node) -> Option<(PluginRef, Option<ResourceClass>)> {
    if let Value::Text(text) = &node.value {
        let hint = if text.contains(['/', '.']) {
            format!("`{{file: {text}}}`")
        } else {
            format!("`{{shipped: {text}}}`")
        };
        return cx.wrong_type(
            node,
            "a map that says where the plugin is",
            Some(format!("write {hint}")),
        );
    }
    let mut fields = Fields::open(cx, node, &shapes::PLUGIN)?;
    let shipped = fields.optional("shipped", values::text);
    let file = fields.optional("file", values::text);
    let class = fields.optional("class", values::choice(CLASSES));
    let place = fields.place();
    fields.finish()?;
    let class = class?;
    match (shipped?, file?) {
        (Some(name), None) => Some((PluginRef::Shipped(name), class)),
        (None, Some(file)) => Some((PluginRef::File(file), class)),
        _ => {
            let message = "a plugin has exactly one of `shipped` and `file`";
            cx.fail(Diagnostic::error(Code::BadValue, message).at(place, ""))
        }
    }
}

fn phases(cx: Cx<'_>, node: &Node) -> Option<BTreeSet<Phase>> {
    let phases = list(spot(values::choice(PHASES)))(cx, node)?;
    if phases.is_empty() {
        let words: Vec<&str> = PHASES.iter().map(|(word, _)| *word).collect();
        let hint = format!("list at least one of {}", crate::suggest::one_of(&words));
        return cx.bad_value(node, "a gate without phases is never asked", Some(hint));
    }
    let mut out = BTreeSet::new();
    for phase in phases {
        if !out.insert(phase.value) {
            let problem = Diagnostic::error(Code::Duplicate, "the phase is there twice");
            cx.problems.push(problem.at(phase.place, "again"));
            return None;
        }
    }
    Some(out)
}

fn interval(cx: Cx<'_>, node: &Node) -> Option<DurationMs> {
    let interval = values::duration(cx, node)?;
    if interval < GATE_INTERVAL_MIN {
        return cx.bad_value(
            node,
            format!("the interval is shorter than {GATE_INTERVAL_MIN}"),
            None,
        );
    }
    Some(interval)
}

/// A pass that is over before the gate is asked again would leave it never passed.
fn fresh_for_at_least(
    cx: Cx<'_>,
    written: Spot<DurationMs>,
    interval: DurationMs,
) -> Option<DurationMs> {
    let least = interval.max(defaults::GATE_FRESH_FOR_MIN);
    if written.value >= least {
        return Some(written.value);
    }
    let message = format!("a pass would count for less than {least}");
    let why = if least == interval {
        "the gate is asked again only after its interval"
    } else {
        "other gates and the strategy may take as long to answer"
    };
    cx.fail(Diagnostic::error(Code::BadValue, message).at(written.place, why))
}

fn slots(cx: Cx<'_>, node: &Node) -> Option<BTreeMap<SlotName, Spot<SourceName>>> {
    let mut out = Some(BTreeMap::new());
    for (_, key, value) in entries(cx, node, "a map from slots to sources")? {
        let slot = values::key_name::<SlotName>(cx, key);
        let source = spot(values::document_name)(cx, value);
        match (slot, source, &mut out) {
            (Some(slot), Some(source), Some(out)) => {
                out.insert(
                    slot,
                    Spot {
                        value: SourceName::new(source.value),
                        place: source.place,
                    },
                );
            }
            _ => out = None,
        }
    }
    out
}

fn budget(cx: Cx<'_>, node: &Node) -> Option<GateBudget> {
    let mut fields = Fields::open(cx, node, &shapes::GATE_BUDGET)?;
    let consecutive = fields.optional("consecutive", values::whole(0, 1000));
    let total = fields.optional("total", values::whole(0, 100_000));
    let window = fields.optional("window", budget_window);
    fields.finish()?;
    let (row, all, window) = (consecutive?, total?, window?);
    let beside = window.map_or(defaults::GATE_BUDGET, |window| GateBudget {
        consecutive: all.map_or(window.fails, |all| all.min(window.fails)),
        total: defaults::GATE_TOTAL_BESIDE_WINDOW,
        window: Some(window),
    });
    let consecutive = row.unwrap_or(beside.consecutive);
    let total = all.unwrap_or(beside.total);
    if consecutive > total {
        let message = format!("{consecutive} fails in a row are allowed, but only {total} in all");
        let hint = format!("`total` is at least `consecutive`: `total: {consecutive}`");
        return cx.bad_value(node, message, Some(hint));
    }
    if let Some(window) = window.filter(|window| consecutive > window.fails) {
        let BudgetWindow { fails, of } = window;
        let message =
            format!("{consecutive} fails in a row are allowed, but only {fails} among {of}");
        let hint = format!("`fails` is at least `consecutive`: `fails: {consecutive}`");
        return cx.bad_value(node, message, Some(hint));
    }
    Some(GateBudget {
        consecutive,
        total,
        window,
    })
}

/// `{fails: 2, of: 10}`.
fn budget_window(cx: Cx<'_>, node: &Node) -> Option<BudgetWindow> {
    let mut fields = Fields::open(cx, node, &shapes::BUDGET_WINDOW)?;
    let fails = fields.required("fails", values::whole(0, BUDGET_WINDOW_MAX - 1));
    let of = fields.required("of", values::whole(2, BUDGET_WINDOW_MAX));
    fields.finish()?;
    let (fails, of) = (fails?, of?);
    if fails >= of {
        let message = format!("{of} evaluations never have more than {fails} fails");
        let hint = "tolerate fewer, or look back over more";
        return cx.bad_value(node, message, Some(hint.into()));
    }
    Some(BudgetWindow { fails, of })
}

/// Limits that nobody names: those of the class, or whatever the component's class has.
fn unless_named(class: Option<ResourceClass>) -> CallLimits {
    class.map_or(defaults::CALL_LIMITS, ResourceClass::limits)
}

fn limits(class: Option<ResourceClass>) -> impl Fn(Cx<'_>, &Node) -> Option<CallLimits> {
    move |cx, node| limits_of(cx, node, class)
}

fn limits_of(cx: Cx<'_>, node: &Node, class: Option<ResourceClass>) -> Option<CallLimits> {
    let most = class.unwrap_or(defaults::CLASS).limits();
    let unnamed = unless_named(class);
    let mut fields = Fields::open(cx, node, &shapes::LIMITS)?;
    let fuel = fields.or("fuel", unnamed.fuel, |cx, node| {
        tightened(cx, node, values::whole64(cx, node)?, most.fuel, "")
    });
    let time = fields.or("time", unnamed.time, |cx, node| {
        let time = values::duration_above_zero(cx, node)?;
        tightened(cx, node, time.0, most.time.0, " ms").map(DurationMs)
    });
    let bytes = |most: u64| {
        move |cx: Cx<'_>, node: &Node| tightened(cx, node, values::bytes(cx, node)?, most, " bytes")
    };
    let memory_bytes = fields.or("memory", unnamed.memory_bytes, bytes(most.memory_bytes));
    let result_bytes = fields.or("result", unnamed.result_bytes, bytes(most.result_bytes));
    let log_bytes = fields.or("log", unnamed.log_bytes, bytes(most.log_bytes));
    fields.finish()?;
    Some(CallLimits {
        fuel: fuel?,
        time: time?,
        memory_bytes: memory_bytes?,
        result_bytes: result_bytes?,
        log_bytes: log_bytes?,
    })
}

/// A policy can tighten a limit of the host, never widen it.
fn tightened(cx: Cx<'_>, node: &Node, value: u64, most: u64, unit: &str) -> Option<u64> {
    if value == 0 {
        return cx.bad_value(node, "with a limit of 0 every call would end at once", None);
    }
    if value > most {
        let written = cx.source.text.get(node.range()).unwrap_or_default();
        let message = format!(
            "{} is more than the class of the plugin has",
            quoted(written)
        );
        return cx.bad_value(
            node,
            message,
            Some(format!(
                "a policy can only tighten limits; this one is {most}{unit} in the plugin's class, \
                 which is `small` unless `plugin` names a `class`"
            )),
        );
    }
    Some(value)
}
