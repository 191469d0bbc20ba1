//! What the figures mean.

use super::{broken, half_bad, options, runs, spec, subject};
use crate::simulate::report::rows;
use crate::simulate::{Run, Summary, Told};
use wavegate_model::simulation::Fault;
use wavegate_model::{DurationMs, Permille};

fn caught(runs: &[Run]) -> Vec<&Run> {
    runs.iter().filter(|run| run.told == Told::Caught).collect()
}

#[test]
fn a_failure_that_is_tolerated_catches_nothing_yet() {
    let spec = spec(8, DurationMs::secs(30), 1);
    let runs = runs(&spec, &half_bad(vec![broken()]), &options(30, 3, 2));
    let caught = caught(&runs);
    assert!(caught.len() >= 5, "{}", caught.len());
    for run in &caught {
        assert!(
            run.failed_sites >= 2 && run.stopped_ms > run.acted_ms,
            "{run:?}"
        );
    }
    let last = caught.iter().filter_map(|run| run.stopped_ms).max();
    assert_eq!(Some(Summary::of(&runs).caught_ms.max), last);
}

#[test]
fn what_was_caught_before_any_harm_is_told_apart() {
    let dead = Fault {
        start: Permille::ALL,
        ..Fault::named("dead")
    };
    let spec = spec(3, DurationMs::secs(30), 0);
    for (fault, harmless) in [(dead, true), (broken(), false)] {
        let runs = runs(&spec, &half_bad(vec![fault]), &options(30, 3, 2));
        let summary = Summary::of(&runs);
        let found = summary.caught_unharmed;
        assert!(summary.caught.count >= 5, "{summary:?}");
        assert_eq!(found.of, summary.caught.count);
        assert_eq!(found.count > found.of / 2, harmless, "{found:?}");
        let rows = rows(&subject(runs));
        assert!(rows.iter().any(|(what, _)| *what == "before any harm"));
    }
}
