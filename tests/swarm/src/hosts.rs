//! Host processes of rollouts: they begin, end, and are looked at.

use crate::disk::SwarmJournal;
use crate::driver::SwarmDriver;
use crate::life::{Life, SwarmClock};
use crate::people;
use crate::plugins::{SwarmPlugins, SwarmSources};
use crate::swarm::{Swarm, wait_here};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wavegate_conductor::{Begin, Event, OnHold, Options, Outcome, Ports, RunError, run};
use wavegate_engine::{End, Spec};
use wavegate_model::{RolloutId, Timestamp};
use wavegate_plugin_host::PluginHost;
use wavegate_ports::driver::Driver;
use wavegate_ports::journal::{Journal as _, JournalError};

/// Of 1,000 hosts, so many end when nothing goes on without a person.
const ENDS_AT_A_HOLD: u32 = 100;

/// A rollout, whoever runs it.
pub(crate) struct Rollout {
    pub(crate) spec: Spec,
    /// How its last host ended, if the rollout is over.
    pub(crate) end: Option<End>,
    /// It may not begin, because clusters are another's.
    pub(crate) refused: bool,
    pub(crate) hosts: Vec<Running>,
}

/// A host process that runs a rollout.
pub(crate) struct Running {
    pub(crate) life: Arc<Life>,
    began: Timestamp,
    on_hold: OnHold,
    task: JoinHandle<Result<Outcome, RunError>>,
    stop: watch::Sender<bool>,
    told: mpsc::UnboundedReceiver<Event>,
}

impl Rollout {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            spec,
            end: None,
            refused: false,
            hosts: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> &RolloutId {
        &self.spec.rollout
    }

