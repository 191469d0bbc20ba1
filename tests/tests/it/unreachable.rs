//! A cluster goes away in the middle of a batch, or when it is done: nobody knows what runs in
//! it, so it keeps its place until it is back or a person ends the rollout without it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::cell::RefCell;
use std::process::{Command, Stdio};
use wavegate_tests::crash_support::{
    SlotSeen, Visitors, facts, node_commands, services, slots, status, wait_until_stopped,
};
use wavegate_tests::fleet::{Done, Fleet, Running, binary, wait_for, wait_for_told};
use wavegate_tests::shop::{Trouble, write_releases};
use wavegate_tests::stories::side_by_side;

/// Two sites, then a third. No gates: what is told here is about the cluster.
const POLICY: &str = "\
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: careful}
spec:
  waves:
    - name: first
      clusters: {names: [ap-1, eu-1]}
      maxParallelSites: @AT_ONCE@
    - name: rest
      clusters: {names: [us-1]}
  batch: {size: 1, maxUnavailable: 1}
  timeLimits:
    batchProgress: {after: 2m, then: fail}
  failure:
    tolerate: 0
    then: rollBackTouched
    rollback: {batch: 1, maxUnavailable: 1, maxParallelSites: 3, progress: @PROGRESS@}
  membership: {unreachableAfter: 500ms}
  strategy:
    plugin: {shipped: rolling}
";

/// Three sites of two nodes.
fn fleet(at_once: u32, progress: &str) -> Fleet {
    let fleet = Fleet::small("    plugin: {shipped: rolling}");
    let policy = POLICY.replace("@AT_ONCE@", &at_once.to_string());
    fleet.write("policy.yaml", &policy.replace("@PROGRESS@", progress));
    write_releases(&fleet);
    fleet.up();
    fleet
}

fn nodes_of(fleet: &Fleet, cluster: &str) -> Vec<SlotSeen> {
    let slots = slots(fleet).into_iter();
    let here = slots.filter(|slot| slot.cluster == cluster && slot.phase == "running");
    here.collect()
}

fn processes(node: &SlotSeen) -> impl Iterator<Item = Pid> {
    let pids = [node.supervisor, node.service].into_iter().flatten();
    pids.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
}

/// Stops all processes of a cluster where they are.
#[track_caller]
fn stop_all(fleet: &Fleet, cluster: &str) -> Vec<SlotSeen> {
    let nodes = nodes_of(fleet, cluster);
    for pid in nodes.iter().flat_map(processes) {
        kill_process(pid, Signal::STOP).expect("it runs");
    }
    nodes
}

fn go_on(nodes: &[SlotSeen]) {
    for pid in nodes.iter().flat_map(processes) {
        kill_process(pid, Signal::CONT).expect("it is there");
    }
}

/// Takes the sockets of supervisors away: they cannot be asked any more.
fn cut_off(nodes: &[SlotSeen]) {
    for node in nodes {
        std::fs::remove_file(node.folder.join("ctl")).expect("a supervisor has a socket");
    }
}

/// Waits until nothing is left of a process, or nothing but its exit code.
fn wait_until_ended(pid: Pid) {
    wait_for("the end of a process", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let Ok(stat) = stat else { return Some(()) };
        let (_, rest) = stat.rsplit_once(')')?;
        rest.trim_start().starts_with('Z').then_some(())
    });
}

