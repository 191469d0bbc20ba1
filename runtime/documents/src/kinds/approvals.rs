//! Who has to agree, before a wave or a stage.

use crate::diagnostic::{Code, Diagnostic, quoted};
use crate::fields::{Cx, Fields, Spot, list, spot};
use crate::node::{Node, Value};
use crate::shapes::approvals as shapes;
use crate::source::Place;
use crate::suggest;
use crate::values;
use wavegate_model::approval::Starter;
use wavegate_model::policy::Wave;
use wavegate_model::{Approvers, StageApproval, WaveName};

pub(crate) const STARTER: &[(&str, Starter)] = &[
    ("counts", Starter::Counts),
    ("doesNotCount", Starter::DoesNotCount),
];

/// Approvals of stages in a policy: some for each stage of each strategy.
const STAGES_MAX: usize = 1000;

/// The places of an approval of a stage.
#[derive(Debug)]
pub(crate) struct StageSpots {
    pub(crate) stage: Place,
    waves: Vec<Place>,
}

/// `approval: what for`, or `{text, by, count, starter}`.
pub(super) fn of_wave(cx: Cx<'_>, node: &Node) -> Option<(String, Approvers)> {
    let Value::Map(_) = &node.value else {
        return Some((values::text(cx, node)?, Approvers::default()));
    };
    let mut fields = Fields::open(cx, node, &shapes::APPROVAL)?;
    let text = fields.required("text", values::text);
    let approvers = approvers(cx, &mut fields);
    fields.finish()?;
    Some((text?, approvers?))
}

/// `approvals: [{stage, waves, text, by, count, starter}]`.
pub(super) fn of_stages(cx: Cx<'_>, node: &Node) -> Option<Vec<(StageApproval, StageSpots)>> {
    let stages = list(of_stage)(cx, node)?;
    if stages.len() > STAGES_MAX {
        let message = format!("more than {STAGES_MAX} approvals of stages");
        return cx.fail(Diagnostic::error(Code::TooLarge, message).at(cx.place(node), ""));
    }
    Some(stages)
}

fn of_stage(cx: Cx<'_>, node: &Node) -> Option<(StageApproval, StageSpots)> {
    let mut fields = Fields::open(cx, node, &shapes::STAGE_APPROVAL)?;
    let stage = fields.required("stage", spot(values::text));
    let waves = fields.or("waves", Vec::new(), some(values::name::<WaveName>));
    let text = fields.required("text", values::text);
    let approvers = approvers(cx, &mut fields);
    fields.finish()?;
    let (stage, waves) = (stage?, waves?);
    let spots = StageSpots {
        stage: stage.place,
        waves: waves.iter().map(|wave| wave.place.clone()).collect(),
    };
    let approval = StageApproval {
        stage: stage.value,
        waves: waves.into_iter().map(|wave| wave.value).collect(),
        text: text?,
        approvers: approvers?,
    };
    Some((approval, spots))
}

fn approvers(cx: Cx<'_>, fields: &mut Fields<'_, '_>) -> Option<Approvers> {
    let by = fields.or("by", Vec::new(), some(values::text));
    let count = fields.or(
        "count",
        spot_of_default(fields.place()),
        spot(values::whole(1, 100)),
    );
    let starter = fields.or("starter", Starter::Counts, values::choice(STARTER));
    let (by, count, starter) = (by?, count?, starter?);
    let mut good = true;
    for (at, person) in by.iter().enumerate() {
        if let Some(first) = by[..at].iter().find(|first| first.value == person.value) {
            good = false;
            let message = format!("{} is there twice", quoted(&person.value));
            let problem = Diagnostic::error(Code::Duplicate, message)
                .at(person.place.clone(), "again")
                .see(first.place.clone(), "first")
                .hint("a person counts once");
            cx.problems.push(problem);
        }
    }
    let people = u32::try_from(by.len()).unwrap_or(u32::MAX);
    if people > 0 && count.value > people {
        let message = format!("{} people have to approve, and {people} may", count.value);
        let problem = Diagnostic::error(Code::BadValue, message).at(count.place, "");
        return cx.fail(problem.hint("name more people in `by`, or ask for fewer"));
    }
    good.then(|| Approvers {
        by: by.into_iter().map(|person| person.value).collect(),
        count: count.value,
        starter,
    })
}

/// A list that is not empty: an empty one would read as nobody, and mean anybody.
fn some<T>(
    read: impl Fn(Cx<'_>, &Node) -> Option<T>,
) -> impl Fn(Cx<'_>, &Node) -> Option<Vec<Spot<T>>> {
    let read = list(spot(read));
    move |cx, node| {
        let items = read(cx, node)?;
        if items.is_empty() {
            let hint = "leave it out to mean all";
            return cx.bad_value(node, "the list is empty", Some(hint.into()));
        }
        Some(items)
    }
}

fn spot_of_default(place: Place) -> Spot<u32> {
    Spot { value: 1, place }
}

/// Every wave that is named is there, and no stage of a wave has two approvals.
pub(super) fn check(
    cx: Cx<'_>,
    waves: &[Wave],
    stages: &[(StageApproval, StageSpots)],
) -> Option<()> {
    let mut good = true;
    for (at, (approval, spots)) in stages.iter().enumerate() {
        for (name, place) in approval.waves.iter().zip(&spots.waves) {
            if waves.iter().all(|wave| wave.name != *name) {
                good = false;
                let message = format!("the policy has no wave `{name}`");
                let names = waves.iter().map(|wave| wave.name.as_str());
                let hint = suggest::name_hint(name.as_str(), names);
                let problem = Diagnostic::error(Code::Dangling, message);
                cx.problems
                    .push(problem.at(place.clone(), "").maybe_hint(hint));
            }
        }
        let same = |(other, _): &&(StageApproval, StageSpots)| {
            let everywhere = other.waves.is_empty() || approval.waves.is_empty();
            let both = approval.waves.iter().any(|wave| other.waves.contains(wave));
            other.stage == approval.stage && (everywhere || both)
        };
        if let Some((_, first)) = stages[..at].iter().find(same) {
            good = false;
            let stage = quoted(&approval.stage);
            let message = format!("the stage {stage} has two approvals in one wave");
            let problem = Diagnostic::error(Code::Duplicate, message)
                .at(spots.stage.clone(), "again")
                .see(first.stage.clone(), "first")
                .hint("say all in one, with `count`, or give each its `waves`");
            cx.problems.push(problem);
        }
    }
    good.then_some(())
}
