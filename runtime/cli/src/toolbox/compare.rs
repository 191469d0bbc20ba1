//! What was expected against what came, line by line.

use serde_json::{Map, Value};

/// Lines around a difference.
const AROUND: usize = 3;
/// Lines of a difference that are shown.
const LINES_MAX: usize = 60;

/// Compares what is named in `expected`. Gives the lines that differ, or nothing.
pub(super) fn differs(expected: &Map<String, Value>, came: &Map<String, Value>) -> Option<String> {
    let expected = Value::Object(expected.clone());
    let came = seen(&expected, &Value::Object(came.clone()));
    if same(&expected, &came) {
        return None;
    }
    Some(lines(&pretty(&expected), &pretty(&came)))
}

/// What came, without what the expectation does not name.
fn seen(expected: &Value, came: &Value) -> Value {
    match (expected, came) {
        (Value::Object(expected), Value::Object(came)) => {
            let named = expected.iter().filter_map(|(key, expected)| {
                // The host's words for a call without an answer are found, not compared.
                let came = came.get(key)?;
                let contained = key == "unavailable"
                    && matches!((expected, came), (Value::String(part), Value::String(all)) if all.contains(part));
                let seen = if contained { expected.clone() } else { seen(expected, came) };
                Some((key.clone(), seen))
            });
            let mut named: Map<String, Value> = named.collect();
            // An answer of another kind says more than that something is missing.
            for (key, value) in came {
                if named.is_empty() || matches!(key.as_str(), "failure" | "unavailable") {
                    named.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            Value::Object(named)
        }
        (Value::Array(expected), Value::Array(came)) if expected.len() == came.len() => expected
            .iter()
            .zip(came)
            .map(|(expected, came)| seen(expected, came))
            .collect(),
        (_, came) => came.clone(),
    }
}

/// Equal, with numbers compared by value: 1 and 1.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// One value a line, but for lists and mappings that are short.
fn pretty(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    write(value, "", "", &mut lines);
    lines
}

fn write(value: &Value, indent: &str, before: &str, lines: &mut Vec<String>) {
    let short = value.to_string();
    let has_parts = match value {
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        Value::Object(members) => members.values().any(|m| m.is_object() || m.is_array()),
        _ => false,
    };
    let is_long = indent.len() + before.len() + short.chars().count() > 100;
    let inner = format!("{indent}  ");
    match value {
        Value::Object(members) if indent.is_empty() || has_parts || is_long => {
            lines.push(format!("{indent}{before}{{"));
            for (key, member) in members {
                write(member, &inner, &format!("{key}: "), lines);
            }
            lines.push(format!("{indent}}}"));
        }
        Value::Array(items) if has_parts || (is_long && !items.is_empty()) => {
            lines.push(format!("{indent}{before}["));
            for item in items {
                write(item, &inner, "", lines);
            }
            lines.push(format!("{indent}]"));
        }
        _ => lines.push(format!("{indent}{before}{short}")),
    }
}

/// The lines that differ, with some around them.
fn lines(expected: &[String], came: &[String]) -> String {
    let steps = steps(expected, came);
    let differs: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].0 != ' ').collect();
    let near = |at: usize| differs.iter().any(|differs| differs.abs_diff(at) <= AROUND);
    let mut shown = vec!["  - expected".to_owned(), "  + came".to_owned()];
    let mut left_out = false;
    for (at, (mark, line)) in steps.iter().enumerate() {
        if shown.len() > LINES_MAX {
            shown.push("    … and more".to_owned());
            break;
        }
        if near(at) {
            shown.push(format!("  {mark} {line}"));
        } else if !left_out {
            shown.push("    …".to_owned());
        }
        left_out = !near(at);
    }
    shown.join("\n")
}

/// Lines in the order in which they are shown: kept, only expected, only came. What is alike at
/// both ends is kept, and between them the longest common part.
fn steps<'a>(expected: &'a [String], came: &'a [String]) -> Vec<(char, &'a str)> {
    let head = expected
        .iter()
        .zip(came)
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&expected[head..], &came[head..]);
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let (old, end) = old.split_at(old.len() - tail);
    let new = &new[..new.len() - tail];
    let mut steps: Vec<(char, &str)> = Vec::new();
    steps.extend(expected[..head].iter().map(|line| (' ', line.as_str())));
    common(old, new, &mut steps);
    steps.extend(end.iter().map(|line| (' ', line.as_str())));
    steps
}

fn common<'a>(old: &'a [String], new: &'a [String], steps: &mut Vec<(char, &'a str)>) {
    /// Above this, tables of lengths would take more than the difference is worth.
    const PRODUCT_MAX: usize = 4_000_000;
    let only = |steps: &mut Vec<(char, &'a str)>, mark: char, lines: &'a [String]| {
        steps.extend(lines.iter().map(|line| (mark, line.as_str())));
    };
    if old.len().saturating_mul(new.len()) > PRODUCT_MAX {
        only(steps, '-', old);
        only(steps, '+', new);
        return;
    }
    // Length of the longest common part of what follows.
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            steps.push((' ', &old[i]));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            steps.push(('-', &old[i]));
            i += 1;
        } else {
            steps.push(('+', &new[j]));
            j += 1;
        }
    }
    only(steps, '-', &old[i..]);
    only(steps, '+', &new[j..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn difference(expected: &Value, came: &Value) -> Option<String> {
        differs(expected.as_object().unwrap(), came.as_object().unwrap())
    }

    #[test]
    fn only_what_is_named_is_compared() {
        let came =
            json!({"stage": "a", "decision": {"go": [{"cluster": "x", "new": 1, "baseline": 3}]}});
        assert_eq!(difference(&json!({"stage": "a"}), &came), None);
        let goal = json!({"decision": {"go": [{"cluster": "x", "new": 1.0}]}});
        assert_eq!(difference(&goal, &came), None);
        assert!(difference(&json!({"decision": {"go": []}}), &came).is_some());
    }

    #[test]
    fn a_difference_is_shown_where_it_is() {
        let expected = json!({"decision": {"go": [{"cluster": "x", "new": 2}]}, "stage": "a"});
        let came =
            json!({"decision": {"go": [{"cluster": "x", "new": 1, "baseline": 3}]}, "stage": "a"});
        assert_eq!(
            difference(&expected, &came).unwrap(),
            "  - expected\n  + came\n    {\n      decision: {\n        go: [\n  \
             -       {\"cluster\":\"x\",\"new\":2}\n  +       {\"cluster\":\"x\",\"new\":1}\n  \
                   ]\n      }\n      stage: \"a\"\n    …"
                .replace("\n  ]", "\n        ]")
        );
    }

    #[test]
    fn another_kind_of_answer_is_told_as_it_is() {
        let came = json!({"unavailable": "the plugin ran out of fuel (limit 5)"});
        assert_eq!(
            difference(&json!({"unavailable": "out of fuel"}), &came),
            None
        );
        let shown = difference(&json!({"stage": "a"}), &came).unwrap();
        assert!(
            shown.contains("+   unavailable: \"the plugin ran out"),
            "{shown}"
        );
    }
}
