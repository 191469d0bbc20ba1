//! What people, other hosts, fleets and clocks do.

use crate::hosts::Rollout;
use crate::swarm::{Swarm, wait_here};
use std::sync::Arc;
use wavegate_conductor::{read_story, swap};
use wavegate_documents::Documents;
use wavegate_engine::input::Approval;
use wavegate_engine::swap::Part;
use wavegate_engine::{Spec, State, Verb};
use wavegate_model::plugin::Subject;
use wavegate_model::policy::PluginRef;
use wavegate_model::{ClusterName, RolloutId, SiteName};
use wavegate_plugin_host::PluginHost;

/// Who may be asked to approve.
const PEOPLE: [&str; 4] = ["ann", "bob", "cat", "swarm"];

/// The state of a rollout as its journal tells it.
pub(crate) fn state(swarm: &Swarm, rollout: &RolloutId) -> Option<State> {
    let story = wait_here(read_story(&*swarm.disk.journal(), rollout));
    story.ok()?.state()
}

/// Somebody asks for something.
pub(crate) fn ask(swarm: &Swarm, rollout: &RolloutId, actor: &str, verb: &Verb) {
    let Ok(text) = serde_json::to_string(verb) else {
        return;
    };
    // A rollout that has not begun has no inbox, and a disk may refuse: then nobody has asked.
    let _refused = swarm.disk.ask(rollout, swarm.world.now(), actor, text);
}

/// Somebody asks for anything.
pub(crate) fn ask_anything(swarm: &Arc<Swarm>, rollout: &Rollout, plugins: &Arc<PluginHost>) {
    let Some(state) = state(swarm, rollout.id()) else {
        return;
    };
    let sites: Vec<SiteName> = state.sites.keys().cloned().collect();
    let site = swarm.one_of(&sites);
    let some = |permille| site.clone().filter(|_| swarm.hits(permille));
    let (name, verb) = match swarm.below(24) {
        0 | 1 => ("operator: pause", Some(Verb::Pause)),
        2..5 => ("operator: continue", Some(Verb::Continue)),
        5..9 => ("operator: approve", Some(Verb::Approve(Approval::All))),
        9 => ("operator: rollback", Some(Verb::Rollback)),
        10 => ("operator: abort", Some(Verb::Abort)),
        11 => ("operator: close", Some(Verb::Close)),
        12 | 13 => ("operator: promote", Some(Verb::Promote(some(500)))),
        14..16 => ("operator: retry", Some(Verb::Retry(some(500)))),
        16 | 17 => ("operator: skip", site.clone().map(Verb::Skip)),
        18 | 19 => (
            "operator: override-gate",
            override_gate(swarm, &state, site.clone()),
        ),
        20 => (
            "operator: supersede",
            Some(Verb::Supersede { by: "newer".into() }),
        ),
        _ => ("operator: swap", other_plugin(swarm, &state.spec, plugins)),
    };
    if let Some(verb) = verb {
        swarm.count(name);
        let actor = swarm.one_of(&PEOPLE).unwrap_or("ann");
        ask(swarm, rollout.id(), actor, &verb);
    }
}

fn override_gate(swarm: &Swarm, state: &State, site: Option<SiteName>) -> Option<Verb> {
    let gates: Vec<_> = state
        .spec
        .policy
        .gates
        .iter()
        .map(|gate| gate.name.clone())
        .collect();
    let gate = swarm.one_of(&gates)?;
    let subject = site.map(Subject::Site).filter(|_| swarm.hits(500));
    Some(Verb::OverrideGate { gate, subject })
}

/// Somebody wants another plugin, now.
pub(crate) fn swap(swarm: &Swarm, rollout: &RolloutId, plugins: &Arc<PluginHost>) {
    let state = state(swarm, rollout);
    let verb = state.and_then(|state| other_plugin(swarm, &state.spec, plugins));
    if let Some(verb) = verb {
        ask(swarm, rollout, "ann", &verb);
    }
}

/// Another component, or another configuration, for a part of the policy.
fn other_plugin(swarm: &Swarm, spec: &Spec, plugins: &Arc<PluginHost>) -> Option<Verb> {
    let gates: Vec<_> = spec
        .policy
        .gates
        .iter()
        .map(|gate| gate.name.clone())
        .collect();
    let gate = swarm.one_of(&gates).filter(|_| swarm.below(2) == 0);
    let shipped = |name: &str| PluginRef::Shipped(name.to_owned());
    let (part, reference, config) = match gate {
        Some(gate) => (
            Part::Gate(gate),
            shipped("probe"),
            Some(r#"{"minSuccess":"95%"}"#.to_owned()),
        ),
        None => {
            let others = [("rolling", "{}"), ("canary", r#"{"stages":[{"nodes":1}]}"#)];
            let (name, config) = swarm.one_of(&others)?;
            (Part::Strategy, shipped(name), Some(config.to_owned()))
        }
    };
    let base = std::path::Path::new(".");
    let prepared = wait_here(swap::prepare(
        &**plugins, spec, part, reference, base, config,
    ));
    // A component that does not fit, such as one without a slot that is bound, is refused.
    prepared.ok().map(|(swap, _)| Verb::Swap(Box::new(swap)))
}

/// The fleet's document has other clusters now.
pub(crate) fn change_fleet(
    swarm: &Swarm,
    rollout: &Rollout,
    folder: &std::path::Path,
    chosen: impl Fn(usize) -> bool,
) {
    let path = folder.join("changed.yaml");
    let text = swarm.scene.documents(chosen);
    let read = std::fs::write(&path, text).ok();
    let documents = read.and_then(|()| Documents::load(&[path]).ok());
    let reread =
        documents.and_then(|documents| documents.reread("shop", &rollout.spec.policy).ok());
    if let Some(reread) = reread {
        swarm.count("fleet: clusters come or go");
        let verb = Verb::Replan(Box::new(reread.fleet));
        ask(swarm, rollout.id(), "swarm", &verb);
    }
}

/// Any cluster that there is.
pub(crate) fn cluster(swarm: &Swarm) -> ClusterName {
    let names: Vec<&String> = swarm
        .scene
        .clusters
        .iter()
        .map(|cluster| &cluster.name)
        .collect();
    let name = swarm.one_of(&names).map_or("c0", |name| name.as_str());
    ClusterName::from(name)
}

/// Everything is well again, and people get a rollout out of whatever it is in: at first they
/// only do what it waits for, then they take it back, then they end it.
pub(crate) fn help(swarm: &Swarm, rollout: &RolloutId, look: u32) {
    let all = |verb: Verb| {
        for person in PEOPLE {
            ask(swarm, rollout, person, &verb);
        }
    };
    match look {
        0..4 => {}
        4..10 => {
            all(Verb::Approve(Approval::All));
            all(Verb::Continue);
        }
        10 => all(Verb::Retry(None)),
        11..16 => {
            all(Verb::Approve(Approval::All));
            all(Verb::Continue);
        }
        16 => all(Verb::Promote(None)),
        17..22 => all(Verb::Continue),
        22 => all(Verb::Rollback),
        23..32 => all(Verb::Continue),
        32 => all(Verb::Close),
        33..36 => {}
        _ => all(Verb::Abort),
    }
}
