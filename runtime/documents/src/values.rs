//! Readers of single values.

use crate::diagnostic::{clean, is_plain, quoted};
use crate::fields::{Cx, entries};
use crate::node::{Node, Value};
use crate::suggest;
use wavegate_model::{Amount, Digest, DurationMs, Labels, Permille};

/// Length of a name: a DNS label, because names become host names, labels and file names.
pub(crate) const NAME_CHARS_MAX: usize = 63;
/// Length of a text such as a path or an approval: a screen full.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// Bytes of a configuration as JSON: what a guest copies into its memory at each call.
const JSON_BYTES_MAX: usize = 256 << 10;

/// A text of one line.
pub(crate) fn text(cx: Cx<'_>, node: &Node) -> Option<String> {
    let text = raw_text(cx, node, "a text")?;
    if text.is_empty() {
        return cx.bad_value(node, "the text is empty", None);
    }
    if text.len() > TEXT_BYTES_MAX {
        return cx.bad_value(
            node,
            format!("the text has more than {TEXT_BYTES_MAX} bytes"),
            None,
        );
    }
    if let Some(bad) = text.chars().find(|c| !is_plain(*c)) {
        let message = format!(
            "the text has a character that cannot be seen: `{}`",
            bad.escape_default()
        );
        return cx.bad_value(node, message, None);
    }
    Some(text.to_owned())
}

fn raw_text<'n>(cx: Cx<'_>, node: &'n Node, expected: &str) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Null | Value::List(_) | Value::Map(_) => cx.wrong_type(node, expected, None),
        Value::Bool(_) | Value::Whole(_) | Value::Negative(_) | Value::Float(_) => {
            let written = cx.source.text.get(node.range()).unwrap_or_default();
            cx.wrong_type(
                node,
                expected,
                Some(format!("put it in quotes: `\"{}\"`", clean(written))),
            )
        }
    }
}

/// A name: a lower-case DNS label.
pub(crate) fn name<T: for<'s> From<&'s str>>(cx: Cx<'_>, node: &Node) -> Option<T> {
    let name = raw_text(cx, node, "a name")?;
    if name.is_empty() {
        return cx.bad_value(node, "the name is empty", None);
    }
    if let Some(problem) = name_problem(name) {
        let message = format!("{} is not a name: {problem}", quoted(name));
        return cx.bad_value(node, message, name_hint(name));
    }
    Some(T::from(name))
}

/// A key that is a name.
pub(crate) fn key_name<T: for<'s> From<&'s str>>(cx: Cx<'_>, key: &Node) -> Option<T> {
    name(cx, key)
}

fn name_problem(name: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if let Some(bad) = name.chars().find(|c| !good(*c)) {
        let bad = if is_plain(bad) {
            bad.to_string()
        } else {
            bad.escape_default().to_string()
        };
        return Some(format!(
            "it has `{bad}`, and names have lower-case letters, digits and `-`"
        ));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Some("it begins or ends with `-`".into());
    }
    let chars = name.len();
    (chars > NAME_CHARS_MAX)
        .then(|| format!("it has {chars} characters, and names have at most {NAME_CHARS_MAX}"))
}

/// The name as it could be.
fn name_hint(name: &str) -> Option<String> {
    let mapped: String = name
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
            _ => '-',
        })
        .collect();
    let mapped = mapped.trim_matches('-');
    (mapped != name && name_problem(mapped).is_none()).then(|| format!("for example `{mapped}`"))
}

/// The name of a document: like other names, and with dots, because versions are part of some.
pub(crate) fn document_name(cx: Cx<'_>, node: &Node) -> Option<String> {
    let whole = raw_text(cx, node, "a name")?;
    let bad = whole.split('.').find_map(name_problem);
    match bad {
        None if whole.len() <= NAME_CHARS_MAX => Some(whole.to_owned()),
        None => {
            let message = format!(
                "the name has {} characters, more than {NAME_CHARS_MAX}",
                whole.len()
            );
            cx.bad_value(node, message, None)
        }
        Some(problem) => {
            let message = format!("{} is not a name: {problem}", quoted(whole));
            cx.bad_value(node, message, name_hint(whole))
        }
    }
}

