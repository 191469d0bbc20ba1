//! YAML as a tree in which every node knows its bytes.
//!
//! The kinds are read from this tree rather than by derived deserializers: those stop at the
//! first problem, and cannot say where inside a plugin's untyped configuration a value stands.

use crate::diagnostic::quoted;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// A YAML node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    start: u32,
    end: u32,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Whole(u64),
    Negative(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; keys may repeat until [`crate::fields`] has looked at them.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The bytes of the node.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// What the node is, for "expected X, found Y".
    pub(crate) fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Whole(value) => format!("the number `{value}`"),
            Value::Negative(value) => format!("the number `{value}`"),
            Value::Float(value) => format!("the number `{value:?}`"),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// Lets a collection in brackets end with its bracket: the parser does not say where that is.
    pub(crate) fn take_in_bracket(&mut self, text: &str) {
        let closing = match &mut self.value {
            Value::List(items) => {
                items.iter_mut().for_each(|item| item.take_in_bracket(text));
                if let Some(last) = items.last() {
                    self.end = self.end.max(last.end);
                }
                b"[]"
            }
            Value::Map(entries) => {
                for (key, value) in entries.iter_mut() {
                    key.take_in_bracket(text);
                    value.take_in_bracket(text);
                }
                if let Some((_, last)) = entries.last() {
                    self.end = self.end.max(last.end);
                }
                b"{}"
            }
            _ => return,
        };
        let bytes = text.as_bytes();
        if bytes.get(self.start as usize) != Some(&closing[0]) {
            return;
        }
        let from = (self.end as usize).max(self.start as usize + 1);
        let rest = bytes.get(from..).unwrap_or_default();
        let skipped = rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || **byte == b',')
            .count();
        if rest.get(skipped) == Some(&closing[1]) {
            self.end = small((from + skipped + 1) as u64);
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The entry of a key of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        entries
            .iter()
            .find(|(name, _)| matches!(&name.value, Value::Text(text) if text == key))
    }

    /// The node as JSON. Keys were checked to be unique texts.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Whole(value) => (*value).into(),
            Value::Negative(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries.iter().filter_map(|(key, value)| match &key.value {
                    Value::Text(text) => Some((text, value)),
                    _ => None,
                });
                // Sorted, because digests are made of it.
                let sorted: BTreeMap<&String, &Self> = entries.collect();
                let json = sorted
                    .into_iter()
                    .map(|(key, value)| (key.clone(), value.to_json()));
                serde_json::Value::Object(json.collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let at = spanned.defined.span();
        let start = small(at.byte_offset().unwrap_or(0));
        let end = start.saturating_add(small(at.byte_len().unwrap_or(0)));
        let end = match &spanned.value {
            // The parser gives only the start of a collection. Its last child ends it, unless
            // that came by an alias from somewhere else.
            Value::List(items) => items.last().map_or(end, |last| last.end),
            Value::Map(entries) => entries.last().map_or(end, |(_, last)| last.end),
            _ => end,
        };
        Ok(Self {
            start,
            end: end.max(start),
            value: spanned.value,
        })
    }
}

/// Files are capped far below 4 GiB.
fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Whole(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Whole))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Value::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
