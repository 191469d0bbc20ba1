//! Exit codes, and how failures are told.

use std::process::ExitCode;
use wavegate_engine::End;
use wavegate_ports::journal::JournalError;

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Something that should not happen.
    Unexpected = 1,
    /// Wrong usage, or an invalid document.
    Usage = 2,
    /// Held; a person is needed.
    Held = 10,
    /// Rolled back.
    RolledBack = 11,
    /// Refused by policy, trust or another owner.
    Refused = 12,
    /// Rollback incomplete.
    RollbackIncomplete = 13,
    /// Aborted, or closed incomplete.
    Aborted = 14,
    /// A plugin was rejected or is unusable.
    Plugin = 20,
    /// A cluster is unreachable.
    Unreachable = 30,
}

impl Exit {
    /// Every exit code and what it says.
    pub(crate) const MEANINGS: &[(Self, &str)] = &[
        (Self::Done, "done"),
        (Self::Unexpected, "unexpected"),
        (
            Self::Usage,
            "wrong usage, or an invalid document; nothing was touched",
        ),
        (
            Self::Held,
            "held, a person is needed (with `--exit-on-hold`), or the run was interrupted",
        ),
        (Self::RolledBack, "rolled back"),
        (
            Self::Refused,
            "refused: by policy, by another owner, by a host that took over; or a journal is not what was done (`replay`)",
        ),
        (Self::RollbackIncomplete, "rollback incomplete"),
        (
            Self::Aborted,
            "aborted, closed incomplete, or superseded by a newer rollout",
        ),
        (Self::Plugin, "a plugin was rejected or is unusable"),
        (
            Self::Unreachable,
            "a cluster is unreachable, and nothing can start or (with `--exit-on-hold`) go on",
        ),
    ];
}

/// The exit codes, for the help of the program.
pub(crate) fn help() -> String {
    let line = |(exit, meaning): &(Exit, &str)| format!("\n  {:>2}  {meaning}", *exit as u8);
    let lines: String = Exit::MEANINGS.iter().map(line).collect();
    format!("Exit codes:{lines}")
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<End> for Exit {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::Done,
            End::RolledBack => Self::RolledBack,
            End::RollbackIncomplete => Self::RollbackIncomplete,
            End::Aborted | End::Incomplete | End::Replaced => Self::Aborted,
            End::Superseded => Self::Refused,
        }
    }
}

/// A failure with its exit code and, where there is one, a hint.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
            hint: None,
        }
    }

    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The whole chain of causes on one line, then the hint.
    pub(crate) fn tell(&self) {
        let talk = &mut anstream::stderr();
        // Nothing can be done about an error stream that is gone.
        let _ = crate::output::error_line(talk, &format!("{:#}", self.error));
        if let Some(hint) = &self.hint {
            let _ = crate::output::hint_line(talk, hint);
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::new(Exit::Unexpected, error);
        match is_damage(&failure.error) {
            true => failure.hint(RESTORE),
            false => failure,
        }
    }
}

/// What to do about a journal that is not what was written.
pub(crate) const RESTORE: &str = "the file was changed; restore it from a copy";

/// Whether a journal that is not what was written is among the causes.
fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(
            cause.downcast_ref(),
            Some(JournalError::Damaged { .. } | JournalError::BytesDamaged { .. })
        )
    })
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_damaged_journal_has_a_hint_wherever_it_is_met() {
        let digest = wavegate_model::Digest::from_sha256(&[0; 32]);
        let source = JournalError::BytesDamaged { digest };
        let error = anyhow::Error::new(source).context("failed to look");
        assert_eq!(Failure::from(error).hint.as_deref(), Some(RESTORE));
        assert_eq!(Failure::from(anyhow::anyhow!("other")).hint, None);
    }

    #[test]
    fn the_help_and_the_operators_page_name_every_code() {
        let help = crate::args::Cli::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let page = include_str!("../../docs/operating.md");
        for (exit, meaning) in Exit::MEANINGS {
            let code = *exit as u8;
            let said = format!(" {code} {meaning}");
            assert!(help.contains(&said), "no `{said}` in\n{help}");
            let row = format!("| {code} | {meaning} |");
            assert!(page.contains(&row), "no row `{row}`");
        }
    }
}
