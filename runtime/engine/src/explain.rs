//! Why a rollout is where it is, in typed form and in words.

use crate::fact::{End, FailReason, HoldReason, StopReason};
use crate::failure;
use crate::site::{self, Next};
use crate::state::{RolloutPhase, SitePhase, State, WavePhase};
use crate::waiting::WaitingOn;
use crate::wave;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use wavegate_model::plugin::Measurement;
use wavegate_model::{SiteName, Timestamp, WaveName};

/// Who waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A site.
    Site(SiteName),
    /// A wave.
    Wave(WaveName),
}

/// Somebody waits for something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Who.
    pub who: Who,
    /// For what.
    pub on: WaitingOn,
}

/// Everything that waits, in the plan's order. Never empty while the rollout is not finished:
/// a rollout that is not moving always has an explanation.
pub fn explain(state: &State, now: Timestamp) -> Vec<Waiting> {
    look(state, now).waiting
}

/// What is found in a rollout that is not over.
#[derive(Default)]
struct Look {
    waiting: Vec<Waiting>,
    /// Something is due by now: the next step decides it, and until then it is no wait.
    due: bool,
}

fn look(state: &State, now: Timestamp) -> Look {
    let mut all = Vec::new();
    let mut due = false;
    if state.end().is_some() {
        return Look::default();
    }
    // Whose turn to go back has not come.
    let to_go_back = |name: &SiteName, phase: SitePhase| match &state.phase {
        RolloutPhase::Stopping { sites, .. } => {
            let waits = phase == SitePhase::Done || !phase.finished();
            waits && phase != SitePhase::RollingBack && sites.contains(name)
        }
        RolloutPhase::Running | RolloutPhase::Finished(_) => false,
    };
    let mut sites: Vec<_> = state
        .sites
        .iter()
        .filter(|(name, site)| site.phase != SitePhase::Pending || to_go_back(name, site.phase))
        .collect();
    let unseen = failure::unseen(state);
    sites.sort_by_key(|(_, site)| site.number);
    for (name, site) in sites {
        if to_go_back(name, site.phase) {
            let in_flight = state
                .sites
                .values()
                .filter(|s| s.phase == SitePhase::RollingBack)
                .count();
            let on = if unseen.is_empty() {
                WaitingOn::RollbackPlaces {
                    in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
                    limit: state.spec.policy.failure.rollback.max_parallel_sites,
                }
            } else {
                WaitingOn::Observation {
                    clusters: unseen.clone(),
                }
            };
            all.push(Waiting {
                who: Who::Site(name.clone()),
                on,
            });
        } else {
            match site::unwatched(state, name, now) {
                // One that is done only keeps its wave waiting, unless nobody knows how it is.
                Next::Wait(on, _)
                    if site.phase != SitePhase::Done
                        || matches!(on, WaitingOn::Unreachable { .. }) =>
                {
                    all.push(Waiting {
                        who: Who::Site(name.clone()),
                        on,
                    });
                }
                Next::Facts(_) => due = true,
                Next::Wait(..) | Next::Idle => {}
            }
        }
    }
    let (next, waves) = wave::next(state, now);
    due |= matches!(next, Next::Facts(_));
    all.extend(waves.into_iter().map(|(wave, on)| Waiting {
        who: Who::Wave(wave),
        on,
    }));
    Look { waiting: all, due }
}

/// What has to come from outside before anything moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A person has to do something.
    Person,
    /// Clusters that do not answer have to come back.
    Cluster,
}

/// Whether nothing moves until a person does something.
pub fn needs_person(state: &State, now: Timestamp) -> bool {
    needs(state, now) == Some(Need::Person)
}

/// What has to come from outside before anything moves; none while something does.
pub fn needs(state: &State, now: Timestamp) -> Option<Need> {
    if state.end().is_some() {
        return None;
    }
    // What goes back goes on while everything else stands still.
    let goes_back = state
        .sites
        .values()
        .any(|site| site.phase == SitePhase::RollingBack);
    if (state.held.is_some() || state.clock.paused) && !goes_back {
        return Some(Need::Person);
    }
    if !state.outstanding.is_empty() || !state.consultations.is_empty() {
        return None;
    }
    let found = look(state, now);
    if found.due {
        return None;
    }
    let mut need = None;
    for waiting in &found.waiting {
        match &waiting.on {
            on if on.needs_person() => need = Some(Need::Person),
            WaitingOn::Unreachable { .. } if !is_limited(state) => {
                need = need.or(Some(Need::Cluster));
            }
            // What these wait for has a line of its own.
            WaitingOn::Wave { .. } | WaitingOn::Places { .. } | WaitingOn::Sites { .. } => {}
            _ => return None,
        }
    }
    need
}

