// What a component gets from the host. Under a test nothing is connected.

import { Failed } from "./errors.js";
import { answer, probeSummary, question } from "./wire.js";

let imports;

/** Called by the entry of a component, see `component/`. */
export function connect(found) {
  imports = found;
}

/** Evidence from the host. */
export function hostEvidence() {
  const { evidence, metrics, http, probes } = imports ?? {};
  return {
    instant: (slot, query) => ask(() => metrics.instant(slot, query)),
    instants: (slot, queries) => ask(() => metrics.instants(slot, queries)),
    range: (slot, query, windowMs, stepMs) =>
      ask(() => metrics.range(slot, query, windowMs | 0, stepMs | 0)),
    ranges: (slot, queries, windowMs, stepMs) =>
      ask(() => metrics.ranges(slot, queries, windowMs | 0, stepMs | 0)),
    get: (slot, path) => ask(() => http.get(slot, path)),
    gets: (slot, paths) => ask(() => http.gets(slot, paths)),
    summary: (slot, cluster, cohort, windowMs) =>
      ask(() => probeSummary(probes.summary(slot, cluster, cohort, windowMs | 0))),
    summaries: (slot, clusters, cohort, windowMs) =>
      ask(() => probes.summaries(slot, clusters, cohort, windowMs | 0).map(probeSummary)),
    ask: (questions) => ask(() => evidence.ask(questions.map(question)).map(answer)),
  };
}

/** Asks the host; a failure of the source becomes `Failed`. */
function ask(whatever) {
  try {
    return whatever();
  } catch (error) {
    const failure = error?.payload ?? error;
    if (typeof failure?.code !== "string") {
      throw error;
    }
    throw new Failed(failure.code, failure.message, failure);
  }
}
