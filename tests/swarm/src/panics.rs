//! Panics are findings: a task of a host that panics is gone, and nobody else has to notice.

use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, Once, PoisonError};

/// What a panic says that belongs to the world.
pub(crate) const ON_PURPOSE: &str = "a driver panics on purpose";

thread_local! {
    /// What panicked on this thread, where most of a world happens; none outside of a world.
    static HERE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What panicked on a thread of the plugin host, which the worlds of a process share.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Lets a world happen, and notes its panics; those of plugin hosts go to one of the worlds that
/// happened then.
pub(crate) fn noted<T>(world: impl FnOnce() -> T) -> (T, Vec<String>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !note(panic) {
                before(panic);
            }
        }));
    });
    HERE.set(Some(Vec::new()));
    let told = world();
    let mut panics = HERE.take().unwrap_or_default();
    panics.append(&mut ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner));
    (told, panics)
}

/// Whether a panic is of a world.
fn note(panic: &PanicHookInfo<'_>) -> bool {
    if panic.payload_as_str() == Some(ON_PURPOSE) {
        return true;
    }
    let text = panic.to_string();
    let of_plugin_host = std::thread::current()
        .name()
        .is_some_and(|name| name.starts_with("wavegate-"));
    if of_plugin_host {
        let mut all = ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(text);
        return true;
    }
    HERE.with_borrow_mut(|here| here.as_mut().map(|all| all.push(text)))
        .is_some()
}
