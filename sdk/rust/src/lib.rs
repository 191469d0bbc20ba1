//! Write Wavegate plugins in Rust.
//!
//! A plugin is a Wasm component that answers one question: a [`Strategy`] says what a site
//! should look like next, a [`Gate`] says whether what runs is healthy. Implement one of the
//! two traits, export it with [`export_strategy!`] or [`export_gate!`], and build for
//! `wasm32-unknown-unknown`.
//!
//! **Owns** the Rust face of the contract in `wit/`: the types, typed configuration and
//! state, logging, access to evidence, and a [`harness`] that runs a plugin's logic in an
//! ordinary unit test.
//!
//! **Does not own** any policy: limits, repetition, budgets and rollback are the host's, and
//! a plugin that ignores them is bounded all the same.
//!
//! **Start** with [`Strategy`] or [`Gate`], then with [`harness`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wavegate_sdk::{About, Failure, Outcome, Problem, Release, SiteSummary, SiteView, Stage, Strategy, shares};
//!
//! /// Replaces everything at once.
//! struct AllAtOnce;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {}
//!
//! impl Strategy for AllAtOnce {
//!     type Config = Config;
//!     type State = ();
//!
//!     fn describe() -> About {
//!         About {
//!             name: "all-at-once".into(),
//!             version: "1.0.0".into(),
//!             state_version: 1,
//!             config_schema: r#"{"type":"object","additionalProperties":false}"#.into(),
//!             text: "Replaces every node at once.".into(),
//!         }
//!     }
//!
//!     fn outline(_: &SiteSummary, release: &Release, _: &Config) -> Result<Vec<Stage>, Failure> {
//!         Ok(vec![Stage { name: "all".into(), text: format!("every node goes to {}", release.version) }])
//!     }
//!
//!     fn decide(view: &SiteView, _: &Config, (): ()) -> Result<Outcome<()>, Failure> {
//!         let all: Vec<u32> = view.clusters.iter().map(|cluster| cluster.desired).collect();
//!         let goal = shares::goal_by_capacity(&view.clusters, &all);
//!         if shares::reached(view, &goal) {
//!             return Ok(Outcome::done("all", "every node is on the release", ()));
//!         }
//!         Ok(Outcome::go(goal, "all", "every node at once", ()))
//!     }
//! }
//!
//! wavegate_sdk::export_strategy!(AllAtOnce);
//! # fn main() {}
//! ```

// The export macros name this crate by its own name, also inside its documentation tests.
extern crate self as wavegate_sdk;

#[cfg(any(target_arch = "wasm32", test))]
mod arena;
#[doc(hidden)]
pub mod bindings;
mod codec;
mod evidence;
mod finding;
mod gate;
#[cfg(not(target_arch = "wasm32"))]
pub mod harness;
pub mod log;
pub mod query;
pub mod shares;
mod strategy;
pub mod units;

pub use evidence::{Cohort, Evidence, ask};
pub use finding::{Finding, cluster_verdict};
pub use gate::{Evaluation, Gate, PHASES, worst};
pub use strategy::{Outcome, Strategy};

#[doc(hidden)]
pub use evidence::HostEvidence;
#[doc(hidden)]
pub use gate::GateExport;
#[doc(hidden)]
pub use strategy::StrategyExport;

/// What the host hands a strategy, and what it gets back.
pub use bindings::strategy::exports::wavegate::plugin::strategy::{
    ClusterGoal, ClusterSummary, ClusterView, Decision, GateView, Goal, Position, SiteSummary,
    SiteView, Stage,
};
/// Types that both kinds of plugin use.
pub use bindings::strategy::wavegate::plugin::types::{
    About, Extension, Failure, Problem, Release, Verdict,
};

/// What the host hands a gate, and what it gets back.
pub use bindings::gate::exports::wavegate::plugin::gate::{
    ClusterVerdict, GateAbout, GateCall, GateCluster, Measurement, Slot, Subject,
};
/// Evidence of every kind at once: questions and answers of [`Evidence::ask`].
pub use bindings::gate::wavegate::plugin::evidence::{
    Answer, GetQuestion, InstantQuestion, Question, RangeQuestion, SummaryQuestion,
};
/// Evidence: an answer of a slot of kind `http`.
pub use bindings::gate::wavegate::plugin::http::Response;
/// Evidence: answers of a slot of kind `metrics`.
pub use bindings::gate::wavegate::plugin::metrics::{Sample, Series};
/// Evidence: answers of a slot of kind `probes`.
pub use bindings::gate::wavegate::plugin::probes::{ProbeSummary, Requests};

/// Failure code for a configuration that cannot be read.
pub const BAD_CONFIG: &str = "bad-config";
/// Failure code for state bytes that cannot be read.
pub const BAD_STATE: &str = "bad-state";

/// Makes a failure that asking again with the same input will not cure.
///
/// `code` is a short kebab-case word for programs, `message` a sentence for people.
pub fn failure(code: &str, message: impl Into<String>) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        retryable: false,
        details: Vec::new(),
    }
}

/// Makes a problem in a configuration; `pointer` is a JSON pointer such as `/stages/1/nodes`.
pub fn problem(pointer: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem {
        pointer: pointer.into(),
        message: message.into(),
    }
}

/// Exports a [`Strategy`] from a crate of type `cdylib`.
///
/// Does nothing on targets other than Wasm, so that the crate can be tested natively.
#[macro_export]
macro_rules! export_strategy {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[doc(hidden)]
        mod __wavegate_export {
            use super::*;
            type Exported = $crate::StrategyExport<$plugin>;
            $crate::bindings::strategy::export!(Exported with_types_in $crate::bindings::strategy);
        }
    };
}

/// Exports a [`Gate`] from a crate of type `cdylib`.
///
/// Does nothing on targets other than Wasm, so that the crate can be tested natively.
#[macro_export]
macro_rules! export_gate {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[doc(hidden)]
        mod __wavegate_export {
            use super::*;
            type Exported = $crate::GateExport<$plugin>;
            $crate::bindings::gate::export!(Exported with_types_in $crate::bindings::gate);
        }
    };
}

/// Keeps the examples of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
