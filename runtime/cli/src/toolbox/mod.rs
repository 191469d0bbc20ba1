//! What authors of plugins work with: cases, conformance, measurements, and words about failures.

pub(crate) mod cases;
mod compare;
pub(crate) mod conformance;
mod expand;
mod forms;
pub(crate) mod run;
pub(crate) mod words;