/// Whether a limit of time ends every wait, so that the rollout goes on in one way or another.
fn is_limited(state: &State) -> bool {
    let limits = &state.spec.policy.time_limits;
    let on_the_way_back = matches!(state.phase, RolloutPhase::Stopping { .. });
    let any = [limits.cluster, limits.wave, limits.rollout];
    on_the_way_back || any.iter().any(Option::is_some)
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site(site) => write!(f, "site {site}"),
            Self::Wave(wave) => write!(f, "wave {wave}"),
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure { site } => {
                write!(f, "site {site} failed and the policy holds on failure")
            }
            Self::TimeLimit {
                site: Some(site),
                limit,
                ..
            } => write!(f, "site {site} reached its time limit of {limit}"),
            Self::TimeLimit {
                wave: Some(wave),
                limit,
                ..
            } => write!(f, "wave {wave} reached its time limit of {limit}"),
            Self::TimeLimit { limit, .. } => {
                write!(f, "the rollout reached its time limit of {limit}")
            }
            Self::Superseded { detail } => write!(f, "another host owns a cluster: {detail}"),
            Self::Removed { cluster } => write!(
                f,
                "cluster {cluster} left the fleet after its site had begun, and was let go as it stands"
            ),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure { site } => {
                write!(f, "site {site} failed, and no more failures are tolerated")
            }
            Self::Requested { actor, reason } if reason.is_empty() => {
                write!(f, "{actor} asked for it")
            }
            Self::Requested { actor, reason } => write!(f, "{actor} asked for it: {reason}"),
            Self::Superseded { by, actor, reason } => {
                write!(f, "{actor} started the newer rollout {by}")?;
                if reason.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {reason}")
                }
            }
        }
    }
}

/// A measurement for people: `success-ratio in eu-1 is 0.913 (limit >= 0.99, 240 samples)`.
pub fn measurement_text(m: &Measurement) -> String {
    let place = if m.cluster.is_empty() {
        String::new()
    } else {
        alloc::format!(" in {}", m.cluster)
    };
    let value = m
        .value
        .map_or_else(|| String::from("not known"), |value| number(value, &m.unit));
    let limit = if m.limit.is_empty() {
        String::new()
    } else {
        alloc::format!("limit {}, ", m.limit)
    };
    alloc::format!(
        "{}{place} is {value} ({limit}{} samples)",
        m.name,
        m.samples
    )
}

fn number(value: f64, unit: &str) -> String {
    let unit = if unit == "ratio" || unit.is_empty() {
        String::new()
    } else {
        alloc::format!(" {unit}")
    };
    let digits = if value.abs() >= 100.0 { 1 } else { 4 };
    alloc::format!("{value:.digits$}{unit}")
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate {
                gate,
                reason,
                measurements,
            } => {
                write!(f, "gate {gate} failed: {reason}")?;
                for measurement in measurements {
                    write!(f, "; {}", measurement_text(measurement))?;
                }
                Ok(())
            }
            Self::GateUnavailable { gate, why } => write!(f, "gate {gate} is unavailable: {why}"),
            Self::Strategy(why) => write!(f, "the strategy gave up: {why}"),
            Self::BatchTime(limit) => write!(f, "a batch made no progress for {limit}"),
            Self::SiteTime(limit) => write!(f, "it was not done within {limit}"),
            Self::WaveTime(limit) => write!(f, "its wave was not done within {limit}"),
            Self::RolloutTime(limit) => write!(f, "the rollout was not done within {limit}"),
            Self::Unreachable(cluster) => write!(f, "cluster {cluster} does not answer"),
            Self::Removed(cluster) => write!(f, "cluster {cluster} left the fleet"),
        }
    }
}

impl fmt::Display for WavePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Soaking => "soaking",
            Self::Done => "done",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::RollbackIncomplete => "rollback incomplete",
            Self::Aborted => "aborted",
            Self::Incomplete => "closed incomplete",
            Self::Superseded => "taken over by another host",
            Self::Replaced => "superseded by a newer rollout",
        })
    }
}
