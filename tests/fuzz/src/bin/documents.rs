//! Looks for documents that are read badly. `cargo xtask fuzz documents` builds and runs it.
#![no_main]

use std::sync::LazyLock;
use wavegate_fuzz::{documents, mutate};

static WORDS: LazyLock<mutate::Words> =
    LazyLock::new(|| mutate::Words::of_schema(&wavegate_documents::schema_of_all()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| documents::check(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match mutate::lines(&data[..size], &WORDS, seed) {
        Some(changed) if changed.len() <= max_size => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        Some(_) | None => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
});
