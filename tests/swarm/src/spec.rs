//! From the documents of a scene to a rollout that can start.

use crate::scene::Scene;
use crate::swarm::wait_here;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use wavegate_conductor::swap::tag;
use wavegate_documents::{Colour, Diagnostics, Documents};
use wavegate_engine::{Capabilities, Pins, Spec};
use wavegate_model::plugin::PluginKind;
use wavegate_model::windows::{Closed, Windows};
use wavegate_model::{DurationMs, Timestamp};
use wavegate_plugin_host::PluginHost;
use wavegate_ports::plugins::Plugins as _;

/// The rollout over the clusters that are chosen.
pub(crate) fn spec(
    scene: &Scene,
    plugins: &Arc<PluginHost>,
    folder: &Path,
    id: &str,
    chosen: impl Fn(usize) -> bool,
) -> anyhow::Result<Spec> {
    let path = folder.join(format!("{id}.yaml"));
    std::fs::write(&path, scene.documents(chosen))?;
    let bad = |problems: Diagnostics| anyhow::anyhow!("{}", problems.render(Colour::Never));
    let documents = Documents::load(&[path]).map_err(bad)?;
    let resolved = documents.resolve("shop").map_err(bad)?;
    let mut policy = resolved.policy;
    let strategy = wait_here(plugins.load(&policy.strategy.plugin, PluginKind::Strategy, folder))?;
    let class = *policy.strategy.class.get_or_insert(strategy.class);
    policy.strategy.limits = policy.strategy.limits.tightened(class.limits());
    let mut gates = BTreeMap::new();
    for gate in &mut policy.gates {
        let loaded = wait_here(plugins.load(&gate.plugin, PluginKind::Gate, folder))?;
        let class = *gate.class.get_or_insert(loaded.class);
        gate.limits = gate.limits.tightened(class.limits());
        gates.insert(gate.name.clone(), loaded);
    }
    Ok(Spec {
        rollout: id.into(),
        service: resolved.service,
        release: resolved.release,
        plan: resolved.plan,
        clusters: resolved.clusters,
        sources: resolved.sources,
        capabilities: Capabilities {
            splits_traffic: scene.splits,
            surges: true,
        },
        pins: Pins {
            strategy: strategy.digest.clone(),
            strategy_name: strategy.about.name.clone(),
            strategy_state: Some(tag(&strategy.about)),
            gates: gates
                .iter()
                .map(|(name, gate)| (name.clone(), gate.digest.clone()))
                .collect(),
            gate_states: gates
                .iter()
                .map(|(name, gate)| (name.clone(), tag(&gate.about)))
                .collect(),
        },
        policy,
        windows: Default::default(),
        wave_windows: Default::default(),
        started_by: "swarm".to_owned(),
        origin: None,
    })
}

/// Closes the windows of a scene for a rollout that starts then.
pub(crate) fn close_windows(spec: &mut Spec, scene: &Scene, start: Timestamp) {
    let windows = |times: &[(DurationMs, DurationMs)]| Windows {
        closed: times
            .iter()
            .map(|(from, to)| Closed {
                from: start.plus(*from),
                to: Some(start.plus(*to)),
                why: "as the scene has it".to_owned(),
            })
            .collect(),
    };
    spec.windows = windows(&scene.closed);
    let first = spec.plan.waves.first().map(|wave| wave.name.clone());
    if let Some(first) = first.filter(|_| !scene.closed_first.is_empty()) {
        spec.wave_windows
            .insert(first, windows(&scene.closed_first));
    }
}
