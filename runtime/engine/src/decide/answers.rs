//! Answers of drivers and plugins: those that match nothing outstanding are discarded.

use crate::fact::{End, Fact, Withdrawn};
use crate::input::{Answer, CommandResult};
use crate::state::{Asked, SitePhase, State};
use crate::{failure, gates, guard};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use wavegate_model::plugin::{Outcome, Proposal};
use wavegate_model::{CommandId, ConsultationId, Generation, SiteName, Timestamp, Unavailable};

pub(super) fn answered(state: &State, now: Timestamp, answer: &Answer) -> Vec<Fact> {
    match answer {
        Answer::Command {
            command,
            generation,
            result,
        } => command_answered(state, *command, *generation, result),
        Answer::Strategy {
            consultation,
            generation,
            result,
        } => match state.consultations.get(consultation) {
            Some(Asked::Strategy(site)) if *generation == state.generation() => {
                strategy_answered(state, now, *consultation, site, result)
            }
            Some(Asked::Strategy(_) | Asked::Gate(..)) | None => {
                discarded(Some(*consultation), None)
            }
        },
        Answer::Gate {
            consultation,
            generation,
            result,
        } => match state.consultations.get(consultation) {
            Some(Asked::Gate(key, evidence)) if *generation == state.generation() => {
                gates::answered(state, now, key, *evidence, *consultation, result)
            }
            Some(Asked::Strategy(_) | Asked::Gate(..)) | None => {
                discarded(Some(*consultation), None)
            }
        },
    }
}

pub(super) fn discarded(
    consultation: Option<ConsultationId>,
    command: Option<CommandId>,
) -> Vec<Fact> {
    alloc::vec![Fact::AnswerDiscarded {
        consultation,
        command
    }]
}

pub(super) fn command_answered(
    state: &State,
    command: CommandId,
    generation: Generation,
    result: &CommandResult,
) -> Vec<Fact> {
    let expected = state
        .outstanding
        .get(&command)
        .is_some_and(|effect| effect.generation == generation);
    if !expected {
        return discarded(None, Some(command));
    }
    match result {
        CommandResult::Accepted => alloc::vec![Fact::CommandConfirmed { command }],
        CommandResult::DesiredChanged | CommandResult::Failed(_) => {
            alloc::vec![Fact::CommandRefused {
                command,
                result: result.clone()
            }]
        }
        CommandResult::Superseded(_) => {
            let refused = Fact::CommandRefused {
                command,
                result: result.clone(),
            };
            alloc::vec![
                refused,
                Fact::Finished {
                    end: End::Superseded
                }
            ]
        }
    }
}

pub(super) fn strategy_answered(
    state: &State,
    now: Timestamp,
    consultation: ConsultationId,
    site: &SiteName,
    result: &Result<Outcome, Unavailable>,
) -> Vec<Fact> {
    let unavailable = |why: Unavailable| {
        alloc::vec![Fact::StrategyUnavailable {
            consultation,
            site: site.clone(),
            why
        }]
    };
    let cancelled = |why: Withdrawn| {
        alloc::vec![Fact::StrategyCancelled {
            consultation,
            site: site.clone(),
            why
        }]
    };
    if state.site(site).phase != SitePhase::Updating {
        // The site went another way while the strategy was thinking.
        return cancelled(Withdrawn::SubjectLeft);
    }
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(Unavailable::HostStopped) => return cancelled(Withdrawn::HostStopped),
        Err(why) => return unavailable(why.clone()),
    };
    if let Err(bad) = guard::check(state, now, site, outcome) {
        return unavailable(Unavailable::BadAnswer(bad));
    }
    let mut facts = alloc::vec![Fact::StrategyAnswered {
        consultation,
        site: site.clone(),
        outcome: Box::new(outcome.clone())
    }];
    match &outcome.proposal {
        Proposal::Done => facts.push(Fact::SiteSoakStarted { site: site.clone() }),
        Proposal::Failed(why) => {
            let reason = crate::fact::FailReason::Strategy(String::from(why.as_str()));
            facts.extend(failure::site_failed(state, site, reason));
        }
        Proposal::Go(_) | Proposal::WaitGates(_) | Proposal::Wait(_) | Proposal::WaitPerson(_) => {}
    }
    facts
}
