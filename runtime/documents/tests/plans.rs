//! Plans of fleets that are too large or too many to write down.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wavegate_documents::{Documents, ResolvedRollout};
use wavegate_model::Plan;

const HEAD: &str = "apiVersion: wavegate.dev/v1alpha1\nkind: ";

/// Writes documents into a folder and loads them.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Loads a policy over a fleet. Clusters are one line each: name and labels.
    fn load(&self, clusters: &[(String, String)], policy: &str) -> Documents {
        let mut fleet = format!("{HEAD}Fleet\nmetadata: {{name: demo}}\nspec:\n  clusters:\n");
        for (name, labels) in clusters {
            writeln!(
                fleet,
                "    - {{name: {name}, labels: {{{labels}}}, nodes: 3, driver: local, local: {{dir: {name}}}}}"
            )
            .unwrap();
        }
        let release = "Release\nmetadata: {name: new}\nspec: {service: shop, version: '2', artifacts: {local: {}}}\n";
        let rollout = "Rollout\nmetadata: {name: shop}\nspec: {service: shop, policy: careful, fleet: demo, release: new}\n";
        let policy = format!(
            "RolloutPolicy\nmetadata: {{name: careful}}\nspec:\n  strategy: {{plugin: {{shipped: rolling}}}}\n{policy}"
        );
        let rest = [release, rollout, policy.as_str()]
            .map(|text| format!("{HEAD}{text}"))
            .join("---\n");
        self.write("fleet.yaml", &fleet);
        self.write("rest.yaml", &rest);
        Documents::load(&[self.folder.path().to_path_buf()])
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn resolve(&self, clusters: &[(String, String)], policy: &str) -> ResolvedRollout {
        self.load(clusters, policy)
            .resolve("shop")
            .unwrap_or_else(|problems| panic!("{problems}"))
    }
}

fn clusters(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, labels)| ((*name).to_owned(), (*labels).to_owned()))
        .collect()
}

/// `wave(after): site[cluster/role cluster/role] site[..] max`.
fn shape(plan: &Plan) -> Vec<String> {
    let site = |site: &wavegate_model::PlannedSite| {
        let clusters: Vec<String> = site
            .clusters
            .iter()
            .map(|c| {
                if c.role.is_empty() {
                    c.name.to_string()
                } else {
                    format!("{}/{}", c.name, c.role)
                }
            })
            .collect();
        format!("{}[{}]", site.name, clusters.join(" "))
    };
    let wave = |wave: &wavegate_model::PlannedWave| {
        let sites: Vec<String> = wave.sites.iter().map(site).collect();
        format!(
            "{}{:?}: {} max {}",
            wave.name,
            wave.after,
            sites.join(" "),
            wave.max_parallel_sites
        )
    };
    plan.waves.iter().map(wave).collect()
}

#[test]
fn waves_are_a_graph_and_sorted_by_it() {
    let fleet = clusters(&[("d", "w: d"), ("c", "w: c"), ("b", "w: b"), ("a", "w: a")]);
    let policy = "  waves:
    - {name: last, clusters: {labels: {w: d}}, after: [left, right]}
    - {name: left, clusters: {labels: {w: b}}, after: [first]}
    - {name: right, clusters: {labels: {w: c}}, after: [first]}
    - {name: first, clusters: {labels: {w: a}}, after: []}
";
    let plan = Case::new().resolve(&fleet, policy).plan;
    assert_eq!(
        shape(&plan),
        [
            "first[]: a[a] max 1",
            "left[0]: b[b] max 1",
            "right[0]: c[c] max 1",
            "last[1, 2]: d[d] max 1",
        ]
    );
}

#[test]
fn a_wave_without_after_comes_after_the_one_written_before_it() {
    let fleet = clusters(&[("a", "w: a"), ("b", "w: b"), ("c", "w: c")]);
    let policy = "  waves:
    - {name: one, clusters: {names: [b]}}
    - {name: two, clusters: {names: [a]}}
    - {name: apart, clusters: {names: [c]}, after: []}
";
    let plan = Case::new().resolve(&fleet, policy).plan;
    assert_eq!(
        shape(&plan),
        [
            "one[]: b[b] max 1",
            "two[0]: a[a] max 1",
            "apart[]: c[c] max 1"
        ]
    );
}

