//! Finds a compiler for guests.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::first_line;

/// The target of guests: no WASI, nothing imported but the contract.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// The version in the root manifest; a test keeps the two together.
const WIT_COMPONENT: &str = "0.254.2";

const SYSTEM_CARGO: &str = "/usr/bin/cargo";
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";
const SYSTEM_LINKER: &str = "wasm-ld-19";

const HINT: &str = "no compiler for wasm32-unknown-unknown was found; \
    run `rustup target add wasm32-unknown-unknown`, or on Debian \
    `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-19`";

/// What decides the bytes of a component beside its sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Toolchain {
    compiler: String,
    /// Where the standard library came from.
    std: String,
    linker: String,
    wit_component: String,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            compiler,
            std,
            linker,
            wit_component,
        } = self;
        write!(
            f,
            "{compiler}; std {std}; {linker}; wit-component {wit_component}"
        )
    }
}

/// Where a toolchain was found, which says how to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The cargo that runs this program has the target installed.
    Installed,
    /// The system's compiler, which builds the standard library from its sources.
    System { std_source: PathBuf },
}

/// A toolchain that can build guests.
#[derive(Clone, Debug)]
pub(super) struct Found {
    kind: Kind,
    pub(super) toolchain: Toolchain,
}

/// Finds a toolchain, if possible the wanted one; else says what to install.
pub(super) fn find(wanted: Option<&Toolchain>) -> Result<Found, String> {
    let candidates: Vec<Found> = [installed(), system()].into_iter().flatten().collect();
    candidates
        .iter()
        .find(|found| Some(&found.toolchain) == wanted)
        .or(candidates.first())
        .cloned()
        .ok_or_else(|| HINT.to_owned())
}

fn installed() -> Option<Found> {
    let libraries = first_line(own_rustc().args(["--print", "target-libdir", "--target", TARGET]))?;
    let has_std = std::fs::read_dir(libraries)
        .ok()?
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"));
    if !has_std {
        return None;
    }
    let compiler = first_line(own_rustc().arg("--version"))?;
    Some(Found {
        kind: Kind::Installed,
        toolchain: Toolchain {
            std: "as shipped with the compiler".to_owned(),
            linker: "rust-lld as shipped with the compiler".to_owned(),
            compiler,
            wit_component: WIT_COMPONENT.to_owned(),
        },
    })
}

fn system() -> Option<Found> {
    let sysroot = first_line(Command::new(SYSTEM_RUSTC).args(["--print", "sysroot"]))?;
    let std_source = Path::new(&sysroot).join("lib/rustlib/src/rust");
    let complete = std_source.join("library/std/src/lib.rs").is_file();
    let cargo = first_line(Command::new(SYSTEM_CARGO).arg("--version"))?;
    let compiler = first_line(Command::new(SYSTEM_RUSTC).arg("--version"))?;
    let linker = first_line(Command::new(SYSTEM_LINKER).arg("--version"))?;
    // A cargo of another release does not know how this standard library is built.
    let release = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    if !complete || release(&cargo) != release(&compiler) {
        return None;
    }
    Some(Found {
        kind: Kind::System { std_source },
        toolchain: Toolchain {
            std: "built from the compiler's own sources".to_owned(),
            linker,
            compiler,
            wit_component: WIT_COMPONENT.to_owned(),
        },
    })
}

/// The compiler beside the cargo that runs this program.
fn own_rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

impl Found {
    /// A call of cargo with nothing left over from the cargo that runs this program.
    pub(super) fn cargo(&self) -> Command {
        let mut command = match self.kind {
            Kind::Installed => {
                Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            }
            Kind::System { .. } => Command::new(SYSTEM_CARGO),
        };
        for (name, _) in std::env::vars_os() {
            if steers_cargo(&name) {
                command.env_remove(name);
            }
        }
        if self.kind != Kind::Installed {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut folders = vec![PathBuf::from("/usr/bin")];
            folders.extend(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(folders) {
                command.env("PATH", path);
            }
            command
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("RUSTC", SYSTEM_RUSTC)
                // Building the standard library is not stable; it is the way of the
                // distribution's own packages.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", SYSTEM_LINKER);
        }
        command.env("CARGO_INCREMENTAL", "0");
        command
    }

    pub(super) fn build_arguments(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Installed => &[],
            Kind::System { .. } => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

/// Variables that would change what cargo builds. Where crates come from stays as it is.
fn steers_cargo(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    let prefixes = [
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_BUILD_",
        "CARGO_PKG_",
        "CARGO_UNSTABLE_",
    ];
    let names = [
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_BOOTSTRAP",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
    ];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || names.contains(&&*name)
}

/// Flags, in cargo's encoding, that keep paths of this machine out of panic messages.
pub(super) fn remap_flags(project: &Path, cargo_home: &Path, found: &Found) -> Result<OsString> {
    // The last match wins, so what is more precise comes later.
    let mut flags = vec![remap(project, "/wavegate")];
    let registry = cargo_home.join("registry/src");
    let mut indexes: Vec<PathBuf> = match std::fs::read_dir(&registry) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        // Nothing was downloaded yet; the scan would find what is missing here.
        Err(_) => Vec::new(),
    };
    indexes.sort();
    // Each index has a folder with its host in the name.
    flags.extend(indexes.iter().map(|index| remap(index, "/crates")));
    if let Kind::System { std_source } = &found.kind {
        flags.push(remap(std_source, "/rust"));
        let real = std_source
            .canonicalize()
            .with_context(|| format!("failed to follow {}", std_source.display()))?;
        flags.push(remap(&real, "/rust"));
    }
    Ok(flags.join(&OsString::from("\u{1f}")))
}

fn remap(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_the_encoder_that_is_used() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("wit-component = \"={WIT_COMPONENT}\"")));
    }

    #[test]
    fn flags_of_the_outer_build_do_not_reach_the_guests() {
        for name in ["RUSTFLAGS", "CARGO_PROFILE_RELEASE_LTO", "CARGO_TARGET_DIR"] {
            assert!(steers_cargo(&name.into()), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_REGISTRIES_X_INDEX", "PATH"] {
            assert!(!steers_cargo(&name.into()), "{name}");
        }
    }
}
