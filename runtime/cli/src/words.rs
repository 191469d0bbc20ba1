//! Facts in words: one line for each that people want to know of.

use crate::clock;
use crate::output::{BAD, GOOD, paint};
use wavegate_engine::command::Change;
use wavegate_engine::explain::measurement_text;
use wavegate_engine::fact::{MemberChange, MemberOutcome};
use wavegate_engine::{End, Fact, State};
use wavegate_model::plugin::{Evaluation, Phase, Proposal, Subject, Verdict};
use wavegate_model::{ClusterName, Digest, Generation, Share, Split};

/// Clusters of one change that a line names.
const MEMBERS_MAX: usize = 5;

/// `1 node`, `2 nodes`.
pub(crate) fn plural(count: impl std::fmt::Display, thing: &str) -> String {
    let count = count.to_string();
    let ending = if count == "1" { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// A fact in words; none for those that only machines need.
pub(crate) fn line(fact: &Fact, state: &State) -> Option<String> {
    Some(match fact {
        Fact::Started { spec } => format!(
            "rollout {} started: {} {} by {} over {} in {}",
            spec.rollout,
            spec.service,
            spec.release.version,
            spec.pins.strategy_name,
            plural(spec.clusters.len(), "cluster"),
            plural(spec.plan.waves.len(), "wave")
        ),
        Fact::Resumed { down } if down.0 > 1000 => {
            format!("a host runs the rollout again, after {down} without one")
        }
        Fact::ClusterLost { cluster, detail } => {
            paint(BAD, &format!("cluster {cluster} does not answer: {detail}"))
        }
        Fact::ClusterReturned { cluster } => {
            format!("cluster {cluster} answers again; it is looked at anew")
        }
        Fact::WaveStarted { wave } => format!("wave {wave} started"),
        Fact::WaveSoakStarted { wave } => format!("wave {wave}: all sites are done"),
        Fact::WaveDone { wave } => paint(GOOD, &format!("wave {wave} is done")),
        Fact::SiteStarted { site, .. } => format!("site {site} started"),
        Fact::SiteSkipped { site, why } => paint(BAD, &format!("site {site} is left out: {why}")),
        Fact::StrategyAnswered { site, outcome, .. } => decision(
            site.as_str(),
            &outcome.proposal,
            &outcome.stage,
            &outcome.reason,
        ),
        Fact::StrategyUnavailable { site, why, .. } => paint(
            BAD,
            &format!("site {site}: the strategy is unavailable: {why}"),
        ),
        Fact::GateAnswered {
            gate, evaluation, ..
        } => {
            format!(
                "{}: gate {} ({}) {}",
                subject(&gate.subject),
                gate.gate,
                gate.phase.as_str(),
                verdict(evaluation)
            )
        }
        Fact::GateUnavailable { gate, why, .. } => paint(
            BAD,
            &format!(
                "{}: gate {} is unavailable: {why}",
                subject(&gate.subject),
                gate.gate
            ),
        ),
        Fact::CommandIssued { effect } => match &effect.change {
            Change::Nodes(change) => format!(
                "site {}: cluster {} to {} new and {} baseline nodes",
                effect.site, change.cluster, change.new, change.baseline
            ),
            Change::Traffic { split, .. } => {
                format!(
                    "site {}: traffic to {}",
                    effect.site,
                    split_words(split, state)
                )
            }
        },
        Fact::CommandRefused { command, result } => paint(
            BAD,
            &format!("command {command} was not carried out: {result:?}"),
        ),
        Fact::CommandVoided { command } => {
            format!("command {command} of an earlier host left no trace and is decided again")
        }
        Fact::BatchSettled { site } => format!("site {site}: the batch serves"),
        Fact::SiteSoakStarted { site } => format!(
            "site {site}: everything is on {}",
            state.spec.release.version
        ),
        Fact::SiteDone { site } => paint(GOOD, &format!("site {site} is done")),
        Fact::SiteFailed { site, reason } => paint(BAD, &format!("site {site} failed: {reason}")),
        Fact::SiteRollbackStarted { site } => format!("site {site} goes back to its baseline"),
        Fact::SiteRolledBack { site } => {
            paint(GOOD, &format!("site {site} is back on its baseline"))
        }
        Fact::SiteRollbackFailed { site, why } => paint(
            BAD,
            &format!("site {site} could not go back: waited for {why}"),
        ),
        Fact::Paused { actor, reason } => format!("{actor} paused{}", because(reason)),
        Fact::Continued { actor, reason } => format!("{actor} continued{}", because(reason)),
        Fact::EndAsked {
            verb,
            actor,
            reason,
        } => match verb.as_str() {
            "abort" => format!("{actor} aborted{}", because(reason)),
            _ => format!("{actor} closed{}", because(reason)),
        },
        Fact::WindowClosed { why, opens } => match opens {
            Some(opens) => format!("nothing new starts before {}: {why}", clock::utc(*opens)),
            None => format!("nothing new starts any more: {why}"),
        },
        Fact::WindowOpened { closes } => match closes {
            Some(closes) => format!("the window is open until {}", clock::utc(*closes)),
            None => "the window is open".to_owned(),
        },
        Fact::Approved {
            wave,
            site,
            actor,
            reason,
        } => {
            let what = match (wave, site) {
                (Some(wave), _) => format!("wave {wave}"),
                (None, Some(site)) => format!("site {site}"),
                (None, None) => "nothing".to_owned(),
            };
            format!("{actor} approved {what}{}", because(reason))
        }
        Fact::RequestRefused { verb, actor, why } => {
            format!("{verb} by {actor} changed nothing: {why}")
        }
        Fact::Held { reason } => paint(BAD, &format!("held, a person is needed: {reason}")),
        Fact::Stopped { reason, sites } => paint(
            BAD,
            &match sites.len() {
                1 => format!("stopped: {reason}; 1 touched site goes back"),
                count => format!("stopped: {reason}; {count} touched sites go back"),
            },
        ),
        Fact::Finished { end } => {
            let style = if *end == End::Done { GOOD } else { BAD };
            paint(style, &format!("the rollout has ended: {end}"))
        }
        Fact::Replanned {
            plan,
            changes,
            actor,
            reason,
            ..
        } => replanned(plan.generation, changes, actor, reason),
        Fact::Queued { behind } if behind.is_empty() => {
            "no other rollout is at work in its clusters".to_owned()
        }
        Fact::Queued { behind } => {
            let behind: Vec<&str> = behind.keys().map(|rollout| rollout.as_str()).collect();
            format!("it waits for other rollouts: {}", behind.join(", "))
        }
        Fact::DemandChanged { site, demand } => format!(
            "site {site}: its traffic is carried by {} now",
            plural(demand, "node")
        ),
        Fact::SiteReopened { site } => {
            format!("site {site} has fewer nodes than it should have; it is decided again")
        }
        Fact::Resumed { .. }
        | Fact::Claimed { .. }
        | Fact::Observed { .. }
        | Fact::BaselineTaken { .. }
        | Fact::StrategyAsked { .. }
        | Fact::GateAsked { .. }
        | Fact::AnswerDiscarded { .. }
        | Fact::CommandConfirmed { .. }
        | Fact::BatchPassed { .. }
        | Fact::GoalReached { .. }
        | Fact::GoalDropped { .. }
        | Fact::WaitEnded { .. }
        | Fact::SiteSoaked { .. }
        | Fact::InboxTaken { .. } => return None,
    })
}

fn replanned(
    generation: Generation,
    changes: &[MemberChange],
    actor: &str,
    reason: &str,
) -> String {
    let mut text = format!("plan {generation}, by {actor}{}", because(reason));
    for change in changes.iter().take(MEMBERS_MAX) {
        text.push_str(&format!("; {}", member(&change.cluster, &change.outcome)));
    }
    if changes.len() > MEMBERS_MAX {
        text.push_str(&format!("; and {} more", changes.len() - MEMBERS_MAX));
    }
    text
}

/// What became of a cluster that came or went.
pub(crate) fn member(cluster: &ClusterName, outcome: &MemberOutcome) -> String {
    match outcome {
        MemberOutcome::Added { wave, .. } => format!("cluster {cluster} came into wave {wave}"),
        MemberOutcome::LeftOut { why } => format!("cluster {cluster} is left out: {why}"),
        MemberOutcome::Left => format!("cluster {cluster} left untouched"),
        MemberOutcome::LetGo { was } => {
            format!("cluster {cluster} left and was let go as it stood: {was}")
        }
        MemberOutcome::Kept => format!("cluster {cluster} left; its site goes back if it answers"),
        MemberOutcome::Returned => format!("cluster {cluster} is in the fleet again"),
    }
}

/// `25% on 2.0 in eu-1, 75% on 1.0 in eu-1`.
fn split_words(split: &Split, state: &State) -> String {
    let share = |share: &Share| {
        let release = version(&share.release, &share.cluster, state);
        format!("{} on {release} in {}", share.share, share.cluster)
    };
    let shares: Vec<String> = split.shares().iter().map(share).collect();
    if shares.is_empty() {
        "nothing".to_owned()
    } else {
        shares.join(", ")
    }
}

/// What people call a release; the beginning of its digest if nobody said.
fn version(release: &Digest, cluster: &ClusterName, state: &State) -> String {
    if *release == state.spec.release.digest {
        return state.spec.release.version.clone();
    }
    let baseline = state.clusters.get(cluster);
    let baseline = baseline.and_then(|cluster| cluster.baseline.as_deref());
    match baseline {
        Some(baseline) if baseline.digest == *release => baseline.version.clone(),
        Some(_) | None => release.text().short().to_owned(),
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Site(site) => format!("site {site}"),
        Subject::Wave(wave) => format!("wave {wave}"),
    }
}

/// Strategies name their stages as they like; many call them stages themselves.
pub(crate) fn stage_words(stage: &str) -> String {
    if stage.starts_with("stage") {
        stage.to_owned()
    } else {
        format!("stage {stage}")
    }
}

fn decision(site: &str, proposal: &Proposal, stage: &str, reason: &str) -> String {
    let what = match proposal {
        Proposal::Go(_) => "goes on".to_owned(),
        Proposal::WaitGates(gates) => {
            let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
            format!("waits for gates {}", names.join(", "))
        }
        Proposal::Wait(time) => format!("waits {time}"),
        Proposal::WaitPerson(text) => format!("waits for a person: {text}"),
        Proposal::Done => "is through".to_owned(),
        Proposal::Failed(why) => format!("gives up: {why}"),
    };
    format!("site {site}: {} {what} ({reason})", stage_words(stage))
}

pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Hold => "hold",
        Verdict::Fail => "fail",
    }
}

/// `pass: success-ratio in eu-1 is 1.0000 (limit >= 0.99, 120 samples)`.
pub(crate) fn verdict(evaluation: &Evaluation) -> String {
    let word = verdict_word(evaluation.verdict);
    let word = match evaluation.verdict {
        Verdict::Pass => paint(GOOD, word),
        Verdict::Hold => word.to_owned(),
        Verdict::Fail => paint(BAD, word),
    };
    let measured: Vec<String> = evaluation
        .measurements
        .iter()
        .take(4)
        .map(measurement_text)
        .collect();
    let shown = if measured.is_empty() || evaluation.verdict == Verdict::Hold {
        evaluation.reason.clone()
    } else {
        measured.join("; ")
    };
    format!("{word}: {shown}")
}

/// Whether a fact is worth a line when there are very many: passing checks that repeat are not.
pub(crate) fn repeats(fact: &Fact) -> bool {
    matches!(fact, Fact::GateAnswered { gate, evaluation, .. }
        if matches!(gate.phase, Phase::Continuous | Phase::Soak) && evaluation.verdict == Verdict::Pass)
}
