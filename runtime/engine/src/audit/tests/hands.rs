//! A small rollout whose facts are made by hand.

use super::super::{Auditor, Violation};
use crate::command::{Change, Effect, NodesChange};
use crate::fact::{Fact, FailReason, StopReason};
use crate::input::CommandResult;
use crate::spec::{Capabilities, Pins, Spec};
use crate::state::GateKey;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use wavegate_model::limits::CallLimits;
use wavegate_model::plan::{PlannedCluster, PlannedSite, PlannedWave};
use wavegate_model::plugin::{Evaluation, Outcome, Phase, PluginState, Proposal, Subject, Verdict};
use wavegate_model::policy::{
    Batch, EndState, Failure, GateBudget, GateUse, Membership, OnUnavailable, OnUnreachable,
    PluginRef, Policy, Rollback, StrategyUse, TimeLimits,
};
use wavegate_model::release::Reversal;
use wavegate_model::windows::{WindowRules, Windows};
use wavegate_model::{
    Amount, ClusterObservation, CommandId, ConsultationId, Digest, DurationMs, Epoch, Generation,
    NodeCounts, Permille, Plan, PolicyName, Release, RolloutId, ServiceName, Share, SiteName,
    Split, Timestamp,
};

pub(super) fn digest(n: u8) -> Digest {
    Digest::from_sha256(&[n; 32])
}

pub(super) fn release(n: u8) -> Release {
    Release {
        version: alloc::format!("{n}"),
        digest: digest(n),
        artifacts: BTreeMap::new(),
        reversal: Reversal::Possible,
    }
}

pub(super) fn wave(name: &str, sites: &[&str], after: Vec<usize>) -> PlannedWave {
    let site = |name: &&str| PlannedSite {
        name: (*name).into(),
        clusters: vec![PlannedCluster {
            name: (*name).into(),
            role: String::new(),
        }],
    };
    PlannedWave {
        name: name.into(),
        after,
        sites: sites.iter().map(site).collect(),
        max_parallel_sites: 1,
        site_soak: DurationMs::ZERO,
        soak: DurationMs::ZERO,
        approval: None,
        approvers: Default::default(),
        gates: None,
        origin: Default::default(),
    }
}

/// Sites a and b, then c, each a cluster of four nodes; one node may be down.
pub(super) fn spec() -> Spec {
    Spec {
        rollout: RolloutId::new("r"),
        service: ServiceName::new("s"),
        release: release(2),
        policy: Policy {
            name: PolicyName::new("p"),
            waves: Vec::new(),
            site_by: None,
            role_by: None,
            exclude: None,
            batch: Batch {
                size: Amount::Count(2),
                max_unavailable: Amount::Count(1),
                max_surge: Amount::Count(1),
            },
            time_limits: TimeLimits::default(),
            failure: Failure {
                tolerate: Amount::Count(0),
                tolerate_per_wave: Amount::Count(0),
                then: EndState::RollBackTouched,
                rollback: Rollback {
                    batch: Amount::Count(4),
                    max_unavailable: Amount::Count(2),
                    max_parallel_sites: 1,
                    progress: DurationMs::secs(60),
                },
            },
            when_busy: Default::default(),
            windows: WindowRules::default(),
            approvals: Vec::new(),
            membership: Membership {
                unreachable_after: DurationMs::secs(10),
                unreachable: OnUnreachable::Wait,
                added: Default::default(),
                removed: Default::default(),
            },
            strategy: StrategyUse {
                plugin: PluginRef::Shipped(String::from("s")),
                config: String::from("{}"),
                limits: CallLimits::SMALL,
                class: None,
            },
            gates: Vec::new(),
        },
        plan: Plan {
            generation: Generation(3),
            parent: None,
            waves: vec![wave("w0", &["a", "b"], vec![]), wave("w1", &["c"], vec![0])],
            excluded: Vec::new(),
        },
        clusters: Vec::new(),
        sources: Vec::new(),
        capabilities: Capabilities {
            splits_traffic: true,
            surges: true,
        },
        origin: None,
        windows: Windows::default(),
        started_by: String::from("sam"),
        wave_windows: BTreeMap::new(),
        pins: Pins {
            strategy: digest(9),
            strategy_name: String::new(),
            gates: BTreeMap::new(),
            strategy_state: None,
            gate_states: BTreeMap::new(),
        },
    }
}

