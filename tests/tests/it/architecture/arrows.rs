//! Who may import whom: the arrows between crates, and the libraries that stay in one place.

use cargo_metadata::{DependencyKind, Metadata, Package};

use super::{assert_kept, root, workspace};

/// For each crate of ours the crates of ours that it may import.
/// A new arrow is an architectural decision: change `runtime/ARCHITECTURE.md` with this table.
pub(super) const ARROWS: &[(&str, &[&str])] = &[
    ("wavegate-model", &[]),
    ("wavegate-engine", &["wavegate-model"]),
    ("wavegate-documents", &["wavegate-model"]),
    ("wavegate-ports", &["wavegate-engine", "wavegate-model"]),
    (
        "wavegate-conductor",
        &["wavegate-ports", "wavegate-engine", "wavegate-model"],
    ),
    (
        "wavegate-plugin-host",
        &["wavegate-ports", "wavegate-model"],
    ),
    ("wavegate-sources", &["wavegate-ports", "wavegate-model"]),
    ("wavegate-registry", &["wavegate-model"]),
    (
        "wavegate-driver-local",
        &["wavegate-ports", "wavegate-model"],
    ),
    ("wavegate-driver-sim", &["wavegate-ports", "wavegate-model"]),
    (
        "wavegate-driver-kube",
        &["wavegate-ports", "wavegate-model"],
    ),
    (
        "wavegate-journal-sqlite",
        &["wavegate-ports", "wavegate-engine", "wavegate-model"],
    ),
    ("wavegate-foresight", SURFACE),
    ("wavegate-api", SURFACE),
    (
        "wavegate-operator",
        &[
            "wavegate-conductor",
            "wavegate-engine",
            "wavegate-ports",
            "wavegate-driver-kube",
            "wavegate-model",
        ],
    ),
    (
        "wavegate",
        &[
            "wavegate-model",
            "wavegate-engine",
            "wavegate-documents",
            "wavegate-ports",
            "wavegate-conductor",
            "wavegate-plugin-host",
            "wavegate-sources",
            "wavegate-registry",
            "wavegate-driver-local",
            "wavegate-driver-sim",
            "wavegate-driver-kube",
            "wavegate-journal-sqlite",
            "wavegate-foresight",
            "wavegate-api",
            "wavegate-operator",
        ],
    ),
    // It is built before everything else, so importing the runtime would make every check wait.
    ("xtask", &[]),
    // What a plugin's author compiles: the contract and nothing of the host.
    ("wavegate-sdk", &[]),
];

const SURFACE: &[&str] = &[
    "wavegate-conductor",
    "wavegate-engine",
    "wavegate-ports",
    "wavegate-model",
];

/// They may import anything, and nothing imports them.
const TESTS: &[&str] = &[
    "wavegate-tests",
    "wavegate-fuzz",
    "wavegate-fuzz-host",
    "wavegate-swarm",
];

/// Libraries whose types stay where they are, and the crates that may name them.
const KEPT_IN_PLACE: &[(&str, &[&str])] = &[
    ("wasmtime", &["wavegate-plugin-host"]),
    ("wit-bindgen", &["wavegate-sdk"]),
    // The binary makes components of what an author compiled.
    ("wit-component", &["wavegate", "xtask"]),
    ("rusqlite", &["wavegate-journal-sqlite"]),
    ("hyper", HTTP),
    ("hyper-util", HTTP),
    ("http-body-util", HTTP),
    ("kube", KUBERNETES),
    ("k8s-openapi", KUBERNETES),
    ("serde-saphyr", &["wavegate-documents"]),
    ("anyhow", PROGRAMS),
    ("clap", PROGRAMS),
];

/// The binary for the demonstration's service and its visitors alone.
const HTTP: &[&str] = &[
    "wavegate",
    "wavegate-driver-local",
    "wavegate-sources",
    "wavegate-api",
];
const KUBERNETES: &[&str] = &["wavegate-driver-kube", "wavegate-operator"];
const PROGRAMS: &[&str] = &["wavegate", "xtask"];

/// All that the pure crates may import: nothing that can await, read, write or log.
const PURE: &[(&str, &[&str])] = &[
    ("wavegate-model", &["serde", "thiserror"]),
    ("wavegate-engine", &["serde", "thiserror", "wavegate-model"]),
    (
        "wavegate-ports",
        &["serde", "thiserror", "wavegate-engine", "wavegate-model"],
    ),
];

/// Names of what a crate needs to be built; tests may need more.
fn imports(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|it| it.kind != DependencyKind::Development)
        .map(|it| it.name.as_str())
}

fn is_ours(metadata: &Metadata, name: &str) -> bool {
    metadata
        .workspace_packages()
        .iter()
        .any(|package| package.name.as_str() == name)
}

fn row<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table
        .iter()
        .find(|(crate_name, _)| *crate_name == name)
        .map(|(_, allowed)| *allowed)
}

#[test]
fn crates_import_only_along_the_arrows() {
    let metadata = workspace(".");
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if TESTS.contains(&name) {
            continue;
        }
        let Some(allowed) = row(ARROWS, name) else {
            broken.push(format!("{name}, which has no row in the table of arrows"));
            continue;
        };
        for import in imports(package).filter(|import| is_ours(&metadata, import)) {
            if !allowed.contains(&import) {
                broken.push(format!("{name} -> {import}; it may import {allowed:?}"));
            }
        }
    }
    assert_kept("crates import only along the arrows", &broken);
}

#[test]
fn nothing_imports_the_tests() {
    let mut broken = Vec::new();
    for package in workspace(".").workspace_packages() {
        // Of every kind: a test of one crate that needs the tests of all is in the wrong place.
        if TESTS.contains(&package.name.as_str()) {
            continue;
        }
        let imported = package.dependencies.iter().map(|it| it.name.as_str());
        for tests in imported.filter(|name| TESTS.contains(name)) {
            broken.push(format!("{} -> {tests}", package.name));
        }
    }
    assert_kept("nothing imports the tests", &broken);
}

#[test]
fn plugins_import_the_sdk_and_nothing_else_of_ours() {
    let sdk = root().join("sdk/rust");
    let mut broken = Vec::new();
    for package in workspace("plugins").workspace_packages() {
        for dependency in &package.dependencies {
            if let Some(path) = &dependency.path
                && path != &sdk
            {
                broken.push(format!("{} -> {path}", package.name));
            }
        }
    }
    assert_kept("plugins import sdk/rust and nothing else of ours", &broken);
}

#[test]
fn libraries_stay_in_their_place() {
    let mut broken = Vec::new();
    for package in workspace(".").workspace_packages() {
        let name = package.name.as_str();
        for import in imports(package) {
            if let Some(allowed) = row(KEPT_IN_PLACE, import)
                && !TESTS.contains(&name)
                && !allowed.contains(&name)
            {
                broken.push(format!("{name} -> {import}; only {allowed:?} may"));
            }
        }
    }
    assert_kept(
        "the types of a library do not leave the crate that adapts it",
        &broken,
    );
}

#[test]
fn pure_crates_import_only_what_is_pure() {
    let mut broken = Vec::new();
    for package in workspace(".").workspace_packages() {
        let Some(allowed) = row(PURE, package.name.as_str()) else {
            continue;
        };
        for import in imports(package).filter(|import| !allowed.contains(import)) {
            broken.push(format!("{} -> {import}", package.name));
        }
    }
    assert_kept(
        "model, engine and ports import nothing that can await, read, write or log",
        &broken,
    );
}
