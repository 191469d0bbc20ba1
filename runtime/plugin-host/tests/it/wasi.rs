//! What toolchains drag in is there, and nothing comes of it.

use crate::ask::{setup, unavailable};
use wavegate_model::Unavailable;
use wavegate_model::plugin::PluginKind;
use wavegate_ports::plugins::PluginRejected;

#[test]
fn a_guest_that_prints_sleeps_and_draws_lots_answers_the_same_twice() {
    let setup = setup();
    let guest = setup.strategy("wasi-user");
    let first = setup.decide(&guest, b"");
    let second = setup.decide(&guest, b"");
    assert!(!first.output.is_empty(), "{:?}", first.end);
    assert_eq!((&first.output, first.fuel), (&second.output, second.fuel));
    assert!(first.micros < 3_600_000_000, "an hour was slept through");
    let log: Vec<_> = first
        .log
        .iter()
        .map(|(level, text)| (level.as_str(), text.as_str()))
        .collect();
    assert_eq!(
        log,
        [
            ("info", "one line"),
            ("error", "something is odd"),
            ("info", "and half of another"),
        ]
    );
}

#[test]
fn an_exit_is_a_trap_with_words() {
    let setup = setup();
    let guest = setup.strategy("wasi-exit");
    let Unavailable::Trap { trap, .. } = unavailable(&setup.decide(&guest, b"")).clone() else {
        panic!("an exit is a trap")
    };
    assert_eq!(trap, "the plugin ended itself by `exit(1)`");
}

#[test]
fn a_wait_for_nothing_ends_at_once() {
    let setup = setup();
    let guest = setup.strategy("poll-nothing");
    let Unavailable::Trap { trap, .. } = unavailable(&setup.decide(&guest, b"")).clone() else {
        panic!("it waits for ever")
    };
    assert_eq!(trap, "the plugin waits for nothing at all");
}

#[test]
fn what_is_inert_has_limits_too() {
    let setup = setup();
    let flood = setup.strategy("wasi-random-flood");
    let limit = Unavailable::LimitExceeded {
        what: "bytes of randomness at once".into(),
        limit: 64 << 10,
    };
    assert_eq!(unavailable(&setup.decide(&flood, b"")), &limit);
    // A clock that stands would keep it for ever.
    let spin = setup.strategy("wasi-spin");
    let report = setup.decide(&spin, b"");
    assert!(
        matches!(
            unavailable(&report),
            Unavailable::OutOfFuel { .. } | Unavailable::TimedOut { .. }
        ),
        "{:?}",
        report.end
    );
}

#[test]
fn a_network_is_not_inert() {
    let setup = setup();
    let rejected = setup.load("sockets-import", PluginKind::Strategy);
    let Err(PluginRejected::NotGranted { import, .. }) = rejected else {
        panic!("{rejected:?}")
    };
    assert_eq!(import, "wasi:sockets/instance-network@0.2.3");
}
