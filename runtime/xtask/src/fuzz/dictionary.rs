//! Words that a fuzzer puts into inputs as they are.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The names of all fields of a JSON Schema, with what follows a name, and all words that values
/// may be: one a line, as libFuzzer reads them.
pub(super) fn of_schema(schema: &str) -> Result<String> {
    let schema: Value = serde_json::from_str(schema).context("failed to read a schema")?;
    let mut words = BTreeSet::new();
    collect(&schema, &mut words);
    Ok(words.iter().map(|word| line(word)).collect())
}

fn collect(schema: &Value, words: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        words.extend(properties.keys().map(|name| format!("{name}: ")));
    }
    let listed = schema.get("enum").and_then(Value::as_array);
    let values = listed.into_iter().flatten().chain(schema.get("const"));
    words.extend(values.filter_map(|value| value.as_str().map(str::to_owned)));
    match schema {
        Value::Object(map) => map.values().for_each(|below| collect(below, words)),
        Value::Array(items) => items.iter().for_each(|below| collect(below, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn line(word: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    let text: String = word.bytes().map(escaped).collect();
    format!("\"{text}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_words_of_a_schema_become_lines() {
        let schema =
            r#"{"properties": {"mode": {"enum": ["a\"b", "é", 3]}, "kind": {"const": "X"}}}"#;
        assert_eq!(
            of_schema(schema).expect("a schema"),
            "\"X\"\n\"a\\\"b\"\n\"kind: \"\n\"mode: \"\n\"\\xC3\\xA9\"\n"
        );
    }
}
