//! Re-checks the invariants from the facts alone.
//!
//! It shares no code with what decides: not the guards, not the batches, not the traffic, not
//! the state. What it knows it has written into a book of its own, and it counts by itself. A
//! step that it objects to must not be recorded, let alone carried out.

mod approvals;
mod book;
mod commands;
mod evidence;
mod members;
mod swap;
#[cfg(test)]
mod tests;
mod verbs;
mod violation;

use crate::command::Change;
use crate::fact::{End, Fact, HoldReason, StopReason};
use crate::spec::Spec;
use crate::state::GateKey;
use alloc::collections::BTreeSet;
use book::{Book, Open, Place, Question, Wait, part};
pub use violation::Violation;
use wavegate_model::plugin::{Phase, Proposal, Subject, Verdict};
use wavegate_model::policy::EndState;
use wavegate_model::release::Reversal;
use wavegate_model::{
    ClusterName, CommandId, ConsultationId, Digest, Permille, SiteName, Split, Timestamp, WaveName,
};

/// Watches the facts of one rollout.
#[derive(Clone, Debug)]
pub struct Auditor {
    book: Book,
}

impl Auditor {
    /// An auditor that has seen nothing yet.
    pub fn new(spec: &Spec) -> Self {
        Self {
            book: Book::new(spec),
        }
    }

    /// Takes the next fact.
    ///
    /// # Errors
    /// The invariant that it breaks. What the auditor says of later facts is then of no use.
    pub fn observe(&mut self, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
        check(&self.book, at, fact)?;
        self.book.check_component(fact)?;
        self.note(at, fact);
        self.book.note_component(fact);
        self.book.keep_time(at);
        Ok(())
    }

