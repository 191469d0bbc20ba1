//! Which inputs met which states of a site and of the rollout: what the random worlds reach of
//! the engine's table of transitions.
#![expect(clippy::print_stdout, reason = "who asks for it sees what is not met")]

use crate::chance::{disturb, one_of, scenario};
use crate::minds::Strategy;
use crate::rng::Rng;
use crate::scenario::Mess;
use crate::world::{START, World};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use wavegate_engine::input::CommandResult;
use wavegate_engine::state::{Asked, RolloutPhase, SitePhase, State, Step};
use wavegate_engine::{Answer, Input, Observation, Verb};
use wavegate_model::plugin::{Proposal, Subject, Verdict};
use wavegate_model::policy::WhenBusy;
use wavegate_model::{ClusterName, ConsultationId, DurationMs, SiteName};

/// State and input, in words.
type Pair = (&'static str, &'static str);

thread_local! {
    static MET: RefCell<Option<BTreeSet<Pair>>> = const { RefCell::new(None) };
}

/// Notes which states an input meets.
pub(crate) fn note(state: &State, input: &Input) {
    MET.with_borrow_mut(|met| {
        let Some(met) = met else { return };
        let what = kind(state, input);
        met.insert((rollout(state), what));
        for site in concerned(state, input) {
            met.insert((site_state(state, &site), what));
        }
    });
}

/// States of a rollout.
const ROLLOUT: [&str; 7] = [
    "rollout: queued",
    "rollout: running",
    "rollout: paused",
    "rollout: held",
    "rollout: outside of its windows",
    "rollout: stopping",
    "rollout: finished",
];

fn rollout(state: &State) -> &'static str {
    match &state.phase {
        RolloutPhase::Finished(_) => ROLLOUT[6],
        RolloutPhase::Stopping { .. } => ROLLOUT[5],
        RolloutPhase::Running if state.clock.paused => ROLLOUT[2],
        RolloutPhase::Running if state.held.is_some() => ROLLOUT[3],
        RolloutPhase::Running if state.clock.queues() => ROLLOUT[0],
        RolloutPhase::Running if state.clock.closed.is_some() => ROLLOUT[4],
        RolloutPhase::Running => ROLLOUT[1],
    }
}

/// States of a site.
const SITE: [&str; 14] = [
    "site: pending",
    "site: before its gates",
    "site: asks its strategy",
    "site: moves",
    "site: waits for gates",
    "site: waits for a time",
    "site: waits for a person",
    "site: soaks",
    "site: done",
    "site: failed",
    "site: goes back",
    "site: is back",
    "site: could not go back",
    "site: left out",
];

fn site_state(state: &State, name: &SiteName) -> &'static str {
    let site = state.site(name);
    SITE[match (site.phase, &site.step) {
        (SitePhase::Pending, _) => 0,
        (SitePhase::Updating, Step::Before) => 1,
        (SitePhase::Updating, Step::Ask) => 2,
        (SitePhase::Updating, Step::Move) => 3,
        (SitePhase::Updating, Step::Gates(_)) => 4,
        (SitePhase::Updating, Step::Until(_)) => 5,
        (SitePhase::Updating, Step::Person(_)) => 6,
        (SitePhase::Soaking, _) => 7,
        (SitePhase::Done, _) => 8,
        (SitePhase::Failed, _) => 9,
        (SitePhase::RollingBack, _) => 10,
        (SitePhase::RolledBack, _) => 11,
        (SitePhase::RollbackFailed, _) => 12,
        (SitePhase::Skipped, _) => 13,
    }]
}

/// Inputs about one site.
const OF_SITE: [&str; 26] = [
    "a cluster is seen",
    "a cluster does not answer",
    "a cluster is claimed",
    "a command is carried out",
    "a command fails",
    "a command was decided for another total",
    "a command is refused for good",
    "the strategy goes on",
    "the strategy waits for gates",
    "the strategy waits for a time",
    "the strategy waits for a person",
    "the strategy is done",
    "the strategy gives up",
    "the strategy is unavailable",
    "a gate passes",
    "a gate holds",
    "a gate fails",
    "a gate is unavailable",
    "promote it",
    "retry it",
    "skip it",
    "override a gate of it",
    "approve a stage of it",
    "the fleet changes",
    "the strategy answers too late",
    "a gate answers too late",
];

