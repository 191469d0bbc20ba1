//! The adapters, put together. Nothing else names a concrete one.

use crate::args::Global;
use crate::clock::SystemClock;
use crate::exit::{Exit, Failure, Result};
use crate::{crash, shipped};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wavegate_conductor::Ports;
use wavegate_driver_local::{Helpers, LocalDriver, Options as LocalOptions};
use wavegate_engine::Spec;
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;
use wavegate_plugin_host::{Compiler, HostOptions, PluginHost};
use wavegate_ports::driver::Driver;
use wavegate_ports::journal::{Journal, JournalEntry};
use wavegate_sources::SourceSet;

/// Name of the driver of processes on this machine.
pub(crate) const LOCAL: &str = "local";
/// Hidden subcommands that helper processes run.
pub(crate) const SUPERVISOR: &str = "node-supervisor";
pub(crate) const FRONT_DOOR: &str = "front-door";
pub(crate) const COMPILER: &str = "compile-plugin";

/// Where a host keeps what it must not lose.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    pub(crate) fn of(global: &Global) -> Result<Self> {
        let dir = std::path::absolute(&global.state).context("failed to find the state folder")?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn journal_file(&self) -> PathBuf {
        self.0.join("journal.db")
    }

    /// The journal, for writing.
    pub(crate) fn journal(&self) -> Result<Arc<SqliteJournal>> {
        Ok(Arc::new(SqliteJournal::open(&self.journal_file())?))
    }

    /// The journal, for reading. There is none before the first rollout.
    pub(crate) fn read_journal(&self) -> Result<SqliteJournal> {
        let file = self.journal_file();
        if !file.exists() {
            let missing = anyhow::anyhow!("there is no journal at {}", file.display());
            let hint = "start a rollout first, or name the folder with --state";
            return Err(Failure::new(Exit::Usage, missing).hint(hint));
        }
        Ok(SqliteJournal::open_read_only(&file)?)
    }

    /// Takes the lock that says who runs a rollout. Held until the file is dropped, also when
    /// the process is killed.
    pub(crate) fn lock(&self, rollout: &RolloutId, take_over: bool) -> Result<File> {
        let dir = self.0.join("rollouts");
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("failed to make {}", dir.display()))?;
        let path = dir.join(format!("{rollout}.lock"));
        if take_over {
            // The old holder keeps its lock on a file that has no name any more; the journal and
            // the clusters refuse it from now on.
            let _ = std::fs::remove_file(&path);
        }
        let open = File::options().create(true).append(true).open(&path);
        let file = open.with_context(|| format!("failed to open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {
                let running = anyhow::anyhow!("rollout `{rollout}` is run by another process");
                let hint = "steer it with pause, continue, approve, abort or rollback; if that process hangs, \
                            use `wavegate resume --take-over`";
                Err(Failure::new(Exit::Refused, running).hint(hint))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(anyhow::Error::new(error)
                .context(format!("failed to lock {}", path.display()))
                .into()),
        }
    }

    /// The rollout with this id, or the one whose id begins so, or the newest one for `last`.
    pub(crate) async fn find(&self, journal: &dyn Journal, text: &str) -> Result<RolloutId> {
        let known = journal.rollouts().await?;
        if let Some(entry) = known.iter().find(|entry| entry.rollout.as_str() == text) {
            return Ok(entry.rollout.clone());
        }
        let found: Vec<&JournalEntry> = match text {
            "last" => known.last().into_iter().collect(),
            _ => known
                .iter()
                .filter(|entry| entry.rollout.as_str().starts_with(text))
                .collect(),
        };
        match found.as_slice() {
            [one] => Ok(one.rollout.clone()),
            [] => {
                let names: Vec<&str> = known
                    .iter()
                    .rev()
                    .take(5)
                    .map(|entry| entry.rollout.as_str())
                    .collect();
                let hint = if names.is_empty() {
                    "the journal is empty".to_owned()
                } else {
                    format!("the newest are: {}", names.join(", "))
                };
                Err(Failure::usage(format!(
                    "there is no rollout `{text}` in {}",
                    self.journal_file().display()
                ))
                .hint(hint))
            }
            several => {
                let names: Vec<&str> = several.iter().map(|entry| entry.rollout.as_str()).collect();
                Err(Failure::usage(format!(
                    "`{text}` begins several rollouts: {}",
                    names.join(", ")
                )))
            }
        }
    }
}