    fn note(&mut self, at: Timestamp, fact: &Fact) {
        let book = &mut self.book;
        match fact {
            Fact::Started { .. } => {
                book.started = at;
                book.still = book.queued.then_some(at);
            }
            Fact::Resumed { down } => {
                if book.still.is_none() {
                    book.stopped_for = book.stopped_for.plus(*down);
                }
                book.asked.clear();
                for cluster in book.clusters.values_mut() {
                    cluster.epoch = None;
                }
                for site in book.sites.values_mut() {
                    site.fresh_after = at;
                    site.covered.values_mut().for_each(|c| c.last = None);
                }
            }
            Fact::Claimed { cluster, epoch } => {
                let cluster = book.cluster_mut(cluster);
                (cluster.epoch, cluster.late) = (Some(*epoch), None);
            }
            Fact::Observed { cluster, seen } => book.see(cluster, seen),
            Fact::BaselineTaken {
                cluster, release, ..
            } => book.baseline(cluster, &release.digest),
            Fact::ClusterLost { cluster, .. } => book.cluster_mut(cluster).lost = true,
            Fact::ClusterReturned { cluster } => self.returned(cluster, at),
            Fact::WaveStarted { wave } => {
                let index = book.wave_index(wave);
                book.waves[index].started = true;
            }
            Fact::WaveSoakStarted { wave } => {
                let index = book.wave_index(wave);
                book.waves[index].soaking = true;
                let mine = book.sites.iter().filter(|(_, site)| site.wave == index);
                let names: alloc::vec::Vec<SiteName> = mine.map(|(name, _)| name.clone()).collect();
                for name in names {
                    book.soak_anew(&name, at);
                }
            }
            Fact::WaveDone { wave } => {
                let index = book.wave_index(wave);
                book.waves[index].done = true;
            }
            Fact::SiteStarted {
                site,
                split,
                demand,
            } => {
                book.place(site, Place::Updating);
                let site = book.site_mut(site);
                site.split = split.clone();
                site.demand = *demand;
                let shares = split.shares().iter();
                site.carriers = shares.map(|share| share.cluster.clone()).collect();
                site.wait = Wait::BeforeSite;
            }
            Fact::SiteSkipped { site, .. } => verbs::left_out(book, site, false),
            Fact::SiteGivenUp { site, .. } => verbs::left_out(book, site, true),
            Fact::SiteRetried { site } => verbs::retried(book, site),
            Fact::Promoted { site, .. } => verbs::promoted(book, site.as_ref()),
            Fact::GateOverridden { gate, .. } => verbs::overridden(book, gate, at),
            Fact::Undone { sites, .. } => verbs::undone(book, sites),
            Fact::StrategyAnswered { site, outcome, .. } => {
                let now = book.active_in(book.site(site).wave, at);
                book.site_mut(site).stage.clone_from(&outcome.stage);
                book.site_mut(site).wait = match &outcome.proposal {
                    Proposal::WaitGates(gates) => Wait::Gates(gates.clone()),
                    Proposal::Wait(time) => Wait::Until(now.plus(*time)),
                    _ => Wait::Nothing,
                };
            }
            Fact::GateAsked { consultation, gate } => {
                let evidence = book.evidence_of(gate);
                let asked = Question {
                    gate: gate.clone(),
                    evidence,
                    changes: book.changes_of(&gate.subject),
                    at,
                };
                book.asked.insert(*consultation, asked);
            }
            Fact::GateAnswered {
                consultation,
                gate,
                evaluation,
            } => self.answered(*consultation, gate, evaluation.verdict, at),
            Fact::GateCancelled { consultation, .. } => {
                book.asked.remove(consultation);
            }
            Fact::GateUnavailable {
                consultation, gate, ..
            } => {
                book.asked.remove(consultation);
                book.verdict(gate, None);
                book.cover(gate, None, at);
            }
            Fact::CommandIssued { effect } => {
                book.last_command = effect.id;
                book.generation = effect.generation;
                let split = match &effect.change {
                    Change::Traffic { split, .. } => Some(split.clone()),
                    Change::Nodes(_) => None,
                };
                book.open.insert(effect.id, (effect.site.clone(), split));
                commands::given(book, effect);
                let touched = match &effect.change {
                    Change::Nodes(change) => alloc::vec![change.cluster.clone()],
                    Change::Traffic { .. } => book.site(&effect.site).clusters.clone(),
                };
                for cluster in touched {
                    book.cluster_mut(&cluster).touched = true;
                }
                book.note_earlier_split(&effect.site);
                let site = book.site_mut(&effect.site);
                site.touched = true;
                site.outstanding = Some(effect.id);
                match &effect.change {
                    Change::Nodes(_) => {
                        site.settled = false;
                        site.evidence += 1;
                    }
                    Change::Traffic { split, .. } if !site.intended.contains(split) => {
                        site.intended.push(split.clone());
                    }
                    Change::Traffic { .. } => {}
                }
            }
            Fact::CommandConfirmed { command } => {
                commands::carried_out(book, *command);
                self.answer_of_command(*command, at, true);
            }
            Fact::CommandRefused { command, result } => {
                commands::given_up(book, *command, result);
                self.answer_of_command(*command, at, false);
            }
            Fact::CommandVoided { command } => {
                commands::voided(book, *command);
                self.answer_of_command(*command, at, false);
            }
            Fact::BatchSettled { site } => {
                let site = book.site_mut(site);
                site.settled = true;
                site.evidence += 1;
            }
            Fact::SiteSoakStarted { site } => {
                book.place(site, Place::Soaking);
                book.soak_anew(site, at);
            }
            Fact::SiteDone { site } => book.place(site, Place::Done),
            Fact::SiteSoaked { site } => book.site_mut(site).soaked = true,
            Fact::SiteFailed { site, .. } => verbs::failed(book, site),
            Fact::SiteRollbackStarted { site } => {
                book.place(site, Place::GoingBack);
                book.site_mut(site).settled = true;
            }
            Fact::SiteRolledBack { site } => book.place(site, Place::Back),
            Fact::SiteRollbackFailed { site, .. } => book.place(site, Place::NotBack),
            Fact::Paused { .. } => book.paused = true,
            Fact::WaveWindowClosed { wave, .. } => book.wave_window(wave, Open::No, at),
            Fact::WaveWindowOpened { wave, .. } => book.wave_window(wave, Open::Yes, at),
            Fact::WindowClosed { .. } => book.closed = true,
            Fact::WindowOpened { .. } => book.closed = false,
            Fact::Continued { .. } => {
                book.paused = false;
                book.held = false;
            }
            Fact::Approved {
                wave,
                site,
                actor,
                stage,
                ..
            } => {
                if let Some(wave) = wave {
                    let index = book.wave_index(wave);
                    book.waves[index].approved.insert(actor.clone());
                }
                if let (Some(site), Some(stage)) = (site, stage) {
                    let approval = (stage.clone(), actor.clone());
                    book.site_mut(site).approved.push(approval);
                }
            }
            Fact::Held { reason } => {
                book.held = true;
                book.held_by_failure = matches!(reason, HoldReason::Failure { .. });
            }
            Fact::Stopped { reason, sites } => {
                book.waves_go_on(at);
                verbs::stopped(book, sites);
                book.makes_room = matches!(reason, StopReason::Superseded { .. });
            }
            Fact::Finished { end } => book.end = Some(*end),
            Fact::Replanned { plan, changes, .. } => members::note(book, plan, changes),
            Fact::Queued { behind } => book.queued = !behind.is_empty(),
            Fact::DemandChanged { site, demand } => book.site_mut(site).demand = *demand,
            Fact::SiteReopened { site } => {
                book.place(site, Place::Updating);
                book.site_mut(site).wait = Wait::Nothing;
            }
            Fact::StrategyAsked { .. }
            | Fact::StrategyUnavailable { .. }
            | Fact::StrategyCancelled { .. }
            | Fact::AnswerDiscarded { .. }
            | Fact::BatchPassed { .. }
            | Fact::GoalReached { .. }
            | Fact::GoalDropped { .. }
            | Fact::WaitEnded { .. }
            | Fact::RequestRefused { .. }
            | Fact::EndAsked { .. }
            | Fact::RetryAsked { .. }
            | Fact::SkipAsked { .. }
            | Fact::PluginSwapped { .. }
            | Fact::InboxTaken { .. } => {}
        }
    }

