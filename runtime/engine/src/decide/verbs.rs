//! Promote, retry, skip, override-gate, undo: when each is possible, and what follows. A refusal
//! says why in words, because a person reads it.

use crate::fact::{End, Fact};
use crate::gates;
use crate::input::Request;
use crate::moving::{self, Known};
use crate::state::{GateKey, RolloutPhase, SitePhase, SiteState, State, Step, Waits, WavePhase};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::policy::GateUse;
use wavegate_model::release::Reversal;
use wavegate_model::{ClusterName, GateName, Permille, SiteName, Timestamp};

type Decided = Result<Vec<Fact>, String>;

fn site_of<'a>(state: &'a State, name: &SiteName) -> Result<&'a SiteState, String> {
    let site = state.sites.get(name);
    site.ok_or_else(|| format!("the plan has no site {name}"))
}

fn goes_back(state: &State) -> bool {
    matches!(state.phase, RolloutPhase::Stopping { .. })
}

pub(super) fn promote(state: &State, name: Option<&SiteName>, request: &Request) -> Decided {
    if goes_back(state) {
        return Err("the rollout goes back, and waits for no time there".to_string());
    }
    if state.waits == Waits::Waived {
        return Err("the whole rollout is promoted already".to_string());
    }
    if let Some(name) = name {
        let site = site_of(state, name)?;
        if site.waits == Waits::Waived {
            return Err(format!("site {name} is promoted already"));
        }
        let over = site.phase.finished() && site.phase != SitePhase::Done || site.wave_soaked;
        if over {
            return Err(format!("site {name} waits for nothing any more"));
        }
    }
    Ok(alloc::vec![Fact::Promoted {
        site: name.cloned(),
        actor: request.actor.clone(),
        reason: request.reason.clone(),
    }])
}

pub(super) fn retry(
    state: &State,
    now: Timestamp,
    name: Option<&SiteName>,
    request: &Request,
) -> Decided {
    let mut facts = alloc::vec![Fact::RetryAsked {
        site: name.cloned(),
        actor: request.actor.clone(),
        reason: request.reason.clone(),
    }];
    match name {
        Some(name) => {
            let site = site_of(state, name)?;
            match retried(state, name, site) {
                Ok(more) => facts.extend(more),
                Err(_) if backs_off(state, Some(name), now) => {}
                Err(why) => return Err(why),
            }
        }
        None => {
            for (name, site) in &state.sites {
                // What a person left out stays so until somebody names it.
                if site.phase != SitePhase::Skipped {
                    facts.extend(retried(state, name, site).unwrap_or_default());
                }
            }
            if facts.len() == 1 && !backs_off(state, None, now) {
                return Err("no site has failed, and nothing waits to be tried again".to_string());
            }
        }
    }
    Ok(facts)
}

/// A site that is tried again, or why it is not.
fn retried(state: &State, name: &SiteName, site: &SiteState) -> Decided {
    let again = Fact::SiteRetried { site: name.clone() };
    let back = || Fact::SiteRollbackStarted { site: name.clone() };
    if let RolloutPhase::Stopping { sites, .. } = &state.phase {
        return match site.phase {
            SitePhase::RollbackFailed if sites.contains(name) => Ok(alloc::vec![again]),
            SitePhase::RollbackFailed => Ok(alloc::vec![again, back()]),
            _ => Err("the rollout goes back; only what could not go back is tried again".into()),
        };
    }
    match site.phase {
        SitePhase::Failed | SitePhase::RolledBack | SitePhase::Skipped => Ok(alloc::vec![again]),
        SitePhase::RollbackFailed => Ok(alloc::vec![again, back()]),
        SitePhase::Pending => Err(format!("the turn of site {name} has not come")),
        SitePhase::Updating | SitePhase::Soaking => {
            Err(format!("site {name} has not failed: it is being updated"))
        }
        SitePhase::RollingBack => Err(format!("site {name} is on its way back")),
        SitePhase::Done => Err(format!("site {name} is done")),
    }
}

/// Whether something of a site, or of the rollout, waits before it is tried again.
fn backs_off(state: &State, name: Option<&SiteName>, now: Timestamp) -> bool {
    let of_site = |(found, site): (&SiteName, &SiteState)| {
        let waits = site.retry.not_before > now || site.command_retry.not_before > now;
        waits && name.is_none_or(|name| name == found)
    };
    let of_gate = |(key, gate): (GateKey, &crate::state::GateState)| {
        let concerned = name.is_none_or(|name| key.subject == Subject::Site(name.clone()));
        concerned && gate.retry.failures > 0 && gate.due > now
    };
    state.sites.iter().any(of_site) || state.gates().any(of_gate)
}