pub(super) fn with_gate(phase: Phase) -> Spec {
    let mut spec = spec();
    spec.policy.gates.push(GateUse {
        name: "g".into(),
        plugin: PluginRef::Shipped(String::from("g")),
        config: String::from("{}"),
        phases: BTreeSet::from([phase]),
        interval: DurationMs::secs(5),
        slots: BTreeMap::new(),
        budget: GateBudget::default(),
        min_samples: 0,
        passes: 1,
        fresh_for: None,
        trial: false,
        on_unavailable: OnUnavailable::Hold,
        limits: CallLimits::SMALL,
        class: None,
    });
    spec
}

/// Facts in a row, a second apart.
#[derive(Clone)]
pub(super) struct Tale {
    auditor: Auditor,
    pub(super) now: u64,
    command: u64,
    asked: u64,
}

impl Tale {
    /// All clusters are claimed and seen on the baseline, ready, with all their traffic.
    pub(super) fn new(spec: &Spec) -> Self {
        let mut tale = Self {
            auditor: Auditor::new(spec),
            now: 1_000_000,
            command: 0,
            asked: 0,
        };
        tale.ok(Fact::Started {
            spec: Box::new(spec.clone()),
        });
        for name in ["a", "b", "c"] {
            tale.ok(Fact::Claimed {
                cluster: name.into(),
                epoch: Epoch(7),
            });
            tale.see(name, 0, 4, 0);
            tale.ok(Fact::BaselineTaken {
                cluster: name.into(),
                release: Box::new(release(1)),
                desired: 4,
                remainder: Vec::new(),
            });
        }
        tale
    }

    /// As new, and site a is being updated.
    pub(super) fn updating(spec: &Spec) -> Self {
        let mut tale = Self::new(spec);
        tale.ok(Fact::WaveStarted { wave: "w0".into() });
        tale.site("a");
        tale
    }

    pub(super) fn observe(&mut self, fact: &Fact) -> Result<(), Violation> {
        self.now += 1000;
        self.auditor.observe(Timestamp(self.now), fact)
    }

    pub(super) fn ok(&mut self, fact: Fact) {
        let answer = self.observe(&fact);
        assert_eq!(answer, Ok(()), "{fact:?}");
    }

    pub(super) fn bad(&mut self, fact: Fact) -> Violation {
        let violation = self.observe(&fact).expect_err("the fact breaks a rule");
        assert!(!alloc::format!("{violation}").is_empty());
        violation
    }

    /// Ready nodes on the release and on the baseline; the permille that goes to the release.
    pub(super) fn see(&mut self, name: &str, new: u32, old: u32, share: u32) {
        self.see_unready(name, (new, 0), (old, 0), share);
    }

    pub(super) fn see_unready(&mut self, name: &str, new: (u32, u32), old: (u32, u32), share: u32) {
        let counts = |(ready, unready)| NodeCounts {
            ready,
            unready,
            failed: 0,
        };
        let nodes = BTreeMap::from([(digest(2), counts(new)), (digest(1), counts(old))]);
        let traffic = BTreeMap::from([
            (digest(2), Permille(share)),
            (digest(1), Permille(1000 - share)),
        ]);
        let seen = ClusterObservation {
            at: Timestamp(self.now + 1000),
            desired: 4,
            nodes: nodes.into(),
            releases: [].into(),
            traffic: Some(traffic.into()),
            busy: false,
            last_nodes: None,
            last_traffic: None,
        };
        self.ok(Fact::Observed {
            cluster: name.into(),
            seen: seen.into(),
        });
    }

    pub(super) fn site(&mut self, name: &str) {
        self.ok(site_started(name));
    }

    pub(super) fn nodes(&mut self, site: &str, new: u32, baseline: u32) -> Fact {
        self.command += 1;
        effect(
            self.command,
            site,
            Change::Nodes(NodesChange {
                cluster: site.into(),
                epoch: Epoch(7),
                desired: 4,
                new,
                baseline,
                nodes: Vec::new(),
            }),
        )
    }

