//! Inputs that were kept do no harm, each of them and in every build.

use std::io::Write as _;
use wavegate_fuzz::{documents, kept};

/// Checks what was found and the corpus of a target. More memory than allowed ends the process
/// without a word of the test, so that the input is named before, where nothing is captured.
fn replay(target: &str, check: fn(&[u8]), at_least: usize) {
    let mut inputs = kept::read(&format!("found/{target}")).expect("what was found");
    inputs.extend(kept::read(&format!("corpus/{target}")).expect("the corpus"));
    assert!(inputs.len() >= at_least, "only {} inputs", inputs.len());
    for input in inputs {
        let run = std::panic::catch_unwind(|| check(&input.bytes));
        if run.is_err() {
            let name = input.path.display();
            let _ = writeln!(std::io::stderr(), "the input is {name}");
            panic!("{name} is a finding");
        }
    }
}

#[test]
fn documents_that_were_kept() {
    replay("documents", documents::check, 300);
}
