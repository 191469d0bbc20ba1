//! What a seed means: documents as a user would write them, a world, and what goes wrong in it.

use std::fmt::Write as _;
use wavegate_driver_sim::Rng;
use wavegate_model::{DurationMs, Permille, Simulation};

/// Everything that a seed draws before anything happens.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The policy.
    pub policy: String,
    /// Name of the shipped strategy.
    pub strategy: &'static str,
    /// Clusters that there are, also those that are not in the fleet yet.
    pub clusters: Vec<ClusterText>,
    /// How many of them the fleet has at first.
    pub at_first: usize,
    /// Nothing fails by itself and no total changes: what Wavegate does alone explains all that
    /// is seen.
    pub peaceful: bool,
    /// Whether the traffic of sites can be split.
    pub splits: bool,
    /// How the world behaves.
    pub model: Simulation,
    /// How often what goes wrong.
    pub chances: Chances,
    /// How long things go wrong.
    pub storm: DurationMs,
    /// Another rollout wants the same clusters.
    pub rival: bool,
    /// Whether the rollout is undone when it has ended.
    pub undo: bool,
    /// When nothing may go on, in time since the start.
    pub closed: Vec<(DurationMs, DurationMs)>,
    /// The same for the first wave alone.
    pub closed_first: Vec<(DurationMs, DurationMs)>,
}

/// A cluster as its fleet's document has it.
#[derive(Clone, Debug)]
pub struct ClusterText {
    /// Its name.
    pub name: String,
    site: String,
    role: &'static str,
    wave: usize,
    nodes: u64,
    standby: bool,
}

/// Permille of the calls that each happens to, and mean times between what happens by itself.
#[derive(Clone, Copy, Debug)]
pub struct Chances {
    /// A message to a cluster is lost, late, repeated, or its answer is.
    pub network: u32,
    /// A cluster shows what it looked like a while ago.
    pub stale: u32,
    /// A driver says that it failed.
    pub driver: u32,
    /// A plugin gives no answer, or a late one.
    pub plugins: u32,
    /// A source gives no answer, or a late one.
    pub sources: u32,
    /// The disk is full, or says that it failed when it did not.
    pub disk: u32,
    /// The host dies around an append, or in the middle of it with the power.
    pub crash: u32,
    /// Mean time between two things that people, other hosts and fleets do.
    pub events: DurationMs,
}

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    let at = rng.below(all.len() as u64);
    all[usize::try_from(at).unwrap_or(0)]
}

fn percent(rng: &mut Rng, percent: u32) -> bool {
    rng.chance(percent * 10)
}

impl Scene {
    /// The scene of a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        let strategy = one_of(
            rng,
            &["canary", "canary", "rolling", "rolling", "blue-green"],
        );
        let peaceful = percent(rng, 40);
        let splits = strategy == "blue-green" || percent(rng, 70);
        let waves = 1 + usize::try_from(rng.below(3)).unwrap_or(0);
        let mut clusters = Vec::new();
        for wave in 0..waves {
            for _ in 0..=rng.below(2) {
                add_site(rng, &mut clusters, wave, strategy);
            }
        }
        let at_first = clusters.len();
        for _ in 0..rng.below(3) {
            let wave = usize::try_from(rng.below(waves as u64)).unwrap_or(0);
            add_site(rng, &mut clusters, wave, strategy);
        }
        let policy = policy(rng, waves, strategy, peaceful);
        Self {
            policy,
            strategy,
            at_first,
            peaceful,
            splits,
            model: world(rng, peaceful),
            chances: chances(rng),
            storm: DurationMs::secs(60 + rng.below(600)),
            rival: percent(rng, 35),
            undo: percent(rng, 25),
            closed: closed(rng),
            closed_first: closed(rng),
            clusters,
        }
    }

    /// The documents, of a fleet with the clusters that are chosen.
    pub fn documents(&self, chosen: impl Fn(usize) -> bool) -> String {
        let mut text = String::from(
            "apiVersion: wavegate.dev/v1alpha1\nkind: Fleet\nmetadata: {name: fleet}\nspec:\n  clusters:\n",
        );
        let chosen = (0..self.clusters.len()).filter(|n| chosen(*n));
        for cluster in chosen.map(|n| &self.clusters[n]) {
            let _infallible = writeln!(text, "    - {}", cluster.line());
        }
        text.push_str(REST);
        text.push_str(&self.policy);
        text
    }
}

impl ClusterText {
    fn line(&self) -> String {
        let Self {
            name,
            site,
            role,
            wave,
            nodes,
            standby,
        } = self;
        format!(
            "{{name: {name}, labels: {{site: {site}, role: {role}, wave: w{wave}}}, nodes: {nodes}, \
             driver: local, local: {{dir: {name}, standby: {standby}}}}}"
        )
    }
}

