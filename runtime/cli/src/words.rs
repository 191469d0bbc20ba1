//! Facts in words: one line for each that people want to know of.

use crate::clock;
use crate::output::{BAD, GOOD, paint};
use crate::swap_text;
use wavegate_engine::command::Change;
use wavegate_engine::explain::measurement_text;
use wavegate_engine::fact::{MemberChange, MemberOutcome, Withdrawn};
use wavegate_engine::{End, Fact, State};
use wavegate_model::plugin::{Evaluation, Phase, Proposal, Subject, Verdict};
use wavegate_model::{
    ClusterName, ConsultationId, Digest, Generation, Share, SiteName, Split, Unavailable,
};

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
        Fact::StrategyUnavailable {
            consultation,
            site,
            why,
        } => paint(
            BAD,
            &format!(
                "site {site}: the strategy is unavailable: {why}{}",
                again(state, *consultation, why)
            ),
        ),
        Fact::GateAnswered {
            gate, evaluation, ..
        } => {
            let policy = state.spec.policy.gates.iter().find(|g| g.name == gate.gate);
            let trial = policy.is_some_and(|policy| policy.trial);
            format!(
                "{}: gate {} ({}{}) {}",
                subject(&gate.subject),
                gate.gate,
                gate.phase.as_str(),
                if trial { ", on trial" } else { "" },
                verdict(evaluation)
            )
        }
        Fact::GateUnavailable {
            consultation,
            gate,
            why,
            ..
        } => paint(
            BAD,
            &format!(
                "{}: gate {} is unavailable: {why}{}",
                subject(&gate.subject),
                gate.gate,
                again(state, *consultation, why)
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
        Fact::WaveWindowClosed { wave, why, opens } => match opens {
            Some(opens) => format!(
                "wave {wave}: nothing new starts before {}: {why}",
                clock::utc(*opens)
            ),
            None => format!("wave {wave}: nothing new starts any more: {why}"),
        },
        Fact::WaveWindowOpened { wave, closes } => match closes {
            Some(closes) => format!(
                "wave {wave}: its window is open until {}",
                clock::utc(*closes)
            ),
            None => format!("wave {wave}: its window is open"),
        },
        Fact::GateCancelled { gate, why, .. } => format!(
            "{}: a question to gate {} ({}) was withdrawn: {}",
            subject(&gate.subject),
            gate.gate,
            gate.phase.as_str(),
            withdrawn(*why)
        ),
        Fact::StrategyCancelled { site, why, .. } => format!(
            "site {site}: a question to the strategy was withdrawn: {}",
            withdrawn(*why)
        ),
        Fact::Approved {
            wave,
            site,
            actor,
            reason,
            stage,
        } => {
            let what = match (wave, site) {
                (Some(wave), _) => format!("wave {wave}"),
                (None, Some(site)) if stage.is_some() => {
                    let stage = stage.as_deref().unwrap_or_default();
                    format!("{} of site {site}", stage_words(stage))
                }
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
        Fact::Promoted {
            site,
            actor,
            reason,
        } => {
            let what = named_site(site.as_ref(), "the rollout");
            let why = because(reason);
            format!("{actor} promoted {what}, and no timed wait is waited for{why}")
        }
        Fact::RetryAsked {
            site,
            actor,
            reason,
        } => {
            let what = named_site(site.as_ref(), "what has failed");
            format!("{actor} tries {what} again{}", because(reason))
        }
        Fact::SiteRetried { site } => format!("site {site} is tried again"),
        Fact::SkipAsked {
            site,
            actor,
            reason,
        } => format!("{actor} skipped site {site}{}", because(reason)),
        Fact::SiteGivenUp { site, clusters } => {
            let names: Vec<&str> = clusters.iter().map(|name| name.as_str()).collect();
            let names = names.join(", ");
            paint(
                BAD,
                &format!("site {site} is given up: nobody knows what runs in {names}"),
            )
        }
        Fact::GateOverridden {
            gate,
            actor,
            reason,
        } => format!(
            "{}: {actor} overrode gate {} ({}) to pass{}",
            subject(&gate.subject),
            gate.gate,
            gate.phase.as_str(),
            because(reason)
        ),
        Fact::Undone {
            actor,
            reason,
            sites,
        } => paint(
            BAD,
            &format!(
                "{actor} undid the rollout{}; {} back",
                because(reason),
                match sites.len() {
                    1 => "1 touched site goes".to_owned(),
                    count => format!("{count} touched sites go"),
                }
            ),
        ),
        Fact::Finished { end } => {
            let style = if *end == End::Done { GOOD } else { BAD };
            paint(style, &format!("the rollout has ended: {end}"))
        }
        Fact::PluginSwapped {
            part,
            from,
            to,
            memory,
            actor,
            reason,
        } => format!(
            "{actor} swapped {part}: {} -> {} {} {}, its state is {}{}",
            from.text().short(),
            to.writes.plugin,
            to.version,
            to.digest.text().short(),
            swap_text::memory_word(*memory),
            because(reason)
        ),
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

fn withdrawn(why: Withdrawn) -> &'static str {
    match why {
        Withdrawn::SubjectChanged => "what it was about has changed",
        Withdrawn::SubjectLeft => "the site went another way",
        Withdrawn::HostStopped => "the host stopped",
    }
}

pub(crate) fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

fn named_site(site: Option<&SiteName>, otherwise: &str) -> String {
    site.map_or_else(|| otherwise.to_owned(), |site| format!("site {site}"))
}

/// How to ask the plugin the same again, where that shows what went wrong.
pub(crate) fn again(state: &State, question: ConsultationId, why: &Unavailable) -> String {
    if !why.is_of_the_plugin() {
        return String::new();
    }
    let rollout = &state.spec.rollout;
    format!(
        " (look closer: `wavegate plugin call --from {rollout}:{}`)",
        question.0
    )
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

/// Verdicts that people gave in place of gates', as far as they are in force.
pub(crate) fn overrides(state: &State) -> Vec<String> {
    let gates = state.gates().filter_map(|(key, gate)| {
        let by = gate.override_in_force()?;
        Some(format!(
            "overridden: gate {} ({}) of {}, by {}{}",
            key.gate,
            key.phase.as_str(),
            subject(&key.subject),
            by.actor,
            because(&by.reason)
        ))
    });
    gates.collect()
}

/// What was approved, and by whom, in words.
pub(crate) fn approvals(state: &State) -> Vec<String> {
    let people = |by: &std::collections::BTreeSet<String>| {
        by.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    let waves = state.spec.plan.waves.iter().zip(&state.waves);
    let waves = waves
        .filter(|(_, wave)| !wave.approved.is_empty())
        .map(|(plan, wave)| format!("wave {} by {}", plan.name, people(&wave.approved)));
    let sites = state.sites.iter().flat_map(|(name, site)| {
        let stage = move |(stage, by): (&String, _)| {
            format!("{} of site {name} by {}", stage_words(stage), people(by))
        };
        site.approved.iter().map(stage)
    });
    waves.chain(sites).collect()
}
