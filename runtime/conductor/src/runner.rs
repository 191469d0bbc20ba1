//! The loop of one rollout.

use crate::fleet::{Fleet, attach};
use crate::guarded::{Guarded, PANICKED, unless_it_panics};
use crate::record::{STEP, StepRecord, read_story, record};
use crate::watch::{Attention, Refused};
use crate::watchers::Watchers;
use crate::{Event, OnHold, Options, Outcome, Ports, RunError, consult, effects, queue, swap};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Interval};
use wavegate_engine::audit::Auditor;
use wavegate_engine::explain;
use wavegate_engine::input::Request;
use wavegate_engine::state::SitePhase;
use wavegate_engine::swap::Swap;
use wavegate_engine::{Command, End, Engine, Fact, Input, Spec, State, Step, Verb};
use wavegate_model::{ClusterName, Generation, RolloutId, SiteName, Timestamp};
use wavegate_ports::Durable;
use wavegate_ports::journal::{self, Batch, Blob, JournalError, NewRecord};

/// Inputs that may wait for the loop: a few for each of a thousand clusters. A sender beyond
/// that waits, which slows the watchers down and loses nothing.
const INPUTS_MAX: usize = 4096;
/// Inputs that one turn takes, so that a turn's transaction stays small.
const INPUTS_PER_TURN_MAX: usize = 256;

/// How a run begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// With a new rollout.
    Start(Box<Spec>),
    /// With what the journal has.
    Resume(RolloutId),
    /// With a rollout that has ended: it goes back.
    Undo {
        /// Which one.
        rollout: RolloutId,
        /// Why.
        reason: String,
    },
}

/// Something that arrived, with what is to be recorded about it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) input: Input,
    pub(crate) consultation: Option<NewRecord>,
    pub(crate) blobs: Vec<Blob>,
}

impl Arrival {
    pub(crate) fn input(input: Input) -> Self {
        Self {
            input,
            consultation: None,
            blobs: Vec::new(),
        }
    }
}

/// Runs a rollout until it ends, holds (if asked to end then), or `stop` becomes true.
pub async fn run(
    mut ports: Ports,
    begin: Begin,
    actor: String,
    options: Options,
    events: mpsc::UnboundedSender<Event>,
    mut stop: signal::Receiver<bool>,
) -> Result<Outcome, RunError> {
    let begins = matches!(begin, Begin::Start(_));
    for driver in ports.drivers.values_mut() {
        *driver = Arc::new(Guarded(Arc::clone(driver)));
    }
    let (mut turns, first) = Turns::open(&ports, begin, actor, options.clone(), events).await?;
    turns.take(first).await?;
    if let Some(end) = turns.engine.state().end() {
        return Ok(Outcome::Ended(end));
    }
    let spec = turns.engine.state().spec.clone();
    if let Err(error) = attach(&ports, &spec).await {
        // One that has only just begun is over; one that goes on can go on later.
        if begins {
            turns.give_up(&error.to_string()).await?;
        }
        return Err(error);
    }

    let mut inbox = tokio::time::interval(options.poll_inbox);
    inbox.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let outcome = loop {
        if let Some(outcome) = queue::wait(&mut turns, &mut inbox, &mut stop).await? {
            break outcome;
        }
        match at_work(&mut turns, &mut inbox, &mut stop).await? {
            Some(outcome) => break outcome,
            // Somebody else was quicker: back into the queue, without holding others up.
            None => turns.fleet.disown(&turns.engine.state().spec).await,
        }
    };
    if matches!(outcome, Outcome::Ended(end) if end != End::Superseded) {
        turns.fleet.disown(&turns.engine.state().spec).await;
    }
    Ok(outcome)
}

