//! The documents: YAML files that say what is rolled out, over what, and how.
//!
//! **Owns:** the text format (`apiVersion: wavegate.dev/v1alpha1`; kinds `Fleet`, `RolloutPolicy`,
//! `Release`, `Rollout`, `Source`), its defaults, its diagnostics with file, line, column and
//! snippet, and the pure function from a policy and a fleet to a plan.
//!
//! **Does not own:** what a plugin or a driver accepts as its configuration. They find problems
//! in JSON, and [`Documents::map_plugin_problems`] finds the line.
//!
//! **Start at** [`Documents::load`] and [`Documents::resolve`]; the fields of each kind are in
//! `shapes`, their readers in `kinds`, every default with its reason in `defaults`.

mod configuration;
mod defaults;
mod diagnostic;
mod documents;
mod fields;
mod kinds;
mod mapping;
mod node;
mod over;
mod parse;
mod plan;
mod render;
mod resolve;
mod schema;
mod selection;
mod shape;
mod shapes;
mod source;
mod suggest;
mod values;
pub mod windows;

pub use configuration::Configuration;
pub use diagnostic::{Code, Colour, Diagnostic, Diagnostics, Severity};
pub use documents::Documents;
pub use mapping::Location;
pub use over::Recorded;
pub use plan::Placement;
pub use resolve::{Folders, Reread, ResolvedRollout};
pub use schema::{kinds, schema, schema_of_all};
