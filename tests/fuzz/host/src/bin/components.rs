//! Looks for trouble with `components`. `cargo xtask fuzz components` builds and runs it.
#![no_main]

use wavegate_fuzz_host::{components, seeds};

libfuzzer_sys::fuzz_target!(
    init: seeds::write(components::seeds),
    |data: &[u8]| components::check(data)
);
