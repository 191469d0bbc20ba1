//! Whether anything new may start: windows, pauses, holds and the failure budget.

use super::Violation;
use super::book::{Book, part};
use wavegate_model::{SiteName, Timestamp};

pub(super) fn may_start(
    book: &Book,
    wave: usize,
    at: Timestamp,
    what: &'static str,
) -> Result<(), Violation> {
    in_a_window(book, wave, at, what)?;
    let state = if book.end.is_some() {
        return Err(Violation::AfterEnd { what });
    } else if book.stopping.is_some() {
        "stopping"
    } else if book.paused {
        "paused"
    } else if book.held {
        "held"
    } else if book.queued {
        "queued"
    } else {
        return Ok(());
    };
    Err(Violation::Blocked { what, state })
}

/// Looks at the windows themselves, and not at what was said of them.
pub(super) fn in_a_window(
    book: &Book,
    wave: usize,
    at: Timestamp,
    what: &'static str,
) -> Result<(), Violation> {
    let name = &book.spec.plan.waves[wave].name;
    let own = book.spec.wave_windows.get(name).into_iter();
    let mut closed = own.chain([&book.spec.windows]).flat_map(|w| &w.closed);
    if closed.any(|closed| closed.from <= at && closed.to.is_none_or(|to| at < to)) {
        let state = "outside of its windows";
        return Err(Violation::Blocked { what, state });
    }
    Ok(())
}

pub(super) fn within_budget(
    book: &Book,
    what: &'static str,
    site: &SiteName,
) -> Result<(), Violation> {
    let failure = &book.spec.policy.failure;
    let over = |failed: u32, tolerated: u32| {
        if failed <= tolerated {
            return Ok(());
        }
        Err(Violation::Budget {
            what,
            site: site.clone(),
            failed,
            tolerated,
        })
    };
    over(book.failed, part(failure.tolerate, book.largest, false))?;
    for wave in &book.waves {
        over(
            wave.failed,
            part(failure.tolerate_per_wave, wave.largest, false),
        )?;
    }
    Ok(())
}
