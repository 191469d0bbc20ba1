//! The journal, on a disk that is full, lies about what it wrote, or loses its power.
//!
//! Below is the real journal in a real file. What the power takes is taken from the log of the
//! file: everything up to the last append that was answered stays, what was written since stays
//! up to some byte.

use crate::life::Life;
use crate::swarm::wait_here;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wavegate_conductor::record::{STEP, StepRecord};
use wavegate_driver_sim::Rng;
use wavegate_engine::Fact;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::{CommandId, Digest, RolloutId, Timestamp};
use wavegate_ports::BoxFuture;
use wavegate_ports::journal::{
    Batch, InboxRow, Journal, JournalEntry, JournalError, NewRecord, StoredRecord,
};

/// The disk of the machine on which all hosts run.
pub(crate) struct Disk {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    journal: Arc<SqliteJournal>,
    /// The power was lost so often.
    losses: u32,
    /// Records that are there for good.
    kept: BTreeMap<RolloutId, u64>,
    /// The newest request in each inbox.
    asked: BTreeMap<RolloutId, u64>,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let journal = Arc::new(SqliteJournal::open(&file(folder, 0))?);
        Ok(Self {
            folder: folder.to_path_buf(),
            inner: Mutex::new(Inner {
                journal,
                losses: 0,
                kept: BTreeMap::new(),
                asked: BTreeMap::new(),
            }),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal as it is now.
    pub(crate) fn journal(&self) -> Arc<SqliteJournal> {
        Arc::clone(&self.inner().journal)
    }

    fn log(&self) -> PathBuf {
        let mut name = file(&self.folder, self.inner().losses).into_os_string();
        name.push("-wal");
        PathBuf::from(name)
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |about| about.len())
    }

    fn kept(&self, rollout: &RolloutId, records: u64) {
        *self.inner().kept.entry(rollout.clone()).or_default() += records;
    }

    /// Puts a request into an inbox, as a command in a second terminal does.
    pub(crate) fn ask(
        &self,
        rollout: &RolloutId,
        at: Timestamp,
        actor: &str,
        request: String,
    ) -> Result<(), JournalError> {
        let (actor, reason) = (actor.to_owned(), "as they like".to_owned());
        let journal = self.journal();
        let row = wait_here(journal.put_inbox(rollout, at, actor, reason, request))?;
        self.inner().asked.insert(rollout.clone(), row);
        Ok(())
    }

    /// The power goes. What the log got after `safe` is lost from some byte on, or it is there
    /// and wrong.
    pub(crate) fn lose_power(&self, safe: u64, rng: &mut Rng) -> anyhow::Result<Loss> {
        let (old, new) = {
            let mut inner = self.inner();
            let old = file(&self.folder, inner.losses);
            inner.losses += 1;
            (old, file(&self.folder, inner.losses))
        };
        let suffixed = |path: &Path, suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        fs::copy(&old, &new)?;
        let mut log = fs::read(suffixed(&old, "-wal")).unwrap_or_default();
        let safe = usize::try_from(safe)?.min(log.len());
        let at_risk = log.len() - safe;
        let loss = if at_risk == 0 {
            Loss::Nothing
        } else {
            let cut = safe + usize::try_from(rng.below(at_risk as u64))?;
            if rng.chance(500) {
                log.truncate(cut);
                Loss::Torn
            } else {
                for byte in &mut log[cut..] {
                    *byte = u8::try_from(rng.below(256)).unwrap_or(0);
                }
                Loss::Garbled
            }
        };
        fs::write(suffixed(&new, "-wal"), log)?;
        let journal = Arc::new(SqliteJournal::open(&new)?);
        let before = std::mem::replace(&mut self.inner().journal, journal);
        drop(before);
        for suffix in ["", "-wal", "-shm"] {
            let _gone = fs::remove_file(suffixed(&old, suffix));
        }
        Ok(loss)
    }

    /// Whether all that was answered is there, and the chains hold.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (journal, kept) = {
            let inner = self.inner();
            (Arc::clone(&inner.journal), inner.kept.clone())
        };
        for (rollout, records) in kept {
            let found = wait_here(journal.verify(&rollout)).map_err(|error| error.to_string())?;
            if found.records < records {
                return Err(format!(
                    "{rollout}: {records} records were written, and {} are there",
                    found.records
                ));
            }
        }
        Ok(())
    }
}

/// What the power took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    Torn,
    Garbled,
}

fn file(folder: &Path, losses: u32) -> PathBuf {
    folder.join(format!("journal-{losses}.db"))
}

/// The journal as a host sees it.
pub(crate) struct SwarmJournal(pub(crate) Arc<Life>);

/// What becomes of an append.
enum Fate {
    Good,
    Full,
    Unsure,
    DiesBefore,
    DiesAfter,
    PowerGoes,
}

