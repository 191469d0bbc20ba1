//! Shows a rollout while it runs: live lines on a terminal, one line an event elsewhere, or JSON.

use crate::clock::{time_of_day, utc};
use crate::output::{self, DIM, Format, JSON_VERSION, paint};
use crate::words;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use wavegate_conductor::Event;
use wavegate_engine::apply::{apply, begin};
use wavegate_engine::explain::{Who, explain};
use wavegate_engine::moving::Known;
use wavegate_engine::state::SitePhase;
use wavegate_engine::{Fact, State};
use wavegate_model::{RolloutId, SiteName, Timestamp};
use wavegate_ports::clock::Clock;

/// Lines that are drawn over and over, at most: more do not fit on a terminal.
const LIVE_LINES_MAX: usize = 12;

/// What was seen of the rollouts.
pub(crate) type Seen = BTreeMap<RolloutId, State>;

/// Follows events until their sender is gone, and returns the states that they made.
pub(crate) async fn follow(
    mut events: mpsc::UnboundedReceiver<Event>,
    format: Format,
    known: Seen,
) -> Seen {
    let mut follower = Follower {
        format,
        states: known,
        live: output::live(format).then(Live::default),
    };
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => follower.take(&event),
                None => break,
            },
            _ = tick.tick() => follower.draw(),
        }
    }
    if let Some(live) = &follower.live {
        live.clear();
    }
    follower.states
}

struct Follower {
    format: Format,
    states: Seen,
    live: Option<Live>,
}

impl Follower {
    fn take(&mut self, event: &Event) {
        for fact in event.facts.iter() {
            if let Fact::Started { spec } = fact {
                self.states
                    .insert(event.rollout.clone(), begin(event.at, spec));
            }
            let Some(state) = self.states.get_mut(&event.rollout) else {
                continue;
            };
            apply(state, event.at, fact);
            match self.format {
                Format::Json => json_line(&event.rollout, event.at, fact),
                Format::Auto | Format::Human => self.tell(event.at, fact, &event.rollout),
            }
        }
        self.draw();
    }

    fn tell(&self, at: Timestamp, fact: &Fact, rollout: &RolloutId) {
        if words::repeats(fact) {
            return;
        }
        let Some(line) = words::line(fact, &self.states[rollout]) else {
            return;
        };
        let whose = if self.states.len() > 1 {
            format!("{rollout}: ")
        } else {
            String::new()
        };
        let line = format!("{} {whose}{line}", paint(DIM, &time_of_day(at)));
        match &self.live {
            Some(live) => live.say(&line),
            None => output::say(&line),
        }
    }

    fn draw(&mut self) {
        let now = crate::clock::SystemClock.now();
        if let Some(live) = &mut self.live {
            live.draw(&self.states, now);
        }
    }
}

/// An event as JSON.
#[derive(serde::Serialize)]
struct JsonEvent<'a> {
    version: u32,
    rollout: &'a RolloutId,
    at: String,
    fact: &'a Fact,
}

/// Writes a fact as a line of JSON.
pub(crate) fn json_line(rollout: &RolloutId, at: Timestamp, fact: &Fact) {
    output::json(&JsonEvent {
        version: JSON_VERSION,
        rollout,
        at: utc(at),
        fact,
    });
}

/// Lines at the bottom of a terminal, one for each site in flight.
#[derive(Default)]
struct Live {
    all: MultiProgress,
    bars: BTreeMap<(RolloutId, SiteName), ProgressBar>,
}

impl Live {
    fn say(&self, line: &str) {
        // A terminal that has gone away takes no more lines.
        let _ = self.all.println(line);
    }

    fn clear(&self) {
        let _ = self.all.clear();
    }

    fn draw(&mut self, states: &Seen, now: Timestamp) {
        for (rollout, state) in states {
            let waiting: BTreeMap<SiteName, String> = explain(state, now)
                .into_iter()
                .filter_map(|waiting| match waiting.who {
                    Who::Site(site) => Some((site, waiting.on.to_string())),
                    Who::Wave(_) => None,
                })
                .collect();
            for (name, site) in &state.sites {
                let key = (rollout.clone(), name.clone());
                if !site.phase.in_flight() || state.end().is_some() {
                    if let Some(bar) = self.bars.remove(&key) {
                        bar.finish_and_clear();
                    }
                    continue;
                }
                if !self.bars.contains_key(&key) && self.bars.len() >= LIVE_LINES_MAX {
                    continue;
                }
                let (ready, total, share) = nodes(state, name);
                let bar = self.bars.entry(key).or_insert_with(|| {
                    let style = ProgressStyle::with_template(
                        "{prefix:.bold} {bar:16} {pos}/{len} nodes {wide_msg}",
                    );
                    let bar = ProgressBar::new(u64::from(total)).with_prefix(name.to_string());
                    self.all
                        .add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
                });
                bar.set_length(u64::from(total));
                bar.set_position(u64::from(ready));
                let why = waiting
                    .get(name)
                    .map_or_else(String::new, |on| format!("· waits for {on}"));
                let left =
                    state
                        .spec
                        .policy
                        .time_limits
                        .cluster
                        .map_or_else(String::new, |limit| {
                            let left = site
                                .limit_since
                                .plus(limit.after)
                                .minus(state.active_in(site.wave, now));
                            format!("· {left} left ")
                        });
                bar.set_message(format!(
                    "{}% traffic · {} {left}{why}",
                    share / 10,
                    phase(site.phase)
                ));
            }
        }
    }
}

/// New and ready nodes of a site, its desired total, and the new release's share of its traffic
/// in permille.
pub(crate) fn nodes(state: &State, name: &SiteName) -> (u32, u32, u32) {
    let site = state.site(name);
    let known: Vec<Known<'_>> = site
        .clusters
        .iter()
        .filter_map(|cluster| Known::new(state, cluster))
        .collect();
    let ready = known.iter().map(|known| known.new_nodes().ready).sum();
    let total = known.iter().map(|known| known.seen.desired).sum();
    let share = known
        .iter()
        .map(|known| site.split.of(known.name, known.release).0)
        .sum();
    (ready, total, share)
}

/// A site's phase in a word or two.
pub(crate) fn phase(phase: SitePhase) -> &'static str {
    match phase {
        SitePhase::Pending => "pending",
        SitePhase::Updating => "updating",
        SitePhase::Soaking => "soaking",
        SitePhase::Done => "done",
        SitePhase::Failed => "failed",
        SitePhase::RollingBack => "rolling back",
        SitePhase::RolledBack => "rolled back",
        SitePhase::RollbackFailed => "rollback failed",
        SitePhase::Skipped => "skipped",
    }
}
