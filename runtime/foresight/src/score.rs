//! How well a gate would have judged what is over: which bad rollouts it would have caught, which
//! it would have missed, and how often it would have cried wolf.
//!
//! It is asked what the gate of that name was asked, with the evidence of then, and a fail counts
//! as the policy of that rollout counts it. What was recorded ends where the rollout ended: what
//! a gate would have caught later, nobody knows.

use crate::again::{Again, Other};
use crate::recorded::{Recorded, Said, Unreadable, of_part};
use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_conductor::Story;
use wavegate_engine::fact::StopReason;
use wavegate_engine::state::{GateKey, GateState, RolloutPhase};
use wavegate_engine::swap::Part;
use wavegate_engine::{End, Fact, State, evidence, gates};
use wavegate_model::plugin::{Evaluation, Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, OnUnavailable};
use wavegate_model::unavailable::BadAnswer;
use wavegate_model::{ConsultationId, DurationMs, GateName, Query, Timestamp, Unavailable};
use wavegate_ports::journal::Journal;
use wavegate_ports::plugins::{Answer, Plugins, Question};

/// What a rollout was, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// The release was good.
    Good,
    /// It was bad.
    Bad,
    /// How the rollout ended does not say.
    Unknown,
}

impl Truth {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// What the end of a rollout says about its release, and in which words.
pub fn truth(state: &State) -> (Truth, String) {
    let replaced = matches!(
        state.phase,
        RolloutPhase::Stopping {
            reason: StopReason::Superseded { .. },
            ..
        }
    );
    match state.end() {
        Some(End::Done) if state.failed_sites == 0 => (Truth::Good, "done".to_owned()),
        Some(End::Done) => {
            let failed = state.failed_sites;
            (Truth::Unknown, format!("done, with {failed} failed sites"))
        }
        Some(end @ (End::RolledBack | End::RollbackIncomplete)) => (Truth::Bad, end.to_string()),
        Some(end @ (End::Aborted | End::Incomplete | End::Superseded | End::Replaced)) => {
            (Truth::Unknown, end.to_string())
        }
        None if replaced => (Truth::Unknown, "it makes room for another".to_owned()),
        None => (Truth::Unknown, "it has not ended".to_owned()),
    }
}

/// How a gate judged a rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// When more fails had come than its budget tolerates, since the rollout started.
    pub acted: Option<DurationMs>,
    /// Answers that passed.
    pub pass: usize,
    /// That held.
    pub hold: usize,
    /// That failed.
    pub fail: usize,
    /// Without an answer.
    pub unavailable: usize,
    /// Questions that need evidence which was not recorded.
    pub would_ask: usize,
}

/// What a judgement comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Bad, and it acted.
    Caught,
    /// Bad, and it did not act by the end of the record.
    Missed,
    /// Good, and it acted.
    FalseAlarm,
    /// Good, and it did not act.
    Quiet,
    /// It did not act, and could not answer everything.
    Untold,
    /// Nobody knows what the release was.
    NoTruth,
}

impl Mark {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::FalseAlarm => "false alarm",
            Self::Quiet => "quiet",
            Self::Untold => "cannot tell",
            Self::NoTruth => "-",
        }
    }

    fn of(truth: Truth, judged: &Judged) -> Self {
        match (truth, judged.acted) {
            (Truth::Unknown, _) => Self::NoTruth,
            (Truth::Bad, Some(_)) => Self::Caught,
            (Truth::Good, Some(_)) => Self::FalseAlarm,
            (Truth::Bad | Truth::Good, None) if judged.would_ask > 0 => Self::Untold,
            (Truth::Bad, None) => Self::Missed,
            (Truth::Good, None) => Self::Quiet,
        }
    }
}

/// A recorded question, how the gate of then counted, and how the other one would.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its number in the rollout.
    pub consultation: ConsultationId,
    /// When it was answered.
    pub at: Timestamp,
    /// About what.
    pub subject: Subject,
    /// When it was asked.
    pub phase: Phase,
    /// Then.
    pub then: Word,
    /// Now.
    pub now: Word,
}

/// An answer, as it counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A verdict, with the gate's reason.
    Verdict(Verdict, String),
    /// None.
    Unavailable(Unavailable),
    /// It needs what was not recorded.
    WouldAsk(Vec<Query>),
}

impl Word {
    /// Whether both count alike.
    pub fn counts_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Verdict(one, _), Self::Verdict(other, _)) => one == other,
            (Self::Unavailable(_), Self::Unavailable(_)) => true,
            (one, other) => one == other,
        }
    }
}

