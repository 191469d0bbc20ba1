//! The folder of a (cluster, service) and the record of who may change it.
//!
//! `lock` is held for some milliseconds at a time, never while waiting for anything, so that a
//! host that is stopped at any moment does not keep others out. What takes longer asks again
//! ([`ServiceFolder::admit`]) just before each effect.

use crate::files;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wavegate_model::observation::Stamp;
use wavegate_model::{ClusterName, Epoch, Generation, RolloutId, ServiceName, Timestamp};
use wavegate_ports::driver::DriverError;

/// Format of [`OwnerRecord`]; a file of another one is refused.
const FORMAT: u32 = 1;

/// Whether the owner is still at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tenure {
    Open,
    Ended,
}

/// `owner.json`: who owns the service in this cluster, or did last. Never removed: the epoch rises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnerRecord {
    format: u32,
    pub(crate) rollout: RolloutId,
    pub(crate) tenure: Tenure,
    pub(crate) epoch: Epoch,
    /// Highest of this epoch.
    pub(crate) generation: Generation,
    since: Timestamp,
    /// Process of the host that claimed; for people.
    pid: u32,
    /// The last command that was carried out to its end.
    pub(crate) last_nodes: Option<Stamp>,
}

/// Where the files of a service in a cluster are.
#[derive(Clone, Debug)]
pub(crate) struct ServiceFolder {
    pub(crate) cluster: ClusterName,
    pub(crate) path: PathBuf,
}

/// Proof that the lock of the folder is held.
pub(crate) struct Locked<'a> {
    folder: &'a ServiceFolder,
    _lock: File,
}

impl ServiceFolder {
    pub(crate) fn new(cluster: &ClusterName, cluster_dir: &Path, service: &ServiceName) -> Self {
        Self {
            cluster: cluster.clone(),
            path: cluster_dir.join(service.as_str()),
        }
    }

    pub(crate) fn slots(&self) -> PathBuf {
        self.path.join("slots")
    }

    fn owner_path(&self) -> PathBuf {
        self.path.join("owner.json")
    }

    fn desired_path(&self) -> PathBuf {
        self.path.join("desired")
    }

    /// Makes the folder of a new cluster.
    pub(crate) fn create(&self) -> Result<(), DriverError> {
        fs::create_dir_all(self.slots()).map_err(|e| self.failed("create its folder", e))
    }

    pub(crate) fn failed(&self, operation: &'static str, detail: impl ToString) -> DriverError {
        DriverError::Failed {
            cluster: self.cluster.clone(),
            operation,
            detail: detail.to_string(),
        }
    }

    /// A cluster without its folder is one that cannot be reached.
    pub(crate) fn check_present(&self) -> Result<(), DriverError> {
        if self.slots().is_dir() {
            return Ok(());
        }
        let detail = format!("there is no folder {}", self.slots().display());
        Err(DriverError::Unreachable {
            cluster: self.cluster.clone(),
            detail,
        })
    }

