//! Crash points: for tests, the process kills or stops itself at a chosen moment.
//!
//! `WAVEGATE_CRASH_AT=POINT:N` kills the process with SIGKILL when it passes the point for the
//! N-th time; `WAVEGATE_STOP_AT=POINT:N` stops it with SIGSTOP there. Points are named by the
//! conductor (`turn:before-commit`, `turn:after-commit`) and by the drivers.

use rustix::process::{Pid, Signal, getpid, kill_process};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Within this long the whole process has taken a signal that it sent to itself.
const TAKEN_WITHIN: Duration = Duration::from_millis(500);

/// A hook for the conductor and the drivers. Costs nothing unless one of the variables is set.
pub(crate) fn point() -> Arc<dyn Fn(&str) + Send + Sync> {
    let wanted: Vec<(String, u32, Signal)> = [
        ("WAVEGATE_CRASH_AT", Signal::KILL),
        ("WAVEGATE_STOP_AT", Signal::STOP),
    ]
    .into_iter()
    .filter_map(read)
    .collect();
    if wanted.is_empty() {
        return Arc::new(|_| {});
    }
    let passed: Mutex<BTreeMap<String, u32>> = Mutex::default();
    Arc::new(move |name| {
        let count = {
            let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
            let count = passed.entry(name.to_owned()).or_default();
            *count += 1;
            *count
        };
        for (point, at, signal) in &wanted {
            if point == name && *at == count {
                let this: Pid = getpid();
                // If the signal cannot be sent the test that asked for it fails by itself.
                let _ = kill_process(this, *signal);
                // The kernel may let this thread run on while another one takes the signal.
                std::thread::sleep(TAKEN_WITHIN);
            }
        }
    })
}

fn read((variable, signal): (&str, Signal)) -> Option<(String, u32, Signal)> {
    let text = std::env::var(variable).ok()?;
    let (point, count) = text.rsplit_once(':')?;
    Some((point.to_owned(), count.parse().ok()?, signal))
}