pub(super) fn skip(state: &State, name: &SiteName, request: &Request) -> Decided {
    let site = site_of(state, name)?;
    let fact = match site.phase {
        SitePhase::Skipped => return Err(format!("site {name} is left out already")),
        SitePhase::RolledBack => {
            return Err(format!("site {name} is back, and nothing waits for it"));
        }
        SitePhase::RollbackFailed => {
            return Err(format!(
                "site {name} could not go back, and nothing waits for it; `retry` tries again"
            ));
        }
        SitePhase::RollingBack => match lost(state, site).as_slice() {
            [] => return Err(format!("site {name} is on its way back")),
            lost => Fact::SiteRollbackFailed {
                site: name.clone(),
                why: format!("{}, and somebody skipped it", named(lost)),
            },
        },
        _ if goes_back(state) => {
            return Err("the rollout goes back, and leaves nothing out".to_string());
        }
        SitePhase::Pending
        | SitePhase::Updating
        | SitePhase::Soaking
        | SitePhase::Done
        | SitePhase::Failed => left_out(state, name, site)?,
    };
    let asked = Fact::SkipAsked {
        site: name.clone(),
        actor: request.actor.clone(),
        reason: request.reason.clone(),
    };
    Ok(alloc::vec![asked, fact])
}

fn left_out(state: &State, name: &SiteName, site: &SiteState) -> Result<Fact, String> {
    let skipped = |why: &str| Fact::SiteSkipped {
        site: name.clone(),
        why: why.to_string(),
    };
    if site.phase == SitePhase::Done && !site.touched {
        return Err(format!("site {name} is done"));
    }
    if !site.touched {
        return Ok(skipped("nothing was changed there"));
    }
    let lost = lost(state, site);
    if !lost.is_empty() {
        return Ok(Fact::SiteGivenUp {
            site: name.clone(),
            clusters: lost,
        });
    }
    if site.phase == SitePhase::Done {
        return Err(format!("site {name} is done"));
    }
    not_at_baseline(state, site).map_or_else(
        || Ok(skipped("it is at its baseline")),
        |why| {
            Err(format!(
                "site {name} is not dropped as it is: {why}; retry it, or roll back"
            ))
        },
    )
}

/// Touched clusters that did not answer when they were looked at last.
fn lost(state: &State, site: &SiteState) -> Vec<ClusterName> {
    let lost = |name: &&ClusterName| {
        let cluster = state.cluster(name);
        cluster.touched && cluster.lost.is_some()
    };
    site.clusters.iter().filter(lost).cloned().collect()
}

fn named(clusters: &[ClusterName]) -> String {
    let names: Vec<&str> = clusters.iter().map(|name| name.as_str()).collect();
    format!("no answer from {}", names.join(", "))
}

/// What tells a touched site from what it was before, if anything does.
fn not_at_baseline(state: &State, site: &SiteState) -> Option<String> {
    if !site.outstanding.is_empty() {
        return Some("a command is being carried out".to_string());
    }
    for name in &site.clusters {
        let Some(known) = Known::new(state, name) else {
            return Some(format!("cluster {name} has not been seen"));
        };
        if known
            .cluster
            .seen
            .as_ref()
            .is_none_or(|seen| seen.at < site.fresh_after)
        {
            return Some(format!(
                "cluster {name} has not been seen since the last change"
            ));
        }
        let same = known.baseline == known.release;
        let serving = if same {
            known.new_nodes().ready
        } else {
            known.baseline_nodes().ready
        };
        let strange = known.other_nodes() + if same { 0 } else { known.new_nodes().total() };
        if strange > 0 {
            return Some(format!(
                "{strange} nodes of cluster {name} do not run what it ran before"
            ));
        }
        if serving < known.seen.desired {
            return Some(format!(
                "{serving} of {} nodes of cluster {name} serve",
                known.seen.desired
            ));
        }
        let traffic = known.seen.traffic.iter().flatten();
        let elsewhere = traffic
            .filter(|(release, share)| *release != known.baseline && **share > Permille::NONE);
        if elsewhere.count() > 0 {
            return Some(format!(
                "traffic of cluster {name} goes to what it did not run before"
            ));
        }
    }
    let clusters = moving::known(state, site)?;
    let split = moving::seen_split(&clusters);
    let moved = state.spec.capabilities.splits_traffic && split != site.baseline_split;
    moved.then(|| "its traffic is not split as before".to_string())
}

