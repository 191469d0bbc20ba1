//! The JSON Schema that a plugin gives for its configuration.
//!
//! A schema is a guest's text, and checking against it is the host's work, without fuel. So only
//! schemas are taken whose cost is bounded by their own size: patterns run in linear time, and
//! references stay inside the schema, do not come back to themselves, and do not multiply.

use crate::text::clean;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use wavegate_model::plugin::Problem;

/// Subschemas after all references are followed; ours have about a hundred.
const EXPANDED_MAX: u64 = 20_000;
/// Problems of one configuration that are shown.
const PROBLEMS_MAX: usize = 100;

/// Reads a schema; the error is a sentence for the plugin's author.
pub(crate) fn compile(schema: &str) -> Result<Validator, String> {
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| format!("it is not JSON: {error}"))?;
    if !schema.is_object() && !schema.is_boolean() {
        return Err("it is not an object".into());
    }
    let mut sizes = Sizes {
        root: &schema,
        known: BTreeMap::new(),
    };
    sizes.of(&schema)?;
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex());
    options
        .build(&schema)
        .map_err(|error| clean(&format!("at `{}`: {error}", error.schema_path())))
}

/// Checks a configuration; problems are sorted by pointer.
pub(crate) fn check(validator: &Validator, config: &str) -> Vec<Problem> {
    let config: Value = match serde_json::from_str(config) {
        Ok(config) => config,
        Err(error) => {
            return vec![Problem {
                pointer: String::new(),
                message: format!("it is not JSON: {error}"),
            }];
        }
    };
    let errors = validator.iter_errors(&config).take(PROBLEMS_MAX);
    let problem = |error: jsonschema::ValidationError<'_>| Problem {
        pointer: error.instance_path().to_string(),
        message: clean(&error.to_string()),
    };
    let mut problems: Vec<Problem> = errors.map(problem).collect();
    problems.sort_by(|a, b| (&a.pointer, &a.message).cmp(&(&b.pointer, &b.message)));
    problems
}

/// Sizes of what references lead to; `None` while it is being followed.
struct Sizes<'a> {
    root: &'a Value,
    known: BTreeMap<&'a str, Option<u64>>,
}

impl<'a> Sizes<'a> {
    /// Objects and lists below a value, references followed.
    fn of(&mut self, value: &'a Value) -> Result<u64, String> {
        let mut size = 1u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    size = size.saturating_add(self.of(item)?);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    let below = match (key.as_str(), member) {
                        ("$ref", Value::String(target)) => self.target(target)?,
                        ("$dynamicRef" | "$recursiveRef" | "$id", Value::String(_)) => {
                            return Err(format!(
                                "`{key}` is not supported; refer to `#/$defs/…` with `$ref`"
                            ));
                        }
                        _ => self.of(member)?,
                    };
                    size = size.saturating_add(below);
                }
            }
            _ => {}
        }
        if size > EXPANDED_MAX {
            return Err(format!(
                "with its references followed it has more than {EXPANDED_MAX} parts"
            ));
        }
        Ok(size)
    }

    fn target(&mut self, target: &'a str) -> Result<u64, String> {
        match self.known.get(target) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => {
                return Err(format!(
                    "the reference `{}` comes back to itself",
                    clean(target)
                ));
            }
            None => {}
        }
        let pointer = target
            .strip_prefix('#')
            .filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let Some(found) = pointer.and_then(|pointer| self.root.pointer(pointer)) else {
            return Err(format!(
                "the reference `{}` leads nowhere in this schema",
                clean(target)
            ));
        };
        self.known.insert(target, None);
        let size = self.of(found)?;
        self.known.insert(target, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_checked_with_pointers() {
        let schema = r##"{"type":"object","additionalProperties":false,"properties":{
            "stages":{"type":"array","items":{"$ref":"#/$defs/stage"}}},
            "$defs":{"stage":{"type":"object","properties":{"permille":{"type":"integer","maximum":1000}}}}}"##;
        let validator = compile(schema).unwrap();
        assert_eq!(check(&validator, r#"{"stages":[{"permille":10}]}"#), []);
        let problems = check(
            &validator,
            r#"{"stages":[{"permille":10},{"permille":2000}],"x":1}"#,
        );
        let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, ["", "/stages/1/permille"]);
        assert_eq!(check(&validator, "{").len(), 1);
    }

    #[test]
    fn a_schema_cannot_take_the_host_down() {
        let mut doubling = String::from(r##"{"$ref":"#/$defs/d0","$defs":{"d64":{}"##);
        for i in 0..64 {
            let next = i + 1;
            doubling += &format!(
                r##","d{i}":{{"allOf":[{{"$ref":"#/$defs/d{next}"}},{{"$ref":"#/$defs/d{next}"}}]}}"##
            );
        }
        doubling += "}}";
        for (schema, why) in [
            ("{", "not JSON"),
            ("[]", "not an object"),
            (r#"{"type":"no-such-type"}"#, "no-such-type"),
            (r##"{"$ref":"#"}"##, "comes back"),
            (
                r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
                "comes back",
            ),
            (r#"{"$ref":"http://127.0.0.1/x"}"#, "leads nowhere"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "leads nowhere"),
            (r##"{"$dynamicRef":"#x"}"##, "not supported"),
            (&doubling, "more than"),
        ] {
            let error = compile(schema).map(|_| ()).unwrap_err();
            assert!(error.contains(why), "{schema}: {error}");
        }
        assert!(compile("true").is_ok());
    }
}
