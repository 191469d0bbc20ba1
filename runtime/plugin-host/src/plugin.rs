//! A plugin that is linked and ready to be called, and the ones that are kept in memory.

use crate::call::{self, CallData, Given, Ran};
use crate::compile::{Compiler, NotCompiled, compile, engine_key, map};
use crate::contract::{self, Answered, GateGuest, KeptGate, KeptStrategy, StrategyGuest, Version};
use crate::engine::Runtime;
use crate::evidence::EvidenceBook;
use crate::schema;
use crate::stop::Stop;
use crate::store::ComponentStore;
use crate::text::clean;
use crate::wasi::{self, Inert};
use std::collections::BTreeMap;
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Engine, Store};
use wavegate_model::limits::{CallLimits, ResourceClass};
use wavegate_model::plugin::{About, PluginKind, Problem};
use wavegate_model::{Digest, SlotName, Timestamp, Unavailable};
use wavegate_ports::plugins::{Answer, LoadedPlugin, Question};

/// Components that are kept linked in memory: as many as the plugins of a large policy, a few
/// times over. Others are loaded again from the store, which takes a millisecond or so.
const KEPT_MAX: usize = 256;

/// A component of one kind, of whichever contract.
pub(crate) enum Guest {
    Strategy(Box<dyn StrategyGuest>),
    Gate(Box<dyn GateGuest>),
}

/// What is needed to make a component ready.
pub(crate) struct Workshop {
    pub(crate) runtimes: Vec<Runtime>,
    pub(crate) store: ComponentStore,
    /// Compiles what is large; without one it is compiled here.
    pub(crate) compiler: Option<Compiler>,
    /// What a call may use, whatever its policy says. A component that is asked what it is gets
    /// all of it: which class a policy gives it is not known yet.
    pub(crate) limits: CallLimits,
}

/// What the outermost layer of a component says about it.
pub(crate) struct Promise {
    pub(crate) kind: PluginKind,
    pub(crate) contract: String,
    pub(crate) class: ResourceClass,
}

/// A plugin that can be called.
pub(crate) struct Plugin {
    pub(crate) loaded: LoadedPlugin,
    guest: Guest,
    engine: Engine,
    schema: jsonschema::Validator,
}

/// An instance that is kept, which only tests and benchmarks do.
pub(crate) struct KeptPlugin {
    store: Store<CallData>,
    guest: KeptGuest,
}

enum KeptGuest {
    Strategy(Box<dyn KeptStrategy>),
    Gate(Box<dyn KeptGate>),
}

/// Why a component cannot be made ready.
pub(crate) enum NotReady {
    /// It does not compile, or does not fit the contract.
    Unusable(String),
    /// It cannot say what it is.
    NoDescription(Unavailable),
}

impl Plugin {
    /// Compiles (or takes what was compiled before), links, and asks the plugin what it is.
    pub(crate) fn prepare(
        workshop: &Workshop,
        digest: &Digest,
        bytes: &[u8],
        promise: Promise,
    ) -> Result<Self, NotReady> {
        let Promise {
            kind,
            contract,
            class,
        } = promise;
        let version = Version::of(&contract)
            .ok_or_else(|| NotReady::Unusable(format!("there is no contract {contract}")))?;
        let (runtime, component) =
            component(workshop, digest, bytes).map_err(NotReady::Unusable)?;
        let granted = match kind {
            PluginKind::Strategy => &runtime.strategy,
            PluginKind::Gate => &runtime.gate,
        };
        let linked = wasi::linked(granted, &component).and_then(|linker| match kind {
            PluginKind::Strategy => {
                contract::strategy(version, &linker, &component).map(Guest::Strategy)
            }
            PluginKind::Gate => contract::gate(version, &linker, &component).map(Guest::Gate),
        });
        let guest = linked.map_err(|error| {
            NotReady::Unusable(clean(&format!(
                "it does not fit contract {contract}: {error:#}; rebuild it against it"
            )))
        })?;
        let engine = runtime.engine.clone();
        let ran = call::run(
            &engine,
            &workshop.limits,
            Given::nothing(digest),
            |store| match &guest {
                Guest::Strategy(strategy) => strategy.describe(store),
                Guest::Gate(gate) => gate.describe(store),
            },
        );
        let about: About = flatten(ran).map_err(NotReady::NoDescription)?;
        let schema = schema::compile(&about.config_schema).map_err(|why| {
            let message = format!("the JSON Schema of its configuration cannot be used: {why}");
            NotReady::NoDescription(Unavailable::Failed {
                code: "bad-schema".into(),
                message,
            })
        })?;
        let loaded = LoadedPlugin {
            digest: digest.clone(),
            about,
            contract,
            class,
        };
        Ok(Self {
            loaded,
            guest,
            engine,
            schema,
        })
    }

