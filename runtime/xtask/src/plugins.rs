//! Builds the shipped plugins into components, and checks the committed ones.
//!
//! The components are committed, so that building Wavegate needs no Wasm target. Beside them
//! lies a manifest with the digests of each component and of its sources and with the
//! toolchain that made it. The same toolchain must give the same bytes; another one is
//! allowed to differ, and then the difference is shown. Sources that changed without a new
//! component always fail.

mod sources;
mod toolchain;
pub(crate) mod wrapper;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wit_component::ComponentEncoder;

use self::toolchain::{Found, Toolchain};
use crate::project::Project;

/// The shipped plugins: a crate of this name lies in `plugins/`.
pub(crate) const PLUGINS: [&str; 7] = [
    "blue-green",
    "burn-rate",
    "canary",
    "compare",
    "probe",
    "rolling",
    "threshold",
];

/// What the compiler calls the crate of a plugin.
pub(crate) fn crate_name(plugin: &str) -> String {
    plugin.replace('-', "_")
}

const REBUILD: &str = "run `cargo xtask plugins` and commit plugins/components";

/// What to do with the result of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Write the components and the manifest.
    Write,
    /// Compare with what is committed; write nothing into the project.
    Check,
}

/// How a build or a check went, if nothing is wrong.
#[derive(Debug)]
pub(crate) enum Report {
    /// Components and manifest were written.
    Written(Vec<Built>),
    /// The committed components are what their sources give.
    Same,
    /// Built by another toolchain than the committed ones; a line for each plugin.
    OtherToolchain {
        /// The toolchain that was found here.
        toolchain: String,
        /// The differences.
        lines: Vec<String>,
    },
    /// Digests are right, but there is nothing to rebuild with; says what to install.
    NotRebuilt(String),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(built) => {
                for plugin in built {
                    writeln!(
                        f,
                        "{}: {} bytes, {}",
                        plugin.name, plugin.size, plugin.digest
                    )?;
                }
                write!(f, "wrote plugins/components")
            }
            Self::Same => write!(f, "plugins: rebuilt, the bytes are those committed"),
            Self::OtherToolchain { toolchain, lines } => {
                writeln!(
                    f,
                    "plugins: rebuilt by another toolchain than the committed ones: {toolchain}"
                )?;
                write!(f, "{}", lines.join("\n"))
            }
            Self::NotRebuilt(hint) => {
                write!(f, "plugins: digests are right; not rebuilt, because {hint}")
            }
        }
    }
}

/// A component that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// Name of the plugin.
    pub(crate) name: &'static str,
    /// `sha256:` and hex digits.
    pub(crate) digest: String,
    /// Size in bytes.
    pub(crate) size: usize,
    bytes: Vec<u8>,
}

/// The file `plugins/components/manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    toolchain: Toolchain,
    components: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Digest of the component.
    component: String,
    /// Digest of all that it is made from.
    sources: String,
    /// Size of the component in bytes.
    size: usize,
}

/// Builds all plugins, and writes or checks them.
pub(crate) fn build_all(mode: Mode) -> Result<Report> {
    let project = project_root()?;
    match mode {
        Mode::Write => write(&project),
        Mode::Check => check(&project),
    }
}

fn write(project: &Path) -> Result<Report> {
    let found = match toolchain::find(None) {
        Ok(found) => found,
        Err(hint) => bail!("no way to build for {}: {hint}", toolchain::TARGET),
    };
    // Read before the build: what changes meanwhile must not pass for built.
    let digests = source_digests(project)?;
    let built = build(project, &found)?;
    let folder = project.join("plugins/components");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    let mut components = BTreeMap::new();
    for plugin in &built {
        write_file(&component_path(project, plugin.name), &plugin.bytes)?;
        let entry = Entry {
            component: plugin.digest.clone(),
            sources: digests[plugin.name].clone(),
            size: plugin.size,
        };
        components.insert(plugin.name.to_owned(), entry);
    }
    let manifest = Manifest {
        toolchain: found.toolchain,
        components,
    };
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    write_file(&manifest_path(project), text.as_bytes())?;
    Ok(Report::Written(built))
}

fn check(project: &Path) -> Result<Report> {
    let manifest = read_manifest(project)?;
    check_digests(project, &manifest)?;
    let found = match toolchain::find(Some(&manifest.toolchain)) {
        Ok(found) => found,
        Err(hint) => return Ok(Report::NotRebuilt(hint)),
    };
    let built = build(project, &found)?;
    let same_toolchain = found.toolchain == manifest.toolchain;
    let mut lines = Vec::new();
    for plugin in &built {
        let entry = &manifest.components[plugin.name];
        if plugin.digest == entry.component {
            lines.push(format!("{}: the same bytes", plugin.name));
            continue;
        }
        let scratch = scratch_folder(project).join(format!("{}.wasm", plugin.name));
        write_file(&scratch, &plugin.bytes)?;
        lines.push(format!(
            "{}: committed {} bytes {}, here {} bytes {}, kept as {}",
            plugin.name,
            entry.size,
            entry.component,
            plugin.size,
            plugin.digest,
            scratch.display(),
        ));
        if same_toolchain {
            bail!(
                "the toolchain of the manifest gives other bytes\n{}\n{REBUILD}",
                lines.join("\n")
            );
        }
    }
    if same_toolchain {
        return Ok(Report::Same);
    }
    Ok(Report::OtherToolchain {
        toolchain: found.toolchain.to_string(),
        lines,
    })
}

