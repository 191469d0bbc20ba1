//! Calls of plugins that are linked: the model's question in, its answer out.

use super::gate_world::{GatePlugin, GatePluginPre};
use super::strategy_world::{StrategyPlugin, StrategyPluginPre};
use super::{answers, gate, strategy};
use crate::call::CallData;
use crate::contract::{Answered, GateGuest, KeptGate, KeptStrategy, StrategyGuest};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};
use wavegate_model::plugin::{
    About, Evaluation, GateCall, Outcome, PluginState, Problem, ReleaseId,
};
use wavegate_model::plugin::{SiteSummary, SiteView, Stage};

/// A strategy, linked and type-checked once.
pub(crate) struct Strategy(StrategyPluginPre<CallData>);

impl Strategy {
    pub(crate) fn link(linker: &Linker<CallData>, component: &Component) -> wasmtime::Result<Self> {
        Ok(Self(StrategyPluginPre::new(
            linker.instantiate_pre(component)?,
        )?))
    }
}

impl StrategyGuest for Strategy {
    fn describe(&self, store: &mut Store<CallData>) -> Answered<About> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance.wavegate_plugin_strategy().call_describe(store)?;
        Ok(answer.map_err(answers::failed).and_then(strategy::about))
    }

    fn validate_config(&self, store: &mut Store<CallData>, config: &str) -> Answered<Vec<Problem>> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance
            .wavegate_plugin_strategy()
            .call_validate_config(store, config)?;
        Ok(answer.map_err(answers::failed).map(answers::problems))
    }

    fn outline(
        &self,
        store: &mut Store<CallData>,
        site: &SiteSummary,
        release: &ReleaseId,
        config: &str,
    ) -> Answered<Vec<Stage>> {
        let instance = self.0.instantiate(&mut *store)?;
        let (site, release) = (strategy::summary(site), answers::release(release));
        let answer = instance
            .wavegate_plugin_strategy()
            .call_outline(store, &site, &release, config)?;
        Ok(answer.map_err(answers::failed).and_then(strategy::stages))
    }

    fn keep(&self, store: &mut Store<CallData>) -> wasmtime::Result<Box<dyn KeptStrategy>> {
        Ok(Box::new(KeptInstance(self.0.instantiate(store)?)))
    }

    fn decide(
        &self,
        store: &mut Store<CallData>,
        view: &SiteView,
        config: &str,
        state: &PluginState,
    ) -> Answered<Outcome> {
        KeptInstance(self.0.instantiate(&mut *store)?).decide(store, view, config, state)
    }
}

/// An instance. Calls never share one; benchmarks and tests compare with one that is kept.
struct KeptInstance<T>(T);

impl KeptStrategy for KeptInstance<StrategyPlugin> {
    fn decide(
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
}

impl GateGuest for Gate {
    fn describe(&self, store: &mut Store<CallData>) -> Answered<About> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance.wavegate_plugin_gate().call_describe(store)?;
        Ok(answer.map_err(answers::failed).and_then(gate::about))
    }

    fn validate_config(&self, store: &mut Store<CallData>, config: &str) -> Answered<Vec<Problem>> {
        let instance = self.0.instantiate(&mut *store)?;
        let answer = instance
            .wavegate_plugin_gate()
            .call_validate_config(store, config)?;
        Ok(answer.map_err(answers::failed).map(answers::problems))
    }

    fn evaluate(
        &self,
        store: &mut Store<CallData>,
        call: &GateCall,
        config: &str,
        state: &PluginState,
    ) -> Answered<Evaluation> {
        KeptInstance(self.0.instantiate(&mut *store)?).evaluate(store, call, config, state)
    }

    fn keep(&self, store: &mut Store<CallData>) -> wasmtime::Result<Box<dyn KeptGate>> {
        Ok(Box::new(KeptInstance(self.0.instantiate(store)?)))
    }
}

impl KeptGate for KeptInstance<GatePlugin> {
    fn evaluate(
        &self,
        store: &mut Store<CallData>,
        call: &GateCall,
        config: &str,
        state: &PluginState,
    ) -> Answered<Evaluation> {
        let asked = gate::call(call);
        let answer = self
            .0
            .wavegate_plugin_gate()
            .call_evaluate(store, &asked, config, &state.0)?;
        Ok(answer
            .map_err(answers::failed)
            .and_then(|evaluation| gate::evaluation(evaluation, call)))
    }
}
