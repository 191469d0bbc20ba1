//! All clusters of a run, and the events that are to happen.

use crate::cluster::{Cluster, Cohort, Due, Health, Start};
use crate::rng::{Rng, within};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use wavegate_model::observation::Stamp;
use wavegate_model::release::Reversal;
use wavegate_model::simulation::Fault;
use wavegate_model::{
    ByRelease, ClusterName, ClusterObservation, Digest, Permille, PlannedSite, Release, Simulation,
    Timestamp,
};
use wavegate_ports::driver::DriverError;
use wavegate_ports::world::{Arrival, Change, Order};

/// Between two looks at a cluster of which something changes, as the real host does.
const LOOK_EVERY: u64 = 150;
/// Between two looks at a cluster that does not answer.
const LOOK_LOST_EVERY: u64 = 2000;
/// After this long a command without an answer has failed.
const COMMAND_TIME: u64 = 5000;
/// Monday, 5 January 2026, 00:00 UTC. Runs start within the day that begins then.
pub const FIRST_DAY: Timestamp = Timestamp(1_767_571_200_000);
const DAY: u64 = 24 * 3600 * 1000;

/// The rollout that is simulated.
#[derive(Clone, Debug)]
pub struct Scope {
    /// All clusters of the plan.
    pub clusters: Vec<wavegate_model::Cluster>,
    /// The sites that they make up.
    pub sites: Vec<PlannedSite>,
    /// What is rolled out.
    pub release: Release,
    /// Whether a site's traffic can be split.
    pub splits_traffic: bool,
    /// Requests are counted that finely: within the shortest time between two evaluations.
    pub resolution: wavegate_model::DurationMs,
}

/// A world that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadWorld {
    /// A fault shows nowhere.
    NoCluster {
        /// The fault's name.
        fault: String,
    },
}

impl std::fmt::Display for BadWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoCluster { fault } => write!(
                f,
                "the fault `{fault}` shows in no cluster of the rollout: its selector chooses none"
            ),
        }
    }
}

impl std::error::Error for BadWorld {}

#[derive(Debug)]
enum Event {
    Look(usize),
    Node(usize, u32),
    Order(Box<Order>),
    Lost(usize),
    Arrive(Box<Arrival>),
}

#[derive(Debug)]
struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.at, self.number)
    }
}

/// Clusters that are one site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) seed: u64,
    /// Nodes that its requests are for.
    pub(crate) nodes: u32,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) model: Arc<Simulation>,
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) start: u64,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) sites: Vec<Site>,
    pub(crate) fault: Option<Fault>,
    pub(crate) splits: bool,
    pub(crate) resolution: u64,
    pub(crate) requests: f64,
    pub(crate) exposed: f64,
    pub(crate) harmed: f64,
    pub(crate) new: Release,
    pub(crate) old: Release,
    by_name: BTreeMap<ClusterName, usize>,
    rng: Rng,
    queue: BinaryHeap<Reverse<Entry>>,
    number: u64,
}

/// What every cluster ran before.
pub fn baseline() -> Release {
    Release {
        version: "before".to_owned(),
        digest: Digest::from_sha256(&[0xb0; 32]),
        artifacts: BTreeMap::new(),
        reversal: Reversal::Possible,
    }
}

/// Clusters of a pair that have no traffic before the rollout say so in their connection.
fn stands_by(cluster: &wavegate_model::Cluster) -> bool {
    let dense: String = cluster.connection.split_whitespace().collect();
    dense.contains("\"standby\":true")
}

