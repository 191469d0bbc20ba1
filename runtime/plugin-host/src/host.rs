//! The plugin host: finds, checks, keeps and calls plugins.

use crate::compile::Compiler;
use crate::engine::{self, Ticker};
use crate::inspect::{Inspected, inspect};
use crate::journal;
use crate::plugin::{Kept, NotReady, Plugin, Promise, Workshop, kind_for};
use crate::stop::Stop;
use crate::store::{COMPONENT_BYTES_MAX, CompiledCache, ComponentStore, digest_of, read_bounded};
use crate::text::clean;
use crate::workbench::Workbench;
use crate::workers::{NotRun, Pool, caught};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{PluginKind, Problem};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, Unavailable};
use wavegate_ports::BoxFuture;
use wavegate_ports::plugins::{
    CallEnd, CallReport, LoadedPlugin, PluginCall, PluginRejected, Plugins,
};

/// Threads for loading. Compiling uses all processors by itself, so more would not be faster.
const LOADERS: usize = 2;
/// How long a load may wait for its turn: compiling the largest component takes ten seconds.
const LOAD_WAIT: Duration = Duration::from_secs(120);
/// Epochs between two looks at calls that wait for a worker.
const EXPIRE_EPOCHS: u32 = 5;

/// Stack that a thread needs on which guests run.
pub const CALLER_STACK_BYTES: usize = engine::THREAD_STACK_BYTES;

/// What a plugin host needs to know.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Folder of the component store; it is made if there is none.
    pub store: PathBuf,
    /// Components that are shipped with the host, by name.
    pub shipped: BTreeMap<String, &'static [u8]>,
    /// Threads on which guests run, at least 2.
    pub workers: usize,
    /// How long a call may wait for a worker.
    pub wait_max: Duration,
    /// What a call may use at most, whatever its policy says: what the largest class has.
    pub limits: CallLimits,
    /// Whether compiled code is kept on disk.
    pub compiled: CompiledCache,
    /// Compiles large components in a process of its own; without one they are compiled here.
    pub compiler: Option<Compiler>,
}

impl HostOptions {
    /// The defaults. Guests compute and never wait, so two threads for each processor keep it busy
    /// and still leave the half that one rollout may not take. A call that has waited for five
    /// times the time that a call may take is better asked again later.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            store: store.into(),
            shipped: BTreeMap::new(),
            workers: (2 * processors).clamp(2, 32),
            wait_max: Duration::from_secs(10),
            limits: CallLimits::LARGE,
            compiled: CompiledCache::Keep,
            compiler: None,
        }
    }
}

/// A host that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The component store.
    #[error("failed to open the plugin store")]
    Store(#[source] PluginRejected),
    /// The Wasm engine.
    #[error("failed to make the Wasm engine: {0}")]
    Engine(String),
    /// The operating system gave no thread.
    #[error("failed to start the threads of the plugin host")]
    Threads(#[source] std::io::Error),
}

/// Loads and calls plugins. Dropping it ends what waits; calls that run end by their limits.
pub struct PluginHost {
    shared: Arc<Shared>,
    callers: Pool,
    loaders: Pool,
    _clock: Ticker,
}

struct Shared {
    workshop: Workshop,
    shipped: BTreeMap<String, &'static [u8]>,
    kept: Mutex<Kept>,
}

impl PluginHost {
    /// Opens the store and starts engine and threads.
    pub fn new(options: HostOptions) -> Result<Self, NotStarted> {
        let store =
            ComponentStore::open(&options.store, options.compiled).map_err(NotStarted::Store)?;
        let runtimes =
            engine::runtimes().map_err(|error| NotStarted::Engine(format!("{error:#}")))?;
        let callers = Pool::start("plugin-call", options.workers, options.wait_max)
            .map_err(NotStarted::Threads)?;
        let loaders =
            Pool::start("plugin-load", LOADERS, LOAD_WAIT).map_err(NotStarted::Threads)?;
        let engines: Vec<_> = runtimes
            .iter()
            .map(|runtime| runtime.engine.weak())
            .collect();
        let (waiting, loading) = (callers.expirer(), loaders.expirer());
        let epochs = std::sync::atomic::AtomicU32::new(0);
        let clock = Ticker::start(move || {
            for engine in &engines {
                if let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                }
            }
            let epoch = epochs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if epoch.is_multiple_of(EXPIRE_EPOCHS) {
                waiting.expire();
                loading.expire();
            }
        });
        let clock = clock.map_err(NotStarted::Threads)?;
        let workshop = Workshop {
            runtimes,
            store,
            compiler: options.compiler,
            limits: options.limits,
        };
        let (shipped, kept) = (options.shipped, Mutex::default());
        let shared = Arc::new(Shared {
            workshop,
            shipped,
            kept,
        });
        Ok(Self {
            shared,
            callers,
            loaders,
            _clock: clock,
        })
    }
}

