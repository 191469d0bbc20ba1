//! `plugin new` and `plugin build`: a project for a plugin, and the component that it gives.
//!
//! **Owns** the templates (the worked examples of `sdk/`), where each language's tools are found,
//! and how their output becomes a component.
//! **Does not own** what a component must be: the plugin host says so, and `plugin test` asks it.
//! **Start** with [`new()`] and [`build()`].

mod build;
mod component;
mod files;
mod language;
mod new;
mod project;
mod tools;

pub(crate) use build::build;
pub(crate) use language::{Kind, Language};
pub(crate) use new::new;
