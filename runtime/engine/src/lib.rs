//! The pure state machine that decides a rollout: ordering, batching, limits, soak, failure,
//! rollback, explanation, audit.
//!
//! **Owns:** every decision. Inputs go in, facts and commands come out.
//!
//! **Does not own:** any effect. It never awaits, reads a clock, randomness, the environment or
//! a file, and never logs. It knows no strategy by name: what a strategy proposes is data.
//!
//! **Start at** [`Engine::step`]. [`decide`](mod@decide) turns an input into facts, [`site`] says what a
//! site does next, [`apply`](mod@apply) is the only thing that changes the [`State`],
//! [`explain`] says why nothing moves, and [`audit`] checks the invariants without sharing
//! code with any of them.
#![no_std]

extern crate alloc;

pub mod agenda;
pub mod apply;
pub mod approvals;
pub mod audit;
pub mod batch;
pub mod command;
pub mod decide;
pub mod demand;
pub mod evidence;
pub mod explain;
pub mod fact;
pub mod failure;
pub mod fits;
pub mod gates;
pub mod guard;
pub mod input;
pub mod moving;
pub mod question;
pub mod replan;
pub mod site;
pub mod soak;
pub mod spec;
pub mod state;
pub mod swap;
pub mod traffic;
pub mod waiting;
pub mod wave;

pub use command::{Command, Effect};
pub use decide::{Engine, Step};
pub use fact::{End, Fact};
pub use input::{Answer, Input, Observation, Request, Verb};
pub use spec::{Capabilities, Origin, Pins, Spec};
pub use state::State;
pub use waiting::WaitingOn;
