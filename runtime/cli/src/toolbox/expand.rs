//! Long lists and long texts in case files, said shortly.

use serde_json::{Map, Value};

/// Items that a list may come to: a few times what a site, a wave or an answer may have.
const ITEMS_MAX: u64 = 20_000;
/// Bytes that a text may come to: the largest is an answer of a source.
const TEXT_BYTES_MAX: u64 = 4 << 20;

/// Something wrong in a case file, by JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) pointer: String,
    pub(crate) message: String,
}

impl Wrong {
    pub(crate) fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        let (pointer, message) = (pointer.into(), message.into());
        Self { pointer, message }
    }
}

/// Merges a case over its defaults (RFC 7396): maps merge, all else is replaced, null removes.
pub(crate) fn merge(under: &Value, over: &Value) -> Value {
    let Value::Object(over) = over else {
        return over.clone();
    };
    let mut merged = match under {
        Value::Object(under) => under.clone(),
        _ => Map::new(),
    };
    for (key, value) in over {
        if value.is_null() {
            merged.remove(key);
            continue;
        }
        let below = merged.remove(key).unwrap_or(Value::Null);
        merged.insert(key.clone(), merge(&below, value));
    }
    Value::Object(merged)
}

/// Writes out `{repeat: N, item: …}` in lists and `{text: …, times: N}` anywhere.
pub(crate) fn expand(value: &Value, pointer: &str) -> Result<Value, Wrong> {
    match value {
        Value::Array(items) => {
            let mut all = Vec::new();
            for (place, item) in items.iter().enumerate() {
                let here = format!("{pointer}/{place}");
                match repeated(item, &here)? {
                    Some(repeated) => all.extend(repeated),
                    None => all.push(expand(item, &here)?),
                }
            }
            Ok(Value::Array(all))
        }
        Value::Object(members) => match long_text(members, pointer)? {
            Some(text) => Ok(Value::String(text)),
            None => {
                let each = members.iter().map(|(key, member)| {
                    let here = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    Ok((key.clone(), expand(member, &here)?))
                });
                Ok(Value::Object(each.collect::<Result<_, Wrong>>()?))
            }
        },
        other => Ok(other.clone()),
    }
}

/// The count of `{repeat, item}` or `{text, times}`.
fn count(value: Option<&Value>, most: u64, pointer: &str) -> Result<u64, Wrong> {
    let count = value.and_then(Value::as_u64);
    count
        .filter(|count| *count <= most)
        .ok_or_else(|| Wrong::at(pointer, format!("it takes a number up to {most}")))
}

fn long_text(members: &Map<String, Value>, pointer: &str) -> Result<Option<String>, Wrong> {
    let (2, Some(Value::String(text)), Some(times)) =
        (members.len(), members.get("text"), members.get("times"))
    else {
        return Ok(None);
    };
    let most = TEXT_BYTES_MAX / (text.len() as u64).max(1);
    let times = count(Some(times), most, &format!("{pointer}/times"))?;
    Ok(Some(text.repeat(usize::try_from(times).unwrap_or(0))))
}

fn repeated(item: &Value, pointer: &str) -> Result<Option<Vec<Value>>, Wrong> {
    let Value::Object(members) = item else {
        return Ok(None);
    };
    let (2, Some(times), Some(item)) = (members.len(), members.get("repeat"), members.get("item"))
    else {
        return Ok(None);
    };
    let times = count(Some(times), ITEMS_MAX, &format!("{pointer}/repeat"))?;
    let each = (0..times).map(|index| expand(&numbered(item, index), &format!("{pointer}/item")));
    each.collect::<Result<_, _>>().map(Some)
}

/// The item with its number in its texts: `{i}`, or `{i:03}` with leading zeros. `{{` is a brace.
fn numbered(value: &Value, index: u64) -> Value {
    match value {
        Value::String(text) => Value::String(numbered_text(text, index)),
        Value::Array(items) => items.iter().map(|item| numbered(item, index)).collect(),
        Value::Object(members) => {
            let each = members
                .iter()
                .map(|(key, member)| (numbered_text(key, index), numbered(member, index)));
            Value::Object(each.collect())
        }
        other => other.clone(),
    }
}

fn numbered_text(text: &str, index: u64) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        done.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        rest = if let Some(after) = tail.strip_prefix('{') {
            done.push('{');
            after
        } else if let Some(after) = tail.strip_prefix("i}") {
            done += &index.to_string();
            after
        } else if let Some((width, after)) = padded(tail) {
            done += &format!("{index:0width$}");
            after
        } else {
            done.push('{');
            tail
        };
    }
    done + rest
}

/// The width and what follows in `i:03}…`.
fn padded(tail: &str) -> Option<(usize, &str)> {
    let (width, after) = tail.strip_prefix("i:0")?.split_once('}')?;
    let width = width.parse().ok().filter(|width| *width <= 20)?;
    Some((width, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_case_is_merged_over_its_defaults() {
        let under = json!({"config": {"a": 1, "b": 2}, "list": [1, 2]});
        let over = json!({"config": {"b": 3, "a": null}, "list": [9], "name": "x"});
        let merged = merge(&under, &over);
        assert_eq!(
            merged,
            json!({"config": {"b": 3}, "list": [9], "name": "x"})
        );
    }

    #[test]
    fn lists_and_texts_are_written_out() {
        let short = json!({"clusters": [
            {"name": "first"},
            {"repeat": 2, "item": {"name": "c-{i:03}", "role": "{{{i}}"}},
        ], "text": {"text": "ä", "times": 3}});
        let long = expand(&short, "").unwrap();
        assert_eq!(
            long,
            json!({"clusters": [
                {"name": "first"},
                {"name": "c-000", "role": "{0}"},
                {"name": "c-001", "role": "{1}"},
            ], "text": "äää"})
        );
        // What only looks like it stays as it is: a configuration may have such fields.
        let other = json!({"text": "a", "times": 2, "more": 1, "repeat": 4});
        assert_eq!(expand(&other, "").unwrap(), other);
    }

    #[test]
    fn nothing_grows_without_bound() {
        let bomb = json!([{"repeat": 1_000_000, "item": 1}]);
        assert_eq!(expand(&bomb, "/a").unwrap_err().pointer, "/a/0/repeat");
        let bomb = json!({"x": {"text": "abc", "times": 4_000_000}});
        assert_eq!(expand(&bomb, "").unwrap_err().pointer, "/x/times");
    }
}