/// Inputs about the rollout.
const OF_ROLLOUT: [&str; 15] = [
    "time passes",
    "a host begins",
    "pause",
    "continue",
    "approve all",
    "abort",
    "rollback",
    "close",
    "promote all",
    "retry all",
    "override a gate",
    "swap",
    "supersede",
    "others have its clusters",
    "an answer that nothing waits for",
];

/// What an input is.
fn kind(state: &State, input: &Input) -> &'static str {
    let none = OF_ROLLOUT[14];
    match input {
        Input::Elapsed => OF_ROLLOUT[0],
        Input::Observation(Observation::Seen { .. }) => OF_SITE[0],
        Input::Observation(Observation::Lost { .. }) => OF_SITE[1],
        Input::Observation(Observation::Claimed { .. }) => OF_SITE[2],
        Input::Observation(Observation::Busy { .. }) => OF_ROLLOUT[13],
        Input::Answer(Answer::Command {
            command, result, ..
        }) => match (state.outstanding.contains_key(command), result) {
            (false, _) => none,
            (true, CommandResult::Accepted) => OF_SITE[3],
            (true, CommandResult::Failed(_)) => OF_SITE[4],
            (true, CommandResult::DesiredChanged) => OF_SITE[5],
            (true, CommandResult::Superseded(_)) => OF_SITE[6],
        },
        Input::Answer(Answer::Strategy {
            consultation,
            result,
            ..
        }) => match (asked_about(state, *consultation), result) {
            (About::Nothing, _) => none,
            (About::Left, _) => OF_SITE[24],
            (About::Present, Err(_)) => OF_SITE[13],
            (About::Present, Ok(outcome)) => match outcome.proposal {
                Proposal::Go(_) => OF_SITE[7],
                Proposal::WaitGates(_) => OF_SITE[8],
                Proposal::Wait(_) => OF_SITE[9],
                Proposal::WaitPerson(_) => OF_SITE[10],
                Proposal::Done => OF_SITE[11],
                Proposal::Failed(_) => OF_SITE[12],
            },
        },
        Input::Answer(Answer::Gate {
            consultation,
            result,
            ..
        }) => match (asked_about(state, *consultation), result) {
            (About::Nothing, _) => none,
            (About::Left, _) => OF_SITE[25],
            (About::Present, Err(_)) => OF_SITE[17],
            (About::Present, Ok(evaluation)) => match evaluation.verdict {
                Verdict::Pass => OF_SITE[14],
                Verdict::Hold => OF_SITE[15],
                Verdict::Fail => OF_SITE[16],
            },
        },
        Input::Request(request) => verb(&request.verb),
    }
}

/// What a question was about.
enum About {
    /// Nobody asked it, or nobody wants to know any more.
    Nothing,
    /// A site that went another way since: whatever the answer, it counts as none.
    Left,
    Present,
}

fn asked_about(state: &State, consultation: ConsultationId) -> About {
    let site = match state.consultations.get(&consultation) {
        None => return About::Nothing,
        Some(Asked::Strategy(site)) => site,
        Some(Asked::Gate(key, _)) => match &key.subject {
            Subject::Site(site) => site,
            _ => return About::Present,
        },
    };
    match state.site(site).phase {
        SitePhase::Updating | SitePhase::Soaking | SitePhase::Done => About::Present,
        _ => About::Left,
    }
}

