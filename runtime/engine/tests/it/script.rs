//! Stories: a few lines that set a scene, then what happens when.

use crate::format;
use crate::minds::{GateMind, Strategy};
use crate::scenario::{ClusterDef, Scenario, SiteDef, WaveDef, single};
use crate::world::{InFlight, START, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use wavegate_engine::input::Approval;
use wavegate_engine::{Verb, explain};
use wavegate_model::approval::Starter;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{Phase, Subject};
use wavegate_model::policy::{
    BudgetWindow, EndState, GateBudget, GateUse, OnAdded, OnRemoved, OnTimeLimit, OnUnavailable,
    OnUnreachable, PluginRef, TimeLimit, WhenBusy,
};
use wavegate_model::release::Reversal;
use wavegate_model::{Amount, Approvers, DurationMs, SiteName, StageApproval, Timestamp};

/// Stories end after this long at the latest.
const LONGEST: DurationMs = DurationMs::secs(3600);

struct Line<'a> {
    words: Vec<&'a str>,
    args: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn new(line: &'a str) -> Self {
        let mut words = Vec::new();
        let mut args = BTreeMap::new();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => {
                    args.insert(key, value);
                }
                None => words.push(word),
            }
        }
        Self { words, args }
    }

    fn time(&self, key: &str) -> Option<DurationMs> {
        self.args.get(key).map(|text| duration(text))
    }

    fn amount(&self, key: &str) -> Option<Amount> {
        self.args.get(key).map(|text| Amount::parse(text).unwrap())
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        self.args.get(key).map_or(Vec::new(), |text| {
            text.split(',').filter(|word| !word.is_empty()).collect()
        })
    }
}

fn duration(text: &str) -> DurationMs {
    DurationMs::parse(text).unwrap_or_else(|why| panic!("{why}"))
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is not a number"))
}

/// Runs a story and tells what happened.
pub(crate) fn run(text: &str) -> String {
    let (scenario, events) = read(text);
    let mut world = World::new(scenario, 1);
    let mut notes: Vec<(usize, String)> = Vec::new();
    for event in events {
        world.run_until(START + duration(event.words[1]).0);
        happen(&mut world, &event, &mut notes);
    }
    world.run_until(START + LONGEST.0);
    world.check_fold();
    tell(&world, notes)
}

/// A world whose scene is set by the lines of a story.
pub(crate) fn world(text: &str) -> World {
    let (scenario, events) = read(text);
    assert!(events.is_empty(), "a scene has no events");
    World::new(scenario, 1)
}

fn read(text: &str) -> (Scenario, Vec<Line<'_>>) {
    let mut scenario = Scenario::default();
    let mut events = Vec::new();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parsed = Line::new(line);
        match parsed.words[0] {
            "at" => events.push(parsed),
            _ => scene(&mut scenario, &parsed),
        }
    }
    (scenario, events)
}

