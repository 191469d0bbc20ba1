//! Inputs that were kept do no harm, each of them and in every build.

use wavegate_fuzz::kept;
use wavegate_fuzz_host::{answers, components, journal};

#[test]
fn components_that_were_kept() {
    kept::replay("components", components::check, 80);
}

#[test]
fn answers_that_were_kept() {
    kept::replay("answers", answers::check, 150);
}

#[test]
fn journals_that_were_kept() {
    kept::replay("journal", journal::check, 400);
}