/// Watches clusters and takes turns until the run is over; none if it has to queue after all.
async fn at_work(
    turns: &mut Turns,
    inbox: &mut Interval,
    stop: &mut signal::Receiver<bool>,
) -> Result<Option<Outcome>, RunError> {
    let (inputs, mut arriving) = mpsc::channel(INPUTS_MAX);
    let (refuse, mut refused) = mpsc::channel::<Refused>(16);
    let mut watchers = Watchers::new(turns, inputs.clone(), refuse);
    watchers.begin(turns).await;
    // A rollout that goes on has sites in flight, whose beginning no fact will tell again.
    turns.attend_all();
    turns.release_all(&inputs, watchers.tasks());
    let mut asked = Vec::new();
    let outcome = loop {
        let due = turns.due_in();
        let arrivals = tokio::select! {
            biased;
            () = stopped(stop) => break Outcome::Interrupted,
            asked = std::future::ready(std::mem::take(&mut asked)), if !asked.is_empty() => asked,
            Some(Refused { cluster, error }) = refused.recv() => {
                if queue::may_wait(turns.engine.state()) {
                    watchers.end().await;
                    return Ok(None);
                }
                turns.give_up(&error.to_string()).await?;
                turns.fleet.disown(&turns.engine.state().spec).await;
                return Err(RunError::Owned { rollout: turns.rollout.clone(), cluster, source: error });
            }
            never = watchers.until_one_panics() => match never {},
            Some(first) = arriving.recv() => drain(first, &mut arriving),
            _ = inbox.tick() => turns.inbox().await?,
            () = tokio::time::sleep(due) => vec![Arrival::input(Input::Elapsed)],
        };
        turns.take(arrivals).await?;
        watchers.follow_plan(turns).await;
        turns.release_all(&inputs, watchers.tasks());
        if let Some(end) = turns.engine.state().end() {
            break Outcome::Ended(end);
        }
        let now = turns.ports.clock.now();
        let state = turns.engine.state();
        if turns.options.on_hold == OnHold::Exit && explain::needs(state, now).is_some() {
            // What somebody asked for before this host came may be just what it waits for.
            asked = turns.inbox().await?;
            if asked.is_empty() && turns.swap.is_none() {
                let (state, now) = (turns.engine.state(), turns.ports.clock.now());
                break Outcome::Held(explain::explain(state, now));
            }
        }
    };
    watchers.end().await;
    Ok(Some(outcome))
}