/// Compares what is committed with itself: needs no compiler.
fn check_digests(project: &Path, manifest: &Manifest) -> Result<()> {
    let listed: Vec<&str> = manifest.components.keys().map(String::as_str).collect();
    ensure!(
        listed == PLUGINS,
        "plugins/components/manifest.json lists {listed:?} instead of {PLUGINS:?}; {REBUILD}"
    );
    for (name, digest) in source_digests(project)? {
        let entry = &manifest.components[name];
        ensure!(
            entry.sources == digest,
            "the sources of plugin {name} changed since its component was built; {REBUILD}"
        );
        let path = component_path(project, name);
        let bytes = std::fs::read(&path)
            .with_context(|| format!("failed to read {}; {REBUILD}", path.display()))?;
        ensure!(
            sources::digest(&bytes) == entry.component,
            "plugins/components/{name}.wasm is not the one that the manifest names; {REBUILD}"
        );
    }
    Ok(())
}

/// Builds core modules with cargo and makes components of them.
fn build(project: &Path, found: &Found) -> Result<Vec<Built>> {
    let target = guest_target(project);
    let cargo_home = cargo_home()?;
    let mut cargo = found.cargo();
    wrapper::install(&mut cargo).context("failed to find this program's own file")?;
    let status = cargo
        .current_dir(project.join("plugins"))
        .env("CARGO_TARGET_DIR", &target)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            toolchain::remap_flags(project, &cargo_home, found)?,
        )
        .args(["build", "--release", "--locked", "--lib", "--workspace"])
        .args(found.build_arguments())
        .args(["--target", toolchain::TARGET])
        .status()
        .context("failed to start cargo for the plugins")?;
    ensure!(
        status.success(),
        "cargo failed to build the plugins: {status}"
    );
    let private = private_words(project, &cargo_home);
    PLUGINS
        .iter()
        .map(|name| {
            let module = target
                .join(toolchain::TARGET)
                .join("release")
                .join(format!("{}.wasm", crate_name(name)));
            let core = std::fs::read(&module)
                .with_context(|| format!("failed to read {}", module.display()))?;
            let bytes = ComponentEncoder::default()
                .validate(true)
                .module(&core)
                .and_then(|mut encoder| encoder.encode())
                .with_context(|| format!("failed to make a component of {}", module.display()))?;
            scan(name, &bytes, &private)?;
            Ok(Built {
                name,
                digest: sources::digest(&bytes),
                size: bytes.len(),
                bytes,
            })
        })
        .collect()
}

/// Words that would tell where a component was built.
fn private_words(project: &Path, cargo_home: &Path) -> Vec<String> {
    let mut words: Vec<String> = [project, cargo_home]
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    words.extend(std::env::home_dir().map(|home| format!("{}/", home.display())));
    words.extend(
        [
            "/home/",
            "/root/",
            "/usr/",
            "/tmp/",
            "/Users/",
            "registry/src",
            "index.crates",
        ]
        .map(str::to_owned),
    );
    words.extend(
        std::fs::read_to_string("/etc/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            // A short name would be found by chance.
            .filter(|name| name.len() >= 8),
    );
    words
}

fn scan(name: &str, bytes: &[u8], private: &[String]) -> Result<()> {
    for word in private {
        let found = bytes
            .windows(word.len())
            .position(|window| window == word.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(40)..bytes.len().min(at + word.len() + 80)];
            bail!(
                "component {name} tells where it was built, {word:?} at byte {at}: {:?}",
                String::from_utf8_lossy(around)
            );
        }
    }
    Ok(())
}

fn source_digests(project: &Path) -> Result<BTreeMap<&'static str, String>> {
    PLUGINS
        .iter()
        .map(|name| Ok((*name, sources::digest_of_plugin(project, name)?)))
        .collect()
}

fn read_manifest(project: &Path) -> Result<Manifest> {
    let path = manifest_path(project);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}; {REBUILD}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("failed to read {}; {REBUILD}", path.display()))
}

fn manifest_path(project: &Path) -> PathBuf {
    project.join("plugins/components/manifest.json")
}

fn component_path(project: &Path, name: &str) -> PathBuf {
    project
        .join("plugins/components")
        .join(format!("{name}.wasm"))
}

/// Where guests are built: apart from the host, because their flags differ.
fn guest_target(project: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => project.join(target).join("guests"),
        None => project.join("plugins/target"),
    }
}

fn scratch_folder(project: &Path) -> PathBuf {
    guest_target(project).join("components")
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("failed to find the home folder")?;
    Ok(home.join(".cargo"))
}

fn project_root() -> Result<PathBuf> {
    let root = Project::find()?.root;
    root.canonicalize()
        .with_context(|| format!("failed to find {}", root.display()))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}

/// Runs a program for its first line of output; none if it cannot be run or fails.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_finds_a_path_of_the_builder() {
        let private = private_words(Path::new("/srv/wavegate"), Path::new("/srv/cargo"));
        assert!(scan("x", b"..src/lib.rs..", &private).is_ok());
        assert!(scan("x", b"../srv/wavegate/src/lib.rs", &private).is_err());
        assert!(scan("x", b"/usr/lib/rustlib/src", &private).is_err());
    }

    #[test]
    fn committed_components_belong_to_their_sources() {
        let project = project_root().expect("project");
        let manifest = read_manifest(&project).expect("manifest");
        check_digests(&project, &manifest).expect("digests");
    }
}
