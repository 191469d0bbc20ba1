//! Clusters as a host reaches them: through a network that loses, delays and repeats.

use crate::life::Life;
use crate::panics::ON_PURPOSE;
use crate::swarm::{held, passes};
use crate::world::{Order, at_once};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use wavegate_model::evidence::ProbeSummary;
use wavegate_model::observation::Stamp;
use wavegate_model::{
    ClusterName, ClusterObservation, Digest, Epoch, RolloutId, ServiceName, SiteName, Split,
    Timestamp,
};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::{
    Capabilities, Driver, DriverError, DriverScope, Inspection, NodesTarget,
};

/// After so long a driver gives a command up.
const TIME_OUT: Duration = Duration::from_secs(5);

/// So often in a thousand times a driver does not take a plan that has changed.
const REFUSED: u32 = 500;

pub(crate) struct SwarmDriver {
    life: Arc<Life>,
    /// Clusters of which a rollout has told it. None before.
    attached: Mutex<Option<BTreeSet<ClusterName>>>,
}

/// What becomes of a message.
enum Way {
    Straight,
    /// Nobody gets it.
    Lost,
    /// It arrives after the sender has given up.
    TooLate,
    /// It arrives, and the answer does not.
    AnswerLost,
    /// It arrives again later.
    Twice,
    /// The other side says that it failed.
    Fails,
}

impl SwarmDriver {
    pub(crate) fn new(life: &Arc<Life>) -> Self {
        Self {
            life: Arc::clone(life),
            attached: Mutex::default(),
        }
    }

    /// A driver has defects like everything else.
    #[expect(clippy::panic, reason = "that is what it is there for")]
    fn may_panic(&self) {
        let swarm = &self.life.swarm;
        if swarm.strikes("driver: panics", swarm.scene.chances.driver / 10) {
            panic!("{ON_PURPOSE}");
        }
    }

    /// A driver knows only the clusters that it was told of.
    fn knows(&self, cluster: &ClusterName) -> Result<(), DriverError> {
        let attached = held(&self.attached);
        let known = attached.as_ref().is_some_and(|all| all.contains(cluster));
        if known {
            return Ok(());
        }
        Err(DriverError::Failed {
            cluster: cluster.clone(),
            operation: "find it",
            detail: "nobody has named it".to_owned(),
        })
    }

    fn way(&self) -> Way {
        let swarm = &self.life.swarm;
        let chances = swarm.scene.chances;
        if swarm.strikes("driver: a command fails", chances.driver) {
            return Way::Fails;
        }
        if !swarm.hits(chances.network) {
            return Way::Straight;
        }
        let (name, way) = match swarm.below(4) {
            0 => ("network: a message is lost", Way::Lost),
            1 => ("network: a message comes too late", Way::TooLate),
            2 => ("network: an answer is lost", Way::AnswerLost),
            _ => ("network: a message comes twice", Way::Twice),
        };
        swarm.count(name);
        way
    }

    async fn pause(&self, least: u64, most: u64) {
        let more = self.life.swarm.below(most - least + 1);
        passes(Duration::from_millis(least + more)).await;
    }

    /// Sends a command off. It arrives whether the sender lives then or not.
    fn sent(
        &self,
        rollout: &RolloutId,
        order: Order,
        delay: u64,
    ) -> oneshot::Receiver<Result<(), DriverError>> {
        let (swarm, rollout) = (Arc::clone(&self.life.swarm), rollout.clone());
        let (arrived, answer) = oneshot::channel();
        tokio::spawn(async move {
            passes(Duration::from_millis(delay)).await;
            let cut = order
                .stamps()
                .keys()
                .find(|name| swarm.world.is_cut(name))
                .cloned();
            let result = match cut {
                Some(cluster) => Err(no_answer(&cluster)),
                None => swarm.world.carry_out(&rollout, &order),
            };
            let _sender_is_gone = arrived.send(result);
        });
        answer
    }

    async fn command(&self, rollout: &RolloutId, order: Order) -> Result<(), DriverError> {
        self.life.lives().await;
        let Some(cluster) = order.stamps().into_keys().next() else {
            return Ok(());
        };
        for cluster in order.stamps().keys() {
            self.knows(cluster)?;
        }
        self.may_panic();
        let swarm = Arc::clone(&self.life.swarm);
        let delay = 1 + swarm.below(100);
        let way = self.way();
        let result = match way {
            Way::Fails => {
                self.pause(1, 1000).await;
                Err(DriverError::Failed {
                    cluster,
                    operation: "carry a command out",
                    detail: "out of order".to_owned(),
                })
            }
            Way::Lost => {
                passes(TIME_OUT).await;
                Err(no_answer(&cluster))
            }
            Way::TooLate => {
                let delay = 5_001 + swarm.below(20_000);
                drop(self.sent(rollout, order, delay));
                passes(TIME_OUT).await;
                Err(no_answer(&cluster))
            }
            Way::AnswerLost => {
                drop(self.sent(rollout, order, delay));
                passes(TIME_OUT).await;
                Err(no_answer(&cluster))
            }
            Way::Twice | Way::Straight => {
                if matches!(way, Way::Twice) {
                    let later = delay + swarm.below(20_000);
                    drop(self.sent(rollout, order.clone(), later));
                }
                let answer = self.sent(rollout, order, delay).await;
                let answer = answer.unwrap_or_else(|_| Err(no_answer(&cluster)));
                let unreachable = matches!(answer, Err(DriverError::Unreachable { .. }));
                self.pause(1, if unreachable { 5000 } else { 100 }).await;
                answer
            }
        };
        self.life.lives().await;
        result
    }
}

