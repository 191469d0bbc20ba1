//! How much memory and time an input may cost.

use cap::Cap;
use std::alloc::System;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what is in use, in every program and test of this crate.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// The counter is of the whole process, so only one input is measured at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What one input may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes in use at once, on top of what was in use before.
    pub bytes: usize,
    /// From start to end, with room for a machine that is busy.
    pub time: Duration,
}

impl Bounds {
    /// Runs `work`. A panic if it takes too long; more memory ends the process, which a fuzzer
    /// notices, as does whoever replays.
    pub fn hold<T>(self, work: impl FnOnce() -> T) -> T {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = MEMORY.allocated().saturating_add(self.bytes);
        let limited = MEMORY.set_limit(limit);
        debug_assert!(limited.is_ok(), "nothing else allocates meanwhile");
        let lift = Lift;
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        drop(lift);
        assert!(took <= self.time, "{took:?} is longer than {:?}", self.time);
        result
    }
}

/// Takes the limit away, also when `work` has panicked: a test goes on.
struct Lift;

impl Drop for Lift {
    fn drop(&mut self) {
        let lifted = MEMORY.set_limit(usize::MAX);
        debug_assert!(lifted.is_ok(), "no more is in use than there is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Bounds = Bounds {
        bytes: 1 << 20,
        time: Duration::from_secs(5),
    };

    #[test]
    fn more_memory_than_allowed_is_refused() {
        let refused = NARROW.hold(|| Vec::<u8>::new().try_reserve_exact(2 << 20).is_err());
        let granted = NARROW.hold(|| Vec::<u8>::new().try_reserve_exact(1 << 19).is_ok());
        assert!(refused && granted);
        assert!(Vec::<u8>::new().try_reserve_exact(2 << 20).is_ok());
    }

    #[test]
    #[should_panic(expected = "is longer than")]
    fn more_time_than_allowed_is_a_finding() {
        let none = Bounds {
            time: Duration::ZERO,
            ..NARROW
        };
        none.hold(|| std::hint::black_box(vec![0u8; 4096]));
    }
}
