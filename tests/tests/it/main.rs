//! The tests that look at the whole: one binary, because linking is what they cost.

mod architecture;
mod blue_green;
mod crash;
mod damage;
mod e2e;
mod guide;
mod import;
mod isolation;
mod journals;
mod kills;
mod languages;
mod prometheus;
mod replay;
mod rollback;
mod score;
mod strategies;
mod swap;
mod unreachable;
