//! The tasks that watch the clusters of the plan, whichever those are.

use crate::fleet::attach;
use crate::runner::{Arrival, Turns};
use crate::watch::{self, Attention, OnOwned, Refused};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use wavegate_engine::State;
use wavegate_engine::fact::MemberOutcome;
use wavegate_model::{Cluster, ClusterName, Generation};

/// After so long a driver that did not take a plan is told of it again.
const INTRODUCE_AGAIN: Duration = Duration::from_secs(10);

pub(crate) struct Watchers {
    tasks: JoinSet<()>,
    by_cluster: BTreeMap<ClusterName, AbortHandle>,
    inputs: mpsc::Sender<Arrival>,
    refuse: mpsc::Sender<Refused>,
    generation: Generation,
}

impl Watchers {
    pub(crate) fn new(
        turns: &Turns,
        inputs: mpsc::Sender<Arrival>,
        refuse: mpsc::Sender<Refused>,
    ) -> Self {
        Self {
            tasks: JoinSet::new(),
            by_cluster: BTreeMap::new(),
            inputs,
            refuse,
            generation: turns.engine.state().generation(),
        }
    }

    /// Watches every cluster that the rollout has to do with.
    pub(crate) async fn begin(&mut self, turns: &mut Turns) {
        // The plan may have changed while the rollout waited for its turn.
        introduce(turns).await;
        let clusters = turns.engine.state().spec.clusters.clone();
        for cluster in clusters {
            let state = turns.engine.state();
            if is_there(turns, &cluster) {
                let on_owned = match state.members.get(&cluster.name) {
                    Some(MemberOutcome::Added { .. }) => OnOwned::Wait,
                    _ => OnOwned::Refuse,
                };
                self.watch(turns, &cluster, on_owned);
            }
        }
    }

    fn watch(&mut self, turns: &mut Turns, cluster: &Cluster, on_owned: OnOwned) {
        let attention = Arc::new(Attention::default());
        let name = cluster.name.clone();
        turns.attention.insert(name.clone(), attention.clone());
        let task = self.tasks.spawn(watch::cluster(
            turns.fleet.clone(),
            turns.engine.state().spec.service.clone(),
            name.clone(),
            attention,
            turns.options.clone(),
            on_owned,
            self.inputs.clone(),
            self.refuse.clone(),
        ));
        self.by_cluster.insert(name, task);
    }

    /// After a change of the plan: clusters that came are watched, those that went are given up.
    pub(crate) async fn follow_plan(&mut self, turns: &mut Turns) {
        let state = turns.engine.state();
        if state.generation() == self.generation {
            return introduce(turns).await;
        }
        self.generation = state.generation();
        let spec = state.spec.clone();
        let gone: Vec<ClusterName> = self
            .by_cluster
            .keys()
            .filter(|name| is_let_go(state, name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(task) = self.by_cluster.remove(&name) {
                task.abort();
            }
            turns.attention.remove(&name);
            turns.fleet.disown_one(&spec, &name).await;
        }
        turns.introduce_after = Instant::now();
        introduce(turns).await;
        for cluster in &spec.clusters {
            if !self.by_cluster.contains_key(&cluster.name) && is_there(turns, cluster) {
                self.watch(turns, cluster, OnOwned::Wait);
            }
        }
    }

    /// The tasks that bring what the run waits for.
    pub(crate) fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }

    /// Never ready. A task that panics takes the run with it: nobody would look at its cluster, or
    /// answer its question, any more, and nobody would be told.
    pub(crate) async fn until_one_panics(&mut self) -> Infallible {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        std::future::pending().await
    }

    pub(crate) async fn end(&mut self) {
        self.tasks.shutdown().await;
    }
}

/// Tells drivers of the clusters of a plan that has changed since they were told, until they have
/// taken it.
async fn introduce(turns: &mut Turns) {
    let generation = turns.engine.state().generation();
    if generation == turns.introduced {
        return;
    }
    let spec = &turns.engine.state().spec;
    for cluster in &spec.clusters {
        match turns.ports.drivers.get(&cluster.driver) {
            Some(driver) => turns.fleet.add(&cluster.name, driver),
            None => {
                let (name, driver) = (&cluster.name, &cluster.driver);
                tracing::warn!(cluster = %name, %driver, "no such driver here");
            }
        }
    }
    if Instant::now() < turns.introduce_after {
        return;
    }
    // What cannot be attached shows as a cluster that does not answer.
    match attach(&turns.ports, spec).await {
        Ok(()) => turns.introduced = generation,
        Err(error) => {
            tracing::warn!(%error, "failed to attach clusters that came");
            turns.introduce_after = Instant::now() + INTRODUCE_AGAIN;
        }
    }
}

/// Whether there is something to watch: a driver, and a cluster that has not gone.
fn is_there(turns: &Turns, cluster: &Cluster) -> bool {
    turns.ports.drivers.contains_key(&cluster.driver)
        && !is_let_go(turns.engine.state(), &cluster.name)
}

/// Whether nothing is done with a cluster any more.
fn is_let_go(state: &State, name: &ClusterName) -> bool {
    let outcome = state.members.get(name);
    let went = matches!(
        outcome,
        Some(MemberOutcome::Left | MemberOutcome::LetGo { .. })
    );
    went || !state.clusters.contains_key(name)
}
