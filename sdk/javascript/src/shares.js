// Arithmetic that strategies need: nodes over clusters, traffic over nodes. Exact integers.

export const PERMILLE = 1000;

const U32_MAX = 4294967295;

/**
 * Spreads nodes over clusters in proportion to their capacities, by the method of D'Hondt.
 *
 * It never takes a node away from a cluster when the total rises. No cluster gets more than its
 * capacity; the larger cluster is served first, then the earlier one.
 */
export function spread(nodes, capacities) {
  const whole = sum(capacities);
  const wanted = Math.min(nodes, whole);
  if (whole === 0) {
    return capacities.map(() => 0);
  }
  // Nobody gets less than the quota rounded down, so only the rest needs the method.
  const given = capacities.map((capacity) => quotient(wanted, capacity, whole)[0]);
  for (let rest = wanted - sum(given); rest > 0; rest -= 1) {
    let best = 0;
    for (let index = 1; index < capacities.length; index += 1) {
      if (isMore(capacities[index], given[best] + 1, capacities[best], given[index] + 1)) {
        best = index;
      }
    }
    given[best] += 1;
  }
  return given;
}

/**
 * Divides `total` by weights, by largest remainders; the parts sum to exactly `total`.
 *
 * A weight of zero gets nothing, and all are zero if all weights are.
 */
export function apportion(total, weights) {
  const whole = sum(weights);
  if (whole === 0) {
    return weights.map(() => 0);
  }
  const divided = weights.map((weight) => quotient(total, weight, whole));
  const parts = divided.map(([part]) => part);
  const order = weights.map((_, index) => index);
  // A stable sort: of equal remainders the earlier one is served first.
  order.sort((one, other) => divided[other][1] - divided[one][1]);
  for (const index of order.slice(0, total - sum(parts))) {
    parts[index] += 1;
  }
  return parts;
}

/**
 * A goal with these nodes on the new release, the rest of each cluster on its baseline, and traffic
 * in proportion to the nodes. `nodes` has one number for each cluster, in the same order.
 */
export function goalByCapacity(clusters, nodes) {
  const weights = clusters.flatMap((cluster, index) => {
    const count = Math.min(nodes[index], cluster.desired);
    return [count, cluster.desired - count];
  });
  return assemble(clusters, weights, apportion(PERMILLE, weights));
}

/**
 * A goal with these nodes on the new release, and this share of the site's traffic for them.
 *
 * A side without nodes gets no traffic, whatever the share says.
 */
export function goalByShare(clusters, nodes, newPermille) {
  const fresh = clusters.map((cluster, index) => Math.min(nodes[index], cluster.desired));
  const baseline = clusters.map((cluster, index) => cluster.desired - fresh[index]);
  let share = Math.min(newPermille, PERMILLE);
  if (fresh.every((count) => count === 0)) {
    share = 0;
  } else if (baseline.every((count) => count === 0)) {
    share = PERMILLE;
  }
  const freshShares = apportion(share, fresh);
  const baselineShares = apportion(PERMILLE - share, baseline);
  const pairs = (left, right) => left.flatMap((value, index) => [value, right[index]]);
  return assemble(clusters, pairs(fresh, baseline), pairs(freshShares, baselineShares));
}

/** Whether the site is at this goal: enough new nodes serve, and the traffic is split so. */
export function reached(view, goal) {
  const goals = new Map(goal.clusters.map((wanted) => [wanted.cluster, wanted]));
  return view.clusters.every((cluster) => {
    const wanted = goals.get(cluster.name);
    if (wanted === undefined || cluster.newReady < wanted.new) {
      return false;
    }
    const isSplit =
      cluster.newPermille === wanted.newPermille &&
      cluster.baselinePermille === wanted.baselinePermille;
    return !view.splitsTraffic || isSplit;
  });
}

/** Nodes that the site should have in total. */
export function desired(site) {
  return Math.min(sum(site.clusters.map((cluster) => cluster.desired)), U32_MAX);
}

function assemble(clusters, nodes, shares) {
  return {
    clusters: clusters.map((cluster, index) => ({
      cluster: cluster.name,
      new: nodes[2 * index],
      baseline: nodes[2 * index + 1],
      newPermille: shares[2 * index],
      baselinePermille: shares[2 * index + 1],
    })),
  };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/** `one * other / divisor` as quotient and remainder; products may exceed what a Number holds. */
function quotient(one, other, divisor) {
  const product = one * other;
  if (product <= Number.MAX_SAFE_INTEGER) {
    return [Math.floor(product / divisor), product % divisor];
  }
  const exact = BigInt(one) * BigInt(other);
  return [Number(exact / BigInt(divisor)), Number(exact % BigInt(divisor))];
}

/** Whether `a * b` is more than `c * d`, exactly. */
function isMore(a, b, c, d) {
  const [left, right] = [a * b, c * d];
  if (left <= Number.MAX_SAFE_INTEGER && right <= Number.MAX_SAFE_INTEGER) {
    return left > right;
  }
  return BigInt(a) * BigInt(b) > BigInt(c) * BigInt(d);
}
