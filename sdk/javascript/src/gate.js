import * as config from "./config.js";
import { about, call, problems, readState, writeState } from "./codec.js";
import { hostEvidence } from "./host.js";
import * as wire from "./wire.js";

/** The phases that this version of the contract names. Hold at any other phase. */
export const PHASES = [
  "before-wave",
  "before-site",
  "after-batch",
  "soak",
  "after-wave",
  "continuous",
];

const BADNESS = { pass: 0, hold: 1, fail: 2 };

/** Makes what a component exports as `gate` from what you write. */
export function defineGate(definition) {
  return {
    definition,
    describe: () => call(() => ({ about: about(definition, "gate"), slots: definition.slots })),
    validateConfig: (text) => call(() => problems(definition, text)),
    evaluate: (asked, text, state) =>
      call(() => {
        const settings = config.read(definition.config, text);
        const remembered = readState(definition, state);
        const found = definition.evaluate(wire.gateCall(asked), settings, remembered, hostEvidence());
        return {
          verdict: found.verdict,
          reason: found.reason,
          clusters: found.clusters ?? [],
          measurements: (found.measurements ?? []).map(wire.measurement),
          state: writeState(definition, found.state),
          extensions: [],
        };
      }),
  };
}

/** Not decided, for this reason. */
export function hold(reason, state = undefined) {
  return { verdict: "hold", reason, state };
}

/** The worst of some verdicts: fail before hold before pass; hold without any. */
export function worst(verdicts) {
  return verdicts.reduce(
    (found, verdict) => (found === undefined || BADNESS[verdict] > BADNESS[found] ? verdict : found),
    undefined,
  ) ?? "hold";
}

/** The verdict of a cluster by its findings. */
export function clusterVerdict(cluster, findings) {
  return { cluster, verdict: worst(findings.map((finding) => finding.measurement.verdict)) };
}

/** The worst of the findings, with the sentence of the first that says so. */
export function evaluationOf(findings, clusters = [], state = undefined) {
  const verdict = worst(findings.map((finding) => finding.measurement.verdict));
  const same = findings.filter((finding) => finding.measurement.verdict === verdict);
  let reason = same[0]?.text ?? "nothing was measured";
  if (same.length > 1) {
    reason += `, and ${same.length - 1} more`;
  }
  const measurements = findings.map((finding) => finding.measurement);
  return { verdict, reason, clusters, measurements, state };
}