fn no_answer(cluster: &ClusterName) -> DriverError {
    DriverError::Unreachable {
        cluster: cluster.clone(),
        detail: "no answer".to_owned(),
    }
}

impl Driver for SwarmDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            splits_traffic: self.life.swarm.scene.splits,
            surges: true,
            probes: true,
        }
    }

    fn inspect(
        &self,
        scope: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        Box::pin(async move {
            self.life.lives().await;
            let world = &self.life.swarm.world;
            let one = |name: &ClusterName| {
                if world.is_cut(name) {
                    return Err(no_answer(name));
                }
                let seen = world.see(&scope.rollout, name)?;
                Ok(Inspection {
                    nodes: seen.nodes.values().map(|counts| counts.total()).sum(),
                    owner: world.owner(name),
                })
            };
            let clusters = scope.clusters.iter().map(|cluster| &cluster.name);
            clusters.map(|name| (name.clone(), one(name))).collect()
        })
    }

    fn attach(&self, scope: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        Box::pin(async move {
            self.life.lives().await;
            let again = held(&self.attached).is_some();
            let refused = again
                && self
                    .life
                    .swarm
                    .strikes("driver: does not take a plan", REFUSED);
            if let Some(cluster) = scope.clusters.first().filter(|_| refused) {
                return Err(no_answer(&cluster.name));
            }
            let clusters = scope.clusters.into_iter().map(|cluster| cluster.name);
            *held(&self.attached) = Some(clusters.collect());
            Ok(())
        })
    }

    fn claim(
        &self,
        rollout: &RolloutId,
        _: &ServiceName,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        let (rollout, cluster) = (rollout.clone(), cluster.clone());
        Box::pin(async move {
            self.life.lives().await;
            self.pause(1, 100).await;
            self.knows(&cluster)?;
            self.may_panic();
            let swarm = &self.life.swarm;
            if swarm.world.is_cut(&cluster) {
                return Err(no_answer(&cluster));
            }
            let claimed = swarm.world.claim(&rollout, &cluster);
            let lost = swarm.strikes(
                "network: the answer to a claim is lost",
                swarm.scene.chances.network,
            );
            self.life.lives().await;
            if lost {
                Err(no_answer(&cluster))
            } else {
                claimed
            }
        })
    }

    fn disown(
        &self,
        rollout: &RolloutId,
        _: &ServiceName,
        cluster: &ClusterName,
        _: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let (rollout, cluster) = (rollout.clone(), cluster.clone());
        Box::pin(async move {
            self.life.lives().await;
            self.life.swarm.world.disown(&rollout, &cluster);
            Ok(())
        })
    }

    fn observe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        let (rollout, cluster) = (rollout.clone(), cluster.clone());
        Box::pin(async move {
            self.life.lives().await;
            let swarm = &self.life.swarm;
            self.pause(1, 50).await;
            self.knows(&cluster)?;
            self.may_panic();
            if swarm.world.is_cut(&cluster) {
                return Err(no_answer(&cluster));
            }
            let seen = swarm.world.see(&rollout, &cluster)?;
            let chances = swarm.scene.chances;
            // It was seen before it travels, so it is older than what it finds on arrival.
            if swarm.strikes("observation: late", chances.stale) {
                self.pause(100, 10_000).await;
            }
            let earlier = swarm.world.earlier(&cluster, &seen);
            let stale = swarm.strikes("observation: stale", chances.stale);
            self.life.lives().await;
            Ok(earlier.filter(|_| stale).unwrap_or(seen))
        })
    }

    fn set_nodes(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let (rollout, cluster) = (rollout.clone(), cluster.clone());
        Box::pin(async move {
            self.command(&rollout, Order::Nodes(cluster, stamp, target))
                .await
        })
    }

    fn set_traffic(
        &self,
        rollout: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let (rollout, site) = (rollout.clone(), site.clone());
        Box::pin(async move {
            self.command(&rollout, Order::Traffic(site, stamps, split))
                .await
        })
    }

    fn probe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        let (rollout, cluster, release) = (rollout.clone(), cluster.clone(), release.clone());
        Box::pin(async move {
            self.life.lives().await;
            let world = &self.life.swarm.world;
            if world.is_cut(&cluster) {
                return Err(no_answer(&cluster));
            }
            // Everything up to now has happened.
            world.see(&rollout, &cluster)?;
            at_once(world.sim.probe(&rollout, &cluster, &release, since))
        })
    }
}
