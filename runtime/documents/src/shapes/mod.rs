//! The maps of all documents. A field that is added here is asked for by its reader in
//! `crate::kinds`, or every document of the kind panics in the tests; and the other way round.

pub(crate) mod approvals;
pub(crate) mod fleet;
pub(crate) mod policy;
pub(crate) mod simulation;
pub(crate) mod source;
pub(crate) mod windows;

use crate::kinds;
use crate::shape::{Field, Kind, Shape, required};

/// The head of every document.
pub(crate) const DOCUMENT: Shape = Shape::of(
    "document",
    "A document of Wavegate.",
    &[&[
        required(
            "apiVersion",
            Kind::Words(|| vec![kinds::API_VERSION]),
            "The version of the documents.",
        ),
        required(
            "kind",
            Kind::Words(|| kinds::kinds().map(|(name, _)| name).collect()),
            "What the document is.",
        ),
        required("metadata", Kind::Map(&METADATA), "How others refer to it."),
        required("spec", Kind::Open, "What it says."),
    ]],
)
.not_built(&["status"]);

pub(crate) const METADATA: Shape = Shape::of(
    "`metadata`",
    "How others refer to the document.",
    &[&[required(
        "name",
        Kind::DocumentName,
        "Unique among the documents of its kind.",
    )]],
)
.not_built(&["annotations", "labels", "namespace"]);

pub(crate) const ROLLOUT: Shape = Shape::of(
    "Rollout",
    "A release over a fleet by a policy.",
    &[&[
        required("service", Kind::Name, "What the release is a version of."),
        required("policy", Kind::DocumentName, "Name of a `RolloutPolicy`."),
        required("fleet", Kind::DocumentName, "Name of a `Fleet`."),
        required("release", Kind::DocumentName, "Name of a `Release`."),
    ]],
)
.not_built(&["start", "approvals"]);

/// What a driver knows itself stands in a block that is named after it.
pub(crate) const fn block(name: &'static str, shape: &'static Shape) -> Field {
    crate::shape::optional(name, Kind::Map(shape), shape.about)
}
