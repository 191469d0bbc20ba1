"""Arithmetic that strategies need: nodes over clusters, traffic over nodes. Exact integers."""

from __future__ import annotations

from .types import ClusterGoal, ClusterView, SiteView

PERMILLE = 1000
_U32_MAX = 2**32 - 1


def spread(nodes: int, capacities: list[int]) -> list[int]:
    """Spreads nodes over clusters in proportion to their capacities, by the method of D'Hondt.

    It never takes a node away from a cluster when the total rises. No cluster gets more than its
    capacity; the larger cluster is served first, then the earlier one.
    """
    whole = sum(capacities)
    nodes = min(nodes, whole)
    if whole == 0:
        return [0] * len(capacities)
    # Nobody gets less than the quota rounded down, so only the rest needs the method.
    given = [nodes * capacity // whole for capacity in capacities]
    for _ in range(nodes - sum(given)):
        best = 0
        for index in range(1, len(capacities)):
            if capacities[index] * (given[best] + 1) > capacities[best] * (given[index] + 1):
                best = index
        given[best] += 1
    return given


def apportion(total: int, weights: list[int]) -> list[int]:
    """Divides `total` by weights, by largest remainders; the parts sum to exactly `total`.

    A weight of zero gets nothing, and all are zero if all weights are.
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    # A stable sort: of equal remainders the earlier one is served first.
    order = sorted(range(len(weights)), key=lambda index: -(total * weights[index] % whole))
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return parts


def goal_by_capacity(clusters: list[ClusterView], new: list[int]) -> list[ClusterGoal]:
    """A goal with these nodes on the new release, the rest on the baseline, and traffic in
    proportion to the nodes. `new` has one number for each cluster, in the same order."""
    weights = []
    for cluster, count in zip(clusters, new):
        count = min(count, cluster.desired)
        weights += [count, cluster.desired - count]
    return _assemble(clusters, weights, apportion(PERMILLE, weights))


def goal_by_share(clusters: list[ClusterView], new: list[int], new_permille: int) -> list[ClusterGoal]:
    """A goal with these nodes on the new release, and this share of the site's traffic for them.

    A side without nodes gets no traffic, whatever the share says.
    """
    new = [min(count, cluster.desired) for cluster, count in zip(clusters, new)]
    baseline = [cluster.desired - count for cluster, count in zip(clusters, new)]
    if not any(new):
        new_permille = 0
    elif not any(baseline):
        new_permille = PERMILLE
    new_permille = min(new_permille, PERMILLE)
    new_shares = apportion(new_permille, new)
    baseline_shares = apportion(PERMILLE - new_permille, baseline)
    nodes = [count for pair in zip(new, baseline) for count in pair]
    shares = [share for pair in zip(new_shares, baseline_shares) for share in pair]
    return _assemble(clusters, nodes, shares)


def reached(view: SiteView, goal: list[ClusterGoal]) -> bool:
    """Whether the site is at this goal: enough new nodes serve, and the traffic is split so."""
    goals = {goal.cluster: goal for goal in goal}
    for cluster in view.clusters:
        wanted = goals.get(cluster.name)
        if wanted is None or cluster.new_ready < wanted.new:
            return False
        split = (cluster.new_permille, cluster.baseline_permille)
        if view.splits_traffic and split != (wanted.new_permille, wanted.baseline_permille):
            return False
    return True


def desired(view: SiteView) -> int:
    """Nodes that the site should have in total."""
    return min(sum(cluster.desired for cluster in view.clusters), _U32_MAX)


def _assemble(clusters: list[ClusterView], nodes: list[int], shares: list[int]) -> list[ClusterGoal]:
    return [
        ClusterGoal(
            cluster.name,
            new=nodes[2 * index],
            baseline=nodes[2 * index + 1],
            new_permille=shares[2 * index],
            baseline_permille=shares[2 * index + 1],
        )
        for index, cluster in enumerate(clusters)
    ]
