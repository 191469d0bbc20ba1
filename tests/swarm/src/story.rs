//! One run: a storm, then calm, then a look at what came of it.

use crate::Ran;
use crate::checks;
use crate::disk::Disk;
use crate::hosts::Rollout;
use crate::people;
use crate::scene::Scene;
use crate::spec::{close_windows, spec};
use crate::swarm::{Swarm, passes, wait_here};
use crate::world::World;
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wavegate_conductor::read_story;
use wavegate_driver_sim::Rng;
use wavegate_engine::{Fact, explain};
use wavegate_model::Timestamp;
use wavegate_plugin_host::PluginHost;

/// Looks at a rollout while all is well, five minutes apart. A rollout that has not ended by
/// then never does.
const LOOKS: u32 = 60;
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// So often in a thousand looks all clusters of the scene are those of a rollout that is queued.
const GROWS: u32 = 400;
/// Somebody notices that a host has died within this time.
const NOTICED: Duration = Duration::from_secs(5);

pub(crate) async fn tell(
    seed: u64,
    plugins: &Arc<PluginHost>,
    folder: &Path,
    trace: bool,
) -> anyhow::Result<Ran> {
    let mut rng = Rng::new(seed);
    let scene = Scene::draw(&mut rng);
    let first = |number: usize| number < scene.at_first;
    let whole = spec(&scene, plugins, folder, "whole", |_| true).context("the scene is not one")?;
    let mut main = spec(&scene, plugins, folder, "main", first).context("the scene is not one")?;
    let world = World::new(&scene, &whole, seed)?;
    let disk = Disk::new(folder)?;
    let mut rival = spec(&scene, plugins, folder, "rival", first)?;
    for rollout in [&mut main, &mut rival] {
        close_windows(rollout, &scene, world.now());
    }
    let closes = !scene.closed.is_empty() || !scene.closed_first.is_empty();
    let swarm = Swarm::new(scene, world, disk, rng);
    if closes {
        swarm.count("window: closed at some time");
    }
    let mut tale = Tale {
        rollouts: vec![Rollout::new(main)],
        rival: Some(rival).filter(|_| swarm.scene.rival),
        undo: swarm.scene.undo,
        swarm,
        plugins: Arc::clone(plugins),
        folder: folder.to_path_buf(),
    };
    tale.storm().await;
    tale.calm().await;
    Ok(tale.ran(seed, trace).await)
}

struct Tale {
    swarm: Arc<Swarm>,
    plugins: Arc<PluginHost>,
    folder: PathBuf,
    rollouts: Vec<Rollout>,
    /// One that has not begun.
    rival: Option<wavegate_engine::Spec>,
    undo: bool,
}

impl Tale {
    async fn storm(&mut self) {
        let end = Instant::now() + Duration::from_millis(self.swarm.scene.storm.0);
        let mean = self.swarm.scene.chances.events.0;
        self.run_all();
        while Instant::now() < end && !self.is_over() {
            let mut wait = Duration::from_millis(self.swarm.wait(mean));
            while !wait.is_zero() && !self.is_over() {
                let some = wait.min(NOTICED);
                passes(some).await;
                wait -= some;
                self.look().await;
                if self.swarm.below(3) == 0 {
                    self.run_all();
                }
            }
            self.something_happens();
        }
    }

    fn is_over(&self) -> bool {
        self.rollouts.iter().all(Rollout::is_over) && !self.undo && self.rival.is_none()
    }

    async fn look(&mut self) {
        for rollout in &mut self.rollouts {
            if let Some(end) = rollout.look(&self.swarm).await {
                checks::end(&self.swarm, rollout.id(), end);
            }
        }
        let over = self.rollouts[0].end.is_some() && self.rollouts[0].hosts.is_empty();
        if over && self.undo {
            self.undo = false;
            self.swarm.count("operator: undo");
            self.rollouts[0].undo(&self.swarm, &self.plugins);
        }
    }

    /// Every rollout that nobody runs gets a host.
    fn run_all(&mut self) {
        for rollout in &mut self.rollouts {
            if !rollout.is_over() && !rollout.is_run() {
                rollout.start(&self.swarm, &self.plugins);
            }
        }
    }

    /// Of those that wait for another one, somebody may get to see more clusters.
    fn fleet_of_a_queue_grows(&self) {
        if self.rollouts.len() < 2 {
            return;
        }
        for rollout in self.rollouts.iter().filter(|rollout| !rollout.is_over()) {
            let state = people::state(&self.swarm, rollout.id());
            let queued = state.is_some_and(|state| state.clock.queues());
            if queued && self.swarm.hits(GROWS) {
                people::change_fleet(&self.swarm, rollout, &self.folder, |_| true);
            }
        }
    }

