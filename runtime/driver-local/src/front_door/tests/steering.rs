//! Changes while requests are under way.

use super::super::{BackendRole, FrontDoorError};
use super::*;

const LONG: Duration = DEADLINE;

#[tokio::test]
async fn a_switch_under_load_loses_nothing_and_holds_at_once() {
    let (blue, green) = (Node::start("blue", 1).await, Node::start("green", 2).await);
    let door = Door::with_nodes(&[&blue, &green], &[("a", 1, 1000)]).await;
    let load = Load::start(door.addr, 8);
    let mut client = Client::connect(door.addr).await;
    for command in 1..=20 {
        let (to, name) = if command % 2 == 0 {
            (1, "blue")
        } else {
            (2, "green")
        };
        let stamps = vec![(cluster("a"), stamp(1, 1, command))];
        door.client
            .set_split(stamps, &split(&[("a", to, 1000)]))
            .await
            .unwrap();
        // Whatever is sent after the answer goes where the split says.
        assert_eq!(client.count(3).await.keys().collect::<Vec<_>>(), [name]);
        load.more(50).await;
    }
    let (sent, lost) = load.end().await;
    assert_eq!(lost, Vec::<String>::new(), "of {sent}");
    assert!(sent >= 1000);
}

#[tokio::test]
async fn nodes_are_drained_and_replaced_under_load_without_loss() {
    let mut nodes = Vec::new();
    for n in 0..4 {
        nodes.push(Node::start(&format!("old{n}"), 1).await);
    }
    let door = Door::with_nodes(&nodes.iter().collect::<Vec<_>>(), &[("a", 1, 1000)]).await;
    let load = Load::start(door.addr, 8);
    for n in 0..4 {
        load.more(50).await;
        let old = nodes.remove(0);
        door.client
            .drain(&cluster("a"), std::slice::from_ref(&old.backend.node), LONG)
            .await
            .unwrap();
        // Ends abruptly, all its connections with it: after a drain nobody notices.
        old.end().await;
        nodes.push(Node::start(&format!("new{n}"), 1).await);
        door.set_nodes("a", &nodes.iter().collect::<Vec<_>>()).await;
    }
    load.more(50).await;
    let (sent, lost) = load.end().await;
    assert_eq!(lost, Vec::<String>::new(), "of {sent}");
}

#[tokio::test]
async fn a_drain_waits_for_requests_in_flight() {
    let permits = Arc::new(Semaphore::new(0));
    let slow = Node::behaving("slow", 1, Behaviour::Wait(Arc::clone(&permits))).await;
    let other = Node::start("other", 1).await;
    let door = Door::with_nodes(&[&slow], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    let waiting = tokio::spawn(async move { client.get().await.unwrap().status });
    eventually("the node has the request", || async { slow.seen() == 1 }).await;
    door.set_nodes("a", &[&slow, &other]).await;

    let name = [slow.backend.node.clone()];
    let short = Duration::from_millis(30);
    let error = door
        .client
        .drain(&cluster("a"), &name, short)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        FrontDoorError::NotDrained {
            in_flight: 1,
            timeout: short
        }
    );
    let status = door.client.status().await.unwrap();
    let roles: Vec<_> = status
        .backends
        .iter()
        .map(|b| (b.backend.node.as_str(), b.role, b.in_flight))
        .collect();
    assert_eq!(
        roles,
        [
            ("other", BackendRole::Serving, 0),
            ("slow", BackendRole::Leaving, 1)
        ]
    );
    let found = Client::connect(door.addr).await.count(10).await;
    assert_eq!(found.keys().collect::<Vec<_>>(), ["other"]);

    let (client, nodes) = (door.client.clone(), name.clone());
    let drained = tokio::spawn(async move { client.drain(&cluster("a"), &nodes, LONG).await });
    assert!(!drained.is_finished());
    permits.add_permits(1);
    drained.await.unwrap().unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
    // A drain of what is not there has nothing to wait for.
    door.client
        .drain(&cluster("a"), &name, short)
        .await
        .unwrap();
}

