//! A plugin host for the whole process, and how long it keeps what it was given.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};
use tempfile::TempDir;
use wavegate_model::limits::CallLimits;
use wavegate_plugin_host::{CompiledCache, HostOptions, PluginHost};

/// Components after which host and store are new: the store keeps every one that could be a
/// plugin, and inputs are many.
const LOADS_MAX: u32 = 2_000;

/// A host on a folder of its own.
pub(crate) struct Host {
    pub(crate) host: PluginHost,
    pub(crate) folder: TempDir,
    loads: u32,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut options = HostOptions::new(folder.path().join("store"));
        options.compiled = CompiledCache::Off;
        options.workers = 2;
        options.limits = limits();
        let host = PluginHost::new(options).expect("a plugin host can be started");
        Self {
            host,
            folder,
            loads: 0,
        }
    }

    /// Puts a component where a policy could name it.
    pub(crate) fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("input.wasm");
        std::fs::write(&path, bytes).expect("a file can be written");
        path
    }
}

/// What a call may use: a tenth of the smallest class, so that a search tries more.
pub(crate) fn limits() -> CallLimits {
    let small = CallLimits::SMALL;
    CallLimits {
        fuel: small.fuel / 10,
        ..small
    }
}

/// Lends the host.
pub(crate) fn with<T>(work: impl FnOnce(&Host) -> T) -> T {
    static HOST: LazyLock<Mutex<Option<Host>>> = LazyLock::new(Mutex::default);
    let mut kept = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.as_ref().is_some_and(|host| host.loads >= LOADS_MAX) {
        *kept = None;
    }
    let host = kept.get_or_insert_with(Host::new);
    host.loads += 1;
    work(host)
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime can be made").block_on(future)
}
