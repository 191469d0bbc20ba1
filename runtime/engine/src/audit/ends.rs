//! How a rollout may end.

use super::Violation;
use super::book::{Book, Place};
use crate::fact::End;
use wavegate_model::SiteName;

pub(super) fn finished(book: &Book, end: End) -> Result<(), Violation> {
    let wrong = |why| Err(Violation::End { end, why });
    if book.end.is_some() {
        return wrong("it had ended before");
    }
    let any = |place: Place| book.sites.values().any(|site| site.place == place);
    let given_up = book.sites.values().any(|site| site.given_up);
    let lost = book
        .clusters
        .values()
        .any(|c| c.touched && c.lost && !c.left);
    match end {
        End::Replaced if !book.makes_room => wrong("nobody asked it to make room"),
        End::Done | End::RollbackIncomplete | End::RolledBack | End::Replaced
            if any(Place::GoingBack) =>
        {
            wrong("a site is on its way back")
        }
        End::Done | End::RolledBack if given_up => wrong("a site was given up"),
        End::Done if book.waves.iter().any(|wave| !wave.done) => wrong("a wave is not done"),
        End::Done if book.waves.iter().any(|wave| wave.in_flight > 0) => {
            wrong("a site is in flight")
        }
        End::Done if lost => wrong("a touched cluster is unreachable"),
        End::Done | End::RolledBack | End::Replaced if any(Place::NotBack) => {
            wrong("a site could not go back")
        }
        End::RolledBack | End::RollbackIncomplete | End::Replaced => {
            let open = |site: &SiteName| !book.site(site).place.finished();
            let scope = book.stopping.as_ref();
            let not_all = scope.is_some_and(|sites| {
                let done = |s: &SiteName| book.site(s).place == Place::Done;
                sites.iter().any(|s| open(s) || done(s))
            });
            if not_all {
                wrong("a site that has to go back has not")
            } else if end == End::RollbackIncomplete && !any(Place::NotBack) {
                wrong("every site is back")
            } else {
                Ok(())
            }
        }
        End::Incomplete if !lost && !given_up => wrong("no touched cluster is unreachable"),
        End::Done | End::Aborted | End::Incomplete | End::Superseded => Ok(()),
    }
}
