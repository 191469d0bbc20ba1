//! Diagnostics as text, with the lines that they are about.

use crate::diagnostic::{Colour, Diagnostic, Severity};
use crate::source::{Place, SourceFile};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;
use std::sync::Arc;

/// Problems that are shown with snippets; the rest is counted.
const SHOWN_MAX: usize = 40;
/// Wide enough for a message and a caret, narrow enough for half a screen.
const WIDTH: usize = 100;
/// Places of one problem that are at most so many lines apart share a snippet.
const LINES_TOGETHER_MAX: usize = 30;
/// Bytes of a line that are shown around a place: a file can be one line of megabytes.
const LINE_BYTES_MAX: usize = 400;

pub(crate) fn all(problems: &[Diagnostic], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let renderer = renderer.term_width(WIDTH);
    let mut out = String::new();
    for problem in problems.iter().take(SHOWN_MAX) {
        out.push_str(&renderer.render(&[group(problem)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(problems));
    out
}

fn summary(problems: &[Diagnostic]) -> String {
    let count = |severity| {
        problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let plural = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    let counts = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| plural(*n, word))
        .collect();
    let hidden = problems.len().saturating_sub(SHOWN_MAX);
    let hidden = if hidden > 0 {
        format!(" ({hidden} not shown)")
    } else {
        String::new()
    };
    format!("{}{hidden}\n", parts.join(", "))
}

fn group(problem: &Diagnostic) -> Group<'_> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(problem.message.as_str())
            .id(problem.code.as_str()),
    );
    for snippet in snippets(problem) {
        group = group.element(snippet);
    }
    if problem.place.is_none() && !problem.file.is_empty() {
        let mut origin = Origin::path(problem.file.as_str());
        if problem.line > 0 {
            origin = origin.line(problem.line).char_column(problem.column);
        }
        group = group.element(origin);
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
}

/// Annotations that share one snippet: lines, and whether each is the primary one.
struct Window<'a> {
    source: &'a Arc<SourceFile>,
    lines: (usize, usize),
    notes: Vec<(AnnotationKind, &'a Place, &'a str)>,
}

fn snippets(problem: &Diagnostic) -> Vec<Snippet<'_, annotate_snippets::Annotation<'_>>> {
    let primary = problem
        .place
        .iter()
        .map(|note| (AnnotationKind::Primary, note));
    let related = problem
        .related
        .iter()
        .map(|note| (AnnotationKind::Context, note));
    let mut windows: Vec<Window<'_>> = Vec::new();
    for (kind, (place, label)) in primary.chain(related) {
        let line = place.source.line_index(place.range.start);
        let near = windows.iter_mut().find(|window| {
            let (first, last) = window.lines;
            Arc::ptr_eq(window.source, &place.source)
                && first.min(line) + LINES_TOGETHER_MAX >= last.max(line)
        });
        match near {
            Some(window) => {
                window.lines = (window.lines.0.min(line), window.lines.1.max(line));
                window.notes.push((kind, place, label));
            }
            None => windows.push(Window {
                source: &place.source,
                lines: (line, line),
                notes: vec![(kind, place, label)],
            }),
        }
    }
    windows.iter().map(snippet).collect()
}

fn snippet<'a>(window: &Window<'a>) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let source = window.source;
    let (first, last) = (window.lines.0.saturating_sub(1), window.lines.1);
    let shown = cut(source, source.lines_range(first, last), &window.notes);
    let first = source.line_index(shown.start);
    let text = source.shown(shown.clone());
    let notes = window.notes.iter().map(|(kind, place, label)| {
        let start = place.range.start.clamp(shown.start, shown.end);
        // A range over several lines would mark half of the file: its first line is enough.
        let line = source.lines_range(
            source.line_index(place.range.start),
            source.line_index(place.range.start),
        );
        let end = place.range.end.min(line.end).clamp(start, shown.end);
        let span = start - shown.start..end - shown.start;
        kind.span(span).label((!label.is_empty()).then_some(*label))
    });
    let path = source.path.display().to_string();
    Snippet::source(text)
        .path(path)
        .line_start(first + 1)
        .annotations(notes.collect::<Vec<_>>())
}

/// Leaves out the far ends of lines that are too long to show.
fn cut(
    source: &SourceFile,
    lines: Range<usize>,
    notes: &[(AnnotationKind, &Place, &str)],
) -> Range<usize> {
    let starts = notes.iter().map(|(_, place, _)| place.range.start);
    let (Some(low), Some(high)) = (starts.clone().min(), starts.max()) else {
        return lines;
    };
    let line_low = source
        .lines_range(source.line_index(low), source.line_index(low))
        .start;
    let start = if low - line_low.min(low) > LINE_BYTES_MAX {
        source.floor_char(low - LINE_BYTES_MAX / 2)
    } else if line_low.saturating_sub(lines.start) > LINE_BYTES_MAX {
        line_low
    } else {
        lines.start
    };
    let end = lines.end.min(source.floor_char(high + LINE_BYTES_MAX));
    start..end.max(start)
}
