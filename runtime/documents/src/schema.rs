//! The shapes of the documents as JSON Schema, for editors and other tools.
//!
//! The schemas follow draft 7, which the language servers of editors understand best. They know
//! shapes and not references: what a name refers to, and what a plugin wants in its
//! configuration, `validate` checks.

use crate::kinds::API_VERSION;
use crate::shape::{Field, Kind, Need, Shape};
use crate::{kinds as documents, shapes, values};
use serde_json::{Map, Value, json};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Names of the kinds of document, and what they are for.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    documents::kinds().map(|(name, spec)| (name, spec.about))
}

/// The JSON Schema of documents of a kind.
pub fn schema(kind: &str) -> Option<Value> {
    let (name, spec) = documents::kinds().find(|(name, _)| *name == kind)?;
    let mut schema = document(json!({"const": name}), map(spec));
    schema["$schema"] = DRAFT.into();
    schema["title"] = name.into();
    schema["description"] = spec.about.into();
    Some(schema)
}

/// One JSON Schema for documents of all kinds: a file may hold several, and an editor checks each
/// of them with the same schema.
pub fn schema_of_all() -> Value {
    let names: Vec<&str> = documents::kinds().map(|(name, _)| name).collect();
    let mut schema = document(json!({"enum": names}), json!({}));
    let kinds = documents::kinds().map(|(name, spec)| {
        json!({
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": {"properties": {"spec": map(spec)}},
        })
    });
    schema["allOf"] = kinds.collect();
    schema["$schema"] = DRAFT.into();
    schema["title"] = "Wavegate".into();
    schema["description"] = shapes::DOCUMENT.about.into();
    schema
}

/// The head of a document, with what its kind and its specification may be.
fn document(kind: Value, spec: Value) -> Value {
    let mut document = map(&shapes::DOCUMENT);
    document["properties"]["apiVersion"] = json!({"const": API_VERSION});
    document["properties"]["kind"] = kind;
    document["properties"]["spec"] = spec;
    document
}

fn map(shape: &Shape) -> Value {
    let fields = || shape.fields().filter(|field| field.need != Need::Refused);
    let properties: Map<String, Value> = fields()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let mut schema = json!({
        "type": "object",
        "description": shape.about,
        "additionalProperties": false,
        "properties": properties,
    });
    let required: Vec<&str> = fields()
        .filter(|field| field.need == Need::Required)
        .map(|field| field.name)
        .collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !shape.one_of.is_empty() {
        let sets = shape.one_of.iter().map(|set| json!({"required": set}));
        schema["oneOf"] = sets.collect();
    }
    schema
}

fn property(field: &Field) -> Value {
    let mut schema = kind(&field.kind);
    schema["description"] = field.about.into();
    if !field.default.is_empty() {
        schema["default"] =
            serde_json::from_str(field.default).expect("defaults are written as JSON");
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Text => json!({
            "type": "string", "minLength": 1, "maxLength": values::TEXT_BYTES_MAX,
        }),
        Kind::Name => text(NAME, values::NAME_CHARS_MAX),
        Kind::DocumentName => text(DOCUMENT_NAME, values::NAME_CHARS_MAX),
        Kind::LabelKey => text(LABEL_KEY, values::NAME_CHARS_MAX * 4),
        Kind::Labels => json!({
            "type": "object",
            "propertyNames": text(LABEL_KEY, values::NAME_CHARS_MAX * 4),
            "additionalProperties": text(LABEL, values::NAME_CHARS_MAX),
        }),
        Kind::Digest => json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}),
        Kind::Whole(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Share => json!({"type": "string", "pattern": PERCENTAGE}),
        Kind::Amount => json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": u32::MAX},
            {"type": "string", "pattern": PERCENTAGE},
        ]}),
        Kind::AmountAboveZero => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": u32::MAX},
            {"type": "string", "pattern": PERCENTAGE, "not": {"pattern": "^0+(\\.0)?%$"}},
        ]}),
        Kind::Duration => json!({"anyOf": [
            {"type": "string", "pattern": DURATION},
            {"const": 0},
        ]}),
        Kind::DurationAboveZero => json!({
            "type": "string", "pattern": DURATION, "not": {"pattern": "^(0+[a-z]+)+$"},
        }),
        Kind::Bytes => json!({"anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB)$"},
        ]}),
        Kind::Words(words) => json!({"enum": words()}),
        Kind::Address => json!({"type": "string", "pattern": "^https?://[^/@?# ][^@?# ]*$"}),
        Kind::Path => json!({"type": "string", "pattern": "^/[^*]*\\*?$"}),
        Kind::Open => json!({"type": "object"}),
        Kind::Map(shape) => map(shape),
        Kind::List(least, item) => {
            json!({"type": "array", "minItems": least, "items": self::kind(item)})
        }
        Kind::Names(value) => json!({
            "type": "object",
            "propertyNames": text(NAME, values::NAME_CHARS_MAX),
            "additionalProperties": self::kind(value),
        }),
        Kind::Texts => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Either(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(self::kind).collect();
            json!({"anyOf": kinds})
        }
    }
}

const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const DOCUMENT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const LABEL: &str = "^[-_.A-Za-z0-9]+$";
const LABEL_KEY: &str = "^[-_./A-Za-z0-9]+$";
const PERCENTAGE: &str = "^(0*100(\\.0)?|0*[0-9]{1,2}(\\.[0-9])?)%$";
const DURATION: &str = "^([0-9]+(ms|s|m|h|d))+$";

fn text(pattern: &str, length: usize) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": length})
}
