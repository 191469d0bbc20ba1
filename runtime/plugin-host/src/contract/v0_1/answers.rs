//! What both kinds of plugin answer: cleaned, bounded, and only then a value of the model.

use super::strategy_world::wavegate::plugin::types as wit;
use crate::text::{clean, clean_to};
use wavegate_model::limits::STATE_BYTES_MAX;
use wavegate_model::plugin::{About, PluginKind, PluginState, Problem, ReleaseId, Slot, Verdict};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{ClusterName, Unavailable};

/// Problems of one configuration that are shown; whoever mends these sees the next ones.
const PROBLEMS_MAX: usize = 100;
/// Characters of a name or code.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Characters of the description for people: a paragraph.
const ABOUT_CHARS_MAX: usize = 2000;
/// Bytes of a configuration's JSON Schema; ours have about a tenth of it.
const SCHEMA_BYTES_MAX: usize = 64 << 10;

pub(super) fn failed(failure: wit::Failure) -> Unavailable {
    Unavailable::Failed {
        code: clean_to(&failure.code, NAME_CHARS_MAX),
        message: clean(&failure.message),
    }
}

pub(super) fn too_large(what: &str, size: usize, limit: usize) -> Unavailable {
    Unavailable::BadAnswer(BadAnswer::TooLarge {
        what: what.into(),
        size: size as u64,
        limit: limit as u64,
    })
}

pub(super) fn at_most<T>(what: &str, list: Vec<T>, limit: usize) -> Result<Vec<T>, Unavailable> {
    if list.len() > limit {
        Err(too_large(what, list.len(), limit))
    } else {
        Ok(list)
    }
}

pub(super) fn about(
    kind: PluginKind,
    about: wit::About,
    slots: Vec<Slot>,
) -> Result<About, Unavailable> {
    if about.config_schema.len() > SCHEMA_BYTES_MAX {
        return Err(too_large(
            "the JSON Schema of the configuration",
            about.config_schema.len(),
            SCHEMA_BYTES_MAX,
        ));
    }
    Ok(About {
        kind,
        name: clean_to(&about.name, NAME_CHARS_MAX),
        version: clean_to(&about.version, NAME_CHARS_MAX),
        state_version: about.state_version,
        config_schema: about.config_schema,
        text: clean_to(&about.text, ABOUT_CHARS_MAX),
        slots,
    })
}

pub(super) fn problems(problems: Vec<wit::Problem>) -> Vec<Problem> {
    let shown = problems.into_iter().take(PROBLEMS_MAX);
    shown
        .map(|p| Problem {
            pointer: clean(&p.pointer),
            message: clean(&p.message),
        })
        .collect()
}

pub(super) fn state(state: Vec<u8>) -> Result<PluginState, Unavailable> {
    at_most("its state", state, STATE_BYTES_MAX).map(PluginState)
}

/// A cluster's name. Cleaning must not turn another name into a real one, so a name that needs
/// cleaning names no cluster.
pub(super) fn cluster(name: &str) -> Result<ClusterName, Unavailable> {
    let cleaned = clean(name);
    if cleaned == name {
        Ok(ClusterName::new(cleaned))
    } else {
        Err(Unavailable::BadAnswer(BadAnswer::UnknownCluster(
            ClusterName::new(cleaned),
        )))
    }
}

pub(super) fn verdict(verdict: wit::Verdict) -> Verdict {
    match verdict {
        wit::Verdict::Pass => Verdict::Pass,
        wit::Verdict::Hold => Verdict::Hold,
        wit::Verdict::Fail => Verdict::Fail,
    }
}

pub(super) fn verdict_to_guest(verdict: Verdict) -> wit::Verdict {
    match verdict {
        Verdict::Pass => wit::Verdict::Pass,
        Verdict::Hold => wit::Verdict::Hold,
        Verdict::Fail => wit::Verdict::Fail,
    }
}

pub(super) fn release(release: &ReleaseId) -> wit::Release {
    wit::Release {
        version: release.version.clone(),
        digest: release.digest.to_string(),
    }
}

/// Instants have less than 53 bits until the year 287396.
#[expect(
    clippy::cast_precision_loss,
    reason = "the contract's instants are f64"
)]
pub(super) fn instant(at: wavegate_model::Timestamp) -> f64 {
    at.0 as f64
}
