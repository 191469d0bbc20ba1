//! What the auditor remembers. Written from the facts, by code of its own.

use super::Violation;
use crate::fact::End;
use crate::spec::Spec;
use crate::state::GateKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, WhenBusy};
use wavegate_model::{
    Amount, ClusterName, ClusterObservation, CommandId, ConsultationId, Digest, DurationMs, Epoch,
    GateName, Generation, NodeCounts, SiteName, Split, Table, Timestamp,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Pending,
    Updating,
    Soaking,
    Done,
    Failed,
    GoingBack,
    Back,
    NotBack,
    Skipped,
}

impl Place {
    pub(super) fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Updating | Self::Soaking | Self::Failed | Self::GoingBack
        )
    }

    pub(super) fn finished(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Back | Self::NotBack | Self::Skipped
        )
    }
}

#[derive(Clone, Debug)]
pub(super) enum Wait {
    Nothing,
    BeforeSite,
    Gates(Vec<GateName>),
    Until(DurationMs),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    pub(super) time: DurationMs,
    pub(super) last: Option<DurationMs>,
}

/// The last verdict of each gate that was asked, with the evidence that it is about.
pub(super) type Verdicts = Vec<(Phase, GateName, Verdict, u64)>;

#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) wave: usize,
    pub(super) clusters: Vec<ClusterName>,
    pub(super) place: Place,
    pub(super) touched: bool,
    pub(super) demand: u32,
    /// Clusters that carried its traffic when it began.
    pub(super) carriers: Vec<ClusterName>,
    pub(super) split: Split,
    pub(super) intended: Option<Split>,
    pub(super) evidence: u64,
    pub(super) verdicts: Verdicts,
    pub(super) settled: bool,
    pub(super) wait: Wait,
    pub(super) covered: BTreeMap<GateName, Covered>,
    pub(super) soak_since: DurationMs,
    pub(super) soaked: bool,
    pub(super) outstanding: Option<CommandId>,
    pub(super) fresh_after: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) desired: u32,
    /// Serving nodes, whatever they run.
    pub(super) all_ready: u32,
    pub(super) new: NodeCounts,
    /// On the baseline; zero if the baseline is the release.
    pub(super) old: NodeCounts,
    pub(super) new_share: u32,
    pub(super) other_share: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) site: SiteName,
    pub(super) baseline: Option<Digest>,
    pub(super) epoch: Option<Epoch>,
    pub(super) seen: Option<Seen>,
    pub(super) lost: bool,
    pub(super) touched: bool,
    /// It has left the fleet.
    pub(super) left: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Wave {
    pub(super) started: bool,
    pub(super) approved: bool,
    pub(super) soaking: bool,
    pub(super) done: bool,
    pub(super) failed: u32,
    /// Sites of the plan in which it was largest.
    pub(super) largest: u32,
    pub(super) in_flight: u32,
    pub(super) evidence: u64,
    pub(super) verdicts: Verdicts,
}

#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) spec: Box<Spec>,
    pub(super) sites: Table<SiteName, Site>,
    pub(super) clusters: Table<ClusterName, Cluster>,
    pub(super) waves: Vec<Wave>,
    pub(super) asked: BTreeMap<ConsultationId, (GateKey, u64)>,
    /// Whose each command is, and the traffic that it sets.
    pub(super) open: BTreeMap<CommandId, (SiteName, Option<Split>)>,
    pub(super) last_command: CommandId,
    pub(super) generation: Generation,
    pub(super) failed: u32,
    /// Sites of the largest plan.
    pub(super) largest: u32,
    pub(super) started: Timestamp,
    pub(super) stopped_for: DurationMs,
    pub(super) paused: bool,
    pub(super) queued: bool,
    pub(super) closed: bool,
    pub(super) still: Option<Timestamp>,
    pub(super) held: bool,
    pub(super) stopping: Option<BTreeSet<SiteName>>,
    pub(super) makes_room: bool,
    pub(super) end: Option<End>,
}

/// A count of a total, or a share of it; `up` says which way halves go.
pub(super) fn part(amount: Amount, total: u32, up: bool) -> u32 {
    match amount {
        Amount::Count(count) => count,
        Amount::Percent(share) => {
            let product = u64::from(share.0) * u64::from(total);
            let whole = product / 1000 + u64::from(up && !product.is_multiple_of(1000));
            u32::try_from(whole).unwrap_or(total)
        }
    }
}

