//! Windows and freezes as instants.
//!
//! Patterns and time zones end here: what leaves is a list of instants, so that the engine needs
//! neither, and a journal means the same wherever it is read.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use std::collections::{BTreeMap, BTreeSet};
use wavegate_model::policy::Wave;
use wavegate_model::windows::{Closed, OpenRule, WindowRules, Windows};
use wavegate_model::{DurationMs, Policy, Timestamp, WaveName};

/// How far ahead windows are worked out. A rollout may take 40 days of active time; with windows
/// of a few hours a week that is a year.
pub const HORIZON: DurationMs = DurationMs(400 * 24 * 3600 * 1000);
/// Times that one pattern may open until then: once an hour, and some. More would make the start
/// of every rollout a list of thousands of instants.
const OPENINGS_MAX: usize = 10_000;

/// Why rules have no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadRule {
    TimeZone(String),
    Pattern { cron: String, why: String },
    TooOften { cron: String },
    Never { cron: String },
}

impl BadRule {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::TimeZone(name) => format!("`{name}` is not a time zone that is known here"),
            Self::Pattern { cron, why } => format!("`{cron}` is not a cron pattern: {why}"),
            Self::TooOften { cron } => format!(
                "`{cron}` opens more than {OPENINGS_MAX} times in {} days",
                HORIZON.0 / 86_400_000
            ),
            Self::Never { cron } => format!(
                "`{cron}` does not open within {} days",
                HORIZON.0 / 86_400_000
            ),
        }
    }
}

/// The zone of a name of the IANA database.
pub(crate) fn zone(name: &str) -> Result<TimeZone, BadRule> {
    TimeZone::get(name).map_err(|_| BadRule::TimeZone(name.to_owned()))
}

/// A pattern of five fields: minute, hour, day of the month, month, day of the week.
pub(crate) fn pattern(text: &str) -> Result<Cron, BadRule> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| BadRule::Pattern {
        cron: text.to_owned(),
        why: error.to_string(),
    })
}

/// Whether a pattern has a meaning.
pub(crate) fn try_pattern(text: &str) -> Result<(), BadRule> {
    let rule = OpenRule {
        cron: text.to_owned(),
        length: DurationMs(1),
    };
    // Any year has all that a pattern of five fields can ask for, but for the 29th of February.
    let leap_year = Timestamp(1_830_297_600_000);
    let end = leap_year.plus(HORIZON);
    openings(&rule, &TimeZone::UTC, leap_year, end).map(drop)
}

/// The instants at which nothing new may start, from `now` on. With windows, everything after
/// [`HORIZON`] is closed: nobody has said what is open then.
///
/// # Errors
/// In words: a pattern that does not open within the horizon, or a time zone that is not known.
pub fn expand(rules: &WindowRules, now: Timestamp) -> Result<Windows, String> {
    opened(rules, now).map_err(|bad| bad.text())
}

/// The same for each wave of a policy that has windows of its own.
///
/// # Errors
/// As [`expand`], with the wave's name.
pub fn expand_waves(
    policy: &Policy,
    now: Timestamp,
) -> Result<BTreeMap<WaveName, Windows>, String> {
    let own = |wave: &Wave| Some((wave.name.clone(), wave.windows.clone()?));
    let own = policy.waves.iter().filter_map(own);
    own.map(|(name, rules)| match expand(&rules, now) {
        Ok(windows) => Ok((name, windows)),
        Err(why) => Err(format!("wave `{name}`: {why}")),
    })
    .collect()
}

fn opened(rules: &WindowRules, now: Timestamp) -> Result<Windows, BadRule> {
    let zone = match rules.open.is_empty() {
        true => TimeZone::UTC,
        false => zone(&rules.time_zone)?,
    };
    let end = now.plus(HORIZON);
    let mut open = Vec::new();
    for rule in &rules.open {
        open.extend(openings(rule, &zone, now, end)?);
    }
    open.sort_unstable();
    Ok(Windows {
        closed: closed(rules, &merged(open), now, end),
    })
}

type Span = (Timestamp, Timestamp);

