//! Maps of `windows` and `freezes`.

use crate::shape::{Kind, Shape, defaulted, required};

pub(crate) const WINDOWS: Shape = Shape::of(
    "`windows`",
    "When the rollout may go on. Outside of them nothing new starts and time limits stand still; what goes back goes back.",
    &[&[
        required(
            "timeZone",
            Kind::Text,
            "Name of the IANA database that patterns are meant in, such as `Europe/Zurich`.",
        ),
        required(
            "open",
            Kind::List(1, &Kind::Map(&OPEN)),
            "The windows; one that is open is enough.",
        ),
    ]],
);

pub(crate) const OPEN: Shape = Shape::of(
    "window",
    "A window that opens again and again.",
    &[&[
        required(
            "cron",
            Kind::Text,
            "When it opens: minute, hour, day of the month, month, day of the week.",
        ),
        required(
            "for",
            Kind::DurationAboveZero,
            "How long it stays open, in elapsed time.",
        ),
    ]],
);

pub(crate) const FREEZE: Shape = Shape::of(
    "freeze",
    "A time in which nothing new starts, whatever window is open.",
    &[&[
        required(
            "from",
            Kind::Text,
            "Local date and time, as in `2026-12-19T18:00`.",
        ),
        required("to", Kind::Text, "The first local date and time after it."),
        defaulted(
            "timeZone",
            Kind::Text,
            "\"UTC\"",
            "Name of the IANA database that both are meant in.",
        ),
        required("reason", Kind::Text, "Why, for people."),
    ]],
);
