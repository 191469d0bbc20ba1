//! Plugins in every language: what a new instance for each call costs, how long a compiled one
//! takes to load, what a hundred of them hold in memory; and a component in Rust against a plugin
//! in a process of its own, over Go's net/rpc on a unix socket.
//!
//! Components are the worked strategies in the folder that `WAVEGATE_LANGUAGES` names, which
//! `cargo xtask bench languages` fills; without one only Rust is measured. Without a Go compiler
//! there is no comparison, and it says so.

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
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;
use wavegate_model::plugin::{PluginKind, PluginState};
use wavegate_model::policy::PluginRef;
use wavegate_plugin_host::{Bench, HostOptions, PluginHost, Workbench, on_bench};
use wavegate_ports::plugins::{CallEnd, Plugins as _, Question};

const ROUNDS: usize = 9;
const CONFIG: &str = r#"{"stages":[{"nodes":"25%"}]}"#;

/// Median microseconds that a new instance may cost more than one that is kept.
const TARGETS: [(&str, f64); 6] = [
    ("rust", 10.0),
    ("c", 10.0),
    ("javascript", 400.0),
    ("typescript", 400.0),
    ("go", 800.0),
    ("python", 2000.0),
];

/// A hundred plugins, by language.
const CROWD: [(&str, usize); 4] = [("rust", 60), ("javascript", 20), ("go", 10), ("python", 10)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["compile-crowd", store] => return drop(crowd(Path::new(store))),
        ["weigh-crowd", store] => return weigh(Path::new(store)),
        _ => {}
    }
    let languages = languages();
    for (language, component) in &languages {
        instances(language, component);
    }
    largest(&languages);
    if languages.contains_key("python") {
        memory();
    } else {
        println!("a hundred plugins: not measured, there is no component in Python");
    }
    against_a_process(components::SHIPPED[0].2);
}

/// A component by language. Rust is always there.
fn languages() -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::from([("rust".to_owned(), components::SHIPPED[0].2.to_vec())]);
    let Some(folder) = std::env::var_os("WAVEGATE_LANGUAGES") else {
        println!("WAVEGATE_LANGUAGES names no folder, so only Rust is measured");
        return found;
    };
    for (language, _) in TARGETS {
        let path = PathBuf::from(&folder).join(format!("{language}-strategy/plugin.wasm"));
        match std::fs::read(&path) {
            Ok(bytes) => _ = found.insert(language.to_owned(), bytes),
            Err(_) if language == "rust" => {}
            Err(error) => println!("{language}: not measured, {}: {error}", path.display()),
        }
    }
    found
}

fn open(store: &Path) -> PluginHost {
    PluginHost::new(HostOptions::new(store)).expect("a host")
}

fn load(host: &PluginHost, file: &Path) -> Workbench {
    let reference = PluginRef::File(file.display().to_string());
    let loaded =
        on_bench(|| host.workbench(&reference, Some(PluginKind::Strategy), Path::new("/")));
    loaded.unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// A call in a new instance against one in an instance that is kept, interleaved.
fn instances(language: &str, component: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plugin.wasm");
    std::fs::write(&file, component).expect("a file");
    let host = open(&folder.path().join("store"));
    let bench = load(&host, &file);
    let limits = bench.loaded().class.limits();
    let question = Question::Decide {
        view: ask::view(),
        state: PluginState::default(),
    };
    let config = config(&bench);
    let calls = if language == "rust" || language == "c" {
        1_000
    } else {
        100
    };
    let (mut fresh, mut kept_for, mut fuel) = (Vec::new(), Vec::new(), 0);
    on_bench(|| {
        let mut kept = bench.keep(&limits).expect("an instance");
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..calls {
                let tried = bench.ask(&question, &config, &limits);
                assert!(matches!(tried.end, CallEnd::Answered(_)), "{:?}", tried.end);
                fuel = tried.fuel;
            }
            fresh.push(micros(begun, calls));
            let begun = Instant::now();
            for _ in 0..calls {
                kept.ask(&question, &config, &limits).expect("an answer");
            }
            kept_for.push(micros(begun, calls));
        }
    });
    let (fresh, kept) = (median(fresh), median(kept_for));
    let target = TARGETS.iter().find(|(known, _)| *known == language);
    line(
        &format!("{language}: decide in a kept instance"),
        kept,
        "µs",
        None,
    );
    line(
        &format!("{language}: decide in a new instance"),
        fresh,
        "µs",
        None,
    );
    line(
        &format!("{language}: what a new instance costs"),
        fresh - kept,
        "µs",
        target.map(|(_, target)| *target),
    );
    println!(
        "{language}: {fuel} units of fuel, {} bytes",
        component.len()
    );
}

/// The first example of the schema, or the configuration of these benchmarks.
fn config(bench: &Workbench) -> String {
    let schema: serde_json::Value =
        serde_json::from_str(&bench.loaded().about.config_schema).unwrap_or_default();
    let example = schema["examples"].get(0).map(ToString::to_string);
    example.unwrap_or_else(|| {
        let known = bench.schema_problems(CONFIG).is_empty();
        if known { CONFIG.into() } else { "{}".into() }
    })
}