    fn something_happens(&mut self) {
        self.fleet_of_a_queue_grows();
        let swarm = Arc::clone(&self.swarm);
        let number = usize::try_from(swarm.below(self.rollouts.len() as u64)).unwrap_or(0);
        let rollout = &mut self.rollouts[number];
        let cluster = people::cluster(&swarm);
        match swarm.below(24) {
            0 => {
                swarm.count("host: killed");
                for host in &rollout.hosts {
                    host.life.kill();
                }
            }
            1 => {
                swarm.count("host: stopped");
                for host in &rollout.hosts {
                    host.life.stop();
                }
            }
            2..5 => {
                for host in rollout.hosts.iter().filter(|host| host.life.is_stopped()) {
                    swarm.count("host: goes on");
                    host.life.go_on();
                }
            }
            5 if !rollout.is_over() => {
                swarm.count("host: a second one takes over");
                rollout.start(&swarm, &self.plugins);
            }
            6 => rollout.ask_to_end(),
            7 => {
                swarm.count("power: lost");
                swarm.power_goes(u64::MAX);
            }
            8 | 9 => {
                swarm.count("clock: jumps");
                let off = i64::try_from(swarm.below(600_000)).unwrap_or(0) - 300_000;
                for host in &rollout.hosts {
                    host.life.set_clock(off);
                }
            }
            10 | 11 => {
                swarm.count("cluster: cannot be reached");
                swarm.world.cut(&cluster, true);
            }
            12 | 13 => swarm.world.nobody_is_cut(),
            14 if !swarm.scene.peaceful => {
                swarm.count("cluster: another total");
                let desired = 1 + swarm.below(6);
                swarm
                    .world
                    .scale(&cluster, u32::try_from(desired).unwrap_or(1));
            }
            15 => {
                let chosen: Vec<bool> = (0..swarm.scene.clusters.len())
                    .map(|_| swarm.below(10) > 0)
                    .collect();
                people::change_fleet(&swarm, rollout, &self.folder, |number| chosen[number]);
            }
            16 => {
                if let Some(spec) = self.rival.take() {
                    swarm.count("rollout: another one for the same clusters");
                    self.rollouts.push(Rollout::new(spec));
                    self.run_all();
                }
            }
            17 if swarm.hits(300) => {
                swarm.count("cluster: claimed from elsewhere");
                swarm.world.elsewhere(&cluster);
            }
            _ => people::ask_anything(&swarm, rollout, &self.plugins),
        }
    }

    /// Everything is well again, and rollouts come to an end.
    async fn calm(&mut self) {
        self.swarm.calm_down();
        self.swarm.world.nobody_is_cut();
        self.swarm.world.nothing_is_elsewhere();
        self.rival = None;
        for rollout in &self.rollouts {
            for host in &rollout.hosts {
                host.life.set_clock(0);
                host.life.go_on();
            }
        }
        for look in 0..LOOKS {
            // Whoever was stopped finds out that it is not the host any more.
            passes(Duration::from_secs(20)).await;
            self.look().await;
            self.run_all();
            passes(LOOK_EVERY).await;
            self.look().await;
            if self.is_over() {
                return;
            }
            for rollout in self.rollouts.iter().filter(|rollout| !rollout.is_over()) {
                people::help(&self.swarm, rollout.id(), look);
            }
        }
        for rollout in self.rollouts.iter().filter(|rollout| !rollout.is_over()) {
            let now = self.swarm.world.now();
            let state = people::state(&self.swarm, rollout.id());
            let waits = state.map(|state| {
                let all = explain::explain(&state, now);
                let words: Vec<String> = all
                    .iter()
                    .map(|w| format!("{} waits for {}", w.who, w.on))
                    .collect();
                words.join("; ")
            });
            self.swarm.world.find(format!(
                "{} does not end although all is well: {}",
                rollout.id(),
                waits.unwrap_or_default()
            ));
        }
    }

    async fn ran(self, seed: u64, trace: bool) -> Ran {
        let swarm = &self.swarm;
        let mut records = 0;
        for rollout in &self.rollouts {
            let verified = wait_here(swarm.disk.journal().verify(rollout.id()));
            match verified {
                Ok(verified) => records += verified.records,
                Err(error) => swarm.world.find(error.to_string()),
            }
            // Running again costs as much as running, so not every journal is.
            if seed.is_multiple_of(8) {
                checks::replay(swarm, &self.plugins, rollout.id()).await;
            }
        }
        if let Err(what) = swarm.disk.check() {
            swarm.world.find(what);
        }
        let facts = self.rollouts.iter().flat_map(|rollout| {
            let story = wait_here(read_story(&*swarm.disk.journal(), rollout.id()));
            let facts = story.map(|story| story.facts).unwrap_or_default();
            let line =
                |(at, fact): (Timestamp, Fact)| format!("{} {} {fact:?}", rollout.id(), at.0);
            facts.into_iter().map(line).collect::<Vec<_>>()
        });
        Ran {
            trace: if trace { facts.collect() } else { Vec::new() },
            seed,
            counts: swarm.counts(),
            records,
            findings: swarm.world.findings(),
        }
    }
}