    /// A cluster is back: what was judged of its site is void, and a site that does not look as
    /// it should is decided again.
    fn returned(&mut self, name: &ClusterName, at: Timestamp) {
        let book = &mut self.book;
        book.cluster_mut(name).lost = false;
        let cluster = book.cluster(name);
        let as_wanted = cluster.seen.as_ref().is_some_and(|seen| {
            let idle =
                book.spec.capabilities.splits_traffic && seen.new_share + seen.other_share == 0;
            idle || seen.new.ready >= seen.desired
        });
        let name = cluster.site.clone();
        match book.site(&name).place {
            Place::Updating => book.site_mut(&name).evidence += 1,
            Place::Soaking | Place::Done => {
                book.site_mut(&name).evidence += 1;
                book.soak_anew(&name, at);
                if !as_wanted {
                    book.place(&name, Place::Updating);
                    book.site_mut(&name).wait = Wait::Nothing;
                }
            }
            _ => {}
        }
    }

    fn answered(
        &mut self,
        consultation: ConsultationId,
        key: &GateKey,
        verdict: Verdict,
        at: Timestamp,
    ) {
        let book = &mut self.book;
        let asked = book.asked.remove(&consultation);
        let now = book.evidence_of(key);
        let asked = asked.filter(|asked| asked.gate == *key && asked.evidence == now);
        let current = asked.is_some();
        if let Some(asked) = asked {
            book.judged(key, verdict, now, asked.at, at);
        }
        let counts = match verdict {
            Verdict::Pass if !current => Verdict::Hold,
            verdict => verdict,
        };
        book.cover(key, Some(counts), at);
    }