fn openings(
    rule: &OpenRule,
    zone: &TimeZone,
    now: Timestamp,
    end: Timestamp,
) -> Result<Vec<Span>, BadRule> {
    let cron = pattern(&rule.cron)?;
    // One that opened before may still be open.
    let from = zoned(Timestamp(now.0.saturating_sub(rule.length.0)), zone);
    let mut found = Vec::new();
    for occurrence in cron.iter_after(from) {
        let opens = instant(&occurrence);
        if opens >= end {
            break;
        }
        if found.len() == OPENINGS_MAX {
            let cron = rule.cron.clone();
            return Err(BadRule::TooOften { cron });
        }
        found.push((opens, opens.plus(rule.length)));
    }
    if found.is_empty() {
        let cron = rule.cron.clone();
        return Err(BadRule::Never { cron });
    }
    Ok(found)
}

/// Sorted spans, with those that touch in one.
fn merged(sorted: Vec<Span>) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::new();
    for (from, to) in sorted {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// What is not open, or is frozen. A freeze says more than a window that is not open.
fn closed(rules: &WindowRules, open: &[Span], now: Timestamp, end: Timestamp) -> Vec<Closed> {
    let has_windows = !rules.open.is_empty();
    let freezes = rules.freezes.iter();
    let mut edges: BTreeSet<Timestamp> = freezes.flat_map(|f| [f.from, f.to]).collect();
    edges.extend(open.iter().flat_map(|(from, to)| [*from, *to]));
    edges.extend([now, end]);
    let edges: Vec<Timestamp> = edges.into_iter().filter(|at| *at >= now).collect();
    let mut closed: Vec<Closed> = Vec::new();
    for (index, from) in edges.iter().enumerate() {
        let frozen = rules
            .freezes
            .iter()
            .find(|f| f.from <= *from && *from < f.to);
        let why = match frozen {
            Some(freeze) => format!("a freeze: {}", freeze.reason),
            None if has_windows && (*from >= end || !is_in(open, *from)) => {
                format!("it is outside of its windows ({})", rules.time_zone)
            }
            None => continue,
        };
        let to = edges.get(index + 1).copied();
        match closed.last_mut() {
            Some(last) if last.to == Some(*from) && last.why == why => last.to = to,
            _ => closed.push(Closed {
                from: *from,
                to,
                why,
            }),
        }
    }
    closed
}

fn is_in(open: &[Span], at: Timestamp) -> bool {
    let next = open.partition_point(|(from, _)| *from <= at);
    next.checked_sub(1).is_some_and(|last| at < open[last].1)
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    let since = SignedDuration::from_millis(i64::try_from(at.0).unwrap_or(i64::MAX));
    let instant = jiff::Timestamp::from_duration(since).unwrap_or(jiff::Timestamp::MAX);
    instant.to_zoned(zone.clone())
}

fn instant(zoned: &Zoned) -> Timestamp {
    Timestamp(u64::try_from(zoned.timestamp().as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wavegate_model::windows::Freeze;

    const HOUR: u64 = 3_600_000;

    fn at(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = text.parse().expect("an instant");
        Timestamp(u64::try_from(instant.as_millisecond()).expect("after 1970"))
    }

    fn rules(zone: &str, cron: &str, hours: u64) -> WindowRules {
        WindowRules {
            time_zone: zone.to_owned(),
            open: vec![OpenRule {
                cron: cron.to_owned(),
                length: DurationMs(hours * HOUR),
            }],
            freezes: Vec::new(),
        }
    }

    /// Every quarter of an hour of a year, against the zone's own wall clock: offices are open
    /// from nine to five on working days, whatever the clocks were set to.
    #[test]
    fn a_year_of_office_hours_follows_the_wall_clock_through_both_changes_of_time() {
        for name in [
            "Europe/Zurich",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
        ] {
            let start = at("2026-11-23T00:00:00Z");
            let windows = expand(&rules(name, "0 9 * * MON-FRI", 8), start).expect("windows");
            let zone = zone(name).expect("a zone");
            let (mut offsets, mut open) = (BTreeSet::new(), 0);
            for quarter in 0..365 * 96 {
                let now = start.plus(DurationMs(quarter * HOUR / 4));
                let local = zoned(now, &zone);
                offsets.insert(local.offset());
                let works = local.weekday().to_monday_zero_offset() < 5;
                let office = works && (9..17).contains(&local.hour());
                assert_eq!(windows.closed_at(now).is_none(), office, "{local}");
                open += u64::from(office);
            }
            assert_eq!(open, 261 * 32, "{name}");
            assert_eq!(offsets.len(), if name == "Asia/Kolkata" { 1 } else { 2 });
        }
    }

    /// 02:30 is skipped on one night and comes twice on another; a window of a night opens on both,
    /// once, and is as long as it says.
    #[test]
    fn a_window_in_the_hour_that_is_missing_or_doubled_opens_once() {
        let start = at("2027-01-01T00:00:00Z");
        let windows = expand(&rules("Europe/Zurich", "30 2 * * *", 2), start).expect("windows");
        let openings_on = |from: &str, to: &str| {
            let spans = windows.closed.iter().filter_map(|closed| closed.to);
            let (from, to) = (at(from), at(to));
            spans
                .filter(|to_| from <= *to_ && *to_ < to)
                .collect::<Vec<_>>()
        };
        let missing = openings_on("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z");
        assert_eq!(missing.len(), 1, "{missing:?}");
        let doubled = openings_on("2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z");
        assert_eq!(doubled.len(), 1, "{doubled:?}");
        let closes = windows.next_change(doubled[0]).expect("it closes");
        assert_eq!(closes.since(doubled[0]), DurationMs(2 * HOUR));
    }

    #[test]
    fn a_freeze_closes_what_is_open_and_says_why() {
        let start = at("2026-12-18T00:00:00Z");
        let mut rules = rules("UTC", "0 0 * * *", 24);
        let freeze = (at("2026-12-19T12:00:00Z"), at("2027-01-04T08:00:00Z"));
        rules.freezes.push(Freeze {
            from: freeze.0,
            to: freeze.1,
            reason: "holidays".to_owned(),
        });
        let windows = expand(&rules, start).expect("windows");
        assert_eq!(windows.next_change(start), Some(freeze.0));
        let closed = windows
            .closed_at(at("2026-12-25T00:00:00Z"))
            .expect("frozen");
        assert_eq!(closed.why, "a freeze: holidays");
        assert_eq!(windows.next_change(freeze.0), Some(freeze.1));
        assert_eq!(windows.closed_at(freeze.1), None);
        // Without windows only the freeze is closed, and nothing ends at a horizon.
        rules.open.clear();
        let windows = expand(&rules, start).expect("windows");
        assert_eq!(windows.closed.len(), 1);
        assert_eq!(windows.next_change(freeze.1), None);
    }

    #[test]
    fn a_window_that_was_open_before_is_open_and_what_nobody_said_is_closed() {
        let start = at("2026-11-23T10:00:00Z");
        let windows = expand(&rules("UTC", "0 9 * * *", 8), start).expect("windows");
        assert_eq!(windows.closed_at(start), None);
        assert_eq!(windows.next_change(start), Some(at("2026-11-23T17:00:00Z")));
        let far = start.plus(HORIZON).plus(DurationMs(HOUR));
        assert_eq!(windows.closed_at(far).map(|closed| closed.to), Some(None));
    }

    #[test]
    fn rules_without_a_meaning_are_named() {
        let now = at("2026-11-23T00:00:00Z");
        let told = |zone, cron| opened(&rules(zone, cron, 1), now).expect_err("bad").text();
        assert!(told("Mars/Base", "0 9 * * *").contains("`Mars/Base` is not a time zone"));
        assert!(told("UTC", "0 9 * *").contains("`0 9 * *` is not a cron pattern"));
        assert!(told("UTC", "* * * * *").contains("more than 10000 times"));
        assert!(told("UTC", "0 0 30 2 *").contains("does not open"));
    }
}
