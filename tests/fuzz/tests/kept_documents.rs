//! Inputs that were kept do no harm, each of them and in every build.

use wavegate_fuzz::{documents, kept};

#[test]
fn documents_that_were_kept() {
    kept::replay("documents", documents::check, 300);
}
