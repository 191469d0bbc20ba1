//! Simulations with scripted components: small, and with everything else as it is.

mod figures;

use super::{
    Ask, Broken, Comparison, Opened, Options, Outcome, Report, Run, Subject, Summary, Told, Worlds,
    page, simulate, table,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use wavegate_driver_sim::{Scope, SimDriver};
use wavegate_engine::{Capabilities, Pins, Spec};
use wavegate_model::evidence::EvidenceScope;
use wavegate_model::limits::CallLimits;
use wavegate_model::plan::{PlannedCluster, PlannedWave, WaveOrigin};
use wavegate_model::plugin::{
    Evaluation, Measurement, Outcome as Decided, Phase, PluginState, Proposal, SiteView, Verdict,
};
use wavegate_model::policy::{
    Batch, EndState, Failure, GateBudget, GateUse, Membership, OnTimeLimit, OnUnavailable,
    OnUnreachable, PluginRef, Policy, Rollback, StrategyUse, TimeLimit, TimeLimits,
};
use wavegate_model::simulation::{Fault, Network, Nodes};
use wavegate_model::{
    Amount, Cluster, ClusterGoal, ClusterName, Digest, DurationMs, Evidence, Goal, Permille, Plan,
    PlannedSite, Query, Release, Simulation, SourceName,
};
use wavegate_ports::BoxFuture;
use wavegate_ports::driver::Driver;
use wavegate_ports::plugins::{Answer, CallEnd, PluginCall, Question};
use wavegate_ports::sources::{SourceError, Sources};

/// Goes from stage to stage, and asks its gate after each; the gate wants 99 of 100 requests to
/// be good.
struct Script;

/// Nodes of each stage, in percent.
const STAGES: [u32; 2] = [25, 100];

impl Ask for Script {
    fn ask(&self, call: &PluginCall) -> CallEnd {
        match &call.question {
            Question::Decide { view, state } => {
                CallEnd::Answered(Answer::Decide(decide(view, state)))
            }
            Question::Evaluate { call, evidence, .. } if evidence.is_empty() => {
                let queries = call.updated.iter().map(|cluster| Query::Probe {
                    slot: "probe".into(),
                    cluster: cluster.name.clone(),
                    cohort: "new".to_owned(),
                    window: DurationMs::secs(20),
                });
                CallEnd::NeedsEvidence(queries.collect())
            }
            Question::Evaluate { evidence, .. } => {
                CallEnd::Answered(Answer::Evaluate(judge(evidence)))
            }
            Question::Outline { .. } => unreachable!("nobody outlines"),
        }
    }
}

fn decide(view: &SiteView, state: &PluginState) -> Decided {
    let step = state.0.first().copied().unwrap_or(0);
    let stage = STAGES[usize::from(step / 2).min(STAGES.len() - 1)];
    let go = || {
        let goal = |c: &wavegate_model::plugin::ClusterView| {
            let new = (c.desired * stage).div_ceil(100);
            ClusterGoal {
                cluster: c.name.clone(),
                new,
                baseline: c.desired - new,
                new_share: Permille(1000 * new / c.desired),
                baseline_share: Permille(1000 - 1000 * new / c.desired),
            }
        };
        Proposal::Go(Goal {
            clusters: view.clusters.iter().map(goal).collect(),
        })
    };
    let proposal = match step {
        0 | 2 => go(),
        1 | 3 => Proposal::WaitGates(view.gates.iter().map(|gate| gate.name.clone()).collect()),
        _ => Proposal::Done,
    };
    Decided {
        proposal,
        stage: format!("{stage}%"),
        reason: String::new(),
        state: PluginState(vec![step + 1]),
    }
}

fn judge(evidence: &[(Query, Evidence)]) -> Evaluation {
    let (mut total, mut failed) = (0, 0);
    for (_, answer) in evidence {
        if let Evidence::Probe(summary) = answer {
            total += summary.traffic.total;
            failed += summary.traffic.failed;
        }
    }
    let verdict = match (total, failed) {
        (0..20, _) => Verdict::Hold,
        (total, failed) if failed * 100 > total => Verdict::Fail,
        _ => Verdict::Pass,
    };
    Evaluation {
        verdict,
        reason: String::new(),
        clusters: BTreeMap::new(),
        measurements: vec![Measurement {
            name: "success".to_owned(),
            cluster: String::new(),
            value: (total > 0).then(|| 1.0 - f64::from(failed) / f64::from(total)),
            unit: "ratio".to_owned(),
            limit: ">= 0.99".to_owned(),
            verdict,
            samples: total,
        }],
        state: PluginState::default(),
        newest: None,
    }
}

fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

/// So many sites of one cluster of eight nodes each: one first, then the others.
fn spec(sites: usize, site_soak: DurationMs, tolerate: u32) -> Spec {
    let names: Vec<ClusterName> = (0..sites)
        .map(|n| format!("c{n:03}").as_str().into())
        .collect();
    let site = |name: &ClusterName| PlannedSite {
        name: name.as_str().into(),
        clusters: vec![PlannedCluster {
            name: name.clone(),
            role: String::new(),
        }],
    };
    let wave = |name: &str, after: Vec<usize>, names: &[ClusterName]| PlannedWave {
        name: name.into(),
        after,
        sites: names.iter().map(site).collect(),
        max_parallel_sites: 2,
        site_soak,
        soak: DurationMs::ZERO,
        approval: None,
        approvers: Default::default(),
        gates: None,
        origin: WaveOrigin::Policy,
    };
    let cluster = |name: &ClusterName| Cluster {
        name: name.clone(),
        labels: Default::default(),
        nodes: 8,
        driver: "local".to_owned(),
        connection: "{}".to_owned(),
    };
    let waves = vec![
        wave("first", vec![], &names[..1]),
        wave("rest", vec![0], &names[1..]),
    ];
    Spec {
        rollout: "shop".into(),
        service: "shop".into(),
        release: Release {
            version: "2".to_owned(),
            digest: digest(2),
            artifacts: BTreeMap::new(),
            reversal: Default::default(),
        },
        policy: policy(tolerate),
        plan: Plan {
            generation: wavegate_model::Generation(1),
            parent: None,
            waves,
            excluded: Vec::new(),
        },
        clusters: names.iter().map(cluster).collect(),
        sources: Vec::new(),
        capabilities: Capabilities {
            splits_traffic: true,
            surges: false,
        },
        pins: Pins {
            strategy: digest(10),
            strategy_name: "script".to_owned(),
            gates: [("success".into(), digest(11))].into(),
            strategy_state: None,
            gate_states: BTreeMap::new(),
        },
        windows: Default::default(),
        started_by: String::new(),
        wave_windows: BTreeMap::new(),
        origin: None,
    }
}

fn policy(tolerate: u32) -> Policy {
    let limit = |secs| {
        Some(TimeLimit {
            after: DurationMs::secs(secs),
            then: OnTimeLimit::Fail,
        })
    };
    let gate = GateUse {
        name: "success".into(),
        plugin: PluginRef::Shipped("script".to_owned()),
        config: "{}".to_owned(),
        phases: [Phase::AfterBatch, Phase::Soak].into(),
        interval: DurationMs::secs(5),
        slots: [("probe".into(), "nodes".into())].into(),
        budget: GateBudget::default(),
        min_samples: 1,
        passes: 1,
        fresh_for: Some(DurationMs::secs(300)),
        trial: false,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
        class: None,
    };
    Policy {
        name: "careful".into(),
        waves: Vec::new(),
        site_by: None,
        role_by: None,
        exclude: None,
        batch: Batch {
            size: Amount::Count(2),
            max_unavailable: Amount::Count(2),
            max_surge: Amount::Count(0),
        },
        time_limits: TimeLimits {
            batch_progress: limit(120),
            cluster: limit(3600),
            wave: None,
            rollout: None,
        },
        failure: Failure {
            tolerate: Amount::Count(tolerate),
            tolerate_per_wave: Amount::Count(tolerate),
            then: EndState::RollBackTouched,
            rollback: Rollback {
                batch: Amount::Percent(Permille::ALL),
                max_unavailable: Amount::Count(4),
                max_parallel_sites: 4,
                progress: DurationMs::secs(300),
            },
        },
        membership: Membership {
            unreachable_after: DurationMs::secs(30),
            unreachable: OnUnreachable::Wait,
            added: Default::default(),
            removed: Default::default(),
        },
        when_busy: Default::default(),
        windows: Default::default(),
        strategy: StrategyUse {
            plugin: PluginRef::Shipped("script".to_owned()),
            config: "{}".to_owned(),
            limits: CallLimits::SMALL,
            class: None,
        },
        gates: vec![gate],
        approvals: Vec::new(),
    }
}

struct Sims {
    spec: Spec,
    model: Arc<Simulation>,
}

struct Probes(Arc<SimDriver>);

impl Sources for Probes {
    fn check(&self, _: &SourceName) -> BoxFuture<'_, Result<(), SourceError>> {
        unreachable!("nobody checks")
    }

    fn fetch(
        &self,
        source: &SourceName,
        query: &Query,
        scope: &EvidenceScope,
    ) -> BoxFuture<'_, Result<Evidence, SourceError>> {
        let (source_name, query) = (source.clone(), query.clone());
        let (release, now) = (scope.release.clone(), scope.now);
        let start = scope.start;
        Box::pin(async move {
            let Query::Probe {
                cluster, window, ..
            } = query
            else {
                let detail = "only probes".to_owned();
                return Err(SourceError::Unavailable {
                    source_name,
                    detail,
                });
            };
            let since = wavegate_model::Timestamp(now.0 - window.0).max(start);
            let rollout = "shop".into();
            let probe = self.0.probe(&rollout, &cluster, &release, since).await;
            Ok(Evidence::Probe(probe.expect("it is there")))
        })
    }
}