fn scene(scenario: &mut Scenario, line: &Line<'_>) {
    match line.words[0] {
        "wave" => scenario.waves.push(wave(line, scenario.waves.len())),
        "pair" => {
            let wave = scenario.waves.last_mut().expect("a wave comes first");
            wave.sites.push(pair(line));
        }
        "batch" => {
            scenario.batch.size = line.amount("size").unwrap_or(scenario.batch.size);
            if let Some(amount) = line.amount("unavailable") {
                scenario.batch.max_unavailable = amount;
            }
            if let Some(amount) = line.amount("surge") {
                scenario.batch.max_surge = amount;
                scenario.surges = true;
            }
        }
        "stage-approval" => scenario.approvals.push(StageApproval {
            stage: line.words[1].to_string(),
            waves: line.list("waves").into_iter().map(Into::into).collect(),
            text: line.words[2..].join(" "),
            approvers: approvers(line),
        }),
        "remainder" => {
            let count = number(line.words[2]);
            scenario.remainder.insert(line.words[1].into(), count);
        }
        "scaled-to-zero" => {
            scenario.scaled_to_zero.insert(line.words[1].into());
        }
        "updated" => {
            scenario.updated.insert(line.words[1].into());
        }
        "wave-closed" => {
            let from = line.time("from").unwrap_or(DurationMs::ZERO);
            let wave = line.words[1].to_string();
            scenario.wave_closed.push((wave, from, line.time("to")));
        }
        "closed" => {
            let from = line.time("from").unwrap_or(DurationMs::ZERO);
            scenario.closed.push((from, line.time("to")));
        }
        "traffic" => scenario.splits = line.words[1] == "split",
        "stamps" => scenario.stamps = line.words[1] == "on",
        "irreversible" => scenario.reversal = Reversal::Irreversible,
        "strategy" => scenario.strategy = strategy(line, line.words[1]),
        "gate" => gate(scenario, line),
        "failure" => {
            if let Some(amount) = line.amount("tolerate") {
                scenario.failure.tolerate = amount;
                scenario.failure.tolerate_per_wave = amount;
            }
            if let Some(then) = line.args.get("then") {
                scenario.failure.then = match *then {
                    "hold" => EndState::Hold,
                    "site" => EndState::RollBackSite,
                    "wave" => EndState::RollBackWave,
                    "touched" => EndState::RollBackTouched,
                    other => panic!("unknown end state {other}"),
                };
            }
            scenario.failure.rollback.progress = line
                .time("progress")
                .unwrap_or(scenario.failure.rollback.progress);
        }
        "limit" => {
            let limit = TimeLimit {
                after: line.time("after").expect("after=…"),
                then: if line.words.contains(&"hold") {
                    OnTimeLimit::Hold
                } else {
                    OnTimeLimit::Fail
                },
            };
            match line.words[1] {
                "batch" => scenario.limits.batch_progress = Some(limit),
                "site" => scenario.limits.cluster = Some(limit),
                "wave" => scenario.limits.wave = Some(limit),
                "rollout" => scenario.limits.rollout = Some(limit),
                other => panic!("unknown limit {other}"),
            }
        }
        "unreachable" => {
            scenario.membership.unreachable = match line.words[1] {
                "wait" => OnUnreachable::Wait,
                "fail" => OnUnreachable::Fail,
                "skip" => OnUnreachable::Skip,
                other => panic!("unknown choice {other}"),
            }
        }
        "added" => {
            scenario.membership.added = match line.words[1] {
                "ignore" => OnAdded::Ignore,
                "append" => OnAdded::Append,
                "own-wave" => OnAdded::OwnWave,
                other => panic!("unknown choice {other}"),
            }
        }
        "removed" => {
            scenario.membership.removed = match line.words[1] {
                "skip" => OnRemoved::Skip,
                "hold" => OnRemoved::Hold,
                "fail" => OnRemoved::Fail,
                other => panic!("unknown choice {other}"),
            }
        }
        "when-busy" => {
            scenario.when_busy = match line.words[1] {
                "queue" => WhenBusy::Queue,
                "supersede" => WhenBusy::Supersede,
                other => panic!("unknown choice {other}"),
            }
        }
        "bad-new" => scenario
            .bad_new
            .extend(line.words[1..].iter().map(|n| (*n).into())),
        "bad-old" => scenario
            .bad_old
            .extend(line.words[1..].iter().map(|n| (*n).into())),
        other => panic!("unknown line `{other}`"),
    }
}

fn strategy(line: &Line<'_>, name: &str) -> Strategy {
    match name {
        "one-at-a-time" => Strategy::OneAtATime,
        "switch" => Strategy::Switch,
        "up-down-up" => Strategy::UpDownUp,
        "staged" => Strategy::Staged(line.list("at").into_iter().map(number).collect()),
        other => panic!("unknown strategy {other}"),
    }
}

/// `swap strategy NAME as=N state=V`, `swap gate NAME MIND as=N state=V`.
fn swap(world: &mut World, line: &Line<'_>) {
    let count = |key: &str, unless| line.args.get(key).map_or(unless, |n| number(n));
    let n = u8::try_from(count("as", 110)).expect("components have small numbers");
    let version = count("state", 1);
    let tail = Line {
        words: line.words[1..].to_vec(),
        args: line.args.clone(),
    };
    match tail.words[0] {
        "strategy" => {
            let next = strategy(&tail, tail.words[1]);
            world.swap_strategy(next, n, version);
        }
        _ => {
            let next = mind(&tail);
            world.swap_gate(tail.words[1].into(), next, n, version);
        }
    }
}

fn wave(line: &Line<'_>, index: usize) -> WaveDef {
    let site = |text: &str| {
        let (name, nodes) = text.split_once(':').expect("sites=NAME:NODES,…");
        single(name, number(nodes))
    };
    WaveDef {
        name: line.words[1].to_string(),
        sites: line.list("sites").into_iter().map(site).collect(),
        parallel: line.args.get("parallel").map_or(1, |n| number(n)),
        site_soak: line.time("site-soak").unwrap_or_default(),
        soak: line.time("soak").unwrap_or_default(),
        approval: line.args.get("approval").map(|text| (*text).to_string()),
        approvers: approvers(line),
        gates: line
            .args
            .contains_key("gates")
            .then(|| line.list("gates").into_iter().map(Into::into).collect()),
        after: match line.args.contains_key("after") {
            true => line.list("after").into_iter().map(number).collect(),
            false => index.checked_sub(1).into_iter().collect(),
        },
    }
}