fn verb(verb: &Verb) -> &'static str {
    use wavegate_engine::input::Approval;
    match verb {
        Verb::Start(_) | Verb::Resume | Verb::Undo => OF_ROLLOUT[1],
        Verb::Pause => OF_ROLLOUT[2],
        Verb::Continue => OF_ROLLOUT[3],
        Verb::Approve(Approval::Site(_)) => OF_SITE[22],
        Verb::Approve(_) => OF_ROLLOUT[4],
        Verb::Abort => OF_ROLLOUT[5],
        Verb::Rollback => OF_ROLLOUT[6],
        Verb::Close => OF_ROLLOUT[7],
        Verb::Promote(None) => OF_ROLLOUT[8],
        Verb::Promote(Some(_)) => OF_SITE[18],
        Verb::Retry(None) => OF_ROLLOUT[9],
        Verb::Retry(Some(_)) => OF_SITE[19],
        Verb::Skip(_) => OF_SITE[20],
        Verb::OverrideGate {
            subject: Some(Subject::Site(_)),
            ..
        } => OF_SITE[21],
        Verb::OverrideGate { .. } => OF_ROLLOUT[10],
        Verb::Swap(_) => OF_ROLLOUT[11],
        Verb::Replan(_) => OF_SITE[23],
        Verb::Supersede { .. } => OF_ROLLOUT[12],
    }
}

/// The sites that an input is about.
fn concerned(state: &State, input: &Input) -> Vec<SiteName> {
    use wavegate_engine::input::Approval;
    let known = |name: &SiteName| state.sites.contains_key(name).then(|| name.clone());
    let of_cluster = |name: &ClusterName| state.clusters.get(name)?.site.clone();
    let one: Option<SiteName> = match input {
        Input::Observation(
            Observation::Seen { cluster, .. }
            | Observation::Lost { cluster, .. }
            | Observation::Claimed { cluster, .. },
        ) => of_cluster(cluster),
        Input::Answer(Answer::Command { command, .. }) => state
            .outstanding
            .get(command)
            .map(|effect| effect.site.clone()),
        Input::Answer(
            Answer::Strategy { consultation, .. } | Answer::Gate { consultation, .. },
        ) => match state.consultations.get(consultation) {
            Some(Asked::Strategy(site)) => Some(site.clone()),
            Some(Asked::Gate(key, _)) => match &key.subject {
                Subject::Site(site) => Some(site.clone()),
                _ => None,
            },
            None => None,
        },
        Input::Request(request) => match &request.verb {
            Verb::Promote(Some(site)) | Verb::Retry(Some(site)) | Verb::Skip(site) => known(site),
            Verb::Approve(Approval::Site(site)) => known(site),
            Verb::OverrideGate {
                subject: Some(Subject::Site(site)),
                ..
            } => known(site),
            Verb::Replan(_) => return state.sites.keys().cloned().collect(),
            _ => None,
        },
        Input::Elapsed | Input::Observation(Observation::Busy { .. }) => None,
    };
    one.into_iter().collect()
}

/// Pairs that cannot be, with the reason.
fn unreachable((state, input): &Pair) -> Option<&'static str> {
    let commands = OF_SITE[3..7].contains(input);
    let strategy = OF_SITE[7..14].contains(input);
    let gate = OF_SITE[14..18].contains(input);
    let late = OF_SITE[24..].contains(input);
    let over = SITE[9..].contains(state);
    if SITE.contains(state) {
        let still = [
            SITE[0], SITE[1], SITE[4], SITE[5], SITE[6], SITE[7], SITE[8], SITE[11],
        ];
        if commands && still.contains(state) {
            return Some("a site that waits or is over has no command outstanding");
        }
        if strategy && *state != SITE[2] {
            return Some("only a site that asks its strategy has asked it");
        }
        if (gate && (over || *state == SITE[0])) || (late && !over) {
            return Some(
                "an answer is too late where the site has gone another way, and only there",
            );
        }
        return None;
    }
    match *state {
        "rollout: finished" if strategy || gate || late => {
            Some("what ends a rollout withdraws its questions")
        }
        "rollout: queued" if commands || strategy || late => {
            Some("no site has begun while it waits for others")
        }
        _ => None,
    }
}

