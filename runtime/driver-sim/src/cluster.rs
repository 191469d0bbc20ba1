//! One cluster: its nodes, since when they serve, and its part of the traffic, now and before.

use crate::rng::Rng;
use wavegate_model::observation::Stamp;
use wavegate_model::simulation::Nodes;
use wavegate_model::{ClusterName, Epoch, NodeCounts};

/// Which release a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cohort {
    New,
    Old,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Starting,
    Serving,
    /// It serves again after a while.
    Down,
    /// It never came up.
    Failed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) cohort: Cohort,
    pub(crate) health: Health,
    pub(crate) flaps: bool,
    /// Of a node that serves.
    pub(crate) since: u64,
}

/// Nodes that served from one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
    count: u32,
}

/// Shares of the site's traffic in permille, from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) from: u64,
    pub(crate) new: u32,
    pub(crate) old: u32,
}

impl Shares {
    pub(crate) fn of(self, cohort: Cohort) -> u32 {
        match cohort {
            Cohort::New => self.new,
            Cohort::Old => self.old,
        }
    }
}

/// How many nodes of a cohort served at an instant, and how many of them for long enough to be
/// affected by a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) nodes: u32,
    pub(crate) aged: u32,
}

/// How nodes are started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// When those before them have ended.
    pub(crate) from: u64,
    /// Share of them that never come up, in permille.
    pub(crate) never: u32,
}

/// When something of a node happens next.
pub(crate) type Due = (u64, u32);

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: ClusterName,
    /// Its site, by number.
    pub(crate) site: usize,
    pub(crate) desired: u32,
    /// For what is drawn about it.
    pub(crate) seed: u64,
    /// Whether the release is bad here.
    pub(crate) hit: bool,
    pub(crate) epoch: Epoch,
    pub(crate) last_nodes: Option<Stamp>,
    pub(crate) last_traffic: Option<Stamp>,
    /// It cannot be reached until then.
    pub(crate) lost_until: Option<u64>,
    /// When it answered last.
    pub(crate) answered: u64,
    /// Looks at it that will be.
    pub(crate) looks: Vec<u64>,
    /// Until when requests are counted.
    pub(crate) counted: u64,
    /// Nodes of the release that served at some time.
    pub(crate) ever_new: u32,
    nodes: Vec<Node>,
    next_id: u32,
    spans: [Vec<Span>; 2],
    shares: Vec<Shares>,
}

