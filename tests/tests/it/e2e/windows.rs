//! Outside of its windows a rollout stands still, and says so.

use jiff::{SignedDuration, Timestamp};
use wavegate_tests::fleet::Fleet;

/// Long enough to be asked about by three processes on a busy machine.
const FROZEN: SignedDuration = SignedDuration::from_secs(15);

#[test]
fn a_rollout_that_starts_in_a_freeze_waits_until_it_is_over() {
    let fleet = Fleet::small("    plugin: {shipped: rolling}\n    config: {}");
    fleet.up();
    let until = (Timestamp::now() + FROZEN).strftime("%Y-%m-%dT%H:%M:%S");
    let freeze =
        format!("  freezes: [{{from: \"2026-01-01T00:00\", to: \"{until}\", reason: holidays}}]\n");
    let policy = fleet.read("policy.yaml") + &freeze;
    fleet.write("policy.yaml", &policy);

    let mut run = fleet.start(&["run", "demo"]);
    let closed = run.line("nothing new starts before");
    assert!(closed.contains("a freeze: holidays"), "{closed}");
    let explained = fleet.wavegate(&["explain", "last"]).expect(0).out;
    assert!(
        explained.contains("wave first waits for its window, which opens in"),
        "{explained}"
    );
    let frozen = fleet.wavegate(&["history", "last"]).expect(0).out;
    assert!(!frozen.contains("wave first started"), "{frozen}");
    run.line("the window is open");
    run.end().expect(0);
    let history = fleet.wavegate(&["history", "last"]).expect(0).out;
    let at = |part: &str| {
        history
            .find(part)
            .unwrap_or_else(|| panic!("{part}: {history}"))
    };
    assert!(
        at("the window is open") < at("wave first started"),
        "{history}"
    );
}
