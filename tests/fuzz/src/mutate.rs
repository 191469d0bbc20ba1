//! Changes documents as people do: by lines, keys and values.
//!
//! A fuzzer that turns bytes finds what is wrong with a reader of YAML. What is wrong with a reader
//! of policies lies behind documents that are nearly right.

use std::collections::BTreeSet;

/// Values that some field somewhere may not expect.
const VALUES: &[&str] = &[
    "",
    "~",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1.5",
    "1e9",
    "007",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    ".nan",
    "-.inf",
    "0s",
    "1ms",
    "30s",
    "40d",
    "41d",
    "1h30m",
    "99999999999999999999d",
    "0%",
    "1%",
    "33.3%",
    "100%",
    "101%",
    "1KiB",
    "16GiB",
    "a",
    "A",
    "-",
    "é",
    "\"\"",
    "\"\\0\"",
    "\"a b\"",
    "'x: y'",
    "[]",
    "{}",
    "[a, a]",
    "{a: {}}",
    "|",
    ">-",
    "&a x",
    "*a",
    "!!str 1",
    "<<: *a",
    "# c",
    "http://a",
    "https://u:p@a/",
    "/",
    "/*",
    "./x.wasm",
    "../x",
    "\"* * * * *\"",
    "\"0 0 29 2 *\"",
    "\"0 9 * * 1-5\"",
    "Europe/Berlin",
    "UTC",
    "Etc/GMT+12",
    "2026-10-25T02:30:00Z",
    "2026-02-30",
    "sha256:",
    "a.b",
    "a/b",
    "shop",
    "eu",
    "canary",
];

/// What keys and values may be made of.
#[derive(Debug)]
pub struct Words {
    keys: Vec<String>,
    values: Vec<String>,
}

impl Words {
    /// The names of all fields, and the values that they name themselves, out of a JSON Schema.
    pub fn of_schema(schema: &serde_json::Value) -> Self {
        let (mut keys, mut values) = (BTreeSet::new(), BTreeSet::new());
        collect(schema, &mut keys, &mut values);
        values.extend(VALUES.iter().map(|value| (*value).to_owned()));
        Self {
            keys: keys.into_iter().collect(),
            values: values.into_iter().collect(),
        }
    }
}

fn collect(schema: &serde_json::Value, keys: &mut BTreeSet<String>, values: &mut BTreeSet<String>) {
    if let Some(map) = schema.as_object() {
        if let Some(properties) = map.get("properties").and_then(|it| it.as_object()) {
            keys.extend(properties.keys().cloned());
        }
        let listed = map.get("enum").and_then(|it| it.as_array());
        let one = [map.get("const"), map.get("default")];
        for value in listed
            .into_iter()
            .flatten()
            .chain(one.into_iter().flatten())
        {
            let text = value.as_str().map(str::to_owned);
            values.insert(text.unwrap_or_else(|| value.to_string()));
        }
        map.values().for_each(|below| collect(below, keys, values));
    }
    if let Some(items) = schema.as_array() {
        items.iter().for_each(|below| collect(below, keys, values));
    }
}

/// Numbers from a seed: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    /// A number below `sides`; 0 if there is none.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let sides = u64::try_from(sides).unwrap_or(u64::MAX);
        usize::try_from(mixed.checked_rem(sides).unwrap_or_default()).unwrap_or_default()
    }

    fn pick<'a>(&mut self, from: &'a [String]) -> &'a str {
        let at = self.roll(from.len());
        from.get(at).map_or("", String::as_str)
    }
}

/// Changes some lines. `None` if bytes should be turned instead: every other time, and for what
/// is not text.
pub fn lines(data: &[u8], words: &Words, seed: u32) -> Option<Vec<u8>> {
    let mut dice = Dice(u64::from(seed));
    if dice.roll(2) == 0 {
        return None;
    }
    let text = std::str::from_utf8(data).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return None;
    }
    for _ in 0..=dice.roll(3) {
        change(&mut lines, words, &mut dice);
    }
    let mut changed = lines.join("\n");
    changed.push('\n');
    Some(changed.into_bytes())
}

