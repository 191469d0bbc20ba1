//! Making a cluster run other nodes.

use crate::cluster::{Pending, Seen, Service};
use crate::front_door::FrontDoorError;
use crate::slot::{Answer, Presence, SLOTS_MAX, Slot, Spec, StartAnswer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::JoinSet;
use wavegate_model::observation::Stamp;
use wavegate_model::{Digest, Release};
use wavegate_ports::driver::{DriverError, NodesTarget};

/// What becomes of one slot.
#[derive(Clone, Debug)]
struct Conversion {
    slot: Slot,
    /// The node that has to go first.
    stop: Option<Seen>,
    start: Option<Release>,
}

impl Service {
    pub(crate) async fn set_nodes(
        self: &Arc<Self>,
        stamp: Stamp,
        target: NodesTarget,
    ) -> Result<(), DriverError> {
        let _pending = Pending::new(&self.pending);
        let _turn = self.turn.lock().await;
        let (service, desired) = (Arc::clone(self), target.desired);
        on_blocking(self, move || {
            let locked = service.folder.lock()?;
            locked.accept_nodes(stamp, desired, service.nodes)
        })
        .await?;
        (self.options.crash_point)("set-nodes:after-accept");
        let seen = self.look().await?;
        let conversions = conversions(&self.folder.path, &seen, &target.nodes)
            .map_err(|detail| self.failed("set its nodes", detail))?;
        self.change(stamp, conversions).await?;
        (self.options.crash_point)("set-nodes:before-stamp");
        let service = Arc::clone(self);
        on_blocking(self, move || service.folder.lock()?.finish_nodes(stamp)).await
    }

    async fn change(
        self: &Arc<Self>,
        stamp: Stamp,
        conversions: Vec<Conversion>,
    ) -> Result<(), DriverError> {
        let leaving: Vec<&Seen> = conversions
            .iter()
            .filter_map(|conversion| conversion.stop.as_ref())
            .collect();
        let names: Vec<String> = leaving.iter().map(|seen| seen.state.node.clone()).collect();
        self.set_draining(&names);
        let changed = match self.drain(stamp, &leaving, &names).await {
            Ok(()) => self.carry_out(stamp, conversions).await,
            Err(error) => Err(error),
        };
        self.forget_draining(&names);
        changed
    }

    /// Takes nodes out of the front door and waits for the requests that they have.
    async fn drain(
        &self,
        stamp: Stamp,
        leaving: &[&Seen],
        names: &[String],
    ) -> Result<(), DriverError> {
        if leaving.is_empty() {
            return Ok(());
        }
        let Some(door) = self.door().await? else {
            return Ok(());
        };
        (self.options.crash_point)("set-nodes:before-drain");
        self.folder.admit(stamp)?;
        let times = leaving
            .iter()
            .map(|seen| self.drain_time(&seen.state.release));
        match door
            .drain(&self.folder.cluster, names, times.max().unwrap_or_default())
            .await
        {
            Ok(()) => Ok(()),
            Err(error @ FrontDoorError::NotDrained { .. }) => {
                // They had the time that their release asks for.
                tracing::warn!(cluster = %self.folder.cluster, %error, "nodes are stopped with requests in flight");
                Ok(())
            }
            Err(error) => Err(self.failed("drain nodes", error)),
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        stamp: Stamp,
        conversions: Vec<Conversion>,
    ) -> Result<(), DriverError> {
        let mut tasks = JoinSet::new();
        for conversion in conversions {
            let service = Arc::clone(self);
            tasks.spawn(async move { service.convert(stamp, conversion).await });
        }
        let mut first_error = None;
        // All come to their end, so that nothing goes on after this command has answered.
        while let Some(done) = tasks.join_next().await {
            let done = done.map_err(|e| self.failed("change a node", e)).flatten();
            if let Err(error) = done {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    async fn convert(&self, stamp: Stamp, conversion: Conversion) -> Result<(), DriverError> {
        if let Some(seen) = &conversion.stop {
            (self.options.crash_point)("set-nodes:before-stop");
            self.folder.admit(stamp)?;
            self.stop(stamp, seen).await?;
        }
        if let Some(release) = conversion.start {
            (self.options.crash_point)("set-nodes:before-start");
            self.folder.admit(stamp)?;
            self.start(stamp, &conversion.slot, release).await?;
            (self.options.crash_point)("set-nodes:after-start");
        }
        Ok(())
    }

    async fn stop(&self, stamp: Stamp, seen: &Seen) -> Result<(), DriverError> {
        let failed = |detail: &dyn ToString| {
            self.failed(
                "stop a node",
                format!("{}: {}", seen.state.node, detail.to_string()),
            )
        };
        if seen.presence == Presence::Dead {
            return seen.slot.clear(&seen.state).await.map_err(|e| failed(&e));
        }
        match seen
            .slot
            .stop(
                &seen.state,
                Some(stamp),
                self.drain_time(&seen.state.release),
            )
            .await
        {
            Ok(Answer::Stopped) => Ok(()),
            Ok(Answer::Stale { current }) => Err(DriverError::Stale {
                cluster: self.folder.cluster.clone(),
                stamp,
                current,
            }),
            Ok(Answer::Failed { detail }) => Err(failed(&detail)),
            Ok(other @ (Answer::Status { .. } | Answer::Stopping)) => {
                Err(failed(&format!("unexpected answer {other:?}")))
            }
            Err(error) => {
                // A supervisor that is itself stopped or gone cannot end its node in an orderly way.
                self.folder.admit(stamp)?;
                tracing::warn!(cluster = %self.folder.cluster, node = seen.state.node, %error, "killing a node");
                seen.slot.kill(&seen.state).await.map_err(|e| failed(&e))
            }
        }
    }

    /// A slot that is taken has the node of the same command, started by somebody else just now.
    fn check_taken(&self, slot: &Slot) -> Result<(), DriverError> {
        let failed =
            |detail: String| self.failed("start a node", format!("slot {}: {detail}", slot.number));
        match slot.read().map_err(|e| failed(e.to_string()))? {
            // Without a state, or with that of an earlier node, its supervisor has only just begun.
            Some(state) if state.presence() == Presence::Draining => {
                Err(failed(format!("{} is still ending there", state.node)))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn start(&self, stamp: Stamp, slot: &Slot, release: Release) -> Result<(), DriverError> {
        let spec = Spec {
            cluster: self.folder.cluster.clone(),
            folder: self.folder.path.clone(),
            slot: slot.number,
            release,
            stamp,
        };
        match slot.start(&self.options.helpers, &spec).await {
            Ok(StartAnswer::Started { .. }) => Ok(()),
            Ok(StartAnswer::Taken) => self.check_taken(slot),
            Ok(StartAnswer::Stale { current }) => Err(DriverError::Stale {
                cluster: self.folder.cluster.clone(),
                stamp,
                current,
            }),
            Ok(StartAnswer::Ended { detail }) => {
                // The command was carried out: the slot now shows a node that failed to start.
                tracing::warn!(cluster = %self.folder.cluster, slot = slot.number, detail, "a node did not start");
                Ok(())
            }
            Ok(StartAnswer::Failed { detail }) => {
                Err(self.failed("start a node", format!("slot {}: {detail}", slot.number)))
            }
            Err(error) => {
                Err(self.failed("start a node", format!("slot {}: {error}", slot.number)))
            }
        }
    }
}

/// Runs something that waits for a lock or a disk where it holds nobody up.
pub(crate) async fn on_blocking<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| service.failed("run a blocking step", e))
        .flatten()
}

/// What has to happen so that these nodes run. A stop and a start share a slot, so that there
/// are never more nodes than before or after; what goes beyond that gets slots of its own.
fn conversions(
    folder: &std::path::Path,
    seen: &[Seen],
    target: &[(Release, u32)],
) -> Result<Vec<Conversion>, String> {
    let mut wanted: BTreeMap<&Digest, (&Release, u32)> = BTreeMap::new();
    for (release, nodes) in target {
        wanted.entry(&release.digest).or_insert((release, 0)).1 += nodes;
    }
    let mut live: BTreeMap<&Digest, Vec<&Seen>> = BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.presence == Presence::Live) {
        live.entry(&seen.state.release.digest)
            .or_default()
            .push(seen);
    }
    // Dead nodes run no more, whatever the target says; they make room or are replaced.
    let mut stops: Vec<&Seen> = seen
        .iter()
        .filter(|seen| seen.presence == Presence::Dead)
        .collect();
    let at = crate::files::now();
    for (digest, nodes) in &mut live {
        let keep = wanted.get(digest).map_or(0, |(_, nodes)| *nodes) as usize;
        // Nodes that do not serve go first, then those of the highest slots.
        nodes.sort_by_key(|seen| (seen.has_failed(at), !seen.is_ready(), seen.slot.number));
        stops.extend(nodes.split_off(keep.min(nodes.len())).into_iter().rev());
    }
    let mut starts: Vec<&Release> = Vec::new();
    for (digest, (release, nodes)) in wanted {
        let have = live.get(digest).map_or(0, Vec::len);
        starts.extend(std::iter::repeat_n(
            release,
            (nodes as usize).saturating_sub(have),
        ));
    }
    let used: BTreeSet<u32> = seen.iter().map(|seen| seen.slot.number).collect();
    let mut free = (0..SLOTS_MAX).filter(|number| !used.contains(number));
    let mut starts = starts.into_iter().cloned();
    let mut conversions: Vec<Conversion> = stops
        .into_iter()
        .map(|stop| Conversion {
            slot: stop.slot.clone(),
            stop: Some(stop.clone()),
            start: starts.next(),
        })
        .collect();
    for release in starts {
        let number = free
            .next()
            .ok_or_else(|| format!("all {SLOTS_MAX} slots are in use"))?;
        conversions.push(Conversion {
            slot: Slot::of(folder, number),
            stop: None,
            start: Some(release),
        });
    }
    Ok(conversions)
}
