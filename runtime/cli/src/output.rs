//! Data goes to standard output, talk to standard error.

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use std::io::{Error, ErrorKind, IsTerminal, Result, Write};
use std::sync::OnceLock;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; with live progress if standard error is a terminal.
    #[default]
    Auto,
    /// For people, one line for each event.
    Human,
    /// One JSON object a line, each with its `version`.
    Json,
}

/// Version of the JSON shapes. Fields are added, never changed, within a version.
pub(crate) const JSON_VERSION: u32 = 1;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// If the output is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes the choice hold for everything that is written.
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Whether progress may be drawn over and over.
pub(crate) fn live(format: Format) -> bool {
    format == Format::Auto && std::io::stderr().is_terminal()
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();

/// A text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

pub(crate) fn error_line(to: &mut impl Write, text: &str) -> Result<()> {
    writeln!(to, "{} {text}", paint(BAD, "error:"))
}

pub(crate) fn hint_line(to: &mut impl Write, text: &str) -> Result<()> {
    writeln!(to, "{} {text}", paint(STRONG, "hint:"))
}

/// Talk: a line on standard error.
pub(crate) fn say(text: &str) {
    // Nothing can be done about an error stream that is gone.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// The first error of standard output.
static LOST: OnceLock<Error> = OnceLock::new();

/// Data: a line on standard output. A reader that has gone away, such as `head`, misses the rest:
/// a rollout goes on whether anybody reads or not, and with a full disk, too.
pub(crate) fn data(text: &str) {
    keep(writeln!(anstream::stdout(), "{text}"));
}

/// Data: bytes as they are.
pub(crate) fn bytes(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    keep(out.write_all(text).and_then(|()| out.flush()));
}

fn keep(written: Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        // Of several errors the first says most.
        let _ = LOST.set(error);
    }
}

/// Why data was lost: the command has done its work, and its results are nowhere.
pub(crate) fn lost() -> Option<&'static Error> {
    LOST.get()
}

/// Data: a JSON object on one line.
pub(crate) fn json<T: serde::Serialize>(value: &T) {
    data(&serde_json::to_string(value).expect("results are made of types that JSON can say"));
}
