//! `plugin bench`: what a call costs, and how much of each limit it leaves.

use crate::args::BenchPlugin;
use crate::commands::plugin_test::{component, subject, title};
use crate::exit::{Exit, Failure, Result};
use crate::host::plugin_host_at;
use crate::output::{self, Format, STRONG, paint};
use crate::toolbox::conformance;
use crate::toolbox::run::{Sample, Subject, as_f64, grouped, mebibytes};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use wavegate_model::policy::PluginRef;
use wavegate_plugin_host::{PluginHost, Workbench, on_bench};
use wavegate_ports::plugins::CallEnd;

/// Time after which no more calls are made: slow plugins are measured by fewer.
const TIME_MAX: Duration = Duration::from_secs(20);

struct Measured {
    compile_ms: f64,
    load_ms: f64,
    calls: usize,
    fuel: Vec<f64>,
    fresh: Vec<f64>,
    kept: Vec<f64>,
    memory: u64,
    answer: u64,
}

pub(crate) fn bench(args: &BenchPlugin, format: Format) -> Result<Exit> {
    let (reference, folder) = component(&args.plugin)?;
    let cases = super::plugin_test::read(&args.cases, folder.as_deref())?;
    let base = std::env::current_dir()?;
    let store = Scratch::new()?;
    let begun = Instant::now();
    drop(load(&store.0, &reference, &base)?);
    let compile_ms = in_ms(begun.elapsed());
    // Another host on the same store finds the compiled code.
    let begun = Instant::now();
    let (_host, bench) = load(&store.0, &reference, &base)?;
    let load_ms = in_ms(begun.elapsed());
    let measured = on_bench(|| {
        let subject = subject(&bench);
        let mut samples = Vec::new();
        for case in &cases {
            samples.extend(subject.play(case).samples);
        }
        if samples.is_empty() {
            samples = conformance::made_up(&subject, &conformance::configs(&subject));
        }
        samples.retain(|sample| !matches!(sample.tried.end, CallEnd::Unavailable(_)));
        measure(&subject, &samples, args.calls)
    });
    let Some(measured) = measured else {
        let none = anyhow::anyhow!("no question was answered, so there is nothing to measure");
        return Err(Failure::new(Exit::Plugin, none)
            .hint("name cases with --cases, or give the schema of the configuration `examples`"));
    };
    let measured = Measured {
        compile_ms,
        load_ms,
        ..measured
    };
    match format {
        Format::Json => tell_machines(&bench, &measured),
        Format::Auto | Format::Human => tell_people(&bench, &measured),
    }
    Ok(Exit::Done)
}

