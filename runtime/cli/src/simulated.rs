//! Simulated worlds behind the ports of a simulation: which adapter stands where.

use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_driver_sim::{Scope, SimDriver};
use wavegate_engine::Spec;
use wavegate_foresight::simulate::{Ask, Opened, Worlds};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::source::SourceKind;
use wavegate_model::{DurationMs, Evidence, Query, RolloutId, Simulation, SourceName};
use wavegate_plugin_host::PluginHost;
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::Driver;
use wavegate_ports::plugins::{CallEnd, PluginCall};
use wavegate_ports::sources::{SourceError, Sources};
use wavegate_sources::{Fault, ProbeSource, Source as _};

/// The plugin host, asked in the thread of the run.
pub(crate) struct Here(pub(crate) Arc<PluginHost>);

impl Ask for Here {
    fn ask(&self, call: &PluginCall) -> CallEnd {
        self.0.call_here(call)
    }
}

/// The worlds of a rollout.
pub(crate) struct Simulated {
    scope: Scope,
    model: Arc<Simulation>,
    /// Sources that the driver itself answers for, and others.
    sources: Vec<(SourceName, SourceKind)>,
    rollout: RolloutId,
}

/// Requests are counted at least so finely, and at most.
const RESOLUTION: (DurationMs, DurationMs) = (DurationMs(100), DurationMs::secs(5));

impl Simulated {
    pub(crate) fn new(spec: &Spec, model: &Simulation) -> Self {
        let gates = spec.policy.gates.iter();
        let shortest = gates.map(|gate| gate.interval.0 / 2).min().unwrap_or(1000);
        let sites = spec.plan.waves.iter().flat_map(|wave| &wave.sites);
        Self {
            scope: Scope {
                clusters: spec.clusters.clone(),
                sites: sites.cloned().collect(),
                release: spec.release.clone(),
                splits_traffic: spec.capabilities.splits_traffic,
                resolution: DurationMs(shortest.clamp(RESOLUTION.0.0, RESOLUTION.1.0)),
            },
            model: Arc::new(model.clone()),
            sources: spec
                .sources
                .iter()
                .map(|s| (s.name.clone(), s.kind.clone()))
                .collect(),
            rollout: spec.rollout.clone(),
        }
    }
}

impl Worlds for Simulated {
    fn open(&self, seed: u64) -> Result<Opened, String> {
        let world = SimDriver::new(&self.scope, &self.model, seed);
        let world = Arc::new(world.map_err(|bad| bad.to_string())?);
        let driver: Arc<dyn Driver> = world.clone();
        let probes = self
            .sources
            .iter()
            .filter(|(_, kind)| *kind == SourceKind::Probe);
        let probes = probes.map(|(name, _)| {
            let probe = ProbeSource::new(Arc::clone(&driver), self.rollout.clone());
            (name.clone(), probe)
        });
        Ok(Opened {
            sources: Box::new(SimSources {
                probes: probes.collect(),
                world: Arc::clone(&world),
            }),
            start: world.start(),
            fault: world.fault(),
            world,
        })
    }
}

/// Probe sources are the real ones, over the simulated driver; servers are simulated.
struct SimSources {
    probes: BTreeMap<SourceName, ProbeSource>,
    world: Arc<SimDriver>,
}

impl Sources for SimSources {
    fn check(&self, _: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        let Some(probe) = self.probes.get(source) else {
            let answer = self.world.answer(source, query, scope);
            let answer = answer.map_err(|none| SourceError::Unavailable {
                source_name: source.clone(),
                detail: format!("source `{}`: {}", none.source, none.query),
            });
            return Box::pin(async { answer });
        };
        let (source_name, query, scope) = (source.clone(), query.clone(), scope.clone());
        Box::pin(async move {
            probe.fetch(&query, &scope).await.map_err(|fault| {
                let detail = match fault {
                    Fault::Unavailable(detail) | Fault::Refused(detail) => detail,
                    Fault::WrongKind(what) => format!("it cannot answer {what}"),
                };
                // The driver of a simulation always answers, so that every fault is a refusal.
                SourceError::Refused {
                    source_name,
                    detail,
                }
            })
        })
    }
}
