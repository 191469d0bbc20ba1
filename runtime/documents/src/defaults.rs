//! Every default of the documents, each with its reason. A resolved policy says them all.

use wavegate_model::limits::{CallLimits, ResourceClass};
use wavegate_model::policy::{
    EndState, GateBudget, Membership, OnAdded, OnRemoved, OnTimeLimit, OnUnavailable,
    OnUnreachable, TimeLimit, WhenBusy,
};
use wavegate_model::{Amount, DurationMs, Permille};

/// Coordinated universal time: the one zone that means the same to everybody.
pub(crate) const TIME_ZONE: &str = "UTC";
/// One site after the other: parallel is faster, and something that one decides for.
pub(crate) const MAX_PARALLEL_SITES: Amount = Amount::Count(1);
/// No soak: how long is long enough, only the owner of the service knows. `validate` warns
/// when the last wave has none.
pub(crate) const SOAK: DurationMs = DurationMs::ZERO;
/// One node at a time, for the same reason as one site.
pub(crate) const BATCH_SIZE: Amount = Amount::Count(1);
/// One node may be down: without it no node could be replaced in place.
pub(crate) const MAX_UNAVAILABLE: Amount = Amount::Count(1);
/// No extra nodes: not every driver can, and not every cluster has the room.
pub(crate) const MAX_SURGE: Amount = Amount::Count(0);
/// Ten minutes without a node that becomes ready: slow images and caches fit, and a release
/// that never starts does not hang the rollout for ever.
pub(crate) const BATCH_PROGRESS: Option<TimeLimit> = Some(TimeLimit {
    after: DurationMs::secs(600),
    then: OnTimeLimit::Fail,
});
/// A batch or a cluster that is late is sick: the site fails.
pub(crate) const THEN_OF_SITES: OnTimeLimit = OnTimeLimit::Fail;
/// A wave or a rollout that is late may be slow in good health: a person looks at it.
pub(crate) const THEN_OF_WAVES: OnTimeLimit = OnTimeLimit::Hold;
/// No failed site is tolerated.
pub(crate) const TOLERATE: Amount = Amount::Count(0);
/// Everything stays as it is: going back changes clusters too, so a policy has to say it.
pub(crate) const THEN: EndState = EndState::Hold;
/// All nodes in one move, as far as `maxUnavailable` lets it: going back is urgent.
pub(crate) const ROLLBACK_BATCH: Amount = Amount::Percent(Permille::ALL);
/// Four sites at once: faster than forward, still few enough to watch.
pub(crate) const ROLLBACK_MAX_PARALLEL_SITES: u32 = 4;
/// As [`BATCH_PROGRESS`], halved: the baseline is known to start.
pub(crate) const ROLLBACK_PROGRESS: DurationMs = DurationMs::secs(300);
/// Thirty seconds are several missed observations, and longer than most restarts of a network
/// device. An unreachable cluster is waited for: leaving it out is a decision.
pub(crate) const MEMBERSHIP: Membership = Membership {
    unreachable_after: DurationMs::secs(30),
    unreachable: OnUnreachable::Wait,
    added: ON_ADDED,
    removed: ON_REMOVED,
};
/// A plan stays as it was shown, unless the policy says otherwise.
pub(crate) const ON_ADDED: OnAdded = OnAdded::Ignore;
/// A cluster that is gone cannot be waited for, and what it ran is listed.
pub(crate) const ON_REMOVED: OnRemoved = OnRemoved::Skip;
/// Waiting and taking over are decisions of who owns both rollouts.
pub(crate) const WHEN_BUSY: WhenBusy = WhenBusy::Refuse;
/// Ten seconds between evaluations: below most scrape intervals a gate sees nothing new.
pub(crate) const GATE_INTERVAL: DurationMs = DurationMs::secs(10);
/// The first fail counts.
pub(crate) const GATE_BUDGET: GateBudget = GateBudget {
    consecutive: 0,
    total: 0,
    window: None,
};
/// With a window and nothing else said, the window alone decides: this is the largest total that
/// can be written, and no rollout asks a gate so often.
pub(crate) const GATE_TOTAL_BESIDE_WINDOW: u32 = 100_000;
/// One evaluation is enough; what has to last is what a soak is for.
pub(crate) const GATE_PASSES: u32 = 1;
/// Three intervals, so that one evaluation may be late and one be missed, and at least five
/// minutes: that is when Prometheus calls a sample stale, and several scrapes fit into it.
pub(crate) fn gate_fresh_for(interval: DurationMs) -> DurationMs {
    let intervals = interval.plus(interval).plus(interval);
    intervals.clamp(DurationMs::secs(300), DurationMs::MAX)
}
/// A shorter time could end while another gate or the strategy answers, and then nothing would
/// ever have passed at once: a call takes up to two seconds, and a source five.
pub(crate) const GATE_FRESH_FOR_MIN: DurationMs = DurationMs::secs(10);
/// A pass rests on something: with 0, silence would pass.
pub(crate) const GATE_MIN_SAMPLES: u32 = 1;
/// Not knowing is no reason to fail, and never one to go on.
pub(crate) const GATE_ON_UNAVAILABLE: OnUnavailable = OnUnavailable::Hold;
/// What the class of the plugin has; which that is, its component says.
pub(crate) const CALL_LIMITS: CallLimits = CallLimits::LARGE;
/// Whoever names limits without a class means those of the smallest: more needs a word.
pub(crate) const CLASS: ResourceClass = ResourceClass::Small;
/// Five seconds for one request: half of the default interval between evaluations.
pub(crate) const SOURCE_TIMEOUT: DurationMs = DurationMs::secs(5);
/// A day: gates compare minutes, and a query over more is a query too much for most servers.
pub(crate) const SOURCE_RANGE_MAX: DurationMs = DurationMs::secs(24 * 3600);
/// A thousand series: one for each node of a large cluster.
pub(crate) const SOURCE_SERIES_MAX: u32 = 1000;
/// A mebibyte: what a guest may hold in one answer.
pub(crate) const SOURCE_BODY_BYTES_MAX: u64 = 1 << 20;
