//! Counters in our own crates, for a fuzzer.
//!
//! Flags for all crates would build each of them anew, the Wasm engine, too. So cargo calls this
//! program in the place of the compiler, for crates of the workspace only, and it adds them.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::run::in_place_of;

/// Set for the compiler calls of such a build, and nowhere else.
const MARK: &str = "WAVEGATE_FUZZ_BUILD";

/// Counters on every edge, and what values were compared with, so that the search sees how near
/// an input comes to another branch. Checks of the debug profile are on: an overflow is a find.
pub(super) const FLAGS: &[&str] = &[
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Makes cargo call the compiler through this program.
pub(super) fn install(cargo: &mut Command) -> std::io::Result<()> {
    cargo
        .env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?)
        .env(MARK, "1");
    Ok(())
}

/// Calls the compiler, if that is what this process was started for.
pub(crate) fn run() -> Option<ExitCode> {
    std::env::var_os(MARK)?;
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let mut command = Command::new(compiler);
    command.args(&arguments);
    if runs_in_the_program(&arguments) {
        command.args(FLAGS);
    }
    Some(in_place_of(&mut command))
}

/// Not a question to the compiler, and neither a macro nor a build script: those run in cargo,
/// where no fuzzer is.
fn runs_in_the_program(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|it| it.to_str()).collect();
    let follows = |what: &str, value: &str| words.windows(2).any(|it| it == [what, value]);
    let compiles = words.iter().any(|word| word.starts_with("--emit"));
    let is_macro = follows("--crate-type", "proc-macro");
    compiles && !is_macro && !follows("--crate-name", "build_script_build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_into_what_is_fuzzed_and_nothing_else() {
        let asks = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            runs_in_the_program(&words)
        };
        assert!(asks(
            "--crate-name journal a.rs --crate-type bin --emit=link"
        ));
        assert!(!asks(
            "--crate-name build_script_build b.rs --crate-type bin --emit=link"
        ));
        assert!(!asks(
            "--crate-name words a.rs --crate-type proc-macro --emit=link"
        ));
        assert!(!asks("-vV"));
    }
}