/// A store that is gone afterwards, so that compiling is measured and nothing is left behind.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let name = format!("wavegate-bench-{:016x}", u64::from_le_bytes(random));
        Ok(Self(std::env::temp_dir().join(name)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may not have come into being.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(
    store: &Path,
    reference: &PluginRef,
    base: &Path,
) -> Result<(std::sync::Arc<PluginHost>, Workbench)> {
    let host = plugin_host_at(store)?;
    let bench = on_bench(|| host.workbench(reference, None, base));
    let bench = bench.map_err(|rejected| Failure::new(Exit::Plugin, rejected))?;
    Ok((host, bench))
}

fn measure(subject: &Subject<'_>, samples: &[Sample], calls: usize) -> Option<Measured> {
    if samples.is_empty() {
        return None;
    }
    let mut measured = Measured {
        compile_ms: 0.0,
        load_ms: 0.0,
        calls: 0,
        fuel: Vec::new(),
        fresh: Vec::new(),
        kept: Vec::new(),
        memory: 0,
        answer: 0,
    };
    let begun = Instant::now();
    let mut kept = subject.bench.keep(&subject.limits).ok();
    for sample in samples.iter().cycle().take(calls.max(samples.len())) {
        if begun.elapsed() > TIME_MAX && measured.calls >= samples.len() {
            break;
        }
        let clock = Instant::now();
        let tried = subject
            .bench
            .ask(&sample.question, &sample.config, &subject.limits);
        measured.fresh.push(clock.elapsed().as_secs_f64() * 1e6);
        measured.fuel.push(as_f64(tried.fuel));
        measured.memory = measured.memory.max(tried.memory_bytes);
        measured.answer = measured.answer.max(tried.output.len() as u64);
        measured.calls += 1;
        // One that does not answer a second time is measured in new instances alone.
        let again = kept
            .as_mut()
            .map(|kept| kept.ask(&sample.question, &sample.config, &subject.limits));
        match again {
            Some(Ok((_, micros))) => measured.kept.push(micros),
            Some(Err(_)) => kept = None,
            None => {}
        }
    }
    Some(measured)
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which so many percent are.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

fn percent(used: f64, of: u64) -> f64 {
    100.0 * used / as_f64(of.max(1))
}

fn tell_people(bench: &Workbench, measured: &Measured) {
    let limits = bench.loaded().class.limits();
    output::data(&paint(STRONG, &title(bench)));
    let line = |name: &str, text: &str| output::data(&format!("  {name:<15} {text}"));
    line("size", &mebibytes(bench.bytes() as u64));
    line(
        "compile",
        &format!("{:.1} ms, once for this host", measured.compile_ms),
    );
    line(
        "load",
        &format!("{:.1} ms from compiled code", measured.load_ms),
    );
    line("calls", &measured.calls.to_string());
    let pair = |values: &[f64]| (quantile(values, 50), quantile(values, 99));
    let ((fuel, fuel_most), (time, time_most)) = (pair(&measured.fuel), pair(&measured.fresh));
    line(
        "fuel",
        &format!(
            "p50 {fuel:.0}, p99 {fuel_most:.0}; {:.2} % of {}",
            percent(fuel_most, limits.fuel),
            grouped(limits.fuel)
        ),
    );
    line(
        "time",
        &format!(
            "p50 {time:.1} µs, p99 {time_most:.1} µs; {:.2} % of {} ms",
            percent(time_most / 1e3, limits.time.0),
            grouped(limits.time.0)
        ),
    );
    if !measured.kept.is_empty() {
        let kept = quantile(&measured.kept, 50);
        let more = time - kept;
        line(
            "of that",
            &format!("{more:.1} µs for an instance of its own; {kept:.1} µs in one that is kept"),
        );
    }
    line(
        "memory",
        &format!(
            "{}; {:.2} % of {}",
            mebibytes(measured.memory),
            percent(as_f64(measured.memory), limits.memory_bytes),
            mebibytes(limits.memory_bytes)
        ),
    );
    line(
        "answer",
        &format!(
            "{} bytes; {:.2} % of {}",
            grouped(measured.answer),
            percent(as_f64(measured.answer), limits.result_bytes),
            mebibytes(limits.result_bytes)
        ),
    );
}

fn tell_machines(bench: &Workbench, measured: &Measured) {
    let loaded = bench.loaded();
    let limits = loaded.class.limits();
    let two = |values: &[f64]| json!({"p50": quantile(values, 50), "p99": quantile(values, 99)});
    output::json(&json!({
        "version": output::JSON_VERSION,
        "plugin": loaded.about.name,
        "digest": loaded.digest.to_string(),
        "bytes": bench.bytes(),
        "imports": bench.imports().len(),
        "class": loaded.class.as_str(),
        "compileMs": measured.compile_ms,
        "loadMs": measured.load_ms,
        "calls": measured.calls,
        "fuel": two(&measured.fuel),
        "micros": two(&measured.fresh),
        "keptMicros": two(&measured.kept),
        "memoryBytes": measured.memory,
        "answerBytes": measured.answer,
        "usedPercent": {
            "fuel": percent(quantile(&measured.fuel, 99), limits.fuel),
            "time": percent(quantile(&measured.fresh, 99) / 1e3, limits.time.0),
            "memory": percent(as_f64(measured.memory), limits.memory_bytes),
            "result": percent(as_f64(measured.answer), limits.result_bytes),
        },
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert!((quantile(&values, 50) - 3.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 99) - 5.0).abs() < f64::EPSILON);
        assert!(quantile(&[], 50).abs() < f64::EPSILON);
    }
}
