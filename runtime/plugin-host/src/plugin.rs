//! A plugin that is linked and ready to be called, and the ones that are kept in memory.

use crate::call::{self, CallData, Given, Ran};
use crate::contract::{self, Answered, GateGuest, StrategyGuest, Version};
use crate::engine::Runtime;
use crate::evidence::EvidenceBook;
use crate::schema;
use crate::stop::Stop;
use crate::store::ComponentStore;
use crate::text::clean;
use crate::wasi::{self, Inert};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{Engine, Store};
use wavegate_model::limits::CallLimits;
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

/// A plugin that can be called.
pub(crate) struct Plugin {
    pub(crate) loaded: LoadedPlugin,
    guest: Guest,
    engine: Engine,
    schema: jsonschema::Validator,
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
        runtimes: &[Runtime],
        store: &ComponentStore,
        digest: &Digest,
        bytes: &[u8],
        kind: PluginKind,
        contract: String,
        limits: &CallLimits,
    ) -> Result<Self, NotReady> {
        let version = Version::of(&contract)
            .ok_or_else(|| NotReady::Unusable(format!("there is no contract {contract}")))?;
        let (runtime, component) =
            component(runtimes, store, digest, bytes).map_err(NotReady::Unusable)?;
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
            limits,
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
        let ran = call::run(&self.engine, limits, Given { book, inert }, |store| {
            self.answer(store, question, config)
        });
        Ran {
            result: flat(ran.result),
            fuel: ran.fuel,
            memory_bytes: ran.memory_bytes,
            log: ran.log,
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
    runtimes: &'a [Runtime],
    store: &ComponentStore,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(&'a Runtime, Component), String> {
    let mut refused = String::from("there is no engine");
    for runtime in runtimes {
        let key = engine_key(&runtime.engine);
        if let Some(code) = store.compiled(digest, &key)
            && let Ok(component) = deserialize(&runtime.engine, &code)
        {
            return Ok((runtime, component));
        }
        match Component::from_binary(&runtime.engine, bytes) {
            Ok(component) => {
                if let Ok(code) = component.serialize() {
                    store.keep_compiled(digest, &key, &code);
                }
                return Ok((runtime, component));
            }
            // What is not valid is so for every engine; what is too large may fit the next one.
            Err(error)
                if error
                    .downcast_ref::<wasmparser::BinaryReaderError>()
                    .is_some() =>
            {
                return Err(clean(&format!("{error:#}")));
            }
            Err(error) => refused = clean(&format!("{error:#}")),
        }
    }
    Err(refused)
}

/// Names wasmtime's version, settings and processor, all of which compiled code depends on.
fn engine_key(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            let sum = self.0.clone().finalize();
            sum.iter()
                .take(8)
                .fold(0, |key, byte| key << 8 | u64::from(*byte))
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[expect(
    unsafe_code,
    reason = "compiled code is taken from memory, and only after its code was verified to be ours"
)]
fn deserialize(engine: &Engine, verified: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes came from `Component::serialize` of this wasmtime on this host:
    // `ComponentStore::compiled` has checked their HMAC under a key that never leaves it, and
    // they cannot change any more, because they are in memory.
    unsafe { Component::deserialize(engine, verified) }
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

    fn prepare(runtimes: &[Runtime]) -> Plugin {
        let folder = tempfile::tempdir().unwrap();
        let store = ComponentStore::open(folder.path(), CompiledCache::Off).unwrap();
        let (digest, limits) = (digest_of(CANARY), CallLimits::SMALL);
        let kind = PluginKind::Strategy;
        match Plugin::prepare(
            runtimes,
            &store,
            &digest,
            CANARY,
            kind,
            "0.1.0".into(),
            &limits,
        ) {
            Ok(plugin) => plugin,
            Err(NotReady::Unusable(detail)) => panic!("{detail}"),
            Err(NotReady::NoDescription(why)) => panic!("{why}"),
        }
    }

    #[test]
    fn fuel_is_the_same_with_and_without_the_pool() {
        let runtimes = crate::engine::runtimes().unwrap();
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
        let used: Vec<u64> = [&runtimes[..], &runtimes[runtimes.len() - 1..]]
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
        let runtimes = crate::engine::runtimes().unwrap();
        let mut kept = Kept::default();
        let first = Arc::new(prepare(&runtimes));
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
