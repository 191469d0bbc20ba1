//! Queries with placeholders: `{{name}}` is replaced by what a call knows.
//!
//! Values go inside the double quotes of a query, as in `up{cluster="{{cluster}}"}`, and are
//! escaped for them: a name can never change what a query asks for.

use std::collections::BTreeMap;

use crate::Series;

/// The names between double braces, in order.
pub fn placeholders(query: &str) -> impl Iterator<Item = &str> {
    query
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}").map(|(name, _)| name))
}

/// Whether a query has this placeholder.
pub fn has(query: &str, name: &str) -> bool {
    placeholders(query).any(|found| found == name)
}

/// The query with these placeholders replaced by their values; others stay as they are, and
/// what stands in a value is not replaced again.
pub fn fill(query: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let known = after.split_once("}}").and_then(|(name, behind)| {
            let value = values.iter().find(|(known, _)| *known == name)?;
            Some((value.1, behind))
        });
        rest = match known {
            Some((value, behind)) => {
                filled.push_str(&quoted(value));
                behind
            }
            None => {
                filled.push_str("{{");
                after
            }
        };
    }
    filled.push_str(rest);
    filled
}

/// A regular expression that matches exactly these texts, for a placeholder in
/// `label=~"{{…}}"`: sorted, each once.
pub fn any_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts: Vec<&str> = texts.into_iter().collect();
    texts.sort_unstable();
    texts.dedup();
    let mut pattern = String::new();
    for text in texts {
        if !pattern.is_empty() {
            pattern.push('|');
        }
        for c in text.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    pattern
}

/// The value of a label; none if the series does not have it.
pub fn label<'a>(series: &'a Series, name: &str) -> Option<&'a str> {
    let found = series.labels.iter().find(|(label, _)| label == name);
    found.map(|(_, value)| value.as_str())
}

/// Series by the value of a label; those without it are left out.
pub fn by_label(
    name: &str,
    series: impl IntoIterator<Item = Series>,
) -> BTreeMap<String, Vec<Series>> {
    let mut found: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for series in series {
        if let Some(value) = label(&series, name).map(str::to_owned) {
            found.entry(value).or_default().push(series);
        }
    }
    found
}

/// A value as it may stand inside double quotes.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_and_cannot_break_out() {
        let query = r#"up{a="{{a}}",b="{{b}}",c="{{c}}"} {{"#;
        assert_eq!(placeholders(query).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(has(query, "b") && !has(query, "d"));
        assert_eq!(
            fill(query, &[("a", r#"x" or "\"#), ("b", "{{a}}")]),
            r#"up{a="x\" or \"\\",b="{{a}}",c="{{c}}"} {{"#
        );
    }

    #[test]
    fn an_alternative_matches_names_as_they_are() {
        assert_eq!(any_of(["eu.1", "ap", "eu.1"]), r"ap|eu\.1");
        assert_eq!(any_of([]), "");
        let query = fill("{{clusters}}", &[("clusters", &any_of(["eu.1"]))]);
        assert_eq!(query, r"eu\\.1", "escaped for the quotes as well");
    }

    #[test]
    fn labels_are_found_by_name() {
        let series = Series {
            labels: vec![("cluster".to_owned(), "eu".to_owned())],
            samples: Vec::new(),
        };
        assert_eq!(label(&series, "cluster"), Some("eu"));
        assert_eq!(label(&series, "pod"), None);
    }
}