fn approvers(line: &Line<'_>) -> Approvers {
    let by = line.list("by").into_iter().map(ToString::to_string);
    Approvers {
        by: by.collect(),
        count: line.args.get("count").map_or(1, |n| number(n)),
        starter: if line.args.contains_key("not-the-starter") {
            Starter::DoesNotCount
        } else {
            Starter::Counts
        },
    }
}

fn pair(line: &Line<'_>) -> SiteDef {
    let cluster = |text: &&str| {
        let parts: Vec<&str> = text.split(':').collect();
        let [name, nodes, share] = parts[..] else {
            panic!("a pair is NAME CLUSTER:NODES:SHARE …")
        };
        ClusterDef {
            name: name.to_string(),
            role: name.to_string(),
            nodes: number(nodes),
            share: number(share),
        }
    };
    SiteDef {
        name: line.words[1].to_string(),
        clusters: line.words[2..].iter().map(cluster).collect(),
    }
}

fn phases(names: &[&str]) -> BTreeSet<Phase> {
    let phase = |name: &&str| match *name {
        "before-wave" => Phase::BeforeWave,
        "before-site" => Phase::BeforeSite,
        "after-batch" => Phase::AfterBatch,
        "soak" => Phase::Soak,
        "after-wave" => Phase::AfterWave,
        "continuous" => Phase::Continuous,
        other => panic!("unknown phase {other}"),
    };
    names.iter().map(phase).collect()
}

fn mind(line: &Line<'_>) -> GateMind {
    let word = line.words.get(2).copied().unwrap_or("pass");
    match word {
        "pass" => GateMind::Pass,
        "hold" => GateMind::Hold,
        "unavailable" => GateMind::Unavailable,
        "fail" if line.args.contains_key("for") => {
            let clusters = line.list("for").into_iter().map(Into::into);
            GateMind::FailFor(clusters.collect(), phases(&line.list("in")))
        }
        "fail" => GateMind::Fail,
        "aged" => GateMind::Aged(line.time("age").expect("age=…")),
        other => panic!("unknown verdict {other}"),
    }
}

fn gate(scenario: &mut Scenario, line: &Line<'_>) {
    let count = |key: &str| line.args.get(key).map_or(0, |n| number(n));
    scenario.minds.insert(line.words[1].into(), mind(line));
    scenario.gates.push(GateUse {
        name: line.words[1].into(),
        plugin: PluginRef::Shipped("story".to_string()),
        config: "{}".to_string(),
        phases: phases(&line.list("phases")),
        interval: line.time("interval").unwrap_or(DurationMs::secs(5)),
        slots: BTreeMap::new(),
        budget: GateBudget {
            consecutive: count("consecutive"),
            total: count("total"),
            window: line.args.get("window").map(|text| {
                let (fails, of) = text.split_once('/').expect("window=FAILS/OF");
                BudgetWindow {
                    fails: number(fails),
                    of: number(of),
                }
            }),
        },
        min_samples: 1,
        passes: line.args.get("passes").map_or(1, |n| number(n)),
        fresh_for: line.time("fresh"),
        trial: line.args.contains_key("trial"),
        on_unavailable: if line.args.contains_key("unavailable") {
            OnUnavailable::Fail
        } else {
            OnUnavailable::Hold
        },
        limits: CallLimits::SMALL,
        class: None,
    });
}

