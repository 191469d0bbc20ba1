//! A site that does at once what a strategy asks for.

use core::marker::PhantomData;

use crate::bindings::strategy::exports::wavegate::plugin::strategy as contract;
use crate::shares::{PERMILLE, apportion};
use crate::strategy::{decide_encoded, outline_encoded, validate_encoded};
use crate::{
    ClusterSummary, ClusterView, Decision, Failure, GateView, Goal, Outcome, Position, Problem,
    SiteSummary, SiteView, Stage, Strategy, Verdict,
};

use super::{BASELINE_DIGEST, NOW, release};

/// Describes a site before a rollout, to start a [`StrategyRun`] with.
///
/// Every node is on the baseline and serves, and traffic follows the nodes.
#[derive(Clone, Debug)]
pub struct Site {
    view: SiteView,
}

impl Site {
    /// A site without clusters, whose driver can split traffic.
    pub fn new(name: &str) -> Self {
        Self {
            view: SiteView {
                now: NOW,
                site: name.to_owned(),
                clusters: Vec::new(),
                splits_traffic: true,
                release: release(),
                stage: String::new(),
                stage_elapsed_ms: 0,
                site_elapsed_ms: 0,
                time_left_ms: None,
                completed: String::new(),
                gates: Vec::new(),
                position: Position {
                    wave_name: "first".to_owned(),
                    wave: 1,
                    waves: 1,
                    site: 1,
                    sites: 1,
                },
                extensions: Vec::new(),
            },
        }
    }

    /// Adds a cluster of so many nodes.
    #[must_use]
    pub fn cluster(mut self, name: &str, desired: u32) -> Self {
        self.view.clusters.push(ClusterView {
            name: name.to_owned(),
            role: String::new(),
            baseline: BASELINE_DIGEST.to_owned(),
            desired,
            new_ready: 0,
            new_unready: 0,
            baseline_ready: desired,
            baseline_unready: 0,
            other: 0,
            failed: 0,
            new_permille: 0,
            baseline_permille: 0,
            batch_max: 1,
            unavailable_max: 1,
            surge_max: 0,
        });
        self.view
            .clusters
            .sort_by(|left, right| left.name.cmp(&right.name));
        self.split_by_capacity();
        self
    }

    /// Adds a gate to the policy, not evaluated yet.
    #[must_use]
    pub fn gate(mut self, name: &str) -> Self {
        self.view.gates.push(GateView {
            name: name.to_owned(),
            last: None,
            age_ms: 0,
        });
        self.view
            .gates
            .sort_by(|left, right| left.name.cmp(&right.name));
        self
    }

    /// Makes the driver unable to split traffic.
    #[must_use]
    pub fn without_traffic(mut self) -> Self {
        self.view.splits_traffic = false;
        self.split_by_capacity();
        self
    }

    fn split_by_capacity(&mut self) {
        let nodes: Vec<u32> = self.view.clusters.iter().map(|c| c.desired).collect();
        let total = if self.view.splits_traffic {
            PERMILLE
        } else {
            0
        };
        for (cluster, share) in self.view.clusters.iter_mut().zip(apportion(total, &nodes)) {
            cluster.baseline_permille = share;
        }
    }
}

/// A strategy at work on a site.
#[derive(Debug)]
pub struct StrategyRun<T> {
    /// What the strategy sees next. Change it to test what goes wrong between calls.
    pub view: SiteView,
    /// The configuration, as JSON.
    pub config: String,
    /// The state that the strategy gets next.
    pub state: Vec<u8>,
    strategy: PhantomData<T>,
}

impl<T: Strategy> StrategyRun<T> {
    /// Starts a rollout of the site with this configuration, as JSON.
    pub fn new(site: Site, config: &str) -> Self {
        Self {
            view: site.view,
            config: config.to_owned(),
            state: Vec::new(),
            strategy: PhantomData,
        }
    }

    /// Asks once and keeps the new state; nothing is carried out.
    pub fn decide(&mut self) -> Result<Outcome<Vec<u8>>, Failure> {
        let outcome = decide_encoded::<T>(&self.view, &self.config, &self.state)?;
        self.state.clone_from(&outcome.state);
        if self.view.stage != outcome.stage {
            self.view.stage.clone_from(&outcome.stage);
            self.view.stage_elapsed_ms = 0;
        }
        let contract::Outcome {
            decision,
            stage,
            reason,
            state,
            extensions,
        } = outcome;
        Ok(Outcome {
            decision,
            stage,
            reason,
            state,
            extensions,
        })
    }

