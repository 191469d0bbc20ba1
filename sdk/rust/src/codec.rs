//! Typed configuration and state on one side, JSON text and bytes on the other.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{BAD_CONFIG, BAD_STATE, Failure, Problem, failure, problem};

/// Largest state that the host takes back: the contract's limit.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn read_config<C: DeserializeOwned>(config: &str) -> Result<C, Failure> {
    serde_json::from_str(config).map_err(|error| {
        failure(
            BAD_CONFIG,
            format!("the configuration cannot be read: {error}"),
        )
    })
}

/// Reads a configuration in order to check it: what cannot be read is a problem, not a
/// failure, so that the host shows it where the author of the policy wrote it.
pub(crate) fn check_config<C: DeserializeOwned>(
    config: &str,
    check: impl FnOnce(&C) -> Vec<Problem>,
) -> Vec<Problem> {
    match serde_json::from_str(config) {
        Ok(config) => check(&config),
        Err(error) => vec![problem("", error.to_string())],
    }
}

/// Reads a state; no bytes are the state before the first call.
pub(crate) fn read_state<S: DeserializeOwned + Default>(state: &[u8]) -> Result<S, Failure> {
    if state.is_empty() {
        return Ok(S::default());
    }
    serde_json::from_slice(state)
        .map_err(|error| failure(BAD_STATE, format!("the state cannot be read: {error}")))
}

pub(crate) fn write_state<S: Serialize>(state: &S) -> Result<Vec<u8>, Failure> {
    // A state without content, such as `()`, needs no bytes.
    if size_of::<S>() == 0 {
        return Ok(Vec::new());
    }
    let bytes = serde_json::to_vec(state)
        .map_err(|error| failure(BAD_STATE, format!("the state cannot be written: {error}")))?;
    if bytes.len() > STATE_BYTES_MAX {
        let text = format!(
            "the state takes {} bytes, more than {STATE_BYTES_MAX}",
            bytes.len()
        );
        return Err(failure(BAD_STATE, text));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct State {
        step: u32,
    }

    #[test]
    fn no_bytes_are_the_default_state() {
        assert_eq!(read_state::<State>(b""), Ok(State { step: 0 }));
    }

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        let bytes = write_state(&State { step: 7 }).expect("small state");
        assert_eq!(read_state::<State>(&bytes), Ok(State { step: 7 }));
    }

    #[test]
    fn garbage_has_a_code_of_its_own() {
        assert_eq!(read_state::<State>(b"{").unwrap_err().code, BAD_STATE);
        assert_eq!(read_config::<State>("[]x").unwrap_err().code, BAD_CONFIG);
    }

    #[test]
    fn a_state_over_the_limit_is_refused_before_the_host_refuses_it() {
        let large = "x".repeat(STATE_BYTES_MAX);
        assert_eq!(write_state(&large).unwrap_err().code, BAD_STATE);
    }

    #[test]
    fn an_unreadable_configuration_is_a_problem_when_it_is_checked() {
        let problems = check_config::<State>(r#"{"step":"x"}"#, |_| Vec::new());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].pointer, "");
    }
}
