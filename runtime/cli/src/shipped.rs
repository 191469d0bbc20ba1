//! The plugins that come with the host, embedded as built components.

use std::collections::BTreeMap;

/// Components by name.
pub(crate) fn components() -> BTreeMap<String, &'static [u8]> {
    let all: [(&str, &[u8]); 5] = [
        (
            "blue-green",
            include_bytes!("../../../plugins/components/blue-green.wasm"),
        ),
        (
            "canary",
            include_bytes!("../../../plugins/components/canary.wasm"),
        ),
        (
            "probe",
            include_bytes!("../../../plugins/components/probe.wasm"),
        ),
        (
            "rolling",
            include_bytes!("../../../plugins/components/rolling.wasm"),
        ),
        (
            "threshold",
            include_bytes!("../../../plugins/components/threshold.wasm"),
        ),
    ];
    all.into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect()
}