    fn answer_of_command(&mut self, command: CommandId, at: Timestamp, done: bool) {
        let Some((site, split)) = self.book.open.remove(&command) else {
            return;
        };
        let site = self.book.site_mut(&site);
        site.outstanding = None;
        site.fresh_after = at;
        if let (Some(split), true) = (split, done) {
            site.split = split;
            site.intended.clear();
            site.evidence += 1;
        }
    }
}

/// Whether a fact may follow what is in the book.
fn check(book: &Book, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
    match fact {
        Fact::CommandIssued { effect } => commands::check(book, at, effect),
        Fact::WaveStarted { wave } => wave_started(book, at, wave),
        Fact::WaveSoakStarted { wave } => all_finished(book, wave),
        Fact::WaveDone { wave } => wave_done(book, wave, at),
        Fact::SiteStarted { site, split, .. } => site_started(book, at, site, split),
        Fact::WaitEnded { site } => wait_ended(book, site, at),
        Fact::BatchPassed { site } => batch_passed(book, site, at),
        Fact::SiteSoakStarted { site } => soak_started(book, site, at),
        Fact::SiteDone { site } => {
            let wanted = book.spec.plan.waves[book.site(site).wave].site_soak;
            soaked(book, site, at, wanted)
        }
        Fact::SiteSoaked { site } => {
            let wanted = book.spec.plan.waves[book.site(site).wave].soak;
            soaked(book, site, at, wanted)
        }
        Fact::SiteRollbackStarted { site } => reversible(book, site),
        Fact::SiteRolledBack { site } => {
            commands::none_may_arrive(book, site, "back")?;
            rolled_back(book, site)
        }
        Fact::GoalReached { site } => commands::none_may_arrive(book, site, "at its goal"),
        Fact::BaselineTaken {
            cluster, release, ..
        } => baseline(book, cluster, &release.digest),
        Fact::GateAnswered {
            consultation,
            gate,
            evaluation,
        } => evidence::answered(book, *consultation, gate, evaluation, at),
        Fact::GateCancelled {
            consultation, why, ..
        } => evidence::cancelled(book, *consultation, *why),
        Fact::SiteFailed { site, reason } => evidence::site_failed(book, site, reason),
        Fact::Stopped { reason, sites } => stopped(book, reason, &sites.iter().collect()),
        Fact::Finished { end } => finished(book, *end),
        Fact::SiteRetried { site } => verbs::check_retried(book, site),
        Fact::SiteSkipped { site, .. } => verbs::check_skipped(book, site),
        Fact::SiteGivenUp { site, .. } => verbs::check_given_up(book, site),
        Fact::GateOverridden { gate, actor, .. } => verbs::check_overridden(book, gate, actor),
        Fact::Undone { sites, .. } => verbs::check_undone(book, sites),
        Fact::Replanned { plan, changes, .. } => members::replanned(book, plan, changes),
        Fact::Queued { behind } => members::queued(book, behind.is_empty()),
        Fact::DemandChanged { site, demand } => members::demand(book, site, *demand),
        Fact::SiteReopened { site } => {
            may_start(
                book,
                book.site(site).wave,
                at,
                "a site that is decided again",
            )?;
            members::reopened(book, site)
        }
        _ => Ok(()),
    }
}

/// A baseline is what runs; beside others, what has all the traffic; without any node nobody can
/// say otherwise.
fn baseline(book: &Book, name: &ClusterName, release: &Digest) -> Result<(), Violation> {
    let Some(shown) = &book.cluster(name).shown else {
        return Ok(());
    };
    let (mut here, mut beside, mut elsewhere) = (0, 0, 0);
    for (digest, counts) in &shown.nodes {
        if digest == release {
            here += counts.total();
        } else {
            beside += counts.total();
        }
    }
    for (digest, share) in shown.traffic.iter().flatten() {
        if digest != release {
            elsewhere += share.0;
        }
    }
    let all_traffic = shown.traffic.is_some() && here > 0 && elsewhere == 0;
    if beside == 0 || all_traffic {
        return Ok(());
    }
    Err(Violation::WrongBaseline {
        cluster: name.clone(),
        release: release.clone(),
        beside,
        elsewhere,
    })
}

