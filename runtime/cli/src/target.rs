//! Files that a command writes besides its data: checked before the work that they are to hold,
//! and there as a whole or not at all.

use crate::exit::{Failure, Result};
use anyhow::Context as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is written anew.
    Replace,
    /// It is kept, and the command refused.
    Keep,
}

/// A file that can be written.
#[derive(Debug)]
pub(crate) struct Target {
    named: PathBuf,
    /// Where it is, through all links.
    place: PathBuf,
    /// Devices and pipes are not replaced.
    regular: bool,
}

impl Target {
    /// Checks what a flag names; `inputs` are the files and folders that the command reads.
    pub(crate) fn check(
        flag: &str,
        named: &Path,
        existing: Existing,
        inputs: &[PathBuf],
    ) -> Result<Self> {
        let shown = named.display();
        if named == Path::new("-") {
            return Err(
                Failure::usage(format!("{flag} names a file, and `-` is none"))
                    .hint("results go to standard output by themselves"),
            );
        }
        let known = fs::metadata(named).ok();
        if known.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(
                Failure::usage(format!("{flag} {shown}: it is a folder")).hint("name a file in it")
            );
        }
        if known.is_some() && is_input(named, inputs) {
            return Err(
                Failure::usage(format!("{flag} {shown}: it is a file that is read"))
                    .hint("name another file"),
            );
        }
        if known.is_some() && existing == Existing::Keep {
            return Err(
                Failure::usage(format!("{flag} {shown}: it is there already"))
                    .hint("name another file, or say --force to write it anew"),
            );
        }
        let target = Self {
            place: named.canonicalize().unwrap_or_else(|_| named.to_owned()),
            regular: known.is_none_or(|known| known.is_file()),
            named: named.to_owned(),
        };
        target.can_be_written().map_err(|error| {
            let failure = Failure::usage(format!("{flag} {shown}: cannot write it: {error}"));
            match error.kind() {
                ErrorKind::NotFound => failure.hint("its folder has to be there"),
                _ => failure.hint("name a file that can be written"),
            }
        })?;
        Ok(target)
    }

    fn can_be_written(&self) -> std::io::Result<()> {
        if self.place.exists() {
            OpenOptions::new().write(true).open(&self.place)?;
        }
        if self.regular {
            let beside = self.beside();
            File::create(&beside)?;
            fs::remove_file(&beside)?;
        }
        Ok(())
    }

    /// A file of this process in the same folder, so that it can take the name.
    fn beside(&self) -> PathBuf {
        let name = self.place.file_name().unwrap_or_default();
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        self.place.with_file_name(name)
    }

    /// Writes the file.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        let written = if self.regular {
            self.replace(text)
        } else {
            fs::write(&self.place, text)
        };
        written.with_context(|| format!("failed to write {}", self.named.display()))?;
        Ok(())
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let beside = self.beside();
        let written = File::create(&beside).and_then(|mut file| {
            if let Ok(before) = fs::metadata(&self.place) {
                file.set_permissions(before.permissions())?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let done = written.and_then(|()| fs::rename(&beside, &self.place));
        if done.is_err() {
            // It may not be there; what went wrong before is what is told.
            let _ = fs::remove_file(&beside);
        }
        done
    }
}

/// Whether a file is one of these, or a document in one of these folders.
fn is_input(file: &Path, inputs: &[PathBuf]) -> bool {
    let Ok(file) = file.canonicalize() else {
        return false;
    };
    let is_document = file
        .extension()
        .is_some_and(|end| end == "yaml" || end == "yml");
    inputs
        .iter()
        .filter_map(|input| input.canonicalize().ok())
        .any(|input| input == file || (is_document && file.parent() == Some(&input)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused_before_the_work() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("policy.yaml"), "input").expect("it is ours");
        fs::write(at("old.html"), "old").expect("it is ours");
        let inputs = [folder.path().to_owned()];
        let check = |path: &Path, existing| Target::check("--html", path, existing, &inputs);
        let refused = |path: &Path, existing, says: &str| {
            let failure = check(path, existing).expect_err("it is refused");
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
            let told = format!("{:#}", failure.error);
            assert!(told.contains(says), "{told}");
            assert!(failure.hint.is_some(), "{told}");
        };
        refused(Path::new("-"), Existing::Replace, "`-` is none");
        refused(folder.path(), Existing::Replace, "it is a folder");
        refused(&at("nodir/x.html"), Existing::Replace, "cannot write it");
        refused(&at("policy.yaml"), Existing::Replace, "that is read");
        refused(&at("old.html"), Existing::Keep, "there already");
        assert_eq!(fs::read_to_string(at("old.html")).expect("kept"), "old");

        for name in ["old.html", "new.html"] {
            let target = check(&at(name), Existing::Replace).expect("it can be written");
            target.write("text").expect("it is written");
            assert_eq!(fs::read_to_string(at(name)).expect("there"), "text");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("ours").count(), 3);
    }
}
