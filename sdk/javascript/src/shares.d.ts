import type { ClusterView, Goal, SiteView } from "./index.js";

/** The whole of a site's traffic. */
export const PERMILLE: 1000;
/** Spreads nodes over clusters in proportion to their capacities, by the method of D'Hondt. */
export function spread(nodes: number, capacities: number[]): number[];
/** Divides `total` by weights, by largest remainders; the parts sum to exactly `total`. */
export function apportion(total: number, weights: number[]): number[];
/** A goal with these new nodes in each cluster, and traffic in proportion to the nodes. */
export function goalByCapacity(clusters: ClusterView[], nodes: number[]): Goal;
/** A goal with these new nodes in each cluster, and this share of the traffic for them. */
export function goalByShare(clusters: ClusterView[], nodes: number[], newPermille: number): Goal;
/** Whether the site is at this goal: enough new nodes serve, and the traffic is split so. */
export function reached(view: SiteView, goal: Goal): boolean;
/** Nodes that the site should have in total. */
export function desired(site: { clusters: { desired: number }[] }): number;