fn may_start(book: &Book, wave: usize, at: Timestamp, what: &'static str) -> Result<(), Violation> {
    commands::in_a_window(book, wave, at, what)?;
    let state = if book.end.is_some() {
        return Err(Violation::AfterEnd { what });
    } else if book.stopping.is_some() {
        "stopping"
    } else if book.paused {
        "paused"
    } else if book.held {
        "held"
    } else if book.queued {
        "queued"
    } else {
        return Ok(());
    };
    Err(Violation::Blocked { what, state })
}

fn wave_started(book: &Book, at: Timestamp, name: &WaveName) -> Result<(), Violation> {
    let index = book.wave_index(name);
    may_start(book, index, at, "the start of a wave")?;
    let plan = &book.spec.plan.waves[index];
    after_all(book, index)?;
    // Where all sites have left there is nothing to approve and nothing to judge.
    if plan.sites.is_empty() {
        return Ok(());
    }
    let given = || book.waves[index].approved.iter();
    if plan.approval.is_some() && !approvals::enough(book, &plan.approvers, given()) {
        return Err(Violation::NotApproved { wave: name.clone() });
    }
    let subject = Subject::Wave(name.clone());
    book.all_passed("a wave starts", &subject, Phase::BeforeWave, at)
}

/// Every wave that comes before is done, also the ones that come before those.
fn after_all(book: &Book, index: usize) -> Result<(), Violation> {
    let waves = &book.spec.plan.waves;
    let mut earlier = book.earlier(index).into_iter();
    match earlier.find(|before| !book.waves[*before].done) {
        Some(before) => Err(Violation::WaveOrder {
            wave: waves[index].name.clone(),
            before: waves[before].name.clone(),
        }),
        None => Ok(()),
    }
}

fn all_finished(book: &Book, name: &WaveName) -> Result<(), Violation> {
    let index = book.wave_index(name);
    let mut mine = book.sites.iter().filter(|(_, site)| site.wave == index);
    match mine.find(|(_, site)| !site.place.finished()) {
        Some((site, _)) => Err(Violation::Unfinished {
            wave: name.clone(),
            site: site.clone(),
        }),
        None => Ok(()),
    }
}

fn wave_done(book: &Book, name: &WaveName, at: Timestamp) -> Result<(), Violation> {
    all_finished(book, name)?;
    let index = book.wave_index(name);
    let wanted = book.spec.plan.waves[index].soak;
    for (site, found) in book.sites.iter().filter(|(_, site)| site.wave == index) {
        if found.place == Place::Done && !found.soaked {
            return Err(Violation::Soak {
                site: site.clone(),
                covered: book.covered(site, at),
                wanted,
            });
        }
    }
    if book.spec.plan.waves[index].sites.is_empty() {
        return Ok(());
    }
    let subject = Subject::Wave(name.clone());
    book.all_passed("a wave is done", &subject, Phase::AfterWave, at)
}

fn within_budget(book: &Book, what: &'static str, site: &SiteName) -> Result<(), Violation> {
    let failure = &book.spec.policy.failure;
    let over = |failed: u32, tolerated: u32| {
        if failed <= tolerated {
            return Ok(());
        }
        Err(Violation::Budget {
            what,
            site: site.clone(),
            failed,
            tolerated,
        })
    };
    over(book.failed, part(failure.tolerate, book.largest, false))?;
    for wave in &book.waves {
        over(
            wave.failed,
            part(failure.tolerate_per_wave, wave.largest, false),
        )?;
    }
    Ok(())
}

