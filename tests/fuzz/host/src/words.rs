//! What is said to people about things that others made.

/// The longest message: a guest's own words are capped long before.
const CHARS_MAX: usize = 10_000;

/// A message that can be shown: it says something, on one screen, and moves no cursor.
///
/// # Panics
/// If it cannot.
pub(crate) fn shown(what: &str, text: &str) {
    assert!(!text.trim().is_empty(), "{what} says nothing");
    safe(what, text);
}

/// A text of a guest, which may be empty.
///
/// # Panics
/// If it is too long, or would reach a terminal as it is.
pub(crate) fn safe(what: &str, text: &str) {
    assert!(text.chars().count() <= CHARS_MAX, "{what} says too much");
    let strange = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!text.contains(strange), "{what} moves cursors: {text:?}");
}
