//! "Did you mean".

/// For the words of the format: the one closest to what was written, or all if they are few.
pub(crate) fn hint<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(close) = closest(written, &candidates) {
        return Some(format!("did you mean `{close}`?"));
    }
    // A dozen names fit on two lines of a terminal.
    (1..=12)
        .contains(&candidates.len())
        .then(|| format!("expected {}", one_of(&candidates)))
}

/// For names that the user gave: the closest one, or all if they are few.
pub(crate) fn name_hint<'a>(
    written: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    match closest(written, &names) {
        Some(close) => Some(format!("did you mean `{close}`?")),
        None => match names.as_slice() {
            [] => None,
            [only] => Some(format!("there is only `{only}`")),
            few if few.len() <= 12 => Some(format!("there are {}", all_of(few))),
            _ => None,
        },
    }
}

/// `a`, `b` and `c`.
pub(crate) fn all_of(names: &[&str]) -> String {
    let mut text = one_of(names);
    if let Some(at) = text.rfind("` or `") {
        text.replace_range(at..at + 6, "` and `");
    }
    text
}

/// `a`, `b` or `c`.
pub(crate) fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

/// The candidate that differs least, if it differs little.
pub(crate) fn closest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    const LENGTH_MAX: usize = 64;
    if written.is_empty() || written.len() > LENGTH_MAX {
        return None;
    }
    let folded = fold(written);
    // A third may be wrong: one letter of `wave`, four of `maxParallelSites`.
    let budget = (folded.len() / 3).max(1);
    let scored = candidates
        .iter()
        .filter(|c| c.len() <= LENGTH_MAX)
        .filter_map(|candidate| {
            let other = fold(candidate);
            if other.len().abs_diff(folded.len()) > budget {
                return None;
            }
            let distance = distance(&folded, &other);
            (distance <= budget).then_some((distance, *candidate))
        });
    scored
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `max-parallel_sites` and `maxParallelSites` are one to the eye.
fn fold(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Edits, with a swap of neighbours counted as one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replace = above[j] + usize::from(x != y);
            let mut best = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        let fields = ["maxParallelSites", "siteSoak", "soak"];
        assert_eq!(
            hint("max_paralel_sites", fields).unwrap(),
            "did you mean `maxParallelSites`?"
        );
        assert_eq!(hint("saok", fields).unwrap(), "did you mean `soak`?");
        assert_eq!(
            hint("colour", fields).unwrap(),
            "expected `maxParallelSites`, `siteSoak` or `soak`"
        );
        assert_eq!(hint("x", []), None);
    }
}
