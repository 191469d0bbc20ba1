//! Helpers of the end-to-end tests.

pub mod cases;
pub mod components;
pub mod crash_support;
pub mod fleet;
pub mod guests;
pub mod isolation;
pub mod load;
pub mod prometheus;
pub mod running;
pub mod shop;
pub mod stories;