/// Labels: keys as in `example.com/tier`, values as in `eu-1` or `2.0`.
pub(crate) fn labels(cx: Cx<'_>, node: &Node) -> Option<Labels> {
    let mut out = Some(Labels::new());
    for (name, key, value) in entries(cx, node, "a map of labels")? {
        let good_key = match label_problem(name, "/") {
            None => true,
            Some(problem) => {
                let message = format!("{} is not a label: {problem}", quoted(name));
                cx.bad_value::<()>(key, message, None).is_some()
            }
        };
        match label_value(cx, value) {
            Some(value) if good_key => {
                if let Some(out) = &mut out {
                    out.insert(name.to_owned(), value);
                }
            }
            _ => out = None,
        }
    }
    out
}

/// The key of a label.
pub(crate) fn label_key(cx: Cx<'_>, node: &Node) -> Option<String> {
    let key = raw_text(cx, node, "the key of a label")?;
    match label_problem(key, "/") {
        None => Some(key.to_owned()),
        Some(problem) => cx.bad_value(
            node,
            format!("{} is not a label: {problem}", quoted(key)),
            None,
        ),
    }
}

fn label_value(cx: Cx<'_>, node: &Node) -> Option<String> {
    let value = raw_text(cx, node, "a text")?;
    match label_problem(value, "") {
        None => Some(value.to_owned()),
        Some(problem) => cx.bad_value(
            node,
            format!("{} is not the value of a label: {problem}", quoted(value)),
            None,
        ),
    }
}

fn label_problem(label: &str, more: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || more.contains(c);
    if label.is_empty() {
        return Some("it is empty".into());
    }
    if let Some(bad) = label.chars().find(|c| !good(*c)) {
        let bad = if is_plain(bad) {
            bad.to_string()
        } else {
            bad.escape_default().to_string()
        };
        return Some(format!(
            "it has `{bad}`, and labels have letters, digits, `-`, `_` and `.`"
        ));
    }
    let max = if more.is_empty() {
        NAME_CHARS_MAX
    } else {
        NAME_CHARS_MAX * 4
    };
    (label.len() > max).then(|| {
        format!(
            "it has {} characters, and at most {max} are allowed",
            label.len()
        )
    })
}

/// `true` or `false`.
pub(crate) fn boolean(cx: Cx<'_>, node: &Node) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(value),
        Value::Text(ref text) if matches!(text.as_str(), "yes" | "on" | "Yes" | "On") => {
            cx.wrong_type(node, "`true` or `false`", Some("write `true`".into()))
        }
        Value::Text(ref text) if matches!(text.as_str(), "no" | "off" | "No" | "Off") => {
            cx.wrong_type(node, "`true` or `false`", Some("write `false`".into()))
        }
        _ => cx.wrong_type(node, "`true` or `false`", None),
    }
}

/// A whole number in a range.
pub(crate) fn whole(least: u32, most: u32) -> impl Fn(Cx<'_>, &Node) -> Option<u32> {
    move |cx, node| match node.value {
        Value::Whole(value) => match u32::try_from(value)
            .ok()
            .filter(|v| (least..=most).contains(v))
        {
            Some(value) => Some(value),
            None => cx.bad_value(
                node,
                format!("{value} is not between {least} and {most}"),
                None,
            ),
        },
        Value::Negative(value) => cx.bad_value(
            node,
            format!("{value} is not between {least} and {most}"),
            None,
        ),
        Value::Text(ref text) if text.parse::<u32>().is_ok() && !text.starts_with('0') => cx
            .wrong_type(
                node,
                "a whole number",
                Some(format!("without quotes: `{text}`")),
            ),
        _ => cx.wrong_type(node, "a whole number", None),
    }
}

/// A large whole number.
pub(crate) fn whole64(cx: Cx<'_>, node: &Node) -> Option<u64> {
    match node.value {
        Value::Whole(value) => Some(value),
        _ => cx.wrong_type(node, "a whole number", None),
    }
}

