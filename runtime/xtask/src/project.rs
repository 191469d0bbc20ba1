//! Where the project is, and commands that run inside it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

/// The project's folders.
pub(crate) struct Project {
    /// The top folder of the checkout.
    pub(crate) root: PathBuf,
    /// The one folder for everything that is built, tools included.
    pub(crate) target: PathBuf,
}

impl Project {
    /// Asks the environment that `cargo xtask` sets, so that a binary built in one checkout
    /// and run in another works on the one that it was called in.
    pub(crate) fn find() -> Result<Project> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .context("failed to find the project (hint: run it as `cargo xtask`)")?;
        let root = Path::new(&manifest)
            .ancestors()
            .nth(2)
            .context("failed to find the top folder of the project")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Project { root, target })
    }

    /// A command that runs in the top folder, without what `cargo run` told this process about
    /// the package `xtask`: a build script must not see it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            let of_package = name.to_str().is_some_and(|name| {
                ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            });
            if of_package {
                command.env_remove(&name);
            }
        }
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Cargo with the same toolchain that built this binary.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.arg(subcommand);
        command
    }

    /// Cargo for the workspace of the plugins.
    /// It has other compiler settings, so its artifacts get a folder apart inside the one.
    pub(crate) fn plugins_cargo(&self, subcommand: &str) -> Command {
        let mut command = self.cargo(subcommand);
        command
            .arg("--manifest-path")
            .arg(self.plugins_manifest())
            .env("CARGO_TARGET_DIR", self.target.join("plugins"));
        command
    }

    /// The manifest of the workspace of the plugins.
    pub(crate) fn plugins_manifest(&self) -> PathBuf {
        self.root.join("plugins/Cargo.toml")
    }

    /// What cargo knows about the workspace, without its dependencies.
    pub(crate) fn metadata(&self) -> Result<cargo_metadata::Metadata> {
        cargo_metadata::MetadataCommand::new()
            .manifest_path(self.root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .map_err(|error| anyhow!("failed to read the workspace: {error}"))
    }
}