#[tokio::test]
async fn older_splits_are_refused_and_equal_ones_are_done_already() {
    let door = Door::open().await;
    let write = async |epoch, generation, command, permille| {
        let stamps = vec![(cluster("a"), stamp(epoch, generation, command))];
        door.client
            .set_split(
                stamps,
                &split(&[("a", 1, permille), ("a", 2, 1000 - permille)]),
            )
            .await
    };
    let current = stamp(2, 5, 7);
    write(2, 5, 7, 900).await.unwrap();
    for old in [stamp(1, 9, 9), stamp(2, 4, 9), stamp(2, 5, 6)] {
        let error = write(old.epoch.0, old.generation.0, old.command.0, 100)
            .await
            .unwrap_err();
        assert_eq!(
            error,
            FrontDoorError::Stale {
                cluster: cluster("a"),
                stamp: old,
                current
            }
        );
    }
    write(2, 5, 7, 900).await.unwrap();
    assert_eq!(
        write(2, 5, 7, 100).await.unwrap_err(),
        FrontDoorError::Conflict
    );
    let unstamped = door
        .client
        .set_split(vec![], &split(&[("a", 1, 1000)]))
        .await
        .unwrap_err();
    assert_eq!(unstamped, FrontDoorError::Unstamped(cluster("a")));
    let partly = vec![(cluster("a"), stamp(3, 1, 1))];
    let partly = door
        .client
        .set_split(partly, &split(&[("b", 1, 1000)]))
        .await
        .unwrap_err();
    assert_eq!(partly, FrontDoorError::Unstamped(cluster("b")));
    let wrong = vec![(cluster("a"), stamp(3, 1, 1))];
    let wrong = door
        .client
        .set_split(wrong, &split(&[("a", 1, 999)]))
        .await
        .unwrap_err();
    assert_eq!(wrong, FrontDoorError::WrongTotal(999));

    let status = door.client.status().await.unwrap();
    assert_eq!(status.stamps, BTreeMap::from([(cluster("a"), current)]));
    assert_eq!(status.split, split(&[("a", 1, 900), ("a", 2, 100)]));
    write(3, 1, 1, 100).await.unwrap();
    assert_eq!(
        door.client.status().await.unwrap().stamps[&cluster("a")],
        stamp(3, 1, 1)
    );
}

#[tokio::test]
async fn a_new_owner_keeps_the_old_one_out_before_it_writes_anything() {
    let door = Door::open().await;
    let write = async |epoch, permille| {
        let stamps = vec![(cluster("a"), stamp(epoch, 7, 7))];
        door.client
            .set_split(
                stamps,
                &split(&[("a", 1, permille), ("a", 2, 1000 - permille)]),
            )
            .await
    };
    write(1, 900).await.unwrap();
    door.client
        .fence(vec![(cluster("a"), Epoch(2))])
        .await
        .unwrap();
    door.client
        .fence(vec![(cluster("a"), Epoch(1))])
        .await
        .unwrap();
    let error = write(1, 100).await.unwrap_err();
    let (stamp, current) = (stamp(1, 7, 7), stamp(2, 0, 0));
    assert_eq!(
        error,
        FrontDoorError::Stale {
            cluster: cluster("a"),
            stamp,
            current
        }
    );
    write(2, 100).await.unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_written_does_not_happen() {
    let node = Node::start("node", 1).await;
    let door = Door::with_nodes(&[&node], &[("a", 1, 1000)]).await;
    // Not even the superuser can write a file where a folder is.
    std::fs::create_dir(door.dir.path().join("state.json.new")).unwrap();
    let stamps = vec![(cluster("a"), stamp(1, 1, 1))];
    let error = door
        .client
        .set_split(stamps, &split(&[("a", 2, 1000)]))
        .await
        .unwrap_err();
    assert!(matches!(error, FrontDoorError::NotPersisted(_)), "{error}");
    let status = door.client.status().await.unwrap();
    assert_eq!(
        (status.split, status.stamps),
        (split(&[("a", 1, 1000)]), BTreeMap::new())
    );
    assert_eq!(
        Client::connect(door.addr).await.get().await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn a_stop_lets_requests_finish() {
    let permits = Arc::new(Semaphore::new(0));
    let slow = Node::behaving("slow", 1, Behaviour::Wait(Arc::clone(&permits))).await;
    let mut door = Door::with_nodes(&[&slow], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    let waiting = tokio::spawn(async move { client.get().await.unwrap().status });
    eventually("the node has the request", || async { slow.seen() == 1 }).await;
    door.stop.send_replace(true);
    eventually("it listens no more", || async {
        TcpStream::connect(door.addr).await.is_err()
    })
    .await;
    permits.add_permits(1);
    assert_eq!(waiting.await.unwrap(), 200);
    door.stopped().await;
}
