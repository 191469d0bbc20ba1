//! One module per released contract. Each knows the types of its version, and nobody else does.
//!
//! The newest is `wit/`; those before it are frozen under `wit/released/`, and components that
//! were built against them run for ever ([ADR 0022](../../../docs/adr/0022-contracts-grow.md)).

mod query;
pub(crate) mod v0_1;
pub(crate) mod v0_2;

use crate::call::CallData;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wavegate_model::Unavailable;
use wavegate_model::plugin::{
    About, Evaluation, GateCall, Outcome, PluginKind, PluginState, Problem, ReleaseId, SiteSummary,
    SiteView, Stage,
};

/// Contracts that this host speaks, for messages.
pub(crate) const KNOWN: &str = "0.1.x and 0.2.x";
/// The package of every contract.
pub(crate) const PACKAGE: &str = "wavegate:plugin";

/// A contract that this host speaks. Released types never change, so all patches of a version
/// are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V0_1,
    V0_2,
}

impl Version {
    /// The contract of a package version, if this host speaks it.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let (minor, patch) = version.rsplit_once('.')?;
        let released = !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
        match minor {
            "0.1" if released => Some(Self::V0_1),
            "0.2" if released => Some(Self::V0_2),
            _ => None,
        }
    }

    /// The interfaces that a kind of plugin may import, besides what is inert.
    pub(crate) fn granted(self, kind: PluginKind) -> &'static [&'static str] {
        match (self, kind) {
            (_, PluginKind::Strategy) => &["types", "log"],
            (Self::V0_1, PluginKind::Gate) => &["types", "log", "metrics", "http", "probes"],
            (Self::V0_2, PluginKind::Gate) => {
                &["types", "log", "metrics", "http", "probes", "evidence"]
            }
        }
    }
}

/// A guest's answer, or why it is none. The outer error is a call that did not come to its end.
pub(crate) type Answered<T> = wasmtime::Result<Result<T, Unavailable>>;

/// A strategy that is linked, of whichever contract.
pub(crate) trait StrategyGuest: Send + Sync {
    fn describe(&self, store: &mut Store<CallData>) -> Answered<About>;
    fn validate_config(&self, store: &mut Store<CallData>, config: &str) -> Answered<Vec<Problem>>;
    fn outline(
        &self,
        store: &mut Store<CallData>,
        site: &SiteSummary,
        release: &ReleaseId,
        config: &str,
    ) -> Answered<Vec<Stage>>;
    /// Makes an instance and calls it.
    fn decide(
        &self,
        store: &mut Store<CallData>,
        view: &SiteView,
        config: &str,
        state: &PluginState,
    ) -> Answered<Outcome>;
    /// Makes an instance, without calling it.
    fn keep(&self, store: &mut Store<CallData>) -> wasmtime::Result<Box<dyn KeptStrategy>>;
}

/// An instance of a strategy.
pub(crate) trait KeptStrategy {
    fn decide(
        &self,
        store: &mut Store<CallData>,
        view: &SiteView,
        config: &str,
        state: &PluginState,
    ) -> Answered<Outcome>;
}

/// A gate that is linked, of whichever contract.
pub(crate) trait GateGuest: Send + Sync {
    fn describe(&self, store: &mut Store<CallData>) -> Answered<About>;
    fn validate_config(&self, store: &mut Store<CallData>, config: &str) -> Answered<Vec<Problem>>;
    /// Makes an instance and calls it.
    fn evaluate(
        &self,
        store: &mut Store<CallData>,
        call: &GateCall,
        config: &str,
        state: &PluginState,
    ) -> Answered<Evaluation>;
    /// Makes an instance, without calling it.
    fn keep(&self, store: &mut Store<CallData>) -> wasmtime::Result<Box<dyn KeptGate>>;
}

/// An instance of a gate.
pub(crate) trait KeptGate {
    fn evaluate(
        &self,
        store: &mut Store<CallData>,
        call: &GateCall,
        config: &str,
        state: &PluginState,
    ) -> Answered<Evaluation>;
}

/// What strategies of every contract may import.
pub(crate) fn strategy_linker(engine: &Engine) -> wasmtime::Result<Linker<CallData>> {
    let mut linker = Linker::new(engine);
    v0_1::grant_to_strategies(&mut linker)?;
    v0_2::grant_to_strategies(&mut linker)?;
    Ok(linker)
}

/// What gates of every contract may import.
pub(crate) fn gate_linker(engine: &Engine) -> wasmtime::Result<Linker<CallData>> {
    let mut linker = Linker::new(engine);
    v0_1::grant_to_gates(&mut linker)?;
    v0_2::grant_to_gates(&mut linker)?;
    Ok(linker)
}

/// Links a strategy of a contract.
pub(crate) fn strategy(
    version: Version,
    linker: &Linker<CallData>,
    component: &Component,
) -> wasmtime::Result<Box<dyn StrategyGuest>> {
    Ok(match version {
        Version::V0_1 => Box::new(v0_1::Strategy::link(linker, component)?),
        Version::V0_2 => Box::new(v0_2::Strategy::link(linker, component)?),
    })
}

/// Links a gate of a contract.
pub(crate) fn gate(
    version: Version,
    linker: &Linker<CallData>,
    component: &Component,
) -> wasmtime::Result<Box<dyn GateGuest>> {
    Ok(match version {
        Version::V0_1 => Box::new(v0_1::Gate::link(linker, component)?),
        Version::V0_2 => Box::new(v0_2::Gate::link(linker, component)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_released_versions_are_known() {
        assert_eq!(Version::of("0.1.0"), Some(Version::V0_1));
        assert_eq!(Version::of("0.1.12"), Some(Version::V0_1));
        assert_eq!(Version::of("0.2.0"), Some(Version::V0_2));
        for unknown in [
            "0.9.0",
            "0.1",
            "0.1.",
            "0.1.0-rc.1",
            "1.0.0",
            "0.10.0",
            "0.3.0",
            "0.2",
            "1.0.2.0",
            "",
        ] {
            assert_eq!(Version::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_new_is_granted_to_those_who_were_built_for_it() {
        let gate = PluginKind::Gate;
        assert!(!Version::V0_1.granted(gate).contains(&"evidence"));
        assert!(Version::V0_2.granted(gate).contains(&"evidence"));
        assert_eq!(
            Version::V0_2.granted(PluginKind::Strategy),
            ["types", "log"]
        );
    }
}