fn site_started(
    book: &Book,
    at: Timestamp,
    name: &SiteName,
    split: &Split,
) -> Result<(), Violation> {
    let site = book.site(name);
    if split.total() > Permille::ALL {
        return Err(Violation::SplitSum {
            site: name.clone(),
            total: split.total().0,
        });
    }
    may_start(book, site.wave, at, "the start of a site")?;
    let (wave, plan) = (&book.waves[site.wave], &book.spec.plan.waves[site.wave]);
    after_all(book, site.wave)?;
    if site.place != Place::Pending || !wave.started || wave.done {
        return Err(Violation::SiteOrder { site: name.clone() });
    }
    if wave.in_flight >= plan.max_parallel_sites {
        return Err(Violation::InFlight {
            site: name.clone(),
            wave: plan.name.clone(),
            in_flight: wave.in_flight,
            limit: plan.max_parallel_sites,
        });
    }
    within_budget(book, "the start", name)
}

fn wait_ended(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    let subject = Subject::Site(name.clone());
    match &book.site(name).wait {
        Wait::Nothing => Ok(()),
        Wait::BeforeSite => book.all_passed("a site begins", &subject, Phase::BeforeSite, at),
        Wait::Gates(gates) => {
            let wave = book.site(name).wave;
            for gate in gates.iter().filter(|gate| book.asks(wave, gate)) {
                book.has_passed("a wait ended", &subject, Phase::AfterBatch, gate, at)?;
            }
            Ok(())
        }
        Wait::Until(end) => {
            let left = end.minus(book.active_in(book.site(name).wave, at));
            if left.0 == 0 || verbs::is_promoted(book, name) {
                return Ok(());
            }
            Err(Violation::TooEarly {
                site: name.clone(),
                left,
            })
        }
    }
}

fn batch_passed(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    let site = book.site(name);
    if !site.settled {
        return Err(Violation::NotSettled { site: name.clone() });
    }
    let new_nodes = |c: &ClusterName| {
        let seen = book.cluster(c).seen.as_ref();
        seen.map_or(0, |seen| seen.new.total())
    };
    // Where no node runs the release there is nothing to judge.
    if site.clusters.iter().map(new_nodes).sum::<u32>() == 0 {
        return Ok(());
    }
    let subject = Subject::Site(name.clone());
    book.all_passed("a batch passed", &subject, Phase::AfterBatch, at)
}

/// All that serves in a site is the release.
fn updated(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let splits = book.spec.capabilities.splits_traffic;
    for cluster_name in &book.site(name).clusters {
        let cluster = book.cluster(cluster_name);
        let seen = cluster.seen.clone().unwrap_or_default();
        let serves = !splits || seen.new_share > 0;
        let short = serves && seen.new.ready < seen.desired;
        let remains = !splits && seen.old.total() > 0;
        if short || remains || seen.other_share > 0 {
            return Err(Violation::NotUpdated {
                site: name.clone(),
                cluster: cluster_name.clone(),
                ready: seen.new.ready,
                desired: seen.desired,
                elsewhere: seen.other_share,
            });
        }
    }
    Ok(())
}

fn soak_started(book: &Book, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
    updated(book, name)?;
    if !book.site(name).touched {
        return Ok(());
    }
    let subject = Subject::Site(name.clone());
    book.all_passed("a site soaks", &subject, Phase::AfterBatch, at)
}

fn soaked(
    book: &Book,
    name: &SiteName,
    at: Timestamp,
    wanted: wavegate_model::DurationMs,
) -> Result<(), Violation> {
    let covered = book.covered(name, at);
    // Somebody may waive the time, and never the gates.
    let waived = verbs::is_promoted(book, name) && book.soak_gates_passed(name);
    if covered < wanted && !waived {
        return Err(Violation::Soak {
            site: name.clone(),
            covered,
            wanted,
        });
    }
    if wanted > wavegate_model::DurationMs::ZERO {
        book.vouched(name, at)?;
    }
    Ok(())
}

fn reversible(book: &Book, site: &SiteName) -> Result<(), Violation> {
    if book.spec.release.reversal == Reversal::Irreversible {
        return Err(Violation::Irreversible { site: site.clone() });
    }
    Ok(())
}

