//! Stands between cargo and the compiler while guests are built.
//!
//! Cargo gives each crate a number, which decides the order of functions in the module. For
//! a crate outside the workspace that number is made from its absolute path, and the SDK is
//! outside the workspace of the plugins. So for our own crates it is replaced by one that is
//! the same in every folder. Crates from a registry keep theirs: it has no path in it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use super::{PLUGINS, crate_name};
use crate::run::in_place_of;

/// Set for the compiler calls of a guest build, and nowhere else.
const MARK: &str = "WAVEGATE_GUEST_BUILD";

/// Makes cargo call the compiler through this program.
pub(super) fn install(cargo: &mut Command) -> std::io::Result<()> {
    cargo
        .env("RUSTC_WRAPPER", std::env::current_exe()?)
        .env(MARK, "1");
    Ok(())
}

/// Calls the compiler, if that is what this process was started for.
pub(crate) fn run() -> Option<ExitCode> {
    std::env::var_os(MARK)?;
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next()?;
    Some(in_place_of(
        Command::new(compiler).args(fixed(arguments.collect())),
    ))
}

/// The arguments with the number of one of our own crates replaced.
fn fixed(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments
        .iter()
        .position(|argument| argument == "--crate-name")
        .and_then(|at| arguments.get(at + 1))
        .and_then(|name| name.to_str())
        .filter(|name| {
            let is_plugin = PLUGINS.iter().any(|plugin| crate_name(plugin) == **name);
            *name == "wavegate_sdk" || is_plugin
        });
    let Some(name) = name else {
        return arguments;
    };
    let metadata = OsString::from(format!("metadata=wavegate-{name}"));
    for argument in &mut arguments {
        if argument
            .to_str()
            .is_some_and(|text| text.starts_with("metadata="))
        {
            argument.clone_from(&metadata);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: &[&str]) {
        assert_eq!(
            fixed(arguments.iter().map(OsString::from).collect()),
            expected
        );
    }

    #[test]
    fn only_our_own_crates_get_a_number_of_ours() {
        check(
            &[
                "--crate-name",
                "canary",
                "-C",
                "metadata=12ab",
                "-C",
                "extra-filename=-12ab",
            ],
            &[
                "--crate-name",
                "canary",
                "-C",
                "metadata=wavegate-canary",
                "-C",
                "extra-filename=-12ab",
            ],
        );
        let other = ["--crate-name", "serde", "-C", "metadata=12ab"];
        check(&other, &other);
        check(&["-vV"], &["-vV"]);
    }
}