pub(super) fn override_gate(
    state: &State,
    gate: &GateName,
    subject: Option<&Subject>,
    request: &Request,
) -> Decided {
    let policy = &state.spec.policy;
    let Some(used) = policy.gates.iter().find(|used| used.name == *gate) else {
        let names: Vec<&str> = policy.gates.iter().map(|gate| gate.name.as_str()).collect();
        return Err(match names.as_slice() {
            [] => "the policy has no gates".to_string(),
            names => format!("the policy has no gate {gate}; it has {}", names.join(", ")),
        });
    };
    if goes_back(state) {
        return Err("the rollout goes back, and asks no gate there".to_string());
    }
    let asked: Vec<(Subject, Phase)> = match subject {
        Some(Subject::Site(name)) => {
            let site = site_of(state, name)?;
            let asked = judged_site(state, used, name, site)?;
            alloc::vec![(Subject::Site(name.clone()), asked)]
        }
        Some(Subject::Wave(name)) => {
            let mut waves = state.spec.plan.waves.iter();
            let index = waves.position(|wave| wave.name == *name);
            let index = index.ok_or_else(|| format!("the plan has no wave {name}"))?;
            alloc::vec![(
                Subject::Wave(name.clone()),
                judged_wave(state, used, index)?
            )]
        }
        None => judged(state, used),
    };
    let key = |(subject, phase)| GateKey {
        subject,
        phase,
        gate: gate.clone(),
    };
    let open = |key: &GateKey| {
        let passed = |gate: &crate::state::GateState| matches!(gate.last, Some((Verdict::Pass, _)));
        !state.gate(key).is_some_and(passed)
    };
    let keys: Vec<GateKey> = asked.into_iter().map(key).filter(open).collect();
    if keys.is_empty() {
        return Err(match subject {
            Some(_) => format!("gate {gate} has passed already"),
            None => format!("nothing waits for gate {gate}"),
        });
    }
    let overridden = keys.into_iter().map(|gate| Fact::GateOverridden {
        gate,
        actor: request.actor.clone(),
        reason: request.reason.clone(),
    });
    Ok(overridden.collect())
}

/// All that is judged by a gate now.
fn judged(state: &State, gate: &GateUse) -> Vec<(Subject, Phase)> {
    let sites = state.sites.iter().filter_map(|(name, site)| {
        let phase = judged_site(state, gate, name, site).ok()?;
        Some((Subject::Site(name.clone()), phase))
    });
    let waves = state.spec.plan.waves.iter().enumerate();
    let waves = waves.filter_map(|(index, wave)| {
        let phase = judged_wave(state, gate, index).ok()?;
        Some((Subject::Wave(wave.name.clone()), phase))
    });
    sites.chain(waves).collect()
}

/// The phase in which a gate judges a site now, or why there is nothing to judge.
fn judged_site(
    state: &State,
    gate: &GateUse,
    name: &SiteName,
    site: &SiteState,
) -> Result<Phase, String> {
    let asked = |phase: Phase| gate.phases.contains(&phase);
    let settles = site.batch.is_some() || !site.outstanding.is_empty();
    let after_batch = asked(Phase::AfterBatch)
        || matches!(&site.step, Step::Gates(gates) if gates.contains(&gate.name));
    match site.phase {
        SitePhase::Updating | SitePhase::Failed
            if site.step == Step::Before && asked(Phase::BeforeSite) =>
        {
            Ok(Phase::BeforeSite)
        }
        SitePhase::Updating | SitePhase::Failed if site.touched && after_batch => {
            if settles {
                Err(format!(
                    "the last batch of site {name} has not settled, so there is no evidence yet"
                ))
            } else {
                Ok(Phase::AfterBatch)
            }
        }
        SitePhase::Soaking | SitePhase::Done if gates::soaks(state, site) => {
            let covering = crate::soak::covering(state, name);
            let found = covering.iter().find(|key| key.gate == gate.name);
            let none = || format!("gate {} does not cover the soak of site {name}", gate.name);
            found.map(|key| key.phase).ok_or_else(none)
        }
        _ => Err(format!(
            "gate {} has nothing to judge in site {name} now",
            gate.name
        )),
    }
}

fn judged_wave(state: &State, gate: &GateUse, index: usize) -> Result<Phase, String> {
    let (plan, wave) = (&state.spec.plan.waves[index], &state.waves[index]);
    let done = |before: &usize| state.waves[*before].phase == WavePhase::Done;
    let all = wave.soaked as usize == plan.sites.len();
    match wave.phase {
        WavePhase::Waiting
            if plan.after.iter().all(done) && gate.phases.contains(&Phase::BeforeWave) =>
        {
            Ok(Phase::BeforeWave)
        }
        WavePhase::Soaking if all && gate.phases.contains(&Phase::AfterWave) => {
            Ok(Phase::AfterWave)
        }
        _ => Err(format!(
            "gate {} has nothing to judge in wave {} now",
            gate.name, plan.name
        )),
    }
}

/// An ended rollout goes back. The host that carries it out claims every cluster anew.
pub(super) fn undo(state: &State, now: Timestamp, end: End, request: &Request) -> Decided {
    if end == End::Superseded {
        return Err("another host or rollout has taken the clusters over".to_string());
    }
    if state.spec.release.reversal == Reversal::Irreversible {
        return Err("the release says that it cannot be rolled back".to_string());
    }
    let away = |(_, site): &(&SiteName, &SiteState)| match site.phase {
        SitePhase::RolledBack => false,
        // One that was left out at its baseline is there.
        SitePhase::Skipped => !site.given_up.is_empty(),
        _ => true,
    };
    let sites: Vec<SiteName> = state
        .touched()
        .filter(away)
        .map(|(name, _)| name.clone())
        .collect();
    if sites.is_empty() {
        return Err("everything that was touched is on its baseline".to_string());
    }
    Ok(alloc::vec![
        Fact::Undone {
            actor: request.actor.clone(),
            reason: request.reason.clone(),
            sites,
        },
        Fact::Resumed {
            down: now.since(state.clock.last),
        },
    ])
}
