//! Rules about manifests and documents.

use std::collections::BTreeSet;
use std::fs;

use super::text::{File, files};
use super::{assert_kept, root, workspace};

/// The workspaces, by the folder of their manifest.
const WORKSPACES: [&str; 2] = [".", "plugins"];

/// Everything visible that may lie in the top folder.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "plugins",
    "runtime",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "sdk",
    "target",
    "tests",
    "wit",
];

/// Manifests of all packages of ours, by path from the top folder.
fn manifests() -> Vec<File> {
    let mut found = Vec::new();
    for folder in WORKSPACES {
        for package in workspace(folder).workspace_packages() {
            let path = package.manifest_path.strip_prefix(root());
            found.push(File::read(path.expect("a package in the project").as_str()));
        }
    }
    found
}

/// The lines of a manifest with the section that each is in.
fn entries(manifest: &File) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    manifest.text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            return None;
        }
        let is_entry = !line.is_empty() && !line.starts_with('#');
        is_entry.then_some((section, line))
    })
}

fn is_list_of_dependencies(section: &str) -> bool {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    kinds.contains(&section.rsplit('.').next().unwrap_or_default())
        && !section.starts_with("workspace")
}

/// Names in `[workspace.dependencies]` that come from a registry.
fn registry_dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = File::read(&format!("{folder}/Cargo.toml"));
    entries(&manifest)
        .filter(|(section, line)| *section == "workspace.dependencies" && !line.contains("path ="))
        .filter_map(|(_, line)| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}

/// What `dependencies.md` has a line for: the name in backticks that a row of its table begins with.
fn listed_dependencies() -> BTreeSet<String> {
    let page = File::read("runtime/docs/dependencies.md");
    page.text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_crate_takes_the_lints_of_its_workspace() {
    let mut broken = Vec::new();
    for manifest in manifests() {
        if !entries(&manifest).any(|entry| entry == ("lints", "workspace = true")) {
            broken.push(format!("{}: no `[lints] workspace = true`", manifest.path));
        }
    }
    assert_kept("every crate takes the lints of its workspace", &broken);
}

#[test]
fn dependencies_are_declared_once_in_the_workspace() {
    let mut broken = Vec::new();
    for manifest in manifests() {
        for (section, line) in entries(&manifest) {
            let names_one = section.contains("dependencies.");
            let is_plain = line.ends_with(".workspace = true")
                || line.ends_with(" = { workspace = true, optional = true }");
            if names_one || (is_list_of_dependencies(section) && !is_plain) {
                broken.push(format!("{}: [{section}] {line}", manifest.path));
            }
        }
    }
    assert_kept(
        "crates say `name.workspace = true`; version and features stand in the workspace, \
         so that all builds share one feature set",
        &broken,
    );
}

#[test]
fn every_dependency_of_the_workspace_is_used() {
    let mut broken = Vec::new();
    for folder in WORKSPACES {
        let metadata = workspace(folder);
        let used: BTreeSet<&str> = metadata
            .workspace_packages()
            .iter()
            .flat_map(|package| &package.dependencies)
            .map(|dependency| dependency.name.as_str())
            .collect();
        for name in registry_dependencies(folder) {
            if !used.contains(name.as_str()) {
                broken.push(format!("{folder}/Cargo.toml: {name}"));
            }
        }
    }
    assert_kept("every dependency of the workspace is used", &broken);
}

#[test]
fn every_dependency_of_a_crate_is_named_in_its_code() {
    let guests = std::fs::read_to_string(root().join("tests/src/guests.rs")).expect("it is there");
    let mut broken = Vec::new();
    for folder in WORKSPACES {
        for package in workspace(folder).workspace_packages() {
            let home = package.manifest_path.parent().expect("a folder");
            let home = home.strip_prefix(root()).expect("a package in the project");
            let code: String = files(home.as_str(), "rs")
                .iter()
                .flat_map(|file| file.product_lines().chain(file.test_lines()).map(|it| it.1))
                .collect::<Vec<_>>()
                .join("\n");
            // Guests are built by a module that is shared with the end-to-end tests.
            let shared = code.contains("tests/src/guests.rs");
            let code = if shared { code + &guests } else { code };
            for dependency in &package.dependencies {
                if !code.contains(&dependency.name.replace('-', "_")) {
                    broken.push(format!("{home}/Cargo.toml: {}", dependency.name));
                }
            }
        }
    }
    assert_kept("every dependency of a crate is named in its code", &broken);
}

#[test]
fn every_dependency_has_its_reason() {
    let declared: BTreeSet<String> = WORKSPACES
        .iter()
        .flat_map(|folder| registry_dependencies(folder))
        .collect();
    let listed = listed_dependencies();
    let without_reason = declared
        .difference(&listed)
        .map(|it| format!("{it}: not listed"));
    let gone = listed
        .difference(&declared)
        .map(|it| format!("{it}: listed, but not there"));
    let broken: Vec<String> = without_reason.chain(gone).collect();
    assert_kept(
        "runtime/docs/dependencies.md says for each dependency what it is for",
        &broken,
    );
}

#[test]
fn decisions_are_numbered_without_a_gap() {
    let mut broken = Vec::new();
    for (at, decision) in files("runtime/docs/adr", "md").iter().enumerate() {
        let number = format!("{:04}", at + 1);
        let name = decision.path.rsplit('/').next().unwrap_or_default();
        if !name.starts_with(&format!("{number}-")) {
            broken.push(format!("{}: expected number {number}", decision.path));
        }
        if !decision.text.starts_with(&format!("# {number}: ")) {
            broken.push(format!("{}: its title has another number", decision.path));
        }
    }
    assert_kept("decisions are numbered without a gap", &broken);
}

#[test]
fn the_top_folder_holds_nothing_else() {
    let mut broken = Vec::new();
    for entry in fs::read_dir(root()).expect("the top folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_ref()) {
            broken.push(name.into_owned());
        }
    }
    assert_kept(
        "the top folder holds only what has its place there",
        &broken,
    );
}
