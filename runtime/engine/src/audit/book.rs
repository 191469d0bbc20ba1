//! What the auditor remembers. Written from the facts, by code of its own.

use super::Violation;
use super::swap::Components;
use crate::fact::End;
use crate::spec::Spec;
use crate::state::GateKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use wavegate_model::observation::Stamp;
use wavegate_model::plugin::{Phase, Subject, Verdict};
use wavegate_model::policy::{GateUse, WhenBusy};
use wavegate_model::{
    Amount, ClusterName, CommandId, ConsultationId, Digest, DurationMs, Epoch, GateName,
    Generation, NodeCounts, SiteName, Split, Table, Timestamp,
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

/// What each gate that was asked said last.
pub(super) type Verdicts = Vec<(Phase, GateName, Said)>;

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
    /// The splits of commands since the last one that was confirmed.
    pub(super) intended: Vec<Split>,
    pub(super) evidence: u64,
    pub(super) verdicts: Verdicts,
    pub(super) settled: bool,
    pub(super) wait: Wait,
    pub(super) covered: BTreeMap<GateName, Covered>,
    pub(super) soak_since: DurationMs,
    pub(super) soaked: bool,
    pub(super) outstanding: Option<CommandId>,
    pub(super) fresh_after: Timestamp,
    /// Times that it failed and counts as failed.
    pub(super) failures: u32,
    /// Somebody waived its timed waits.
    pub(super) promoted: bool,
    /// Left out although nobody knows what runs there.
    pub(super) given_up: bool,
    /// As the strategy named it last.
    pub(super) stage: String,
    /// Who approved which stage.
    pub(super) approved: Vec<(String, String)>,
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
    /// The last observation before its baseline was known.
    pub(super) shown: Option<wavegate_model::Seen>,
    pub(super) lost: bool,
    pub(super) touched: bool,
    /// It has left the fleet.
    pub(super) left: bool,
    /// Commands for its nodes that were given up and may still arrive.
    pub(super) late: Option<Late>,
}

/// Commands for nodes that may take effect at any time: the newest of them, and the fewest nodes
/// of the new release and of all others that one of them leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    pub(super) stamp: Stamp,
    pub(super) new: u32,
    pub(super) old: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Wave {
    pub(super) started: bool,
    /// Who approved its start.
    pub(super) approved: BTreeSet<String>,
    pub(super) soaking: bool,
    pub(super) done: bool,
    pub(super) failed: u32,
    /// Sites of the plan in which it was largest.
    pub(super) largest: u32,
    pub(super) in_flight: u32,
    pub(super) evidence: u64,
    pub(super) verdicts: Verdicts,
    /// Active time since when windows of its own are closed.
    pub(super) shut: Option<DurationMs>,
    pub(super) shut_for: DurationMs,
}

/// Whether windows are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Yes,
    No,
}

/// A question to a gate.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) gate: GateKey,
    pub(super) evidence: u64,
    /// How often what it is about had changed.
    pub(super) changes: u64,
    pub(super) at: Timestamp,
}

