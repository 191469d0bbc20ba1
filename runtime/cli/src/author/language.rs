//! The languages, and the kinds of plugin.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    /// Rust.
    Rust,
    /// TypeScript, on the engine QuickJS.
    Typescript,
    /// JavaScript, on the engine QuickJS.
    Javascript,
    /// Python.
    Python,
    /// Go.
    Go,
    /// C.
    C,
    /// The text format of Wasm, by hand; there is no template for it.
    #[value(skip)]
    Wat,
}

impl Language {
    /// The word for it in files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Typescript => "typescript",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::Go => "go",
            Self::C => "c",
            Self::Wat => "wat",
        }
    }

    /// The folder of its SDK under `sdk/`.
    pub(crate) fn sdk(self) -> &'static str {
        match self {
            Self::Typescript | Self::Javascript => "javascript",
            other => other.word(),
        }
    }

    /// The folder of the worked example of a kind, under `sdk/` and the SDK's folder.
    pub(crate) fn example(self, kind: Kind) -> String {
        match self {
            Self::Javascript => format!("examples/{}-js", kind.word()),
            _ => format!("examples/{}", kind.word()),
        }
    }

    /// The resource class that its components need; the smallest needs no words.
    pub(crate) fn class(self) -> Option<&'static str> {
        match self {
            Self::Rust | Self::C | Self::Wat => None,
            Self::Typescript | Self::Javascript | Self::Go => Some("medium"),
            Self::Python => Some("large"),
        }
    }

    /// The file that an author changes.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Typescript => "plugin.ts",
            Self::Javascript => "plugin.js",
            Self::Python => "plugin.py",
            Self::Go => "main.go",
            Self::C => "plugin.c",
            Self::Wat => "plugin.wat",
        }
    }

    /// How an author runs the tests of a project.
    pub(crate) fn test_command(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Typescript => "npm install && npm test",
            Self::Javascript => "npm test",
            Self::Go => "go test ./...",
            Self::Python | Self::C => "make test",
            Self::Wat => "wavegate plugin test .",
        }
    }
}

/// What a plugin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Says what a site should look like next.
    Strategy,
    /// Says whether what runs is healthy.
    Gate,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Gate => "gate",
        }
    }

    /// The world of the contract.
    pub(crate) fn world(self) -> &'static str {
        match self {
            Self::Strategy => "strategy-plugin",
            Self::Gate => "gate-plugin",
        }
    }

    /// The name of the worked example, which `plugin new` replaces.
    pub(crate) fn example_name(self) -> &'static str {
        match self {
            Self::Strategy => "stepwise",
            Self::Gate => "ceiling",
        }
    }
}
