//! The loop that connects the engine with the world.
//!
//! **Owns:** turns (drain the inputs that wait, step the engine for each, append everything in
//! one transaction, only then release the commands), the tasks that carry commands out and
//! bring answers back as inputs, and shutdown.
//!
//! **Does not own:** any decision (that is `engine`), any adapter (they come through `ports`).
//!
//! **Start at** [`run`]. [`runner`] is the loop, [`effects`] and [`consult`] carry commands out,
//! [`watch`] looks at clusters, [`swap`] at components that are to take a part, `queue` waits for
//! other rollouts, [`record`] says what a journal holds.

pub mod consult;
pub mod effects;
pub mod evidence;
mod fleet;
mod guarded;
mod queue;
pub mod record;
pub mod runner;
pub mod swap;
pub mod watch;
mod watchers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wavegate_engine::explain::Waiting;
use wavegate_engine::{End, Fact};
use wavegate_model::{ClusterName, RolloutId, Timestamp};
use wavegate_ports::clock::Clock;
use wavegate_ports::driver::{Driver, DriverError};
use wavegate_ports::journal::{Journal, JournalError};
use wavegate_ports::plugins::Plugins;
use wavegate_ports::sources::Sources;

pub use fleet::scopes;
pub use record::{Story, read_story};
pub use runner::{Begin, run};

/// A place in the loop where a crash test may stop the process.
pub type CrashPoint = Arc<dyn Fn(&str) + Send + Sync>;

/// The adapters of one rollout.
#[derive(Clone)]
pub struct Ports {
    /// Where everything is recorded.
    pub journal: Arc<dyn Journal>,
    /// Who calls plugins.
    pub plugins: Arc<dyn Plugins>,
    /// Where evidence comes from.
    pub sources: Arc<dyn Sources>,
    /// Who changes which kind of cluster, by the driver's name in the fleet.
    pub drivers: BTreeMap<String, Arc<dyn Driver>>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// How a rollout is run.
#[derive(Clone)]
pub struct Options {
    /// Between two looks at a cluster that is being changed.
    pub poll_active: Duration,
    /// Between two looks at any other cluster.
    pub poll_idle: Duration,
    /// Between two looks into the inbox.
    pub poll_inbox: Duration,
    /// How long a driver may take to show a cluster.
    pub observe_timeout: Duration,
    /// Whether the run ends when nothing that it does can move the rollout on.
    pub on_hold: OnHold,
    /// For crash tests.
    pub crash_point: CrashPoint,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // Fast enough that a batch of processes that start in half a second is not slowed
            // down much, slow enough that a thousand clusters cost little.
            poll_active: Duration::from_millis(150),
            poll_idle: Duration::from_secs(2),
            poll_inbox: Duration::from_millis(250),
            observe_timeout: Duration::from_secs(5),
            on_hold: OnHold::Wait,
            crash_point: Arc::new(|_| {}),
        }
    }
}

/// What a run does when only a person, or a cluster that comes back, can move the rollout on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHold {
    /// It waits.
    Wait,
    /// It ends; the rollout can be resumed.
    Exit,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The rollout has ended.
    Ended(End),
    /// Only a person, or a cluster that comes back, can move it on, and the run was asked to end
    /// then.
    Held(Vec<Waiting>),
    /// The process was asked to stop; the rollout can be resumed.
    Interrupted,
}

/// What surfaces get to see: facts, once they are durable. Folding them gives the state.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which rollout.
    pub rollout: RolloutId,
    /// When the facts were decided.
    pub at: Timestamp,
    /// In order.
    pub facts: Arc<Vec<Fact>>,
}

/// A run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal refused or failed. Nothing that was not recorded has happened.
    #[error("failed to record rollout `{rollout}`")]
    Journal {
        /// Which rollout.
        rollout: RolloutId,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// A rollout begins once; after that it goes on.
    #[error("rollout `{rollout}` has begun already")]
    Begun {
        /// Which rollout.
        rollout: RolloutId,
    },
    /// Somebody else has an unfinished rollout on a cluster.
    #[error("rollout `{rollout}` may not touch cluster `{cluster}`")]
    Owned {
        /// This rollout.
        rollout: RolloutId,
        /// Which cluster.
        cluster: ClusterName,
        /// What the driver said.
        #[source]
        source: DriverError,
    },
    /// The fleet names a driver that this host does not have.
    #[error("cluster `{cluster}` needs the driver `{driver}`, which this host does not have")]
    NoDriver {
        /// Which cluster.
        cluster: ClusterName,
        /// The driver's name.
        driver: String,
    },
    /// A driver does not accept the rollout.
    #[error("failed to attach rollout `{rollout}` to driver `{driver}`")]
    Attach {
        /// Which rollout.
        rollout: RolloutId,
        /// The driver's name.
        driver: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// The journal's records are not those of a rollout.
    #[error("failed to read rollout `{rollout}` from its journal: {detail}")]
    Unreadable {
        /// Which rollout.
        rollout: RolloutId,
        /// What is wrong.
        detail: String,
    },
    /// The auditor found a step that breaks an invariant. It was not recorded and had no effect.
    #[error("rollout `{rollout}` was stopped before a step that breaks an invariant: {violation}")]
    Invariant {
        /// Which rollout.
        rollout: RolloutId,
        /// Which invariant, with operands.
        violation: String,
    },
}