impl Plugins for PluginHost {
    fn load(
        &self,
        reference: &PluginRef,
        kind: PluginKind,
        base: &Path,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        let (reference, base) = (reference.clone(), base.to_owned());
        let name = name_of(&reference);
        self.load_with(name, move |shared| shared.load(&reference, kind, &base))
    }

    fn load_stored(
        &self,
        digest: &Digest,
        kind: PluginKind,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        let digest = digest.clone();
        self.load_with(digest.to_string(), move |shared| {
            // What is in memory does not vouch for what is in the store, which a restart would read.
            let bytes = shared.workshop.store.get(&digest)?;
            shared
                .stored(&digest, &bytes, Some(kind))
                .map(|plugin| plugin.loaded.clone())
        })
    }

    fn validate_config(
        &self,
        digest: &Digest,
        config: &str,
    ) -> BoxFuture<'_, Result<Vec<Problem>, Unavailable>> {
        let (shared, digest, config) =
            (Arc::clone(&self.shared), digest.clone(), config.to_owned());
        Box::pin(async move {
            let checked = self.loaders.run("", move || {
                let plugin = shared.kept_or_stored(&digest, None)?;
                plugin.validate_config(&config, &shared.workshop.limits)
            });
            checked.await.unwrap_or_else(|why| Err(not_run(why)))
        })
    }

    fn call(&self, call: PluginCall) -> BoxFuture<'_, CallReport> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let rollout = call.rollout.clone();
            let input = journal::input(&call.question);
            let reported = self
                .callers
                .run(rollout.as_str(), move || shared.call(&call))
                .await;
            let report = reported.unwrap_or_else(|why| unavailable(not_run(why)));
            CallReport { input, ..report }
        })
    }

    fn host_key(&self) -> String {
        engine::host_key()
    }
}

impl PluginHost {
    /// Puts a component on the bench. It is loaded as for a rollout, on this thread; without a
    /// kind, as the kind that it is.
    pub fn workbench(
        &self,
        reference: &PluginRef,
        kind: Option<PluginKind>,
        base: &Path,
    ) -> Result<Workbench, PluginRejected> {
        let name = name_of(reference);
        let bytes = self.shared.read(reference, base)?;
        self.shared.on_bench(&name, &bytes, kind)
    }

    /// The same with a component of the store.
    pub fn stored_workbench(&self, digest: &Digest) -> Result<Workbench, PluginRejected> {
        let bytes = self.shared.workshop.store.get(digest)?;
        self.shared.on_bench(digest.text().as_str(), &bytes, None)
    }

    /// The plugins that are shipped with the host, and the components of its store.
    pub fn known(&self) -> Result<(Vec<String>, Vec<Digest>), PluginRejected> {
        let shipped = self.shared.shipped.keys().cloned().collect();
        Ok((shipped, self.shared.workshop.store.list()?))
    }

    /// Calls a plugin in a new instance on the thread of the caller, which needs a stack of
    /// [`CALLER_STACK_BYTES`]: for simulations, which call so often that a change of threads would
    /// take longer than the call. Everything else is as in [`Plugins::call`].
    pub fn call_here(&self, call: &PluginCall) -> CallEnd {
        self.shared.end_of(call)
    }

    /// The same with all that a journal wants to know of it.
    pub(crate) fn report_here(&self, call: &PluginCall) -> CallReport {
        let input = journal::input(&call.question);
        // The call owns all that it changes, as on a worker.
        let reported = caught(|| self.shared.call(call));
        let report = reported.unwrap_or_else(|why| unavailable(not_run(why)));
        CallReport { input, ..report }
    }