/// What all scenes have.
const REST: &str = "---
apiVersion: wavegate.dev/v1alpha1
kind: Release
metadata: {name: shop-2}
spec:
  service: shop
  version: '2'
  artifacts: {local: {command: [shop]}}
---
apiVersion: wavegate.dev/v1alpha1
kind: Source
metadata: {name: nodes}
spec: {probe: {}}
---
apiVersion: wavegate.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec: {service: shop, policy: drawn, fleet: fleet, release: shop-2}
---
";

/// A site of one cluster, or of two.
fn add_site(rng: &mut Rng, clusters: &mut Vec<ClusterText>, wave: usize, strategy: &str) {
    let number = clusters.len();
    let site = format!("s{number}");
    let nodes = 1 + rng.below(5);
    let single = ClusterText {
        name: format!("c{number}"),
        site,
        role: "alone",
        wave,
        nodes,
        standby: false,
    };
    let pair = percent(rng, if strategy == "blue-green" { 60 } else { 20 });
    if !pair {
        return clusters.push(single);
    }
    let standby = strategy == "blue-green";
    let other = ClusterText {
        name: format!("c{}", number + 1),
        role: "green",
        nodes: if standby { nodes } else { 1 + rng.below(5) },
        standby,
        ..single.clone()
    };
    clusters.push(ClusterText {
        role: "blue",
        ..single
    });
    clusters.push(other);
}

fn amount(rng: &mut Rng, least: u64) -> String {
    if percent(rng, 30) {
        format!("{}%", one_of(rng, &[25, 50, 75, 100]))
    } else {
        (least + rng.below(3)).to_string()
    }
}

fn policy(rng: &mut Rng, waves: usize, strategy: &str, peaceful: bool) -> String {
    let mut text = String::from(
        "apiVersion: wavegate.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {name: drawn}\nspec:\n  siteBy: site\n  roleBy: role\n",
    );
    let mut line = |line: String| {
        text.push_str("  ");
        text.push_str(&line);
        text.push('\n');
    };
    line("waves:".to_owned());
    for wave in 0..waves {
        let mut more = String::new();
        if percent(rng, 20) {
            let who = one_of(
                rng,
                &[
                    "",
                    ", count: 2",
                    ", by: [ann, bob]",
                    ", starter: doesNotCount",
                ],
            );
            more.push_str(&format!(", approval: {{text: look first{who}}}"));
        }
        if wave > 0 && percent(rng, 25) {
            more.push_str(", after: []");
        }
        line(format!(
            "  - {{name: w{wave}, clusters: {{labels: {{wave: w{wave}}}}}, maxParallelSites: {}, siteSoak: {}s, soak: {}s{more}}}",
            1 + rng.below(3),
            one_of(rng, &[0, 0, 5, 30]),
            one_of(rng, &[0, 5, 60]),
        ));
    }
    if strategy == "blue-green" {
        line("batch: {size: 100%, maxSurge: 100%, maxUnavailable: 0}".to_owned());
    } else {
        let (size, down) = (amount(rng, 1), 1 + rng.below(2));
        let surge = if percent(rng, 20) { 1 } else { 0 };
        line(format!(
            "batch: {{size: {size}, maxUnavailable: {down}, maxSurge: {surge}}}"
        ));
    }
    line(format!(
        "timeLimits: {{batchProgress: {{after: {}s, then: {}}}, cluster: {}, rollout: {}}}",
        one_of(rng, &[60, 200, 600]),
        one_of(rng, &["fail", "fail", "hold"]),
        one_of(
            rng,
            &[
                "none",
                "{after: 10m, then: fail}",
                "{after: 5m, then: hold}"
            ]
        ),
        one_of(
            rng,
            &[
                "none",
                "none",
                "{after: 20m, then: hold}",
                "{after: 15m, then: fail}"
            ]
        ),
    ));
    line(format!(
        "failure: {{tolerate: {}, then: {}, rollback: {{batch: {}, progress: {}s, maxParallelSites: {}}}}}",
        rng.below(2),
        one_of(
            rng,
            &[
                "hold",
                "rollBackSite",
                "rollBackWave",
                "rollBackTouched",
                "rollBackTouched"
            ]
        ),
        one_of(rng, &["1", "50%", "100%"]),
        one_of(rng, &[60, 300]),
        1 + rng.below(3),
    ));
    line(format!(
        "membership: {{unreachableAfter: {}s, unreachable: {}, added: {}, removed: {}}}",
        one_of(rng, &[5, 30]),
        one_of(rng, &["wait", "fail", "skip"]),
        one_of(rng, &["ignore", "append", "ownWave"]),
        one_of(rng, &["skip", "hold", "fail"]),
    ));
    line(format!(
        "whenBusy: {}",
        one_of(rng, &["refuse", "queue", "supersede"])
    ));
    line(format!(
        "strategy: {{plugin: {{shipped: {strategy}}}, config: {}}}",
        config(rng, strategy)
    ));
    let gates = gates(rng, peaceful);
    if !gates.is_empty() {
        line("gates:".to_owned());
        for gate in gates {
            line(gate);
        }
    }
    text
}