/// What a gate said last.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) evidence: u64,
    /// When it was asked for.
    pub(super) at: Timestamp,
    /// Passes about this evidence in a row.
    pub(super) passes: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) spec: Box<Spec>,
    pub(super) sites: Table<SiteName, Site>,
    pub(super) clusters: Table<ClusterName, Cluster>,
    pub(super) waves: Vec<Wave>,
    pub(super) asked: BTreeMap<ConsultationId, Question>,
    /// Whose each command is, and the traffic that it sets.
    pub(super) open: BTreeMap<CommandId, (SiteName, Option<Split>)>,
    /// Commands for nodes without an answer yet: of which cluster, and what it wants.
    pub(super) on_nodes: BTreeMap<CommandId, (ClusterName, Late)>,
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
    pub(super) held_by_failure: bool,
    pub(super) promoted: bool,
    pub(super) stopping: Option<BTreeSet<SiteName>>,
    pub(super) makes_room: bool,
    pub(super) end: Option<End>,
    pub(super) components: Components,
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
                            shown: None,
                            lost: false,
                            touched: false,
                            left: false,
                            late: None,
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
            on_nodes: BTreeMap::new(),
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
            held_by_failure: false,
            promoted: false,
            stopping: None,
            makes_room: false,
            end: None,
            components: Components::default(),
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

    /// Time that counts in a wave: not while windows of its own are closed.
    pub(super) fn active_in(&self, wave: usize, at: Timestamp) -> DurationMs {
        let wave = &self.waves[wave];
        wave.shut.unwrap_or(self.active(at)).minus(wave.shut_for)
    }

    pub(super) fn wave_window(
        &mut self,
        name: &wavegate_model::WaveName,
        open: Open,
        at: Timestamp,
    ) {
        let (now, index) = (self.active(at), self.wave_index(name));
        let going_back = self.stopping.is_some() || self.end.is_some();
        let wave = &mut self.waves[index];
        if open == Open::No && !going_back {
            wave.shut.get_or_insert(now);
        } else if let Some(since) = wave.shut.take() {
            wave.shut_for = wave.shut_for.plus(now.minus(since));
        }
    }

    pub(super) fn waves_go_on(&mut self, at: Timestamp) {
        let now = self.active(at);
        for wave in &mut self.waves {
            if let Some(since) = wave.shut.take() {
                wave.shut_for = wave.shut_for.plus(now.minus(since));
            }
        }
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

    /// What was seen before means something else once it is known which release is the baseline.
    pub(super) fn baseline(&mut self, name: &ClusterName, release: &Digest) {
        let cluster = self.cluster_mut(name);
        cluster.baseline = Some(release.clone());
        if let Some(shown) = cluster.shown.take() {
            self.see(name, &shown);
        }
    }

    pub(super) fn see(&mut self, name: &ClusterName, seen: &wavegate_model::Seen) {
        let cluster = self.cluster_mut(name);
        cluster.shown = cluster.baseline.is_none().then(|| seen.clone());
        let overtaken = |late: &Late| seen.last_nodes.is_some_and(|last| last >= late.stamp);
        if cluster.late.as_ref().is_some_and(overtaken) {
            cluster.late = None;
        }
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
        let release = &self.spec.release.digest;
        let shows = |split: &Split, cluster: &ClusterName| {
            let shares = split.shares().iter().filter(|s| s.cluster == *cluster);
            let (new, other): (Vec<_>, Vec<_>) = shares.partition(|s| s.release == *release);
            let sum = |shares: Vec<&wavegate_model::Share>| shares.iter().map(|s| s.share.0).sum();
            let seen = self.cluster(cluster).seen.as_ref();
            let sums: (u32, u32) = (sum(new), sum(other));
            seen.is_some_and(|seen| (seen.new_share, seen.other_share) == sums)
        };
        let mut intended = site.intended.iter();
        let seen = intended.find(|split| site.clusters.iter().all(|c| shows(split, c)));
        if let Some(seen) = seen.cloned() {
            self.site_mut(name).split = seen;
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
        let since = self.active_in(self.site(name).wave, at);
        let site = self.site_mut(name);
        site.covered.clear();
        site.soak_since = since;
        site.soaked = false;
    }

    pub(super) fn evidence_of(&self, key: &GateKey) -> u64 {
        match key.phase {
            Phase::BeforeSite | Phase::BeforeWave => 0,
            _ => self.changes_of(&key.subject),
        }
    }

    /// How often a subject has changed, or has gone and come back.
    pub(super) fn changes_of(&self, subject: &Subject) -> u64 {
        match subject {
            Subject::Site(site) => self.site(site).evidence,
            Subject::Wave(wave) => self.waves[self.wave_index(wave)].evidence,
        }
    }

    /// The policy's part of a gate.
    pub(super) fn gate(&self, name: &GateName) -> Option<&GateUse> {
        self.spec
            .policy
            .gates
            .iter()
            .find(|gate| gate.name == *name)
    }

    /// Whether a gate is asked in a wave.
    pub(super) fn asks(&self, wave: usize, gate: &GateName) -> bool {
        let own = self.spec.plan.waves[wave].gates.as_ref();
        own.is_none_or(|own| own.iter().any(|name| name == gate))
    }

    /// The gates that decide in a phase of a wave.
    fn deciding(&self, wave: usize, phase: Phase) -> impl Iterator<Item = &GateUse> {
        let gates = self.spec.policy.gates.iter();
        gates.filter(move |gate| {
            gate.phases.contains(&phase) && !gate.trial && self.asks(wave, &gate.name)
        })
    }

    fn wave_of(&self, subject: &Subject) -> usize {
        match subject {
            Subject::Site(site) => self.site(site).wave,
            Subject::Wave(wave) => self.wave_index(wave),
        }
    }

    /// A verdict about what is there now.
    pub(super) fn judged(
        &mut self,
        key: &GateKey,
        verdict: Verdict,
        evidence: u64,
        asked: Timestamp,
        at: Timestamp,
    ) {
        let limit = self.gate(&key.gate).and_then(|gate| gate.fresh_for);
        let before = self.said(key).filter(|said| {
            let gone = limit.is_some_and(|limit| at.since(said.at) > limit);
            said.verdict == Verdict::Pass && said.evidence == evidence && !gone
        });
        let before = before.map_or(0, |said| said.passes);
        let said = Said {
            verdict,
            evidence,
            at: asked,
            passes: if verdict == Verdict::Pass {
                before.saturating_add(1)
            } else {
                0
            },
        };
        self.verdict(key, Some(said));
    }

    fn said(&self, key: &GateKey) -> Option<&Said> {
        let verdicts = match &key.subject {
            Subject::Site(site) => &self.site(site).verdicts,
            Subject::Wave(wave) => &self.waves[self.wave_index(wave)].verdicts,
        };
        let mut verdicts = verdicts.iter();
        let found = verdicts.find(|(phase, gate, _)| *phase == key.phase && *gate == key.gate);
        found.map(|(_, _, said)| said)
    }

    /// Writes down what a gate said last; none forgets it.
    pub(super) fn verdict(&mut self, key: &GateKey, said: Option<Said>) {
        let verdicts = match &key.subject {
            Subject::Site(site) => &mut self.site_mut(site).verdicts,
            Subject::Wave(wave) => {
                let index = self.wave_index(wave);
                &mut self.waves[index].verdicts
            }
        };
        verdicts.retain(|(phase, gate, _)| *phase != key.phase || *gate != key.gate);
        verdicts.extend(said.map(|said| (key.phase, key.gate.clone(), said)));
    }

    /// Whether a gate has passed, for what is there now and lately, so many times in a row.
    pub(super) fn passed(&self, key: &GateKey, at: Timestamp, times: u32) -> bool {
        let now = self.evidence_of(key);
        let limit = self.gate(&key.gate).and_then(|gate| gate.fresh_for);
        self.said(key).is_some_and(|said| {
            let fresh = limit.is_none_or(|limit| at.since(said.at) <= limit);
            said.verdict == Verdict::Pass && said.evidence == now && fresh && said.passes >= times
        })
    }

    /// All gates that decide in a phase have passed for what is there now.
    pub(super) fn all_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
        at: Timestamp,
    ) -> Result<(), Violation> {
        for gate in self.deciding(self.wave_of(subject), phase) {
            self.has_passed(what, subject, phase, &gate.name, at)?;
        }
        Ok(())
    }

    pub(super) fn has_passed(
        &self,
        what: &'static str,
        subject: &Subject,
        phase: Phase,
        gate: &GateName,
        at: Timestamp,
    ) -> Result<(), Violation> {
        let key = GateKey {
            subject: subject.clone(),
            phase,
            gate: gate.clone(),
        };
        let times = self.gate(gate).map_or(1, |gate| gate.passes);
        if self.passed(&key, at, times) {
            return Ok(());
        }
        Err(Violation::NotPassed {
            what,
            gate: gate.clone(),
            phase,
        })
    }

    /// What covered a soak is still passing when the soak is used.
    pub(super) fn vouched(&self, name: &SiteName, at: Timestamp) -> Result<(), Violation> {
        let phase = self.covering_phase(self.site(name).wave);
        for gate in self.deciding(self.site(name).wave, phase) {
            let key = GateKey {
                subject: Subject::Site(name.clone()),
                phase,
                gate: gate.name.clone(),
            };
            if !self.passed(&key, at, 1) {
                return Err(Violation::NotPassed {
                    what: "a soak counts",
                    gate: gate.name.clone(),
                    phase,
                });
            }
        }
        Ok(())
    }

    /// The phase of the gates that cover a soak.
    fn covering_phase(&self, wave: usize) -> Phase {
        if self.deciding(wave, Phase::Soak).next().is_some() {
            Phase::Soak
        } else {
            Phase::Continuous
        }
    }

    /// Whether every gate that covers the soak of a site has said pass last, since it began.
    pub(super) fn soak_gates_passed(&self, name: &SiteName) -> bool {
        let wave = self.site(name).wave;
        let covered = &self.site(name).covered;
        let passed = |gate: &GateUse| covered.get(&gate.name).is_some_and(|c| c.last.is_some());
        self.deciding(wave, self.covering_phase(wave)).all(passed)
    }

    /// Waves that come before one, directly or not.
    pub(super) fn earlier(&self, index: usize) -> BTreeSet<usize> {
        let waves = &self.spec.plan.waves;
        let mut all = BTreeSet::new();
        let mut next: Vec<usize> = waves[index].after.clone();
        while let Some(wave) = next.pop() {
            if all.insert(wave) {
                next.extend(waves[wave].after.iter().copied());
            }
        }
        all
    }

    /// Healthy time of a site: what its soak gates covered, else its continuous ones, else time.
    pub(super) fn covered(&self, name: &SiteName, at: Timestamp) -> DurationMs {
        let site = self.site(name);
        let phase = self.covering_phase(site.wave);
        let times = self.deciding(site.wave, phase).map(|g| {
            let covered = site.covered.get(&g.name);
            covered.map_or(DurationMs::ZERO, |c| c.time)
        });
        let bare = self.active_in(site.wave, at).minus(site.soak_since);
        times.min().unwrap_or(bare)
    }

    /// Adds an answer to a site's healthy time.
    pub(super) fn cover(&mut self, key: &GateKey, verdict: Option<Verdict>, at: Timestamp) {
        let Subject::Site(name) = &key.subject else {
            return;
        };
        if self.gate(&key.gate).is_none_or(|gate| gate.trial) {
            return;
        }
        let counts = match key.phase {
            Phase::Soak | Phase::Continuous => {
                key.phase == self.covering_phase(self.site(name).wave)
            }
            _ => return,
        };
        if verdict == Some(Verdict::Fail) {
            self.soak_anew(name, at);
            return;
        }
        if !counts {
            return;
        }
        let interval = self.gate(&key.gate);
        let interval = interval.map_or(DurationMs::ZERO, |g| g.interval);
        let now = self.active_in(self.site(name).wave, at);
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
        intended: Vec::new(),
        evidence: 0,
        verdicts: Verdicts::new(),
        settled: true,
        wait: Wait::Nothing,
        covered: BTreeMap::new(),
        soak_since: DurationMs::ZERO,
        soaked: false,
        outstanding: None,
        fresh_after: Timestamp(0),
        failures: 0,
        promoted: false,
        given_up: false,
        stage: String::new(),
        approved: Vec::new(),
    }
}