/// A rollout with what both gates make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// What the release was.
    pub truth: Truth,
    /// The gate of then.
    pub then: Judged,
    /// The other one.
    pub now: Judged,
    /// Question by question, oldest first; those that were withdrawn counted for nothing and are
    /// not among them.
    pub calls: Vec<Call>,
}

impl Scored {
    /// What the gate of then comes to.
    pub fn mark_then(&self) -> Mark {
        Mark::of(self.truth, &self.then)
    }

    /// What the other one comes to.
    pub fn mark_now(&self) -> Mark {
        Mark::of(self.truth, &self.now)
    }
}

/// How many rollouts came to what.
pub fn tally<'a>(marks: impl IntoIterator<Item = &'a Mark>) -> BTreeMap<Mark, usize> {
    let mut tally = BTreeMap::new();
    for mark in marks {
        *tally.entry(*mark).or_default() += 1;
    }
    tally
}

/// Asks a gate everything that the one of this name was asked in a rollout. It remembers what it
/// returned itself.
///
/// # Errors
/// If the journal does not have what its records name.
pub async fn score(
    journal: &dyn Journal,
    plugins: &Arc<dyn Plugins>,
    story: &Story,
    (gate, policy): (&GateName, &GateUse),
    other: Other,
    truth: Truth,
) -> Result<Scored, Unreadable> {
    let started = story.facts.first().map_or(Timestamp(0), |(at, _)| *at);
    let counted = counted(story);
    let mut again = Again::new(Arc::clone(plugins), story.rollout.clone(), other);
    let (mut then, mut now) = (Watch::new(policy, started), Watch::new(policy, started));
    let mut calls = Vec::new();
    for (at, record) in of_part(story, &Part::Gate(gate.clone())) {
        let Some(word) = counted.get(&record.consultation) else {
            continue;
        };
        let recorded = Recorded::read(journal, at, record).await?;
        let Question::Evaluate { call, .. } = &recorded.question else {
            continue;
        };
        let key = GateKey {
            subject: call.subject.clone(),
            phase: call.phase,
            gate: gate.clone(),
        };
        let said = if unanswerable(word) {
            word.clone()
        } else {
            as_it_counts(again.ask(&recorded).await, policy, call.now, at)
        };
        then.hears(&key, word, at);
        now.hears(&key, &said, at);
        calls.push(Call {
            consultation: record.consultation,
            at,
            subject: key.subject,
            phase: key.phase,
            then: word.clone(),
            now: said,
        });
    }
    Ok(Scored {
        truth,
        then: then.judged,
        now: now.judged,
        calls,
    })
}

/// What the engine took of each question, if it counted.
fn counted(story: &Story) -> BTreeMap<ConsultationId, Word> {
    let taken = story.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::GateAnswered {
            consultation,
            evaluation,
            ..
        } => Some((*consultation, verdict(evaluation))),
        Fact::GateUnavailable {
            consultation, why, ..
        } => Some((*consultation, Word::Unavailable(why.clone()))),
        _ => None,
    });
    taken.collect()
}

fn verdict(evaluation: &Evaluation) -> Word {
    Word::Verdict(evaluation.verdict, evaluation.reason.clone())
}

/// Whether no gate could have answered: its evidence was not to be had, or the host was busy.
fn unanswerable(word: &Word) -> bool {
    matches!(
        word,
        Word::Unavailable(
            Unavailable::Source { .. } | Unavailable::Busy { .. } | Unavailable::HostStopped
        )
    )
}

/// As the host takes it: a pass that rests on too little holds.
fn as_it_counts(said: Said, policy: &GateUse, asked: Timestamp, at: Timestamp) -> Word {
    match said {
        Said::Answer(Answer::Evaluate(evaluation)) => {
            verdict(&evidence::accepted(&evaluation, policy, asked, at))
        }
        Said::Answer(Answer::Decide(_) | Answer::Outline(_)) => {
            Word::Unavailable(Unavailable::BadAnswer(BadAnswer::WrongKind))
        }
        Said::Unavailable(why) => Word::Unavailable(why),
        Said::WouldAsk(queries) => Word::WouldAsk(queries),
    }
}

/// Counts fails as the engine does.
struct Watch<'a> {
    policy: &'a GateUse,
    started: Timestamp,
    gates: BTreeMap<GateKey, GateState>,
    judged: Judged,
}

impl<'a> Watch<'a> {
    fn new(policy: &'a GateUse, started: Timestamp) -> Self {
        Self {
            policy,
            started,
            gates: BTreeMap::new(),
            judged: Judged::default(),
        }
    }

