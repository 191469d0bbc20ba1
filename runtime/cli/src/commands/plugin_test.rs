//! `plugin test`: conformance, and the author's own cases.

use crate::args::TestPlugin;
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, BAD, DIM, Format, GOOD, STRONG, paint};
use crate::toolbox::cases::{self, Case};
use crate::toolbox::conformance::{self, Check, Outcome};
use crate::toolbox::run::{CaseResult, Sample, Subject};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wavegate_model::policy::PluginRef;
use wavegate_plugin_host::{Workbench, on_bench};

/// Where a project's component is, once it was built.
const BUILT: &str = "plugin.wasm";
/// Where a project's cases are.
const CASES: &str = "cases";

pub(crate) fn test(args: &TestPlugin, dir: &StateDir, format: Format) -> Result<Exit> {
    let (reference, folder) = component(&args.plugin)?;
    let cases = read(&args.cases, folder.as_deref())?;
    let bench = bench(dir, &reference)?;
    let done = on_bench(|| carry_out(&bench, &cases, args));
    match format {
        Format::Json => tell_machines(&bench, &done),
        Format::Auto | Format::Human => tell_people(&bench, &done),
    }
    if done.failed() == 0 {
        Ok(Exit::Done)
    } else {
        Ok(Exit::Plugin)
    }
}

/// A component, a folder with one, or the name of a shipped plugin; and where cases may be.
pub(crate) fn component(named: &str) -> Result<(PluginRef, Option<PathBuf>)> {
    let path = Path::new(named);
    let file = |path: &Path| {
        let text = path.to_str().map(str::to_owned);
        let text = text.ok_or_else(|| Failure::usage(format!("{} is not UTF-8", path.display())));
        text.map(PluginRef::File)
    };
    if path.is_dir() {
        let built = path.join(BUILT);
        if !built.is_file() {
            return Err(Failure::usage(format!("there is no {}", built.display()))
                .hint("build it with `wavegate plugin build`, or name the component itself"));
        }
        return Ok((file(&built)?, Some(path.to_owned())));
    }
    if named.contains('/') || named.ends_with(".wasm") {
        let beside = path.parent().map(Path::to_owned);
        return Ok((file(path)?, beside));
    }
    Ok((PluginRef::Shipped(named.to_owned()), None))
}

/// The plugin, loaded as for a rollout.
pub(crate) fn bench(dir: &StateDir, reference: &PluginRef) -> Result<Workbench> {
    let plugins = plugin_host(dir)?;
    let base = std::env::current_dir()?;
    let bench = on_bench(|| plugins.workbench(reference, None, &base));
    bench.map_err(|rejected| Failure::new(Exit::Plugin, rejected))
}

pub(super) fn read(named: &[PathBuf], folder: Option<&Path>) -> Result<Vec<Case>> {
    let own = folder.map(|folder| folder.join(CASES));
    let places: Vec<PathBuf> = match (named, own) {
        ([], Some(own)) if own.is_dir() => vec![own],
        (named, _) => named.to_vec(),
    };
    let mut all = Vec::new();
    let mut wrong = false;
    for place in &places {
        let files = cases::files(place)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", place.display())))?;
        for file in files {
            match cases::read(&file) {
                Ok(cases) => all.extend(cases),
                Err(problems) => {
                    output::say(problems.0.trim_end());
                    wrong = true;
                }
            }
        }
    }
    if wrong {
        return Err(Failure::usage("cases cannot be read; nothing was tested"));
    }
    Ok(all)
}

struct Done<'a> {
    checks: Vec<Check>,
    cases: Vec<(&'a Case, CaseResult)>,
}

impl Done<'_> {
    fn failed(&self) -> usize {
        let checks = self
            .checks
            .iter()
            .filter(|check| check.outcome == Outcome::Failed);
        let cases = self
            .cases
            .iter()
            .filter(|(_, result)| result.difference.is_some());
        checks.count() + cases.count()
    }
}

