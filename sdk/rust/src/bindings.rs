//! Bindings generated from `wit/`, one module per world.
//!
//! Types that both worlds use are generated once, in [`strategy`]. On targets other than
//! Wasm the generated import shims are never called: the crate answers from the harness.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::cast_lossless,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

/// World `strategy-plugin`.
pub mod strategy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "strategy-plugin",
        pub_export_macro: true,
        default_bindings_module: "::wavegate_sdk::bindings::strategy",
        additional_derives: [PartialEq],
        generate_all,
    });
}

/// World `gate-plugin`.
pub mod gate {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "gate-plugin",
        pub_export_macro: true,
        default_bindings_module: "::wavegate_sdk::bindings::gate",
        additional_derives: [PartialEq],
        with: {
            "wavegate:plugin/types@0.2.0": crate::bindings::strategy::wavegate::plugin::types,
            "wavegate:plugin/log@0.2.0": crate::bindings::strategy::wavegate::plugin::log,
        },
        generate_all,
    });
}
