//! Maps that say who has to agree.

use crate::kinds::STARTER;
use crate::shape::{Field, Kind, Shape, defaulted, optional, required, words};

/// Who may, and how many have to.
const APPROVERS: &[Field] = &[
    optional(
        "by",
        Kind::List(1, &Kind::Text),
        "Who may, by the names of users; anybody if left out.",
    ),
    defaulted(
        "count",
        Kind::Whole(1, 100),
        "1",
        "How many different people have to.",
    ),
    defaulted(
        "starter",
        Kind::Words(|| words(STARTER)),
        "\"counts\"",
        "Whether whoever started the rollout counts.",
    ),
];

pub(crate) const APPROVAL: Shape = Shape::of(
    "wave's approval",
    "People have to approve the start of a wave.",
    &[
        &[required("text", Kind::Text, "What is asked of them.")],
        APPROVERS,
    ],
);

pub(crate) const STAGE_APPROVAL: Shape = Shape::of(
    "stage's approval",
    "People have to approve before a site does what a stage wants.",
    &[
        &[
            required("stage", Kind::Text, "The stage, as the strategy names it."),
            optional(
                "waves",
                Kind::List(1, &Kind::Name),
                "In these waves; in all if left out.",
            ),
            required("text", Kind::Text, "What is asked of them."),
        ],
        APPROVERS,
    ],
);
