//! Every story under `tests/stories` ends as its committed outcome says. With `WAVEGATE_BLESS=1`
//! the outcomes are written anew.

use std::path::PathBuf;

#[test]
fn stories_end_as_committed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut stories: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    stories.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    stories.sort();
    assert!(
        stories.len() >= 10,
        "the stories are in {}",
        folder.display()
    );
    let bless = std::env::var_os("WAVEGATE_BLESS").is_some();
    let mut differing = Vec::new();
    for path in stories {
        let told = crate::script::run(&std::fs::read_to_string(&path).unwrap());
        let committed = path.with_extension("out");
        if bless {
            std::fs::write(&committed, told).unwrap();
        } else if std::fs::read_to_string(&committed).unwrap_or_default() != told {
            differing.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