/// `3` or `25%`.
pub(crate) fn amount(cx: Cx<'_>, node: &Node) -> Option<Amount> {
    match &node.value {
        Value::Whole(value) => match u32::try_from(*value) {
            Ok(value) => Some(Amount::Count(value)),
            Err(_) => cx.bad_value(node, format!("{value} is more than {}", u32::MAX), None),
        },
        Value::Negative(value) => cx.bad_value(node, format!("{value} is less than nothing"), None),
        Value::Text(text) if text.ends_with('%') => match Amount::parse(text) {
            Ok(amount) => Some(amount),
            Err(_) => {
                let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
                let message = match number {
                    Some(number) if number > 100.0 => format!("{} is more than 100%", quoted(text)),
                    Some(number) if number < 0.0 => {
                        format!("{} is less than nothing", quoted(text))
                    }
                    _ => format!("{} is not a percentage", quoted(text)),
                };
                cx.bad_value(
                    node,
                    message,
                    Some("percentages are `0%` to `100%`, with at most one decimal".into()),
                )
            }
        },
        Value::Text(text) if text.parse::<u32>().is_ok() => cx.wrong_type(
            node,
            "a count or a percentage",
            Some(format!("without quotes: `{text}`, or `{text}%`")),
        ),
        _ => cx.wrong_type(
            node,
            "a count or a percentage",
            Some("write `3` or `25%`".into()),
        ),
    }
}

/// `25%`.
pub(crate) fn share(cx: Cx<'_>, node: &Node) -> Option<Permille> {
    if !matches!(&node.value, Value::Text(text) if text.ends_with('%')) {
        let hint = "write `25%`, or `0.1%`";
        return cx.wrong_type(node, "a percentage", Some(hint.into()));
    }
    match amount(cx, node)? {
        Amount::Percent(share) => Some(share),
        Amount::Count(_) => None,
    }
}

/// An amount that may not be nothing.
pub(crate) fn amount_above_zero(cx: Cx<'_>, node: &Node) -> Option<Amount> {
    let amount = amount(cx, node)?;
    if amount.rounded_up(1000) == 0 {
        return cx.bad_value(
            node,
            "it has to be at least 1: with 0, nothing would ever start",
            None,
        );
    }
    Some(amount)
}

/// `500ms`, `30s`, `1h30m`.
pub(crate) fn duration(cx: Cx<'_>, node: &Node) -> Option<DurationMs> {
    let written = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Whole(0) => return Some(DurationMs::ZERO),
        Value::Whole(value) => {
            let hint = format!("say the unit: `{value}s`, or `{value}m`");
            return cx.wrong_type(node, "a duration", Some(hint));
        }
        Value::Negative(value) => {
            return cx.bad_value(node, format!("{value} is less than no time"), None);
        }
        _ => {
            return cx.wrong_type(
                node,
                "a duration",
                Some("write `500ms`, `30s`, `5m` or `1h30m`".into()),
            );
        }
    };
    match DurationMs::parse(&written) {
        Ok(duration) => Some(duration),
        Err(_) => {
            let (message, hint) = duration_problem(&written);
            cx.bad_value(node, message, Some(hint))
        }
    }
}

fn duration_problem(written: &str) -> (String, String) {
    let units = "units are `ms`, `s`, `m`, `h` and `d`, as in `1h30m`";
    let number: String = written.chars().take_while(char::is_ascii_digit).collect();
    let unit = written
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim();
    let known = match unit {
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "min" | "mins" | "minute" | "minutes" | "M" => Some("m"),
        "hour" | "hours" | "hr" | "hrs" | "H" => Some("h"),
        "day" | "days" | "D" => Some("d"),
        "msec" | "millis" | "milliseconds" => Some("ms"),
        _ => None,
    };
    match known {
        Some(known) if !number.is_empty() => (
            format!("{} is not a duration", quoted(written)),
            format!("write `{number}{known}`"),
        ),
        _ if looks_like_duration(written) => (
            format!("{} is longer than 40 days", quoted(written)),
            "the longest duration is `40d`: the plugin contract counts milliseconds in 32 bits"
                .into(),
        ),
        _ => (
            format!("{} is not a duration", quoted(written)),
            units.into(),
        ),
    }
}