    /// Whether nothing more is to be done.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some() || self.refused
    }

    /// Whether a host works at it that is neither stopped nor dead.
    pub(crate) fn is_run(&self) -> bool {
        let works = |host: &Running| !host.life.is_dead() && !host.life.is_stopped();
        self.hosts.iter().any(works)
    }

    /// Another host begins with it, or goes on.
    pub(crate) fn start(&mut self, swarm: &Arc<Swarm>, plugins: &Arc<PluginHost>) {
        let known = wait_here(swarm.disk.journal().rollouts());
        let known = known.is_ok_and(|all| all.iter().any(|entry| entry.rollout == *self.id()));
        let begin = if known {
            Begin::Resume(self.id().clone())
        } else {
            Begin::Start(Box::new(self.spec.clone()))
        };
        self.begin(swarm, plugins, begin);
    }

    /// Another host undoes it.
    pub(crate) fn undo(&mut self, swarm: &Arc<Swarm>, plugins: &Arc<PluginHost>) {
        let begin = Begin::Undo {
            rollout: self.id().clone(),
            reason: "it was a mistake".to_owned(),
        };
        self.end = None;
        self.begin(swarm, plugins, begin);
    }

    fn begin(&mut self, swarm: &Arc<Swarm>, plugins: &Arc<PluginHost>, begin: Begin) {
        let life = swarm.born();
        let began = swarm.world.now();
        let driver: Arc<dyn Driver> = Arc::new(SwarmDriver::new(&life));
        let ports = Ports {
            journal: Arc::new(SwarmJournal(Arc::clone(&life))),
            plugins: Arc::new(SwarmPlugins {
                life: Arc::clone(&life),
                rollout: self.id().clone(),
                host: Arc::clone(plugins),
            }),
            sources: Arc::new(SwarmSources::new(&life, self.id())),
            drivers: BTreeMap::from([("local".to_owned(), driver)]),
            clock: Arc::new(SwarmClock(Arc::clone(&life))),
        };
        let (events, told) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let on_hold = if swarm.hits(ENDS_AT_A_HOLD) {
            OnHold::Exit
        } else {
            OnHold::Wait
        };
        let options = Options {
            on_hold,
            // Seldom enough that hours of waiting cost little.
            poll_active: Duration::from_millis(700),
            poll_idle: Duration::from_secs(4),
            poll_inbox: Duration::from_secs(1),
            ..Options::default()
        };
        let task = tokio::spawn(run(
            ports,
            begin,
            "swarm".to_owned(),
            options,
            events,
            stopped,
        ));
        self.hosts.push(Running {
            life,
            began,
            on_hold,
            task,
            stop,
            told,
        });
    }

    /// A host is asked to end, as by SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        for host in &self.hosts {
            let _ended = host.stop.send(true);
        }
    }

    /// Looks which hosts have ended, and how. Whether the rollout has ended since the last look.
    pub(crate) async fn look(&mut self, swarm: &Swarm) -> Option<End> {
        let before = self.end;
        let mut left = Vec::new();
        for mut host in std::mem::take(&mut self.hosts) {
            if host.life.is_dead() {
                host.task.abort();
                tell(swarm, &mut host);
                continue;
            }
            if !host.task.is_finished() {
                left.push(host);
                continue;
            }
            tell(swarm, &mut host);
            // What it left on its way is not waited for by anybody.
            host.life.kill();
            match host.task.await {
                Ok(Ok(Outcome::Held(_))) if host.on_hold == OnHold::Exit => {
                    self.held(swarm, host.began);
                }
                Ok(Ok(outcome)) => self.ended(swarm, &outcome),
                Ok(Err(error)) => self.failed(swarm, &error),
                Err(panic) => swarm.world.find(format!("a host panicked: {panic}")),
            }
        }
        self.hosts = left;
        self.end.filter(|_| before.is_none())
    }

    fn ended(&mut self, swarm: &Swarm, outcome: &Outcome) {
        match outcome {
            Outcome::Ended(end) => {
                swarm.count(named(*end));
                self.end = Some(*end);
            }
            Outcome::Interrupted => swarm.count("host: ended by SIGTERM"),
            Outcome::Held(_) => swarm
                .world
                .find("a host ended on a hold unasked".to_owned()),
        }
    }

    /// A host ended at a hold, as it was told to.
    fn held(&self, swarm: &Swarm, began: Timestamp) {
        swarm.count("host: ended at a hold");
        let rollout = self.id();
        let Some(state) = people::state(swarm, rollout) else {
            return;
        };
        let asked = wait_here(swarm.disk.journal().inbox(rollout, state.inbox));
        let asked = asked.unwrap_or_default();
        if let Some(row) = asked.iter().find(|row| row.at < began) {
            swarm.world.find(format!(
                "{rollout}: a host ended at a hold without what had been asked before it began: {}",
                row.request
            ));
        }
    }

    fn failed(&mut self, swarm: &Swarm, error: &RunError) {
        match error {
            RunError::Journal {
                source: JournalError::TakenOver { .. },
                ..
            } => swarm.count("host: found that another one had taken over"),
            RunError::Journal {
                source: JournalError::Storage { .. },
                ..
            }
            // It was slow, and another one was quicker.
            | RunError::Begun { .. } => {}
            RunError::Owned { .. } => {
                swarm.count("end: refused, because clusters are another's");
                self.refused = true;
            }
            RunError::Journal { .. }
            | RunError::NoDriver { .. }
            | RunError::Attach { .. }
            | RunError::Unreadable { .. }
            | RunError::Invariant { .. } => swarm.world.find(words(error)),
        }
    }
}

/// Looks at what a host told its surfaces: it is in the journal.
fn tell(swarm: &Swarm, host: &mut Running) {
    let mut told = Vec::new();
    while let Ok(event) = host.told.try_recv() {
        told.push(event);
    }
    let Some(rollout) = told.first().map(|event| event.rollout.clone()) else {
        return;
    };
    let story = wait_here(wavegate_conductor::read_story(
        &*swarm.disk.journal(),
        &rollout,
    ));
    let story = match story {
        Ok(story) => story,
        Err(error) => return swarm.world.find(words(&error)),
    };
    let mut recorded = story.facts.iter();
    for event in &told {
        for fact in event.facts.iter() {
            if !recorded.any(|(at, known)| *at == event.at && known == fact) {
                return swarm.world.find(format!(
                    "{rollout}: a surface was told what the journal does not have: {fact:?}"
                ));
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn named(end: End) -> &'static str {
    match end {
        End::Done => "end: done",
        End::RolledBack => "end: rolled back",
        End::RollbackIncomplete => "end: rollback incomplete",
        End::Aborted => "end: aborted",
        End::Incomplete => "end: incomplete",
        End::Superseded => "end: superseded",
        End::Replaced => "end: replaced",
    }
}