impl Worlds for Sims {
    fn open(&self, seed: u64) -> Result<Opened, String> {
        let scope = Scope {
            clusters: self.spec.clusters.clone(),
            sites: self
                .spec
                .plan
                .waves
                .iter()
                .flat_map(|w| w.sites.clone())
                .collect(),
            release: self.spec.release.clone(),
            splits_traffic: true,
            resolution: DurationMs(1000),
        };
        let world = SimDriver::new(&scope, &self.model, seed).map_err(|bad| bad.to_string())?;
        let world = Arc::new(world);
        Ok(Opened {
            start: world.start(),
            fault: world.fault(),
            sources: Box::new(Probes(Arc::clone(&world))),
            world,
        })
    }
}

fn options(runs: u32, seed: u64, threads: usize) -> Options {
    Options {
        runs,
        seed,
        threads,
        stack: 1 << 20,
        approve_after: DurationMs::secs(60),
        give_up_after: DurationMs::secs(6 * 3600),
    }
}

fn runs(spec: &Spec, model: &Simulation, options: &Options) -> Vec<Run> {
    let worlds = Sims {
        spec: spec.clone(),
        model: Arc::new(model.clone()),
    };
    let done = simulate(spec, &worlds, &Script, options, &|| {});
    done.unwrap_or_else(|broken| panic!("{broken}"))
}

