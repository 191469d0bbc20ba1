//! The journals of a folder.

use crate::exit::{Failure, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders below folders that are looked into: a year of state folders by month and host.
const DEPTH_MAX: usize = 8;
/// Journals of one folder: a fleet of hosts for years. A folder that was named by mistake stops
/// here.
const JOURNALS_MAX: usize = 10_000;

/// What a folder has.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Sorted by name.
    pub(super) journals: Vec<PathBuf>,
    /// Journals, or folders of them, that cannot be looked at, with the reason.
    pub(super) unread: Vec<(PathBuf, String)>,
    /// What else was passed over, with the reason.
    pub(super) passed: Vec<(PathBuf, String)>,
}

/// Looks for all files that end in `.db`, here and below. Links are followed; what two names lead
/// to counts once, so that a link to a folder above ends.
pub(super) fn journals(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let top = listed(folder)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", folder.display())))?;
    seen.extend(folder.canonicalize());
    // By name, so that it does not depend on the file system which of two names counts; what is
    // nearer goes first.
    let mut level = top;
    for depth in 0..=DEPTH_MAX {
        let mut below = Vec::new();
        for path in std::mem::take(&mut level) {
            entry(path, depth, &mut seen, &mut found, &mut below);
        }
        if found.journals.len() > JOURNALS_MAX {
            let many = format!("{} has more than {JOURNALS_MAX} journals", folder.display());
            return Err(Failure::usage(many));
        }
        below.sort();
        level = below;
    }
    if found.journals.is_empty() && found.unread.is_empty() {
        let none = format!("{} has no journal", folder.display());
        return Err(Failure::usage(none).hint("journals are files that end in `.db`"));
    }
    found.journals.sort();
    Ok(found)
}

/// Puts one name where it belongs, and what a folder has into `below`.
fn entry(
    path: PathBuf,
    depth: usize,
    seen: &mut BTreeSet<PathBuf>,
    found: &mut Found,
    below: &mut Vec<PathBuf>,
) {
    let is_named_so = path.extension().is_some_and(|end| end == "db");
    let about = std::fs::metadata(&path).and_then(|about| Ok((about, path.canonicalize()?)));
    let (about, real) = match about {
        Ok(found) => found,
        Err(error) if is_named_so => {
            found.unread.push((path, error.to_string()));
            return;
        }
        Err(error) => {
            found.passed.push((path, error.to_string()));
            return;
        }
    };
    let is_journal = about.is_file() && is_named_so;
    if !(is_journal || about.is_dir()) || !seen.insert(real) {
        return;
    }
    if is_journal {
        found.journals.push(path);
    } else if depth == DEPTH_MAX {
        let deep = format!("it lies more than {DEPTH_MAX} folders deep");
        found.passed.push((path, deep));
    } else {
        match listed(&path) {
            Ok(names) => below.extend(names),
            Err(error) => found.unread.push((path, error.to_string())),
        }
    }
}

/// What a folder has, sorted.
fn listed(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_once_and_what_leads_nowhere_is_told() {
        let above = tempfile::tempdir().expect("a folder");
        let path = |name: &str| above.path().join(name);
        for folder in ["top/a", "elsewhere"] {
            std::fs::create_dir_all(path(folder)).expect("it can be made");
        }
        for file in ["top/a/one.db", "elsewhere/two.db", "three"] {
            std::fs::write(path(file), "").expect("it can be written");
        }
        for (to, link) in [
            ("elsewhere", "top/b"),
            ("top", "top/a/up"),
            ("three", "top/three.db"),
            ("top/a/one.db", "top/twice.db"),
            ("nowhere", "top/gone.db"),
            ("nowhere", "top/gone"),
        ] {
            symlink(path(to), path(link)).expect("a link can be made");
        }
        let found = journals(&path("top")).expect("it can be read");
        let names = |paths: &[PathBuf]| -> Vec<String> {
            let top = path("top");
            let names = paths.iter().map(|path| path.strip_prefix(&top));
            names
                .map(|name| name.expect("below").display().to_string())
                .collect()
        };
        let journals = names(&found.journals);
        assert_eq!(journals, ["b/two.db", "three.db", "twice.db"]);
        let only = |list: &[(PathBuf, String)]| {
            names(
                &list
                    .iter()
                    .map(|(path, _)| path.clone())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(only(&found.unread), ["gone.db"]);
        assert_eq!(only(&found.passed), ["gone"]);
    }
}