    fn load_with(
        &self,
        reference: String,
        load: impl FnOnce(&Shared) -> Result<LoadedPlugin, PluginRejected> + Send + 'static,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let loaded = self.loaders.run("", move || load(&shared)).await;
            loaded.unwrap_or_else(|why| {
                Err(PluginRejected::NotAComponent {
                    reference,
                    detail: not_run(why).to_string(),
                })
            })
        })
    }
}

impl Shared {
    fn load(
        &self,
        reference: &PluginRef,
        kind: PluginKind,
        base: &Path,
    ) -> Result<LoadedPlugin, PluginRejected> {
        let name = name_of(reference);
        let bytes = self.read(reference, base)?;
        let digest = digest_of(&bytes);
        // Nothing is copied into the store that could not be a plugin of this kind.
        let inspected = inspect(&name, &bytes)?;
        inspected.check(&name, kind)?;
        // Large components are compared with what is stored while their code is verified.
        let (put, ready) = std::thread::scope(|scope| {
            let put = scope.spawn(|| self.workshop.store.put(&digest, &bytes));
            let ready = self.ready(&name, &digest, &bytes, &inspected, Some(kind));
            // A thread that panicked is a reason to do its work again, here.
            let put = put.join();
            let put = put.unwrap_or_else(|_| self.workshop.store.put(&digest, &bytes));
            (put, ready)
        });
        put.and(ready).map(|plugin| plugin.loaded.clone())
    }