/// The adapters that all rollouts of this process share.
pub(crate) struct Host {
    journal: Option<Arc<SqliteJournal>>,
    pub(crate) plugins: Arc<PluginHost>,
    pub(crate) local: Arc<LocalDriver>,
}

impl Host {
    pub(crate) fn open(state: &StateDir) -> Result<Self> {
        let mut host = Self::without_journal(state)?;
        host.open_journal(state)?;
        Ok(host)
    }

    /// Opens the journal, and makes one where there is none: only once it is known that there
    /// will be something to write.
    pub(crate) fn open_journal(&mut self, state: &StateDir) -> Result<()> {
        self.journal = Some(state.journal()?);
        Ok(())
    }

    /// For commands that run nothing, or nothing yet.
    pub(crate) fn without_journal(state: &StateDir) -> Result<Self> {
        Ok(Self {
            journal: None,
            plugins: plugin_host(state)?,
            local: Arc::new(local_driver()?),
        })
    }

    /// The journal.
    ///
    /// # Panics
    /// If the host was opened without one: whoever runs rollouts opens it with one.
    pub(crate) fn journal(&self) -> &Arc<SqliteJournal> {
        self.journal
            .as_ref()
            .expect("a host that runs rollouts has a journal")
    }

    fn drivers(&self) -> BTreeMap<String, Arc<dyn Driver>> {
        let local: Arc<dyn Driver> = self.local.clone();
        BTreeMap::from([(LOCAL.to_owned(), local)])
    }

    /// The drivers' names and what they can do.
    pub(crate) fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.drivers().remove(name)
    }

    /// The ports of one rollout.
    pub(crate) fn ports(&self, spec: &Spec) -> Result<Ports> {
        Ok(Ports {
            journal: self.journal().clone(),
            plugins: self.plugins.clone(),
            sources: Arc::new(self.sources(spec)?),
            drivers: self.drivers(),
            clock: Arc::new(SystemClock),
        })
    }

    /// The sources that a rollout's gates are bound to.
    pub(crate) fn sources(&self, spec: &Spec) -> Result<SourceSet> {
        let local: Arc<dyn Driver> = self.local.clone();
        SourceSet::open(spec.sources.clone(), &local, &spec.rollout)
            .map_err(|error| Failure::new(Exit::Usage, error))
    }
}

/// The plugin host alone, for commands that touch no cluster.
pub(crate) fn plugin_host(state: &StateDir) -> Result<Arc<PluginHost>> {
    plugin_host_at(&state.path().join("plugins"))
}

/// A plugin host with a store of its own.
pub(crate) fn plugin_host_at(store: &Path) -> Result<Arc<PluginHost>> {
    let mut options = HostOptions::new(store);
    options.shipped = shipped::components();
    let program = std::env::current_exe().context("failed to find the program's own file")?;
    options.compiler = Some(Compiler::new(program, vec![COMPILER.to_owned()]));
    Ok(Arc::new(
        PluginHost::new(options).map_err(|error| Failure::new(Exit::Plugin, error))?,
    ))
}

/// The driver of processes on this machine.
pub(crate) fn local_driver() -> Result<LocalDriver> {
    let program = std::env::current_exe().context("failed to find the program's own file")?;
    let helpers = Helpers {
        program,
        supervisor_args: vec![SUPERVISOR.to_owned()],
        front_door_args: vec![FRONT_DOOR.to_owned()],
    };
    let mut options = LocalOptions::new(helpers, "/");
    options.crash_point = crash::point();
    Ok(LocalDriver::new(options))
}

/// The user of the operating system.
pub(crate) fn actor() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
