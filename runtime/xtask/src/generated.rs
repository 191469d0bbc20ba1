//! Files that are written from the code, and the check that they are up to date.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{DependencyKind, Package};
use similar::TextDiff;

use crate::project::Project;
use crate::run;

struct Generated {
    path: PathBuf,
    contents: String,
}

/// Fails, with the difference, when a committed file is not what the code says.
pub(crate) fn check(project: &Project) -> Result<()> {
    let mut stale = Vec::new();
    for file in all(project)? {
        let committed = fs::read_to_string(&file.path).unwrap_or_default();
        if committed != file.contents {
            let difference = TextDiff::from_lines(&committed, &file.contents);
            println!("{}", difference.unified_diff().context_radius(2));
            stale.push(shown(project, &file));
        }
    }
    if !stale.is_empty() {
        bail!(
            "not up to date: {} (hint: `cargo xtask bless`)",
            stale.join(", ")
        );
    }
    Ok(())
}

/// Writes what differs.
pub(crate) fn write(project: &Project) -> Result<()> {
    for file in all(project)? {
        if fs::read_to_string(&file.path).is_ok_and(|committed| committed == file.contents) {
            continue;
        }
        let path = shown(project, &file);
        println!("writing {path}");
        fs::write(&file.path, file.contents).with_context(|| format!("failed to write {path}"))?;
    }
    Ok(())
}

fn shown(project: &Project, file: &Generated) -> String {
    let path = file.path.strip_prefix(&project.root).unwrap_or(&file.path);
    path.display().to_string()
}

fn all(project: &Project) -> Result<Vec<Generated>> {
    Ok(vec![
        Generated {
            path: project.root.join("runtime/docs/crates.md"),
            contents: crates(project)?,
        },
        Generated {
            path: project.root.join("runtime/cli/src/author/files.rs"),
            contents: embedded(project)?,
        },
    ])
}

/// What `plugin new` writes: the SDKs with their examples, and the contract.
fn embedded(project: &Project) -> Result<String> {
    let listed = run::output(project.command("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "sdk",
        "wit",
    ]))?;
    let mut paths: Vec<&str> = listed
        .lines()
        .filter(|path| project.root.join(path).is_file())
        .filter(|path| path.split('/').count() > 2 || path.starts_with("wit/"))
        // What all languages are compared by stays here.
        .filter(|path| !path.starts_with("sdk/conformance/"))
        .filter(|path| !path.contains("/tests/") && !path.ends_with("/arithmetic_test.go"))
        .collect();
    paths.sort_unstable();
    let mut file = String::from(
        "//! What `plugin new` writes. Written by `cargo xtask bless` from the files of `sdk/` and `wit/`.\n\n\
         /// The manifest that the SDK for Rust inherits from.\n\
         pub(super) const WORKSPACE: &str = include_str!(\"../../../../Cargo.toml\");\n\n\
         /// Files by their path.\n\
         #[rustfmt::skip]\n\
         pub(super) const FILES: &[(&str, &[u8])] = &[\n",
    );
    for path in paths {
        writeln!(
            file,
            "    (\"{path}\", include_bytes!(\"../../../../{path}\")),"
        )?;
    }
    file.push_str("];\n");
    Ok(file)
}

/// The crates and whom they import, from the manifests.
fn crates(project: &Project) -> Result<String> {
    let metadata = project.metadata()?;
    let mut packages: Vec<&Package> = metadata.workspace_packages();
    packages.sort_by(|one, other| one.manifest_path.cmp(&other.manifest_path));
    let mut page = String::from(
        "# Crates\n\n\
         Written by `cargo xtask bless` from the manifests.\n\
         Which imports are allowed, and why, is in [ARCHITECTURE.md](../ARCHITECTURE.md).\n\n\
         | folder | crate | what it is | imports of ours |\n|---|---|---|---|\n",
    );
    for package in &packages {
        let folder = package
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .ok()
            .and_then(|path| path.parent())
            .context("failed to place a crate in the workspace")?;
        let mut imports: Vec<&str> = package
            .dependencies
            .iter()
            .filter(|it| it.kind != DependencyKind::Development && it.path.is_some())
            .map(|it| it.name.trim_start_matches("wavegate-"))
            .collect();
        imports.sort_unstable();
        let imports = match imports.as_slice() {
            [] => "–".to_owned(),
            names => names.join(", "),
        };
        let description = package.description.as_deref().unwrap_or("–");
        writeln!(
            page,
            "| `{folder}` | `{}` | {description} | {imports} |",
            package.name
        )?;
    }
    Ok(page)
}