impl Fleet {
    pub(crate) fn new(scope: &Scope, model: &Arc<Simulation>, seed: u64) -> Result<Self, BadWorld> {
        let mut rng = Rng::new(within(seed, 1));
        let fault = draw_fault(model, &mut rng);
        let start = FIRST_DAY.0 + rng.below(DAY);
        let mut fleet = Self {
            model: Arc::clone(model),
            seed,
            now: start,
            start,
            clusters: Vec::with_capacity(scope.clusters.len()),
            sites: Vec::with_capacity(scope.sites.len()),
            fault,
            splits: scope.splits_traffic,
            resolution: scope.resolution.0.clamp(50, 15_000),
            requests: 0.0,
            exposed: 0.0,
            harmed: 0.0,
            new: Release {
                artifacts: BTreeMap::new(),
                ..scope.release.clone()
            },
            old: baseline(),
            by_name: BTreeMap::new(),
            rng,
            queue: BinaryHeap::new(),
            number: 0,
        };
        let known: BTreeMap<&ClusterName, &wavegate_model::Cluster> =
            scope.clusters.iter().map(|c| (&c.name, c)).collect();
        for site in &scope.sites {
            fleet.add_site(site, &known);
        }
        fleet.choose_hits(scope, &known)?;
        Ok(fleet)
    }

    fn add_site(
        &mut self,
        site: &PlannedSite,
        known: &BTreeMap<&ClusterName, &wavegate_model::Cluster>,
    ) {
        let index = self.sites.len();
        let members: Vec<&wavegate_model::Cluster> = site
            .clusters
            .iter()
            .filter_map(|c| known.get(&c.name).copied())
            .collect();
        let serving: Vec<bool> = members.iter().map(|cluster| !stands_by(cluster)).collect();
        let nodes = |serves: bool| -> u32 {
            let of = members.iter().zip(&serving).filter(|(_, s)| **s == serves);
            of.map(|(cluster, _)| cluster.nodes).sum()
        };
        let total = nodes(true).max(1);
        let mut rest = 1000;
        let last = serving.iter().rposition(|serves| *serves);
        for (place, (member, serves)) in members.iter().zip(&serving).enumerate() {
            let number = self.clusters.len();
            let seed = within(self.seed, 1000 + number as u64);
            let mut cluster = Cluster::new(member.name.clone(), index, member.nodes, seed);
            (cluster.counted, cluster.answered) = (self.now, self.now);
            let share = match (serves, Some(place) == last) {
                (false, _) => 0,
                (true, true) => rest,
                (true, false) => 1000 * member.nodes / total,
            };
            rest -= share;
            cluster.set_share(0, 0, share);
            let mut due = Vec::new();
            cluster.fill(
                member.nodes,
                &self.model.nodes,
                &mut self.rng,
                &mut due,
                self.now,
            );
            self.by_name.insert(member.name.clone(), number);
            self.clusters.push(cluster);
            self.nodes_due(number, due);
            self.begin_watching(number);
        }
        self.sites.push(Site {
            seed: within(self.seed, 2_000_000_000 + index as u64),
            nodes: total,
        });
    }

    /// The host claims a cluster, then looks at it.
    fn begin_watching(&mut self, number: usize) {
        let delay = self.delay();
        let cluster = &mut self.clusters[number];
        cluster.epoch = cluster.epoch.next();
        let claimed = Arrival::Claimed {
            cluster: cluster.name.clone(),
            epoch: cluster.epoch,
        };
        let at = self.now + delay;
        self.at(at, Event::Arrive(Box::new(claimed)));
        self.look_after(number, at);
        let lost = self.model.network.lost_every.0;
        if lost > 0 {
            let at = self.now + self.rng.wait(lost);
            self.at(at, Event::Lost(number));
        }
    }

    /// Where the release is bad.
    fn choose_hits(
        &mut self,
        scope: &Scope,
        known: &BTreeMap<&ClusterName, &wavegate_model::Cluster>,
    ) -> Result<(), BadWorld> {
        // Every fault of the model is checked, whichever was drawn, so that a mistake shows at once.
        for fault in &self.model.faults {
            if !scope
                .clusters
                .iter()
                .any(|cluster| fault.clusters.matches(cluster))
            {
                return Err(BadWorld::NoCluster {
                    fault: fault.name.clone(),
                });
            }
        }
        let Some(fault) = &self.fault else {
            return Ok(());
        };
        let chosen: Vec<usize> = (0..self.clusters.len())
            .filter(|n| {
                let document = known.get(&self.clusters[*n].name);
                document.is_some_and(|cluster| fault.clusters.matches(cluster))
            })
            .collect();
        let share = fault.share.0;
        let mut any = false;
        for number in &chosen {
            let hit = self.rng.chance(share);
            self.clusters[*number].hit = hit;
            any |= hit;
        }
        if !any && !chosen.is_empty() {
            // A bad release is bad somewhere.
            let place = self.rng.below(chosen.len() as u64);
            let place = usize::try_from(place).unwrap_or(0);
            self.clusters[chosen[place]].hit = true;
        }
        Ok(())
    }

