//! What fuzzing checks.
//!
//! **Owns:** for each target one function that takes bytes nobody means well with and panics if
//! the code that reads them does something else than it promises; how such bytes are changed into
//! others; and the inputs that were kept, under `corpus` and `found`.
//!
//! **Does not own:** the search. `cargo xtask fuzz` builds the programs of `src/bin` with a fuzzer
//! that watches which code an input reaches; an ordinary build leaves them out. The tests replay
//! all inputs that were kept through the same functions.
//!
//! **Start at** [`documents::check`].

pub mod bounds;
pub mod documents;
pub mod kept;
pub mod mutate;
