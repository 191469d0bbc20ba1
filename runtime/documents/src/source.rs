//! The text of a file, and places in it.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// As the user named it.
    pub(crate) path: PathBuf,
    /// Without a byte-order mark.
    pub(crate) text: String,
    /// Byte offsets at which lines start.
    lines: Vec<usize>,
    /// Ranges that hold a secret which should not be there, and are never shown.
    hidden: Mutex<Vec<Range<usize>>>,
}

impl SourceFile {
    pub(crate) fn new(path: PathBuf, text: String) -> Self {
        let starts = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self {
            path,
            text,
            lines,
            hidden: Mutex::default(),
        }
    }

    /// Never shows a range, whatever else is wrong near it.
    pub(crate) fn hide(&self, range: Range<usize>) {
        self.hidden
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(range);
    }

    /// Some lines as they may be shown. As long as the text that they stand for.
    pub(crate) fn shown(&self, range: Range<usize>) -> Cow<'_, str> {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let near: Vec<_> = hidden
            .iter()
            .filter(|h| h.start < range.end && range.start < h.end)
            .collect();
        if near.is_empty() {
            return Cow::Borrowed(&self.text[range]);
        }
        let mut bytes = self.text.as_bytes()[range.clone()].to_vec();
        for hidden in near {
            let from = hidden.start.max(range.start) - range.start;
            let to = hidden.end.min(range.end) - range.start;
            bytes[from..to]
                .iter_mut()
                .filter(|byte| **byte != b'\n')
                .for_each(|byte| *byte = b'*');
        }
        Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
    }

    /// The folder against which relative paths in the file are meant.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Line and column, both from 1, the column in characters.
    pub(crate) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let at = self.floor_char(at);
        let line = self.line_index(at);
        (
            line + 1,
            self.text[self.lines[line]..at].chars().count() + 1,
        )
    }

    /// Index of the line that has the byte.
    pub(crate) fn line_index(&self, at: usize) -> usize {
        self.lines
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    }

    /// The bytes of some lines, both ends included; the last line break excluded.
    pub(crate) fn lines_range(&self, first: usize, last: usize) -> Range<usize> {
        let start = self.lines.get(first).copied().unwrap_or(self.text.len());
        let end = self
            .lines
            .get(last + 1)
            .map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }

    /// The byte offset of a line and column (both from 1, the column in characters).
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.lines.get(line.saturating_sub(1)) else {
            return self.text.len();
        };
        let rest = &self.text[*start..];
        rest.char_indices()
            .nth(column.saturating_sub(1))
            .map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The start of the character that the byte belongs to.
    pub(crate) fn floor_char(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A range of bytes in a file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) source: Arc<SourceFile>,
    pub(crate) range: Range<usize>,
}

impl Place {
    pub(crate) fn new(source: &Arc<SourceFile>, range: Range<usize>) -> Self {
        Self {
            source: Arc::clone(source),
            range,
        }
    }
}