fn half_bad(faults: Vec<Fault>) -> Simulation {
    Simulation {
        bad: Permille(500),
        faults,
        ..Simulation::default()
    }
}

fn broken() -> Fault {
    Fault {
        errors: Permille(300),
        ..Fault::named("broken")
    }
}

fn late(secs: u64) -> Fault {
    Fault {
        errors: Permille(300),
        after: DurationMs::secs(secs),
        ..Fault::named("late")
    }
}

fn subject(runs: Vec<Run>) -> Subject {
    Subject {
        name: "shop & <co>".to_owned(),
        policy: "careful".to_owned(),
        strategy: "script".to_owned(),
        gates: Vec::new(),
        clusters: 4,
        nodes: 32,
        summary: Summary::of(&runs),
        runs,
    }
}

#[test]
fn the_same_seed_gives_the_same_runs_on_any_number_of_threads() {
    let spec = spec(4, DurationMs::secs(60), 0);
    let one = runs(&spec, &Simulation::default(), &options(40, 7, 1));
    let many = runs(&spec, &Simulation::default(), &options(40, 7, 4));
    assert_eq!(one, many);
    let other = runs(&spec, &Simulation::default(), &options(40, 8, 4));
    assert_ne!(one, other);
    let text = |runs: Vec<Run>| {
        let report = report(vec![subject(runs)]);
        (
            serde_json::to_string(&report).unwrap(),
            table(&report),
            page(&report),
        )
    };
    assert_eq!(text(one), text(many));
}

