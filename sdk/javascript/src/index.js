// Write Wavegate plugins in TypeScript and JavaScript.
//
// `defineStrategy` and `defineGate` take what you write and give what the component exports.
// Nothing here needs a host: under `node --test` use `StrategyRun` and `GateRun`.

export * as config from "./config.js";
export * as log from "./log.js";
export * as query from "./query.js";
export * as shares from "./shares.js";
export { Amount, Duration, Percent, number } from "./units.js";
export { Failed } from "./errors.js";
export { defineStrategy, done, fail, go, waitForGates, waitForPerson, waitMs } from "./strategy.js";
export { PHASES, clusterVerdict, defineGate, evaluationOf, hold, worst } from "./gate.js";
export { GateRun, Recorded, StrategyRun, site } from "./harness.js";
