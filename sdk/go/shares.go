package wavegate

import (
	"math"
	"sort"
)

// Permille is the whole of a site's traffic.
const Permille = 1000

// Spread spreads nodes over clusters in proportion to their capacities, by the method of D'Hondt.
//
// It never takes a node away from a cluster when the total rises. No cluster gets more than its
// capacity; the larger cluster is served first, then the earlier one.
func Spread(nodes uint32, capacities []uint32) []uint32 {
	whole := sum(capacities)
	given := make([]uint32, len(capacities))
	if whole == 0 {
		return given
	}
	wanted := min(uint64(nodes), whole)
	// Nobody gets less than the quota rounded down, so only the rest needs the method.
	for index, capacity := range capacities {
		given[index] = uint32(wanted * uint64(capacity) / whole)
	}
	for rest := wanted - sum(given); rest > 0; rest-- {
		best := 0
		for index := range capacities {
			ours := uint64(capacities[index]) * (uint64(given[best]) + 1)
			theirs := uint64(capacities[best]) * (uint64(given[index]) + 1)
			if ours > theirs {
				best = index
			}
		}
		given[best]++
	}
	return given
}

// Apportion divides total by weights, by largest remainders; the parts sum to exactly total.
//
// A weight of zero gets nothing, and all are zero if all weights are.
func Apportion(total uint32, weights []uint32) []uint32 {
	whole := sum(weights)
	parts := make([]uint32, len(weights))
	if whole == 0 {
		return parts
	}
	order := make([]int, len(weights))
	for index, weight := range weights {
		parts[index] = uint32(uint64(total) * uint64(weight) / whole)
		order[index] = index
	}
	remainder := func(index int) uint64 { return uint64(total) * uint64(weights[index]) % whole }
	// Of equal remainders the earlier one is served first.
	sort.SliceStable(order, func(one, other int) bool {
		return remainder(order[one]) > remainder(order[other])
	})
	for _, index := range order[:uint64(total)-sum(parts)] {
		parts[index]++
	}
	return parts
}

// GoalByCapacity has these nodes on the new release, the rest of each cluster on its baseline, and
// traffic in proportion to the nodes. There is one number for each cluster, in the same order.
func GoalByCapacity(clusters []ClusterView, nodes []uint32) Goal {
	weights := make([]uint32, 0, 2*len(clusters))
	for index, cluster := range clusters {
		count := min(nodes[index], cluster.Desired)
		weights = append(weights, count, cluster.Desired-count)
	}
	return assemble(clusters, weights, Apportion(Permille, weights))
}

// GoalByShare has these nodes on the new release, and this share of the site's traffic for them.
//
// A side without nodes gets no traffic, whatever the share says.
func GoalByShare(clusters []ClusterView, nodes []uint32, newPermille uint32) Goal {
	fresh := make([]uint32, len(clusters))
	baseline := make([]uint32, len(clusters))
	for index, cluster := range clusters {
		fresh[index] = min(nodes[index], cluster.Desired)
		baseline[index] = cluster.Desired - fresh[index]
	}
	share := min(newPermille, Permille)
	if sum(fresh) == 0 {
		share = 0
	} else if sum(baseline) == 0 {
		share = Permille
	}
	pairs := func(left, right []uint32) []uint32 {
		var both []uint32
		for index := range left {
			both = append(both, left[index], right[index])
		}
		return both
	}
	shares := pairs(Apportion(share, fresh), Apportion(Permille-share, baseline))
	return assemble(clusters, pairs(fresh, baseline), shares)
}

// Reached says whether the site is at this goal: enough new nodes serve, and the traffic is split so.
func Reached(view *SiteView, goal Goal) bool {
	goals := make(map[string]ClusterGoal, len(goal))
	for _, wanted := range goal {
		goals[wanted.Cluster] = wanted
	}
	for _, cluster := range view.Clusters {
		wanted, ok := goals[cluster.Name]
		if !ok || cluster.NewReady < wanted.New {
			return false
		}
		isSplit := cluster.NewPermille == wanted.NewPermille && cluster.BaselinePermille == wanted.BaselinePermille
		if view.SplitsTraffic && !isSplit {
			return false
		}
	}
	return true
}

// Desired is how many nodes the site should have in total.
func (view *SiteView) Desired() uint32 {
	var total uint64
	for _, cluster := range view.Clusters {
		total += uint64(cluster.Desired)
	}
	return saturate(total)
}

// Desired is how many nodes the site should have in total.
func (site *SiteSummary) Desired() uint32 {
	var total uint64
	for _, cluster := range site.Clusters {
		total += uint64(cluster.Desired)
	}
	return saturate(total)
}

func assemble(clusters []ClusterView, nodes, shares []uint32) Goal {
	goal := make(Goal, len(clusters))
	for index, cluster := range clusters {
		goal[index] = ClusterGoal{
			Cluster:          cluster.Name,
			New:              nodes[2*index],
			Baseline:         nodes[2*index+1],
			NewPermille:      shares[2*index],
			BaselinePermille: shares[2*index+1],
		}
	}
	return goal
}

func sum(numbers []uint32) uint64 {
	var total uint64
	for _, number := range numbers {
		total += uint64(number)
	}
	return total
}

func saturate(number uint64) uint32 {
	return uint32(min(number, math.MaxUint32))
}