/// A disk, a network, people, plugins and fleets that do what they like.
fn random_world(seed: u64) {
    let strategies = [
        Strategy::Hostile,
        Strategy::OneAtATime,
        Strategy::Staged(vec![100, 500, 1000]),
        Strategy::Switch,
        Strategy::UpDownUp,
        Strategy::Patient,
        Strategy::Patient,
        Strategy::Patient,
    ];
    let mut rng = Rng::new(seed);
    let mut scenario = scenario(&mut rng, &strategies);
    scenario.mess = Mess {
        delay_ms: one_of(&mut rng, &[0, 5000, 20_000]),
        twice: one_of(&mut rng, &[0, 20, 50]),
        fails: one_of(&mut rng, &[0, 5, 40]),
        deaths: one_of(&mut rng, &[0, 20, 200]),
        lost_commits: one_of(&mut rng, &[0, 10]),
    };
    if rng.percent(20) {
        scenario.when_busy = WhenBusy::Queue;
    }
    if rng.percent(50) {
        // Some ways back take longer than they may.
        scenario.failure.rollback.progress = DurationMs::secs(1 + rng.below(8));
    }
    let mut world = World::new(scenario, seed);
    let mut until = START;
    for _ in 0..24 {
        until = until.max(world.now) + rng.below(8_000);
        world.run_until(until);
        disturb(&mut world, &mut rng);
        let names: Vec<String> = world.clusters.keys().map(ToString::to_string).collect();
        match rng.below(20) {
            0 => world.take_over(&one_of(&mut rng, &names)),
            9..14 => world.scale(&one_of(&mut rng, &names), 1 + rng.small(7)),
            5 => world.request(Verb::Promote(None)),
            7 => world.request(Verb::Close),
            6 => world.request(Verb::Rollback),
            _ => {}
        }
        if world.finished() {
            world.late_news();
            if rng.percent(30) {
                world.undo();
            }
        }
    }
}

/// Worlds of each of two threads: enough for what happens once in a thousand.
const WORLDS: u64 = 2000;

/// Of all pairs of a state and an input that can be, nearly all are met by random worlds.
#[test]
fn random_worlds_meet_nearly_all_transitions() {
    let some = |seeds: std::ops::Range<u64>| {
        MET.with_borrow_mut(|met| *met = Some(BTreeSet::new()));
        seeds.for_each(random_world);
        MET.with_borrow_mut(Option::take).expect("it was noted")
    };
    let met: BTreeSet<Pair> = std::thread::scope(|scope| {
        let threads = [0..WORLDS, WORLDS..2 * WORLDS].map(|seeds| scope.spawn(|| some(seeds)));
        let met = threads.map(|thread| thread.join().expect("no world panics"));
        met.into_iter().flatten().collect()
    });
    let all_inputs = OF_SITE.iter().chain(&OF_ROLLOUT);
    let of_rollout = ROLLOUT
        .iter()
        .flat_map(|state| all_inputs.clone().map(move |input| (*state, *input)));
    let of_site = SITE
        .iter()
        .flat_map(|state| OF_SITE.iter().map(move |input| (*state, *input)));
    let all: BTreeSet<Pair> = of_rollout.chain(of_site).collect();
    let (cannot, can): (BTreeSet<&Pair>, BTreeSet<&Pair>) =
        all.iter().partition(|pair| unreachable(pair).is_some());
    let wrong: Vec<_> = cannot.iter().filter(|pair| met.contains(**pair)).collect();
    assert!(
        wrong.is_empty(),
        "said to be unreachable, and met: {wrong:?}"
    );
    let missing: Vec<&&Pair> = can.iter().filter(|pair| !met.contains(**pair)).collect();
    let mut by_state: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (state, input) in &missing {
        by_state.entry(state).or_default().push(input);
    }
    for (state, inputs) in &by_state {
        println!("{state}: not met: {}", inputs.join("; "));
    }
    let (met, can) = (can.len() - missing.len(), can.len());
    println!(
        "{met} of {can} pairs that can be are met, {} cannot be",
        cannot.len()
    );
    assert!(met * 100 >= can * 95, "{met} of {can}");
}
