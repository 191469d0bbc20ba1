//! What benchmarks measure and nothing else may use: the same call in a new instance and in one
//! that is kept, without the way over a worker thread.

use crate::call::{self, Given};
use crate::contract::KeptStrategy;
use crate::engine::{self, Ticker};
use crate::inspect::inspect;
use crate::journal;
use crate::plugin::{NotReady, Plugin, Promise, Workshop};
use crate::store::{CompiledCache, ComponentStore, digest_of};
use std::path::Path;
use wasmtime::Store;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{Outcome, PluginKind, PluginState, SiteView};
use wavegate_ports::plugins::Question;

/// A plugin, for benchmarks.
#[doc(hidden)]
pub struct Bench {
    plugin: Plugin,
    kept: Option<(Store<call::CallData>, Box<dyn KeptStrategy>)>,
    _clock: Ticker,
}

impl Bench {
    /// Compiles a plugin; panics if it cannot.
    #[must_use]
    pub fn new(store: &Path, component: &[u8], kind: PluginKind) -> Self {
        let workshop = Workshop {
            runtimes: engine::runtimes().expect("engines"),
            store: ComponentStore::open(store, CompiledCache::Off).expect("store"),
            compiler: None,
            limits: CallLimits::LARGE,
        };
        let inspected = inspect("a benchmark", component).expect("a component");
        let promise = Promise {
            kind,
            contract: inspected.check("a benchmark", kind).expect("a plugin"),
            class: inspected.class("a benchmark").expect("a class"),
        };
        let prepared = Plugin::prepare(&workshop, &digest_of(component), component, promise);
        let plugin = prepared.unwrap_or_else(|why| match why {
            NotReady::Unusable(detail) => panic!("{detail}"),
            NotReady::NoDescription(why) => panic!("{why}"),
        });
        let engines: Vec<_> = workshop
            .runtimes
            .iter()
            .map(|runtime| runtime.engine.clone())
            .collect();
        let clock =
            Ticker::start(move || engines.iter().for_each(wasmtime::Engine::increment_epoch));
        Self {
            plugin,
            kept: None,
            _clock: clock.expect("clock"),
        }
    }

    /// A typed call in a new instance, as every call is made.
    pub fn fresh(&self, view: &SiteView, config: &str, state: &PluginState) -> Outcome {
        let (engine, strategy) = self.plugin.strategy().expect("a strategy");
        let ran = call::run(
            engine,
            &CallLimits::LARGE,
            Given::nothing(&self.plugin.loaded.digest),
            |store| strategy.decide(store, view, config, state),
        );
        ran.result.expect("the call ends").expect("an answer")
    }

    /// The same call in an instance that is kept.
    pub fn kept(&mut self, view: &SiteView, config: &str, state: &PluginState) -> Outcome {
        let (engine, strategy) = self.plugin.strategy().expect("a strategy");
        let (store, instance) = self.kept.get_or_insert_with(|| {
            let given = Given::nothing(&self.plugin.loaded.digest);
            let mut store = call::store(engine, &CallLimits::LARGE, given).expect("a store");
            let instance = strategy.keep(&mut store).expect("an instance");
            (store, instance)
        });
        store.set_fuel(CallLimits::LARGE.fuel).expect("fuel is on");
        store.set_epoch_deadline(1_000);
        instance
            .decide(store, view, config, state)
            .expect("the call ends")
            .expect("an answer")
    }

    /// A call with all its evidence in a new instance, without encoding: its fuel and its memory.
    pub fn answered(&self, question: &Question, config: &str) -> (u64, u64) {
        let ran = self.plugin.ask(question, config, &CallLimits::LARGE);
        assert!(ran.result.is_ok(), "no answer");
        (ran.fuel, ran.memory_bytes)
    }

    /// What of a call is encoding its question.
    pub fn encode(&self, question: &Question) -> Vec<u8> {
        journal::input(question)
    }

    /// The whole of a call as it is journaled: question and answer encoded, new instance.
    pub fn whole(&self, question: &Question, config: &str) -> (Vec<u8>, Vec<u8>) {
        let input = journal::input(question);
        let ran = self.plugin.ask(question, config, &CallLimits::LARGE);
        let Ok(answer) = ran.result else {
            panic!("no answer")
        };
        (input, journal::output(&answer))
    }
}