    /// Checks a configuration against the schema, and only if it fits, asks the plugin.
    pub(crate) fn validate_config(
        &self,
        config: &str,
        limits: &CallLimits,
    ) -> Result<Vec<Problem>, Unavailable> {
        let problems = schema::check(&self.schema, config);
        if !problems.is_empty() {
            return Ok(problems);
        }
        flatten(call::run(
            &self.engine,
            limits,
            Given::nothing(&self.loaded.digest),
            |store| match &self.guest {
                Guest::Strategy(strategy) => strategy.validate_config(store, config),
                Guest::Gate(gate) => gate.validate_config(store, config),
            },
        ))
    }

    /// Asks in a new instance.
    pub(crate) fn ask(
        &self,
        question: &Question,
        config: &str,
        limits: &CallLimits,
    ) -> Ran<Answer> {
        let ran = call::run(&self.engine, limits, self.given(question), |store| {
            self.answer(store, question, config)
        });
        Ran {
            result: flat(ran.result),
            fuel: ran.fuel,
            memory_bytes: ran.memory_bytes,
            log: ran.log,
            frames: ran.frames,
            micros: ran.micros,
        }
    }

    fn answer(
        &self,
        store: &mut Store<CallData>,
        question: &Question,
        config: &str,
    ) -> Answered<Answer> {
        Ok(match (&self.guest, question) {
            (Guest::Strategy(strategy), Question::Outline { site, release }) => strategy
                .outline(store, site, release, config)?
                .map(Answer::Outline),
            (Guest::Strategy(strategy), Question::Decide { view, state }) => strategy
                .decide(store, view, config, state)?
                .map(Answer::Decide),
            (Guest::Gate(gate), Question::Evaluate { call, state, .. }) => gate
                .evaluate(store, call, config, state)?
                .map(Answer::Evaluate),
            (Guest::Strategy(_), Question::Evaluate { .. })
            | (Guest::Gate(_), Question::Outline { .. } | Question::Decide { .. }) => {
                Err(Unavailable::NotLoaded {
                    message: "the question is for the other kind of plugin".into(),
                })
            }
        })
    }

    /// What an answer needs besides the question itself.
    fn given(&self, question: &Question) -> Given {
        let (book, at) = match question {
            Question::Evaluate {
                call,
                evidence,
                slots,
                ..
            } => (EvidenceBook::new(evidence.clone(), slots.clone()), call.now),
            Question::Decide { view, .. } => (EvidenceBook::default(), view.now),
            Question::Outline { .. } => (EvidenceBook::default(), Timestamp(0)),
        };
        let inert = Inert::new(&self.loaded.digest, at);
        Given { book, inert }
    }

