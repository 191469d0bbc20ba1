//! `validate` and `plan`: everything is checked and shown, nothing is touched.

use crate::args::Files;
use crate::exit::{Exit, Result};
use crate::host::{Host, StateDir};
use crate::output::{self, Format, JSON_VERSION};
use crate::plan_text::{self, Outline};
use crate::prepare::{self, Prepared};
use crate::rehearse;
use std::collections::BTreeMap;
use wavegate_documents::{Documents, Placement};
use wavegate_model::PlannedSite;
use wavegate_model::plugin::Stage;
use wavegate_ports::plugins::LoadedPlugin;

/// Shapes of sites of which an outline is asked: each takes a call, and a screen of text.
const OUTLINES_MAX: usize = 4;

pub(crate) async fn validate(args: Files, dir: &StateDir, format: Format) -> Result<Exit> {
    let documents = prepare::load(&args.files)?;
    let names: Vec<String> = documents.rollouts().map(str::to_owned).collect();
    let host = Host::without_journal(dir)?;
    for name in &names {
        let prepared = prepare::prepare(&host, &documents, name).await?;
        prepare::warn(&prepared);
        rehearse::warn(&host, &prepared.spec).await;
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
    /// Of every cluster: its wave and site, or that it is left out, and why.
    placements: &'a [Placement],
    /// All defaults filled in.
    policy: &'a wavegate_model::Policy,
    /// Of the first site.
    stages: &'a [Stage],
    /// Of sites by their numbers of nodes.
    outlines: &'a [Outline],
    strategy: JsonPlugin<'a>,
    /// By name of the gate.
    gates: BTreeMap<&'a str, JsonPlugin<'a>>,
}

/// A component as it was loaded.
#[derive(serde::Serialize)]
struct JsonPlugin<'a> {
    name: &'a str,
    version: &'a str,
    digest: String,
    /// What it says that it needs; what it gets is in the policy.
    class: &'static str,
}

impl<'a> From<&'a LoadedPlugin> for JsonPlugin<'a> {
    fn from(plugin: &'a LoadedPlugin) -> Self {
        Self {
            name: &plugin.about.name,
            version: &plugin.about.version,
            digest: plugin.digest.to_string(),
            class: plugin.class.as_str(),
        }
    }
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
        let (outlines, more) = outlines(&host, &prepared).await?;
        prepare::warn(&prepared);
        rehearse::warn(&host, &prepared.spec).await;
        if format == Format::Json {
            let gates = prepared.gates.iter();
            output::json(&JsonPlan {
                version: JSON_VERSION,
                rollout: name,
                plan: &prepared.spec.plan,
                placements: &prepared.resolved.placements,
                policy: &prepared.spec.policy,
                stages: outlines.first().map_or(&[], |first| &first.stages),
                outlines: &outlines,
                strategy: (&prepared.strategy).into(),
                gates: gates
                    .map(|(gate, plugin)| (gate.as_str(), plugin.into()))
                    .collect(),
            });
        } else {
            let text = plan_text::text(name, &prepared, &outlines, more);
            output::data(text.trim_end());
        }
    }
    Ok(Exit::Done)
}

/// What the strategy means to do, asked once for all sites that look the same to it, in the order
/// of the plan; and the number of sites that were not asked for.
async fn outlines(host: &Host, prepared: &Prepared) -> Result<(Vec<Outline>, usize)> {
    let mut shapes: Vec<(Shape<'_>, Vec<&PlannedSite>)> = Vec::new();
    let mut known: BTreeMap<Shape<'_>, usize> = BTreeMap::new();
    for site in prepared.spec.plan.waves.iter().flat_map(|wave| &wave.sites) {
        let shape = shape(prepared, site);
        let at = *known.entry(shape.clone()).or_insert_with(|| {
            shapes.push((shape, Vec::new()));
            shapes.len() - 1
        });
        shapes[at].1.push(site);
    }
    let mut outlines = Vec::new();
    for (_, sites) in shapes.iter().take(OUTLINES_MAX) {
        outlines.push(Outline {
            sites: sites.iter().map(|site| site.name.clone()).collect(),
            stages: prepare::outline(host, prepared, sites[0]).await?,
        });
    }
    let more = shapes.iter().skip(OUTLINES_MAX);
    Ok((outlines, more.map(|(_, sites)| sites.len()).sum()))
}

/// Role and number of nodes of each cluster.
type Shape<'a> = Vec<(&'a str, u32)>;

fn shape<'a>(prepared: &Prepared, site: &'a PlannedSite) -> Shape<'a> {
    let of = |cluster: &'a wavegate_model::plan::PlannedCluster| {
        let nodes = prepared
            .cluster(&cluster.name)
            .map_or(0, |found| found.nodes);
        (cluster.role.as_str(), nodes)
    };
    site.clusters.iter().map(of).collect()
}
