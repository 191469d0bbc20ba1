//! The real components, and sources over the simulated fleet: some calls fail, some take long.

use crate::driver::SwarmDriver;
use crate::life::Life;
use crate::people;
use crate::swarm::{passes, wait_here};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::plugin::{PluginKind, Problem};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, Evidence, Query, RolloutId, SourceName, Unavailable};
use wavegate_plugin_host::PluginHost;
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::Driver;
use wavegate_ports::plugins::{
    CallEnd, CallReport, LoadedPlugin, PluginCall, PluginRejected, Plugins,
};
use wavegate_ports::sources::{SourceError, Sources};
use wavegate_sources::{Fault, ProbeSource, Source as _};

/// Permille of the plugins that take long of which somebody has enough.
const SWAPPED: u32 = 60;

pub(crate) struct SwarmPlugins {
    pub(crate) life: Arc<Life>,
    pub(crate) rollout: RolloutId,
    pub(crate) host: Arc<PluginHost>,
}

impl Plugins for SwarmPlugins {
    fn load(
        &self,
        reference: &PluginRef,
        kind: PluginKind,
        base: &Path,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        let loaded = wait_here(self.host.load(reference, kind, base));
        Box::pin(async { loaded })
    }

    fn load_stored(
        &self,
        digest: &Digest,
        kind: PluginKind,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        let loaded = wait_here(self.host.load_stored(digest, kind));
        Box::pin(async { loaded })
    }

    fn validate_config(
        &self,
        digest: &Digest,
        config: &str,
    ) -> BoxFuture<'_, Result<Vec<Problem>, Unavailable>> {
        let problems = wait_here(self.host.validate_config(digest, config));
        Box::pin(async { problems })
    }

    fn call(&self, call: PluginCall) -> BoxFuture<'_, CallReport> {
        Box::pin(async move {
            self.life.lives().await;
            let swarm = &self.life.swarm;
            let mut report = wait_here(self.host.call(call));
            // Not part of any decision, and another one in each run.
            report.micros = 0;
            let chance = swarm.scene.chances.plugins;
            if swarm.strikes("plugin: it takes long", chance) {
                let millis = 100 + swarm.below(20_000);
                if swarm.strikes("operator: swaps what is asked", SWAPPED) {
                    people::swap(swarm, &self.rollout, &self.host);
                }
                passes(Duration::from_millis(millis)).await;
            }
            if swarm.strikes("plugin: no answer", chance) {
                report.end = CallEnd::Unavailable(match swarm.below(3) {
                    0 => Unavailable::TimedOut { limit_ms: 2000 },
                    1 => Unavailable::LimitExceeded {
                        what: "memory in bytes".to_owned(),
                        limit: 1,
                    },
                    _ => Unavailable::Busy { waited_ms: 10_000 },
                });
                report.output = Vec::new();
            }
            passes(Duration::from_millis(1 + swarm.below(30))).await;
            self.life.lives().await;
            report
        })
    }

    fn host_key(&self) -> String {
        self.host.host_key()
    }
}

/// The probe source of a scene.
pub(crate) struct SwarmSources {
    life: Arc<Life>,
    probe: ProbeSource,
}

impl SwarmSources {
    pub(crate) fn new(life: &Arc<Life>, rollout: &RolloutId) -> Self {
        let driver: Arc<dyn Driver> = Arc::new(SwarmDriver::new(life));
        Self {
            life: Arc::clone(life),
            probe: ProbeSource::new(driver, rollout.clone()),
        }
    }
}

impl Sources for SwarmSources {
    fn check(&self, _: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        Box::pin(async { Ok(()) })
    }

    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        let (source_name, query, scope) = (source.clone(), query.clone(), scope.clone());
        Box::pin(async move {
            self.life.lives().await;
            let swarm = &self.life.swarm;
            let chance = swarm.scene.chances.sources;
            if swarm.strikes("source: it takes long", chance) {
                let millis = 100 + swarm.below(15_000);
                passes(Duration::from_millis(millis)).await;
            }
            let silent = |detail: String| SourceError::Unavailable {
                source_name: source_name.clone(),
                detail,
            };
            if swarm.strikes("source: no answer", chance) {
                return Err(silent("no answer".to_owned()));
            }
            let answer = self.probe.fetch(&query, &scope).await;
            self.life.lives().await;
            answer.map_err(|fault| match fault {
                Fault::Unavailable(detail) => silent(detail),
                Fault::Refused(detail) => SourceError::Refused {
                    source_name: source_name.clone(),
                    detail,
                },
                Fault::WrongKind(what) => SourceError::WrongKind {
                    source_name: source_name.clone(),
                    kind: "probe",
                    what,
                },
            })
        })
    }
}
