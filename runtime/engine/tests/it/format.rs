//! Facts as lines, without those that only say that somebody looked or asked.

use wavegate_engine::Fact;
use wavegate_engine::command::Change;
use wavegate_engine::fact::MemberChange;
use wavegate_engine::waiting::split_text;
use wavegate_model::plugin::{Proposal, Subject};
use wavegate_model::{Goal, Split};

pub(crate) fn line(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Started { .. }
        | Fact::Observed { .. }
        | Fact::Claimed { .. }
        | Fact::BaselineTaken { .. }
        | Fact::StrategyAsked { .. }
        | Fact::GateAsked { .. }
        | Fact::CommandConfirmed { .. }
        | Fact::AnswerDiscarded { .. }
        | Fact::InboxTaken { .. } => return None,
        Fact::Resumed { down } => format!("resumed after {down}"),
        Fact::ClusterLost { cluster, detail } => format!("{cluster} lost: {detail}"),
        Fact::ClusterReturned { cluster } => format!("{cluster} returned"),
        Fact::WaveStarted { wave } => format!("wave {wave} started"),
        Fact::WaveSoakStarted { wave } => format!("wave {wave} soaks"),
        Fact::WaveDone { wave } => format!("wave {wave} done"),
        Fact::SiteStarted { site, demand, .. } => format!("{site} started, demand {demand}"),
        Fact::SiteSkipped { site, why } => format!("{site} skipped: {why}"),
        Fact::StrategyAnswered { site, outcome, .. } => {
            format!(
                "{site} strategy [{}]: {}",
                outcome.stage,
                proposal(&outcome.proposal)
            )
        }
        Fact::StrategyUnavailable { site, why, .. } => {
            format!("{site} strategy unavailable: {why}")
        }
        Fact::GateAnswered {
            gate, evaluation, ..
        } => {
            format!(
                "{} gate {} {}: {:?}",
                subject(&gate.subject),
                gate.gate,
                gate.phase.as_str(),
                evaluation.verdict
            )
        }
        Fact::GateUnavailable { gate, why, .. } => {
            format!(
                "{} gate {} {} unavailable: {why}",
                subject(&gate.subject),
                gate.gate,
                gate.phase.as_str()
            )
        }
        Fact::CommandIssued { effect } => match &effect.change {
            Change::Nodes(change) => format!(
                "{} nodes: new {}, baseline {}, of {}",
                change.cluster, change.new, change.baseline, change.desired
            ),
            Change::Traffic { split, .. } => format!("{} traffic: {}", effect.site, shares(split)),
        },
        Fact::CommandRefused { command, result } => {
            format!("command {command} refused: {result:?}")
        }
        Fact::CommandVoided { command } => format!("command {command} left no trace"),
        Fact::BatchSettled { site } => format!("{site} batch settled"),
        Fact::BatchPassed { site } => format!("{site} batch passed"),
        Fact::GoalReached { site } => format!("{site} goal reached"),
        Fact::GoalDropped { site } => format!("{site} goal dropped"),
        Fact::WaitEnded { site } => format!("{site} wait ended"),
        Fact::SiteSoakStarted { site } => format!("{site} soaks"),
        Fact::SiteDone { site } => format!("{site} done"),
        Fact::SiteSoaked { site } => format!("{site} soaked with its wave"),
        Fact::SiteFailed { site, reason } => format!("{site} failed: {reason}"),
        Fact::SiteRollbackStarted { site } => format!("{site} goes back"),
        Fact::SiteRolledBack { site } => format!("{site} is back"),
        Fact::SiteRollbackFailed { site, why } => format!("{site} could not go back: {why}"),
        Fact::Paused { actor, .. } => format!("{actor} paused"),
        Fact::Continued { actor, .. } => format!("{actor} continued"),
        Fact::EndAsked { verb, actor, .. } => format!("{actor} asked to {verb}"),
        Fact::WindowClosed { why, opens } => match opens {
            Some(_) => format!("closed: {why}"),
            None => format!("closed for good: {why}"),
        },
        Fact::WindowOpened { .. } => "open".to_string(),
        Fact::Approved {
            site: Some(site),
            stage: Some(stage),
            actor,
            ..
        } => format!("{actor} approved stage {stage} of site {site}"),
        Fact::Approved {
            wave, site, actor, ..
        } => match (wave, site) {
            (Some(wave), _) => format!("{actor} approved wave {wave}"),
            (None, Some(site)) => format!("{actor} approved site {site}"),
            (None, None) => format!("{actor} approved nothing"),
        },
        Fact::RequestRefused { verb, why, .. } => format!("{verb} refused: {why}"),
        Fact::Held { reason } => format!("held: {reason}"),
        Fact::Stopped { reason, sites } => {
            let sites: Vec<&str> = sites.iter().map(|site| site.as_str()).collect();
            format!("stopped: {reason}; to go back: {}", sites.join(" "))
        }
        Fact::Finished { end } => format!("finished: {end}"),
        Fact::Promoted { site, actor, .. } => match site {
            Some(site) => format!("{actor} promoted {site}"),
            None => format!("{actor} promoted the rollout"),
        },
        Fact::RetryAsked { site, actor, .. } => match site {
            Some(site) => format!("{actor} retries {site}"),
            None => format!("{actor} retries what has failed"),
        },
        Fact::SiteRetried { site } => format!("{site} is tried again"),
        Fact::SkipAsked { site, actor, .. } => format!("{actor} skips {site}"),
        Fact::SiteGivenUp { site, clusters } => {
            let names: Vec<&str> = clusters.iter().map(|name| name.as_str()).collect();
            format!("{site} given up, no answer from {}", names.join(" "))
        }
        Fact::GateOverridden { gate, actor, .. } => format!(
            "{actor} overrode gate {} {} of {}",
            gate.gate,
            gate.phase.as_str(),
            subject(&gate.subject)
        ),
        Fact::Undone { actor, sites, .. } => {
            let sites: Vec<&str> = sites.iter().map(|site| site.as_str()).collect();
            format!("{actor} undid it; to go back: {}", sites.join(" "))
        }
        Fact::PluginSwapped {
            part,
            from,
            to,
            memory,
            actor,
            ..
        } => format!(
            "{actor} swapped the {part}: {} -> {}, state {memory:?}",
            from.text().short(),
            to.digest.text().short()
        )
        .to_lowercase(),
        Fact::WaveWindowClosed { wave, why, .. } => format!("wave {wave} closed: {why}"),
        Fact::WaveWindowOpened { wave, .. } => format!("wave {wave} open"),
        Fact::GateCancelled { gate, why, .. } => format!(
            "{} gate {} {} withdrawn: {why:?}",
            subject(&gate.subject),
            gate.gate,
            gate.phase.as_str()
        ),
        Fact::StrategyCancelled { site, why, .. } => {
            format!("{site} strategy withdrawn: {why:?}")
        }
        Fact::Replanned { plan, changes, .. } => {
            let change = |change: &MemberChange| format!("{} {:?}", change.cluster, change.outcome);
            let changes: Vec<String> = changes.iter().map(change).collect();
            format!("plan {}: {}", plan.generation, changes.join(", "))
        }
        Fact::Queued { behind } => match behind.keys().next() {
            Some(first) => format!("queued behind {first}"),
            None => "not queued any more".to_string(),
        },
        Fact::DemandChanged { site, demand } => format!("{site} carried by {demand}"),
        Fact::SiteReopened { site } => format!("{site} decided again"),
    })
}

fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Site(site) => site.to_string(),
        Subject::Wave(wave) => format!("wave {wave}"),
    }
}

fn proposal(proposal: &Proposal) -> String {
    match proposal {
        Proposal::Go(goal) => format!("go to {}", goal_text(goal)),
        Proposal::WaitGates(gates) => {
            let names: Vec<&str> = gates.iter().map(|gate| gate.as_str()).collect();
            format!("wait for gates {}", names.join(" "))
        }
        Proposal::Wait(time) => format!("wait {time}"),
        Proposal::WaitPerson(text) => format!("wait for a person: {text}"),
        Proposal::Done => "done".to_string(),
        Proposal::Failed(why) => format!("failed: {why}"),
    }
}

fn goal_text(goal: &Goal) -> String {
    let cluster = |c: &wavegate_model::ClusterGoal| {
        format!(
            "{} {}+{} at {}+{}",
            c.cluster, c.new, c.baseline, c.new_share, c.baseline_share
        )
    };
    let clusters: Vec<String> = goal.clusters.iter().map(cluster).collect();
    clusters.join(", ")
}

/// The releases are told apart by their first hex digits: 0101… is the baseline.
pub(crate) fn shares(split: &Split) -> String {
    split_text(split)
        .replace("010101010101", "baseline")
        .replace("020202020202", "new")
}