/// The largest component, from compiled code.
fn largest(languages: &BTreeMap<String, Vec<u8>>) {
    let Some((language, component)) = languages.iter().max_by_key(|(_, bytes)| bytes.len()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plugin.wasm");
    std::fs::write(&file, component).expect("a file");
    let store = folder.path().join("store");
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let reference = PluginRef::File(file.display().to_string());
    // As a rollout does it, from the file to a plugin that can be called.
    let load = |host: &PluginHost| {
        let loaded = runtime.block_on(host.load(&reference, PluginKind::Strategy, Path::new("/")));
        loaded.unwrap_or_else(|why| panic!("{}: {why}", file.display()))
    };
    drop(load(&open(&store)));
    line(
        &format!("{language}: compile and load"),
        micros(begun, 1) / 1e3,
        "ms",
        None,
    );
    let rounds = (0..ROUNDS).map(|_| {
        let host = open(&store);
        let begun = Instant::now();
        drop(load(&host));
        micros(begun, 1) / 1e3
    });
    let loaded = median(rounds.collect());
    line(
        &format!("{language}: load from compiled code"),
        loaded,
        "ms",
        Some(50.0),
    );
}

/// A hundred plugins that differ, compiled by one process and loaded at once by another: what
/// compiling takes, and what this process has measured so far, is not theirs.
fn memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    let program = std::env::current_exe().expect("this program");
    for work in ["compile-crowd", "weigh-crowd"] {
        let done = Command::new(&program).arg(work).arg(&store).status();
        assert!(done.is_ok_and(|status| status.success()), "{work}");
    }
}

fn weigh(store: &Path) {
    let before = proportional();
    let kept = crowd(store);
    let after = proportional();
    println!("a hundred plugins: {before:.0} MiB before, {after:.0} MiB after");
    line(
        "a hundred plugins: proportional set size",
        after,
        "MiB",
        Some(1024.0),
    );
    drop(kept);
}

fn crowd(store: &Path) -> (PluginHost, Vec<Workbench>) {
    let languages = languages();
    let host = open(store);
    let folder = tempfile::tempdir().expect("a folder");
    let mut benches = Vec::new();
    for (language, count) in CROWD {
        let Some(component) = languages.get(language) else {
            println!("a hundred plugins: without those in {language}");
            continue;
        };
        for number in 0..count {
            // A section of its own makes it another component.
            let mut bytes = component.clone();
            let name = format!("v{number:04}");
            bytes.extend([0, 6, 5]);
            bytes.extend(name.as_bytes());
            let file = folder.path().join(format!("{language}-{number}.wasm"));
            std::fs::write(&file, bytes).expect("a file");
            benches.push(load(&host, &file));
        }
    }
    (host, benches)
}

/// Proportional set size of this process in MiB.
fn proportional() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: f64 = kibibytes
        .and_then(|text| text.trim().parse().ok())
        .expect("a number");
    kibibytes / 1024.0
}

/// The whole of a decision with 1 KiB of state, encoded as it is journaled, against the same
/// question to a process over net/rpc.
fn against_a_process(component: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut process) = Process::start(folder.path()) else {
        println!("net/rpc: not measured, Go is not installed");
        return;
    };
    let bench = Bench::new(folder.path(), component, PluginKind::Strategy);
    let mut state = bench
        .fresh(&ask::view(), CONFIG, &PluginState::default())
        .state
        .0;
    state.resize(1024, b' ');
    let question = Question::Decide {
        view: ask::view(),
        state: PluginState(state),
    };
    const CALLS: u32 = 2_000;
    process.calls(CALLS);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(bench.whole(&question, CONFIG));
        }
        here.push(micros(begun, CALLS));
        there.push(process.calls(CALLS));
    }
    let (here, there) = (median(here), median(there));
    line(
        "net/rpc: decide in a Go process, 1 KiB of state",
        there,
        "µs",
        None,
    );
    line(
        "rust: whole decide, 1 KiB of state, beside it",
        here,
        "µs",
        Some(there),
    );
    println!("the component is {:.1} times as fast", there / here);
}

struct Process {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(folder: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/netrpc/main.go");
        let program = folder.join("netrpc");
        let go = if Path::new("/usr/local/go/bin/go").exists() {
            "/usr/local/go/bin/go"
        } else {
            "go"
        };
        let built = Command::new(go)
            .args(["build", "-o"])
            .arg(&program)
            .arg(source)
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "off")
            .status()
            .ok()?;
        assert!(built.success(), "Go builds the plugin");
        let mut child = Command::new(&program)
            .arg(folder.join("socket"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take()?);
        Some(Self {
            child,
            questions,
            answers,
        })
    }

    /// Microseconds of one of so many calls.
    fn calls(&mut self, calls: u32) -> f64 {
        let questions = self.questions.as_mut().expect("it was started");
        writeln!(questions, "{calls}").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        answer.trim().parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends it, and its plugin with it.
        self.questions = None;
        let _ = self.child.wait();
    }
}

fn micros(begun: Instant, calls: u32) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn line(what: &str, value: f64, unit: &str, most: Option<f64>) {
    let target = most.map_or_else(String::new, |most| format!("at most {most:.0}"));
    println!("{what:<58} {value:>9.1} {unit:<4} {target}");
    println!(
        r#"figure: {{"name": "{what}", "median": {value:.1}, "unit": "{unit}", "rounds": {ROUNDS}, "target": "{target}"}}"#
    );
}