impl SwarmJournal {
    fn fate(&self) -> Fate {
        let swarm = &self.0.swarm;
        let chances = swarm.scene.chances;
        if swarm.hits(chances.disk) {
            let full = swarm.below(2) == 0;
            swarm.count(if full {
                "disk: full"
            } else {
                "disk: says that it failed"
            });
            return if full { Fate::Full } else { Fate::Unsure };
        }
        if !swarm.hits(chances.crash) {
            return Fate::Good;
        }
        let (name, fate) = match swarm.below(3) {
            0 => ("host: dies before a record", Fate::DiesBefore),
            1 => ("host: dies after a record", Fate::DiesAfter),
            _ => ("power: lost in the middle of a record", Fate::PowerGoes),
        };
        swarm.count(name);
        fate
    }

    fn write(&self, batch: Batch) -> Result<(), JournalError> {
        let disk = &self.0.swarm.disk;
        let rollout = batch.rollout.clone();
        let commands = issued(&batch.records);
        let records = batch.records.len() as u64;
        let journal = disk.journal();
        wait_here(journal.append(batch))?;
        disk.kept(&rollout, records);
        self.0.swarm.world.is_durable(&rollout, commands);
        Ok(())
    }
}

/// Commands that records tell to be given.
fn issued(records: &[NewRecord]) -> Vec<CommandId> {
    let steps = records.iter().filter(|record| record.kind == STEP);
    let steps = steps.filter_map(|record| serde_json::from_slice::<StepRecord>(&record.body).ok());
    let facts = steps.flat_map(|step| step.facts);
    facts
        .filter_map(|fact| match fact {
            Fact::CommandIssued { effect } => Some(effect.id),
            _ => None,
        })
        .collect()
}

fn failed(detail: &str) -> JournalError {
    JournalError::Storage {
        operation: "append to",
        source: detail.to_owned().into(),
    }
}

impl Journal for SwarmJournal {
    fn open(&self, rollout: &RolloutId) -> BoxFuture<'_, Result<u64, JournalError>> {
        let rollout = rollout.clone();
        Box::pin(async move {
            self.0.lives().await;
            let journal = self.0.swarm.disk.journal();
            wait_here(journal.open(&rollout))
        })
    }

    fn append(&self, batch: Batch) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            self.0.lives().await;
            let swarm = &self.0.swarm;
            match self.fate() {
                Fate::Good => self.write(batch)?,
                Fate::Full => return Err(failed("no space is left on the device")),
                Fate::Unsure => {
                    self.write(batch)?;
                    return Err(failed("input/output error"));
                }
                Fate::DiesBefore => self.0.kill(),
                Fate::DiesAfter => {
                    self.write(batch)?;
                    self.0.kill();
                }
                Fate::PowerGoes => {
                    let safe = swarm.disk.log_length();
                    let journal = swarm.disk.journal();
                    let written = wait_here(journal.append(batch));
                    drop(journal);
                    swarm.power_goes(safe);
                    written?;
                }
            }
            self.0.lives().await;
            Ok(())
        })
    }

    fn read(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<StoredRecord>, JournalError>> {
        let rollout = rollout.clone();
        Box::pin(async move {
            self.0.lives().await;
            let journal = self.0.swarm.disk.journal();
            wait_here(journal.read(&rollout, after))
        })
    }

    fn blob(&self, digest: &Digest) -> BoxFuture<'_, Result<Option<Vec<u8>>, JournalError>> {
        let digest = digest.clone();
        Box::pin(async move {
            let journal = self.0.swarm.disk.journal();
            wait_here(journal.blob(&digest))
        })
    }

    fn rollouts(&self) -> BoxFuture<'_, Result<Vec<JournalEntry>, JournalError>> {
        Box::pin(async move {
            let journal = self.0.swarm.disk.journal();
            wait_here(journal.rollouts())
        })
    }

    fn put_inbox(
        &self,
        rollout: &RolloutId,
        at: Timestamp,
        actor: String,
        reason: String,
        request: String,
    ) -> BoxFuture<'_, Result<u64, JournalError>> {
        let rollout = rollout.clone();
        Box::pin(async move {
            let journal = self.0.swarm.disk.journal();
            wait_here(journal.put_inbox(&rollout, at, actor, reason, request))
        })
    }

    fn inbox(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> BoxFuture<'_, Result<Vec<InboxRow>, JournalError>> {
        let rollout = rollout.clone();
        Box::pin(async move {
            self.0.lives().await;
            let disk = &self.0.swarm.disk;
            // Hosts look four times a second, and mostly in vain: that needs no disk.
            let newest = disk.inner().asked.get(&rollout).copied().unwrap_or(0);
            if newest <= after {
                return Ok(Vec::new());
            }
            let journal = disk.journal();
            wait_here(journal.inbox(&rollout, after))
        })
    }
}
