//! What may have a defect of its own, kept from taking a rollout with it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
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

/// What is said of a panic. Its own words are on the error stream: they are nobody's to repeat
/// in a journal.
pub(crate) const PANICKED: &str =
    "the host panicked at it, which is a defect of the host; its error stream says where";

/// None if it panics.
pub(crate) async fn unless_it_panics<T>(doing: impl Future<Output = T>) -> Option<T> {
    let mut doing = pin!(doing);
    poll_fn(|context| {
        // Nothing is polled again that panicked, so nobody sees it half-changed.
        match catch_unwind(AssertUnwindSafe(|| doing.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// A driver whose panics are failures: a cluster that one cannot look at is a cluster that does
/// not answer, and the others go on, or back.
pub(crate) struct Guarded(pub(crate) Arc<dyn Driver>);

impl Guarded {
    fn guarded<T>(
        &self,
        cluster: &ClusterName,
        operation: &'static str,
        doing: impl Future<Output = Result<T, DriverError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, DriverError>> {
        let cluster = cluster.clone();
        Box::pin(async move {
            unless_it_panics(doing)
                .await
                .unwrap_or_else(|| Err(panicked(&cluster, operation)))
        })
    }
}

fn panicked(cluster: &ClusterName, operation: &'static str) -> DriverError {
    DriverError::Failed {
        cluster: cluster.clone(),
        operation,
        detail: PANICKED.to_owned(),
    }
}

impl Driver for Guarded {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn inspect(
        &self,
        scope: DriverScope,
    ) -> BoxFuture<'_, BTreeMap<ClusterName, Result<Inspection, DriverError>>> {
        let all: Vec<ClusterName> = scope.clusters.iter().map(|it| it.name.clone()).collect();
        Box::pin(async move {
            let inspected = unless_it_panics(async { self.0.inspect(scope).await }).await;
            inspected.unwrap_or_else(|| {
                let failed = |name: ClusterName| {
                    let error = panicked(&name, "look at it");
                    (name, Err(error))
                };
                all.into_iter().map(failed).collect()
            })
        })
    }

    fn attach(&self, scope: DriverScope) -> BoxFuture<'_, Result<(), DriverError>> {
        let Some(first) = scope.clusters.first().map(|it| it.name.clone()) else {
            return Box::pin(async { Ok(()) });
        };
        let driver = Arc::clone(&self.0);
        self.guarded(&first, "attach", async move { driver.attach(scope).await })
    }

    fn claim(
        &self,
        rollout: &RolloutId,
        service: &ServiceName,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<Epoch, DriverError>> {
        let driver = Arc::clone(&self.0);
        let (rollout, service, name) = (rollout.clone(), service.clone(), cluster.clone());
        self.guarded(cluster, "claim it", async move {
            driver.claim(&rollout, &service, &name).await
        })
    }

    fn disown(
        &self,
        rollout: &RolloutId,
        service: &ServiceName,
        cluster: &ClusterName,
        epoch: Epoch,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let driver = Arc::clone(&self.0);
        let (rollout, service, name) = (rollout.clone(), service.clone(), cluster.clone());
        self.guarded(cluster, "give it up", async move {
            driver.disown(&rollout, &service, &name, epoch).await
        })
    }

    fn observe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
    ) -> BoxFuture<'_, Result<ClusterObservation, DriverError>> {
        let driver = Arc::clone(&self.0);
        let (rollout, name) = (rollout.clone(), cluster.clone());
        self.guarded(cluster, "look at it", async move {
            driver.observe(&rollout, &name).await
        })
    }

    fn set_nodes(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        stamp: Stamp,
        target: NodesTarget,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let driver = Arc::clone(&self.0);
        let (rollout, name) = (rollout.clone(), cluster.clone());
        self.guarded(cluster, "change nodes", async move {
            driver.set_nodes(&rollout, &name, stamp, target).await
        })
    }

    fn set_traffic(
        &self,
        rollout: &RolloutId,
        site: &SiteName,
        stamps: BTreeMap<ClusterName, Stamp>,
        split: Split,
    ) -> BoxFuture<'_, Result<(), DriverError>> {
        let Some(first) = stamps.keys().next().cloned() else {
            return Box::pin(async { Ok(()) });
        };
        let driver = Arc::clone(&self.0);
        let (rollout, site) = (rollout.clone(), site.clone());
        self.guarded(&first, "split traffic", async move {
            driver.set_traffic(&rollout, &site, stamps, split).await
        })
    }

    fn probe(
        &self,
        rollout: &RolloutId,
        cluster: &ClusterName,
        release: &Digest,
        since: Timestamp,
    ) -> BoxFuture<'_, Result<ProbeSummary, DriverError>> {
        let driver = Arc::clone(&self.0);
        let (rollout, name, release) = (rollout.clone(), cluster.clone(), release.clone());
        self.guarded(cluster, "probe it", async move {
            driver.probe(&rollout, &name, &release, since).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_at_once_or_later_has_no_result() {
        assert_eq!(unless_it_panics(async { 1 }).await, Some(1));
        let at_once = async { panic!("at once") };
        assert_eq!(unless_it_panics::<u8>(at_once).await, None);
        let later = async {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(unless_it_panics::<u8>(later).await, None);
    }
}
