//! The driver with real processes: what it promises about nodes, owners and crashes.

#[path = "local/fleet.rs"]
mod fleet;

use fleet::{Fleet, eventually, signal_process, split, stamp};
use rustix::process::Signal;
use std::process::Stdio;
use std::time::Duration;
use wavegate_driver_local::{Stopped, teardown};
use wavegate_model::Timestamp;
use wavegate_ports::driver::{Driver, DriverError, NodesTarget};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_replaced_without_losing_a_request() {
    let fleet = Fleet::new(1, 3, "plain").await;
    let (old, new) = (fleet.release("1.0", "plain"), fleet.release("2.0", "plain"));
    let load = fleet.load(0);
    let epoch = fleet.claim("east-0").await;
    for (command, count) in [(1, 1), (2, 3)] {
        let target = NodesTarget {
            desired: 3,
            nodes: vec![(new.clone(), count), (old.clone(), 3 - count)],
        };
        fleet
            .driver
            .set_nodes(
                &fleet.rollout,
                &"east-0".into(),
                stamp(epoch, 1, command),
                target,
            )
            .await
            .unwrap();
        fleet.until_ready("east-0", &new, count).await;
        let shares = split(&[
            ("east-0", &new, count * 333 + u32::from(count == 3)),
            ("east-0", &old, 1000 - count * 333 - u32::from(count == 3)),
        ]);
        let stamps = [("east-0".into(), stamp(epoch, 1, command))].into();
        fleet
            .driver
            .set_traffic(&fleet.rollout, &"east-0".into(), stamps, shares)
            .await
            .unwrap();
    }
    let seen = fleet.observe("east-0").await.unwrap();
    assert_eq!(
        (seen.of(&new.digest).ready, seen.of(&old.digest).total()),
        (3, 0)
    );
    assert_eq!(seen.last_nodes, Some(stamp(epoch, 1, 2)));
    assert_eq!(seen.last_traffic, Some(stamp(epoch, 1, 2)));
    assert_eq!(
        seen.traffic
            .unwrap()
            .into_iter()
            .map(|(release, share)| (release, share.0))
            .collect::<Vec<_>>(),
        [(new.digest.clone(), 1000)]
    );
    let (answered, lost) = load.end().await;
    assert!(
        answered > 0 && lost == 0,
        "{answered} requests were answered, {lost} were lost"
    );
    let probe = fleet
        .driver
        .probe(&fleet.rollout, &"east-0".into(), &new.digest, Timestamp(0))
        .await
        .unwrap();
    assert!(probe.checks.total > 0 && probe.checks.failed <= probe.checks.total);
    assert!(probe.traffic.total > 0 && probe.traffic.failed == 0);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_given_twice_or_by_two_at_once_starts_each_node_once() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let new = fleet.release("2.0", "plain");
    let epoch = fleet.claim("east-0").await;
    let target = NodesTarget {
        desired: 2,
        nodes: vec![(new.clone(), 4)],
    };
    let other = fleet.another_driver().await;
    let cluster = "east-0".into();
    let give = |driver| {
        let driver: &dyn Driver = driver;
        driver.set_nodes(&fleet.rollout, &cluster, stamp(epoch, 1, 1), target.clone())
    };
    let (first, second) = tokio::join!(give(&fleet.driver), give(&other));
    first.unwrap();
    second.unwrap();
    fleet.until_ready("east-0", &new, 4).await;
    give(&fleet.driver).await.unwrap();
    assert_eq!(fleet.starts("2.0").len(), 4);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_before_a_start_leaves_the_service_running_and_is_followed_by_another() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let new = fleet.release("2.0", "plain");
    let mut host = fleet.host(&new, 2, "set-nodes:before-start", "KILL");
    let exit = eventually("the host ends", || host.try_wait().unwrap()).await;
    assert!(!exit.success());
    let left = fleet.observe("east-0").await.unwrap().last_nodes;
    assert_ne!(
        left.map(|stamp| stamp.command.0),
        Some(1),
        "what was not carried out must not look as if it was"
    );
    let epoch = fleet.claim("east-0").await;
    let target = NodesTarget {
        desired: 2,
        nodes: vec![(new.clone(), 2)],
    };
    fleet
        .driver
        .set_nodes(&fleet.rollout, &"east-0".into(), stamp(epoch, 1, 2), target)
        .await
        .unwrap();
    fleet.until_ready("east-0", &new, 2).await;
    assert_eq!(fleet.starts("2.0").len(), 2);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_stopped_and_superseded_does_nothing_when_it_goes_on() {
    for moment in [
        "set-nodes:before-drain",
        "set-nodes:before-stop",
        "set-nodes:before-start",
        "set-traffic:before-write",
    ] {
        let fleet = Fleet::new(1, 2, "plain").await;
        let new = fleet.release("2.0", "plain");
        let mut host = fleet.host(&new, 2, moment, "STOP");
        let pid = host.id();
        eventually("the host stops", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(')')
                .next()
                .unwrap()
                .trim_start()
                .starts_with('T')
                .then_some(())
        })
        .await;
        let epoch = fleet.claim("east-0").await;
        let before = fleet.observe("east-0").await.unwrap();
        let starts = fleet.starts("2.0").len();
        signal_process(pid, Signal::CONT);
        let exit = eventually("the host ends", || host.try_wait().unwrap()).await;
        assert!(!exit.success(), "{moment}: the host should be refused");
        let after = fleet.observe("east-0").await.unwrap();
        assert!(
            before.same_as(&after),
            "{moment}: {before:?} became {after:?}"
        );
        assert_eq!(fleet.starts("2.0").len(), starts, "{moment}");
        let stale = NodesTarget {
            desired: 2,
            nodes: vec![],
        };
        let earlier = wavegate_model::Epoch(epoch.0 - 1);
        let refused = fleet
            .driver
            .set_nodes(
                &fleet.rollout,
                &"east-0".into(),
                stamp(earlier, 9, 9),
                stale,
            )
            .await;
        assert!(
            matches!(refused, Err(DriverError::Stale { .. })),
            "{moment}: {refused:?}"
        );
        fleet.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_counts_as_failed_and_is_replaced() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let old = fleet.release("1.0", "plain");
    let victim = fleet.starts("1.0")[0];
    signal_process(victim, Signal::KILL);
    eventually("the node is gone", || {
        (!std::path::Path::new(&format!("/proc/{victim}")).exists()).then_some(())
    })
    .await;
    let seen = fleet
        .until("one has failed", "east-0", |seen| {
            seen.of(&old.digest).failed == 1
        })
        .await;
    assert_eq!(
        (seen.of(&old.digest).ready, seen.of(&old.digest).unready),
        (1, 1)
    );
    fleet.set_all("east-0", &old, 2).await;
    fleet.until_ready("east-0", &old, 2).await;
    assert_eq!(fleet.starts("1.0").len(), 3);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_is_ended_before_its_slot_is_used_again() {
    let fleet = Fleet::new(1, 1, "parent").await;
    let old = fleet.release("1.0", "parent");
    let orphan = fleet.starts("1.0")[0];
    let supervisor = fleet.supervisors("east-0")[0];
    let session = fleet::session_members(supervisor);
    assert!(
        session.len() >= 3,
        "supervisor, service and its child: {session:?}"
    );
    signal_process(supervisor, Signal::KILL);
    fleet
        .until("it counts as failed", "east-0", |seen| {
            seen.of(&old.digest).failed == 1
        })
        .await;
    assert!(
        fleet::is_alive(orphan),
        "killing the supervisor alone leaves the service"
    );
    fleet.set_all("east-0", &old, 1).await;
    fleet.until_ready("east-0", &old, 1).await;
    assert_eq!(fleet::session_members(supervisor), Vec::<u32>::new());
    assert_eq!(fleet.starts("1.0").len(), 2);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn supervisors_that_do_not_answer_are_unready_and_all_together_unreachable() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let old = fleet.release("1.0", "plain");
    let supervisors = fleet.supervisors("east-0");
    signal_process(supervisors[0], Signal::STOP);
    let seen = fleet.observe("east-0").await.unwrap();
    assert_eq!(
        (seen.of(&old.digest).ready, seen.of(&old.digest).unready),
        (1, 1)
    );
    signal_process(supervisors[1], Signal::STOP);
    let seen = fleet.observe("east-0").await;
    assert!(
        matches!(seen, Err(DriverError::Unreachable { .. })),
        "{seen:?}"
    );
    signal_process(supervisors[1], Signal::CONT);
    // A node whose supervisor does not answer can still be replaced.
    fleet
        .set_all("east-0", &fleet.release("2.0", "plain"), 2)
        .await;
    fleet
        .until_ready("east-0", &fleet.release("2.0", "plain"), 2)
        .await;
    assert!(!fleet::is_alive(supervisors[0]));
    fleet.end().await;
}

/// A machine that is busy, or was asleep for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn supervisors_that_do_not_answer_for_a_while_do_not_end_a_provision() {
    let fleet = Fleet::planned(1, 2);
    let stop_for_a_while = async {
        eventually("nodes start", || {
            (fleet.supervisors("east-0").len() == 2).then_some(())
        })
        .await;
        fleet.attach(&fleet.driver).await;
        let old = fleet.release("1.0", "late");
        fleet
            .until("its nodes run and are not ready", "east-0", |seen| {
                seen.of(&old.digest).unready == 2
            })
            .await;
        let supervisors = fleet.supervisors("east-0");
        for supervisor in &supervisors {
            signal_process(*supervisor, Signal::STOP);
        }
        // The provision looks more often than this, and sees it too.
        for _ in 0..2 {
            let seen = fleet.observe("east-0").await;
            assert!(
                matches!(seen, Err(DriverError::Unreachable { .. })),
                "{seen:?}"
            );
        }
        for supervisor in &supervisors {
            signal_process(*supervisor, Signal::CONT);
        }
        std::fs::write(fleet.dir.path().join("ready"), "").unwrap();
    };
    let (provisioned, ()) = tokio::join!(fleet.provision("late"), stop_for_a_while);
    provisioned.unwrap();
    fleet.end().await;
}

/// Scaled to zero, as an idle half of a pair may be: what it ran last is what it goes back to.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_nodes_tells_what_it_ran_last() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let new = fleet.release("2.0", "plain");
    fleet.set_all("east-0", &new, 2).await;
    fleet.until_ready("east-0", &new, 2).await;
    let epoch = fleet.claim("east-0").await;
    let target = NodesTarget {
        desired: 2,
        nodes: Vec::new(),
    };
    let command = stamp(epoch, 1, 100);
    let (rollout, cluster) = (&fleet.rollout, "east-0".into());
    let set = fleet.driver.set_nodes(rollout, &cluster, command, target);
    set.await.unwrap();
    let seen = fleet
        .until("it has no nodes", "east-0", |seen| {
            seen.nodes.is_empty() && !seen.busy
        })
        .await;
    let releases: Vec<_> = seen.releases.keys().cloned().collect();
    assert_eq!(releases, std::slice::from_ref(&new.digest));
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_never_serve_are_told_apart_from_those_that_do() {
    let fleet = Fleet::new(1, 1, "plain").await;
    for (version, manner) in [("2.0", "ends"), ("3.0", "red"), ("4.0", "missing")] {
        let release = fleet.release(version, manner);
        fleet.set_all("east-0", &release, 1).await;
        let seen = fleet
            .until("it counts as failed", "east-0", |seen| {
                seen.of(&release.digest).failed == 1
            })
            .await;
        assert_eq!(seen.of(&release.digest).ready, 0, "{version}");
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_drain_is_ended_by_force() {
    let fleet = Fleet::new(1, 1, "stubborn").await;
    let stubborn = fleet.starts("1.0")[0];
    let new = fleet.release("2.0", "plain");
    fleet.set_all("east-0", &new, 1).await;
    assert!(!fleet::is_alive(stubborn));
    fleet.until_ready("east-0", &new, 1).await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_taken_down_once_and_nothing_is_left() {
    let fleet = Fleet::new(2, 2, "parent").await;
    let sessions = [fleet.supervisors("east-0"), fleet.supervisors("east-1")].concat();
    let stopped = teardown(fleet.dir.path(), &fleet.service, &fleet.clusters)
        .await
        .unwrap();
    let doors = stopped
        .iter()
        .filter(|stopped| matches!(stopped, Stopped::FrontDoor { .. }))
        .count();
    assert_eq!((stopped.len(), doors), (6, 2), "{stopped:?}");
    for leader in sessions {
        assert_eq!(fleet::session_members(leader), Vec::<u32>::new());
    }
    assert_eq!(
        teardown(fleet.dir.path(), &fleet.service, &fleet.clusters)
            .await
            .unwrap(),
        []
    );
}

/// The lock ends with the process that holds it. Here a thread holds it for a supervisor, because
/// no signal comes surely in the moment in which a supervisor does.
#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_was_stopped_while_it_held_the_lock_does_not_stop_a_teardown() {
    let fleet = Fleet::new(1, 2, "plain").await;
    let path = fleet.dir.path().join("east-0/shop/lock");
    let supervisors = fleet.supervisors("east-0");
    let stopped = supervisors[0];
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.lock().unwrap();
    signal_process(stopped, Signal::STOP);
    let holder = std::thread::spawn(move || {
        while fleet::is_alive(stopped) {
            std::thread::yield_now();
        }
        drop(file);
    });
    let taken_down = teardown(fleet.dir.path(), &fleet.service, &fleet.clusters)
        .await
        .unwrap();
    assert_eq!(taken_down.len(), 3, "{taken_down:?}");
    holder.join().unwrap();
    for leader in supervisors {
        assert_eq!(fleet::session_members(leader), Vec::<u32>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_has_a_session_of_its_own_and_hears_no_interrupt() {
    let fleet = Fleet::new(1, 1, "plain").await;
    let supervisor = fleet.supervisors("east-0")[0];
    let pid = |pid: u32| rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
    assert_eq!(
        rustix::process::getsid(pid(supervisor)).ok(),
        pid(supervisor)
    );
    signal_process(supervisor, Signal::INT);
    signal_process(supervisor, Signal::HUP);
    let seen = fleet.observe("east-0").await.unwrap();
    assert_eq!(seen.ready(), 1);
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_its_folder_is_unreachable_and_a_changed_total_is_refused() {
    let fleet = Fleet::new(1, 1, "plain").await;
    let epoch = fleet.claim("east-0").await;
    let target = NodesTarget {
        desired: 2,
        nodes: vec![],
    };
    let refused = fleet
        .driver
        .set_nodes(&fleet.rollout, &"east-0".into(), stamp(epoch, 1, 1), target)
        .await;
    assert!(
        matches!(
            refused,
            Err(DriverError::DesiredChanged {
                expected: 2,
                found: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    let other = fleet
        .driver
        .claim(&"other".into(), &fleet.service, &"east-0".into())
        .await;
    assert!(
        matches!(other, Err(DriverError::Failed { .. })),
        "a rollout that was not attached: {other:?}"
    );
    let dir = fleet.dir.path().join("east-0");
    let away = fleet.dir.path().join("away");
    std::fs::rename(&dir, &away).unwrap();
    let seen = fleet.observe("east-0").await;
    assert!(
        matches!(seen, Err(DriverError::Unreachable { .. })),
        "{seen:?}"
    );
    std::fs::rename(&away, &dir).unwrap();
    assert_eq!(fleet.observe("east-0").await.unwrap().ready(), 1);
    fleet.end().await;
}

#[test]
fn a_supervisor_without_a_plan_says_so() {
    let output = std::process::Command::new(fleet::helper())
        .args(["supervisor", "nowhere"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("failed"));
    assert!(fleet::DEADLINE > Duration::ZERO);
}
