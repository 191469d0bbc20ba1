//! Contract 0.1: generated bindings, and their way to and from the model.

mod answers;
mod gate;
mod host;
mod strategy;

use crate::call::CallData;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};
use wavegate_model::Unavailable;
use wavegate_model::plugin::{
    About, Evaluation, GateCall, Outcome, PluginState, Problem, ReleaseId,
};
use wavegate_model::plugin::{SiteSummary, SiteView, Stage};

mod strategy_world {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wavegate:plugin/strategy-plugin",
        imports: { default: trappable },
    });
}

mod gate_world {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wavegate:plugin/gate-plugin",
        imports: { default: trappable },
        with: {
            "wavegate:plugin/types": super::strategy_world::wavegate::plugin::types,
            "wavegate:plugin/log": super::strategy_world::wavegate::plugin::log,
        },
    });
}

use gate_world::{GatePlugin, GatePluginPre};
use strategy_world::{StrategyPlugin, StrategyPluginPre};

/// A guest's answer, or why it is none. The outer error is a call that did not come to its end.
pub(crate) type Answered<T> = wasmtime::Result<Result<T, Unavailable>>;

/// What strategies may import.
pub(crate) fn strategy_linker(engine: &Engine) -> wasmtime::Result<Linker<CallData>> {
    let mut linker = Linker::new(engine);
    StrategyPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |data: &mut CallData| data)?;
    Ok(linker)
}

/// What gates may import.
pub(crate) fn gate_linker(engine: &Engine) -> wasmtime::Result<Linker<CallData>> {
    let mut linker = Linker::new(engine);
    GatePlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |data: &mut CallData| data)?;
    Ok(linker)
}

/// A strategy, linked and type-checked once.
pub(crate) struct Strategy(StrategyPluginPre<CallData>);

impl Strategy {
    pub(crate) fn link(linker: &Linker<CallData>, component: &Component) -> wasmtime::Result<Self> {
        Ok(Self(StrategyPluginPre::new(
            linker.instantiate_pre(component)?,
        )?))
    }

    /// Makes an instance, without calling it.
    pub(crate) fn instantiate(
        &self,
        store: &mut Store<CallData>,
    ) -> wasmtime::Result<StrategyInstance> {
        Ok(StrategyInstance(self.0.instantiate(store)?))
    }

    pub(crate) fn describe(&self, store: &mut Store<CallData>) -> Answered<About> {
        let instance = self.instantiate(store)?.0;
        let answer = instance.wavegate_plugin_strategy().call_describe(store)?;
        Ok(answer.map_err(answers::failed).and_then(strategy::about))
    }

    pub(crate) fn validate_config(
        &self,
        store: &mut Store<CallData>,
        config: &str,
    ) -> Answered<Vec<Problem>> {
        let instance = self.instantiate(store)?.0;
        let answer = instance
            .wavegate_plugin_strategy()
            .call_validate_config(store, config)?;
        Ok(answer.map_err(answers::failed).map(answers::problems))
    }

    pub(crate) fn outline(
        &self,
        store: &mut Store<CallData>,
        site: &SiteSummary,
        release: &ReleaseId,
        config: &str,
    ) -> Answered<Vec<Stage>> {
        let instance = self.instantiate(store)?.0;
        let (site, release) = (strategy::summary(site), answers::release(release));
        let answer = instance
            .wavegate_plugin_strategy()
            .call_outline(store, &site, &release, config)?;
        Ok(answer.map_err(answers::failed).and_then(strategy::stages))
    }

    pub(crate) fn decide(
        &self,
        store: &mut Store<CallData>,
        view: &SiteView,
        config: &str,
        state: &PluginState,
    ) -> Answered<Outcome> {
        self.instantiate(store)?.decide(store, view, config, state)
    }
}

/// An instance of a strategy. Calls never share one; benchmarks compare with one that is kept.
pub(crate) struct StrategyInstance(StrategyPlugin);

impl StrategyInstance {
    pub(crate) fn decide(
        &self,
        store: &mut Store<CallData>,
        view: &SiteView,
        config: &str,
        state: &PluginState,
    ) -> Answered<Outcome> {
        let view = strategy::view(view);
        let answer = self
            .0
            .wavegate_plugin_strategy()
            .call_decide(store, &view, config, &state.0)?;
        Ok(answer.map_err(answers::failed).and_then(strategy::outcome))
    }
}

/// A gate, linked and type-checked once.
pub(crate) struct Gate(GatePluginPre<CallData>);

impl Gate {
    pub(crate) fn link(linker: &Linker<CallData>, component: &Component) -> wasmtime::Result<Self> {
        Ok(Self(GatePluginPre::new(
            linker.instantiate_pre(component)?,
        )?))
    }

    pub(crate) fn describe(&self, store: &mut Store<CallData>) -> Answered<About> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance.wavegate_plugin_gate().call_describe(store)?;
        Ok(answer.map_err(answers::failed).and_then(gate::about))
    }

    pub(crate) fn validate_config(
        &self,
        store: &mut Store<CallData>,
        config: &str,
    ) -> Answered<Vec<Problem>> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance
            .wavegate_plugin_gate()
            .call_validate_config(store, config)?;
        Ok(answer.map_err(answers::failed).map(answers::problems))
    }

    pub(crate) fn evaluate(
        &self,
        store: &mut Store<CallData>,
        call: &GateCall,
        config: &str,
        state: &PluginState,
    ) -> Answered<Evaluation> {
        let instance = self.0.instantiate(&mut *store)?;
        let asked = gate::call(call);
        let answer = instance
            .wavegate_plugin_gate()
            .call_evaluate(store, &asked, config, &state.0)?;
        Ok(answer
            .map_err(answers::failed)
            .and_then(|evaluation| gate::evaluation(evaluation, call)))
    }
}
