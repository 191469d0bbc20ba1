//! The shipped plugins do their work in this host.

use crate::ask::{Setup, block_on, call, decide, evaluate, setup_with, unavailable};
use crate::components::SHIPPED;
use std::collections::BTreeMap;
use wavegate_model::evidence::{ProbeSummary, Requests, Series};
use wavegate_model::limits::EVIDENCE_QUERIES_MAX;
use wavegate_model::plugin::{Evaluation, PluginKind, Proposal, Verdict};
use wavegate_model::policy::PluginRef;
use wavegate_model::{ClusterName, Digest, Evidence, Query, SlotName, Unavailable};
use wavegate_ports::plugins::{Answer, CallEnd, CallReport, PluginCall, Plugins, Question};

fn with_shipped() -> Setup {
    let shipped: BTreeMap<String, &'static [u8]> = SHIPPED
        .iter()
        .map(|(name, _, bytes)| ((*name).to_owned(), *bytes))
        .collect();
    setup_with(|options| options.shipped = shipped)
}

#[test]
fn each_says_what_it_is_under_its_own_name() {
    let setup = with_shipped();
    for (name, kind, _) in SHIPPED {
        let reference = PluginRef::Shipped(name.into());
        let loaded = block_on(setup.host.load(&reference, kind, setup.folder.path())).unwrap();
        assert_eq!(loaded.about.name, name);
        assert_eq!(loaded.about.kind, kind);
        assert_eq!(
            loaded.about.slots.is_empty(),
            kind == PluginKind::Strategy,
            "{name}"
        );
        assert!(!loaded.about.text.is_empty());
    }
}

#[test]
fn canary_decides() {
    let setup = with_shipped();
    let reference = PluginRef::Shipped("canary".into());
    let loaded = block_on(
        setup
            .host
            .load(&reference, PluginKind::Strategy, setup.folder.path()),
    )
    .unwrap();
    let config = r#"{"stages":[{"nodes":"25%"}]}"#.to_owned();
    assert_eq!(
        block_on(setup.host.validate_config(&loaded.digest, &config)),
        Ok(Vec::new())
    );
    let report = block_on(setup.host.call(PluginCall {
        config,
        ..call(&loaded.digest, decide(b""))
    }));
    let CallEnd::Answered(Answer::Decide(outcome)) = &report.end else {
        panic!("{:?}", report.end)
    };
    assert!(matches!(outcome.proposal, Proposal::Go(_)), "{outcome:?}");
}

/// A gate that is shipped, asked about so many updated clusters.
struct Crowd {
    setup: Setup,
    gate: Digest,
    config: &'static str,
    clusters: usize,
}

impl Crowd {
    fn new(name: &str, config: &'static str, clusters: usize) -> Self {
        let setup = with_shipped();
        let reference = PluginRef::Shipped(name.into());
        let loading = setup
            .host
            .load(&reference, PluginKind::Gate, setup.folder.path());
        let gate = block_on(loading).unwrap().digest;
        Self {
            setup,
            gate,
            config,
            clusters,
        }
    }

    fn ask(&self, answers: Vec<(Query, Evidence)>) -> CallReport {
        let mut question = evaluate(answers);
        let Question::Evaluate {
            call: asked, slots, ..
        } = &mut question
        else {
            unreachable!("it is an evaluation")
        };
        let one = asked.updated.remove(0);
        asked.updated = (0..self.clusters)
            .map(|n| {
                let mut cluster = one.clone();
                cluster.name = ClusterName::new(format!("c-{n:04}"));
                cluster
            })
            .collect();
        *slots = [SlotName::new("probe"), SlotName::new("metrics")].into();
        block_on(self.setup.host.call(PluginCall {
            config: self.config.to_owned(),
            ..call(&self.gate, question)
        }))
    }

    /// What it asks for in its only round.
    fn round(&self) -> Vec<Query> {
        match self.ask(Vec::new()).end {
            CallEnd::NeedsEvidence(queries) => queries,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn evaluation(&self, answers: Vec<(Query, Evidence)>) -> Evaluation {
        match self.ask(answers).end {
            CallEnd::Answered(Answer::Evaluate(evaluation)) => evaluation,
            other => panic!("{other:?}"),
        }
    }
}

fn healthy() -> Evidence {
    let checks = Requests {
        total: 100,
        p95_ms: Some(3.0),
        ..Requests::default()
    };
    Evidence::Probe(ProbeSummary {
        checks,
        traffic: checks,
    })
}

fn series(cluster: &str, value: f64) -> Series {
    Series {
        labels: vec![("cluster".to_owned(), cluster.to_owned())],
        samples: vec![(1.0, value)],
    }
}

#[test]
fn probe_asks_about_all_clusters_in_one_round() {
    for clusters in [100, 1000] {
        let crowd = Crowd::new("probe", "{}", clusters);
        let queries = crowd.round();
        assert_eq!(queries.len(), clusters);
        let answers = queries.into_iter().map(|query| (query, healthy()));
        let evaluation = crowd.evaluation(answers.collect());
        assert_eq!(evaluation.verdict, Verdict::Pass);
        assert_eq!(evaluation.clusters.len(), clusters);
    }
}

#[test]
fn more_clusters_than_answers_allowed_are_unavailable() {
    let crowd = Crowd::new("probe", "{}", 1025);
    assert_eq!(
        unavailable(&crowd.ask(Vec::new())),
        &Unavailable::TooManyQueries {
            limit: EVIDENCE_QUERIES_MAX
        }
    );
}

#[test]
fn threshold_asks_for_each_cluster_in_one_round() {
    let config = r#"{"query":"errors{cluster=\"{{cluster}}\"}","max":5,"perCluster":true}"#;
    let crowd = Crowd::new("threshold", config, 100);
    let queries = crowd.round();
    assert_eq!(queries.len(), 100);
    let answers = queries.into_iter().enumerate().map(|(place, query)| {
        let value = if place == 42 { 6.0 } else { 1.0 };
        (query, Evidence::Series(vec![series("", value)]))
    });
    let evaluation = crowd.evaluation(answers.collect());
    assert_eq!(evaluation.verdict, Verdict::Fail);
    let bad = evaluation
        .clusters
        .iter()
        .filter(|(_, verdict)| **verdict != Verdict::Pass);
    let bad: Vec<_> = bad.map(|(cluster, _)| cluster.as_str()).collect();
    assert_eq!(bad, ["c-0042"]);
}

#[test]
fn threshold_has_one_question_for_all_clusters_by_their_label() {
    let config = r#"{"query":"errors","max":5,"clusterLabel":"cluster"}"#;
    let crowd = Crowd::new("threshold", config, 2000);
    let queries = crowd.round();
    assert_eq!(queries.len(), 1);
    // One cluster is missing, and one is none of ours.
    let names = (0..1999)
        .map(|n| format!("c-{n:04}"))
        .chain(["other".to_owned()]);
    let all = names.map(|name| series(&name, if name == "other" { 9.0 } else { 1.0 }));
    let answer = (queries[0].clone(), Evidence::Series(all.collect()));
    let evaluation = crowd.evaluation(vec![answer]);
    assert_eq!(evaluation.verdict, Verdict::Hold);
    let held = evaluation
        .clusters
        .iter()
        .filter(|(_, verdict)| **verdict == Verdict::Hold);
    let held: Vec<_> = held.map(|(cluster, _)| cluster.as_str()).collect();
    assert_eq!(held, ["c-1999"]);
}