fn happen(world: &mut World, line: &Line<'_>, notes: &mut Vec<(usize, String)>) {
    let now = world.now;
    let words = &line.words[2..];
    let name = words.get(1).copied().unwrap_or_default();
    notes.push((
        world.facts.len(),
        format!("{:>8}  > {}", at(now), words.join(" ")),
    ));
    match words[0] {
        "pause" => world.request(Verb::Pause),
        "continue" => world.request(Verb::Continue),
        "approve" => {
            let actor = if name.is_empty() { "ann" } else { name };
            let what = match (line.args.get("wave"), line.args.get("site")) {
                (Some(wave), _) => Approval::Wave((*wave).into()),
                (None, Some(site)) => Approval::Site((*site).into()),
                (None, None) => Approval::All,
            };
            world.request_by(actor, Verb::Approve(what));
        }
        "abort" => world.request(Verb::Abort),
        "rollback" => world.request(Verb::Rollback),
        "close" => world.request(Verb::Close),
        "promote" => world.request(Verb::Promote(site_name(name))),
        "retry" => world.request(Verb::Retry(site_name(name))),
        "skip" => world.request(Verb::Skip(name.into())),
        "override" => world.request(Verb::OverrideGate {
            gate: name.into(),
            subject: line
                .args
                .get("site")
                .map(|site| Subject::Site((*site).into()))
                .or_else(|| {
                    line.args
                        .get("wave")
                        .map(|wave| Subject::Wave((*wave).into()))
                }),
        }),
        "undo" => {
            world.now = world.now.max(START + duration(line.words[1]).0);
            world.undo();
        }
        "bad-new" => {
            world.scenario.bad_new.insert(name.into());
        }
        "mend" => world.mend(name),
        "good-new" => world.scenario.bad_new.clear(),
        "fleet" => {
            let added = line.list("add").into_iter().map(|text| {
                let parts: Vec<&str> = text.split(':').collect();
                let [name, nodes, wave] = parts[..] else {
                    panic!("add=NAME:NODES:WAVE,…")
                };
                (single(name, number(nodes)), wave)
            });
            let added: Vec<_> = added.collect();
            world.change_fleet(&added, &line.list("remove"));
        }
        "busy" => world.busy(name, &words[2..]),
        "supersede" => world.request(Verb::Supersede { by: "newer".into() }),
        "lose" => world.set_reachable(name, false),
        "return" => world.set_reachable(name, true),
        "take-over" => world.take_over(name),
        "kill" => world.kill_node(name),
        "scale" => world.scale(name, number(words[2])),
        "traffic" => world.share(name, number(words[2])),
        "restart" => {
            let in_flight = match name {
                "lost" => InFlight::Lost,
                "done" => InFlight::Done,
                other => panic!("commands are lost or done, not {other}"),
            };
            world.restart(in_flight, duration(words[2]).0);
        }
        "gate" => {
            let tail = Line {
                words: words.to_vec(),
                args: line.args.clone(),
            };
            world.scenario.minds.insert(name.into(), mind(&tail));
        }
        "swap" => {
            let tail = Line {
                words: words.to_vec(),
                args: line.args.clone(),
            };
            swap(world, &tail);
        }
        "explain" => {
            let state = world.engine.state();
            for waiting in explain::explain(state, Timestamp(now)) {
                let text = format!("{:>8}  ? {} waits for {}", "", waiting.who, waiting.on);
                notes.push((world.facts.len(), text));
            }
            if explain::needs_person(state, Timestamp(now)) {
                notes.push((
                    world.facts.len(),
                    format!("{:>8}  ? a person is needed", ""),
                ));
            }
        }
        other => panic!("unknown event `{other}`"),
    }
}

fn site_name(name: &str) -> Option<SiteName> {
    (!name.is_empty()).then(|| name.into())
}

fn at(now: u64) -> String {
    let ms = now - START;
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn tell(world: &World, notes: Vec<(usize, String)>) -> String {
    let mut out = String::new();
    let mut notes = notes.into_iter().peekable();
    for (index, (when, fact)) in world.facts.iter().enumerate() {
        while let Some((_, note)) = notes.next_if(|(before, _)| *before <= index) {
            writeln!(out, "{note}").unwrap();
        }
        if let Some(line) = format::line(fact) {
            writeln!(out, "{:>8}  {line}", at(when.0)).unwrap();
        }
    }
    for (_, note) in notes {
        writeln!(out, "{note}").unwrap();
    }
    writeln!(out, "\nat the end, after {}:", world.span()).unwrap();
    if !world.finished() {
        for waiting in explain::explain(world.engine.state(), Timestamp(world.now)) {
            writeln!(out, "  {} waits for {}", waiting.who, waiting.on).unwrap();
        }
    }
    for name in world.clusters.keys() {
        let seen = world.see(name);
        let new = seen.of(&crate::scenario::new_release());
        let old = seen.of(&crate::scenario::digest(1));
        let share = |digest| {
            let shares = seen.traffic.as_ref();
            shares
                .and_then(|t| t.get(&digest).copied())
                .unwrap_or_default()
        };
        writeln!(
            out,
            "  {name}: new {}/{} ready at {}, baseline {}/{} ready at {}",
            new.ready,
            new.total(),
            share(crate::scenario::new_release()),
            old.ready,
            old.total(),
            share(crate::scenario::digest(1)),
        )
        .unwrap();
    }
    out
}
