//! `windows` and `freezes` of a policy.

use crate::defaults;
use crate::fields::{Cx, Fields, list};
use crate::node::{Node, Value};
use crate::shapes::windows as shapes;
use crate::values;
use crate::windows::{self, BadRule};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use wavegate_model::Timestamp;
use wavegate_model::windows::{Freeze, OpenRule, WindowRules};

/// `windows: {timeZone, open}`.
pub(super) fn read(cx: Cx<'_>, node: &Node) -> Option<WindowRules> {
    let mut fields = Fields::open(cx, node, &shapes::WINDOWS)?;
    let time_zone = fields.required("timeZone", time_zone);
    let open = fields.required("open", list(open_rule));
    fields.finish()?;
    let (time_zone, open) = (time_zone?, open?);
    if open.is_empty() {
        let hint = "say when a window opens, or leave `windows` out";
        return cx.bad_value(node, "no window would ever open", Some(hint.into()));
    }
    Some(WindowRules {
        time_zone,
        open,
        freezes: Vec::new(),
    })
}

fn time_zone(cx: Cx<'_>, node: &Node) -> Option<String> {
    let name = values::text(cx, node)?;
    match windows::zone(&name) {
        Ok(_) => Some(name),
        Err(bad) => bad_rule(cx, node, &bad),
    }
}

fn bad_rule<T>(cx: Cx<'_>, node: &Node, bad: &BadRule) -> Option<T> {
    let hint = match bad {
        BadRule::TimeZone(_) => {
            "names are those of the IANA database, such as `Europe/Zurich` or `UTC`"
        }
        BadRule::Pattern { .. } => {
            "it has five fields: minute, hour, day of the month, month, day of the week, \
             as in `0 9 * * MON-FRI`"
        }
        BadRule::TooOften { .. } => "open it less often and for longer",
        BadRule::Never { .. } => "look at its day and its month",
    };
    cx.bad_value(node, bad.text(), Some(hint.into()))
}

fn open_rule(cx: Cx<'_>, node: &Node) -> Option<OpenRule> {
    let mut fields = Fields::open(cx, node, &shapes::OPEN)?;
    let cron = fields.required("cron", cron);
    let length = fields.required("for", values::duration_above_zero);
    fields.finish()?;
    Some(OpenRule {
        cron: cron?,
        length: length?,
    })
}

fn cron(cx: Cx<'_>, node: &Node) -> Option<String> {
    let text = values::text(cx, node)?;
    // The zone does not matter to whether a pattern has a meaning, nor to how often it opens.
    match windows::try_pattern(&text) {
        Ok(()) => Some(text),
        Err(bad) => bad_rule(cx, node, &bad),
    }
}

/// `freezes: [{from, to, timeZone, reason}]`.
pub(super) fn freezes(cx: Cx<'_>, node: &Node) -> Option<Vec<Freeze>> {
    list(freeze)(cx, node)
}

fn freeze(cx: Cx<'_>, node: &Node) -> Option<Freeze> {
    let mut fields = Fields::open(cx, node, &shapes::FREEZE)?;
    let zone = fields.or("timeZone", defaults::TIME_ZONE.to_owned(), time_zone);
    let from = fields.required("from", local_time);
    let to = fields.required("to", local_time);
    let reason = fields.required("reason", values::text);
    fields.finish()?;
    let (zone, from, to, reason) = (zone?, from?, to?, reason?);
    let zone = windows::zone(&zone).ok()?;
    let (from, to) = (instant(from, &zone)?, instant(to, &zone)?);
    if to <= from {
        return cx.bad_value(node, "it ends before it begins", None);
    }
    Some(Freeze { from, to, reason })
}

/// `2026-12-19T18:00`, as a clock on a wall of the time zone shows it.
fn local_time(cx: Cx<'_>, node: &Node) -> Option<DateTime> {
    let hint = "write a local date and time, as in `2026-12-19T18:00`";
    let Value::Text(text) = &node.value else {
        return cx.wrong_type(node, "a date and time", Some(hint.into()));
    };
    // A whole instant would be read without its offset, which is not what it says.
    let has_offset =
        text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|t| t.contains(['+', '-', '[']));
    match text.parse::<DateTime>() {
        Ok(at) if !has_offset => Some(at),
        Ok(_) => {
            let message = "the time zone is said by `timeZone`, not by an offset";
            cx.bad_value(node, message, Some(hint.into()))
        }
        Err(_) => {
            let message = format!("`{text}` is not a date and time");
            cx.bad_value(node, message, Some(hint.into()))
        }
    }
}

/// Of a time that a change of clocks leaves out, the instant after it; of one that comes twice,
/// the first.
fn instant(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let zoned = zone.to_ambiguous_zoned(local).compatible().ok()?;
    u64::try_from(zoned.timestamp().as_millisecond())
        .ok()
        .map(Timestamp)
}