fn looks_like_duration(written: &str) -> bool {
    let units: Vec<&str> = written
        .split(|c: char| c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect();
    written.starts_with(|c: char| c.is_ascii_digit())
        && !units.is_empty()
        && units
            .iter()
            .all(|unit| matches!(*unit, "ms" | "s" | "m" | "h" | "d"))
        && !written.ends_with(|c: char| c.is_ascii_digit())
}

/// A duration that is not zero.
pub(crate) fn duration_above_zero(cx: Cx<'_>, node: &Node) -> Option<DurationMs> {
    let duration = duration(cx, node)?;
    if duration == DurationMs::ZERO {
        return cx.bad_value(node, "it has to be longer than 0", None);
    }
    Some(duration)
}

/// `65536`, `64KiB` or `64MiB`.
pub(crate) fn bytes(cx: Cx<'_>, node: &Node) -> Option<u64> {
    let hint = || Some("write `65536`, `64KiB`, `64MiB` or `1GiB`".into());
    let text = match &node.value {
        Value::Whole(value) => return Some(*value),
        Value::Text(text) => text,
        _ => return cx.wrong_type(node, "a number of bytes", hint()),
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor: Option<u64> = match &text[digits.len()..] {
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let value = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    match value {
        Some(value) => Some(value),
        None => cx.bad_value(
            node,
            format!("{} is not a number of bytes", quoted(text)),
            hint(),
        ),
    }
}

/// A digest.
pub(crate) fn digest(cx: Cx<'_>, node: &Node) -> Option<Digest> {
    let text = raw_text(cx, node, "a digest")?;
    if let Ok(digest) = Digest::parse(text) {
        return Some(digest);
    }
    let hex = text.strip_prefix("sha256:");
    let message = match hex {
        None => format!(
            "{} is not a digest: it does not begin with `sha256:`",
            quoted(text)
        ),
        Some(hex) if hex.len() != 64 => {
            format!(
                "{} is not a digest: it has {} hex digits, not 64",
                quoted(text),
                hex.len()
            )
        }
        Some(_) => format!(
            "{} is not a digest: the 64 digits are `0` to `9` and `a` to `f`",
            quoted(text)
        ),
    };
    cx.bad_value(node, message, None)
}

/// One of some words.
pub(crate) fn choice<T: Clone>(
    words: &'static [(&'static str, T)],
) -> impl Fn(Cx<'_>, &Node) -> Option<T> {
    move |cx, node| {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Value::Text(text) = &node.value else {
            return cx.wrong_type(node, &suggest::one_of(&names), None);
        };
        match words.iter().find(|(word, _)| word == text) {
            Some((_, value)) => Some(value.clone()),
            None => {
                let message = format!("{} is not {}", quoted(text), suggest::one_of(&names));
                let hint = suggest::hint(text, names.iter().copied())
                    .filter(|hint| hint.starts_with("did"));
                cx.bad_value(node, message, hint)
            }
        }
    }
}

/// Anything, as JSON; for plugins and drivers. Gives a map's JSON with sorted keys.
pub(crate) fn json_map(cx: Cx<'_>, node: &Node) -> Option<String> {
    if !matches!(node.value, Value::Map(_)) {
        return cx.wrong_type(node, "a map", None);
    }
    check_keys(cx, node)?;
    let json = node.to_json().to_string();
    if json.len() > JSON_BYTES_MAX {
        return cx.bad_value(
            node,
            format!("it has more than {JSON_BYTES_MAX} bytes as JSON"),
            None,
        );
    }
    Some(json)
}

/// Keys are texts and don't repeat, at every depth.
fn check_keys(cx: Cx<'_>, node: &Node) -> Option<()> {
    let checked: Vec<Option<()>> = match &node.value {
        Value::List(items) => items.iter().map(|item| check_keys(cx, item)).collect(),
        Value::Map(pairs) => {
            let below = pairs.iter().map(|(_, value)| check_keys(cx, value));
            std::iter::once(entries(cx, node, "a map").map(drop))
                .chain(below)
                .collect()
        }
        _ => Vec::new(),
    };
    checked.into_iter().collect()
}
