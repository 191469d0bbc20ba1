//! A host process: it lives, is stopped for a while, or is dead. Whatever it does to the world
//! goes through a gate that only a living host passes.

use crate::swarm::Swarm;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use tokio::sync::Notify;
use wavegate_model::Timestamp;
use wavegate_ports::clock::Clock;

const LIVES: u8 = 0;
const STOPPED: u8 = 1;
const DEAD: u8 = 2;

/// The life of one host process.
pub(crate) struct Life {
    pub(crate) swarm: Arc<Swarm>,
    state: AtomicU8,
    changed: Notify,
    /// How far its clock is off, in milliseconds.
    off: AtomicI64,
}

impl Life {
    pub(crate) fn new(swarm: &Arc<Swarm>) -> Arc<Self> {
        Arc::new(Self {
            swarm: Arc::clone(swarm),
            state: AtomicU8::new(LIVES),
            changed: Notify::new(),
            off: AtomicI64::new(0),
        })
    }

    /// Waits while the process is stopped, and for ever once it is dead.
    pub(crate) async fn lives(&self) {
        loop {
            let changed = self.changed.notified();
            match self.state.load(Ordering::Relaxed) {
                LIVES => return,
                DEAD => std::future::pending().await,
                _ => changed.await,
            }
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.load(Ordering::Relaxed) == DEAD
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.load(Ordering::Relaxed) == STOPPED
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.state.store(DEAD, Ordering::Relaxed);
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) {
        let _dead =
            self.state
                .compare_exchange(LIVES, STOPPED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) {
        let _dead =
            self.state
                .compare_exchange(STOPPED, LIVES, Ordering::Relaxed, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(crate) fn set_clock(&self, off: i64) {
        self.off.store(off, Ordering::Relaxed);
    }
}

/// The clock of a host.
pub(crate) struct SwarmClock(pub(crate) Arc<Life>);

impl Clock for SwarmClock {
    fn now(&self) -> Timestamp {
        let now = self.0.swarm.world.now();
        Timestamp(
            now.0
                .saturating_add_signed(self.0.off.load(Ordering::Relaxed)),
        )
    }
}
