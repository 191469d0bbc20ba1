//! The components that are shipped, as they are committed.

use wavegate_model::plugin::PluginKind;

/// Name, kind, bytes.
pub(crate) const SHIPPED: [(&str, PluginKind, &[u8]); 7] = [
    (
        "canary",
        PluginKind::Strategy,
        include_bytes!("../../../../plugins/components/canary.wasm"),
    ),
    (
        "blue-green",
        PluginKind::Strategy,
        include_bytes!("../../../../plugins/components/blue-green.wasm"),
    ),
    (
        "rolling",
        PluginKind::Strategy,
        include_bytes!("../../../../plugins/components/rolling.wasm"),
    ),
    (
        "probe",
        PluginKind::Gate,
        include_bytes!("../../../../plugins/components/probe.wasm"),
    ),
    (
        "threshold",
        PluginKind::Gate,
        include_bytes!("../../../../plugins/components/threshold.wasm"),
    ),
    (
        "compare",
        PluginKind::Gate,
        include_bytes!("../../../../plugins/components/compare.wasm"),
    ),
    (
        "burn-rate",
        PluginKind::Gate,
        include_bytes!("../../../../plugins/components/burn-rate.wasm"),
    ),
];