    /// Carries a decision out: goals are reached, gates pass, time goes by, people approve.
    pub fn carry_out(&mut self, decision: &Decision) {
        let completed = match decision {
            Decision::Go(goal) => {
                self.go(goal);
                "goal"
            }
            Decision::WaitGates(names) => {
                for gate in &mut self.view.gates {
                    if names.contains(&gate.name) {
                        gate.last = Some(Verdict::Pass);
                    }
                }
                "gates"
            }
            Decision::WaitMs(ms) => {
                self.view.now += f64::from(*ms);
                self.view.stage_elapsed_ms = self.view.stage_elapsed_ms.saturating_add(*ms);
                self.view.site_elapsed_ms = self.view.site_elapsed_ms.saturating_add(*ms);
                "time"
            }
            Decision::WaitPerson(_) => "person",
            Decision::Done | Decision::Failed(_) => return,
        };
        self.view.completed = completed.to_owned();
    }

    /// Asks and carries out until the site is done or has failed, at most `calls` times.
    ///
    /// Gives the outcomes in order. Checks every goal as the host does.
    ///
    /// # Panics
    /// If the strategy does not come to an end, answers with a failure, or gives a goal that
    /// the host would refuse.
    pub fn run(&mut self, calls: usize) -> Vec<Outcome<Vec<u8>>> {
        let mut outcomes = Vec::new();
        for _ in 0..calls {
            let outcome = match self.decide() {
                Ok(outcome) => outcome,
                Err(failure) => panic!("call {}: {failure:?}", outcomes.len() + 1),
            };
            if let Decision::Go(goal) = &outcome.decision {
                self.check(goal);
            }
            self.carry_out(&outcome.decision);
            let end = matches!(outcome.decision, Decision::Done | Decision::Failed(_));
            outcomes.push(outcome);
            if end {
                return outcomes;
            }
        }
        panic!("no end within {calls} calls: {:?}", outcomes.last());
    }

    /// The stages that the strategy means to go through.
    pub fn outline(&self) -> Result<Vec<Stage>, Failure> {
        let site = SiteSummary {
            site: self.view.site.clone(),
            clusters: self
                .view
                .clusters
                .iter()
                .map(|cluster| ClusterSummary {
                    name: cluster.name.clone(),
                    role: cluster.role.clone(),
                    desired: cluster.desired,
                })
                .collect(),
            extensions: Vec::new(),
        };
        outline_encoded::<T>(&site, &self.view.release, &self.config)
    }

    /// What the strategy finds wrong with a configuration, as JSON.
    pub fn problems(config: &str) -> Vec<Problem> {
        validate_encoded::<T>(config)
    }

    fn go(&mut self, goal: &Goal) {
        for cluster in &mut self.view.clusters {
            let Some(goal) = goal.clusters.iter().find(|g| g.cluster == cluster.name) else {
                continue;
            };
            cluster.new_ready = goal.new;
            cluster.new_unready = 0;
            cluster.baseline_ready = goal.baseline;
            cluster.baseline_unready = 0;
            if self.view.splits_traffic {
                cluster.new_permille = goal.new_permille;
                cluster.baseline_permille = goal.baseline_permille;
            }
        }
        // A verdict was made for another state of the site.
        for gate in &mut self.view.gates {
            gate.last = None;
        }
    }

    fn check(&self, goal: &Goal) {
        let ours: Vec<&str> = self.view.clusters.iter().map(|c| c.name.as_str()).collect();
        let mut theirs: Vec<&str> = goal.clusters.iter().map(|c| c.cluster.as_str()).collect();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "a goal names every cluster exactly once");
        let shares: u32 = goal
            .clusters
            .iter()
            .map(|cluster| cluster.new_permille + cluster.baseline_permille)
            .sum();
        assert_eq!(shares, PERMILLE, "shares sum to 1000: {goal:?}");
        for cluster in &goal.clusters {
            let idle = (cluster.new == 0 && cluster.new_permille > 0)
                || (cluster.baseline == 0 && cluster.baseline_permille > 0);
            assert!(!idle, "traffic without nodes: {cluster:?}");
        }
    }
}
