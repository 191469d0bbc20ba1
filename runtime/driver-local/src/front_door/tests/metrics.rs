//! What Prometheus gets to read.

use super::*;
use crate::front_door::FrontDoorError;

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

impl Door {
    async fn metrics_at(&self) -> Option<SocketAddr> {
        self.client.status().await.unwrap().metrics
    }
}

/// One answer of the server for metrics, which closes each connection.
async fn answer(addr: SocketAddr, path: &str) -> Answer {
    let request = Request::get(path).header("host", "metrics");
    let request = request.body(Full::default()).unwrap();
    Client::connect(addr).await.send(request).await.unwrap()
}

/// Everything that is measured, by name with labels, as digests with one digit.
async fn scrape(addr: SocketAddr) -> BTreeMap<String, f64> {
    let page = answer(addr, "/metrics").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let mut text = String::from_utf8(page.body.to_vec()).unwrap();
    for n in 1..=3 {
        text = text.replace(release(n).text().as_str(), &n.to_string());
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect(line);
        let name = name.strip_prefix("wavegate_front_door_").expect(line);
        (name.to_owned(), value.parse().expect(line))
    });
    samples.collect()
}

#[tokio::test]
async fn every_request_shows_under_its_release_and_its_status() {
    let old = Node::start("old", 1).await;
    let missing = Node::behaving("missing", 2, Behaviour::Answer(404)).await;
    let cutting = Node::cutting("cutting", 3).await;
    let shares = [("a", 1, 500), ("a", 2, 300), ("a", 3, 200)];
    let door = Door::with_nodes(&[&old, &missing, &cutting], &shares).await;
    assert_eq!(door.metrics_at().await, None);
    door.client.set_metrics(Some(any_port())).await.unwrap();
    let at = door.metrics_at().await.expect("it listens");

    // Zero is there before the first request: without it, the first ones would be no increase.
    let before = scrape(at).await;
    for n in 1..=3 {
        for status in ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] {
            let name =
                format!("requests_total{{cluster=\"a\",release=\"{n}\",status=\"{status}\"}}");
            assert_eq!(before.get(&name), Some(&0.0), "{name}");
        }
    }
    assert_eq!(before["share_permille{cluster=\"a\",release=\"2\"}"], 300.0);
    assert_eq!(before["nodes{cluster=\"a\",release=\"3\"}"], 1.0);

    let mut client = Client::connect(door.addr).await;
    for _ in 0..1000 {
        client.get().await.unwrap();
    }
    let after = scrape(at).await;
    for (n, status, count) in [(1, "2xx", 500.0), (2, "4xx", 300.0), (3, "none", 200.0)] {
        let labels = format!("cluster=\"a\",release=\"{n}\"");
        let name = format!("requests_total{{{labels},status=\"{status}\"}}");
        assert_eq!(after[&name], count, "{name}");
        assert_eq!(
            after[&format!("request_duration_seconds_count{{{labels}}}")],
            count
        );
        let bucket =
            |end: &str| after[&format!("request_duration_seconds_bucket{{{labels},le=\"{end}\"}}")];
        assert_eq!(bucket("+Inf"), count);
        assert_eq!(bucket("30"), count, "nothing takes so long here");
        assert!(bucket("0.001") <= bucket("0.5"));
        assert!(after[&format!("request_duration_seconds_sum{{{labels}}}")] > 0.0);
    }
    assert_eq!(after["unrouted_total"], 0.0);
}

#[tokio::test]
async fn they_have_an_address_of_their_own_and_one_path() {
    let door = Door::open().await;
    let refused = door
        .client
        .set_metrics(Some("0.0.0.0:0".parse().unwrap()))
        .await;
    assert!(
        matches!(refused, Err(FrontDoorError::NotLoopback(_))),
        "{refused:?}"
    );
    door.client.set_metrics(Some(any_port())).await.unwrap();
    let at = door.metrics_at().await.expect("it listens");
    assert_eq!(answer(at, "/").await.status, 404);

    // An address that is taken is said, and the old one stays.
    let taken = TcpListener::bind(any_port()).await.unwrap();
    let refused = door
        .client
        .set_metrics(Some(taken.local_addr().unwrap()))
        .await;
    assert!(
        matches!(refused, Err(FrontDoorError::NoMetrics { .. })),
        "{refused:?}"
    );
    assert_eq!(door.metrics_at().await, Some(at));
    assert_eq!(answer(at, "/metrics").await.status, 200);

    door.client.set_metrics(None).await.unwrap();
    assert_eq!(door.metrics_at().await, None);
    eventually("nobody listens there", || async {
        TcpStream::connect(at).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_front_door_that_was_killed_gives_them_again_at_the_same_place() {
    let mut door = Door::open().await;
    door.client.set_metrics(Some(any_port())).await.unwrap();
    let at = door.metrics_at().await.expect("it listens");
    door.stop.send_replace(true);
    door.stopped().await;
    let (stop, stopping) = watch::channel(false);
    let (path, again) = (door.dir.path().to_owned(), stop.clone());
    let served = tokio::spawn(async move {
        super::super::process::serve(&path, any_port(), again)
            .await
            .unwrap();
    });
    drop(stopping);
    eventually("it answers again", || async {
        door.client
            .status()
            .await
            .is_ok_and(|status| status.metrics == Some(at))
    })
    .await;
    assert_eq!(answer(at, "/metrics").await.status, 200);
    stop.send_replace(true);
    served.await.unwrap();
}