    pub(crate) fn lock(&self) -> Result<Locked<'_>, DriverError> {
        self.check_present()?;
        let lock =
            files::lock(&self.path.join("lock")).map_err(|e| self.failed("lock its folder", e))?;
        Ok(Locked {
            folder: self,
            _lock: lock,
        })
    }

    /// The record as it is. Replaced in one step, so that reading needs no lock.
    pub(crate) fn owner(&self) -> Result<Option<OwnerRecord>, DriverError> {
        let failed = |e: io::Error| self.failed("read its owner record", e);
        let record: Option<OwnerRecord> = files::read_json(&self.owner_path()).map_err(failed)?;
        match record {
            Some(record) if record.format != FORMAT => Err(self.failed(
                "read its owner record",
                format!("it has format {}", record.format),
            )),
            record => Ok(record),
        }
    }

    /// Refuses a stamp that is out of date.
    pub(crate) fn admit(&self, stamp: Stamp) -> Result<OwnerRecord, DriverError> {
        let Some(record) = self.owner()? else {
            return Err(self.failed("follow a command", "nobody has claimed it"));
        };
        if (stamp.epoch, stamp.generation) < (record.epoch, record.generation) {
            let current = (record.epoch.0, record.generation.0);
            return Err(DriverError::Stale {
                cluster: self.cluster.clone(),
                stamp,
                current,
            });
        }
        if stamp.epoch > record.epoch {
            let detail = format!(
                "epoch {} was never given out, the last is {}",
                stamp.epoch, record.epoch
            );
            return Err(self.failed("follow a command", detail));
        }
        match record.tenure {
            Tenure::Open => Ok(record),
            Tenure::Ended => Err(self.failed(
                "follow a command",
                format!("rollout `{}` gave it up", record.rollout),
            )),
        }
    }

    /// Nodes that the cluster should have: `fallback` until somebody wrote another number.
    pub(crate) fn desired(&self, fallback: u32) -> Result<u32, DriverError> {
        let failed = |e: &dyn ToString| self.failed("read how many nodes it wants", e.to_string());
        match fs::read_to_string(self.desired_path()) {
            Ok(text) => text.trim().parse().map_err(|e| failed(&e)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fallback),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(crate) fn write_desired(&self, nodes: u32) -> Result<(), DriverError> {
        files::write(&self.desired_path(), format!("{nodes}\n").as_bytes())
            .map_err(|e| self.failed("write how many nodes it wants", e))
    }
}

impl Locked<'_> {
    fn write(&self, record: &OwnerRecord) -> Result<(), DriverError> {
        files::write_json(&self.folder.owner_path(), record)
            .map_err(|e| self.folder.failed("write its owner record", e))
    }

    /// Makes the rollout the owner, if nobody else is at work.
    pub(crate) fn claim(&self, rollout: &RolloutId) -> Result<Epoch, DriverError> {
        let before = self.folder.owner()?;
        if let Some(owner) = &before
            && owner.tenure == Tenure::Open
            && owner.rollout != *rollout
        {
            return Err(DriverError::Owned {
                cluster: self.folder.cluster.clone(),
                owner: owner.rollout.clone(),
                since: format!("{} (process {})", for_people(owner.since), owner.pid),
            });
        }
        self.take(before, rollout, Tenure::Open)
    }

    /// Ends whatever is going on: every host that is at work is refused from now on.
    pub(crate) fn depose(&self, by: &RolloutId) -> Result<Epoch, DriverError> {
        let before = self.folder.owner()?;
        self.take(before, by, Tenure::Ended)
    }

    fn take(
        &self,
        before: Option<OwnerRecord>,
        rollout: &RolloutId,
        tenure: Tenure,
    ) -> Result<Epoch, DriverError> {
        let epoch = before
            .as_ref()
            .map_or(Epoch::default(), |owner| owner.epoch)
            .next();
        self.write(&OwnerRecord {
            format: FORMAT,
            rollout: rollout.clone(),
            tenure,
            epoch,
            generation: Generation::default(),
            since: files::now(),
            pid: std::process::id(),
            last_nodes: before.and_then(|owner| owner.last_nodes),
        })?;
        Ok(epoch)
    }

    pub(crate) fn disown(&self, rollout: &RolloutId, epoch: Epoch) -> Result<(), DriverError> {
        let Some(owner) = self.folder.owner()? else {
            return Ok(());
        };
        if owner.epoch != epoch || owner.rollout != *rollout {
            let stamp = Stamp {
                epoch,
                generation: owner.generation,
                command: Default::default(),
            };
            let current = (owner.epoch.0, owner.generation.0);
            return Err(DriverError::Stale {
                cluster: self.folder.cluster.clone(),
                stamp,
                current,
            });
        }
        match owner.tenure {
            Tenure::Open => self.write(&OwnerRecord {
                tenure: Tenure::Ended,
                ..owner
            }),
            Tenure::Ended => Ok(()),
        }
    }

    /// Admits a command that changes nodes.
    pub(crate) fn accept_nodes(
        &self,
        stamp: Stamp,
        expected: u32,
        fallback: u32,
    ) -> Result<(), DriverError> {
        let owner = self.folder.admit(stamp)?;
        let overtaken = |last: &Stamp| last.epoch == stamp.epoch && last.command > stamp.command;
        if let Some(last) = owner.last_nodes.filter(overtaken) {
            return Err(DriverError::Failed {
                cluster: self.folder.cluster.clone(),
                operation: "change nodes",
                detail: format!(
                    "command {} came after command {}",
                    stamp.command, last.command
                ),
            });
        }
        let found = self.folder.desired(fallback)?;
        if found != expected {
            return Err(DriverError::DesiredChanged {
                cluster: self.folder.cluster.clone(),
                expected,
                found,
            });
        }
        self.follow(owner, stamp)
    }

    /// Admits a command that changes traffic. The front door remembers it.
    pub(crate) fn accept_traffic(&self, stamp: Stamp) -> Result<(), DriverError> {
        let owner = self.folder.admit(stamp)?;
        self.follow(owner, stamp)
    }

    /// Remembers the generation, so that older ones are refused even if this command never ends.
    fn follow(&self, owner: OwnerRecord, stamp: Stamp) -> Result<(), DriverError> {
        if owner.generation == stamp.generation {
            return Ok(());
        }
        self.write(&OwnerRecord {
            generation: stamp.generation,
            ..owner
        })
    }

    /// Remembers that a command that changes nodes was carried out. Not earlier: whoever finds
    /// its stamp after a crash takes it as done.
    pub(crate) fn finish_nodes(&self, stamp: Stamp) -> Result<(), DriverError> {
        let owner = self.folder.admit(stamp)?;
        if owner.last_nodes == Some(stamp) {
            return Ok(());
        }
        self.write(&OwnerRecord {
            last_nodes: Some(stamp),
            ..owner
        })
    }
}

