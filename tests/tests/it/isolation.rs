//! Nothing that a plugin does matters to others: a good and a bad rollout in one process.

#![expect(clippy::print_stdout, reason = "the table is shown with --nocapture")]

use std::collections::BTreeMap;
use wavegate_conductor::{Story, read_story};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;
use wavegate_tests::fleet::Fleet;
use wavegate_tests::guests;

/// Bad strategies, and what the history says of each.
const BAD: [(&str, &str); 15] = [
    ("allocation-bomb", "over its limit of memory"),
    ("bad-utf8", "unavailable"),
    ("deep-recursion", "unavailable"),
    ("early-done", "says that the site is done, but"),
    ("endless-loop", "used up its"),
    ("handle-bomb", "unavailable"),
    ("huge-result", "unavailable"),
    ("huge-state", "unavailable"),
    ("own-failure", "the plugin failed"),
    ("panic", "the plugin trapped"),
    ("table-bomb", "unavailable"),
    ("terminal-escapes", "unavailable"),
    ("too-many-nodes", "wants"),
    ("too-much-traffic", "shares sum to"),
    ("unknown-cluster", "which is not in this site"),
];

const DOCUMENTS: &str = r#"apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: good}
spec:
  exclude: {names: [ap-1]}
  waves:
    - name: all
      clusters: {names: [eu-1, us-1]}
      maxParallelSites: 2
  failure: {then: rollBackTouched}
  strategy: {plugin: {shipped: rolling}, config: {}}
---
apiVersion: wavegate.dev/v1alpha1
kind: RolloutPolicy
metadata: {name: bad}
spec:
  exclude: {names: [eu-1, us-1]}
  waves:
    - name: all
      clusters: {names: [ap-1]}
  failure: {then: rollBackTouched}
  strategy: {plugin: {file: ./bad.wasm}, config: {}}
---
apiVersion: wavegate.dev/v1alpha1
kind: Rollout
metadata: {name: good}
spec: {service: shop, policy: good, fleet: demo, release: @RELEASE@}
---
apiVersion: wavegate.dev/v1alpha1
kind: Rollout
metadata: {name: bad}
spec: {service: shop, policy: bad, fleet: demo, release: shop-2.0}
"#;

/// A fleet whose documents have a good and a bad rollout over different clusters.
fn fleet() -> Fleet {
    let fleet = Fleet::small("    plugin: {shipped: rolling}\n    config: {}");
    let larger = fleet.read("fleet.yaml").replace("nodes: 2", "nodes: 6");
    fleet.write("fleet.yaml", &larger);
    fleet.up();
    fleet
}

/// Documents with this bad plugin; the good rollout goes to the release that it is not on.
fn arrange(fleet: &Fleet, bad: &str, round: usize) {
    let release = if round.is_multiple_of(2) {
        "shop-2.0"
    } else {
        "shop-1.0"
    };
    fleet.write("rollout.yaml", &DOCUMENTS.replace("@RELEASE@", release));
    let path = fleet.documents().join("bad.wasm");
    std::fs::write(path, guests::build(bad)).expect("it can be written");
}

/// All rollouts of the fleet's journal, by id.
fn stories(fleet: &Fleet) -> BTreeMap<RolloutId, Story> {
    let journal = SqliteJournal::open_read_only(&fleet.state().join("journal.db"));
    let journal = journal.expect("there is a journal");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async {
        use wavegate_ports::journal::Journal as _;
        let mut stories = BTreeMap::new();
        for entry in journal.rollouts().await.expect("it can be read") {
            let story = read_story(&journal, &entry.rollout)
                .await
                .expect("it verifies");
            stories.insert(entry.rollout, story);
        }
        stories
    })
}

/// Milliseconds of the strategy's decisions in the rollouts that are new: those of the good one.
fn latencies(fleet: &Fleet, known: &mut Vec<RolloutId>) -> Vec<f64> {
    let mut all = Vec::new();
    for (id, story) in stories(fleet) {
        if known.contains(&id) {
            continue;
        }
        if id.as_str().starts_with("good-") {
            let asked = story
                .consultations
                .iter()
                .filter(|(_, told)| told.who == "strategy");
            all.extend(asked.map(|(_, told)| {
                f64::from(u32::try_from(told.took_us).unwrap_or(u32::MAX)) / 1000.0
            }));
        }
        known.push(id);
    }
    all
}

fn p95(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}

/// The speed is printed and not judged here: two busy cores say nothing about a number.
#[test]
fn a_bad_plugin_holds_its_own_rollout_only() {
    let fleet = fleet();
    let mut known = Vec::new();
    let mut rounds = 0;
    println!(
        "{:18} {:>12} {:>14} {:>6}",
        "bad plugin", "alone p95 ms", "beside it p95", "ratio"
    );
    for (bad, says) in BAD {
        arrange(&fleet, bad, rounds);
        fleet
            .wavegate(&["run", "demo", "--rollout", "good"])
            .expect(0);
        rounds += 1;
        let alone = p95(latencies(&fleet, &mut known));

        arrange(&fleet, bad, rounds);
        let mut both = fleet.start(&["run", "demo"]);
        both.line("good-");
        let held = both.line(says);
        assert!(
            held.contains("bad-") && !held.contains('\u{1b}'),
            "{bad}: {held:?}"
        );
        both.line("the rollout has ended: done");
        rounds += 1;
        let beside = p95(latencies(&fleet, &mut known));
        println!("{bad:18} {alone:12.2} {beside:14.2} {:6.2}", beside / alone);

        // The bad one never moved a node, and ends where it stands.
        let unended = |story: &Story| story.state().is_some_and(|state| state.end().is_none());
        let bad_story = stories(&fleet)
            .into_values()
            .find(unended)
            .expect("the bad one is held");
        let state = bad_story.state().expect("it has started");
        // The one with escapes in its texts is a sound strategy otherwise.
        let touched = state.touched().count();
        assert!(
            touched == 0 || bad == "terminal-escapes",
            "{bad}: {touched}"
        );
        fleet
            .wavegate(&["abort", bad_story.rollout.as_str(), "--reason", "a test"])
            .expect(0);
        let ended = both.end();
        assert_eq!(ended.code, Some(14), "{bad}: {}", ended.err);
    }
}