    pub(crate) fn find(&self, name: &ClusterName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.queue.peek().map(|entry| entry.0.at)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.number += 1;
        let number = self.number;
        self.queue.push(Reverse(Entry { at, number, event }));
    }

    /// One way through the network.
    fn delay(&mut self) -> u64 {
        let network = self.model.network;
        let mut delay = network.delay.0 / 2 + self.rng.below(network.delay.0 + 1);
        if self.rng.chance(network.late.0) {
            delay += self.rng.below(network.late_by.0 + 1);
        }
        delay
    }

    fn nodes_due(&mut self, cluster: usize, due: Vec<Due>) {
        for (at, id) in due {
            self.at(at, Event::Node(cluster, id));
        }
    }

    /// The cluster is looked at at its next turn after an instant.
    fn look_after(&mut self, number: usize, after: u64) {
        let cluster = &mut self.clusters[number];
        let turn = cluster.seed % LOOK_EVERY;
        let at = (after + LOOK_EVERY - turn) / LOOK_EVERY * LOOK_EVERY + turn;
        let at = if at > after { at } else { at + LOOK_EVERY };
        if !cluster.looks.contains(&at) {
            cluster.looks.push(at);
            self.at(at, Event::Look(number));
        }
    }

    /// Lets time pass, up to the first thing that the host gets to know.
    pub(crate) fn arrival(&mut self, until: u64) -> Option<(u64, Arrival)> {
        while self.next().is_some_and(|at| at <= until) {
            let Some(Reverse(entry)) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(entry.at);
            if let Some(arrival) = self.happens(entry.event) {
                return Some((self.now, arrival));
            }
        }
        self.now = self.now.max(until);
        None
    }

    fn happens(&mut self, event: Event) -> Option<Arrival> {
        match event {
            Event::Arrive(arrival) => return Some(*arrival),
            Event::Look(number) => self.look(number),
            Event::Node(number, id) => self.node(number, id),
            Event::Order(order) => self.carry_out(&order),
            Event::Lost(number) => self.lose(number),
        }
        None
    }

    fn arrives(&mut self, arrival: Arrival) {
        let twice = self.rng.chance(self.model.network.twice.0);
        let delay = self.delay();
        if twice {
            let delay = self.delay();
            self.at(self.now + delay, Event::Arrive(Box::new(arrival.clone())));
        }
        self.at(self.now + delay, Event::Arrive(Box::new(arrival)));
    }

    fn look(&mut self, number: usize) {
        let now = self.now;
        let cluster = &mut self.clusters[number];
        cluster.looks.retain(|at| *at > now);
        let name = cluster.name.clone();
        if cluster.lost_until.is_some_and(|until| until > now) {
            let answered = Timestamp(cluster.answered);
            if cluster.looks.is_empty() {
                self.look_after(number, now + LOOK_LOST_EVERY);
            }
            self.arrives(Arrival::Lost {
                cluster: name,
                answered,
            });
            return;
        }
        cluster.lost_until = None;
        cluster.answered = now;
        let seen = self.see(number);
        self.arrives(Arrival::Seen {
            cluster: name,
            seen,
        });
    }

