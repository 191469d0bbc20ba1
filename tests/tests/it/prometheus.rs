//! The example of `runtime/docs/prometheus.md`, with its own documents: nginx nodes that serve a
//! real site, and gates that ask a real Prometheus what visitors get.

use rustix::process::Signal;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use wavegate_tests::fleet::{Answers, Done, Fleet, Load, ask, ports, wait_for};
use wavegate_tests::prometheus::Prometheus;

const PAGE: &str = include_str!("../../../runtime/docs/prometheus.md");

/// Pages that every good version of the site has. The bad one has lost the second.
const PATHS: [&str; 3] = ["/", "/catalogue/tea.html", "/style.css"];

/// A document of the page, by its name.
fn document(name: &str) -> &'static str {
    let (_, rest) = PAGE
        .split_once(&format!("\n`{name}`:\n\n```yaml\n"))
        .unwrap_or_else(|| panic!("the page has `{name}`"));
    let (text, _) = rest.split_once("\n```\n").expect("the block ends");
    text
}

/// The shop of the page on ports of its own, with everything running. What is dropped first
/// stands first.
struct Shop {
    prometheus: Prometheus,
    fleet: Fleet,
    doors: Vec<SocketAddr>,
}

/// Changes a document before anything starts.
type Change = (&'static str, &'static str, &'static str);

impl Shop {
    fn open(changes: &[Change]) -> Self {
        let fleet = Fleet::empty();
        let text = adapted("fleet.yaml", changes);
        Self::open_with(fleet, changes, &text, &text)
    }

    /// Sets a fleet up by one document, and goes on with another.
    fn open_with(fleet: Fleet, changes: &[Change], setup: &str, later: &str) -> Self {
        let metrics = ports();
        let place = |text: &str| placed(text, &fleet, metrics);
        let text = |name: &str| place(&adapted(name, changes));
        let sites = Path::new(env!("CARGO_MANIFEST_DIR")).join("sites");
        copy(&sites, &fleet.documents().join("sites"));
        // nginx serves as nobody when root starts it.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(fleet.folder(), open).expect("it is ours");
        std::fs::create_dir(fleet.documents().join("prometheus")).expect("it is new");

        fleet.write("fleet.yaml", &place(setup));
        let one = text("releases.yaml");
        let other = |version: &str| one.replace("1.0", version);
        let releases = [one.clone(), other("2.0"), other("2.0-bad")];
        fleet.write("releases.yaml", &releases.join("\n---\n"));
        let good = text("rollout.yaml");
        let bad = good
            .replace("shop-2}", "shop-bad}")
            .replace("shop-2.0}", "shop-2.0-bad}");
        fleet.write("rollout.yaml", &format!("{good}\n---\n{bad}"));
        fleet.write("policy.yaml", &text("policy.yaml"));
        fleet.write("sources.yaml", &text("sources.yaml"));
        fleet.write(
            "prometheus/prometheus.yml",
            &text("prometheus/prometheus.yml"),
        );

        let folder = fleet.documents().join("prometheus");
        let prometheus = Prometheus::start(&folder, metrics + 2);
        fleet.up();
        let doors = [0, 1].map(|n| SocketAddr::from(([127, 0, 0, 1], fleet.port() + n)));
        let doors: Vec<SocketAddr> = doors
            .into_iter()
            .filter(|door| place(later).contains(&door.to_string()))
            .collect();
        fleet.write("fleet.yaml", &place(later));
        prometheus.wait_for_sum("up", 2);
        Self {
            prometheus,
            fleet,
            doors,
        }
    }

    fn loads(&self) -> Vec<Load> {
        let doors = self.doors.iter();
        doors
            .map(|door| Load::on_paths(&self.fleet, *door, &PATHS))
            .collect()
    }

    #[track_caller]
    fn run(&self, rollout: &str, code: i32) -> Value {
        let arguments = ["run", "demo", "--rollout", rollout, "--format", "json"];
        report(&self.fleet.wavegate(&arguments).expect(code))
    }

    #[track_caller]
    fn assert_serves(&self, version: &str) {
        for door in &self.doors {
            let answer = ask(*door);
            let welcome = format!("<h1>Welcome to shop {version}</h1>");
            assert!(answer.contains(&welcome), "{answer}");
        }
    }

    /// Rolls out the bad version and then the good one, under load: visitors lose only pages that
    /// the bad version has lost.
    #[track_caller]
    fn take_a_bad_release_back_and_a_good_one_through(self) {
        let loads = self.loads();
        let bad = self.run("shop-bad", 11);
        assert_eq!(bad["outcome"], "rolled back");
        assert_eq!(bad["broken"][0]["gate"], "errors", "{bad}");
        self.assert_serves("1.0");
        let good = self.run("shop-2", 0);
        assert_eq!(good["outcome"], "done");
        let answers = stop(loads);

        let digest = |report: &Value| report["digest"].as_str().expect("a digest").to_owned();
        assert!(answers.of(&digest(&good)) > 0, "{answers:?}");
        let lost_pages = (digest(&bad), 404);
        let others = answers.counts.iter().filter(|(key, _)| **key != lost_pages);
        let others: Vec<_> = others.filter(|((_, status), _)| *status != 200).collect();
        assert!(others.is_empty(), "{answers:?}");
        assert!(answers.counts.contains_key(&lost_pages), "{answers:?}");
        assert_eq!(answers.errors, 0, "{answers:?}");
        self.assert_serves("2.0");
        self.close();
    }

    fn close(mut self) {
        self.fleet.down();
        self.prometheus.kill();
        self.fleet.assert_nothing_is_left();
    }
}

/// A document of the page with changes.
fn adapted(name: &str, changes: &[Change]) -> String {
    let mut text = document(name).to_owned();
    for (_, from, to) in changes.iter().filter(|(of, ..)| *of == name) {
        assert!(text.contains(from), "{name} has `{from}`");
        text = text.replace(from, to);
    }
    text
}

/// A text with the ports of this shop.
fn placed(text: &str, fleet: &Fleet, metrics: u16) -> String {
    let all = [
        (":18081", fleet.port()),
        (":18082", fleet.port() + 1),
        (":18091", metrics),
        (":18092", metrics + 1),
        (":9090", metrics + 2),
    ];
    all.iter().fold(text.to_owned(), |text, (page, own)| {
        text.replace(page, &format!(":{own}"))
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("the site is there") {
        let entry = entry.expect("it can be read");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("it can be copied");
        }
    }
}

fn report(done: &Done) -> Value {
    done.json().pop().expect("there is a report")
}

fn stop(loads: Vec<Load>) -> Answers {
    let each = loads.into_iter().map(Load::stop);
    each.fold(Answers::default(), Answers::and)
}

const CANARY: &str = "    plugin: {shipped: canary}
    config: {stages: [{nodes: 1, traffic: 20%}]}";

/// What the page says about *blue-green*.
const WATCHED_WHILE_IT_MOVES: [Change; 2] = [
    (
        "policy.yaml",
        "        max: 0.01\n      phases: [afterBatch, soak, continuous]",
        "        max: 0.01\n      phases: [soak, continuous]",
    ),
    (
        "policy.yaml",
        "phases: [afterBatch, soak]\n",
        "phases: [soak]\n",
    ),
];

#[test]
fn canary() {
    Shop::open(&[]).take_a_bad_release_back_and_a_good_one_through();
}

#[test]
fn rolling() {
    let rolling = "    plugin: {shipped: rolling}";
    Shop::open(&[("policy.yaml", CANARY, rolling)])
        .take_a_bad_release_back_and_a_good_one_through();
}

#[test]
fn blue_green_in_one_cluster() {
    let mut changes = WATCHED_WHILE_IT_MOVES.to_vec();
    changes.extend([
        (
            "policy.yaml",
            CANARY,
            "    plugin: {shipped: blue-green}
    config: {traffic: [20%, 100%], wait: 5s, gates: [health], afterwards: scale-to-zero}",
        ),
        (
            "policy.yaml",
            "batch: {size: 1, maxUnavailable: 1}",
            "batch: {size: 3, maxUnavailable: 1, maxSurge: 3}",
        ),
    ]);
    Shop::open(&changes).take_a_bad_release_back_and_a_good_one_through();
}

#[test]
fn blue_green_in_a_pair() {
    let mut changes = WATCHED_WHILE_IT_MOVES.to_vec();
    changes.extend([
        (
            "policy.yaml",
            CANARY,
            "    plugin: {shipped: blue-green}
    config: {traffic: [20%, 100%], wait: 5s, gates: [health], afterwards: keep}",
        ),
        (
            "policy.yaml",
            "    - {name: first, clusters: {names: [eu-1]}, siteSoak: 2s}
    - {name: rest, clusters: {names: [us-1]}, siteSoak: 2s, soak: 2s}
",
            "    - {name: all, clusters: {labels: {site: eu}}, siteSoak: 2s, soak: 2s}
",
        ),
        (
            "fleet.yaml",
            "name: eu-1\n",
            "name: blue\n      labels: {site: eu, role: blue}\n",
        ),
        (
            "fleet.yaml",
            "name: us-1\n",
            "name: green\n      labels: {site: eu, role: green}\n",
        ),
    ]);
    let fleet = Fleet::empty();
    // Each cluster is set up at a door of its own; then the green one stands behind the blue
    // one's, which has sent it nothing so far.
    let apart = adapted("fleet.yaml", &changes);
    let together = apart
        .replace(":18082", ":18081")
        .replace(":18092", ":18091");
    let shop = Shop::open_with(fleet, &changes, &apart, &together);
    let pair = "  siteBy: site\n  roleBy: role\n  batch: {size: 3,";
    shop.fleet
        .replace("policy.yaml", "  batch: {size: 1,", pair);
    shop.take_a_bad_release_back_and_a_good_one_through();
}

/// The ratio of errors against a limit, and the same against that of the baseline's nodes: two
/// gates of one name, so that the rest of a story stays as it is.
const AGAINST_A_LIMIT: &str = r#"      plugin: {shipped: threshold}
      config:
        name: error-ratio
        query: >-
          sum by (cluster) (rate(wavegate_front_door_requests_total{release="{{release}}",status=~"4xx|5xx|none"}[5s]))
          / sum by (cluster) (rate(wavegate_front_door_requests_total{release="{{release}}"}[5s]))
        clusterLabel: cluster
        max: 0.01
      phases: [afterBatch, soak, continuous]
"#;
/// Sure enough for a story that is to end soon, and a look twice as often as there are samples.
const AGAINST_THE_BASELINE: &str = r#"      plugin: {shipped: compare}
      config:
        name: error-ratio
        query: >-
          sum by (cluster) (rate(wavegate_front_door_requests_total{cluster=~"{{clusters}}",release=~"{{running}}",status=~"4xx|5xx|none"}[3s]))
          / sum by (cluster) (rate(wavegate_front_door_requests_total{cluster=~"{{clusters}}",release=~"{{running}}"}[3s]))
        critical: 0.05
        method: sequential
        confidence: 90%
        minSamples: 5
        window: 1m
        step: 1s
        withoutControl: last
      phases: [afterBatch, continuous]
"#;

#[test]
fn a_comparison_with_the_baseline_stops_a_bad_release_and_lets_a_good_one_through() {
    Shop::open(&[("policy.yaml", AGAINST_A_LIMIT, AGAINST_THE_BASELINE)])
        .take_a_bad_release_back_and_a_good_one_through();
}

#[test]
fn a_prometheus_that_is_away_holds_the_rollout_until_it_is_back() {
    let mut shop = Shop::open(&[]);
    let loads = shop.loads();
    let mut run = shop.fleet.start(&["run", "demo", "--rollout", "shop-2"]);

    run.line("site eu-1 started");
    shop.prometheus.kill();
    let why = held(&shop.fleet, "eu-1");
    assert!(
        why.contains("source `metrics` did not answer: ") && why.contains("onnect"),
        "{why}"
    );
    shop.prometheus.start_again();
    run.line("site eu-1 is done");

    // One that hangs is away, too.
    run.line("site us-1 started");
    shop.prometheus.signal(Signal::STOP);
    let why = held(&shop.fleet, "us-1");
    assert!(why.contains("2000 ms") || why.contains("2s"), "{why}");
    shop.prometheus.signal(Signal::CONT);
    let done = run.end().expect(0);
    assert!(done.out.contains("shop 2.0: done"), "{}", done.out);

    let answers = stop(loads);
    assert_eq!(answers.lost(), 0, "{answers:?}");
    shop.assert_serves("2.0");
    shop.close();
}

/// Waits until `explain` says that a gate of this site misses Prometheus, and returns the line.
#[test]
fn the_policy_is_simulated_with_the_latencies_of_a_prometheus() {
    let fleet = Fleet::empty();
    std::fs::create_dir(fleet.documents()).expect("it is new");
    let sites = Path::new(env!("CARGO_MANIFEST_DIR")).join("sites");
    copy(&sites, &fleet.documents().join("sites"));
    let one = document("releases.yaml");
    let both = format!("{one}\n---\n{}", one.replace("1.0", "2.0"));
    fleet.write("releases.yaml", &both);
    for name in ["fleet", "sources", "policy", "rollout", "simulation"] {
        let name = format!("{name}.yaml");
        fleet.write(&name, document(&name));
    }
    let arguments = ["simulate", "demo", "--runs", "60", "--format", "json"];
    let told = report(&fleet.wavegate(&arguments).expect(0));
    let summary = &told["subjects"][0]["summary"];
    // A limit of half a second is far above 120 ms, and far below twenty times of it.
    assert!(
        summary["false_alarms"]["share"].as_f64() < Some(0.5),
        "{summary}"
    );
    let faults = summary["by_fault"].as_array().expect("faults");
    let slow = faults.iter().find(|fault| fault["fault"] == "slow");
    let slow = slow.expect("some were slow");
    assert_eq!(slow["missed"]["count"], 0, "{slow}");
}

fn held(fleet: &Fleet, site: &str) -> String {
    let begin = format!("site {site} waits for gate ");
    wait_for("the reason of a hold", || {
        let told = fleet.wavegate(&["explain", "last"]).expect(0).out;
        let mut lines = told.lines();
        let line = lines.find(|line| line.contains(&begin) && line.contains("unavailable"));
        line.map(str::to_owned)
    })
}

#[test]
fn files_and_folders_that_cannot_be_are_told_at_their_release() {
    let fleet = Fleet::quickstart();
    let releases = fleet.read("releases.yaml");
    let two = releases.find("name: shop-2.0").expect("it is there");
    for (field, says) in [
        ("folder: nowhere", "demo/nowhere is not there"),
        (
            "files: {../outside: text}",
            "`files` has `../outside`, which is no path below the node's folder",
        ),
    ] {
        let (before, after) = releases.split_at(two);
        let with = format!("local:\n      {field}\n");
        fleet.write(
            "releases.yaml",
            &format!("{before}{}", after.replacen("local:\n", &with, 1)),
        );
        let done = fleet.wavegate(&["validate", "demo"]).expect(2);
        assert!(done.err.contains(says), "{}", done.err);
        assert!(done.err.contains("releases.yaml:"), "{}", done.err);
    }
    fleet.write("releases.yaml", &releases);
}
