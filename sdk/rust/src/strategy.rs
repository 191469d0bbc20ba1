//! The trait of a strategy and its export.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::strategy::exports::wavegate::plugin::strategy as contract;
use crate::codec::{check_config, read_config, read_state, write_state};
use crate::{
    About, Decision, Extension, Failure, Goal, Problem, Release, SiteSummary, SiteView, Stage,
};

/// A strategy: says what a site should look like next.
///
/// The host asks [`decide`](Strategy::decide) again whenever the last answer has been carried
/// out. It carries a goal out in batches within the policy's limits, so a strategy says where
/// to go and not how fast. Nothing is kept in the plugin between calls but the state that it
/// returned.
pub trait Strategy {
    /// The configuration, read from the JSON that the policy holds.
    type Config: DeserializeOwned;
    /// What is remembered from call to call, stored as JSON, 64 KiB at most. The default is
    /// the state of the first call. Raise `state_version` in [`About`] when its form changes.
    type State: Serialize + DeserializeOwned + Default;

    /// Says what the plugin is. Must always answer the same.
    fn describe() -> About;

    /// Checks what the JSON Schema cannot say. An empty list means that all is well.
    fn validate_config(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// The stages that the strategy means to go through, shown before a rollout starts.
    fn outline(
        site: &SiteSummary,
        release: &Release,
        config: &Self::Config,
    ) -> Result<Vec<Stage>, Failure>;

    /// What the site should look like next.
    fn decide(
        view: &SiteView,
        config: &Self::Config,
        state: Self::State,
    ) -> Result<Outcome<Self::State>, Failure>;
}

/// A decision and what goes with it, with a typed state.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<S> {
    /// The decision.
    pub decision: Decision,
    /// The stage that the site is in from now on, for people and for `stage_elapsed_ms`.
    pub stage: String,
    /// Why, in a sentence.
    pub reason: String,
    /// The state to get back at the next call.
    pub state: S,
    /// Namespaced additions; most strategies leave this empty.
    pub extensions: Vec<Extension>,
}

impl<S> Outcome<S> {
    /// Any decision, with its stage, the reason and the next state.
    pub fn new(
        decision: Decision,
        stage: impl Into<String>,
        reason: impl Into<String>,
        state: S,
    ) -> Self {
        Self {
            decision,
            stage: stage.into(),
            reason: reason.into(),
            state,
            extensions: Vec::new(),
        }
    }

    /// Go to this goal.
    pub fn go(goal: Goal, stage: impl Into<String>, reason: impl Into<String>, state: S) -> Self {
        Self::new(Decision::Go(goal), stage, reason, state)
    }

    /// Wait until these gates have passed for the site as it is now.
    pub fn wait_gates(
        gates: Vec<String>,
        stage: impl Into<String>,
        reason: impl Into<String>,
        state: S,
    ) -> Self {
        Self::new(Decision::WaitGates(gates), stage, reason, state)
    }

    /// The site is done.
    pub fn done(stage: impl Into<String>, reason: impl Into<String>, state: S) -> Self {
        Self::new(Decision::Done, stage, reason, state)
    }
}

/// Encodes a call of [`Strategy::decide`] as the contract does.
pub(crate) fn decide_encoded<T: Strategy>(
    view: &SiteView,
    config: &str,
    state: &[u8],
) -> Result<contract::Outcome, Failure> {
    let config = read_config(config)?;
    let outcome = T::decide(view, &config, read_state(state)?)?;
    Ok(contract::Outcome {
        decision: outcome.decision,
        stage: outcome.stage,
        reason: outcome.reason,
        state: write_state(&outcome.state)?,
        extensions: outcome.extensions,
    })
}

pub(crate) fn outline_encoded<T: Strategy>(
    site: &SiteSummary,
    release: &Release,
    config: &str,
) -> Result<Vec<Stage>, Failure> {
    T::outline(site, release, &read_config(config)?)
}

pub(crate) fn validate_encoded<T: Strategy>(config: &str) -> Vec<Problem> {
    check_config(config, T::validate_config)
}

/// Carries a [`Strategy`] over the contract; used by [`export_strategy!`](crate::export_strategy).
#[doc(hidden)]
pub struct StrategyExport<T>(core::marker::PhantomData<T>);

#[cfg(target_arch = "wasm32")]
impl<T: Strategy> contract::Guest for StrategyExport<T> {
    fn describe() -> Result<About, Failure> {
        crate::log::catch_panics();
        Ok(T::describe())
    }

    fn validate_config(config: String) -> Result<Vec<Problem>, Failure> {
        crate::log::catch_panics();
        Ok(validate_encoded::<T>(&config))
    }

    fn outline(site: SiteSummary, release: Release, config: String) -> Result<Vec<Stage>, Failure> {
        crate::log::catch_panics();
        outline_encoded::<T>(&site, &release, &config)
    }

    fn decide(
        view: SiteView,
        config: String,
        state: Vec<u8>,
    ) -> Result<contract::Outcome, Failure> {
        crate::log::catch_panics();
        decide_encoded::<T>(&view, &config, &state)
    }
}