fn for_people(at: Timestamp) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| at.0.to_string(), |at| format!("{at:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavegate_model::CommandId;

    fn folder(dir: &Path) -> ServiceFolder {
        let folder = ServiceFolder::new(&"east".into(), dir, &"shop".into());
        folder.create().unwrap();
        folder
    }

    fn stamp(epoch: Epoch, generation: u64, command: u64) -> Stamp {
        Stamp {
            epoch,
            generation: Generation(generation),
            command: CommandId(command),
        }
    }

    #[test]
    fn one_rollout_owns_and_claiming_again_deposes_its_earlier_host() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let first = folder.lock().unwrap().claim(&"a".into()).unwrap();
        let error = folder.lock().unwrap().claim(&"b".into()).unwrap_err();
        assert!(matches!(error, DriverError::Owned { owner, .. } if owner.as_str() == "a"));
        let second = folder.lock().unwrap().claim(&"a".into()).unwrap();
        assert_eq!(second, first.next());
        assert!(matches!(
            folder.admit(stamp(first, 9, 9)),
            Err(DriverError::Stale { .. })
        ));
        assert!(matches!(
            folder.lock().unwrap().disown(&"a".into(), first),
            Err(DriverError::Stale { .. })
        ));
        folder.lock().unwrap().disown(&"a".into(), second).unwrap();
        folder.lock().unwrap().disown(&"a".into(), second).unwrap();
        assert!(matches!(
            folder.admit(stamp(second, 0, 0)),
            Err(DriverError::Failed { .. })
        ));
        assert_eq!(
            folder.lock().unwrap().claim(&"b".into()).unwrap(),
            second.next()
        );
    }

    #[test]
    fn a_command_that_was_overtaken_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let epoch = folder.lock().unwrap().claim(&"a".into()).unwrap();
        let accept = |command| {
            let locked = folder.lock().unwrap();
            locked.accept_nodes(stamp(epoch, 1, command), 4, 4)
        };
        accept(2).unwrap();
        folder
            .lock()
            .unwrap()
            .finish_nodes(stamp(epoch, 1, 2))
            .unwrap();
        accept(2).unwrap();
        let error = accept(1).unwrap_err().to_string();
        assert!(error.contains("command 1 came after command 2"), "{error}");
        // The next host begins to count anew.
        let epoch = folder.lock().unwrap().claim(&"a".into()).unwrap();
        let locked = folder.lock().unwrap();
        locked.accept_nodes(stamp(epoch, 1, 1), 4, 4).unwrap();
    }

    #[test]
    fn an_older_generation_and_another_total_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let epoch = folder.lock().unwrap().claim(&"a".into()).unwrap();
        folder
            .lock()
            .unwrap()
            .accept_nodes(stamp(epoch, 2, 1), 4, 4)
            .unwrap();
        folder
            .lock()
            .unwrap()
            .accept_nodes(stamp(epoch, 2, 1), 4, 4)
            .unwrap();
        let last_nodes = || folder.owner().unwrap().unwrap().last_nodes;
        assert_eq!(last_nodes(), None, "accepted is not carried out");
        folder
            .lock()
            .unwrap()
            .finish_nodes(stamp(epoch, 2, 1))
            .unwrap();
        assert_eq!(last_nodes(), Some(stamp(epoch, 2, 1)));
        let older = folder
            .lock()
            .unwrap()
            .accept_nodes(stamp(epoch, 1, 2), 4, 4);
        assert!(matches!(older, Err(DriverError::Stale { .. })));
        folder.write_desired(5).unwrap();
        let changed = folder
            .lock()
            .unwrap()
            .accept_nodes(stamp(epoch, 2, 2), 4, 4);
        assert!(matches!(
            changed,
            Err(DriverError::DesiredChanged {
                expected: 4,
                found: 5,
                ..
            })
        ));
    }
}
