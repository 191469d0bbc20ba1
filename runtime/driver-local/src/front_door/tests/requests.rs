//! What happens to requests.

use super::*;
use wavegate_model::Timestamp;

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn a_split_is_exact_and_nodes_take_turns() {
    let (old1, old2) = (Node::start("old1", 1).await, Node::start("old2", 1).await);
    let (new1, new2) = (Node::start("new1", 2).await, Node::start("new2", 2).await);
    let door = Door::with_nodes(
        &[&old1, &old2, &new1, &new2],
        &[("a", 1, 900), ("a", 2, 100)],
    )
    .await;
    let mut client = Client::connect(door.addr).await;
    let found = client.count(1000).await;
    assert_eq!(
        found,
        counts(&[("old1", 450), ("old2", 450), ("new1", 50), ("new2", 50)])
    );
    let answer = client.get().await.unwrap();
    assert_eq!(
        answer.headers[super::super::RELEASE_HEADER],
        release(1).text().short()
    );
    assert_eq!(door.client.status().await.unwrap().diverted, 0);
}

#[tokio::test]
async fn a_share_without_nodes_goes_to_the_others_in_proportion() {
    let (one, two) = (Node::start("one", 1).await, Node::start("two", 1).await);
    let door = Door::open().await;
    door.set_nodes("a", &[&one]).await;
    door.set_nodes("b", &[&two]).await;
    let shares = [("a", 1, 400), ("a", 2, 500), ("b", 1, 100)];
    door.client
        .set_split(vec![], &split(&shares))
        .await
        .unwrap();
    let found = Client::connect(door.addr).await.count(1000).await;
    assert_eq!(found, counts(&[("one", 800), ("two", 200)]));
    assert_eq!(door.client.status().await.unwrap().diverted, 500);
}

#[tokio::test]
async fn without_a_split_or_a_node_the_answer_says_so() {
    let door = Door::open().await;
    let mut client = Client::connect(door.addr).await;
    let answer = client.get().await.unwrap();
    assert_eq!(
        (answer.status, &answer.body[..]),
        (503, &b"this front door has no traffic split yet\n"[..])
    );
    door.client
        .set_split(vec![], &split(&[("a", 1, 1000)]))
        .await
        .unwrap();
    let answer = client.get().await.unwrap();
    assert_eq!(
        (answer.status, &answer.body[..]),
        (503, &b"no node of this site is ready\n"[..])
    );
    assert_eq!(door.client.status().await.unwrap().unrouted, 2);
    assert_eq!(door.client.totals().await.unwrap(), []);
}

#[tokio::test]
async fn a_node_that_takes_no_connection_is_passed_over() {
    let (gone, there) = (Node::start("gone", 1).await, Node::start("there", 1).await);
    let door = Door::with_nodes(&[&gone, &there], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    assert_eq!(client.count(10).await, counts(&[("gone", 5), ("there", 5)]));
    gone.end().await;
    assert_eq!(client.count(10).await, counts(&[("there", 10)]));
    assert!(door.client.status().await.unwrap().rechosen >= 5);
    there.end().await;
    assert_eq!(client.get().await.unwrap().status, 502);
    let totals = door.client.totals().await.unwrap();
    assert_eq!((totals[0].total, totals[0].failed), (21, 1));
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let (cutting, good) = (
        Node::cutting("cutting", 1).await,
        Node::start("good", 1).await,
    );
    let door = Door::with_nodes(&[&cutting, &good], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let request = Request::post("/")
            .header("host", "site")
            .body(Full::default())
            .unwrap();
        statuses.push(client.send(request).await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200; 5], [502; 5]].concat());
    assert_eq!((cutting.seen(), good.seen()), (5, 5));
}

#[tokio::test]
async fn bodies_stream_through_and_connection_headers_do_not() {
    let echo = Node::behaving("echo", 1, Behaviour::Echo).await;
    let door = Door::with_nodes(&[&echo], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    let sent = Bytes::from(vec![7; 3 << 20]);
    let request = Request::post("http://elsewhere/a/b?c=d")
        .header("host", "site")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("te", "trailers")
        .header("x-kept", "1")
        .body(Full::new(sent.clone()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert!(answer.body == sent, "{} bytes came back", answer.body.len());
    assert_eq!(answer.headers["x-got-path"], "/a/b?c=d");
    assert_eq!(
        answer.headers["x-got-headers"],
        "host,x-kept,content-length"
    );
    assert!(!answer.headers.contains_key("x-private"));
    let upgrade = Request::get("/")
        .header("host", "site")
        .header("connection", "upgrade");
    let upgrade = upgrade
        .header("upgrade", "websocket")
        .body(Full::default())
        .unwrap();
    assert_eq!(client.send(upgrade).await.unwrap().status, 501);
}

#[tokio::test]
async fn counts_and_latencies_are_told_by_release() {
    let (good, bad) = (
        Node::start("good", 1).await,
        Node::behaving("bad", 2, Behaviour::Answer(500)).await,
    );
    let missing = Node::behaving("missing", 3, Behaviour::Answer(404)).await;
    let shares = [("a", 1, 800), ("a", 2, 150), ("a", 3, 50)];
    let door = Door::with_nodes(&[&good, &bad, &missing], &shares).await;
    let mut client = Client::connect(door.addr).await;
    for _ in 0..1000 {
        client.get().await.unwrap();
    }
    let stats = async |n, since| {
        door.client
            .stats(&cluster("a"), &release(n), since)
            .await
            .unwrap()
    };
    for (n, total, failed) in [(1, 800, 0), (2, 150, 150), (3, 50, 0)] {
        let found = stats(n, Timestamp(0)).await;
        assert_eq!((found.total, found.failed), (total, failed), "release {n}");
        assert!(
            found.p50_ms.unwrap() > 0.0
                && found.p50_ms <= found.p95_ms
                && found.p95_ms <= found.p99_ms
        );
    }
    let found = stats(1, Timestamp(u64::MAX)).await;
    assert_eq!((found.total, found.p50_ms), (0, None));
    assert_eq!(stats(9, Timestamp(0)).await.total, 0);
    let totals: Vec<_> = door
        .client
        .totals()
        .await
        .unwrap()
        .iter()
        .map(|t| (t.total, t.failed))
        .collect();
    assert_eq!(totals, [(800, 0), (150, 150), (50, 0)]);
}

#[tokio::test]
async fn a_client_that_leaves_at_once_says_nothing_about_the_node() {
    let waiting = Node::behaving("waiting", 1, Behaviour::Wait(Arc::new(Semaphore::new(0)))).await;
    let door = Door::with_nodes(&[&waiting], &[("a", 1, 1000)]).await;
    let mut client = Client::connect(door.addr).await;
    let request = tokio::spawn(async move { client.get().await.map(|answer| answer.status) });
    eventually("the node has the request", || async { waiting.seen() == 1 }).await;
    request.abort();
    eventually("it is counted", || async {
        door.client.status().await.unwrap().abandoned == 1
    })
    .await;
    assert_eq!(door.client.totals().await.unwrap(), []);
    assert_eq!(door.client.status().await.unwrap().backends[0].in_flight, 0);
}
