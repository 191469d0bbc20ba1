//! The process: found, adopted, killed, stopped.

use super::super::{Found, FrontDoorError, process};
use super::*;
use crate::Helpers;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

/// Not a test of its own: the other tests start this executable again, with arguments that make
/// the harness run this function alone, and it becomes a front door.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the harness would turn the exit code into its own"
)]
fn becomes_a_front_door_when_told_to() {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--dir").collect();
    if !args.is_empty() {
        let locked = std::process::ExitCode::from(process::EXIT_LOCKED);
        let exit = super::super::main(args.into_iter());
        std::process::exit(if exit == locked {
            i32::from(process::EXIT_LOCKED)
        } else {
            i32::from(exit != std::process::ExitCode::SUCCESS)
        });
    }
}

fn helpers() -> Helpers {
    let test = format!(
        "{}::becomes_a_front_door_when_told_to",
        module_path!().split_once("::").unwrap().1
    );
    Helpers {
        program: std::env::current_exe().unwrap(),
        supervisor_args: vec![],
        front_door_args: vec![test, "--exact".to_owned(), "--".to_owned()],
    }
}

/// Ends the front door of a folder, also when a test fails.
struct Cleanup<'a>(&'a Path);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.join("lock")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // It has ended already, if all went well.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn a_killed_front_door_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let _cleanup = Cleanup(dir.path());
    let (old, new) = (Node::start("old", 1).await, Node::start("new", 2).await);
    let door = FrontDoor::ensure(&helpers(), dir.path(), any_port())
        .await
        .unwrap();
    let backends = vec![new.backend.clone(), old.backend.clone()];
    door.set_backends(&cluster("a"), backends).await.unwrap();
    let written = split(&[("a", 1, 750), ("a", 2, 250)]);
    door.set_split(vec![(cluster("a"), stamp(4, 2, 9))], &written)
        .await
        .unwrap();
    let before = door.status().await.unwrap();

    let pid = Pid::from_raw(i32::try_from(before.pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let door = FrontDoor::ensure(&helpers(), dir.path(), any_port())
        .await
        .unwrap();
    let after = door.status().await.unwrap();
    assert_ne!(after.pid, before.pid);
    assert_eq!(after.split, written);
    assert_eq!(
        (after.listen, after.stamps, after.backends),
        (before.listen, before.stamps, before.backends)
    );
    let found = Client::connect(after.listen).await.count(100).await;
    assert_eq!(
        found,
        BTreeMap::from([("old".to_owned(), 75), ("new".to_owned(), 25)])
    );
    let stale = door
        .set_split(
            vec![(cluster("a"), stamp(3, 9, 9))],
            &split(&[("a", 2, 1000)]),
        )
        .await;
    assert!(
        matches!(stale, Err(FrontDoorError::Stale { .. })),
        "{stale:?}"
    );

    assert_eq!(
        FrontDoor::stop_found(dir.path()).await.unwrap(),
        Found::Stopped
    );
    assert_eq!(
        FrontDoor::stop_found(dir.path()).await.unwrap(),
        Found::Nothing
    );
    assert!(door.status().await.is_err());
}

#[tokio::test]
async fn a_folder_has_one_front_door() {
    let dir = tempfile::tempdir().unwrap();
    let _cleanup = Cleanup(dir.path());
    let helpers = helpers();
    // Two hosts at once: whoever comes second adopts what the first started.
    let (one, two) = tokio::join!(
        FrontDoor::ensure(&helpers, dir.path(), any_port()),
        FrontDoor::ensure(&helpers, dir.path(), any_port()),
    );
    let first = one.unwrap().status().await.unwrap();
    let door = two.unwrap();
    assert_eq!(door.status().await.unwrap().pid, first.pid);

    let elsewhere = "127.0.0.1:1".parse().unwrap();
    let refused = FrontDoor::ensure(&helpers, dir.path(), elsewhere)
        .await
        .unwrap_err();
    let (dir_name, found) = (dir.path().to_owned(), first.listen);
    assert_eq!(
        refused,
        FrontDoorError::ListensElsewhere {
            dir: dir_name,
            wanted: elsewhere,
            found
        }
    );

    let mut second = std::process::Command::new(&helpers.program);
    second
        .args(&helpers.front_door_args)
        .arg("--dir")
        .arg(dir.path())
        .args(["--listen", "127.0.0.1:0"]);
    let exit = second.output().unwrap().status;
    assert_eq!(exit.code(), Some(i32::from(process::EXIT_LOCKED)));
    door.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_an_error_that_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let _cleanup = Cleanup(dir.path());
    let open = "0.0.0.0:0".parse().unwrap();
    let error = FrontDoor::ensure(&helpers(), dir.path(), open)
        .await
        .unwrap_err();
    assert_eq!(error, FrontDoorError::NotLoopback(open));
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let error = FrontDoor::ensure(&helpers(), dir.path(), taken.local_addr().unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot listen on"), "{error}");
}

#[tokio::test]
async fn a_front_door_that_hangs_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let _cleanup = Cleanup(dir.path());
    let door = FrontDoor::ensure(&helpers(), dir.path(), any_port())
        .await
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(door.status().await.unwrap().pid).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    assert_eq!(
        FrontDoor::stop_found(dir.path()).await.unwrap(),
        Found::Stopped
    );
}

#[tokio::test]
async fn a_terminate_signal_ends_it_in_good_order() {
    // A folder whose socket's path is longer than a socket address.
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120));
    let _cleanup = Cleanup(&deep);
    let door = FrontDoor::ensure(&helpers(), &deep, any_port())
        .await
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(door.status().await.unwrap().pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    eventually("it has cleaned up", || async { !deep.join("ctl").exists() }).await;
}