    fn hears(&mut self, key: &GateKey, word: &Word, at: Timestamp) {
        let gate = self.gates.entry(key.clone()).or_default();
        let failed = match word {
            Word::Verdict(Verdict::Pass, _) => {
                self.judged.pass += 1;
                gate.fails_in_row = 0;
                gate.recent = evidence::with(gate.recent, evidence::Failed::No);
                false
            }
            Word::Verdict(Verdict::Hold, _) => {
                self.judged.hold += 1;
                false
            }
            Word::Verdict(Verdict::Fail, _) => {
                self.judged.fail += 1;
                true
            }
            Word::Unavailable(why) => {
                self.judged.unavailable += 1;
                self.policy.on_unavailable == OnUnavailable::Fail
                    && *why != Unavailable::HostStopped
            }
            Word::WouldAsk(_) => {
                self.judged.would_ask += 1;
                false
            }
        };
        if !failed {
            return;
        }
        if gates::one_more_is_over(self.policy, Some(gate)) {
            self.judged
                .acted
                .get_or_insert_with(|| at.since(self.started));
        }
        gate.fails_in_row += 1;
        gate.fails += 1;
        gate.recent = evidence::with(gate.recent, evidence::Failed::Yes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use wavegate_model::limits::CallLimits;
    use wavegate_model::policy::{GateBudget, PluginRef};

    fn policy(consecutive: u32, total: u32) -> GateUse {
        GateUse {
            name: "g".into(),
            plugin: PluginRef::Shipped("g".into()),
            config: "{}".into(),
            phases: BTreeSet::new(),
            interval: DurationMs::secs(1),
            slots: BTreeMap::new(),
            budget: GateBudget {
                consecutive,
                total,
                window: None,
            },
            min_samples: 0,
            passes: 1,
            fresh_for: None,
            trial: true,
            on_unavailable: OnUnavailable::Hold,
            limits: CallLimits::SMALL,
            class: None,
        }
    }

    /// Hears a verdict a second, about one site and in turn about two.
    fn acted(policy: &GateUse, sites: &[&str], verdicts: &str) -> Option<DurationMs> {
        let mut watch = Watch::new(policy, Timestamp(0));
        for (second, letter) in (1..).zip(verdicts.chars()) {
            let site = sites[second % sites.len()];
            let key = GateKey {
                subject: Subject::Site(site.into()),
                phase: Phase::AfterBatch,
                gate: "g".into(),
            };
            let word = match letter {
                '.' => Word::Verdict(Verdict::Pass, String::new()),
                'x' => Word::Verdict(Verdict::Fail, String::new()),
                'u' => Word::Unavailable(Unavailable::HostStopped),
                '?' => Word::WouldAsk(Vec::new()),
                _ => Word::Verdict(Verdict::Hold, String::new()),
            };
            let at = Timestamp(second as u64 * 1000);
            watch.hears(&key, &word, at);
        }
        watch.judged.acted
    }

    #[test]
    fn fails_count_as_the_budget_of_the_policy_counts_them() {
        let (none, two) = (policy(0, 0), policy(1, 2));
        let one = &["a"][..];
        assert_eq!(acted(&none, one, "..x"), Some(DurationMs::secs(3)));
        assert_eq!(
            acted(&two, one, "x.x.x"),
            Some(DurationMs::secs(5)),
            "in all"
        );
        assert_eq!(
            acted(&two, one, "x-x"),
            Some(DurationMs::secs(3)),
            "a hold ends no row"
        );
        assert_eq!(acted(&two, one, "x.u?x"), None);
        assert_eq!(
            acted(&two, &["a", "b"], "xxx"),
            Some(DurationMs::secs(3)),
            "by site"
        );
        assert_eq!(acted(&two, &["a", "b"], "xx"), None);
    }

    #[test]
    fn who_could_not_answer_all_and_did_not_act_cannot_be_told() {
        let mut judged = Judged::default();
        assert_eq!(Mark::of(Truth::Bad, &judged), Mark::Missed);
        assert_eq!(Mark::of(Truth::Good, &judged), Mark::Quiet);
        judged.would_ask = 1;
        assert_eq!(Mark::of(Truth::Bad, &judged), Mark::Untold);
        judged.acted = Some(DurationMs(1));
        assert_eq!(Mark::of(Truth::Bad, &judged), Mark::Caught);
        assert_eq!(Mark::of(Truth::Good, &judged), Mark::FalseAlarm);
        assert_eq!(Mark::of(Truth::Unknown, &judged), Mark::NoTruth);
    }
}
