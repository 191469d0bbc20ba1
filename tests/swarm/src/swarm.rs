//! What all parts of a run share, and the run itself.

use crate::counts::Counts;
use crate::disk::{Disk, Loss};
use crate::life::Life;
use crate::scene::Scene;
use crate::world::World;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use wavegate_driver_sim::Rng;

/// What hosts, people and the world of one run share.
pub(crate) struct Swarm {
    pub(crate) scene: Scene,
    pub(crate) world: World,
    pub(crate) disk: Disk,
    rng: Mutex<Rng>,
    counts: Mutex<Counts>,
    calm: AtomicBool,
    lives: Mutex<Vec<Weak<Life>>>,
}

pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic is a finding of its own; nobody goes on with what it left.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Swarm {
    pub(crate) fn new(scene: Scene, world: World, disk: Disk, rng: Rng) -> Arc<Self> {
        Arc::new(Self {
            scene,
            world,
            disk,
            rng: Mutex::new(rng),
            counts: Mutex::default(),
            calm: AtomicBool::new(false),
            lives: Mutex::default(),
        })
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        held(&self.rng).below(end)
    }

    /// One of several.
    pub(crate) fn one_of<T: Clone>(&self, all: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(all.len() as u64)).ok()?;
        all.get(at).cloned()
    }

    /// A time with this mean, in milliseconds.
    pub(crate) fn wait(&self, mean: u64) -> u64 {
        held(&self.rng).wait(mean)
    }

    /// Whether something goes wrong now. Nothing does any more once it is calm.
    pub(crate) fn hits(&self, permille: u32) -> bool {
        !self.calm.load(Ordering::Relaxed) && held(&self.rng).chance(permille)
    }

    /// The same, and it is counted.
    pub(crate) fn strikes(&self, what: &'static str, permille: u32) -> bool {
        let hit = self.hits(permille);
        if hit {
            self.count(what);
        }
        hit
    }

    pub(crate) fn count(&self, what: &'static str) {
        *held(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        held(&self.counts).clone()
    }

    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn born(self: &Arc<Self>) -> Arc<Life> {
        let life = Life::new(self);
        held(&self.lives).push(Arc::downgrade(&life));
        life
    }

    /// The machine loses its power: every host is dead, and of the log everything after `safe`
    /// is at risk.
    pub(crate) fn power_goes(&self, safe: u64) {
        for life in held(&self.lives).iter().filter_map(Weak::upgrade) {
            life.kill();
        }
        let lost = self.disk.lose_power(safe, &mut held(&self.rng));
        match lost {
            Ok(Loss::Nothing) => {}
            Ok(Loss::Torn) => self.count("disk: a record is torn"),
            Ok(Loss::Garbled) => self.count("disk: a record is garbled"),
            Err(error) => self.world.find(format!(
                "the journal does not open after a loss of power: {error:#}"
            )),
        }
        if let Err(what) = self.disk.check() {
            self.world.find(format!("after a loss of power: {what}"));
        }
    }
}

/// Time of the simulation passes; nobody waits for it.
pub(crate) async fn passes(time: Duration) {
    let _it_has_passed = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// Waits for something that needs no time of the simulation, on this thread.
pub(crate) fn wait_here<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    // The runtime would have others go first after a while, and nobody else can go.
    let mut future = pin!(tokio::task::coop::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
