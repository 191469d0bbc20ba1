//! The strategy *blue-green*: a second set of nodes takes the release and is checked while the
//! first one serves; then the traffic moves, at once or in shares. The sets are the clusters
//! of a pair, or, where nodes can surge, the old and the new nodes of a single cluster.
//!
//! **Owns** which set is live, the stages, and what becomes of the old set.
//! **Does not own** the pace within a stage, the verdicts, or what happens on failure: those
//! are the host's. Its way back moves the traffic first.
//! **Start** with `decide`: a stage goes through the steps of [`Step`] in their order.

mod config;
mod site;

use serde::{Deserialize, Serialize};
use wavegate_sdk::shares::{self, PERMILLE};
use wavegate_sdk::{
    About, Decision, Failure, Goal, Outcome, Problem, Release, SiteSummary, SiteView, Stage,
    Strategy, failure,
};

pub use config::Config;
use config::{Afterwards, StageKind};
use site::Sides;

/// The stage of a site that cannot begin.
const START: &str = "start";

/// The strategy.
#[derive(Debug)]
pub struct BlueGreen;

/// What is remembered from call to call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// The cluster that had the traffic at the first call; empty until that is clear.
    live: String,
    /// Index of the stage.
    stage: u32,
    /// What the stage waits for.
    step: Step,
}

/// The steps of a stage, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The host moves nodes and traffic.
    #[default]
    Move,
    /// Time goes by.
    Wait,
    /// The gates are asked.
    Gates,
    /// A person is asked.
    Approval,
}

impl Strategy for BlueGreen {
    type Config = Config;
    type State = State;

    fn describe() -> About {
        About {
            name: "blue-green".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_version: 1,
            config_schema: include_str!("schema.json").to_owned(),
            text: "Takes a pair of clusters to the new release: the one without traffic takes \
                   it on all nodes and is checked by the gates, then gets the traffic at once \
                   or in shares. The other one is kept, updated or scaled to zero. Does the \
                   same within a single cluster that may have twice its nodes. Needs traffic \
                   that can be split."
                .to_owned(),
        }
    }

    fn validate_config(config: &Config) -> Vec<Problem> {
        config.problems()
    }

    fn outline(
        site: &SiteSummary,
        release: &Release,
        config: &Config,
    ) -> Result<Vec<Stage>, Failure> {
        match site.clusters.len() {
            1 if config.afterwards == Afterwards::Update => {
                return Err(failure("nothing-to-update", site::NOTHING_TO_UPDATE));
            }
            1 | 2 => {}
            count => return Err(failure("not-a-pair", site::wrong_count(count))),
        }
        let stages = config.stages().into_iter().map(|kind| Stage {
            name: kind.name(),
            text: config.words(kind, &site.clusters, &release.version),
        });
        Ok(stages.collect())
    }

    fn decide(
        view: &SiteView,
        config: &Config,
        mut state: State,
    ) -> Result<Outcome<State>, Failure> {
        if !view.splits_traffic {
            let text = "the traffic of the site cannot be split, so it cannot be moved from \
                        one set of nodes to another";
            return Ok(cannot_start(Decision::Failed(text.to_owned()), state));
        }
        if shares::desired(view) == 0 {
            return Ok(Outcome::done(START, "the site has no nodes", state));
        }
        let stages = config.stages();
        if state.live.is_empty() {
            state.live = match site::find_live(view, config) {
                Ok(live) => live,
                Err(decision) => return Ok(cannot_start(decision, state)),
            };
            if Sides::new(view, &state.live)?.serves_already {
                state.stage = index_of_all(&stages);
            }
        }
        let sides = Sides::new(view, &state.live)?;
        let mut completed = view.completed.as_str();
        loop {
            let index = state.stage as usize;
            let Some(&kind) = stages.get(index) else {
                let text =
                    format!("there is no stage {index}: the configuration has become shorter");
                return Err(failure("no-stage", text));
            };
            let goal = goal(view, &sides, kind, config);
            if !site::reached(view, &goal) {
                // Also when nodes were lost while something was waited for: what was seen
                // then says nothing about the site as it is now.
                state.step = Step::Move;
                let reason = reason(view, &sides, kind, config);
                return Ok(Outcome::go(goal, kind.name(), reason, state));
            }
            if let Some(outcome) = wait(view, config, kind, &mut state, completed)? {
                return Ok(outcome);
            }
            if index + 1 == stages.len() {
                return Ok(Outcome::done(kind.name(), end(&sides, config), state));
            }
            state.stage += 1;
            state.step = Step::Move;
            // What was carried out belonged to the stage that is over.
            completed = "";
        }
    }
}