    pub(crate) fn see(&self, number: usize) -> ClusterObservation {
        let cluster = &self.clusters[number];
        let (new, old) = (cluster.of(Cohort::New), cluster.of(Cohort::Old));
        let both = [(&self.new, new), (&self.old, old)];
        let there = || both.iter().filter(|(_, counts)| counts.total() > 0);
        let shares = cluster.share();
        let traffic: ByRelease<Permille> = [(&self.new, shares.new), (&self.old, shares.old)]
            .into_iter()
            .filter(|(_, share)| *share > 0)
            .map(|(release, share)| (release.digest.clone(), Permille(share)))
            .collect();
        ClusterObservation {
            at: Timestamp(self.now),
            desired: cluster.desired,
            nodes: there()
                .map(|(r, counts)| (r.digest.clone(), *counts))
                .collect(),
            releases: there()
                .map(|(r, _)| (r.digest.clone(), (*r).clone()))
                .collect(),
            traffic: self.splits.then_some(traffic),
            busy: false,
            last_nodes: cluster.last_nodes,
            last_traffic: cluster.last_traffic,
        }
    }

    fn node(&mut self, number: usize, id: u32) {
        self.count(number);
        let (now, model) = (self.now, self.model.nodes);
        let Some(next) = self.clusters[number].turn(id, now, &model, &mut self.rng) else {
            return;
        };
        if let Some(at) = next {
            self.at(at, Event::Node(number, id));
        }
        self.look_after(number, now);
    }

    fn lose(&mut self, number: usize) {
        let network = self.model.network;
        let until = self.now + self.rng.wait(network.lost_for.0);
        self.clusters[number].lost_until = Some(until);
        self.clusters[number].answered = self.now;
        self.look_after(number, self.now);
        self.look_after(number, until);
        let again = until + self.rng.wait(network.lost_every.0);
        self.at(again, Event::Lost(number));
    }

    /// Sends a command.
    pub(crate) fn order(&mut self, now: u64, order: Order) {
        self.now = self.now.max(now);
        let delay = self.delay();
        let twice = self.rng.chance(self.model.network.twice.0);
        if twice {
            let late = self.delay();
            self.at(self.now + late, Event::Order(Box::new(order.clone())));
        }
        self.at(self.now + delay, Event::Order(Box::new(order)));
    }

    fn concerned(&self, change: &Change) -> Vec<usize> {
        match change {
            Change::Nodes { cluster, .. } => self.find(cluster).into_iter().collect(),
            Change::Traffic { stamps, .. } => {
                stamps.keys().filter_map(|name| self.find(name)).collect()
            }
        }
    }

    /// Carries a command out at once, without a network between.
    pub(crate) fn change_now(&mut self, change: &Change) -> Result<(), DriverError> {
        let concerned = self.concerned(change);
        self.change(change, &concerned)
    }

    fn carry_out(&mut self, order: &Order) {
        let concerned = self.concerned(&order.change);
        let now = self.now;
        let lost = concerned.iter().copied().find(|n| {
            self.clusters[*n]
                .lost_until
                .is_some_and(|until| until > now)
        });
        let mut answered = now + self.delay();
        let result = match lost {
            Some(number) => {
                answered += COMMAND_TIME;
                Err(DriverError::Unreachable {
                    cluster: self.clusters[number].name.clone(),
                    detail: "no answer".to_owned(),
                })
            }
            None if self.rng.chance(self.model.network.fails.0) => Err(DriverError::Failed {
                cluster: concerned.first().map_or_else(
                    || ClusterName::new("?"),
                    |number| self.clusters[*number].name.clone(),
                ),
                operation: "carry a command out",
                detail: "out of order".to_owned(),
            }),
            None => self.change(&order.change, &concerned),
        };
        let arrival = Arrival::Answered {
            id: order.id,
            generation: order.generation,
            result,
        };
        if self.rng.chance(self.model.network.twice.0) {
            let again = answered + self.delay();
            self.at(again, Event::Arrive(Box::new(arrival.clone())));
        }
        self.at(answered, Event::Arrive(Box::new(arrival)));
        for number in concerned {
            self.look_after(number, answered);
        }
    }