    pub(super) fn traffic(&mut self, site: &str, new: u32, baseline: u32) -> Fact {
        self.command += 1;
        let share = |n, share| Share {
            cluster: site.into(),
            release: digest(n),
            share: Permille(share),
        };
        effect(
            self.command,
            site,
            Change::Traffic {
                epochs: BTreeMap::from([(site.into(), Epoch(7))]),
                split: Split::new([share(2, new), share(1, baseline)]),
            },
        )
    }

    /// Gives a command, has it carried out, and looks at what came of it.
    pub(super) fn carry_out(&mut self, command: Fact) {
        self.ok(command);
        self.ok(Fact::CommandConfirmed {
            command: CommandId(self.command),
        });
    }

    /// The cluster did not answer to a command.
    pub(super) fn give_up(&mut self, command: Fact) {
        self.ok(command);
        self.ok(Fact::CommandRefused {
            command: CommandId(self.command),
            result: CommandResult::Failed(String::from("no answer")),
        });
    }

    /// Site a is on the release with everything.
    pub(super) fn update_a(&mut self) {
        for (new, share) in [(1, 334), (2, 667), (3, 1000)] {
            let nodes = self.nodes("a", new, 4 - new);
            self.carry_out(nodes);
            let before = [0, 334, 667][usize::try_from(new - 1).unwrap()];
            self.see("a", new, 4 - new, before);
            self.ok(Fact::BatchSettled { site: "a".into() });
            let traffic = self.traffic("a", share, 1000 - share);
            self.carry_out(traffic);
            self.see("a", new, 4 - new, share);
        }
        let nodes = self.nodes("a", 4, 0);
        self.carry_out(nodes);
        self.see("a", 4, 0, 1000);
        self.ok(Fact::BatchSettled { site: "a".into() });
    }

    pub(super) fn ask(&mut self, key: &GateKey) {
        self.asked += 1;
        self.ok(Fact::GateAsked {
            consultation: ConsultationId(self.asked),
            gate: key.clone(),
        });
    }

    pub(super) fn answer(&mut self, key: &GateKey, verdict: Verdict) {
        let evaluation = Evaluation {
            verdict,
            reason: String::new(),
            clusters: BTreeMap::new(),
            measurements: Vec::new(),
            state: PluginState::default(),
            newest: None,
        };
        self.ok(Fact::GateAnswered {
            consultation: ConsultationId(self.asked),
            gate: key.clone(),
            evaluation: Box::new(evaluation),
        });
    }

    pub(super) fn finish_a(&mut self) {
        self.update_a();
        self.ok(Fact::SiteSoakStarted { site: "a".into() });
        self.ok(Fact::SiteDone { site: "a".into() });
    }

    pub(super) fn fail(&mut self, site: &str) {
        self.ok(Fact::SiteFailed {
            site: site.into(),
            reason: FailReason::Strategy(String::new()),
        });
    }
}

pub(super) fn effect(id: u64, site: &str, change: Change) -> Fact {
    Fact::CommandIssued {
        effect: Box::new(Effect {
            id: CommandId(id),
            generation: Generation(3),
            site: site.into(),
            change,
        }),
    }
}

pub(super) fn changed(fact: Fact, change: impl FnOnce(&mut Effect)) -> Fact {
    let Fact::CommandIssued { mut effect } = fact else {
        panic!("only commands are changed")
    };
    change(&mut effect);
    Fact::CommandIssued { effect }
}

pub(super) fn site_started(name: &str) -> Fact {
    let share = Share {
        cluster: name.into(),
        release: digest(1),
        share: Permille::ALL,
    };
    Fact::SiteStarted {
        site: name.into(),
        split: Split::new([share]),
        demand: 4,
    }
}

pub(super) fn gate_of(site: &str, phase: Phase) -> GateKey {
    GateKey {
        subject: Subject::Site(site.into()),
        phase,
        gate: "g".into(),
    }
}

pub(super) fn stop(sites: &[&str]) -> Fact {
    Fact::Stopped {
        reason: StopReason::Failure { site: "a".into() },
        sites: sites.iter().map(|site| SiteName::from(*site)).collect(),
    }
}

pub(super) fn answered(proposal: Proposal) -> Fact {
    Fact::StrategyAnswered {
        consultation: ConsultationId(99),
        site: "a".into(),
        outcome: Box::new(Outcome {
            proposal,
            stage: String::new(),
            reason: String::new(),
            state: PluginState::default(),
        }),
    }
}
