//! Helpers of the end-to-end tests.

pub mod fleet;
pub mod guests;