fn report(subjects: Vec<Subject>) -> Report {
    let comparison = match &subjects[..] {
        [first, second] => Some(Comparison::of(&first.runs, &second.runs)),
        _ => None,
    };
    Report {
        version: 1,
        wavegate: "0".to_owned(),
        seed: "1".to_owned(),
        runs: u32::try_from(subjects[0].runs.len()).unwrap(),
        simulation: Simulation::default(),
        subjects,
        comparison,
    }
}

#[test]
fn good_releases_get_through_and_broken_ones_go_back_from_the_first_site() {
    let runs = runs(
        &spec(6, DurationMs::secs(60), 0),
        &half_bad(vec![broken()]),
        &options(60, 1, 2),
    );
    let summary = Summary::of(&runs);
    assert!(summary.bad >= 15 && summary.good >= 15, "{summary:?}");
    assert_eq!(summary.caught.count, summary.bad, "{summary:?}");
    assert!(summary.false_alarms.count <= 1, "{summary:?}");
    for run in runs.iter().filter(|run| run.fault.is_some()) {
        assert_eq!(run.told, Told::Caught);
        assert_eq!(run.outcome, Outcome::RolledBack);
        assert_eq!(run.acted.as_deref(), Some("gate success"));
        assert_eq!(
            run.before_stop.clusters, 1,
            "the first wave stopped it: {run:?}"
        );
        assert!(run.in_all.harmed > 0 && run.in_all.harmed <= run.in_all.requests);
    }
    assert!(
        summary.done_ms.p50 >= 2 * 60_000,
        "two waves soak a minute each"
    );
}

#[test]
fn a_soak_that_is_shorter_than_the_delay_of_the_fault_is_exposed() {
    let model = half_bad(vec![late(180)]);
    let of = |soak| {
        runs(
            &spec(3, DurationMs::secs(soak), 0),
            &model,
            &options(60, 2, 2),
        )
    };
    let (short, long) = (of(20), of(300));
    let summaries = (Summary::of(&short), Summary::of(&long));
    assert!(summaries.0.missed.share > 0.9, "{:?}", summaries.0);
    assert!(summaries.1.caught.share > 0.9, "{:?}", summaries.1);
    let compared = Comparison::of(&short, &long);
    let of = |figure: &str| {
        let found = compared.differences.iter().find(|d| d.figure == figure);
        found.unwrap_or_else(|| panic!("{figure}")).clone()
    };
    assert!(!of("bad releases caught").noise && of("bad releases caught").difference > 0.8);
    assert!(!of("time to done of good releases").noise, "it costs time");
    assert!(
        of("false alarms among good releases").noise,
        "and no false alarms"
    );
}

#[test]
fn a_failure_budget_that_is_too_wide_is_exposed() {
    let model = half_bad(vec![broken()]);
    let of = |tolerate| {
        let runs = runs(
            &spec(8, DurationMs::secs(30), tolerate),
            &model,
            &options(30, 3, 2),
        );
        Summary::of(&runs)
    };
    let (narrow, wide) = (of(0), of(8));
    assert_eq!(narrow.clusters_exposed.max, 1, "{narrow:?}");
    assert_eq!(
        wide.clusters_exposed.p50, 8,
        "every cluster had it: {wide:?}"
    );
    assert_eq!(wide.caught.count, 0, "nothing ever stopped it");
}