    /// Makes an instance that is kept from call to call, as no rollout has one.
    pub(crate) fn keep(&self, limits: &CallLimits) -> wasmtime::Result<KeptPlugin> {
        let given = Given::nothing(&self.loaded.digest);
        let mut store = call::store(&self.engine, limits, given)?;
        let guest = match &self.guest {
            Guest::Strategy(strategy) => KeptGuest::Strategy(strategy.keep(&mut store)?),
            Guest::Gate(gate) => KeptGuest::Gate(gate.keep(&mut store)?),
        };
        Ok(KeptPlugin { store, guest })
    }

    /// Asks an instance that was kept.
    pub(crate) fn ask_kept(
        &self,
        kept: &mut KeptPlugin,
        question: &Question,
        config: &str,
        limits: &CallLimits,
    ) -> wasmtime::Result<Result<Answer, Unavailable>> {
        let given = self.given(question);
        call::renew(&mut kept.store, limits, given)?;
        let store = &mut kept.store;
        Ok(match (&kept.guest, question) {
            (KeptGuest::Strategy(strategy), Question::Decide { view, state }) => strategy
                .decide(store, view, config, state)?
                .map(Answer::Decide),
            (KeptGuest::Gate(gate), Question::Evaluate { call, state, .. }) => gate
                .evaluate(store, call, config, state)?
                .map(Answer::Evaluate),
            _ => Err(Unavailable::NotLoaded {
                message: "an instance that is kept answers `decide` or `evaluate` alone".into(),
            }),
        })
    }

    /// Problems that the schema finds in a configuration; the plugin is not asked.
    pub(crate) fn schema_problems(&self, config: &str) -> Vec<Problem> {
        schema::check(&self.schema, config)
    }

    /// The strategy in it, for benchmarks.
    pub(crate) fn strategy(&self) -> Option<(&Engine, &dyn StrategyGuest)> {
        match &self.guest {
            Guest::Strategy(strategy) => Some((&self.engine, &**strategy)),
            Guest::Gate(_) => None,
        }
    }
}

/// The kind of plugin that can answer a question.
pub(crate) fn kind_for(question: &Question) -> PluginKind {
    match question {
        Question::Outline { .. } | Question::Decide { .. } => PluginKind::Strategy,
        Question::Evaluate { .. } => PluginKind::Gate,
    }
}

fn flat<T>(result: Result<Result<T, Unavailable>, Stop>) -> Result<T, Stop> {
    result.and_then(|answer| answer.map_err(Stop::Unavailable))
}

/// For calls in which no evidence can be asked for.
fn flatten<T>(ran: Ran<Result<T, Unavailable>>) -> Result<T, Unavailable> {
    flat(ran.result).map_err(|stop| match stop {
        Stop::Unavailable(why) => why,
        Stop::NeedsEvidence(queries) => Unavailable::NotGranted {
            slot: queries
                .first()
                .map_or_else(|| SlotName::new(""), |query| query.slot().clone()),
        },
    })
}

/// Finds or compiles a component for the first engine that takes it.
fn component<'a>(
    workshop: &'a Workshop,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(&'a Runtime, Component), String> {
    let mut refused = String::from("there is no engine");
    for runtime in &workshop.runtimes {
        let key = engine_key(&runtime.engine);
        if let Some(component) = compiled_before(&workshop.store, runtime, digest, &key) {
            return Ok((runtime, component));
        }
        match compile(workshop.compiler.as_ref(), &runtime.engine, bytes) {
            Ok(component) => {
                if let Ok(code) = component.serialize() {
                    workshop.store.keep_compiled(digest, &key, &code);
                }
                // From the file, too, only those pages take memory that are needed.
                let kept = compiled_before(&workshop.store, runtime, digest, &key);
                return Ok((runtime, kept.unwrap_or(component)));
            }
            Err(NotCompiled::Invalid(why)) => return Err(why),
            Err(NotCompiled::Refused(why)) => refused = why,
        }
    }
    Err(refused)
}