fn rolled_back(book: &Book, name: &SiteName) -> Result<(), Violation> {
    let site = book.site(name);
    let untouched = |c: &&ClusterName| book.cluster(c).touched;
    for cluster_name in site.clusters.iter().filter(untouched) {
        let cluster = book.cluster(cluster_name);
        let seen = cluster.seen.clone().unwrap_or_default();
        let same = book.same(cluster);
        let (ready, new) = if same {
            (seen.new.ready, 0)
        } else {
            (seen.old.ready, seen.new.total())
        };
        let elsewhere = if same {
            seen.other_share
        } else {
            seen.new_share
        };
        let stale = seen.at < site.fresh_after || site.outstanding.is_some();
        if stale || ready < seen.desired || new > 0 || elsewhere > 0 {
            return Err(Violation::NotBack {
                site: name.clone(),
                cluster: cluster_name.clone(),
                baseline: ready,
                desired: seen.desired,
                new,
                elsewhere,
            });
        }
    }
    Ok(())
}

fn stopped(book: &Book, reason: &StopReason, sites: &BTreeSet<&SiteName>) -> Result<(), Violation> {
    if let Some(site) = sites.first() {
        reversible(book, site)?;
    }
    let all = matches!(reason, StopReason::Requested { .. })
        || book.spec.policy.failure.then == EndState::RollBackTouched;
    // Who makes room leaves what is done, and all else that it touched goes back.
    let room = matches!(reason, StopReason::Superseded { .. });
    let stays = |place: Place| room && matches!(place, Place::Done | Place::Back | Place::Skipped);
    let all = all || room;
    let left_out = |(name, site): &(&SiteName, &book::Site)| {
        site.touched && !sites.contains(name) && !stays(site.place)
    };
    match book.sites.iter().find(left_out) {
        Some((site, _)) if all => Err(Violation::LeftBehind { site: site.clone() }),
        _ => Ok(()),
    }
}

fn finished(book: &Book, end: End) -> Result<(), Violation> {
    let wrong = |why| Err(Violation::End { end, why });
    if book.end.is_some() {
        return wrong("it had ended before");
    }
    let any = |place: Place| book.sites.values().any(|site| site.place == place);
    let given_up = book.sites.values().any(|site| site.given_up);
    let lost = book
        .clusters
        .values()
        .any(|c| c.touched && c.lost && !c.left);
    match end {
        End::Replaced if !book.makes_room => wrong("nobody asked it to make room"),
        End::Done | End::RollbackIncomplete | End::RolledBack | End::Replaced
            if any(Place::GoingBack) =>
        {
            wrong("a site is on its way back")
        }
        End::Done | End::RolledBack if given_up => wrong("a site was given up"),
        End::Done if book.waves.iter().any(|wave| !wave.done) => wrong("a wave is not done"),
        End::Done if book.waves.iter().any(|wave| wave.in_flight > 0) => {
            wrong("a site is in flight")
        }
        End::Done if lost => wrong("a touched cluster is unreachable"),
        End::Done | End::RolledBack | End::Replaced if any(Place::NotBack) => {
            wrong("a site could not go back")
        }
        End::RolledBack | End::RollbackIncomplete | End::Replaced => {
            let open = |site: &SiteName| !book.site(site).place.finished();
            let scope = book.stopping.as_ref();
            let not_all = scope.is_some_and(|sites| {
                let done = |s: &SiteName| book.site(s).place == Place::Done;
                sites.iter().any(|s| open(s) || done(s))
            });
            if not_all {
                wrong("a site that has to go back has not")
            } else if end == End::RollbackIncomplete && !any(Place::NotBack) {
                wrong("every site is back")
            } else {
                Ok(())
            }
        }
        End::Incomplete if !lost && !given_up => wrong("no touched cluster is unreachable"),
        End::Done | End::Aborted | End::Incomplete | End::Superseded => Ok(()),
    }
}