impl Book {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut sites = BTreeMap::new();
        let mut clusters = BTreeMap::new();
        for (wave, planned) in spec.plan.waves.iter().enumerate() {
            for site in &planned.sites {
                for cluster in &site.clusters {
                    clusters.insert(
                        cluster.name.clone(),
                        Cluster {
                            site: site.name.clone(),
                            baseline: None,
                            epoch: None,
                            seen: None,
                            lost: false,
                            touched: false,
                            left: false,
                        },
                    );
                }
                let names = site.clusters.iter().map(|c| c.name.clone()).collect();
                sites.insert(site.name.clone(), fresh(wave, names));
            }
        }
        let mut book = Self {
            waves: spec.plan.waves.iter().map(|_| Wave::default()).collect(),
            generation: spec.plan.generation,
            spec: Box::new(spec.clone()),
            sites: sites.into_iter().collect(),
            clusters: clusters.into_iter().collect(),
            asked: BTreeMap::new(),
            open: BTreeMap::new(),
            last_command: CommandId(0),
            failed: 0,
            largest: 0,
            started: Timestamp(0),
            stopped_for: DurationMs::ZERO,
            paused: false,
            queued: spec.policy.when_busy != WhenBusy::Refuse,
            closed: false,
            still: None,
            held: false,
            stopping: None,
            makes_room: false,
            end: None,
        };
        book.note_size();
        book
    }

    /// Percentages of sites are of the largest plan: what was tolerated stays so.
    pub(super) fn note_size(&mut self) {
        let mut all = 0;
        for (wave, plan) in self.waves.iter_mut().zip(&self.spec.plan.waves) {
            let sites = u32::try_from(plan.sites.len()).unwrap_or(u32::MAX);
            wave.largest = wave.largest.max(sites);
            all += sites;
        }
        self.largest = self.largest.max(all);
    }

    /// Time that counts, since the start.
    pub(super) fn active(&self, at: Timestamp) -> DurationMs {
        let now = self.still.unwrap_or(at);
        now.since(self.started).minus(self.stopped_for)
    }

    /// Time stands still in a pause, and while windows are closed or other rollouts come first
    /// and nothing goes back.
    pub(super) fn keep_time(&mut self, at: Timestamp) {
        let going_back = self.stopping.is_some() || self.end.is_some();
        let still = self.paused || ((self.closed || self.queued) && !going_back);
        if still {
            self.still.get_or_insert(at);
        } else if let Some(since) = self.still.take() {
            self.stopped_for = self.stopped_for.plus(at.since(since));
        }
    }

    pub(super) fn site(&self, name: &SiteName) -> &Site {
        self.sites.get(name).expect("facts name sites of the plan")
    }

    pub(super) fn site_mut(&mut self, name: &SiteName) -> &mut Site {
        self.sites
            .get_mut(name)
            .expect("facts name sites of the plan")
    }

    pub(super) fn cluster(&self, name: &ClusterName) -> &Cluster {
        self.clusters
            .get(name)
            .expect("facts name clusters of the plan")
    }

    pub(super) fn cluster_mut(&mut self, name: &ClusterName) -> &mut Cluster {
        self.clusters
            .get_mut(name)
            .expect("facts name clusters of the plan")
    }

    pub(super) fn wave_index(&self, name: &wavegate_model::WaveName) -> usize {
        let found = self.spec.plan.waves.iter().position(|w| w.name == *name);
        found.expect("facts name waves of the plan")
    }

    /// Whether a cluster runs the release from the start.
    pub(super) fn same(&self, cluster: &Cluster) -> bool {
        cluster.baseline.as_ref() == Some(&self.spec.release.digest)
    }

    pub(super) fn see(&mut self, name: &ClusterName, seen: &ClusterObservation) {
        let release = self.spec.release.digest.clone();
        let cluster = self.cluster_mut(name);
        let mut book = Seen {
            at: seen.at,
            desired: seen.desired,
            all_ready: seen.nodes.values().map(|counts| counts.ready).sum(),
            ..Seen::default()
        };
        for (digest, counts) in &seen.nodes {
            if *digest == release {
                book.new = *counts;
            } else if cluster.baseline.as_ref().is_none_or(|b| b == digest) {
                // Before a baseline is known, it is what runs: the fact follows, if it is one.
                book.old = *counts;
            }
        }
        for (digest, share) in seen.traffic.iter().flatten() {
            if *digest == release {
                book.new_share += share.0;
            } else {
                book.other_share += share.0;
            }
        }
        cluster.seen = Some(book);
    }

    /// A split that was refused and took effect all the same is what the next command begins from.
    pub(super) fn note_earlier_split(&mut self, name: &SiteName) {
        let site = self.site(name);
        let Some(split) = site.intended.clone() else {
            return;
        };
        let release = &self.spec.release.digest;
        let shows = |cluster: &ClusterName| {
            let shares = split.shares().iter().filter(|s| s.cluster == *cluster);
            let (new, other): (Vec<_>, Vec<_>) = shares.partition(|s| s.release == *release);
            let sum = |shares: Vec<&wavegate_model::Share>| shares.iter().map(|s| s.share.0).sum();
            let seen = self.cluster(cluster).seen.as_ref();
            let sums: (u32, u32) = (sum(new), sum(other));
            seen.is_some_and(|seen| (seen.new_share, seen.other_share) == sums)
        };
        if site.clusters.iter().all(shows) {
            self.site_mut(name).split = split;
        }
    }

    pub(super) fn place(&mut self, name: &SiteName, place: Place) {
        let site = self.site_mut(name);
        let before = core::mem::replace(&mut site.place, place);
        site.soaked = false;
        let index = site.wave;
        let wave = &mut self.waves[index];
        wave.in_flight =
            wave.in_flight + u32::from(place.in_flight()) - u32::from(before.in_flight());
        if before.finished() && !place.finished() {
            // What was judged after the wave is void.
            wave.evidence += 1;
        }
    }

    pub(super) fn soak_anew(&mut self, name: &SiteName, at: Timestamp) {
        let since = self.active(at);
        let site = self.site_mut(name);
        site.covered.clear();
        site.soak_since = since;
        site.soaked = false;
    }

    pub(super) fn evidence_of(&self, key: &GateKey) -> u64 {
        match (&key.subject, key.phase) {
            (Subject::Site(_), Phase::BeforeSite) => 0,
            (Subject::Site(site), _) => self.site(site).evidence,
            (Subject::Wave(_), Phase::BeforeWave) => 0,
            (Subject::Wave(wave), _) => self.waves[self.wave_index(wave)].evidence,
        }
    }

    pub(super) fn passed(&self, key: &GateKey) -> bool {
        let verdicts = match &key.subject {
            Subject::Site(site) => &self.site(site).verdicts,
            Subject::Wave(wave) => &self.waves[self.wave_index(wave)].verdicts,
        };
        let now = self.evidence_of(key);
        verdicts.iter().any(|(phase, gate, verdict, evidence)| {
            let mine = *phase == key.phase && *gate == key.gate;
            mine && *verdict == Verdict::Pass && *evidence == now
        })
    }

    /// Writes down what a gate said last; none forgets it.
    pub(super) fn verdict(&mut self, key: &GateKey, said: Option<(Verdict, u64)>) {
        let verdicts = match &key.subject {
            Subject::Site(site) => &mut self.site_mut(site).verdicts,
            Subject::Wave(wave) => {
                let index = self.wave_index(wave);
                &mut self.waves[index].verdicts
            }
        };
        verdicts.retain(|(phase, gate, ..)| *phase != key.phase || *gate != key.gate);
        verdicts.extend(said.map(|(said, of)| (key.phase, key.gate.clone(), said, of)));
    }

    /// All gates of a phase have passed for what is there now.
    pub(super) fn all_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
    ) -> Result<(), Violation> {
        let asked = |gate: &&GateUse| gate.phases.contains(&phase);
        for gate in self.spec.policy.gates.iter().filter(asked) {
            self.has_passed(what, subject, phase, &gate.name)?;
        }
        Ok(())
    }

    pub(super) fn has_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
        gate: &GateName,
    ) -> Result<(), Violation> {
        let key = GateKey {
            subject: subject.clone(),
            phase,
            gate: gate.clone(),
        };
        if self.passed(&key) {
            return Ok(());
        }
        Err(Violation::NotPassed {
            what,
            gate: gate.clone(),
            phase,
        })
    }

    /// Healthy time of a site: what its soak gates covered, else its continuous ones, else time.
    pub(super) fn covered(&self, name: &SiteName, at: Timestamp) -> DurationMs {
        let site = self.site(name);
        let gates = &self.spec.policy.gates;
        let phase = if gates.iter().any(|g| g.phases.contains(&Phase::Soak)) {
            Phase::Soak
        } else {
            Phase::Continuous
        };
        let times = gates.iter().filter(|g| g.phases.contains(&phase)).map(|g| {
            let covered = site.covered.get(&g.name);
            covered.map_or(DurationMs::ZERO, |c| c.time)
        });
        let bare = self.active(at).minus(site.soak_since);
        times.min().unwrap_or(bare)
    }

    /// Adds an answer to a site's healthy time.
    pub(super) fn cover(&mut self, key: &GateKey, verdict: Option<Verdict>, at: Timestamp) {
        let Subject::Site(name) = &key.subject else {
            return;
        };
        let soaks = self
            .spec
            .policy
            .gates
            .iter()
            .any(|g| g.phases.contains(&Phase::Soak));
        let counts = match key.phase {
            Phase::Soak => true,
            Phase::Continuous => !soaks,
            _ => return,
        };
        if verdict == Some(Verdict::Fail) {
            self.soak_anew(name, at);
            return;
        }
        if !counts {
            return;
        }
        let interval = self.spec.policy.gates.iter().find(|g| g.name == key.gate);
        let interval = interval.map_or(DurationMs::ZERO, |g| g.interval);
        let now = self.active(at);
        let site = self.site_mut(name);
        let covered = site.covered.entry(key.gate.clone()).or_default();
        if verdict != Some(Verdict::Pass) {
            covered.last = None;
            return;
        }
        if let Some(last) = covered.last {
            let gap = now.minus(last);
            if gap.0 <= interval.0 * 2 + 5000 {
                covered.time = covered.time.plus(gap);
            }
        }
        covered.last = Some(now);
    }
}

pub(super) fn fresh(wave: usize, clusters: Vec<ClusterName>) -> Site {
    Site {
        wave,
        clusters,
        place: Place::Pending,
        touched: false,
        demand: 0,
        carriers: Vec::new(),
        split: Split::default(),
        intended: None,
        evidence: 0,
        verdicts: Verdicts::new(),
        settled: true,
        wait: Wait::Nothing,
        covered: BTreeMap::new(),
        soak_since: DurationMs::ZERO,
        soaked: false,
        outstanding: None,
        fresh_after: Timestamp(0),
    }
}