fn compiled_before(
    store: &ComponentStore,
    runtime: &Runtime,
    digest: &Digest,
    key: &str,
) -> Option<Component> {
    let verified = store.compiled(digest, key)?;
    match map(&runtime.engine, &verified) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(
                "the compiled code of {digest} is of no use and is made again: {error:#}"
            );
            None
        }
    }
}

/// Plugins in memory; the one that was not used for the longest time goes first.
#[derive(Default)]
pub(crate) struct Kept {
    plugins: BTreeMap<(Digest, PluginKind), (Arc<Plugin>, u64)>,
    uses: u64,
}

impl Kept {
    pub(crate) fn get(&mut self, digest: &Digest, kind: PluginKind) -> Option<Arc<Plugin>> {
        self.uses += 1;
        let (plugin, used) = self.plugins.get_mut(&(digest.clone(), kind))?;
        *used = self.uses;
        Some(Arc::clone(plugin))
    }

    pub(crate) fn keep(&mut self, plugin: Arc<Plugin>) {
        self.uses += 1;
        let key = (plugin.loaded.digest.clone(), plugin.loaded.about.kind);
        self.plugins.insert(key, (plugin, self.uses));
        while self.plugins.len() > KEPT_MAX {
            let oldest = self
                .plugins
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(key, _)| key.clone());
            oldest.map(|key| self.plugins.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CompiledCache, digest_of};

    const CANARY: &[u8] = include_bytes!("../../../plugins/components/canary.wasm");

    fn prepare(runtimes: Vec<Runtime>) -> Plugin {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop {
            runtimes,
            store: ComponentStore::open(folder.path(), CompiledCache::Off).unwrap(),
            compiler: None,
            limits: CallLimits::LARGE,
        };
        let promise = Promise {
            kind: PluginKind::Strategy,
            contract: "0.2.0".into(),
            class: ResourceClass::Small,
        };
        match Plugin::prepare(&workshop, &digest_of(CANARY), CANARY, promise) {
            Ok(plugin) => plugin,
            Err(NotReady::Unusable(detail)) => panic!("{detail}"),
            Err(NotReady::NoDescription(why)) => panic!("{why}"),
        }
    }

    #[test]
    fn fuel_is_the_same_with_and_without_the_pool() {
        let release = wavegate_model::plugin::ReleaseId {
            version: "2".into(),
            digest: digest_of(b"2"),
        };
        let clusters = vec![("a".into(), String::new(), 3)];
        let site = wavegate_model::plugin::SiteSummary {
            site: "a".into(),
            clusters,
        };
        let question = Question::Outline { site, release };
        // The last one allocates on demand; where there is no pool, it is the only one.
        let all = || crate::engine::runtimes().unwrap();
        let used: Vec<u64> = [all(), all().split_off(all().len() - 1)]
            .into_iter()
            .map(|runtimes| {
                let ran = prepare(runtimes).ask(
                    &question,
                    r#"{"stages":[{"nodes":1}]}"#,
                    &CallLimits::SMALL,
                );
                assert!(ran.result.is_ok());
                ran.fuel
            })
            .collect();
        assert_eq!(used[0], used[1]);
    }

    #[test]
    fn the_least_used_plugin_goes_first() {
        let mut kept = Kept::default();
        let first = Arc::new(prepare(crate::engine::runtimes().unwrap()));
        let kind = PluginKind::Strategy;
        kept.keep(Arc::clone(&first));
        for i in 0..KEPT_MAX {
            assert!(
                kept.get(&first.loaded.digest, kind).is_some(),
                "it is used all the time"
            );
            kept.uses += 1;
            let other = digest_of(&i.to_le_bytes());
            kept.plugins
                .insert((other, kind), (Arc::clone(&first), kept.uses));
        }
        kept.keep(Arc::clone(&first));
        assert_eq!(kept.plugins.len(), KEPT_MAX);
        assert!(kept.get(&first.loaded.digest, kind).is_some());
        assert!(kept.get(&digest_of(&0usize.to_le_bytes()), kind).is_none());
    }
}