impl Cluster {
    /// All nodes serve what they served for ever.
    pub(crate) fn new(name: ClusterName, site: usize, desired: u32, seed: u64) -> Self {
        Self {
            name,
            site,
            desired,
            seed,
            hit: false,
            epoch: Epoch(0),
            last_nodes: None,
            last_traffic: None,
            lost_until: None,
            answered: 0,
            looks: Vec::new(),
            counted: 0,
            ever_new: 0,
            nodes: Vec::new(),
            next_id: 0,
            spans: [Vec::new(), Vec::new()],
            shares: Vec::new(),
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn share(&self) -> Shares {
        let none = Shares {
            from: 0,
            new: 0,
            old: 0,
        };
        self.shares.last().copied().unwrap_or(none)
    }

    /// The shares that held at an instant.
    pub(crate) fn share_at(&self, at: u64) -> Shares {
        let later = self.shares.partition_point(|shares| shares.from <= at);
        match later {
            0 => self.share(),
            index => self.shares[index - 1],
        }
    }

    pub(crate) fn set_share(&mut self, from: u64, new: u32, old: u32) {
        self.shares.push(Shares { from, new, old });
    }

    pub(crate) fn of(&self, cohort: Cohort) -> NodeCounts {
        let mut counts = NodeCounts::default();
        for node in self.nodes.iter().filter(|node| node.cohort == cohort) {
            match node.health {
                Health::Serving => counts.ready += 1,
                Health::Starting | Health::Down => counts.unready += 1,
                Health::Failed => {
                    counts.unready += 1;
                    counts.failed += 1;
                }
            }
        }
        counts
    }

    /// Nodes that are out of order, and whose health checks fail.
    pub(crate) fn broken(&self, cohort: Cohort) -> u32 {
        let broken = |node: &&Node| {
            node.cohort == cohort && matches!(node.health, Health::Down | Health::Failed)
        };
        u32::try_from(self.nodes.iter().filter(broken).count()).unwrap_or(u32::MAX)
    }

    /// The nodes that it begins with.
    pub(crate) fn fill(
        &mut self,
        count: u32,
        model: &Nodes,
        rng: &mut Rng,
        due: &mut Vec<Due>,
        now: u64,
    ) {
        for _ in 0..count {
            let flaps = rng.chance(model.flapping.0);
            let id = self.add(Cohort::Old, flaps);
            let node = self.nodes.last_mut().expect("one was added");
            (node.health, node.since) = (Health::Serving, 0);
            if flaps {
                due.push((now + rng.wait(model.flap_every.0), id));
            }
        }
    }

    fn add(&mut self, cohort: Cohort, flaps: bool) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.nodes.push(Node {
            id,
            cohort,
            health: Health::Starting,
            flaps,
            since: 0,
        });
        id
    }

    /// Stops what is too many of a cohort. Those that serve least go first.
    pub(crate) fn shrink(&mut self, cohort: Cohort, to: u32, now: u64) -> u32 {
        let order = |health: Health| match health {
            Health::Failed => 0,
            Health::Down => 1,
            Health::Starting => 2,
            Health::Serving => 3,
        };
        let mut all: Vec<(u8, u32)> = self
            .nodes
            .iter()
            .filter(|node| node.cohort == cohort)
            .map(|node| (order(node.health), node.id))
            .collect();
        let excess = all.len().saturating_sub(to as usize);
        if excess == 0 {
            return 0;
        }
        all.sort_unstable();
        let mut gone: Vec<u32> = all[..excess].iter().map(|(_, id)| *id).collect();
        gone.sort_unstable();
        for id in &gone {
            self.ends(*id, now);
        }
        self.nodes
            .retain(|node| gone.binary_search(&node.id).is_err());
        u32::try_from(excess).unwrap_or(u32::MAX)
    }

    /// Starts what is missing of a cohort.
    pub(crate) fn grow(
        &mut self,
        cohort: Cohort,
        to: u32,
        how: Start,
        model: &Nodes,
        rng: &mut Rng,
        due: &mut Vec<Due>,
    ) {
        let has = self
            .nodes
            .iter()
            .filter(|node| node.cohort == cohort)
            .count();
        for _ in has..to as usize {
            let flaps = rng.chance(model.flapping.0);
            let slow = if rng.chance(model.slow.0) { 10 } else { 1 };
            let takes = rng
                .around(model.start.0, model.start_p95.0)
                .saturating_mul(slow);
            let comes = !rng.chance(how.never);
            let id = self.add(cohort, flaps);
            if comes {
                due.push((how.from.saturating_add(takes), id));
            } else {
                let node = self.nodes.last_mut().expect("one was added");
                node.health = Health::Failed;
            }
        }
    }

    /// What was to happen of a node happens. Says when something more does, or that it is gone.
    pub(crate) fn turn(
        &mut self,
        id: u32,
        now: u64,
        model: &Nodes,
        rng: &mut Rng,
    ) -> Option<Option<u64>> {
        let index = self.nodes.binary_search_by_key(&id, |node| node.id).ok()?;
        let node = &mut self.nodes[index];
        let first = node.health == Health::Starting;
        match node.health {
            Health::Starting | Health::Down => {
                (node.health, node.since) = (Health::Serving, now);
                if first && node.cohort == Cohort::New {
                    self.ever_new += 1;
                }
                let flaps = self.nodes[index].flaps;
                Some(flaps.then(|| now + rng.wait(model.flap_every.0)))
            }
            Health::Serving => {
                self.ends(id, now);
                self.nodes[index].health = Health::Down;
                Some(Some(now.saturating_add(model.flap_for.0)))
            }
            Health::Failed => None,
        }
    }

    /// A node serves no more.
    fn ends(&mut self, id: u32, now: u64) {
        let Ok(index) = self.nodes.binary_search_by_key(&id, |node| node.id) else {
            return;
        };
        let node = self.nodes[index];
        if node.health != Health::Serving {
            return;
        }
        let spans = &mut self.spans[node.cohort as usize];
        match spans.last_mut() {
            Some(last) if (last.from, last.to) == (node.since, now) => last.count += 1,
            _ => spans.push(Span {
                from: node.since,
                to: now,
                count: 1,
            }),
        }
    }

    /// Nodes of a cohort that served at an instant; for so long they must have done so to count
    /// as aged.
    pub(crate) fn serving(&self, cohort: Cohort, at: u64, after: u64) -> Serving {
        let mut serving = Serving::default();
        let mut count = |from: u64, nodes: u32| {
            serving.nodes += nodes;
            if from.saturating_add(after) <= at {
                serving.aged += nodes;
            }
        };
        for node in &self.nodes {
            if node.cohort == cohort && node.health == Health::Serving && node.since <= at {
                count(node.since, 1);
            }
        }
        for span in &self.spans[cohort as usize] {
            if span.from <= at && at < span.to {
                count(span.from, span.count);
            }
        }
        serving
    }

    /// Instants within a window at which something changes for a cohort, sorted.
    pub(crate) fn changes(&self, cohort: Cohort, from: u64, to: u64, after: u64) -> Vec<u64> {
        let mut changes = Vec::new();
        let mut note = |at: u64| {
            if from < at && at < to {
                changes.push(at);
            }
        };
        for node in &self.nodes {
            if node.health == Health::Serving {
                note(node.since);
                if node.cohort == cohort {
                    note(node.since.saturating_add(after));
                }
            }
        }
        for span in self.spans.iter().flatten() {
            note(span.from);
            note(span.from.saturating_add(after));
            note(span.to);
        }
        for shares in &self.shares {
            note(shares.from);
        }
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// Time that serving nodes of the release were affected between two instants, in node
    /// milliseconds.
    pub(crate) fn affected_for(&self, from: u64, to: u64, after: u64) -> u64 {
        let serving = self
            .nodes
            .iter()
            .filter(|node| node.cohort == Cohort::New && node.health == Health::Serving);
        serving
            .map(|node| to.saturating_sub(from.max(node.since.saturating_add(after))))
            .sum()
    }
}
