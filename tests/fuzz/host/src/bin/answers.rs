//! Looks for trouble with `answers`. `cargo xtask fuzz answers` builds and runs it.
#![no_main]

use wavegate_fuzz_host::{answers, seeds};

libfuzzer_sys::fuzz_target!(
    init: seeds::write(answers::seeds),
    |data: &[u8]| answers::check(data)
);