/// Ends the nodes as a loss of power does, and starts their places anew, all on the release that
/// one of them ran: as a machine comes back that was set up anew from an older image.
fn set_up_anew(fleet: &Fleet, nodes: &[SlotSeen], version: &str) {
    for pid in nodes.iter().flat_map(processes) {
        kill_process(pid, Signal::KILL).expect("it is there");
    }
    for pid in nodes.iter().flat_map(processes) {
        wait_until_ended(pid);
    }
    let old = nodes.iter().find(|node| node.version == version);
    let release = &old.expect("one ran this release").release;
    for node in nodes {
        let service = node.folder.parent().and_then(|slots| slots.parent());
        let service = service.expect("a slot is in the folder of a service");
        let owner = std::fs::read(service.join("owner.json")).expect("somebody owns it");
        let owner: Value = serde_json::from_slice(&owner).expect("a record is JSON");
        let number: u32 = node
            .folder
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())
            .expect("a slot has a number");
        let spec = serde_json::json!({
            "cluster": node.cluster,
            "folder": service,
            "slot": number,
            "release": release,
            "stamp": {"epoch": owner["epoch"], "generation": owner["generation"], "command": 0},
        });
        let mut supervisor = Command::new(binary())
            .arg("node-supervisor")
            .arg(&node.folder)
            .current_dir(fleet.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a supervisor can be started");
        let stdin = supervisor.stdin.take().expect("it is a pipe");
        serde_json::to_writer(stdin, &spec).expect("it reads");
        let mut answer = String::new();
        let stdout = supervisor.stdout.take().expect("it is a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut answer)
            .expect("it answers");
        assert!(answer.contains("started"), "{answer}");
        // It outlives this function; somebody has to take note of its end.
        std::thread::spawn(move || supervisor.wait());
    }
}

/// Waits until an explanation has all these parts, and returns it.
fn wait_for_explanation(fleet: &Fleet, parts: &[&str]) -> String {
    let last = RefCell::new(String::new());
    let wanted = || format!("{parts:#?} instead of\n{}", last.borrow());
    wait_for_told(&wanted, || {
        let explained = fleet.wavegate(&["explain", "last"]).expect(0).out;
        let all = parts.iter().all(|part| explained.contains(part));
        last.replace(explained.clone());
        all.then_some(explained)
    })
}

/// The first of these clusters whose nodes a command has changed, once that is carried out.
fn carried_out(facts: &[Value], clusters: &[&str]) -> Option<String> {
    let mut effects = facts
        .iter()
        .map(|fact| &fact["fact"]["command-issued"]["effect"]);
    let cluster = |effect: &Value| {
        let cluster = effect["change"]["nodes"]["cluster"].as_str()?;
        clusters.contains(&cluster).then(|| cluster.to_owned())
    };
    let effect = effects.find(|effect| cluster(effect).is_some())?;
    let confirmed = |fact: &Value| fact["fact"]["command-confirmed"]["command"] == effect["id"];
    facts.iter().any(confirmed).then(|| cluster(effect))?
}

/// Runs until the first node of one of these clusters is being replaced and does not serve yet,
/// and says of which.
fn into_a_batch(fleet: &Fleet, clusters: &[&str], arguments: &[&str]) -> (Running, String) {
    for cluster in clusters {
        Trouble::Late.begin(fleet, "2.0", cluster);
    }
    let mut run = fleet.start(arguments);
    run.line(" to 1 new and 1 baseline nodes");
    // When that is carried out, no process of the cluster is at work on it or holds a lock.
    let cluster = wait_for("the first node on 2.0", || {
        carried_out(&facts(fleet), clusters)
    });
    assert_eq!(nodes_of(fleet, &cluster).len(), 2);
    (run, cluster)
}

fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

/// Visitors of the clusters that do not go away.
fn visitors_besides(fleet: &Fleet, away: &str) -> Visitors {
    let doors = ["eu-1", "us-1", "ap-1"].into_iter().zip(fleet.doors());
    let others = doors.filter(|(cluster, _)| *cluster != away);
    Visitors::start(others.map(|(_, door)| door).collect())
}

/// The sites of the first wave.
const FIRST: [&str; 2] = ["ap-1", "eu-1"];

/// The other site of the first wave.
fn other(away: &str) -> &'static str {
    let other = FIRST.into_iter().find(|site| *site != away);
    other.expect("there are two")
}

#[track_caller]
fn assert_nobody_noticed(visitors: Visitors) {
    let visits = visitors.stop();
    assert!(visits.lost.is_empty(), "{:?}", visits.lost);
    assert_eq!(visits.refused_by_node, 0);
}

/// All six nodes run 2.0, and nothing else runs.
#[track_caller]
fn assert_all_new(fleet: &Fleet) {
    let services = services(fleet);
    let counts: Vec<(&str, usize)> = services
        .iter()
        .map(|(version, pids)| (version.as_str(), pids.len()))
        .collect();
    assert_eq!(counts, [("2.0", 6)], "{services:?}");
}

#[track_caller]
fn assert_down(fleet: &Fleet) {
    fleet.down();
    fleet.assert_nothing_is_left();
}

/// How a cluster comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    AsItWas,
    OnTheOldRelease,
}

#[test]
fn a_cluster_that_goes_away_in_a_batch_keeps_its_place_and_goes_on_from_what_it_is() {
    let name = |back: &Return| format!("away in a batch, back {back:?}");
    side_by_side(
        2,
        &[Return::AsItWas, Return::OnTheOldRelease],
        name,
        |back| {
            let fleet = fleet(1, "2m");
            let (run, away) = into_a_batch(&fleet, &FIRST, &["run", "demo"]);
            let visitors = visitors_besides(&fleet, &away);
            let nodes = stop_all(&fleet, &away);
            if *back == Return::OnTheOldRelease {
                cut_off(&nodes);
            }
            let explained = wait_for_explanation(
                &fleet,
                &[
                    &format!(
                        "site {away} waits for cluster {away}, which does not answer: \
                     none of 2 supervisors answers"
                    ),
                    "wave first waits for a free place: 1 of 1 sites are in flight",
                    "wave rest waits for wave first",
                ],
            );
            assert!(explained.contains("goes on by itself"), "{explained}");
            let before = status(&fleet);
            assert_eq!(
                before["sites"][other(&away)]["phase"],
                "pending",
                "{before}"
            );

            if *back == Return::OnTheOldRelease {
                // The host sees it as it was and as it is then, and nothing in between.
                run.signal(Signal::STOP);
                wait_until_stopped(run.pid());
                set_up_anew(&fleet, &nodes, "1.0");
                run.signal(Signal::CONT);
            } else {
                go_on(&nodes);
            }
            for site in FIRST {
                Trouble::Late.end(&fleet, "2.0", site);
            }
            let done = run.end().expect(0);
            for part in [
                "does not answer: none of 2 supervisors answers",
                "answers again; it is looked at anew",
            ] {
                let line = format!("cluster {away} {part}");
                assert!(done.err.contains(&line), "no `{line}` in\n{}", done.err);
            }
            let commands: Vec<(u64, u64)> = node_commands(&facts(&fleet))
                .into_iter()
                .filter(|(cluster, ..)| *cluster == away)
                .map(|(_, new, baseline)| (new, baseline))
                .collect();
            let wanted: &[(u64, u64)] = match back {
                Return::AsItWas => &[(1, 1), (2, 0)],
                // What had been done was gone, so it was done again.
                Return::OnTheOldRelease => &[(1, 1), (1, 1), (2, 0)],
            };
            assert_eq!(commands, wanted);
            assert_all_new(&fleet);
            assert_nobody_noticed(visitors);
            assert_down(&fleet);
            format!("exit code 0, {} changes of its nodes", commands.len())
        },
    );
}

