// The engine of a component hands whole numbers from 2^31 on over as negative ones, and takes them as
// negative ones. Here they become what the contract says, and back.

const CLUSTER_COUNTS = [
  "desired",
  "newReady",
  "newUnready",
  "baselineReady",
  "baselineUnready",
  "other",
  "failed",
  "newPermille",
  "baselinePermille",
  "batchMax",
  "unavailableMax",
  "surgeMax",
];

export function siteView(view) {
  view.clusters.forEach((cluster) => unsigned(cluster, CLUSTER_COUNTS));
  view.gates.forEach((gate) => unsigned(gate, ["ageMs"]));
  unsigned(view.position, ["wave", "waves", "site", "sites"]);
  return unsigned(view, ["stageElapsedMs", "siteElapsedMs", "timeLeftMs"]);
}

export function siteSummary(site) {
  site.clusters.forEach((cluster) => unsigned(cluster, ["desired"]));
  return site;
}

export function gateCall(call) {
  [...call.updated, ...call.untouched].forEach((cluster) =>
    unsigned(cluster, ["newReady", "baselineReady"]),
  );
  return unsigned(call, ["attempt"]);
}

export function probeSummary(summary) {
  unsigned(summary.checks, ["total", "failed"]);
  unsigned(summary.traffic, ["total", "failed"]);
  return summary;
}

/** A decision as the engine takes it. */
export function decision({ tag, val }) {
  if (tag === "wait-ms") {
    return { tag, val: val | 0 };
  }
  if (tag !== "go") {
    return { tag, val };
  }
  const clusters = val.clusters.map((goal) => ({
    cluster: goal.cluster,
    new: goal.new | 0,
    baseline: goal.baseline | 0,
    newPermille: goal.newPermille | 0,
    baselinePermille: goal.baselinePermille | 0,
  }));
  return { tag, val: { clusters } };
}

/** A measurement as the engine takes it. */
export function measurement(measured) {
  return { ...measured, value: measured.value ?? null, samples: measured.samples | 0 };
}

/** A question of any kind as the engine takes it. */
export function question({ tag, val }) {
  const made = { ...val };
  for (const name of ["windowMs", "stepMs"]) {
    if (name in made) {
      made[name] |= 0;
    }
  }
  return { tag, val: made };
}

/** The answer to such a question. */
export function answer({ tag, val }) {
  return { tag, val: tag === "summary" ? probeSummary(val) : val };
}

function unsigned(record, names) {
  for (const name of names) {
    if (typeof record[name] === "number") {
      record[name] >>>= 0;
    }
  }
  return record;
}
