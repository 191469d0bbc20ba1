//! Stories that are told side by side: each waits most of its time, and all of them one after
//! the other would take too long.

use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Tells all of them, so many at once, and shows (with `--nocapture`) a table with a line for
/// each: its name, what became of it, and how long it took.
///
/// # Panics
/// If one of them does; the others come to their end all the same.
#[track_caller]
pub fn side_by_side<T: Sync>(
    at_once: usize,
    stories: &[T],
    name: impl Fn(&T) -> String,
    tell: impl Fn(&T) -> String + Sync,
) {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(stories.len()) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(story) = stories.get(at) else { break };
                    let started = Instant::now();
                    let ended = catch_unwind(AssertUnwindSafe(|| tell(story)));
                    let row = (at, ended.ok(), started.elapsed());
                    rows.lock().expect("no panic while it is held").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no panic while it is held");
    rows.sort_by_key(|row| row.0);
    let mut table = String::new();
    for (at, ended, took) in &rows {
        let (name, told) = (name(&stories[*at]), ended.as_deref());
        let told = told.unwrap_or("FAILED, see above");
        let (number, seconds) = (at + 1, took.as_secs_f64());
        writeln!(table, "{number:2} {name}: {told} ({seconds:.1} s)").expect("a string takes all");
    }
    assert!(rows.iter().all(|row| row.1.is_some()), "\n{table}");
    std::io::stderr()
        .write_all(table.as_bytes())
        .expect("it can be shown");
}
