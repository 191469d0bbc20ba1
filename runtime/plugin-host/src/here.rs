//! The plugin host, asked on the thread of the caller.

use crate::host::PluginHost;
use std::path::Path;
use std::sync::Arc;
use wavegate_model::plugin::{PluginKind, Problem};
use wavegate_model::policy::PluginRef;
use wavegate_model::{Digest, Unavailable};
use wavegate_ports::BoxFuture;
use wavegate_ports::plugins::{CallReport, LoadedPlugin, PluginCall, PluginRejected, Plugins};

/// The first poll of a call does all of it: for what calls so often, and has nothing else to do,
/// that a change of threads would take longer than the call. The thread needs a stack of
/// [`CALLER_STACK_BYTES`](crate::CALLER_STACK_BYTES) besides its own. Nobody queues, and rollouts
/// have no shares; what a call may take, and how it ends, is as in the host.
pub struct OnThisThread(pub Arc<PluginHost>);

impl Plugins for OnThisThread {
    fn load(
        &self,
        reference: &PluginRef,
        kind: PluginKind,
        base: &Path,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        self.0.load(reference, kind, base)
    }

    fn load_stored(
        &self,
        digest: &Digest,
        kind: PluginKind,
    ) -> BoxFuture<'_, Result<LoadedPlugin, PluginRejected>> {
        self.0.load_stored(digest, kind)
    }

    fn validate_config(
        &self,
        digest: &Digest,
        config: &str,
    ) -> BoxFuture<'_, Result<Vec<Problem>, Unavailable>> {
        self.0.validate_config(digest, config)
    }

    fn call(&self, call: PluginCall) -> BoxFuture<'_, CallReport> {
        Box::pin(async move { self.0.report_here(&call) })
    }

    fn host_key(&self) -> String {
        self.0.host_key()
    }
}
