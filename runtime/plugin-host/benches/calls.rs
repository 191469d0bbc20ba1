//! What a call costs: in a new instance against one that is kept, over a worker thread, and as a
//! whole; and what a start costs. The sides are interleaved; each number is the median of rounds.
//!
//! `cargo bench -p wavegate-plugin-host` prints the numbers and their targets.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]

#[path = "../tests/it/ask.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod ask;
#[path = "../tests/it/components.rs"]
mod components;
#[path = "../../../tests/src/guests.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod guests;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use wavegate_model::evidence::Series;
use wavegate_model::plugin::{PluginKind, PluginState};
use wavegate_model::policy::PluginRef;
use wavegate_model::{DurationMs, Evidence, Query, SlotName};
use wavegate_plugin_host::{Bench, HostOptions, PluginHost};
use wavegate_ports::plugins::{PluginCall, Plugins, Question};

const ROUNDS: usize = 9;
const CALLS: u32 = 2_000;
const CONFIG: &str = r#"{"stages":[{"nodes":"25%"}]}"#;

fn main() {
    let canary = components::SHIPPED[0].2;
    println!(
        "{:<58} {:>9}  {:>9}",
        "median of 9 rounds, 2000 calls each", "µs a call", "target"
    );
    for (name, component) in [
        ("canary", canary),
        ("by hand", &guests::build("plain-strategy")),
    ] {
        calls(name, component);
    }
    hop(canary);
    comparison();
    starts();
}

/// Fresh against kept, and the whole with 1 KiB of state.
fn calls(name: &str, component: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::new(folder.path(), component, PluginKind::Strategy);
    let (view, none) = (ask::view(), PluginState::default());
    // Its own state, which is JSON, with blanks up to 1 KiB.
    let mut state = bench.fresh(&view, CONFIG, &none).state.0;
    state.resize(1024, b' ');
    let large = Question::Decide {
        view: ask::view(),
        state: PluginState(state),
    };
    let (mut fresh, mut kept, mut whole, mut encoding) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fresh.push(micros(|| _ = black_box(bench.fresh(&view, CONFIG, &none))));
        kept.push(micros(|| _ = black_box(bench.kept(&view, CONFIG, &none))));
        whole.push(micros(|| _ = black_box(bench.whole(&large, CONFIG))));
        encoding.push(micros(|| _ = black_box(bench.encode(&large))));
    }
    let (fresh, kept) = (median(fresh), median(kept));
    line(&format!("{name}: decide in a kept instance"), kept, "");
    line(&format!("{name}: decide in a new instance"), fresh, "");
    line(
        &format!("{name}: what a new instance costs"),
        fresh - kept,
        "10",
    );
    line(
        &format!("{name}: whole decide, 1 KiB of state, encoded"),
        median(whole),
        "30",
    );
    line(
        &format!("{name}:   of that, encoding the question"),
        median(encoding),
        "",
    );
}

/// The same over a worker thread and a channel, as the conductor calls it.
fn hop(component: &'static [u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let host = host(folder.path(), [("canary".to_owned(), component)].into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let reference = PluginRef::Shipped("canary".into());
    let kind = PluginKind::Strategy;
    let loaded = runtime
        .block_on(host.load(&reference, kind, folder.path()))
        .expect("canary loads");
    let rounds = (0..ROUNDS).map(|_| {
        micros(|| {
            let question = Question::Decide {
                view: ask::view(),
                state: PluginState::default(),
            };
            let call = PluginCall {
                config: CONFIG.into(),
                ..ask::call(&loaded.digest, question)
            };
            black_box(runtime.block_on(host.call(call)));
        })
    });
    line(
        "canary: decide over a worker thread, encoded",
        median(rounds.collect()),
        "",
    );
}

/// The gate *compare* on two series of 10,000 samples each, with all its evidence at hand.
fn comparison() {
    const SAMPLES: u32 = 10_000;
    const CONFIG: &str = r#"{"query":"{{cohort}} of {{cluster}}","critical":0.5,"step":"60ms"}"#;
    let component = components::SHIPPED
        .iter()
        .find(|(name, ..)| *name == "compare");
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::new(
        folder.path(),
        component.expect("it is shipped").2,
        PluginKind::Gate,
    );
    let Question::Evaluate { call, state, .. } = ask::evaluate(Vec::new()) else {
        unreachable!("it is a question to a gate")
    };
    #[expect(clippy::cast_precision_loss, reason = "an instant of today")]
    let now = call.now.0 as f64;
    // Numbers as if by chance, none of them twice.
    let mut seed = 1_u32;
    let mut series = |more: f64| {
        let sample = |i: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f64::from(seed) / f64::from(u32::MAX);
            (
                now - 60.0 * f64::from(SAMPLES - i),
                10.0 / (0.1 + value) + more,
            )
        };
        Evidence::Series(vec![Series {
            labels: Vec::new(),
            samples: (1..=SAMPLES).map(sample).collect(),
        }])
    };
    let cluster = &call.updated[0].name;
    let query = |cohort: &str| Query::Range {
        slot: SlotName::new("metrics"),
        query: format!("{cohort} of {cluster}"),
        window: DurationMs(600_000),
        step: DurationMs(60),
    };
    let evidence = vec![
        (query("new"), series(0.01)),
        (query("baseline"), series(0.0)),
    ];
    let question = Question::Evaluate {
        call: call.clone(),
        state,
        evidence,
        slots: [SlotName::new("metrics")].into(),
    };
    let mut used = (0, 0);
    let rounds = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        for _ in 0..20 {
            used = bench.answered(&question, CONFIG);
        }
        in_micros(begun.elapsed()) / 20.0
    });
    let micros = median(rounds.collect());
    println!(
        "compare: {} units of fuel, {} bytes of memory",
        used.0, used.1
    );
    line("compare: two series of 10,000 samples", micros, "5000");
}

/// All shipped plugins from nothing, and from what was compiled before.
fn starts() {
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        cold.push(start(folder.path()));
        warm.push(start(folder.path()));
    }
    line(
        "start with all shipped plugins, nothing compiled",
        median(cold),
        "1000000",
    );
    line(
        "start with all shipped plugins, compiled before",
        median(warm),
        "100000",
    );
}

fn start(folder: &Path) -> f64 {
    let begun = Instant::now();
    let shipped = components::SHIPPED
        .iter()
        .map(|(name, _, bytes)| ((*name).to_owned(), *bytes))
        .collect();
    let host = host(folder, shipped);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    for (name, kind, _) in components::SHIPPED {
        let loaded = runtime.block_on(host.load(&PluginRef::Shipped(name.into()), kind, folder));
        loaded.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    in_micros(begun.elapsed())
}

fn host(folder: &Path, shipped: BTreeMap<String, &'static [u8]>) -> PluginHost {
    let mut options = HostOptions::new(folder.join("store"));
    options.shipped = shipped;
    PluginHost::new(options).expect("a host")
}

fn micros(mut call: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    in_micros(begun.elapsed()) / f64::from(CALLS)
}

fn in_micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn line(what: &str, micros: f64, target: &str) {
    println!("{what:<58} {micros:>9.1}  {target:>9}");
    let at_most = if target.is_empty() {
        String::new()
    } else {
        format!("at most {target}")
    };
    println!(
        r#"figure: {{"name": "{what}", "median": {micros:.1}, "unit": "µs", "rounds": 9, "target": "{at_most}"}}"#
    );
}
