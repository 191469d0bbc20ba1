//! Reads maps field by field and says everything that is wrong with one, not only the first.

use crate::diagnostic::{Code, Diagnostic, Problems, quoted};
use crate::node::{Node, Value};
use crate::shape::{Need, Shape};
use crate::source::{Place, SourceFile};
use crate::suggest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What every reader needs: the file, and where problems go.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a> {
    pub(crate) source: &'a Arc<SourceFile>,
    pub(crate) problems: &'a Problems,
}

impl Cx<'_> {
    pub(crate) fn place(self, node: &Node) -> Place {
        self.range(node.range())
    }

    pub(crate) fn range(self, range: Range<usize>) -> Place {
        Place::new(self.source, range)
    }

    /// Reports and gives nothing, so that a reader can end with it.
    pub(crate) fn fail<T>(self, problem: Diagnostic) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// A value of another type than expected. `expected` has its article.
    pub(crate) fn wrong_type<T>(
        self,
        node: &Node,
        expected: &str,
        hint: Option<String>,
    ) -> Option<T> {
        let message = format!("expected {expected}, found {}", node.found());
        let problem = Diagnostic::error(Code::WrongType, message);
        self.fail(
            problem
                .at(self.place(node), format!("expected {expected}"))
                .maybe_hint(hint),
        )
    }

    /// A value of the right type that is not possible.
    pub(crate) fn bad_value<T>(
        self,
        node: &Node,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        let problem = Diagnostic::error(Code::BadValue, message);
        self.fail(problem.at(self.place(node), "").maybe_hint(hint))
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spot<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// Keeps the place of what a reader reads.
pub(crate) fn spot<T>(
    read: impl Fn(Cx<'_>, &Node) -> Option<T>,
) -> impl Fn(Cx<'_>, &Node) -> Option<Spot<T>> {
    move |cx, node| {
        Some(Spot {
            value: read(cx, node)?,
            place: cx.place(node),
        })
    }
}

/// A list of what a reader reads. All items are read, also after a bad one.
pub(crate) fn list<T>(
    read: impl Fn(Cx<'_>, &Node) -> Option<T>,
) -> impl Fn(Cx<'_>, &Node) -> Option<Vec<T>> {
    move |cx, node| {
        let Value::List(items) = &node.value else {
            return cx.wrong_type(node, "a list", None);
        };
        let read: Vec<Option<T>> = items.iter().map(|item| read(cx, item)).collect();
        read.into_iter().collect()
    }
}

/// The entries of a map whose keys are the user's own. Keys that repeat are reported.
pub(crate) fn entries<'n>(
    cx: Cx<'_>,
    node: &'n Node,
    expected: &str,
) -> Option<Vec<(&'n str, &'n Node, &'n Node)>> {
    let Value::Map(entries) = &node.value else {
        return cx.wrong_type(node, expected, None);
    };
    let mut seen: BTreeMap<&str, &Node> = BTreeMap::new();
    let mut good = true;
    let mut out = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Some(name) = key_text(cx, key) else {
            good = false;
            continue;
        };
        if let Some(first) = seen.insert(name, key) {
            good = false;
            let problem =
                Diagnostic::error(Code::Duplicate, format!("{} is there twice", quoted(name)));
            cx.problems.push(
                problem
                    .at(cx.place(key), "again")
                    .see(cx.place(first), "first"),
            );
            continue;
        }
        out.push((name, key, value));
    }
    good.then_some(out)
}

fn key_text<'n>(cx: Cx<'_>, key: &'n Node) -> Option<&'n str> {
    match &key.value {
        Value::Text(text) if text == "<<" => {
            let problem = Diagnostic::error(Code::Syntax, "merge keys (`<<`) are not accepted");
            let hint = "write the fields out, or use an alias (`*name`) for a whole value";
            cx.fail(problem.at(cx.place(key), "").hint(hint))
        }
        Value::Text(text) => Some(text),
        _ => cx.wrong_type(key, "a text as key", Some("put the key in quotes".into())),
    }
}

/// A map with fields that are known.
pub(crate) struct Fields<'a, 'n> {
    cx: Cx<'a>,
    shape: &'static Shape,
    /// Where a missing field is reported.
    at: Range<usize>,
    entries: BTreeMap<&'n str, (&'n Node, &'n Node)>,
    known: Vec<&'static str>,
    /// Fields that have to be there and are not. Reported at the end: if an unknown field is
    /// close to one of them, that one problem is enough.
    missing: Vec<&'static str>,
    good: bool,
}

impl<'a, 'n> Fields<'a, 'n> {
    /// Opens a map.
    pub(crate) fn open(cx: Cx<'a>, node: &'n Node, shape: &'static Shape) -> Option<Self> {
        let Value::Map(pairs) = &node.value else {
            return cx.wrong_type(
                node,
                &format!("a map (the fields of a {})", shape.what),
                None,
            );
        };
        let end = pairs
            .first()
            .map_or(node.range().start, |(key, _)| key.range().end);
        let at = node.range().start..end.max(node.range().start);
        // The fields of a map with a bad key are still read: they may have problems of their own.
        let before = pairs.len();
        let entries = match entries(cx, node, "a map") {
            Some(entries) => entries,
            None => unique(pairs),
        };
        let good = entries.len() == before;
        let entries = entries
            .into_iter()
            .map(|(name, key, value)| (name, (key, value)))
            .collect();
        Some(Self {
            cx,
            shape,
            at,
            entries,
            known: Vec::new(),
            missing: Vec::new(),
            good,
        })
    }

    /// Where the map begins.
    pub(crate) fn place(&self) -> Place {
        self.cx.range(self.at.clone())
    }

    /// The entry of a field.
    pub(crate) fn entry(&mut self, name: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.ask(name, Need::Optional)
    }

    /// The entry of a field that the shape of the map has.
    fn ask(&mut self, name: &'static str, need: Need) -> Option<(&'n Node, &'n Node)> {
        let has = self.shape.field(name).map(|field| field.need);
        let agrees = match need {
            Need::Required => has == Some(Need::Required),
            // A reader may report by itself that one is missing.
            Need::Optional | Need::Refused => has.is_some(),
        };
        assert!(
            agrees,
            "the shape of a {} says otherwise about `{name}`",
            self.shape.what
        );
        self.known.push(name);
        self.entries.remove(name)
    }

    /// A field that has to be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Cx<'_>, &Node) -> Option<T>,
    ) -> Option<T> {
        match self.ask(name, Need::Required) {
            Some((_, value)) => read(self.cx, value),
            None => {
                self.missing.push(name);
                None
            }
        }
    }

    /// A field that may be left out.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Cx<'_>, &Node) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.entry(name) {
            Some((_, value)) => read(self.cx, value).map(Some),
            None => Some(None),
        }
    }

    /// A field with a default.
    pub(crate) fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl Fn(Cx<'_>, &Node) -> Option<T>,
    ) -> Option<T> {
        Some(self.optional(name, read)?.unwrap_or(default))
    }

    /// Reports what is left. Gives nothing if the map had a problem that no field of it shows.
    pub(crate) fn finish(mut self) -> Option<()> {
        let shape = self.shape;
        let unread = shape
            .fields()
            .find(|field| !self.known.contains(&field.name));
        assert!(
            unread.is_none(),
            "nobody reads {unread:?} of a {}",
            shape.what
        );
        let not_built = shape.not_built;
        let absent = self.missing.len();
        for (name, (key, _)) in &self.entries {
            let place = self.cx.place(key);
            if not_built.contains(name) {
                self.cx
                    .problems
                    .push(self::not_built(&format!("the field `{name}`"), place));
                continue;
            }
            let message = format!("unknown field {} in a {}", quoted(name), shape.what);
            let problem = Diagnostic::error(Code::UnknownField, message).at(place, "unknown field");
            if let Some(meant) = suggest::closest(name, &self.missing) {
                self.missing.retain(|missing| *missing != meant);
            }
            let meant = suggest::closest(name, not_built);
            let hint = match meant {
                Some(meant) if suggest::closest(name, &self.known).is_none() => {
                    Some(format!("`{meant}` is not built yet"))
                }
                _ => suggest::hint(name, self.known.iter().copied()),
            };
            self.cx.problems.push(problem.maybe_hint(hint));
        }
        if !self.missing.is_empty() {
            let names = suggest::all_of(&self.missing);
            let message = format!("this {} has no {names}", shape.what);
            let verb = if self.missing.len() == 1 { "is" } else { "are" };
            let problem = Diagnostic::error(Code::MissingField, message);
            self.cx
                .problems
                .push(problem.at(self.place(), format!("{names} {verb} missing here")));
        }
        (self.good && self.entries.is_empty() && absent == 0).then_some(())
    }
}

/// The entries with text keys, the first of each.
fn unique(pairs: &[(Node, Node)]) -> Vec<(&str, &Node, &Node)> {
    let mut seen = BTreeMap::new();
    for (key, value) in pairs {
        if let Value::Text(name) = &key.value
            && name != "<<"
        {
            seen.entry(name.as_str()).or_insert((key, value));
        }
    }
    seen.into_iter()
        .map(|(name, (key, value))| (name, key, value))
        .collect()
}

/// Something that the design has and this version has not.
pub(crate) fn not_built(what: &str, place: Place) -> Diagnostic {
    Diagnostic::error(Code::NotBuilt, format!("{what} is not built yet"))
        .at(place, "not built yet")
        .hint("remove it: it would have no effect, and is refused rather than ignored")
}