/// Nothing is touched; a person or the failure rule comes next.
fn cannot_start(decision: Decision, state: State) -> Outcome<State> {
    let reason = match &decision {
        Decision::WaitPerson(text) | Decision::Failed(text) => text.clone(),
        Decision::Go(_) | Decision::WaitGates(_) | Decision::WaitMs(_) | Decision::Done => {
            String::new()
        }
    };
    Outcome::new(decision, START, reason, state)
}

/// How the site ended, in words.
fn end(sides: &Sides<'_>, config: &Config) -> String {
    let old = sides.old_words();
    match config.afterwards {
        Afterwards::Keep => format!("all traffic is on the release; {old} stay without traffic"),
        Afterwards::Update => format!("all traffic is on the release, which {old} have too"),
        Afterwards::ScaleToZero => format!("all traffic is on the release; {old} are gone"),
    }
}

/// The index of the stage in which all traffic is on the release.
fn index_of_all(stages: &[StageKind]) -> u32 {
    let is_share = |kind: &StageKind| matches!(kind, StageKind::Traffic(_));
    let index = stages.iter().rposition(is_share).unwrap_or(0);
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Where a stage goes to.
fn goal(view: &SiteView, sides: &Sides<'_>, kind: StageKind, config: &Config) -> Goal {
    match kind {
        StageKind::Prepare => sides.goal(view, 0, Afterwards::Keep),
        StageKind::Traffic(share) => sides.goal(view, share.permille(), Afterwards::Keep),
        StageKind::Old => sides.goal(view, PERMILLE, config.afterwards),
    }
}

/// What is done to get there, in words.
fn reason(view: &SiteView, sides: &Sides<'_>, kind: StageKind, config: &Config) -> String {
    let version = &view.release.version;
    let (target, old) = (sides.target_words(), sides.old_words());
    match (kind, config.afterwards) {
        (StageKind::Prepare, _) => format!(
            "{version} on {target}, {} in all, without traffic",
            sides.target.desired
        ),
        (StageKind::Traffic(share), _) => format!("{share} of traffic to {target}"),
        (StageKind::Old, Afterwards::Update) => format!("{version} on {old}"),
        (StageKind::Old, Afterwards::ScaleToZero | Afterwards::Keep) => {
            format!("{old} to go")
        }
    }
}

/// What a stage that is at its goal waits for next; none if it is over.
fn wait(
    view: &SiteView,
    config: &Config,
    kind: StageKind,
    state: &mut State,
    completed: &str,
) -> Result<Option<Outcome<State>>, Failure> {
    let past_wait = match state.step {
        Step::Move => false,
        Step::Wait => completed == "time",
        Step::Gates | Step::Approval => true,
    };
    if let Some(time) = config.watch(kind).filter(|_| !past_wait) {
        state.step = Step::Wait;
        let decision = Decision::WaitMs(time.get());
        let reason = format!("watching for {time}");
        return Ok(Some(waiting(decision, kind, reason, state)));
    }
    let past_gates = match state.step {
        Step::Move | Step::Wait => false,
        Step::Gates => completed == "gates",
        Step::Approval => true,
    };
    if !past_gates {
        let gates = gates(view, config, kind)?;
        if !gates.is_empty() {
            state.step = Step::Gates;
            let reason = format!("asking {}", gates.join(", "));
            return Ok(Some(waiting(
                Decision::WaitGates(gates),
                kind,
                reason,
                state,
            )));
        }
    }
    let approved = state.step == Step::Approval && completed == "person";
    if let Some(approval) = config.approval(kind).filter(|_| !approved) {
        state.step = Step::Approval;
        let decision = Decision::WaitPerson(approval.to_owned());
        let reason = "a person decides".to_owned();
        return Ok(Some(waiting(decision, kind, reason, state)));
    }
    Ok(None)
}

fn waiting(decision: Decision, kind: StageKind, reason: String, state: &State) -> Outcome<State> {
    Outcome::new(decision, kind.name(), reason, state.clone())
}

/// The gates that a stage asks.
fn gates(view: &SiteView, config: &Config, kind: StageKind) -> Result<Vec<String>, Failure> {
    let Some(wanted) = config.gates(kind) else {
        return Ok(view.gates.iter().map(|gate| gate.name.clone()).collect());
    };
    for name in wanted {
        if !view.gates.iter().any(|gate| gate.name == *name) {
            let text = format!("the gate {name} is to be asked, which the policy does not have");
            return Err(failure("unknown-gate", text));
        }
    }
    Ok(wanted.to_vec())
}

wavegate_sdk::export_strategy!(BlueGreen);

#[cfg(test)]
mod tests;