#[test]
fn nothing_breaks_an_invariant_in_a_world_that_is_out_of_order() {
    let model = Simulation {
        nodes: Nodes {
            slow: Permille(100),
            flapping: Permille(100),
            ..Nodes::default()
        },
        network: Network {
            late: Permille(200),
            twice: Permille(200),
            fails: Permille(100),
            lost_every: DurationMs::secs(300),
            lost_for: DurationMs::secs(60),
            ..Network::default()
        },
        ..half_bad(vec![broken(), late(60)])
    };
    let runs = runs(
        &spec(5, DurationMs::secs(30), 1),
        &model,
        &options(80, 4, 2),
    );
    let ends: std::collections::BTreeSet<Outcome> = runs.iter().map(|run| run.outcome).collect();
    assert!(ends.contains(&Outcome::RolledBack), "{ends:?}");
    assert!(runs.iter().all(|run| run.facts > 0));
}

#[test]
fn a_question_without_an_answer_ends_the_simulation() {
    struct Asks;
    impl Ask for Asks {
        fn ask(&self, call: &PluginCall) -> CallEnd {
            match &call.question {
                Question::Evaluate { .. } => CallEnd::NeedsEvidence(vec![Query::Instant {
                    slot: "probe".into(),
                    query: "up".to_owned(),
                }]),
                _ => Script.ask(call),
            }
        }
    }
    let spec = spec(2, DurationMs::ZERO, 0);
    let worlds = Sims {
        spec: spec.clone(),
        model: Arc::new(Simulation::default()),
    };
    let broken = simulate(&spec, &worlds, &Asks, &options(5, 1, 1), &|| {}).unwrap_err();
    assert!(
        matches!(broken, Broken::NoAnswer { run: 0, .. }),
        "{broken:?}"
    );
}

#[test]
fn people_approve_after_their_time() {
    let mut spec = spec(3, DurationMs::ZERO, 0);
    spec.plan.waves[1].approval = Some("go on".to_owned());
    spec.plan.waves[1].approvers.count = 2;
    spec.plan.waves[1].approvers.by = vec!["ann".to_owned(), "bob".to_owned()];
    let model = Simulation {
        bad: Permille::NONE,
        ..Simulation::default()
    };
    let runs = runs(&spec, &model, &options(5, 1, 1));
    for run in runs {
        assert_eq!(run.outcome, Outcome::Done, "{run:?}");
        assert!(run.took_ms > 60_000);
    }
}

#[test]
fn the_page_holds_what_the_summary_says_and_no_foreign_text_as_markup() {
    let first = runs(
        &spec(4, DurationMs::secs(20), 0),
        &half_bad(vec![broken(), late(60)]),
        &options(40, 5, 2),
    );
    let second = runs(
        &spec(4, DurationMs::secs(120), 0),
        &half_bad(vec![broken(), late(60)]),
        &options(40, 5, 2),
    );
    let report = report(vec![subject(first), subject(second)]);
    let page = page(&report);
    assert!(page.contains("shop &amp; &lt;co&gt;") && !page.contains("<co>"));
    for foreign in ["<script", "http://", "https://", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // Of what is drawn, what the figures are is written, too.
    for (what, figure) in super::report::rows(&report.subjects[0]) {
        let figure = figure.replace('&', "&amp;");
        assert!(
            page.contains(what) && page.contains(&figure),
            "{what}: {figure}"
        );
        assert!(table(&report).contains(&figure), "{what}");
    }
    // The runs are all that the figures are made of.
    let json = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap();
    for subject in &read.subjects {
        assert_eq!(Summary::of(&subject.runs), subject.summary);
    }
    let [first, second] = &read.subjects[..] else {
        panic!("two subjects")
    };
    assert_eq!(
        Some(Comparison::of(&first.runs, &second.runs)),
        read.comparison
    );
}
