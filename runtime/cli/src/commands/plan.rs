//! `validate` and `plan`: everything is checked and shown, nothing is touched.

use crate::args::Files;
use crate::exit::{Exit, Result};
use crate::host::{Host, StateDir};
use crate::output::{self, Format, JSON_VERSION, STRONG, paint};
use crate::prepare::{self, Prepared};
use wavegate_documents::{Documents, Placement};
use wavegate_model::plugin::Stage;
use wavegate_model::policy::TimeLimit;

/// Clusters and sites that are listed for people, at most.
const LISTED_MAX: usize = 40;

pub(crate) async fn validate(args: Files, dir: &StateDir, format: Format) -> Result<Exit> {
    let documents = prepare::load(&args.files)?;
    let names: Vec<String> = documents.rollouts().map(str::to_owned).collect();
    let host = Host::without_journal(dir)?;
    for name in &names {
        let prepared = prepare::prepare(&host, &documents, name).await?;
        prepare::warn(&prepared);
    }
    let counts: Vec<String> = documents
        .counts()
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    if format == Format::Json {
        output::json(
            &serde_json::json!({"version": JSON_VERSION, "valid": true, "rollouts": names}),
        );
    } else {
        output::data(&format!("valid: {}", counts.join(", ")));
    }
    Ok(Exit::Done)
}

pub(crate) async fn plan(args: Files, dir: &StateDir, format: Format) -> Result<Exit> {
    let documents = prepare::load(&args.files)?;
    let names = prepare::names(&documents, &[])?;
    plan_of(&documents, &names, dir, format).await
}

#[derive(serde::Serialize)]
struct JsonPlan<'a> {
    version: u32,
    rollout: &'a str,
    plan: &'a wavegate_model::Plan,
    placements: &'a [Placement],
    policy: &'a wavegate_model::Policy,
    stages: &'a [Stage],
}

/// Shows the plans of rollouts.
pub(crate) async fn plan_of(
    documents: &Documents,
    names: &[String],
    dir: &StateDir,
    format: Format,
) -> Result<Exit> {
    let host = Host::without_journal(dir)?;
    for name in names {
        let prepared = prepare::prepare(&host, documents, name).await?;
        let first = prepared
            .spec
            .plan
            .waves
            .iter()
            .flat_map(|wave| &wave.sites)
            .next();
        let stages = match first {
            Some(site) => prepare::outline(&host, &prepared, site).await?,
            None => Vec::new(),
        };
        if format == Format::Json {
            output::json(&JsonPlan {
                version: JSON_VERSION,
                rollout: name,
                plan: &prepared.spec.plan,
                placements: &prepared.resolved.placements,
                policy: &prepared.spec.policy,
                stages: &stages,
            });
        } else {
            show(name, &prepared, &stages);
        }
    }
    Ok(Exit::Done)
}

fn show(name: &str, prepared: &Prepared, stages: &[Stage]) {
    let (spec, policy) = (&prepared.spec, &prepared.spec.policy);
    output::data(&format!(
        "{} {}: {} {} over {} clusters by {}",
        paint(STRONG, "rollout"),
        name,
        spec.service,
        spec.release.version,
        spec.clusters.len(),
        spec.pins.strategy_name
    ));
    for wave in &spec.plan.waves {
        let after: Vec<&str> = wave
            .after
            .iter()
            .map(|index| spec.plan.waves[*index].name.as_str())
            .collect();
        let after = if after.is_empty() {
            String::new()
        } else {
            format!(" after {}", after.join(", "))
        };
        output::data(&format!(
            "{} {}{after}: {} sites, {} at a time; each soaks {}, the wave {}",
            paint(STRONG, "wave"),
            wave.name,
            wave.sites.len(),
            wave.max_parallel_sites,
            wave.site_soak,
            wave.soak
        ));
        if let Some(text) = &wave.approval {
            output::data(&format!("  needs a person's approval: {text}"));
        }
        for site in wave.sites.iter().take(LISTED_MAX) {
            let clusters: Vec<&str> = site
                .clusters
                .iter()
                .map(|cluster| cluster.name.as_str())
                .collect();
            output::data(&format!("  site {}: {}", site.name, clusters.join(", ")));
            for cluster in &site.clusters {
                let why = prepared
                    .resolved
                    .placements
                    .iter()
                    .find(|p| p.cluster == cluster.name)
                    .map_or("", |p| p.why.as_str());
                output::data(&format!("    {}: {why}", cluster.name));
            }
        }
        if wave.sites.len() > LISTED_MAX {
            output::data(&format!(
                "  and {} more sites; all with --format json",
                wave.sites.len() - LISTED_MAX
            ));
        }
    }
    for (cluster, why) in spec.plan.excluded.iter().take(LISTED_MAX) {
        output::data(&format!("left out: {cluster}: {why}"));
    }
    output::data(&format!(
        "{} in each site, as {} {} outlines them:",
        paint(STRONG, "stages"),
        prepared.strategy.about.name,
        prepared.strategy.about.version
    ));
    for (index, stage) in stages.iter().enumerate() {
        output::data(&format!("  {}. {}: {}", index + 1, stage.name, stage.text));
    }
    output::data(&format!(
        "{} at most {} nodes at a time, {} down, {} extra",
        paint(STRONG, "batches"),
        policy.batch.size,
        policy.batch.max_unavailable,
        policy.batch.max_surge
    ));
    for gate in &policy.gates {
        let phases: Vec<&str> = gate.phases.iter().map(|phase| phase.as_str()).collect();
        let about = prepared
            .gates
            .get(&gate.name)
            .map_or_else(String::new, |plugin| {
                format!(" ({} {})", plugin.about.name, plugin.about.version)
            });
        output::data(&format!(
            "{} {}{about}: {}; every {}, tolerates {} fails in a row, wants {} samples",
            paint(STRONG, "gate"),
            gate.name,
            phases.join(", "),
            gate.interval,
            gate.budget.consecutive,
            gate.min_samples
        ));
    }
    let limits = &policy.time_limits;
    for (what, limit) in [
        ("batch progress", limits.batch_progress),
        ("cluster", limits.cluster),
        ("wave", limits.wave),
        ("rollout", limits.rollout),
    ] {
        if let Some(TimeLimit { after, then }) = limit {
            output::data(&format!(
                "{} {what}: {after}, then {then:?}",
                paint(STRONG, "time limit")
            ));
        }
    }
    let failure = &policy.failure;
    output::data(&format!(
        "{} {} failed sites are tolerated, {} in a wave; then {:?}",
        paint(STRONG, "failure"),
        failure.tolerate,
        failure.tolerate_per_wave,
        failure.then
    ));
}
