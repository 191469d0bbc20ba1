//! What is wrong, where, and what to do about it.

use crate::render;
use crate::source::Place;
use serde::{Serialize, Serializer};
use std::cell::RefCell;
use std::fmt;

/// Problems that are kept of one load: more than people read, few enough to stay fast when a
/// generated file is wrong in every line.
const PROBLEMS_MAX: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth a look; nothing is refused.
    Warning,
    /// The documents are refused.
    Error,
}

/// The kind of a problem: stable, for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// A file cannot be read.
    File,
    /// It is not YAML.
    Syntax,
    /// It is more than the limits allow.
    TooLarge,
    /// The `kind` or `apiVersion` is not known.
    UnknownKind,
    /// A field that does not exist.
    UnknownField,
    /// A field that is part of the design and not of this version.
    NotBuilt,
    /// A field that has to be there.
    MissingField,
    /// A text where a number belongs, and the like.
    WrongType,
    /// A value of the right type that is not possible.
    BadValue,
    /// The same key or name twice.
    Duplicate,
    /// A name that nothing has.
    Dangling,
    /// Documents that contradict each other.
    Mismatch,
    /// Waves and clusters do not fit together.
    Plan,
    /// A plugin or driver does not accept its configuration.
    Config,
    /// Possible, and seldom meant.
    Suspicious,
}

impl Code {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syntax => "syntax",
            Self::TooLarge => "too-large",
            Self::UnknownKind => "unknown-kind",
            Self::UnknownField => "unknown-field",
            Self::NotBuilt => "not-built",
            Self::MissingField => "missing-field",
            Self::WrongType => "wrong-type",
            Self::BadValue => "bad-value",
            Self::Duplicate => "duplicate",
            Self::Dangling => "dangling",
            Self::Mismatch => "mismatch",
            Self::Plan => "plan",
            Self::Config => "config",
            Self::Suspicious => "suspicious",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One problem. As JSON it has the public fields.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// The file as the user named it; empty if no file is concerned.
    pub file: String,
    /// Line from 1; 0 if no line is concerned.
    pub line: usize,
    /// Column from 1, in characters; 0 if no line is concerned.
    pub column: usize,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    pub(crate) place: Option<(Place, String)>,
    #[serde(skip)]
    pub(crate) related: Vec<(Place, String)>,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            file: String::new(),
            line: 0,
            column: 0,
            hint: None,
            place: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// The place of the problem and what is there.
    pub(crate) fn at(mut self, place: Place, label: impl Into<String>) -> Self {
        (self.line, self.column) = place.source.line_and_column(place.range.start);
        self.file = place.source.path.display().to_string();
        self.place = Some((place, label.into()));
        self
    }

    /// A second place that explains the first.
    pub(crate) fn see(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    fn sort_key(&self) -> (&str, usize, usize) {
        (&self.file, self.line, self.column)
    }
}

/// Problems, sorted by file, line and column. As an error it has at least one of severity error.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

/// Whether a rendering uses colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI sequences.
    Always,
}

impl From<Diagnostic> for Diagnostics {
    fn from(problem: Diagnostic) -> Self {
        Self(vec![problem])
    }
}

impl Diagnostics {
    pub(crate) fn new(mut problems: Vec<Diagnostic>) -> Self {
        problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        Self(problems)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is refused.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Adds the problems of others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self::new(self.0.into_iter().chain(others.0).collect())
    }

    /// For people: message, place, snippet with carets, hint; at the end how many there are.
    pub fn render(&self, colour: Colour) -> String {
        render::all(&self.0, colour)
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

impl std::error::Error for Diagnostics {}

/// Collects problems while documents are read.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Diagnostic>>);

impl Problems {
    pub(crate) fn push(&self, problem: Diagnostic) {
        let mut problems = self.0.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(problem);
        }
    }

    /// Whether more would not be kept, so that costly searches for hints can stop.
    pub(crate) fn full(&self) -> bool {
        self.0.borrow().len() >= PROBLEMS_MAX
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0
            .borrow()
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn into_diagnostics(self) -> Diagnostics {
        Diagnostics::new(self.0.into_inner())
    }
}

/// A text of a document in backticks: capped, and with control characters escaped, because it
/// goes to a terminal.
pub(crate) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut out = String::from("`");
    for c in text.chars().take(CHARS_MAX) {
        if is_plain(c) {
            out.push(c)
        } else {
            out.extend(c.escape_default())
        }
    }
    if text.chars().nth(CHARS_MAX).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}

/// A message of a plugin or library on one line, with control characters escaped.
pub(crate) fn clean(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let mut out = String::new();
    for c in text.chars().take(CHARS_MAX) {
        match c {
            '\n' | '\t' => out.push(' '),
            c if is_plain(c) => out.push(c),
            c => out.extend(c.escape_default()),
        }
    }
    out
}

/// Neither a control character nor one that reorders or hides text.
pub(crate) fn is_plain(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hides
}
