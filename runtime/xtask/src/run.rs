//! Runs commands with their output passed on while they run.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::report::{Counts, Outcome};

/// Runs a command that is one check.
pub(crate) fn check(command: &mut Command) -> Result<Outcome> {
    succeed(command)?;
    Ok(Outcome::Passed)
}

/// Runs a command that has to succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs the command that this process stands for, and ends as it does.
pub(crate) fn in_place_of(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => {
            u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs `cargo test` and counts the tests.
pub(crate) fn tests(command: &mut Command) -> Result<Outcome> {
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    let status = lines(command, |line| {
        if let Some(result) = parse_result(line) {
            counts.passed += result.passed;
            counts.failed += result.failed;
            counts.skipped += result.skipped;
        } else if let Some(name) = parse_failure(line) {
            failed.push(name.to_owned());
        }
    })?;
    if !failed.is_empty() {
        println!("failed tests:\n    {}", failed.join("\n    "));
    }
    if !status.success() && counts.failed == 0 {
        // It did not build, or a test took its whole process down.
        bail!("{} ended with {status}", shown(command));
    }
    if counts == Counts::default() {
        bail!("{} ran no test", shown(command));
    }
    Ok(Outcome::Tests(counts))
}

/// Runs a command, passes its output on and shows each line to `look`.
pub(crate) fn lines(command: &mut Command, mut look: impl FnMut(&str)) -> Result<ExitStatus> {
    announce(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    let output = child.stdout.take().context("failed to read the output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("failed to read the output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        look(&line);
    }
    child
        .wait()
        .with_context(|| format!("failed to wait for {}", shown(command)))
}

/// What a command prints, without showing it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} ended with {}: {}",
            shown(command),
            output.status,
            reason.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn announce(command: &Command) {
    println!("$ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut words = vec![program.rsplit('/').next().unwrap_or_default().to_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
fn parse_result(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in numbers.split("; ") {
        let Some((number, word)) = part.split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "ignored" => counts.skipped = number,
            _ => {}
        }
    }
    Some(counts)
}

/// Reads the name out of `test name ... FAILED`.
fn parse_failure(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_a_test_binary_are_counted() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; \
                    7 filtered out; finished in 0.03s";
        let counts = Counts {
            passed: 12,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(parse_result(line), Some(counts));
        assert_eq!(parse_result("test result of another kind"), None);
    }

    #[test]
    fn a_failed_test_is_named() {
        assert_eq!(
            parse_failure("test gate::holds ... FAILED"),
            Some("gate::holds")
        );
        assert_eq!(parse_failure("test gate::holds ... ok"), None);
    }

    #[test]
    fn a_run_without_tests_is_an_error() {
        let error = tests(&mut Command::new("true")).expect_err("it ran nothing");
        assert_eq!(error.to_string(), "true ran no test");
    }
}
