//! A host on a folder of its own, and questions to put.

use crate::guests;
use std::future::Future;
use tempfile::TempDir;
use wavegate_model::limits::CallLimits;
use wavegate_model::plugin::{
    ClusterView, Completed, GateCall, GateCluster, Outcome, Phase, PluginKind, PluginState,
    Position, ReleaseId, SiteSummary, SiteView, Subject,
};
use wavegate_model::policy::PluginRef;
use wavegate_model::{
    Digest, DurationMs, Evidence, Query, RolloutId, SlotName, Timestamp, Unavailable,
};
use wavegate_plugin_host::{HostOptions, PluginHost};
use wavegate_ports::plugins::{
    Answer, CallEnd, CallReport, LoadedPlugin, PluginCall, PluginRejected, Plugins, Question,
};

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) struct Setup {
    pub(crate) host: PluginHost,
    pub(crate) folder: TempDir,
}

pub(crate) fn setup() -> Setup {
    setup_with(|_| ())
}

pub(crate) fn setup_with(change: impl FnOnce(&mut HostOptions)) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let mut options = HostOptions::new(folder.path().join("store"));
    change(&mut options);
    Setup {
        host: PluginHost::new(options).unwrap(),
        folder,
    }
}

impl Setup {
    pub(crate) fn load(
        &self,
        guest: &str,
        kind: PluginKind,
    ) -> Result<LoadedPlugin, PluginRejected> {
        guests::build_into(self.folder.path(), guest);
        let reference = PluginRef::File(format!("{guest}.wasm"));
        block_on(self.host.load(&reference, kind, self.folder.path()))
    }

    pub(crate) fn strategy(&self, guest: &str) -> Digest {
        self.load(guest, PluginKind::Strategy).unwrap().digest
    }

    pub(crate) fn gate(&self, guest: &str) -> Digest {
        self.load(guest, PluginKind::Gate).unwrap().digest
    }

    pub(crate) fn call(&self, digest: &Digest, question: Question) -> CallReport {
        block_on(self.host.call(call(digest, question)))
    }

    pub(crate) fn decide(&self, digest: &Digest, state: &[u8]) -> CallReport {
        self.call(digest, decide(state))
    }

    pub(crate) fn outcome(&self, digest: &Digest, state: &[u8]) -> Outcome {
        match self.decide(digest, state).end {
            CallEnd::Answered(Answer::Decide(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn evaluate(&self, digest: &Digest, evidence: Vec<(Query, Evidence)>) -> CallReport {
        self.call(digest, evaluate(evidence))
    }
}

pub(crate) fn unavailable(report: &CallReport) -> &Unavailable {
    match &report.end {
        CallEnd::Unavailable(why) => why,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn call(digest: &Digest, question: Question) -> PluginCall {
    let config = "{}".to_owned();
    PluginCall {
        rollout: RolloutId::new("r1"),
        digest: digest.clone(),
        config,
        limits: CallLimits::SMALL,
        question,
    }
}

pub(crate) fn release() -> ReleaseId {
    ReleaseId {
        version: "2.0".into(),
        digest: Digest::from_sha256(&[2; 32]),
    }
}

pub(crate) fn summary() -> SiteSummary {
    SiteSummary {
        site: "eu-1".into(),
        clusters: vec![("eu-1".into(), String::new(), 4)],
    }
}

pub(crate) fn view() -> SiteView {
    let cluster = ClusterView {
        name: "eu-1".into(),
        role: String::new(),
        baseline: Digest::from_sha256(&[1; 32]),
        desired: 4,
        new_ready: 0,
        new_unready: 0,
        baseline_ready: 4,
        baseline_unready: 0,
        other: 0,
        failed: 0,
        new_permille: 0,
        baseline_permille: 1000,
        batch_max: 4,
        unavailable_max: 1,
        surge_max: 1,
    };
    SiteView {
        now: Timestamp(1_800_000_000_000),
        site: "eu-1".into(),
        clusters: vec![cluster],
        splits_traffic: true,
        release: release(),
        stage: String::new(),
        stage_elapsed: DurationMs::ZERO,
        site_elapsed: DurationMs::ZERO,
        time_left: None,
        completed: Completed::Nothing,
        gates: Vec::new(),
        position: Position {
            wave_name: "first".into(),
            wave: 1,
            waves: 2,
            site: 1,
            sites: 3,
        },
    }
}

pub(crate) fn decide(state: &[u8]) -> Question {
    Question::Decide {
        view: view(),
        state: PluginState(state.to_vec()),
    }
}

pub(crate) fn evaluate(evidence: Vec<(Query, Evidence)>) -> Question {
    let updated = GateCluster {
        name: "eu-1".into(),
        role: String::new(),
        baseline: Digest::from_sha256(&[1; 32]),
        new_ready: 2,
        baseline_ready: 2,
    };
    let call = GateCall {
        now: Timestamp(1_800_000_000_000),
        subject: Subject::Site("eu-1".into()),
        phase: Phase::AfterBatch,
        attempt: 0,
        evidence_start: Timestamp(1_799_999_990_000),
        release: release(),
        updated: vec![updated],
        untouched: Vec::new(),
    };
    let slots = [SlotName::new("probes")].into();
    Question::Evaluate {
        call,
        state: PluginState::default(),
        evidence,
        slots,
    }
}
