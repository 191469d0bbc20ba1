//! The bindings of the contract in the SDKs for C and Go: generated from `wit/`, committed so that
//! an author needs no generator, and compared with what the generator makes of the contract now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use similar::TextDiff;

use crate::project::Project;
use crate::report::Outcome;
use crate::{run, tools};

/// The kinds of plugins; each has a world and a folder of its own.
const KINDS: [&str; 2] = ["strategy", "gate"];
/// The module that generated Go code expects to lie in, and the one whose packages it uses.
const GO_MODULE: &str = "\"wit_component/";
const GO_SUPPORT: &str = "go.bytecodealliance.org/pkg/wit/";
/// Files of those packages that the contract needs; it has no streams, futures and async calls.
const GO_TYPES: [&str; 4] = ["option.go", "result.go", "tuple.go", "unit.go"];
/// Where they are in the SDK.
const GO_PLACE: &str = "wavegate.dev/sdk/internal/";

/// Files by their place in the project.
type Files = BTreeMap<PathBuf, String>;

/// What becomes of what is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is compared with what is committed.
    Check,
    /// It takes the place of what is committed.
    Write,
}

/// Generates all bindings.
pub(crate) fn all(project: &Project, mode: Mode) -> Result<Outcome> {
    let generator = tools::bindings_generator(project)?;
    let made = made(project, &generator)?;
    let committed = committed(project, made.keys())?;
    let mut stale = Vec::new();
    for path in made.keys().chain(committed.keys()) {
        let (new, old) = (made.get(path), committed.get(path));
        if new == old || stale.contains(&path) {
            continue;
        }
        stale.push(path);
        let text = |file: Option<&String>| file.cloned().unwrap_or_default();
        let (old, new) = (text(old), text(new));
        match mode {
            Mode::Check => {
                let difference = TextDiff::from_lines(&old, &new);
                println!("{}:\n{}", path.display(), difference.unified_diff());
            }
            Mode::Write => put(&project.root.join(path), made.get(path))?,
        }
    }
    if mode == Mode::Check && !stale.is_empty() {
        let names: Vec<String> = stale
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        bail!(
            "not what the contract says: {} (hint: `cargo xtask bindings`)",
            names.join(", ")
        );
    }
    println!(
        "bindings: {} files, {} of them new",
        made.len(),
        stale.len()
    );
    Ok(Outcome::Passed)
}

fn put(path: &Path, contents: Option<&String>) -> Result<()> {
    let Some(contents) = contents else {
        return fs::remove_file(path)
            .with_context(|| format!("failed to remove {}", path.display()));
    };
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder)?;
    fs::write(path, contents).with_context(|| format!("failed to write {}", path.display()))
}

/// What the generator makes of the contract.
fn made(project: &Project, generator: &Path) -> Result<Files> {
    let scratch = project.target.join("bindings");
    // It is not there the first time.
    let _ = fs::remove_dir_all(&scratch);
    // What it makes for Go it hands to `gofmt`.
    let guests = tools::guest_languages(project)?;
    let mut files = Files::new();
    for kind in KINDS {
        for language in ["c", "go"] {
            let out = scratch.join(format!("{language}-{kind}"));
            let mut command = project.command(generator);
            guests.apply(&mut command);
            command
                .args([
                    language,
                    "--world",
                    &format!("{kind}-plugin"),
                    "wit",
                    "--out-dir",
                ])
                .arg(&out);
            run::succeed(&mut command)?;
            for (name, text) in texts(&out)? {
                if let Some((place, text)) = placed(language, kind, &name, text) {
                    files.insert(place, text);
                }
            }
        }
    }
    for (name, text) in go_support()? {
        files.insert(Path::new("sdk/go/internal/wit").join(name), text);
    }
    Ok(files)
}

/// Where a generated file goes, and what it says there.
fn placed(language: &str, kind: &str, name: &Path, text: String) -> Option<(PathBuf, String)> {
    if language == "c" {
        return Some((Path::new("sdk/c/generated").join(name), text));
    }
    // The generator also makes a module of its own around what it makes.
    if name.extension()?.to_str()? == "mod"
        || name.starts_with("export_wavegate_plugin_strategy")
        || name.starts_with("export_wavegate_plugin_gate")
    {
        return None;
    }
    let package = format!("{kind}abi");
    let text = text
        .replace(GO_MODULE, &format!("\"{GO_PLACE}{package}/"))
        .replace(GO_SUPPORT, &format!("{GO_PLACE}wit/"))
        .replace("package main\n", &format!("package {package}\n"))
        .replace("package wit_component\n", &format!("package {package}\n"));
    Some((Path::new("sdk/go/internal").join(package).join(name), text))
}

/// The packages that generated Go code uses, from the sources of the generator.
fn go_support() -> Result<Files> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = home
        .context("there is no home folder")?
        .join("registry/src");
    let name = format!("wit-bindgen-go-{}/src/pkg", tools::BINDINGS_VERSION);
    let mut sources = fs::read_dir(&registry)?.flatten();
    let folder = sources.find_map(|index| Some(index.path().join(&name)).filter(|it| it.is_dir()));
    let folder = folder.with_context(|| format!("{} has no {name}", registry.display()))?;
    let is_used = |path: &Path| {
        path.starts_with("runtime")
            || GO_TYPES
                .iter()
                .any(|name| path == Path::new("types").join(name))
    };
    let mut files: Files = texts(&folder.join("wit"))?
        .into_iter()
        .filter(|(path, _)| is_used(path))
        .map(|(path, text)| (path, text.replace(GO_SUPPORT, &format!("{GO_PLACE}wit/"))))
        .collect();
    files.insert(
        "LICENSE".into(),
        fs::read_to_string(folder.join("LICENSE"))?,
    );
    Ok(files)
}

/// What is committed in the folders that something is generated into.
fn committed<'a>(project: &Project, made: impl Iterator<Item = &'a PathBuf>) -> Result<Files> {
    let mut files = Files::new();
    let mut roots: Vec<PathBuf> = made
        .map(|path| path.components().take(4).collect::<PathBuf>())
        .map(|path| {
            if path.starts_with("sdk/c") {
                "sdk/c/generated".into()
            } else {
                path
            }
        })
        .collect();
    roots.dedup();
    for root in roots {
        for (name, text) in texts(&project.root.join(&root))? {
            // What the exports call is written by hand.
            let by_hand = name
                .iter()
                .any(|part| part.to_string_lossy().starts_with("export_"));
            if !by_hand {
                files.insert(root.join(name), text);
            }
        }
    }
    Ok(files)
}

/// The texts below a folder, by their path in it. The objects that say the type of a component are
/// left out: `plugin build` says it itself.
fn texts(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries =
            fs::read_dir(&next).with_context(|| format!("failed to list {}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "o") {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("failed to read {}", path.display()))?;
                found.insert(path.strip_prefix(folder)?.to_path_buf(), text);
            }
        }
    }
    Ok(found)
}