fn change(lines: &mut Vec<String>, words: &Words, dice: &mut Dice) {
    let at = dice.roll(lines.len());
    let Some(line) = lines.get(at).cloned() else {
        return;
    };
    match dice.roll(9) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, line),
        2 => {
            let other = dice.roll(lines.len());
            lines.swap(at, other);
        }
        3 => moved_block(lines, at, dice),
        4 => lines[at] = indented(&line, dice),
        5 | 6 => lines[at] = with_value(&line, &value(lines, words, dice)),
        7 => lines[at] = with_key(&line, dice.pick(&words.keys)),
        _ => {
            let new = format!("{}: {}", dice.pick(&words.keys), value(lines, words, dice));
            let indent = " ".repeat(indent(&line));
            lines.insert(at + 1, format!("{indent}{new}"));
        }
    }
}

/// A value of the list, or one that stands elsewhere in the document.
fn value(lines: &[String], words: &Words, dice: &mut Dice) -> String {
    let other = lines.get(dice.roll(lines.len()));
    match other.and_then(|line| line.split_once(": ")) {
        Some((_, value)) if dice.roll(3) == 0 => value.to_owned(),
        Some(_) | None => dice.pick(&words.values).to_owned(),
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A line and what is below it comes to stand somewhere else, once more.
fn moved_block(lines: &mut Vec<String>, at: usize, dice: &mut Dice) {
    let depth = indent(&lines[at]);
    let below = lines[at + 1..]
        .iter()
        .take_while(|line| indent(line) > depth);
    let block = lines[at..=at + below.count()].to_vec();
    let to = dice.roll(lines.len() + 1);
    lines.splice(to..to, block);
}

fn indented(line: &str, dice: &mut Dice) -> String {
    match dice.roll(4) {
        0 => line.strip_prefix("  ").unwrap_or(line).to_owned(),
        1 => line.trim_start().to_owned(),
        2 => format!("{}- {}", " ".repeat(indent(line)), line.trim_start()),
        _ => format!("  {line}"),
    }
}

fn with_value(line: &str, value: &str) -> String {
    match line.split_once(':') {
        Some((key, _)) => format!("{key}: {value}"),
        None => format!("{}- {value}", " ".repeat(indent(line))),
    }
}

fn with_key(line: &str, key: &str) -> String {
    let dash = if line.trim_start().starts_with("- ") {
        "- "
    } else {
        ""
    };
    let (_, value) = line.split_once(':').unwrap_or(("", ""));
    format!("{}{dash}{key}:{value}", " ".repeat(indent(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Words {
        Words::of_schema(&serde_json::json!({
            "properties": {"mode": {"enum": ["slow", "fast"]}, "size": {"default": 3}},
        }))
    }

    #[test]
    fn words_are_what_a_schema_names() {
        let words = words();
        assert_eq!(words.keys, ["mode", "size"]);
        for value in ["slow", "fast", "3", "101%"] {
            assert!(words.values.iter().any(|it| it == value), "{value}");
        }
    }

    #[test]
    fn changes_are_the_same_for_a_seed_and_stay_text() {
        let good = b"mode: slow\nlist:\n  - size: 1\n  - size: 2\n";
        let words = words();
        let mut different = BTreeSet::new();
        for seed in 0..2000 {
            let changed = lines(good, &words, seed);
            assert_eq!(changed, lines(good, &words, seed));
            different.extend(changed.map(|it| String::from_utf8(it).expect("text")));
        }
        assert!(different.len() > 500, "only {} different", different.len());
        assert!(different.iter().any(|it| it.contains("size: fast")));
        assert_eq!((0..99).find_map(|seed| lines(b"\xff", &words, seed)), None);
    }
}