/// Ready when the run is to stop; never, if nobody can say so any more.
pub(crate) async fn stopped(stop: &mut signal::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn drain(first: Arrival, arriving: &mut mpsc::Receiver<Arrival>) -> Vec<Arrival> {
    let mut arrivals = vec![first];
    while arrivals.len() < INPUTS_PER_TURN_MAX {
        match arriving.try_recv() {
            Ok(next) => arrivals.push(next),
            Err(_) => break,
        }
    }
    arrivals
}

/// The engine with everything that a turn needs.
pub(crate) struct Turns {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    rollout: RolloutId,
    writer: u64,
    pub(crate) engine: Engine,
    auditor: Auditor,
    pub(crate) fleet: Fleet,
    /// The plan whose clusters drivers know.
    pub(crate) introduced: Generation,
    /// Not before then are they told again, if they did not take it.
    pub(crate) introduce_after: Instant,
    pub(crate) attention: BTreeMap<ClusterName, Arc<Attention>>,
    events: mpsc::UnboundedSender<Event>,
    ready: Vec<Durable<Command>>,
    inbox_seen: u64,
    /// A swap from the inbox whose component is being looked at. Requests behind it wait: they
    /// are taken in their order.
    swap: Option<JoinHandle<Request>>,
}

impl Turns {
    async fn open(
        ports: &Ports,
        begin: Begin,
        actor: String,
        options: Options,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<(Self, Vec<Arrival>), RunError> {
        let rollout = match &begin {
            Begin::Start(spec) => spec.rollout.clone(),
            Begin::Resume(rollout) | Begin::Undo { rollout, .. } => rollout.clone(),
        };
        let failed = |source| RunError::Journal {
            rollout: rollout.clone(),
            source,
        };
        if matches!(begin, Begin::Start(_)) {
            // To open it would depose the host that is at it.
            unwritten(ports, &rollout).await?;
        }
        let writer = ports.journal.open(&rollout).await.map_err(failed)?;
        let request = |verb, reason: &str| {
            let reason = reason.to_owned();
            Arrival::input(Input::Request(Request {
                verb,
                actor: actor.clone(),
                reason,
                inbox: None,
            }))
        };
        let first = match &begin {
            Begin::Start(_) | Begin::Resume(_) => request(Verb::Resume, ""),
            // It says with the same step that a host runs it again.
            Begin::Undo { reason, .. } => request(Verb::Undo, reason),
        };
        let (engine, auditor, begun, inbox_seen) = match begin {
            Begin::Start(spec) => {
                // Nobody else can write any more, so what is not there now does not come.
                unwritten(ports, &rollout).await?;
                let now = ports.clock.now();
                let (engine, step) = Engine::start(now, (*spec).clone());
                (engine, Auditor::new(&spec), Some((now, step, spec)), 0)
            }
            Begin::Resume(_) | Begin::Undo { .. } => {
                let story = read_story(&*ports.journal, &rollout).await?;
                let (engine, auditor) = (story.engine()?, story.auditor()?);
                let inbox_seen = engine.state().inbox;
                (engine, auditor, None, inbox_seen)
            }
        };
        let fleet = Fleet::new(ports, &engine.state().spec)?;
        let introduced = engine.state().generation();
        let mut turns = Self {
            introduced,
            introduce_after: Instant::now(),
            ports: ports.clone(),
            options,
            rollout,
            writer,
            engine,
            auditor,
            fleet,
            attention: BTreeMap::new(),
            events,
            ready: Vec::new(),
            inbox_seen,
            swap: None,
        };
        if let Some((now, step, spec)) = begun {
            let input = Input::Request(Request {
                verb: Verb::Start(spec),
                actor,
                reason: String::new(),
                inbox: None,
            });
            turns
                .commit(vec![(now, input, step)], Vec::new(), Vec::new())
                .await?;
        }
        Ok((turns, vec![first]))
    }

    fn due_in(&self) -> Duration {
        let longest = Duration::from_secs(1);
        let Some(due) = self.engine.next_due() else {
            return longest;
        };
        Duration::from_millis(due.since(self.ports.clock.now()).0).min(longest)
    }

    /// One turn: every input is stepped, all records are appended together, then the commands
    /// are free.
    pub(crate) async fn take(&mut self, arrivals: Vec<Arrival>) -> Result<(), RunError> {
        let mut steps = Vec::new();
        let (mut consultations, mut blobs) = (Vec::new(), Vec::new());
        for arrival in arrivals {
            let now = self.ports.clock.now().max(self.engine.state().clock.last);
            let step = self.engine.step(now, &arrival.input);
            consultations.extend(arrival.consultation);
            blobs.extend(arrival.blobs);
            if !step.facts.is_empty() {
                steps.push((now, arrival.input, step));
            }
        }
        self.commit(steps, consultations, blobs).await
    }

    async fn commit(
        &mut self,
        steps: Vec<(Timestamp, Input, Step)>,
        mut records: Vec<NewRecord>,
        blobs: Vec<Blob>,
    ) -> Result<(), RunError> {
        let (mut commands, mut told) = (Vec::new(), Vec::new());
        for (at, input, step) in steps {
            for fact in &step.facts {
                self.auditor
                    .observe(at, fact)
                    .map_err(|violation| RunError::Invariant {
                        rollout: self.rollout.clone(),
                        violation: violation.to_string(),
                    })?;
            }
            let body = StepRecord {
                input,
                facts: step.facts,
            };
            records.push(record(at, STEP, &body));
            told.push((at, Arc::new(body.facts)));
            commands.extend(step.commands);
        }
        if records.is_empty() {
            return Ok(());
        }
        let swaps = told.iter().any(|(_, facts)| facts.iter().any(is_swap));
        if swaps {
            (self.options.crash_point)("swap:before-commit");
        }
        (self.options.crash_point)("turn:before-commit");
        let batch = Batch {
            rollout: self.rollout.clone(),
            writer: self.writer,
            records,
            blobs,
        };
        let committed = journal::commit(&*self.ports.journal, batch, commands).await;
        let free = committed.map_err(|source| RunError::Journal {
            rollout: self.rollout.clone(),
            source,
        })?;
        (self.options.crash_point)("turn:after-commit");
        if swaps {
            (self.options.crash_point)("swap:after-commit");
        }
        self.ready.extend(free);
        for (at, facts) in told {
            self.attend(&facts);
            // A surface that has gone away does not stop the rollout.
            let _ = self.events.send(Event {
                rollout: self.rollout.clone(),
                at,
                facts,
            });
        }
        Ok(())
    }

    /// Clusters that are being changed are looked at often, and at once after a change.
    fn attend(&self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::SiteStarted { site, .. }
                | Fact::SiteSoakStarted { site }
                | Fact::SiteDone { site }
                | Fact::SiteFailed { site, .. }
                | Fact::SiteRollbackStarted { site }
                | Fact::SiteRolledBack { site }
                | Fact::SiteRollbackFailed { site, .. }
                | Fact::SiteRetried { site }
                | Fact::SiteSkipped { site, .. }
                | Fact::SiteGivenUp { site, .. } => self.attend_site(site),
                Fact::CommandConfirmed { .. }
                | Fact::CommandRefused { .. }
                | Fact::Resumed { .. } => self.attend_all(),
                _ => {}
            }
        }
    }

    fn attend_all(&self) {
        for (site, found) in &self.engine.state().sites {
            if is_active(found.phase) {
                self.attend_site(site);
            }
        }
    }

    fn attend_site(&self, site: &SiteName) {
        let state = self.engine.state();
        let found = state.site(site);
        let active = is_active(found.phase);
        for cluster in &found.clusters {
            let Some(attention) = self.attention.get(cluster) else {
                continue;
            };
            attention.set(active);
            let seen = state.cluster(cluster).seen.as_ref();
            let stale = seen.is_none_or(|seen| seen.at < found.fresh_after);
            if active && found.outstanding.is_empty() && stale {
                attention.now();
            }
        }
    }

    /// Lets go what is recorded. Plugins are asked in tasks of the run, which end with it; what
    /// was sent to a cluster goes on.
    fn release_all(&mut self, inputs: &mpsc::Sender<Arrival>, tasks: &mut JoinSet<()>) {
        for command in std::mem::take(&mut self.ready) {
            self.release(command, inputs, tasks);
        }
    }

    fn release(
        &self,
        command: Durable<Command>,
        inputs: &mpsc::Sender<Arrival>,
        tasks: &mut JoinSet<()>,
    ) {
        let state: &State = self.engine.state();
        if let Command::Effect(_) = *command {
            let effect = command.map(|command| match command {
                Command::Effect(effect) => effect,
                Command::AskStrategy { .. } | Command::AskGate { .. } => {
                    unreachable!("it was just looked at")
                }
            });
            return effects::release(effect, state, &self.fleet, inputs);
        }
        match command.into_inner() {
            Command::AskStrategy {
                consultation,
                generation,
                view,
                state: plugin,
            } => {
                let asked = consult::Asked {
                    consultation,
                    generation,
                };
                let (ports, spec) = (&self.ports, &state.spec);
                tasks.spawn(consult::strategy(ports, spec, asked, view, plugin, inputs));
            }
            Command::AskGate {
                consultation,
                generation,
                gate,
                call,
                state: plugin,
            } => {
                let asked = consult::Asked {
                    consultation,
                    generation,
                };
                let (ports, spec) = (&self.ports, &state.spec);
                tasks.spawn(consult::gate(
                    ports, spec, asked, &gate, call, plugin, inputs,
                ));
            }
            Command::Effect(_) => unreachable!("effects were released above"),
        }
    }

    /// Requests that other processes left, as inputs.
    pub(crate) async fn inbox(&mut self) -> Result<Vec<Arrival>, RunError> {
        let mut arrivals = Vec::new();
        if let Some(swap) = &mut self.swap {
            if !swap.is_finished() {
                return Ok(arrivals);
            }
            match swap.await {
                Ok(request) => arrivals.push(Arrival::input(Input::Request(request))),
                Err(error) => {
                    tracing::warn!(%error, "looking at a component that is to be swapped in failed")
                }
            }
            self.swap = None;
        }
        let rows = self
            .ports
            .journal
            .inbox(&self.rollout, self.inbox_seen)
            .await;
        let rows = rows.map_err(|source| RunError::Journal {
            rollout: self.rollout.clone(),
            source,
        })?;
        for row in rows {
            self.inbox_seen = self.inbox_seen.max(row.id);
            match serde_json::from_str::<Verb>(&row.request) {
                Ok(verb) => {
                    let request = Request {
                        verb,
                        actor: row.actor,
                        reason: row.reason,
                        inbox: Some(row.id),
                    };
                    if matches!(request.verb, Verb::Swap(_)) {
                        self.swap = Some(self.look_again(request));
                        break;
                    }
                    arrivals.push(Arrival::input(Input::Request(request)));
                }
                Err(error) => {
                    tracing::warn!(row = row.id, %error, "a request in the inbox cannot be read")
                }
            }
        }
        Ok(arrivals)
    }

    /// Looks at the component of a swap in a task of its own: loading one may take seconds.
    fn look_again(&self, request: Request) -> JoinHandle<Request> {
        let plugins = Arc::clone(&self.ports.plugins);
        let spec = self.engine.state().spec.clone();
        tokio::spawn(async move {
            let Verb::Swap(swap) = request.verb else {
                return request;
            };
            let refused = Swap {
                obstacle: Some(PANICKED.to_owned()),
                ..(*swap).clone()
            };
            let looked = unless_it_panics(swap::look_again(&*plugins, &spec, *swap)).await;
            Request {
                verb: Verb::Swap(Box::new(looked.unwrap_or(refused))),
                ..request
            }
        })
    }

    /// Ends a rollout that may not touch its clusters.
    async fn give_up(&mut self, why: &str) -> Result<(), RunError> {
        let untouched = self.engine.state().touched().next().is_none();
        if untouched {
            let request = Request {
                verb: Verb::Abort,
                actor: "wavegate".to_owned(),
                reason: why.to_owned(),
                inbox: None,
            };
            self.take(vec![Arrival::input(Input::Request(request))])
                .await?;
        }
        Ok(())
    }
}

/// Refuses a rollout that has begun.
async fn unwritten(ports: &Ports, rollout: &RolloutId) -> Result<(), RunError> {
    let rollout = rollout.clone();
    match ports.journal.read(&rollout, 0).await {
        Err(JournalError::Unknown { .. }) => Ok(()),
        Ok(records) if records.is_empty() => Ok(()),
        Ok(_) => Err(RunError::Begun { rollout }),
        Err(source) => Err(RunError::Journal { rollout, source }),
    }
}

fn is_swap(fact: &Fact) -> bool {
    matches!(fact, Fact::PluginSwapped { .. })
}

fn is_active(phase: SitePhase) -> bool {
    matches!(
        phase,
        SitePhase::Updating | SitePhase::Soaking | SitePhase::RollingBack
    )
}

/// Whether a journal error means that another host runs the rollout now.
pub fn taken_over(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Journal {
            source: JournalError::TakenOver { .. },
            ..
        }
    )
}
