//! The plugin's log, and the macros [`debug!`](crate::debug), [`info!`](crate::info),
//! [`warn!`](crate::warn) and [`error!`](crate::error).
//!
//! The host caps and cleans every line and stores it with the call. Under the native
//! [`harness`](crate::harness) lines are kept for the test, see `harness::take_log`.

pub use crate::bindings::strategy::wavegate::plugin::log::Level;

/// Writes one line.
pub fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::strategy::wavegate::plugin::log::write(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    crate::harness::keep_log(level, message);
}

/// Writes panic messages to the log.
///
/// A panic aborts the instance, and on this target nothing else would carry its message
/// out. Every exported function calls this first, because each call is a new instance.
#[cfg(target_arch = "wasm32")]
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string())));
}

/// Writes a line of level debug, with the syntax of `format!`.
#[macro_export]
macro_rules! debug {
    ($($arguments:tt)*) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($arguments)*)) };
}

/// Writes a line of level info, with the syntax of `format!`.
#[macro_export]
macro_rules! info {
    ($($arguments:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($arguments)*)) };
}

/// Writes a line of level warn, with the syntax of `format!`.
#[macro_export]
macro_rules! warn {
    ($($arguments:tt)*) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($arguments)*)) };
}

/// Writes a line of level error, with the syntax of `format!`.
#[macro_export]
macro_rules! error {
    ($($arguments:tt)*) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($arguments)*)) };
}
