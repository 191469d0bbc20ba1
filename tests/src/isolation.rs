//! A good and a bad rollout in one process: what the test of it and its benchmark share.

use crate::fleet::{Fleet, Running};
use crate::guests;
use std::collections::BTreeMap;
use wavegate_conductor::{Story, read_story};
use wavegate_journal_sqlite::SqliteJournal;
use wavegate_model::RolloutId;

/// Bad strategies, and what the history says of each.
pub const BAD: [(&str, &str); 15] = [
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
  strategy: {plugin: {file: ./good.wasm}, config: {}}
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

/// A fleet with a good and a bad rollout over different clusters.
#[derive(Debug)]
pub struct Neighbours {
    /// The fleet; its nodes run.
    pub fleet: Fleet,
    known: Vec<RolloutId>,
    release: &'static str,
}

impl Neighbours {
    /// Starts the fleet; the good rollout's strategy is this guest.
    pub fn start(good: &str) -> Self {
        let fleet = Fleet::small("    plugin: {shipped: rolling}\n    config: {}");
        fleet.up();
        let path = fleet.documents().join("good.wasm");
        std::fs::write(path, guests::build(good)).expect("it can be written");
        Self {
            fleet,
            known: Vec::new(),
            release: "shop-1.0",
        }
    }

    /// The good rollout alone. Returns how many milliseconds each of its decisions took.
    pub fn alone(&mut self) -> Vec<f64> {
        self.arrange(BAD[0].0);
        self.fleet
            .wavegate(&["run", "demo", "--rollout", "good"])
            .expect(0);
        self.decisions()
    }

    /// Both rollouts in one process, until the good one is done. The bad one is sent back then. Returns how many milliseconds each good decision took.
    ///
    /// # Panics
    /// If the bad one is not held with these words, moves a node, or keeps the good one from
    /// being done.
    pub fn beside(&mut self, bad: &str, says: &str) -> Vec<f64> {
        self.arrange(bad);
        let both = self.fleet.start(&["run", "demo"]);
        watch(both, bad, says, |id| self.send_back_held(id, bad));
        self.decisions()
    }

    /// Writes the documents with this bad plugin; the good rollout goes to the release that it is
    /// not on.
    fn arrange(&mut self, bad: &str) {
        self.release = match self.release {
            "shop-1.0" => "shop-2.0",
            _ => "shop-1.0",
        };
        let documents = DOCUMENTS.replace("@RELEASE@", self.release);
        self.fleet.write("rollout.yaml", &documents);
        let path = self.fleet.documents().join("bad.wasm");
        std::fs::write(path, guests::build(bad)).expect("it can be written");
    }

    /// Sends the bad rollout back, which never moved a node.
    fn send_back_held(&self, rollout: &RolloutId, bad: &str) {
        let story = self.read(Some(rollout)).remove(rollout);
        let story = story.expect("the bad rollout is in the journal");
        let state = story.state().expect("it has started");
        assert!(state.end().is_none(), "{bad} has ended");
        // The one with escapes in its texts is a sound strategy otherwise.
        let touched = state.touched().count();
        assert!(
            touched == 0 || bad == "terminal-escapes",
            "{bad}: {touched}"
        );
        self.fleet
            .wavegate(&["rollback", rollout.as_str(), "--reason", "a test"])
            .expect(0);
    }

    /// The rollouts of the journal that are not known yet, or this one.
    fn read(&self, only: Option<&RolloutId>) -> BTreeMap<RolloutId, Story> {
        let journal = SqliteJournal::open_read_only(&self.fleet.state().join("journal.db"));
        let journal = journal.expect("there is a journal");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime starts").block_on(async {
            use wavegate_ports::journal::Journal as _;
            let mut stories = BTreeMap::new();
            for entry in journal.rollouts().await.expect("it can be read") {
                let wanted = match only {
                    Some(rollout) => entry.rollout == *rollout,
                    None => !self.known.contains(&entry.rollout),
                };
                if wanted {
                    let story = read_story(&journal, &entry.rollout).await;
                    stories.insert(entry.rollout, story.expect("it verifies"));
                }
            }
            stories
        })
    }

    /// Milliseconds of the strategy's decisions in the good rollout that is new.
    fn decisions(&mut self) -> Vec<f64> {
        let mut all = Vec::new();
        for (id, story) in self.read(None) {
            if id.as_str().starts_with("good-") {
                let asked = story
                    .consultations
                    .iter()
                    .filter(|(_, told)| told.who == "strategy");
                all.extend(asked.map(|(_, told)| {
                    f64::from(u32::try_from(told.took_us).unwrap_or(u32::MAX)) / 1000.0
                }));
            }
            self.known.push(id);
        }
        all
    }
}

/// Waits until the bad rollout is held and the good one is done; then ends the bad one.
fn watch(mut both: Running, bad: &str, says: &str, end: impl FnOnce(&RolloutId)) {
    both.line("good-");
    // The rehearsal may have said so before, and a first answer may have come too late instead.
    let held = both.line_with(&["the strategy is unavailable", says]);
    assert!(!held.contains('\u{1b}'), "{bad}: {held:?}");
    let id = held.split(|c: char| c.is_whitespace() || c == ':');
    let id = id.clone().find(|word| word.starts_with("bad-"));
    let id = RolloutId::from(id.unwrap_or_else(|| panic!("{bad}: {held:?}")));
    both.line("the rollout has ended: done");
    end(&id);
    let ended = both.end();
    assert_eq!(ended.code, Some(11), "{bad}: {}", ended.err);
}

/// The value that 95 of 100 values do not exceed.
///
/// # Panics
/// If there is no value.
pub fn p95(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}
