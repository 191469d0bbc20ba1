//! Whether a component may take a part of a running rollout: what a start checks, once more.
//!
//! Whoever asks for a swap looks, to say at once what is wrong. The host that runs the rollout
//! looks again when it takes the request, because only what it finds then counts.

use std::path::Path;
use wavegate_engine::Spec;
use wavegate_engine::swap::{Component, Part, StateTag, Swap};
use wavegate_model::limits::ResourceClass;
use wavegate_model::plugin::{About, PluginKind, Problem};
use wavegate_model::policy::{GateUse, PluginRef};
use wavegate_model::{Digest, GateName, SlotName, SourceName, Unavailable};
use wavegate_ports::plugins::{LoadedPlugin, PluginRejected, Plugins};

/// Problems of a configuration that a message tells: enough to go on with.
const PROBLEMS_TOLD: usize = 5;

/// Why a component may not take a part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The policy has no such gate.
    #[error("the policy has no gate `{gate}`; it has: {known}")]
    NoGate {
        /// Which was named.
        gate: GateName,
        /// Those that there are.
        known: String,
    },
    /// It cannot be used at all.
    #[error(transparent)]
    Rejected(#[from] PluginRejected),
    /// The plugin refuses its configuration.
    #[error("the configuration is not one for plugin {plugin}: {}", told(.problems))]
    Config {
        /// Name of the plugin.
        plugin: String,
        /// Where and what.
        problems: Vec<Problem>,
    },
    /// The plugin could not say whether it accepts its configuration.
    #[error("failed to check the configuration of plugin {plugin}: {why}")]
    Silent {
        /// Name of the plugin.
        plugin: String,
        /// Why.
        why: Unavailable,
    },
    /// It needs more than the part was given when the rollout started.
    #[error(
        "plugin {plugin} is of class {class}, and the rollout started with class {granted} for this part"
    )]
    TooLarge {
        /// Name of the plugin.
        plugin: String,
        /// What it says that it needs.
        class: ResourceClass,
        /// What the part has.
        granted: ResourceClass,
    },
    /// It needs a source that the policy does not bind.
    #[error(
        "plugin {plugin} needs a source of kind {kind} for its slot `{slot}`, which the policy does not bind"
    )]
    Unbound {
        /// Name of the plugin.
        plugin: String,
        /// Which slot.
        slot: SlotName,
        /// Kind of source.
        kind: String,
    },
    /// A slot is bound to a source of another kind.
    #[error(
        "plugin {plugin} needs a source of kind {kind} for its slot `{slot}`, and `{source_name}` is none"
    )]
    WrongKind {
        /// Name of the plugin.
        plugin: String,
        /// Which slot.
        slot: SlotName,
        /// Kind of source.
        kind: String,
        /// What the slot is bound to.
        source_name: SourceName,
    },
    /// The owner of a source does not list the component.
    #[error("source `{source_name}` is not granted to the component {component}")]
    NotGranted {
        /// Which source.
        source_name: SourceName,
        /// Which component.
        component: Digest,
    },
}

fn told(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.pointer.as_str() {
        "" => problem.message.clone(),
        pointer => format!("{pointer}: {}", problem.message),
    };
    let lines: Vec<String> = problems.iter().take(PROBLEMS_TOLD).map(one).collect();
    lines.join("; ")
}

/// Who can read the state that a plugin writes.
pub fn tag(about: &About) -> StateTag {
    StateTag {
        plugin: about.name.clone(),
        version: about.state_version,
    }
}

/// The kind of plugin that a part needs.
pub fn kind(part: &Part) -> PluginKind {
    match part {
        Part::Strategy => PluginKind::Strategy,
        Part::Gate(_) => PluginKind::Gate,
    }
}

