//! Looks for trouble with `journal`. `cargo xtask fuzz journal` builds and runs it.
#![no_main]

use wavegate_fuzz_host::{journal, seeds};

libfuzzer_sys::fuzz_target!(
    init: seeds::write(journal::seeds),
    |data: &[u8]| journal::check(data)
);
