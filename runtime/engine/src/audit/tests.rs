//! Bad sequences of facts, made by hand.