/// How a rollout ends whose cluster stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Close,
    RollBack,
}

#[test]
fn a_cluster_that_stays_away_in_a_batch_is_left_behind_by_a_person_only() {
    let name = |way: &Way| format!("stays away in a batch, {way:?}");
    side_by_side(2, &[Way::Close, Way::RollBack], name, |way| {
        let fleet = fleet(1, "4s");
        let run = ["run", "demo", "--exit-on-hold", "--format", "human"];
        let (run, away) = into_a_batch(&fleet, &FIRST, &run);
        let visitors = visitors_besides(&fleet, &away);
        cut_off(&stop_all(&fleet, &away));
        let held = run.end().expect(30);
        for part in [
            "shop 2.0: held, a cluster does not answer",
            &format!("unknown   what runs in {away}: no answer"),
            &format!("waits     site {away} for cluster {away}, which does not answer"),
        ] {
            assert!(held.out.contains(part), "no `{part}` in\n{}", held.out);
        }
        // Another host finds it so by itself before it says so.
        let resume = ["resume", "last", "--exit-on-hold", "--format", "json"];
        let again = report(&fleet.wavegate(&resume).expect(30));
        assert_eq!(again["unreachable"], serde_json::json!([away]));

        let (verb, code, outcome) = match way {
            Way::Close => ("close", 14, "closed incomplete"),
            Way::RollBack => ("rollback", 13, "rollback incomplete"),
        };
        let why = ["--reason", "the hall has burnt down"];
        fleet
            .wavegate(&[&[verb, "last"], &why[..]].concat())
            .expect(0);
        let ended = report(&fleet.wavegate(&resume).expect(code));
        assert_eq!(ended["outcome"], outcome);
        assert_eq!(ended["unreachable"], serde_json::json!([away]));
        if *way == Way::RollBack {
            assert_eq!(ended["not_back"][0]["site"], away.as_str(), "{ended}");
            let why = ended["not_back"][0]["why"].as_str().expect("it says why");
            let unknown = format!("cluster {away}, which does not answer");
            assert!(why.contains(&unknown), "{why}");
        }
        assert_eq!(ended["sites"][other(&away)], "pending", "{ended}");
        assert_nobody_noticed(visitors);
        assert_down(&fleet);
        format!("exit code 30, then {code}")
    });
}

/// A cluster that is done goes away, while another one is in a batch.
const DONE_AND_AWAY: [(&str, &str); 2] = [
    (
        "eu-1",
        "site ap-1 waits for cluster ap-1, which does not answer",
    ),
    (
        "us-1",
        "wave rest waits for touched clusters that do not answer: ap-1; close the rollout to end it",
    ),
];

#[test]
fn a_rollout_does_not_end_while_a_cluster_that_is_done_is_away() {
    let name = |(other, _): &(&str, &str)| format!("away when done, {other} in a batch");
    side_by_side(2, &DONE_AND_AWAY, name, |(other, explanation)| {
        let fleet = fleet(2, "2m");
        let run = ["run", "demo", "--exit-on-hold"];
        let (mut run, _) = into_a_batch(&fleet, &[other], &run);
        run.line("site ap-1 is done");
        let visitors = visitors_besides(&fleet, "ap-1");
        let nodes = stop_all(&fleet, "ap-1");
        run.line("cluster ap-1 does not answer");
        Trouble::Late.end(&fleet, "2.0", other);
        // All the others are done, and still it has not ended.
        run.end().expect(30);
        wait_for_explanation(&fleet, &[explanation]);
        let mut resume = fleet.start(&["resume", "last"]);
        resume.line("cluster ap-1 does not answer");
        go_on(&nodes);
        resume.line("cluster ap-1 answers again");
        resume.end().expect(0);
        assert_all_new(&fleet);
        assert_nobody_noticed(visitors);
        assert_down(&fleet);
        "exit code 30, then 0".to_owned()
    });
}
