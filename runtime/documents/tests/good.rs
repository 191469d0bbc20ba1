//! Documents that are accepted, and what becomes of them.

use std::path::PathBuf;
use wavegate_documents::{Documents, Location, ResolvedRollout};
use wavegate_model::plugin::{Phase, Problem};
use wavegate_model::policy::{EndState, OnTimeLimit, OnUnavailable, OnUnreachable, PluginRef};
use wavegate_model::source::{Auth, Grant, SourceKind};
use wavegate_model::{Amount, DurationMs, Permille, PolicyName};

fn good(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/documents/good")
        .join(name)
}

fn load(name: &str) -> Documents {
    Documents::load(&[good(name)]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn demo() -> ResolvedRollout {
    load("demo.yaml")
        .resolve("shop")
        .unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_plan_has_waves_sites_and_reasons() {
    let rollout = demo();
    let plan = &rollout.plan;
    let waves: Vec<&str> = plan.waves.iter().map(|wave| wave.name.as_str()).collect();
    assert_eq!(waves, ["first", "rest"]);
    assert_eq!(plan.waves[1].after, [0]);
    assert_eq!(
        plan.waves[1].approval.as_deref(),
        Some("go on to the other region")
    );
    let site = &plan.waves[0].sites[0];
    assert_eq!(site.name.as_str(), "eu");
    let clusters: Vec<_> = site
        .clusters
        .iter()
        .map(|c| (c.name.as_str(), c.role.as_str()))
        .collect();
    assert_eq!(clusters, [("eu-blue", "blue"), ("eu-green", "green")]);
    assert_eq!(plan.excluded.len(), 1);
    assert_eq!(rollout.clusters.len(), 4);
    let why: Vec<&str> = rollout
        .placements
        .iter()
        .map(|placement| placement.why.as_str())
        .collect();
    assert_eq!(
        why,
        [
            "wave `first`: label `tier=canary` matches",
            "wave `first`: label `tier=canary` matches",
            "excluded: `lab` is named",
            "wave `rest`: label `region=us` matches",
            "wave `rest`: label `region=us` matches",
        ]
    );
    assert!(rollout.warnings.is_empty(), "{}", rollout.warnings);
}

#[test]
fn every_field_reaches_the_policy() {
    let policy = demo().policy;
    assert_eq!(policy.batch.size, Amount::Percent(Permille(250)));
    assert_eq!(policy.batch.max_surge, Amount::Percent(Permille(100)));
    let limits = policy.time_limits;
    assert_eq!(limits.batch_progress.unwrap().then, OnTimeLimit::Hold);
    assert_eq!(limits.cluster, None);
    assert_eq!(limits.wave.unwrap().then, OnTimeLimit::Hold);
    assert_eq!(policy.failure.tolerate, Amount::Percent(Permille(125)));
    assert_eq!(policy.failure.then, EndState::RollBackTouched);
    assert_eq!(policy.failure.rollback.progress, DurationMs::secs(60));
    assert_eq!(policy.membership.unreachable, OnUnreachable::Fail);
    assert_eq!(policy.strategy.plugin, PluginRef::Shipped("canary".into()));
    assert_eq!(
        policy.strategy.config,
        r#"{"stages":[{"nodes":"25%","traffic":10},{"nodes":"100%","traffic":100}]}"#
    );
    assert_eq!(policy.strategy.limits.memory_bytes, 32 << 20);
    let names: Vec<&str> = policy.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["errors", "healthy"]);
    let healthy = &policy.gates[1];
    let phases: Vec<Phase> = healthy.phases.iter().copied().collect();
    assert_eq!(phases, [Phase::AfterBatch, Phase::Soak, Phase::Continuous]);
    assert_eq!(
        (
            healthy.budget.consecutive,
            healthy.budget.total,
            healthy.min_samples
        ),
        (1, 3, 5)
    );
    assert_eq!(healthy.on_unavailable, OnUnavailable::Fail);
    assert_eq!(policy.gates[0].config, "{}");
}

#[test]
fn sources_name_their_credentials() {
    let sources = demo().sources;
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0].kind, SourceKind::Probe);
    assert_eq!(sources[0].policies, Grant::Any);
    let SourceKind::Prometheus(prometheus) = &sources[1].kind else {
        panic!("{:?}", sources[1])
    };
    assert!(matches!(prometheus.endpoint.auth, Auth::Basic { .. }));
    assert!(sources[1].policies.allows(&PolicyName::new("careful")));
    assert!(!sources[1].policies.allows(&PolicyName::new("other")));
}

#[test]
fn a_release_without_a_digest_gets_one_of_its_content() {
    let text = std::fs::read_to_string(good("demo.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let digest = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let documents = Documents::load(&[path]).unwrap_or_else(|problems| panic!("{problems}"));
        documents.resolve("shop").unwrap().release.digest
    };
    let first = digest("a.yaml", &text);
    // The order of keys says nothing; the content does.
    let sorted = text.replace(
        "{path: /healthz, timeout: 1s}",
        "{timeout: 1s, path: /healthz}",
    );
    assert_ne!(sorted, text);
    assert_eq!(digest("b.yaml", &sorted), first);
    assert_ne!(
        digest(
            "c.yaml",
            &text.replace("version: \"2.0\"", "version: \"2.1\"")
        ),
        first
    );
    assert_ne!(digest("d.yaml", &text.replace("/healthz", "/ready")), first);
}

#[test]
fn problems_of_plugins_get_a_line_and_a_column() {
    let documents = load("demo.yaml");
    let location = Location::StrategyConfig(PolicyName::new("careful"));
    let at = |pointer: &str| {
        let problem = Problem {
            pointer: pointer.into(),
            message: "no".into(),
        };
        let found = documents.map_plugin_problems(&location, &[problem]);
        let found = found.iter().next().unwrap().clone();
        (found.line, found.column)
    };
    let line = |needle: &str| {
        let text = std::fs::read_to_string(good("demo.yaml")).unwrap();
        let at = text.lines().position(|line| line.contains(needle)).unwrap();
        (
            at + 1,
            text.lines().nth(at).unwrap().find(needle).unwrap() + 1,
        )
    };
    assert_eq!(at("/stages/0/nodes"), {
        let (l, c) = line("25%, traffic");
        (l, c)
    });
    assert_eq!(at("/stages/1"), line("{nodes: 100%, traffic"));
    assert_eq!(at("/stages"), line("stages:"));
    assert_eq!(at("/stages/7/x"), line("stages:"));
    let (line, column) = line("stages:");
    assert_eq!(at(""), (line - 1, column - 2));
}

#[test]
fn problems_are_json_for_tools() {
    let documents = load("demo.yaml");
    let problem = Problem {
        pointer: "/stages/0/nodes".into(),
        message: "too\u{1b}[31m many".into(),
    };
    let location = Location::StrategyConfig(PolicyName::new("careful"));
    let found = documents.map_plugin_problems(&location, &[problem]);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json[0]["code"], "config");
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["message"], "too\\u{1b}[31m many");
    assert!(json[0]["line"].as_u64().unwrap() > 10);
}
