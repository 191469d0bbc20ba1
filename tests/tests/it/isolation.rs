//! Nothing that a plugin does matters to others: a good and a bad rollout in one process.

use wavegate_tests::isolation::{BAD, Neighbours};

/// How much slower the good one decides meanwhile is a figure of `cargo xtask bench isolation`.
#[test]
fn a_bad_plugin_holds_its_own_rollout_only() {
    let mut neighbours = Neighbours::start("plain-strategy");
    for (bad, says) in BAD {
        neighbours.beside(bad, says);
    }
}