#[test]
fn sites_are_made_by_a_label_and_sorted() {
    let fleet = clusters(&[
        ("z", "pair: q, color: green"),
        ("y", "pair: p, color: blue"),
        ("x", "pair: q, color: blue"),
        ("w", "pair: p, color: green"),
    ]);
    let policy = "  siteBy: pair
  roleBy: color
  waves: [{name: all, clusters: {}, maxParallelSites: 99%}]
";
    let plan = Case::new().resolve(&fleet, policy).plan;
    // 99% of two sites rounds down to one.
    assert_eq!(
        shape(&plan),
        ["all[]: p[w/green y/blue] q[x/blue z/green] max 1"]
    );
}

#[test]
fn exclusion_is_stronger_than_selection() {
    let fleet = clusters(&[
        ("a", "region: eu"),
        ("b", "region: us"),
        ("c", "region: us"),
    ]);
    let policy = "  exclude: {labels: {region: us}, names: [c]}
  waves: [{name: all, clusters: {}}]
";
    let rollout = Case::new().resolve(&fleet, policy);
    assert_eq!(shape(&rollout.plan), ["all[]: a[a] b[b] max 1"]);
    let excluded: Vec<_> = rollout
        .plan
        .excluded
        .iter()
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    assert_eq!(
        excluded,
        ["c: excluded: `c` is named, and label `region=us` matches"]
    );
}

#[test]
fn the_order_of_the_file_does_not_change_the_plan() {
    let mut fleet: Vec<_> = (0..50)
        .map(|i| {
            (
                format!("c-{i}"),
                format!("region: r{}, pair: p{}", i % 5, i % 25),
            )
        })
        .collect();
    let policy = "  siteBy: pair\n  waves: [{name: all, clusters: {}, maxParallelSites: 25%}]\n";
    let first = Case::new().resolve(&fleet, policy).plan;
    fleet.reverse();
    assert_eq!(Case::new().resolve(&fleet, policy).plan, first);
    assert_eq!(first.waves[0].max_parallel_sites, 6);
}

/// The shortest of some runs: others use the machine too.
fn shortest(mut run: impl FnMut()) -> Duration {
    let timed = (0..4).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    timed.min().unwrap()
}

/// A fleet of pairs and a policy with a hundred waves by name.
fn large(clusters: usize) -> Case {
    let fleet: Vec<_> = (0..clusters)
        .map(|i| {
            (
                format!("c-{i:05}"),
                format!("region: r{}, pair: p{}, tier: t{}", i % 1000, i / 2, i % 7),
            )
        })
        .collect();
    let mut policy = String::from("  siteBy: pair\n  waves:\n");
    let per_wave = clusters / 100;
    for wave in 0..100 {
        let names: Vec<String> = (wave * per_wave..(wave + 1) * per_wave)
            .map(|i| format!("c-{i:05}"))
            .collect();
        writeln!(
            policy,
            "    - {{name: w-{wave}, clusters: {{names: [{}]}}}}",
            names.join(", ")
        )
        .unwrap();
    }
    let case = Case::new();
    case.load(&fleet, &policy);
    case
}

#[test]
fn ten_thousand_clusters_take_ten_times_as_long_as_a_thousand() {
    let time = |clusters: usize| {
        let case = large(clusters);
        shortest(|| {
            let documents = Documents::load(&[case.folder.path().to_path_buf()]).unwrap();
            let plan = documents.resolve("shop").unwrap().plan;
            assert_eq!(plan.waves.len(), 100);
            assert_eq!(
                plan.waves
                    .iter()
                    .map(|wave| wave.sites.len())
                    .sum::<usize>(),
                clusters / 2
            );
        })
    };
    let (small, large) = (time(1000), time(10_000));
    // Quadratic would be a hundred times.
    assert!(
        large < small * 30,
        "{small:?} for a thousand, {large:?} for ten thousand"
    );
    assert!(large < Duration::from_secs(5), "{large:?}");
}

#[test]
fn ten_thousand_problems_are_reported_as_fast() {
    let fleet: Vec<_> = (0..3000)
        .map(|i| (format!("c-{i:05}"), "region: eu".to_owned()))
        .collect();
    let names: Vec<String> = (0..3000).map(|i| format!("d-{i:05}")).collect();
    let policy = format!(
        "  waves: [{{name: all, clusters: {{names: [{}]}}}}]\n",
        names.join(", ")
    );
    let case = Case::new();
    let documents = case.load(&fleet, &policy);
    let mut shown = String::new();
    let took = shortest(|| shown = documents.resolve("shop").unwrap_err().to_string());
    let problems = documents.resolve("shop").unwrap_err();
    assert!(
        problems.len() <= 200 && shown.contains("not shown"),
        "{}",
        problems.len()
    );
    assert!(took < Duration::from_secs(2), "took {took:?}");
}
