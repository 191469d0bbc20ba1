//! `plugin inspect` and `plugin list`: what plugins are, and what they may reach.

use crate::args::OnePlugin;
use crate::commands::plugin_test::{bench, component};
use crate::exit::{Exit, Failure, Result};
use crate::host::{StateDir, plugin_host};
use crate::output::{self, Format, STRONG, paint};
use crate::toolbox::run::{as_f64, grouped, mebibytes};
use serde_json::{Value, json};
use wavegate_model::plugin::PluginKind;
use wavegate_model::policy::PluginRef;
use wavegate_plugin_host::{Grant, Workbench, on_bench};

pub(crate) fn kind(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Strategy => "strategy",
        PluginKind::Gate => "gate",
    }
}

fn reach(grant: Grant) -> (&'static str, &'static str) {
    match grant {
        Grant::Types => ("types", "nothing: names of types"),
        Grant::Log => ("log", "its own log"),
        Grant::Evidence => (
            "evidence",
            "sources that a policy binds to its slots, and whose owners grant it",
        ),
        Grant::Inert => ("inert", "nothing: a part of WASI in which nothing happens"),
    }
}

pub(crate) fn inspect(args: &OnePlugin, dir: &StateDir, format: Format) -> Result<Exit> {
    let (reference, _) = component(&args.plugin)?;
    let bench = bench(dir, &reference)?;
    match format {
        Format::Json => output::json(&described(&bench)),
        Format::Auto | Format::Human => tell(&bench),
    }
    Ok(Exit::Done)
}

fn described(bench: &Workbench) -> Value {
    let loaded = bench.loaded();
    let (about, limits) = (&loaded.about, loaded.class.limits());
    let schema: Value = serde_json::from_str(&about.config_schema).unwrap_or_default();
    let imports = bench.imports();
    let imports = imports
        .iter()
        .map(|import| json!({"name": import.name, "reaches": reach(import.grant).0}));
    let slots = about
        .slots
        .iter()
        .map(|slot| json!({"name": slot.name.as_str(), "kind": slot.kind, "text": slot.text}));
    json!({
        "version": output::JSON_VERSION,
        "name": about.name,
        "pluginVersion": about.version,
        "kind": kind(about.kind),
        "text": about.text,
        "digest": loaded.digest.to_string(),
        "bytes": bench.bytes(),
        "contract": loaded.contract,
        "class": loaded.class.as_str(),
        "limits": {
            "fuel": limits.fuel, "timeMs": limits.time.0, "memoryBytes": limits.memory_bytes,
            "resultBytes": limits.result_bytes, "logBytes": limits.log_bytes,
        },
        "stateVersion": about.state_version,
        "imports": imports.collect::<Vec<_>>(),
        "exports": bench.exports(),
        "slots": slots.collect::<Vec<_>>(),
        "configSchema": schema,
    })
}

fn tell(bench: &Workbench) {
    let loaded = bench.loaded();
    let (about, limits) = (&loaded.about, loaded.class.limits());
    let line = |name: &str, text: &str| output::data(&format!("  {name:<9} {text}"));
    let title = format!("{} {} {}", kind(about.kind), about.name, about.version);
    output::data(&paint(STRONG, &title));
    output::data(&format!("  {}", about.text));
    line("digest", &loaded.digest.to_string());
    let kibibytes = as_f64(bench.bytes() as u64) / 1024.0;
    line("size", &format!("{kibibytes:.1} KiB"));
    line("contract", &format!("wavegate:plugin {}", loaded.contract));
    let class = format!(
        "{}: {} units of fuel, {} ms, {} of memory for each call",
        loaded.class,
        grouped(limits.fuel),
        grouped(limits.time.0),
        mebibytes(limits.memory_bytes)
    );
    line("class", &class);
    line("state", &format!("version {}", about.state_version));
    output::data(&paint(STRONG, "what it may reach"));
    let imports = bench.imports();
    if imports.is_empty() {
        output::data("  nothing: it imports nothing");
    }
    for import in &imports {
        output::data(&format!("  {}: {}", import.name, reach(import.grant).1));
    }
    if about.kind == PluginKind::Gate {
        output::data(&paint(STRONG, "slots that a policy has to bind"));
        if about.slots.is_empty() {
            output::data("  none");
        }
        for slot in &about.slots {
            output::data(&format!("  {} ({}): {}", slot.name, slot.kind, slot.text));
        }
    }
    output::data(&paint(STRONG, "its configuration, as JSON Schema"));
    let schema: Value = serde_json::from_str(&about.config_schema).unwrap_or_default();
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    for row in text.lines() {
        output::data(&format!("  {row}"));
    }
}

pub(crate) fn list(dir: &StateDir, format: Format) -> Result<Exit> {
    let plugins = plugin_host(dir)?;
    let (shipped, stored) = plugins
        .known()
        .map_err(|rejected| Failure::new(Exit::Plugin, rejected))?;
    let base = std::env::current_dir()?;
    let mut rows = Vec::new();
    let mut seen = Vec::new();
    for name in shipped {
        let reference = PluginRef::Shipped(name.clone());
        let found = on_bench(|| plugins.workbench(&reference, None, &base));
        if let Ok(bench) = &found {
            seen.push(bench.loaded().digest.clone());
        }
        rows.push((format!("shipped as `{name}`"), found));
    }
    for digest in stored.into_iter().filter(|digest| !seen.contains(digest)) {
        let found = on_bench(|| plugins.stored_workbench(&digest));
        rows.push((format!("in the store as {digest}"), found));
    }
    for (place, found) in rows {
        match (found, format) {
            (Ok(bench), Format::Json) => {
                let mut row = described(&bench);
                if let Value::Object(row) = &mut row {
                    row.retain(|key, _| {
                        !matches!(key.as_str(), "configSchema" | "exports" | "limits")
                    });
                    row.insert("shipped".into(), json!(place.starts_with("shipped")));
                }
                output::json(&row);
            }
            (Ok(bench), Format::Auto | Format::Human) => {
                let loaded = bench.loaded();
                let about = &loaded.about;
                output::data(&format!(
                    "{:<8} {:<20} {:<8} contract {:<6} class {:<6} {:>9.1} KiB  {place}",
                    kind(about.kind),
                    about.name,
                    about.version,
                    loaded.contract,
                    loaded.class.as_str(),
                    as_f64(bench.bytes() as u64) / 1024.0,
                ));
            }
            (Err(why), _) => output::say(&format!("{place}: {why}")),
        }
    }
    Ok(Exit::Done)
}
