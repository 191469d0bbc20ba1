//! What a map of a document may hold, as data. [`crate::fields`] reads by it, and
//! [`crate::schema`] writes it as JSON Schema, so that an editor says what the parser will say.

/// A map with fields that are known.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What the map is, as a message calls it, such as `wave`.
    pub(crate) what: &'static str,
    /// What it is for: shown by editors.
    pub(crate) about: &'static str,
    /// Its fields, in groups, because some maps share fields.
    pub(crate) groups: &'static [&'static [Field]],
    /// Fields that the design has and this version has not.
    pub(crate) not_built: &'static [&'static str],
    /// Exactly one of these sets of fields is there; empty for no such rule.
    pub(crate) one_of: &'static [&'static [&'static str]],
}

/// A field of a map.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) kind: Kind,
    /// What it means: shown by editors.
    pub(crate) about: &'static str,
    /// What is meant when it is left out, as JSON. Empty if that is nothing, or depends.
    pub(crate) default: &'static str,
}

/// Whether a field has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// Known, and refused with words of its own.
    Refused,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    Boolean,
    /// A text of one line.
    Text,
    /// A lower-case DNS label.
    Name,
    /// The same with dots.
    DocumentName,
    LabelKey,
    Labels,
    Digest,
    Whole(u64, u64),
    /// `25%`.
    Share,
    /// `3` or `25%`.
    Amount,
    /// The same, and not nothing.
    AmountAboveZero,
    /// `30s`.
    Duration,
    /// The same, and not nothing.
    DurationAboveZero,
    /// `64KiB`.
    Bytes,
    /// One of some words.
    Words(fn() -> Vec<&'static str>),
    /// An address of a server.
    Address,
    /// A path, perhaps with a `*` at its end.
    Path,
    /// Any map: others than this crate know what is in it.
    Open,
    Map(&'static Shape),
    /// A list with at least so many items.
    List(usize, &'static Kind),
    /// A map from names to what is named.
    Names(&'static Kind),
    /// A map from texts to texts.
    Texts,
    /// One of several.
    Either(&'static [Kind]),
}

impl Shape {
    /// A map with these fields.
    pub(crate) const fn of(
        what: &'static str,
        about: &'static str,
        groups: &'static [&'static [Field]],
    ) -> Self {
        Self {
            what,
            about,
            groups,
            not_built: &[],
            one_of: &[],
        }
    }

    pub(crate) const fn not_built(mut self, names: &'static [&'static str]) -> Self {
        self.not_built = names;
        self
    }

    pub(crate) const fn one_of(mut self, sets: &'static [&'static [&'static str]]) -> Self {
        self.one_of = sets;
        self
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.groups.iter().copied().flatten()
    }

    /// The field of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }
}

/// A field that has to be there.
pub(crate) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Field {
    field(name, Need::Required, kind, about, "")
}

/// A field that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Field {
    field(name, Need::Optional, kind, about, "")
}

/// A field with a default, as JSON.
pub(crate) const fn defaulted(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Field {
    field(name, Need::Optional, kind, about, default)
}

/// A field that is known, and refused with words of its own.
pub(crate) const fn refused(name: &'static str) -> Field {
    field(name, Need::Refused, Kind::Open, "", "")
}

const fn field(
    name: &'static str,
    need: Need,
    kind: Kind,
    about: &'static str,
    default: &'static str,
) -> Field {
    Field {
        name,
        need,
        kind,
        about,
        default,
    }
}

/// The words of a choice.
pub(crate) fn words<T>(choice: &[(&'static str, T)]) -> Vec<&'static str> {
    choice.iter().map(|(word, _)| *word).collect()
}
