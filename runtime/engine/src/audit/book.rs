//! What the auditor remembers. Written from the facts, by code of its own.

use super::seen::Seen;
use super::soak::Covered;
use super::swap::Components;
use super::verdicts::{Question, Verdicts};
use crate::fact::End;
use crate::spec::Spec;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use wavegate_model::observation::Stamp;
use wavegate_model::policy::WhenBusy;
use wavegate_model::{
    Amount, ClusterName, CommandId, ConsultationId, Digest, DurationMs, Epoch, GateName,
    Generation, SiteName, Split, Table, Timestamp,
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
