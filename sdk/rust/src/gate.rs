//! The trait of a gate and its export.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gate::exports::wavegate::plugin::gate as contract;
use crate::codec::{check_config, read_config, read_state, write_state};
use crate::{
    ClusterVerdict, Evidence, Extension, Failure, GateAbout, GateCall, Measurement, Problem,
    Verdict,
};

/// A gate: judges whether what runs is healthy.
///
/// A gate judges one evaluation. Counting failures, budgets and repetitions is the host's
/// work. What the gate knows it asks for through [`Evidence`]; where an answer is missing the
/// host ends the call, fetches it, and starts the call again from the beginning, so a gate
/// must ask the same questions when it is called with the same input. There are at most 16
/// rounds; questions that are asked at once ([`Evidence::summaries`], [`Evidence::instants`],
/// [`Evidence::ranges`]) take one, up to 1,024 answers in all.
pub trait Gate {
    /// The configuration, read from the JSON that the policy holds.
    type Config: DeserializeOwned;
    /// What is remembered from call to call, stored as JSON, 64 KiB at most. The default is
    /// the state of the first call. Raise `state_version` in `About` when its form changes.
    type State: Serialize + DeserializeOwned + Default;

    /// Says what the plugin is and which sources it needs. Must always answer the same.
    fn describe() -> GateAbout;

    /// Checks what the JSON Schema cannot say. An empty list means that all is well.
    fn validate_config(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Judges once. Answer [`Verdict::Hold`] to a phase that you do not know.
    fn evaluate(
        call: &GateCall,
        config: &Self::Config,
        state: Self::State,
        evidence: &impl Evidence,
    ) -> Result<Evaluation<Self::State>, Failure>;
}

/// The answer of a gate, with a typed state.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation<S> {
    /// The verdict for the subject. The host takes the worst of this and `clusters`.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// Verdicts by cluster; empty if the gate does not tell clusters apart.
    pub clusters: Vec<ClusterVerdict>,
    /// What was measured, and the limits it was held against.
    pub measurements: Vec<Measurement>,
    /// The state to get back at the next call.
    pub state: S,
    /// Namespaced additions; most gates leave this empty.
    pub extensions: Vec<Extension>,
}

impl<S> Evaluation<S> {
    /// A verdict without measurements.
    pub fn new(verdict: Verdict, reason: impl Into<String>, state: S) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            clusters: Vec::new(),
            measurements: Vec::new(),
            state,
            extensions: Vec::new(),
        }
    }

    /// Not decided, for this reason.
    pub fn hold(reason: impl Into<String>, state: S) -> Self {
        Self::new(Verdict::Hold, reason, state)
    }
}

/// The phases that this version of the contract names. A gate that judges all of them alike
/// compares with this list, and holds at any other phase.
pub const PHASES: [&str; 6] = [
    "before-wave",
    "before-site",
    "after-batch",
    "soak",
    "after-wave",
    "continuous",
];

/// The worst of some verdicts: fail before hold before pass. None of none.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.into_iter().max_by_key(|verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Hold => 1,
        Verdict::Fail => 2,
    })
}

/// Encodes a call of [`Gate::evaluate`] as the contract does.
pub(crate) fn evaluate_encoded<T: Gate>(
    call: &GateCall,
    config: &str,
    state: &[u8],
    evidence: &impl Evidence,
) -> Result<contract::Evaluation, Failure> {
    let config = read_config(config)?;
    let evaluation = T::evaluate(call, &config, read_state(state)?, evidence)?;
    Ok(contract::Evaluation {
        verdict: evaluation.verdict,
        reason: evaluation.reason,
        clusters: evaluation.clusters,
        measurements: evaluation.measurements,
        state: write_state(&evaluation.state)?,
        extensions: evaluation.extensions,
    })
}

pub(crate) fn validate_encoded<T: Gate>(config: &str) -> Vec<Problem> {
    check_config(config, T::validate_config)
}

/// Carries a [`Gate`] over the contract; used by [`export_gate!`](crate::export_gate).
#[doc(hidden)]
pub struct GateExport<T>(core::marker::PhantomData<T>);

#[cfg(target_arch = "wasm32")]
impl<T: Gate> contract::Guest for GateExport<T> {
    fn describe() -> Result<GateAbout, Failure> {
        crate::log::catch_panics();
        Ok(T::describe())
    }

    fn validate_config(config: String) -> Result<Vec<Problem>, Failure> {
        crate::log::catch_panics();
        Ok(validate_encoded::<T>(&config))
    }

    fn evaluate(
        call: GateCall,
        config: String,
        state: Vec<u8>,
    ) -> Result<contract::Evaluation, Failure> {
        crate::log::catch_panics();
        evaluate_encoded::<T>(&call, &config, &state, &crate::HostEvidence)
    }
}
