//! What a plugin costs by language: one row for each worked strategy, and for a shipped one.
//!
//! `cargo xtask sdk-table` puts the rows into `sdk/README.md`. Compiling and loading are measured
//! once each, since they fill a cache; calls are medians of rounds that go from language to language.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasmparser::{Parser, Payload};
use wavegate_model::plugin::PluginKind;
use wavegate_tests::cases::{self, Asked};

/// Languages in the order of the table.
const LANGUAGES: [&str; 6] = ["rust", "c", "go", "javascript", "typescript", "python"];
/// Rounds of calls; the median is shown.
const ROUNDS: usize = 51;

struct Row {
    language: &'static str,
    path: PathBuf,
    compile_ms: f64,
    load_ms: f64,
    micros: Vec<u64>,
    fuel: u64,
    memory: u64,
}

#[tokio::main]
async fn main() {
    let Some(folder) = std::env::var_os("WAVEGATE_LANGUAGES").map(PathBuf::from) else {
        println!("WAVEGATE_LANGUAGES is not set: run `cargo xtask sdk-table`");
        return;
    };
    let mut rows = Vec::new();
    for language in LANGUAGES {
        let path = folder.join(format!("{language}-strategy/plugin.wasm"));
        let store = tempfile::tempdir().expect("a folder");
        let (compile_ms, _) = loaded(store.path(), &path).await;
        let (load_ms, _) = loaded(store.path(), &path).await;
        rows.push(Row {
            language,
            path,
            compile_ms,
            load_ms,
            micros: Vec::new(),
            fuel: 0,
            memory: 0,
        });
    }
    measure_calls(&mut rows).await;
    for row in &rows {
        println!("row: {}", words(row));
    }
}

/// How long a new host takes to load a component from this store.
async fn loaded(store: &Path, component: &Path) -> (f64, Asked) {
    let host = cases::host(store);
    let started = Instant::now();
    let plugin = cases::load(&host, component, PluginKind::Strategy).await;
    (started.elapsed().as_secs_f64() * 1000.0, plugin)
}

async fn measure_calls(rows: &mut [Row]) {
    let store = tempfile::tempdir().expect("a folder");
    let host = cases::host(store.path());
    let mut plugins = Vec::new();
    for row in rows.iter() {
        plugins.push(cases::load(&host, &row.path, PluginKind::Strategy).await);
    }
    let question = usual();
    for _ in 0..ROUNDS {
        for (row, plugin) in rows.iter_mut().zip(&plugins) {
            let report = cases::ask_once(&host, plugin, &question).await;
            row.micros.push(report.micros);
            row.fuel = report.fuel;
            row.memory = report.memory_bytes;
        }
    }
}

/// Four clusters and two gates: a step that was reached.
fn usual() -> Value {
    let cluster = |name: &str| {
        json!({"name": name, "desired": 12, "new-ready": 3, "baseline-ready": 9,
               "new-permille": 62, "baseline-permille": 188})
    };
    json!({
        "config": {"steps": ["25%", "50%"], "pause": "10s"},
        "view": {
            "completed": "goal",
            "clusters": [cluster("a"), cluster("b"), cluster("c"), cluster("d")],
            "gates": [{"name": "errors"}, {"name": "latency"}],
        },
    })
}

fn words(row: &Row) -> String {
    let bytes = std::fs::read(&row.path).expect("the component is there");
    let mut micros = row.micros.clone();
    micros.sort_unstable();
    format!(
        "| {} | {:.0} KB | {} | {:.0} ms | {:.1} ms | {} µs | {:.2} M | {:.1} MB |",
        row.language,
        bytes.len() as f64 / 1000.0,
        imports(&bytes).join(", "),
        row.compile_ms,
        row.load_ms,
        micros[micros.len() / 2],
        row.fuel as f64 / 1e6,
        row.memory as f64 / 1e6,
    )
}

/// The interfaces that a component imports, without those that have only types.
fn imports(component: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("the component is well formed") {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import
                        .expect("the component is well formed")
                        .name
                        .name
                        .to_owned();
                    let short = name.strip_prefix("wavegate:plugin/").unwrap_or(&name);
                    let short = short.split('@').next().unwrap_or_default();
                    if short != "types" {
                        found.push(short.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    if found.is_empty() {
        found.push("nothing".to_owned());
    }
    found
}