/// Finds a component, keeps it in the store, and checks it for a part. Without a configuration
/// of its own it gets that of the component before.
pub async fn prepare(
    plugins: &dyn Plugins,
    spec: &Spec,
    part: Part,
    reference: PluginRef,
    base: &Path,
    config: Option<String>,
) -> Result<(Swap, LoadedPlugin), Obstacle> {
    let gate = gate(spec, &part)?;
    let before = gate.map_or(&spec.policy.strategy.config, |gate| &gate.config);
    let config = config.unwrap_or_else(|| before.clone());
    let loaded = plugins.load(&reference, kind(&part), base).await?;
    fits(plugins, spec, gate, &loaded, &config).await?;
    let to = Component {
        plugin: reference,
        digest: loaded.digest.clone(),
        version: loaded.about.version.clone(),
        writes: tag(&loaded.about),
        config,
    };
    let swap = Swap {
        part,
        to,
        obstacle: None,
    };
    Ok((swap, loaded))
}

/// Looks once more at a swap that somebody asked for, from the store alone.
pub(crate) async fn look_again(plugins: &dyn Plugins, spec: &Spec, mut swap: Swap) -> Swap {
    let found = stored(plugins, spec, &swap).await;
    match found {
        Ok(loaded) => {
            swap.to.version.clone_from(&loaded.about.version);
            swap.to.writes = tag(&loaded.about);
            swap.obstacle = None;
        }
        Err(obstacle) => swap.obstacle = Some(obstacle.to_string()),
    }
    swap
}

async fn stored(plugins: &dyn Plugins, spec: &Spec, swap: &Swap) -> Result<LoadedPlugin, Obstacle> {
    let gate = gate(spec, &swap.part)?;
    let loaded = plugins
        .load_stored(&swap.to.digest, kind(&swap.part))
        .await?;
    fits(plugins, spec, gate, &loaded, &swap.to.config).await?;
    Ok(loaded)
}

fn gate<'a>(spec: &'a Spec, part: &Part) -> Result<Option<&'a GateUse>, Obstacle> {
    let Part::Gate(name) = part else {
        return Ok(None);
    };
    let gates = &spec.policy.gates;
    let found = gates.iter().find(|gate| gate.name == *name);
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
        Obstacle::NoGate {
            gate: name.clone(),
            known: names.join(", "),
        }
    })
}

async fn fits(
    plugins: &dyn Plugins,
    spec: &Spec,
    gate: Option<&GateUse>,
    loaded: &LoadedPlugin,
    config: &str,
) -> Result<(), Obstacle> {
    let plugin = loaded.about.name.clone();
    let granted = gate.map_or(spec.policy.strategy.class, |gate| gate.class);
    let granted = granted.unwrap_or_default();
    if loaded.class > granted {
        return Err(Obstacle::TooLarge {
            plugin,
            class: loaded.class,
            granted,
        });
    }
    match plugins.validate_config(&loaded.digest, config).await {
        Ok(problems) if problems.is_empty() => {}
        Ok(problems) => return Err(Obstacle::Config { plugin, problems }),
        Err(why) => return Err(Obstacle::Silent { plugin, why }),
    }
    gate.map_or(Ok(()), |gate| slots(spec, gate, loaded))
}

/// Every slot that the gate declares is bound to a source of its kind, and every source that it
/// can ask is granted to it.
fn slots(spec: &Spec, gate: &GateUse, loaded: &LoadedPlugin) -> Result<(), Obstacle> {
    let plugin = || loaded.about.name.clone();
    for slot in &loaded.about.slots {
        let Some(bound) = gate.slots.get(&slot.name) else {
            return Err(Obstacle::Unbound {
                plugin: plugin(),
                slot: slot.name.clone(),
                kind: slot.kind.clone(),
            });
        };
        let source = spec.sources.iter().find(|source| source.name == *bound);
        if source.is_none_or(|source| !source.kind.fits(&slot.kind)) {
            return Err(Obstacle::WrongKind {
                plugin: plugin(),
                slot: slot.name.clone(),
                kind: slot.kind.clone(),
                source_name: bound.clone(),
            });
        }
    }
    let bound = |name: &SourceName| gate.slots.values().any(|source| source == name);
    let refuses = |source: &&wavegate_model::SourceSpec| {
        bound(&source.name)
            && !(source.plugins.allows(&loaded.digest) && source.policies.allows(&spec.policy.name))
    };
    match spec.sources.iter().find(refuses) {
        Some(source) => Err(Obstacle::NotGranted {
            source_name: source.name.clone(),
            component: loaded.digest.clone(),
        }),
        None => Ok(()),
    }
}
