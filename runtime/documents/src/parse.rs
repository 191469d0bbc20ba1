//! From text to trees, and from the parser's errors to diagnostics.

use crate::diagnostic::{Code, Diagnostic, clean, quoted};
use crate::node::Node;
use crate::source::{Place, SourceFile};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Options};
use std::ops::Range;
use std::sync::Arc;

/// Nodes in one file: a fleet of 10,000 clusters with ten labels each has a third of this.
const NODES_MAX: usize = 1_000_000;
/// Nesting: documents have at most eight levels, the rest is left to configurations of plugins.
const DEPTH_MAX: usize = 48;
/// Events that aliases may add: enough for shared blocks, little enough to defuse alias bombs.
const ALIAS_EVENTS_MAX: usize = 100_000;

/// Documents of one file that may be unreadable before the rest of the file is given up.
const BROKEN_MAX: usize = 10;

/// Parses all documents of a file; empty ones are left out. One that cannot be read is reported,
/// and the others are read as if it were not there.
pub(crate) fn parse(source: &Arc<SourceFile>) -> (Vec<Node>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut text = source.text.clone();
    loop {
        let error = match serde_saphyr::from_multiple_with_options::<Node>(&text, options()) {
            Ok(mut nodes) => {
                nodes
                    .iter_mut()
                    .for_each(|node| node.take_in_bracket(&text));
                return (nodes, problems);
            }
            Err(error) => error,
        };
        let (at, problem) = syntax_problem(source, &error);
        let limit = problem.code == Code::TooLarge;
        problems.push(problem);
        let broken = document_around(&text, at);
        if limit || problems.len() == BROKEN_MAX || text[broken.clone()].trim().is_empty() {
            return (Vec::new(), problems);
        }
        // Blanked rather than cut out, so that every other place stays where it is.
        let blank = |c: char| {
            if c == '\n' {
                "\n".into()
            } else {
                " ".repeat(c.len_utf8())
            }
        };
        let blanked: String = text[broken.clone()].chars().map(blank).collect();
        text.replace_range(broken, &blanked);
    }
}

/// The bytes of the document that an error is in, without the `---` before it.
fn document_around(text: &str, at: usize) -> Range<usize> {
    let is_marker = |line: &str| line.trim_end() == "---" || line.starts_with("--- ");
    let (mut start, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        if is_marker(line) && offset > 0 {
            if offset > at {
                return start..offset;
            }
            start = offset + line.len();
        }
        offset += line.len();
    }
    start.min(text.len())..text.len()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 3,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIAS_EVENTS_MAX },
        // Repeated keys and merge keys come through, so that all of them can be shown.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        emit_comments: false,
    }
}

fn syntax_problem(source: &Arc<SourceFile>, error: &serde_saphyr::Error) -> (usize, Diagnostic) {
    let mut error = error.without_snippet();
    while let serde_saphyr::Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let at = match location.span().byte_offset() {
        Some(at) => usize::try_from(at).unwrap_or(usize::MAX),
        None if location == Location::UNKNOWN => source.text.len(),
        None => source.offset(
            usize::try_from(location.line()).unwrap_or(1),
            usize::try_from(location.column()).unwrap_or(1),
        ),
    };
    let at = source.floor_char(at);
    let len = source.text[at..]
        .chars()
        .next()
        .filter(|c| *c != '\n')
        .map_or(0, char::len_utf8);
    let place = Place::new(source, at..at + len);
    let (code, message) = match error {
        serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasExpansionLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. } => {
            let message = format!("aliases repeat more than {ALIAS_EVENTS_MAX} values");
            (Code::TooLarge, message)
        }
        serde_saphyr::Error::Budget { breach, .. } => (Code::TooLarge, over_budget(breach)),
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => (
            Code::Syntax,
            "an alias stands inside of what it repeats".to_owned(),
        ),
        serde_saphyr::Error::NonFiniteFloat { value, .. } => (
            Code::BadValue,
            format!("{} is not a finite number", quoted(value)),
        ),
        error => {
            let message = without_location(&error.to_string());
            match message.as_str() {
                // The scanner has a guard of its own for brackets in brackets.
                "recursion limit exceeded" => (Code::TooLarge, too_deep()),
                _ => (Code::Syntax, message),
            }
        }
    };
    let hint = syntax_hint(&message, source.text[at..].chars().next());
    (
        at,
        Diagnostic::error(code, message)
            .at(place, "")
            .maybe_hint(hint),
    )
}

fn over_budget(breach: &serde_saphyr::budget::BudgetBreach) -> String {
    use serde_saphyr::budget::BudgetBreach;
    match breach {
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("the file has more than {NODES_MAX} values")
        }
        BudgetBreach::Depth { .. } => too_deep(),
        other => without_location(&format!(
            "the file is beyond a limit of the parser: {other:?}"
        )),
    }
}

fn too_deep() -> String {
    format!("values are nested more than {DEPTH_MAX} deep")
}

/// The parser ends its messages with a place of its own; ours stands in front of the snippet.
fn without_location(message: &str) -> String {
    let end = message.find(" at line ").unwrap_or(message.len());
    clean(message[..end].lines().next().unwrap_or_default())
}

/// What most often is behind a problem of the parser.
fn syntax_hint(message: &str, at: Option<char>) -> Option<String> {
    let hint = if message.contains("tab") || at == Some('\t') {
        "YAML is indented with spaces, never with tabs"
    } else if message.contains("unclosed quote") {
        "the quote that begins here has no end"
    } else if message.contains("unclosed bracket") {
        "the bracket that begins here has no end"
    } else if message.contains("mapping values are not allowed") {
        "put a text that has `: ` in it in quotes"
    } else if message.contains("unknown anchor") {
        "an anchor is defined with `&name` before it is used"
    } else if message.contains("unsupported tag") {
        "documents have no tags: remove it, or put the text in quotes"
    } else if matches!(at, Some('@' | '`' | '%')) {
        "put a text that begins with this character in quotes"
    } else if at.is_some_and(char::is_control) && at != Some('\n') {
        "the file has a control character here"
    } else if message.contains("a flow ") {
        "is a `,` or a closing bracket missing before this?"
    } else if message.contains("did not find expected") {
        "is the line indented like the ones before it?"
    } else {
        return None;
    };
    Some(hint.into())
}
