//! Writes a project from the worked example of a language.
//!
//! The examples of `sdk/` are the templates, so they cannot fall behind. The SDK and the contract are
//! copied into the project: it builds without this checkout, and an update of the host changes
//! nothing in it.

use super::files::{FILES, WORKSPACE};
use super::language::{Kind, Language};
use crate::args::NewPlugin;
use crate::commands::init::must_be_empty;
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format, JSON_VERSION};
use anyhow::Context as _;
use std::path::PathBuf;

/// Characters of a name: it becomes a part of file names and labels.
const NAME_CHARS_MAX: usize = 40;

pub(crate) fn new(args: &NewPlugin, format: Format) -> Result<Exit> {
    check_name(&args.name)?;
    let dir = args.dir.clone().unwrap_or_else(|| args.name.clone().into());
    must_be_empty(&dir)?;
    let files = project(args.lang, args.kind, &args.name);
    for (name, bytes) in &files {
        let path = dir.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        std::fs::write(&path, bytes)
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    let shown = dir.display();
    if format == Format::Json {
        let names: Vec<&PathBuf> = files.iter().map(|(name, _)| name).collect();
        output::json(&serde_json::json!({"version": JSON_VERSION, "dir": dir, "files": names}));
        return Ok(Exit::Done);
    }
    output::say(&format!(
        "wrote a {} in {} to {shown}; its README says how to go on:",
        args.kind.word(),
        args.lang.word()
    ));
    let test = args.lang.test_command();
    output::data(&format!(
        "(cd {shown} && {test})\nwavegate plugin build {shown}\nwavegate plugin test {shown}"
    ));
    Ok(Exit::Done)
}

/// A name that every language takes for a package, and the contract for a plugin.
fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let ends_well = !name.ends_with('-') && !name.contains("--");
    if name.len() <= NAME_CHARS_MAX && name.chars().all(is_plain) && starts_well && ends_well {
        return Ok(());
    }
    Err(
        Failure::usage(format!("`{name}` is not a name for a plugin"))
            .hint("use small letters, digits and single dashes, such as my-gate"),
    )
}

/// The files of a project, with their paths in it.
fn project(language: Language, kind: Kind, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let sdk = format!("sdk/{}/", language.sdk());
    let example = format!("{sdk}{}/", language.example(kind));
    let shared = format!("sdk/template/{}/", kind.word());
    let mut files = Vec::new();
    for (path, bytes) in FILES {
        if let Some(inside) = path
            .strip_prefix(&example)
            .or_else(|| path.strip_prefix(&shared))
        {
            files.push((inside.into(), filled(bytes, language, kind, name)));
        } else if path.starts_with(&format!("{sdk}examples/")) {
            // An example of the other kind.
        } else if *path == "sdk/rust/Cargo.toml" && language == Language::Rust {
            files.push((path.into(), standalone(&text(bytes)).into_bytes()));
        } else if path.starts_with(&sdk) || is_contract(path) {
            files.push((path.into(), bytes.to_vec()));
        }
    }
    files
}

/// The present contract; released ones are for hosts.
fn is_contract(path: &str) -> bool {
    path.strip_prefix("wit/")
        .is_some_and(|name| !name.contains('/'))
}

/// A file of an example with the name of the plugin, and with the paths of a project.
fn filled(bytes: &[u8], language: Language, kind: Kind, name: &str) -> Vec<u8> {
    let sdk = format!("./sdk/{}", language.sdk());
    text(bytes)
        .replace("../../../../wit", "./wit")
        .replace("../..", &sdk)
        .replace(kind.example_name(), name)
        .replace("@LANGUAGE@", language.word())
        .replace("@SOURCE@", language.source())
        .replace("@SDK@", language.sdk())
        .replace("@TEST@", language.test_command())
        .into_bytes()
}

/// A manifest of the workspace, without what it inherits from it.
fn standalone(manifest: &str) -> String {
    let inherited = |key: &str| {
        WORKSPACE.lines().find(|line| {
            line.split_once(" = ")
                .is_some_and(|(found, _)| found == key)
        })
    };
    let mut lines = Vec::new();
    for line in manifest.lines() {
        match line.strip_suffix(".workspace = true") {
            Some(key) => lines.extend(inherited(key)),
            // The lints are about the host's own code.
            None if line == "[lints]" || line == "workspace = true" => {}
            None => lines.push(line),
        }
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// A test knows that all of these files are texts.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn names_are_those_that_every_language_takes() {
        for name in ["a", "my-gate", "p95"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "My",
            "1a",
            "a-",
            "a--b",
            "a_b",
            "ä",
            "a/b",
            &"a".repeat(41),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_language_has_a_whole_project_of_either_kind() {
        for &language in Language::value_variants() {
            for kind in [Kind::Strategy, Kind::Gate] {
                let files = project(language, kind, "my-plugin");
                let has = |name: &str| files.iter().any(|(path, _)| path == &PathBuf::from(name));
                for name in [
                    "plugin.json",
                    "README.md",
                    ".gitignore",
                    "cases/cases.yaml",
                    "wit/types.wit",
                ] {
                    assert!(has(name), "{language:?} {kind:?} has no {name}");
                }
                for (path, bytes) in &files {
                    let text = std::str::from_utf8(bytes).expect("a text");
                    let of_project = !path.starts_with("sdk") && !path.starts_with("wit");
                    let left = text.contains("../..") || text.contains(kind.example_name());
                    assert!(!(of_project && left), "{language:?}: {}", path.display());
                }
            }
        }
    }

    #[test]
    fn the_sdk_for_rust_stands_alone() {
        let manifest = standalone(include_str!("../../../../sdk/rust/Cargo.toml"));
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("\nserde = {") && manifest.contains("\nedition = "));
    }
}
