//! Becomes the owner of clusters and looks at them, again and again.

use crate::Options;
use crate::fleet::Fleet;
use crate::runner::Arrival;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, mpsc};
use wavegate_engine::{Input, Observation};
use wavegate_model::{ClusterName, ServiceName};
use wavegate_ports::driver::DriverError;

/// How closely a cluster is watched; the loop sets it, the watcher reads it.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    active: AtomicBool,
    changed: Notify,
}

impl Attention {
    /// Looks often while a cluster is being changed.
    pub(crate) fn set(&self, active: bool) {
        if self.active.swap(active, Ordering::Relaxed) != active && active {
            self.changed.notify_one();
        }
    }

    /// Looks once more right now.
    pub(crate) fn now(&self) {
        self.changed.notify_one();
    }
}

/// What a watcher tells the loop besides inputs.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) cluster: ClusterName,
    pub(crate) error: DriverError,
}

/// What a watcher does when somebody else owns its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOwned {
    /// It tells the loop, which may not go on so.
    Refuse,
    /// It tells that the cluster cannot be had, and asks again.
    Wait,
}

/// Claims a cluster and watches it until the run is over.
#[expect(clippy::too_many_arguments, reason = "what a task owns for its life")]
pub(crate) async fn cluster(
    fleet: Fleet,
    service: ServiceName,
    name: ClusterName,
    attention: Arc<Attention>,
    options: Options,
    on_owned: OnOwned,
    inputs: mpsc::Sender<Arrival>,
    refused: mpsc::Sender<Refused>,
) {
    let driver = fleet.driver_of(&name);
    let mut claimed = false;
    let mut answered = None;
    loop {
        let observation = if claimed {
            let look = driver.observe(&fleet.rollout, &name);
            match tokio::time::timeout(options.observe_timeout, look).await {
                Ok(Ok(seen)) => {
                    answered = Some(seen.at);
                    Observation::Seen {
                        cluster: name.clone(),
                        seen: seen.into(),
                    }
                }
                Ok(Err(error)) => Observation::Lost {
                    cluster: name.clone(),
                    detail: detail(error),
                    answered,
                },
                Err(_) => {
                    let detail = format!(
                        "no answer within {} ms",
                        options.observe_timeout.as_millis()
                    );
                    Observation::Lost {
                        cluster: name.clone(),
                        detail,
                        answered,
                    }
                }
            }
        } else {
            match driver.claim(&fleet.rollout, &service, &name).await {
                Ok(epoch) => {
                    claimed = true;
                    fleet.note_claim(&name, epoch);
                    Observation::Claimed {
                        cluster: name.clone(),
                        epoch,
                    }
                }
                Err(error @ DriverError::Owned { .. }) if on_owned == OnOwned::Refuse => {
                    let _ = refused
                        .send(Refused {
                            cluster: name.clone(),
                            error,
                        })
                        .await;
                    return;
                }
                Err(error) => Observation::Lost {
                    cluster: name.clone(),
                    detail: detail(error),
                    answered,
                },
            }
        };
        let again = matches!(observation, Observation::Claimed { .. });
        if inputs
            .send(Arrival::input(Input::Observation(observation)))
            .await
            .is_err()
        {
            return;
        }
        if again {
            continue;
        }
        let pause = if attention.active.load(Ordering::Relaxed) {
            options.poll_active
        } else {
            options.poll_idle
        };
        let _ = tokio::time::timeout(pause, attention.changed.notified()).await;
    }
}

/// What was tried. Which cluster does not answer is said by whoever tells it.
fn detail(error: DriverError) -> String {
    match error {
        DriverError::Unreachable { detail, .. } => detail,
        other => other.to_string(),
    }
}
