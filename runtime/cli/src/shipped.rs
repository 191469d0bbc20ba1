//! The plugins that come with the host, embedded as built components.

use std::collections::BTreeMap;

/// Components by name.
pub(crate) fn components() -> BTreeMap<String, &'static [u8]> {
    let all: [(&str, &[u8]); 7] = [
        (
            "blue-green",
            include_bytes!("../../../plugins/components/blue-green.wasm"),
        ),
        (
            "burn-rate",
            include_bytes!("../../../plugins/components/burn-rate.wasm"),
        ),
        (
            "canary",
            include_bytes!("../../../plugins/components/canary.wasm"),
        ),
        (
            "compare",
            include_bytes!("../../../plugins/components/compare.wasm"),
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