fn carry_out<'a>(bench: &Workbench, cases: &'a [Case], args: &TestPlugin) -> Done<'a> {
    let subject = subject(bench);
    let played: Vec<_> = cases
        .iter()
        .map(|case| (case, subject.play(case)))
        .collect();
    let mut done = Done {
        checks: Vec::new(),
        cases: played,
    };
    if !args.no_conformance {
        let configs: BTreeSet<String> = cases
            .iter()
            .flat_map(|case| &case.steps)
            .map(|step| step.config.clone())
            .collect();
        let mut samples: Vec<Sample> = Vec::new();
        for (_, result) in &mut done.cases {
            samples.append(&mut result.samples);
        }
        done.checks = conformance::all(&subject, &samples, &configs);
    }
    done
}

/// The plugin with the limits of its class.
pub(crate) fn subject(bench: &Workbench) -> Subject<'_> {
    Subject {
        bench,
        limits: bench.loaded().class.limits(),
    }
}

/// What it is, in a line.
pub(crate) fn title(bench: &Workbench) -> String {
    let loaded = bench.loaded();
    let about = &loaded.about;
    let kind = crate::commands::plugin_look::kind(about.kind);
    format!(
        "{kind} {} {}, contract {}, class {}, {}",
        about.name, about.version, loaded.contract, loaded.class, loaded.digest
    )
}

fn tell_people(bench: &Workbench, done: &Done<'_>) {
    output::data(&paint(STRONG, &title(bench)));
    for check in &done.checks {
        let mark = match check.outcome {
            Outcome::Passed => paint(GOOD, "ok     "),
            Outcome::Failed => paint(BAD, "failed "),
            Outcome::Skipped => paint(DIM, "skipped"),
        };
        output::data(&format!("  {mark} {}: {}", check.name, check.words));
    }
    let mut file = None;
    for (case, result) in &done.cases {
        if file != Some(&case.file) {
            output::data(&case.file.display().to_string());
            file = Some(&case.file);
        }
        match &result.difference {
            None => output::data(&format!("  {} {}", paint(GOOD, "ok     "), case.name)),
            Some(difference) => {
                output::data(&format!("  {} {}", paint(BAD, "failed "), case.name));
                for line in difference.lines() {
                    output::data(&format!("        {line}"));
                }
            }
        }
    }
    let skipped = done
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Skipped);
    let skipped = match skipped.count() {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    output::data(&format!(
        "{} checks and {} cases: {} failed{skipped}",
        done.checks.len(),
        done.cases.len(),
        done.failed()
    ));
}

fn tell_machines(bench: &Workbench, done: &Done<'_>) {
    let version = output::JSON_VERSION;
    for check in &done.checks {
        output::json(&json!({
            "version": version, "type": "check", "name": check.name,
            "outcome": conformance::word(check.outcome), "words": check.words,
        }));
    }
    for (case, result) in &done.cases {
        output::json(&json!({
            "version": version, "type": "case",
            "file": case.file.display().to_string(), "name": case.name,
            "passed": result.difference.is_none(),
            "difference": result.difference,
            "answer": Value::Object(result.answer.clone()),
        }));
    }
    output::json(&json!({
        "version": version, "type": "summary",
        "plugin": bench.loaded().about.name, "digest": bench.loaded().digest.to_string(),
        "checks": done.checks.len(), "cases": done.cases.len(), "failed": done.failed(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_a_file_a_folder_or_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        assert!(component(&path).is_err(), "nothing was built there");
        std::fs::write(folder.path().join(BUILT), "").unwrap();
        let found = component(&path).unwrap_or_else(|_| panic!("it is there"));
        assert_eq!(found.0, PluginRef::File(format!("{path}/{BUILT}")));
        assert_eq!(found.1.as_deref(), Some(folder.path()));
        let found = component("canary").unwrap_or_else(|_| panic!("it is a name"));
        assert_eq!(found.0, PluginRef::Shipped("canary".into()));
        let found = component("mine.wasm").unwrap_or_else(|_| panic!("it is a file"));
        assert_eq!(found.0, PluginRef::File("mine.wasm".into()));
    }
}
