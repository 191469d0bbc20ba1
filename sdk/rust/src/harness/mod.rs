//! Runs a plugin's logic in an ordinary unit test, without Wasm.
//!
//! Calls go through the same encoding of configuration and state as in a component, so a
//! state that does not come back as it was written fails here. There is no sandbox, no fuel
//! and no limit of time.
//!
//! - [`StrategyRun`] keeps a site's view, asks the strategy and carries its answers out.
//! - [`GateRun`] asks a gate, with [`Recorded`] answers as its evidence.
//! - [`take_log`] gives the lines that the plugin wrote.
//!
//! The module does not exist on Wasm.

mod gate;
mod strategy;

use std::cell::RefCell;

use crate::log::Level;

pub use gate::{GateRun, Recorded};
pub use strategy::{Site, StrategyRun};

thread_local! {
    // Tests run on threads of their own, so each sees only its own lines.
    static LOG: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn keep_log(level: Level, message: &str) {
    LOG.with_borrow_mut(|lines| lines.push((level, message.to_owned())));
}

/// Takes the lines that plugins wrote on this thread since the last call.
pub fn take_log() -> Vec<(Level, String)> {
    LOG.take()
}

/// The digest of the release in views and calls that the harness makes.
pub const NEW_DIGEST: &str =
    "sha256:2222222222222222222222222222222222222222222222222222222222222222";
/// The digest of the baseline in views and calls that the harness makes.
pub const BASELINE_DIGEST: &str =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// The present instant in views and calls that the harness makes: 2026-01-01T00:00:00Z.
pub const NOW: f64 = 1_767_225_600_000.0;

fn release() -> crate::Release {
    crate::Release {
        version: "2.0".to_owned(),
        digest: NEW_DIGEST.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_until_they_are_taken() {
        crate::info!("{} of {}", 1, 2);
        assert_eq!(take_log(), [(Level::Info, "1 of 2".to_owned())]);
        assert_eq!(take_log(), []);
    }
}