    fn change(&mut self, change: &Change, concerned: &[usize]) -> Result<(), DriverError> {
        match change {
            Change::Nodes {
                stamp,
                desired,
                nodes,
                ..
            } => {
                let Some(number) = concerned.first().copied() else {
                    return Ok(());
                };
                let cluster = &self.clusters[number];
                if !fresh(cluster, *stamp, cluster.last_nodes)? {
                    return Ok(());
                }
                if cluster.desired != *desired {
                    return Err(DriverError::DesiredChanged {
                        cluster: cluster.name.clone(),
                        expected: *desired,
                        found: cluster.desired,
                    });
                }
                self.set_nodes(number, nodes);
                self.clusters[number].last_nodes = Some(*stamp);
            }
            Change::Traffic { stamps, split, .. } => {
                for number in concerned {
                    let cluster = &self.clusters[*number];
                    let stamp = stamps[&cluster.name];
                    if !fresh(cluster, stamp, cluster.last_traffic)? {
                        return Ok(());
                    }
                }
                for number in concerned.iter().copied() {
                    self.count(number);
                    let name = self.clusters[number].name.clone();
                    let new = split.of(&name, &self.new.digest).0;
                    let old = split.of(&name, &self.old.digest).0;
                    let cluster = &mut self.clusters[number];
                    cluster.set_share(self.now, new, old);
                    cluster.last_traffic = Some(stamps[&name]);
                }
            }
        }
        Ok(())
    }

    fn set_nodes(&mut self, number: usize, nodes: &[(Digest, u32)]) {
        self.count(number);
        let wanted = |digest: &Digest| {
            let found = nodes.iter().find(|(release, _)| release == digest);
            found.map_or(0, |(_, count)| *count)
        };
        let (new, old) = (wanted(&self.new.digest), wanted(&self.old.digest));
        let (now, model) = (self.now, self.model.nodes);
        let never = match &self.fault {
            Some(fault) if self.clusters[number].hit => fault.start.0,
            Some(_) | None => 0,
        };
        let cluster = &mut self.clusters[number];
        let stopped = cluster.shrink(Cohort::New, new, now) + cluster.shrink(Cohort::Old, old, now);
        let from = if stopped > 0 { now + model.stop.0 } else { now };
        let mut due = Vec::new();
        let (news, olds) = (Start { from, never }, Start { from, never: 0 });
        let rng = &mut self.rng;
        cluster.grow(Cohort::New, new, news, &model, rng, &mut due);
        cluster.grow(Cohort::Old, old, olds, &model, rng, &mut due);
        self.nodes_due(number, due);
    }

    /// Nodes of the release that serve where it is bad.
    pub(crate) fn harmful(&self) -> u32 {
        let hit = self.clusters.iter().filter(|cluster| cluster.hit);
        let new = hit
            .flat_map(|cluster| cluster.nodes())
            .filter(|node| node.cohort == Cohort::New && node.health == Health::Serving);
        u32::try_from(new.count()).unwrap_or(u32::MAX)
    }
}

/// Whether a command is newer than what was carried out; an error if its host is not the owner.
fn fresh(cluster: &Cluster, stamp: Stamp, last: Option<Stamp>) -> Result<bool, DriverError> {
    if stamp.epoch < cluster.epoch {
        return Err(DriverError::Stale {
            cluster: cluster.name.clone(),
            stamp,
            current: (cluster.epoch.0, stamp.generation.0),
        });
    }
    Ok(last.is_none_or(|last| last.command < stamp.command))
}

fn draw_fault(model: &Simulation, rng: &mut Rng) -> Option<Fault> {
    let bad = rng.chance(model.bad.0);
    let total: u64 = model
        .faults
        .iter()
        .map(|fault| u64::from(fault.weight))
        .sum();
    let mut drawn = rng.below(total);
    if !bad {
        return None;
    }
    for fault in &model.faults {
        let weight = u64::from(fault.weight);
        if drawn < weight {
            return Some(fault.clone());
        }
        drawn -= weight;
    }
    None
}