fn config(rng: &mut Rng, strategy: &str) -> String {
    match strategy {
        "rolling" => format!("{{batch: {}}}", amount(rng, 1)),
        "blue-green" => {
            let traffic = one_of(rng, &["", "traffic: [10%, 100%], ", "traffic: [50%], "]);
            let approval = one_of(rng, &["", "", "approval: the traffic may go there, "]);
            let then = one_of(rng, &["keep", "keep", "scale-to-zero"]);
            let wait = rng.below(20);
            format!("{{{traffic}{approval}wait: {wait}s, delay: 5s, afterwards: {then}}}")
        }
        _ => {
            let mut stages = Vec::new();
            for nodes in ["1", "25%", "50%"] {
                if percent(rng, 50) {
                    let approval = one_of(rng, &["", "", "", ", approval: look at it"]);
                    let wait = rng.below(20);
                    stages.push(format!("{{nodes: {nodes}, wait: {wait}s{approval}}}"));
                }
            }
            if stages.is_empty() {
                stages.push("{nodes: 100%}".to_owned());
            }
            format!("{{stages: [{}]}}", stages.join(", "))
        }
    }
}

fn gates(rng: &mut Rng, peaceful: bool) -> Vec<String> {
    let mut gates = Vec::new();
    let kinds = [
        (
            "checks",
            "plugin: {shipped: probe}, config: {minSuccess: 90%, window: 10s}, slots: {probe: nodes}",
        ),
        (
            "requests",
            "plugin: {shipped: probe}, config: {minSuccess: 97%, window: 30s}, slots: {probe: nodes}",
        ),
        (
            "latency",
            "plugin: {shipped: threshold}, config: {query: 'p95_ms{cluster=\"{{cluster}}\",cohort=\"new\"}', perCluster: true, max: 1000}, slots: {metrics: nodes}",
        ),
    ];
    for (name, text) in kinds {
        if !percent(rng, 50) {
            continue;
        }
        let phases = one_of(
            rng,
            &[
                "afterBatch",
                "afterBatch, soak",
                "afterBatch, soak, continuous",
                "soak",
                "continuous",
                "afterBatch, afterWave",
            ],
        );
        let budget = if peaceful { 0 } else { rng.below(3) };
        gates.push(format!(
            "  - {{name: {name}, {text}, phases: [{phases}], interval: {}s, passes: {}, minSamples: {}, \
             budget: {{consecutive: {budget}, total: {}}}, onUnavailable: {}, trial: {}}}",
            one_of(rng, &[10, 30]),
            1 + rng.below(2),
            one_of(rng, &[1, 5]),
            budget * 2,
            one_of(rng, &["hold", "hold", "hold", "fail"]),
            percent(rng, 10),
        ));
    }
    gates
}

fn world(rng: &mut Rng, peaceful: bool) -> Simulation {
    let mut model = Simulation {
        bad: Permille(300),
        ..Simulation::default()
    };
    // What happens to messages is decided elsewhere, so that it is counted.
    model.network.late = Permille(0);
    model.network.twice = Permille(0);
    model.network.fails = Permille(0);
    model.network.lost_every = DurationMs(0);
    model.nodes.slow = Permille(0);
    model.nodes.flapping = Permille(0);
    if peaceful {
        model.faults.retain(|fault| fault.start.0 == 0);
    } else {
        model.nodes.slow = Permille(one_of(rng, &[0, 100]));
        model.nodes.flapping = Permille(one_of(rng, &[0, 100]));
        model.nodes.flap_every = DurationMs::secs(60);
    }
    model
}

/// Times in which windows are closed, none touching the next.
fn closed(rng: &mut Rng) -> Vec<(DurationMs, DurationMs)> {
    let mut times = Vec::new();
    let mut after = 0;
    while percent(rng, 15) {
        let from = after + rng.below(400);
        let to = from + 1 + rng.below(300);
        times.push((DurationMs::secs(from), DurationMs::secs(to)));
        after = to + 1;
    }
    times
}

/// Each kind of trouble is in some worlds often, in some seldom, and in some not at all: what
/// hides behind a frequent trouble shows where that is missing.
fn chances(rng: &mut Rng) -> Chances {
    let mut often = |most: u32| -> u32 { one_of(rng, &[0, 0, most / 10, most / 2, most]) };
    Chances {
        network: often(400),
        stale: often(200),
        driver: often(100),
        plugins: often(200),
        sources: often(200),
        disk: often(40),
        crash: often(60),
        events: DurationMs::secs(one_of(rng, &[10, 40, 200])),
    }
}