    fn read(
        &self,
        reference: &PluginRef,
        base: &Path,
    ) -> Result<Cow<'static, [u8]>, PluginRejected> {
        let not_found = |detail| PluginRejected::NotFound {
            reference: name_of(reference),
            detail,
        };
        match reference {
            PluginRef::Shipped(name) => self
                .shipped
                .get(name)
                .map(|bytes| Cow::Borrowed(*bytes))
                .ok_or_else(|| {
                    let names: Vec<&str> = self.shipped.keys().map(String::as_str).collect();
                    not_found(format!(
                        "no such plugin is shipped; there are: {}",
                        names.join(", ")
                    ))
                }),
            PluginRef::File(path) => {
                let path = base.join(path);
                match read_bounded(&path, COMPONENT_BYTES_MAX) {
                    Ok(Some(bytes)) => Ok(Cow::Owned(bytes)),
                    Ok(None) => Err(PluginRejected::NotAComponent {
                        reference: name_of(reference),
                        detail: format!("it is larger than {} MiB", COMPONENT_BYTES_MAX >> 20),
                    }),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        Err(not_found(format!("there is no {}", path.display())))
                    }
                    Err(error) => Err(not_found(format!(
                        "{} cannot be read: {error}",
                        path.display()
                    ))),
                }
            }
        }
    }

    /// A component that came from the store.
    fn stored(
        &self,
        digest: &Digest,
        bytes: &[u8],
        kind: Option<PluginKind>,
    ) -> Result<Arc<Plugin>, PluginRejected> {
        let name = digest.text();
        let inspected = inspect(name.as_str(), bytes)?;
        self.ready(name.as_str(), digest, bytes, &inspected, kind)
    }

    fn ready(
        &self,
        name: &str,
        digest: &Digest,
        bytes: &[u8],
        inspected: &Inspected,
        kind: Option<PluginKind>,
    ) -> Result<Arc<Plugin>, PluginRejected> {
        // Without a kind of its own it is checked as a strategy, which says what is missing.
        let kind = kind.or(inspected.kind()).unwrap_or(PluginKind::Strategy);
        let contract = inspected.check(name, kind)?;
        if let Some(plugin) = self.kept().get(digest, kind) {
            return Ok(plugin);
        }
        let promise = Promise {
            kind,
            contract,
            class: inspected.class(name)?,
        };
        let prepared = Plugin::prepare(&self.workshop, digest, bytes, promise);
        let reference = || name.to_owned();
        let plugin = Arc::new(prepared.map_err(|not_ready| match not_ready {
            NotReady::Unusable(detail) => PluginRejected::NotAComponent {
                reference: reference(),
                detail,
            },
            NotReady::NoDescription(why) => PluginRejected::NoDescription {
                reference: reference(),
                why,
            },
        })?);
        self.kept().keep(Arc::clone(&plugin));
        Ok(plugin)
    }

    fn on_bench(
        &self,
        name: &str,
        bytes: &[u8],
        kind: Option<PluginKind>,
    ) -> Result<Workbench, PluginRejected> {
        let inspected = inspect(name, bytes)?;
        let kind = kind.or(inspected.kind()).unwrap_or(PluginKind::Strategy);
        inspected.check(name, kind)?;
        let plugin = self.ready(name, &digest_of(bytes), bytes, &inspected, Some(kind))?;
        Ok(Workbench {
            plugin,
            inspected,
            bytes: bytes.len(),
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing that holds the lock panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A plugin from memory or else from the store, which only has what was loaded once.
    fn kept_or_stored(
        &self,
        digest: &Digest,
        kind: Option<PluginKind>,
    ) -> Result<Arc<Plugin>, Unavailable> {
        let kinds = kind.map_or_else(
            || vec![PluginKind::Strategy, PluginKind::Gate],
            |kind| vec![kind],
        );
        for kind in kinds {
            if let Some(plugin) = self.kept().get(digest, kind) {
                return Ok(plugin);
            }
        }
        let loaded = self
            .workshop
            .store
            .get(digest)
            .and_then(|bytes| self.stored(digest, &bytes, kind));
        loaded.map_err(|why| Unavailable::NotLoaded {
            message: clean(&why.to_string()),
        })
    }

    /// How a call ends, without what a journal wants to know of it.
    fn end_of(&self, call: &PluginCall) -> CallEnd {
        let plugin = match self.kept_or_stored(&call.digest, Some(kind_for(&call.question))) {
            Ok(plugin) => plugin,
            Err(why) => return CallEnd::Unavailable(why),
        };
        let limits = call.limits.tightened(self.workshop.limits);
        match plugin.ask(&call.question, &call.config, &limits).result {
            Ok(answer) => CallEnd::Answered(answer),
            Err(Stop::NeedsEvidence(queries)) => CallEnd::NeedsEvidence(queries),
            Err(Stop::Unavailable(why)) => CallEnd::Unavailable(why),
        }
    }

    fn call(&self, call: &PluginCall) -> CallReport {
        let plugin = match self.kept_or_stored(&call.digest, Some(kind_for(&call.question))) {
            Ok(plugin) => plugin,
            Err(why) => return unavailable(why),
        };
        let limits = call.limits.tightened(self.workshop.limits);
        let ran = plugin.ask(&call.question, &call.config, &limits);
        let (end, output) = match ran.result {
            Ok(answer) => {
                let output = journal::output(&answer);
                (CallEnd::Answered(answer), output)
            }
            Err(Stop::NeedsEvidence(queries)) => (CallEnd::NeedsEvidence(queries), Vec::new()),
            Err(Stop::Unavailable(why)) => (CallEnd::Unavailable(why), Vec::new()),
        };
        CallReport {
            end,
            input: Vec::new(),
            output,
            fuel: ran.fuel,
            memory_bytes: ran.memory_bytes,
            log: ran.log,
            micros: ran.micros,
        }
    }
}

fn name_of(reference: &PluginRef) -> String {
    match reference {
        PluginRef::Shipped(name) | PluginRef::File(name) => name.clone(),
    }
}

fn not_run(why: NotRun) -> Unavailable {
    match why {
        NotRun::Busy { waited } => Unavailable::Busy {
            waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        },
        NotRun::Panicked { message } => Unavailable::Trap {
            trap: "the host panicked in this call".into(),
            message: clean(&message),
        },
        NotRun::Stopped => Unavailable::HostStopped,
    }
}

fn unavailable(why: Unavailable) -> CallReport {
    CallReport {
        end: CallEnd::Unavailable(why),
        input: Vec::new(),
        output: Vec::new(),
        fuel: 0,
        memory_bytes: 0,
        log: Vec::new(),
        micros: 0,
    }
}
