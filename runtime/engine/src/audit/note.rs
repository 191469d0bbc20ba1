//! Writes each fact into the book.

use super::Auditor;
use super::book::{Place, Wait};
use super::time::Open;
use super::verdicts::Question;
use super::{commands, members, verbs};
use crate::command::Change;
use crate::fact::{Fact, HoldReason, StopReason};
use crate::state::GateKey;
use wavegate_model::plugin::{Proposal, Verdict};
use wavegate_model::{ClusterName, CommandId, ConsultationId, SiteName, Timestamp};

impl Auditor {
    pub(super) fn note(&mut self, at: Timestamp, fact: &Fact) {
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
